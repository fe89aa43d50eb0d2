"""Curves of changes, ramps and fast changes against brute force and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.measure.ramp import (
    change_curve,
    largest_change,
    largest_fast_change,
    largest_ramp,
    ramp_distribution,
    ramp_percentile,
)


def test_the_curve_of_a_sine_is_its_closed_form():
    t = 0.01 * np.arange(20_000)
    windows_s, change_mw = change_curve(3 * np.sin(2 * np.pi * 0.1 * t), 0.01)
    wanted = np.where(windows_s < 5, 6 * np.sin(np.pi * 0.1 * windows_s), 6.0)
    np.testing.assert_allclose(change_mw, wanted, rtol=2e-5)
    assert (windows_s[0], windows_s[-1]) == (0.01, pytest.approx(199.99))


def test_the_curve_agrees_with_every_single_window():
    p = np.cumsum(np.random.default_rng(5).normal(size=(2, 700)), axis=-1)
    windows_s, change_mw = change_curve(p, 0.5)
    assert change_mw.shape == (2, windows_s.size)
    for row, series in zip(change_mw, p, strict=True):
        one = [largest_change(series, 0.5, window_s=w).value for w in windows_s]
        np.testing.assert_array_equal(row, one)


def test_given_windows_are_rounded_down_to_whole_steps():
    p = np.array([0.0, 1.0, 3.0, 3.0, 7.0])
    windows_s, change_mw = change_curve(p, 1.0, [2.7, 1.0, 4.0])
    assert windows_s.tolist() == [1.0, 2.0, 4.0]
    assert change_mw.tolist() == [4.0, 4.0, 7.0]


@pytest.mark.parametrize(
    ("p", "dt_s", "windows_s", "message"),
    [
        ([1.0], 1.0, None, "too few samples"),
        ([1.0, np.nan], 1.0, None, "NaN or infinite"),
        ([1.0, 2.0], 0.0, None, "must be positive"),
        ([1.0, 2.0], "1", None, r"must be positive \(got '1'\)"),
        (["a", "b"], 1.0, None, "holds no numbers"),
        ([1.0, 2.0, 3.0], 1.0, [0.5], "cannot show"),
        ([1.0, 2.0, 3.0], 1.0, [3.0], "Give windows from 1 to 2 s"),
    ],
)
def test_a_curve_that_cannot_be_drawn_is_refused(p, dt_s, windows_s, message):
    with pytest.raises(InputError, match=message):
        change_curve(p, dt_s, windows_s)


def brute_fast_change(p, dt_s, rate):
    i, j = np.triu_indices(p.size, 1)
    change = np.abs(p[j] - p[i])
    return max([0.0, *change[change >= rate * (j - i) * dt_s]])


@pytest.mark.parametrize("rate", [0.11, 0.37, 1.3, 5.1])
def test_a_fast_change_agrees_with_every_pair_of_samples(rate):
    rng = np.random.default_rng(11)
    for size in (2, 3, 40, 150):
        for p in (np.cumsum(rng.normal(size=size)), rng.integers(0, 6, size).astype(float)):
            found = largest_fast_change(p, 0.7, rate_mw_per_s=rate)
            assert found.value == pytest.approx(brute_fast_change(p, 0.7, rate), abs=1e-12)


def test_a_direction_counts_one_way_only():
    p = np.concatenate((np.linspace(0, 30, 61), np.linspace(30, 10, 61)))
    assert largest_ramp(p, 1.0, direction="up").value == pytest.approx(30.0)
    assert largest_ramp(p, 1.0, direction="down").value == pytest.approx(20.0)
    assert largest_ramp(np.linspace(0, 1, 100), 1.0, direction="down").value == 0.0


def test_percentiles_of_ramps_are_values_of_ramps():
    p = np.concatenate((np.zeros(100), 2.0 * np.arange(1, 101)))  # 99 ramps of 0 and 100 of 120 MW/min
    below = ramp_percentile(p, 1.0, percentile=49.7, window_s=1.0)
    above = ramp_percentile(p, 1.0, percentile=49.8, window_s=1.0)
    assert (below.value, above.value) == (0.0, 120.0)
    table = ramp_distribution(np.stack([p, 2 * p]), 1.0, window_s=1.0, percentiles=(49, 51, 100))
    np.testing.assert_array_equal(table, [[0, 120, 120], [0, 240, 240]])
    with pytest.raises(InputError, match="too short"):
        ramp_distribution(p, 1.0, window_s=600.0)
