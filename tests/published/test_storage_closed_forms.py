"""Closed forms of storage sizing: power and energy of each law, to 0.1 %.

Source: elementary integrals of the residual between the load and what the law wants, in the docstring of each test; the
figures are those integrals, printed with a few digits.  Steps of 10 ms or less, no losses, no converter delay, the mean
given as set-point, edges of the load on the samples.  A printed figure is met to 0.1 %, or to half of its last digit
where that is more: 0.0417 stands for 0.041667.
"""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.sites.need import needed
from gridedge.sites.step import Around
from gridedge.sites.storage import Battery

IDEAL = {
    "charge_efficiency": 1.0,
    "discharge_efficiency": 1.0,
    "standby_pu": 0.0,
    "delay_s": 0.0,
    "soc_min_pu": 0.0,
    "soc_max_pu": 1.0,
}
RTOL = 1e-3
_E_MWH = 1e3


def printed(value, digits):
    return pytest.approx(value, rel=RTOL, abs=0.5 * 10.0**-digits)


def sizes(p_mw, dt_s, law):
    """Run an unlimited battery, and return the power and the energy it used, both ways of counting."""
    battery = Battery(step="battery", p_rated_mw=1e5, e_rated_mwh=_E_MWH, law={"recovery_s": 0, **law}, **IDEAL)
    run = battery.act(p_mw, Around(dt_s))
    figures = dict(run.figures)
    energy = (figures["soc_highest_pu"] - figures["soc_lowest_pu"]) * _E_MWH
    power, closed = needed(p_mw, run.p_mw, dt_s)
    assert energy == pytest.approx(closed, rel=1e-6)
    assert figures["missed_mw"] == pytest.approx(0.0, abs=1e-9)
    return power, energy, run.p_mw


@pytest.mark.parametrize(
    ("swing_mw", "period_s", "energy_mwh"),
    [(10, 1, 0.000694), (10, 5, 0.003472), (10, 30, 0.020833), (10, 300, 0.208333), (100, 16.9, None)],
)
def test_a_square_wave_held_at_its_mean(swing_mw, period_s, energy_mwh):
    """Power is half the swing, energy is swing x period / 4."""
    dt_s = period_s / 1000 if period_s < 10 else 0.01
    half = round(period_s / dt_s / 2)
    p = np.tile(np.r_[np.full(half, 20.0 + swing_mw), np.full(half, 20.0)], 3)
    power, energy, after = sizes(p, dt_s, {"law": "hold_mean", "mean_mw": 20.0 + swing_mw / 2})
    assert power == pytest.approx(swing_mw / 2, rel=RTOL)
    assert energy == pytest.approx(swing_mw * period_s / 4 / 3600, rel=RTOL)
    if energy_mwh is not None:
        assert energy == printed(energy_mwh, 6)
    np.testing.assert_allclose(after, 20.0 + swing_mw / 2, rtol=1e-12)


@pytest.mark.parametrize(
    ("step_mw", "ramp_mw_per_min", "energy_mwh"),
    [(10, 20, 0.0417), (50, 20, 1.0417), (100, 20, 4.1667), (500, 20, 104.17), (100, 10, 8.333)],
)
def test_a_step_behind_a_pure_ramp_limit(step_mw, ramp_mw_per_min, energy_mwh):
    """Power is the step, energy is step^2 / (2 x ramp)."""
    dt_s = 0.01
    p = np.r_[0.0, np.full(int(step_mw / ramp_mw_per_min * 60 / dt_s) + 100, float(step_mw))]
    law = {"law": "ramp_limit", "ramp_mw_per_min": ramp_mw_per_min, "smooth_s": None}
    power, energy, after = sizes(p, dt_s, law)
    assert power == pytest.approx(step_mw, rel=RTOL)
    assert energy == pytest.approx(step_mw**2 / (2 * ramp_mw_per_min) / 60, rel=RTOL)
    assert energy == printed(energy_mwh, 4 if energy_mwh < 8 else 2)
    assert np.diff(after).max() == pytest.approx(ramp_mw_per_min / 60 * dt_s, rel=1e-6)
    assert after[-1] == pytest.approx(step_mw)


@pytest.mark.parametrize(("step_mw", "tau_s", "energy_mwh"), [(10, 60, 0.16667), (100, 60, 1.6667)])
def test_a_step_through_a_low_pass(step_mw, tau_s, energy_mwh):
    """Power is the step, energy is step x time constant."""
    dt_s = 0.01
    p = np.r_[0.0, np.full(int(12 * tau_s / dt_s), float(step_mw))]
    power, energy, _ = sizes(p, dt_s, {"law": "low_pass", "tau_s": tau_s})
    assert power == pytest.approx(step_mw, rel=RTOL)
    assert energy == pytest.approx(step_mw * tau_s / 3600, rel=RTOL)
    assert energy == printed(energy_mwh, 4)


def test_the_general_form_is_the_largest_residual_and_the_range_of_its_integral():
    """A sine of amplitude A and period T about its mean: power A, energy A T / pi."""
    dt_s, period_s = 0.01, 20.0
    t = dt_s * (np.arange(6000) + 0.5)
    p = 50 + 8 * np.sin(2 * np.pi * t / period_s)
    power, energy, _ = sizes(p, dt_s, {"law": "hold_mean", "mean_mw": 50.0})
    assert power == pytest.approx(8.0, rel=RTOL)
    assert energy == pytest.approx(8 * period_s / np.pi / 3600, rel=RTOL)
    residual = 50.0 - p
    content = np.r_[0.0, np.cumsum(residual)] * dt_s / 3600
    assert power == pytest.approx(np.abs(residual).max(), rel=1e-9)
    assert energy == pytest.approx(np.ptp(content), rel=1e-9)


def test_losses_and_the_window_enlarge_what_is_needed():
    """A charge of 1 MWh and its return, at 0.9 and 0.8, from the middle of a window of half the energy."""
    p, after = np.array([5.0, 5.0, 5.0]), np.array([6.0, 5.0, 4.5])
    power, energy = needed(p, after, 3600.0, charge_efficiency=0.9, discharge_efficiency=0.8)
    assert (power, energy) == (1.0, pytest.approx(0.9))
    window = {"soc_min_pu": 0.2, "soc_max_pu": 0.7}
    assert needed(p, after, 3600.0, **window)[1] == pytest.approx(1.0 / 0.5)
    assert needed(p, after, 3600.0, soc_start_pu=0.6, **window)[1] == pytest.approx(1.0 / 0.1)
    assert needed(p, 10 - after, 3600.0, soc_start_pu=0.6, **window)[1] == pytest.approx(1.0 / 0.4)
    assert needed(p, after, 3600.0, soc_start_pu=0.7, **window)[1] == np.inf
