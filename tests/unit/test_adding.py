"""How fluctuations add up, against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.measure.adding import (
    about_common,
    about_moving_mean,
    compare_fluctuations,
    fluctuation,
    sd_of_equal_mw,
    sd_of_sum_mw,
)

T = np.arange(7200)


def orthogonal(n):
    """Sites that have nothing in common, to rounding: sines of different lines of one series, rms 1."""
    return np.sqrt(2) * np.stack([np.sin(2 * np.pi * (200 + k) * T / T.size) for k in range(n)])


def mixed(n, rho):
    common = np.sqrt(2) * np.sin(2 * np.pi * 120 * T / T.size)
    return 10 + np.sqrt(rho) * common + np.sqrt(1 - rho) * orthogonal(n)


def test_a_hundred_sites_fluctuate_ten_times_as_much_as_one_or_a_hundred_times():
    assert sd_of_equal_mw(100, 0.3, 0.0) == pytest.approx(3.0, rel=1e-12)
    assert sd_of_equal_mw(100, 0.3, 1.0) == pytest.approx(30.0, rel=1e-12)
    assert sd_of_equal_mw(4, 1.0, -1 / 3) == pytest.approx(0.0, abs=1e-7)
    assert sd_of_sum_mw(np.full(7, 0.2), 0.4) == pytest.approx(sd_of_equal_mw(7, 0.2, 0.4), rel=1e-12)


@pytest.mark.parametrize(("rho", "times"), [(0.0, 10.0), (1.0, 100.0), (0.25, np.sqrt(100 * (1 + 99 * 0.25)))])
def test_the_law_on_series(rho, times):
    found = fluctuation(mixed(100, rho), 1.0, about_s=None)
    assert found.rho == pytest.approx(rho, abs=1e-9)
    assert found.sd_site_mw == pytest.approx(1.0, rel=1e-9)
    assert found.sd_mw == pytest.approx(times, rel=1e-9)
    # the correlation of 50 of the sites foretells what all 100 do
    assert found.predicted_from == 50
    assert found.sd_predicted_mw == pytest.approx(times, rel=1e-6)
    assert found.sd_independent_mw == pytest.approx(10.0, rel=1e-9)
    assert found.sd_in_step_mw == pytest.approx(100.0, rel=1e-9)


def test_sites_of_unequal_size():
    p = orthogonal(2) * [[3.0], [4.0]]
    found = fluctuation(p, 1.0, about_s=None)
    assert found.sd_site_mw == pytest.approx(np.sqrt(12.5), rel=1e-9)
    assert found.sd_mw == pytest.approx(5.0, rel=1e-9)
    # Equal parts in common and apart: the variance of the sum is 9 + 16 + 2 * 3 * 4 / 2.
    half = fluctuation((mixed(2, 0.5) - 10) * [[3.0], [4.0]], 1.0, about_s=None)
    assert half.sd_mw == pytest.approx(np.sqrt(37), rel=1e-9)
    assert sd_of_sum_mw([3.0, 4.0], 0.5) == pytest.approx(np.sqrt(37), rel=1e-12)
    with pytest.raises(InputError, match="3 sites cannot all have this correlation"):
        sd_of_sum_mw([1.0, 1.0, 1.0], -0.6)


def test_the_prediction_can_fail():
    """Sites of which every other one swings against the rest: half of them says something else than all do."""
    wave = np.sin(2 * np.pi * 90 * T / T.size)
    p = np.stack([wave * (-1) ** k for k in range(10)])
    found = fluctuation(p, 1.0, about_s=None)
    assert found.sd_mw == pytest.approx(0.0, abs=1e-9)
    assert found.sd_predicted_mw == pytest.approx(10 / np.sqrt(2), rel=1e-6)
    against = np.stack([wave, orthogonal(2)[0], -wave, orthogonal(2)[1]])
    assert np.isnan(fluctuation(against, 1.0, about_s=None).sd_predicted_mw)  # half of them swing against each other


def test_a_moving_mean_takes_off_a_rise_and_a_known_shape_is_taken_off_whole():
    p = mixed(5, 0.0)
    risen = p + 0.01 * T
    np.testing.assert_allclose(
        about_moving_mean(risen, 1.0, about_s=600.0), about_moving_mean(p, 1.0, about_s=600.0), atol=1e-9
    )
    day = np.sin(2 * np.pi * T / T.size)
    np.testing.assert_allclose(about_common(p + np.outer(np.arange(5), day), day), p - 10, atol=1e-9)
    plain = fluctuation(p, 1.0, about_s=None)
    shaped = fluctuation(p + 3 * day, 1.0, common=day)
    assert shaped.sd_mw == pytest.approx(plain.sd_mw, rel=1e-9)
    assert shaped.sd_slow_mw == pytest.approx(5 * 3 / np.sqrt(2), rel=1e-9)


def test_the_common_day_adds_with_n_and_what_is_about_it_with_its_root():
    t = 60.0 * np.arange(2880)
    rng = np.random.default_rng(3)
    day = 2 * np.cos(2 * np.pi * t / 86400)
    noise = rng.normal(size=(64, t.size))
    one, many = (fluctuation(5 + day + noise[:n], 60.0, about_s=3600.0) for n in (1, 64))
    assert many.sd_slow_mw / one.sd_slow_mw == pytest.approx(64, rel=0.02)
    assert many.sd_mw / one.sd_mw == pytest.approx(8, rel=0.05)
    assert abs(many.rho) < 0.002


def test_changes_and_bands_of_the_sum():
    p = np.zeros((2, 3600))
    p[0, 1800:] = 3.0
    p[1, 1804:] = 4.0  # five seconds from the last sample before the first step
    found = fluctuation(p, 1.0, about_s=None)
    assert found.change_mw == {5.0: 7.0, 60.0: 7.0, 600.0: 7.0}
    assert fluctuation(p, 1.0, about_s=None, windows_s=[4]).change_mw == {4.0: 4.0}
    wave = 2.0 * np.sin(2 * np.pi * 0.2 * np.arange(3600))
    swing = fluctuation(wave, 1.0, about_s=None, bands_hz=[(0.1, 0.4), (0.01, 0.1), (0.1, 1.0)])
    assert swing.band_mw[0.1, 0.4] == pytest.approx(np.sqrt(2), rel=1e-9)
    assert swing.band_mw[0.01, 0.1] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(swing.band_mw[0.1, 1.0])  # a step of 1 s shows nothing above 0.5 Hz
    assert np.isnan(fluctuation(p, 10.0, about_s=None).change_mw[5.0])
    slow = fluctuation(wave, 1.0, about_s=None, bands_hz=[(1 / 3600, 0.1), (1 / 3601, 0.1)])
    assert list(np.isnan(list(slow.band_mw.values()))) == [False, True]  # an hour holds no swing that takes longer


def test_datasets_of_any_order_and_a_table():
    p = mixed(3, 0.5)
    coords = {"time": 2.0 * T, "site": list("abc")}
    load = xr.Dataset({"p_mw": (("time", "site"), p.T)}, coords=coords)
    a, b = fluctuation(load, about_s=None), fluctuation(p, 2.0, about_s=None)
    np.testing.assert_allclose(list(a.row().values()), list(b.row().values()), equal_nan=True)
    bare = load.drop_vars("time").assign_attrs(dt_s=2.0)
    assert fluctuation(bare, about_s=None).row() == pytest.approx(a.row(), nan_ok=True)
    table = compare_fluctuations({"three": load, "one": load["p_mw"].sum("site")}, about_s=None)
    assert float(table["sd_mw"].sel(load="three")) == pytest.approx(float(table["sd_mw"].sel(load="one")))
    assert np.isnan(float(table["rho"].sel(load="one")))


def test_what_is_refused():
    for wrong, word in [
        (lambda: fluctuation(np.ones((2, 10))), "step"),
        (lambda: fluctuation(np.full((2, 10), np.nan), 1.0), "NaN"),
        (lambda: fluctuation(np.ones((2, 10)), 1.0), "too short"),
        (lambda: fluctuation(np.ones((2, 10)), 1.0, common=np.ones(10)), "flat"),
        (lambda: fluctuation(np.ones((2, 10)), 1.0, common=np.ones(9)), "fit"),
        (lambda: sd_of_equal_mw(4, 1.0, -0.5), "correlation"),
        (lambda: sd_of_equal_mw(0, 1.0, 0.0), "whole number"),
        (lambda: compare_fluctuations({}), "nothing"),
        (lambda: fluctuation(xr.Dataset(), 1.0), "p_mw"),
    ]:
        with pytest.raises(InputError, match=word):
            wrong()
