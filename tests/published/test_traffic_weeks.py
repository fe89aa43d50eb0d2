"""Weeks of requests and traces against their published figures.

Azure LLM inference 2024 (digitised; column rpm_mid) and 2023 (CC-BY 4.0), as tabulated from them.
"""

import datetime as dt

import numpy as np
import pytest

from gridedge.profiles.traffic.week import measured_week, week_seconds, zone

CODING = [
    0.70, 0.68, 0.64, 0.52, 0.42, 0.34, 0.30, 0.25, 0.23, 0.24, 0.26, 0.39,
    0.71, 1.21, 1.69, 1.81, 1.73, 1.99, 2.18, 2.24, 2.04, 1.51, 1.10, 0.82,
]  # fmt: skip
CONVERSATION = [
    0.89, 0.97, 0.95, 0.79, 0.80, 0.88, 1.01, 1.09, 1.11, 1.08, 0.97, 1.03,
    1.15, 1.28, 1.34, 1.24, 1.13, 1.09, 1.08, 1.01, 0.92, 0.77, 0.69, 0.72,
]  # fmt: skip


@pytest.mark.parametrize(("name", "peak", "hours"), [("coding", 3.17, CODING), ("conversation", 1.76, CONVERSATION)])
def test_week(name, peak, hours):
    week = measured_week(name)
    assert week.peak_over_mean == pytest.approx(peak, rel=0.03)
    assert week.by_hour() == pytest.approx(hours, rel=0.05)


def test_a_metro_sees_it_in_its_own_time():
    # 19 UTC, the peak of coding, is 13 o'clock in Dallas in winter and 14 o'clock in summer.
    place, week = zone("America/Chicago"), measured_week("coding")
    for month, hour in ((1, 13), (7, 14)):
        day = dt.datetime(2025, month, 15)
        local = week_seconds(day, np.arange(24) * 3600.0 + 1800.0, place, True, ())
        assert int(np.argmax(week.at(local))) in (hour - 1, hour)
        assert local[hour] % 86_400 == 19 * 3600 + 1800
