"""Thinning keeps what a reader must see."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.plot.downsample import thin


@pytest.fixture
def series():
    rng = np.random.default_rng(5)
    time = np.arange(300_000) * 0.01
    return time, np.sin(time) + 0.3 * rng.normal(size=time.size)


@pytest.mark.parametrize("max_points", [100, 101, 999, 5_000, 10_000])
def test_stays_within_the_points_and_is_part_of_the_series(series, max_points):
    time, values = series
    t, v = thin(time, values, max_points)
    assert 0.5 * max_points < t.size <= max_points
    assert (np.diff(t) > 0).all()
    assert (v == values[np.searchsorted(time, t)]).all()
    assert (t[0], t[-1]) == (time[0], time[-1])


def test_single_samples_survive(series):
    time, values = series
    for k in (1, 7, 123_456, 299_990):
        spiked = values.copy()
        spiked[k], spiked[-k - 5] = 9.0, -9.0
        _, v = thin(time, spiked, 1_000)
        assert v.max() == 9.0
        assert v.min() == -9.0


def test_envelope_of_every_slice_survives(series):
    time, values = series
    t, v = thin(time, values, 10_000)
    # the slice that holds an inner extreme reaches 151 samples at most to either side, and its own is kept
    reach = 151
    for first in range(0, time.size - 500, 500):
        inner = values[first + reach : first + 500 - reach]
        kept = v[(t >= time[first]) & (t < time[first + 500])]
        assert kept.max() >= inner.max()
        assert kept.min() <= inner.min()


def test_short_series_comes_back_whole():
    time, values = np.arange(10_000.0), np.arange(10_000.0) ** 2
    t, v = thin(time, values)
    assert (t == time).all()
    assert (v == values).all()
    assert thin([], [])[0].size == 0


def test_gaps_stay_gaps(series):
    time, values = series
    values[100_000:200_000] = np.nan
    values[50] = np.nan
    t, v = thin(time, values, 1_000)
    assert t.size <= 1_000
    assert t[np.isnan(v)].tolist() == [time[50], time[100_000]]
    assert not ((t > time[100_000]) & (t < time[200_000])).any()


def test_more_gaps_than_points_do_not_crowd_out_the_series(series):
    time, values = series
    values[::2] = np.nan
    t, v = thin(time, values, 1_000)
    assert t.size <= 1_000
    assert np.isnan(v).sum() == 100
    assert np.nanmax(v) == np.nanmax(values)


def test_nothing_but_a_gap():
    t, v = thin(np.arange(20_000.0), np.full(20_000, np.nan))
    assert t.tolist() == [0.0]
    assert np.isnan(v).all()


@pytest.mark.parametrize(
    ("time", "values", "max_points", "message"),
    [
        (np.arange(5.0), np.arange(6.0), 100, r"one length \(got \(5,\) and \(6,\)\)"),
        (np.zeros((2, 3)), np.zeros((2, 3)), 100, "one series at a time"),
        (np.arange(5.0), np.arange(5.0), 99, r"too small to keep the extremes \(got 99\)"),
        (np.zeros(200), np.zeros(200), 100, "time must rise"),
    ],
)
def test_what_cannot_be_thinned_is_refused(time, values, max_points, message):
    with pytest.raises(InputError, match=message):
        thin(time, values, max_points)
