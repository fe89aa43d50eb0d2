"""Smoothing and facility: closed forms and messages."""

from types import SimpleNamespace

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.sites.dummy import dummy_load
from gridedge.sites.facility import Facility, Transformer, high_side, lag, metered_power
from gridedge.study.campus import _window_start


def it_load(p, dt_s=1.0, nameplate_mw=10.0):
    return schema.power_dataset(np.asarray(p, float), dt_s, power="IT", attrs={"nameplate_mw": nameplate_mw})


def test_a_dummy_workload_is_late_both_ways():
    p = np.array([8.0, 8, 2, 2, 2, 2, 8, 8, 8, 8])
    after = p + dummy_load(p, 1.0, floor_mw=6.0, reaction_s=2.0, most_mw=10.0)
    assert after.tolist() == [8, 8, 2, 2, 6, 6, 10, 10, 8, 8]


def test_a_floor_on_a_square_wave_costs_what_it_fills():
    p = np.tile([9.0] * 7 + [1.0] * 3, 20)
    ds = gridedge.mitigate(it_load(p), [{"step": "dummy_load", "floor_pu": 0.6, "reaction_s": 0, "sampling_s": 0}])
    assert float(ds["wasted_mw"].mean()) == pytest.approx(0.3 * 5.0)


def test_steps_act_at_their_place():
    load = it_load([1, 2, 3])
    metered = gridedge.connect(load, {}, bus=1)
    b = {"step": "battery", "p_rated_mw": 1, "e_rated_mwh": 1, "ramp_mw_per_min": 1}
    with pytest.raises(InputError, match="acts at the meter"):
        gridedge.mitigate(load, [b])
    with pytest.raises(InputError, match="acts on IT power"):
        gridedge.mitigate(metered, [{"step": "dummy_load", "floor_pu": 0.5}])
    with pytest.raises(InputError, match="Did you mean 'battery'"):
        gridedge.mitigate(metered, [{"step": "batery"}])
    with pytest.raises(InputError, match="does not say its nameplate"):
        gridedge.mitigate(load.drop_attrs(), [{"step": "dummy_load", "floor_pu": 0.5}])


def test_the_lag_is_the_exact_first_order_step():
    x = np.concatenate((np.zeros(1), np.ones(600)))
    y = lag(x, 0.5, tau_s=30.0)
    np.testing.assert_allclose(y, 1 - np.exp(-0.5 * np.arange(601) / 30.0), atol=1e-12)


def test_a_fast_swing_passes_the_conversion_losses_only():
    spec = Facility(cooling_lag_s=600.0)
    p = np.where(np.arange(20_000) // 100 % 2, 8.0, 4.0)
    metered = metered_power(p, 0.01, spec, nameplate_mw=10.0)
    swing = metered[-2000:].max() - metered[-2000:].min()
    assert swing == pytest.approx(4.0 / 0.96, rel=2e-3)
    steady = metered_power(np.full(5, 10.0), 1.0, spec, nameplate_mw=10.0)
    np.testing.assert_allclose(steady, 10 * (1 / 0.96 + 0.10 + 0.06))


def test_the_transformer_is_the_root_of_its_equation_and_the_power_factor_holds_above_it():
    t = Transformer(sn_mva=6.3, vkr_percent=0.8, pfe_kw=7.0)
    p2 = np.linspace(0, 5, 11)
    p1 = high_side(p2, t, power_factor=0.97)
    copper = 0.008 * 6.3 * (p1 / (6.3 * 0.97)) ** 2
    np.testing.assert_allclose(p1, p2 + 0.007 + copper, rtol=1e-12)
    facility = {"power_factor": 0.97, "transformer": t.to_dict()}
    ds = gridedge.connect(it_load(p2), facility, bus="B")
    s = np.hypot(ds["p_mw"], ds["q_mvar"])
    np.testing.assert_allclose(ds["p_mw"] / s, 0.97, rtol=1e-12)
    assert (ds["q_mvar"] > 0).all()
    leading = gridedge.connect(it_load(p2), {"power_factor": -0.97}, bus="B")
    assert (leading["q_mvar"] < 0).all()
    with pytest.raises(InputError, match="overloaded"):
        high_side(np.array([20.0]), t, power_factor=0.97)


@pytest.mark.parametrize("power_factor", [0.0, 1.2, -1.01])
def test_an_impossible_power_factor_is_refused(power_factor):
    with pytest.raises(InputError, match="power_factor is not possible"):
        gridedge.connect(it_load([1, 2]), {"power_factor": power_factor}, bus=1)


def test_connect_refuses_what_it_cannot_carry():
    with pytest.raises(InputError, match="negative"):
        gridedge.connect(it_load([1, -2]), {}, bus=1)
    with pytest.raises(InputError, match="not a number"):
        gridedge.connect(it_load([1, np.nan]), {}, bus=1)
    with pytest.raises(InputError, match="Did you mean 'power_factor'"):
        gridedge.connect(it_load([1, 2]), {"powerfactor": 0.9}, bus=1)
    with pytest.raises(InputError, match="connect takes the IT power of one site"):
        gridedge.connect(gridedge.connect(it_load([1, 2]), {}, bus=1), {}, bus=1)


def test_a_battery_keeps_the_power_factor_unless_told_not_to():
    metered = gridedge.connect(it_load(np.tile([8.0, 2.0], 300)), {"power_factor": 0.95}, bus=1)
    b = {"step": "battery", "p_rated_mw": 10, "e_rated_mwh": 10, "ramp_mw_per_min": 1}
    held = gridedge.mitigate(metered, [b])
    np.testing.assert_allclose(held["p_mw"] / np.hypot(held["p_mw"], held["q_mvar"]), 0.95, rtol=1e-12)
    apparent = np.hypot(held["p_mw"] - metered["p_mw"], held["q_mvar"] - metered["q_mvar"])
    assert held.attrs["storage_inverter_mva"] == pytest.approx(float(apparent.max()))
    left = gridedge.mitigate(metered, [{**b, "holds_power_factor": False}])
    np.testing.assert_array_equal(left["q_mvar"], metered["q_mvar"])
    with pytest.raises(InputError, match="does not say its power factor"):
        gridedge.mitigate(metered.drop_vars("power_factor"), [b])


def test_a_second_call_goes_on_with_the_books():
    metered = gridedge.connect(it_load(np.tile([8.0, 2.0], 300)), {}, bus=1)
    b = {"step": "battery", "p_rated_mw": 10, "e_rated_mwh": 1, "ramp_mw_per_min": 5}
    once = gridedge.mitigate(metered, [b, b])
    twice = gridedge.mitigate(gridedge.mitigate(metered, [b]), [b])
    for name in ("p_mw", "p_before_mw", "lost_mw", "stored_mw", "soc_pu"):
        np.testing.assert_allclose(once[name], twice[name], atol=1e-12)
    assert twice["storage"].values.tolist() == ["0:battery", "1:battery"]
    left = twice["p_before_mw"] - twice["delayed_mw"] + twice["wasted_mw"] + twice["lost_mw"] + twice["stored_mw"]
    np.testing.assert_allclose(left, twice["p_mw"], atol=1e-9)


def test_each_site_keeps_its_own_power_factor():
    import xarray as xr

    pair = [
        gridedge.connect(it_load([5.0, 1.0] * 50), {"power_factor": f}, bus=1, site=n)
        for f, n in ((0.95, "a"), (-0.8, "b"))
    ]
    both = xr.concat(pair, dim="site", combine_attrs="override", data_vars="all")
    after = gridedge.mitigate(both, [{"step": "battery", "p_rated_mw": 9, "e_rated_mwh": 1, "ramp_mw_per_min": 1}])
    ratio = after["q_mvar"] / after["p_mw"]
    np.testing.assert_allclose(ratio.sel(site="a"), np.tan(np.arccos(0.95)))
    np.testing.assert_allclose(ratio.sel(site="b"), -np.tan(np.arccos(0.8)))


def test_noise_that_could_make_power_negative_is_refused():
    spec = {"profile": "h100-at-scale", "communication_pu": 0.05, "checkpoint_interval_s": None}
    with pytest.raises(InputError, match="noise would make the power negative"):
        gridedge.generate(spec, duration_s=10, dt_s=1)


def test_a_reaction_within_a_step_overlaps_by_its_share_of_the_step():
    p = np.tile([9.0, 9, 1, 1], 50)
    coarse = dummy_load(p, 2.0, floor_mw=6.0, reaction_s=0.1, most_mw=20.0)
    fine = dummy_load(np.repeat(p, 20), 0.1, floor_mw=6.0, reaction_s=0.1, most_mw=20.0)
    np.testing.assert_allclose(coarse, fine.reshape(-1, 20).mean(axis=1), atol=1e-12)


def test_the_window_is_the_one_a_plain_search_finds():
    """Among windows that span nearly the whole range of the power, the one that moves most."""
    rng = np.random.default_rng(2)
    for size, steps in ((300, 1), (300, 2), (301, 35), (120, 119), (120, 120)):
        p = np.round(rng.random(size), 1)
        views = [p[k : k + steps] for k in range(size - steps + 1)]
        span = np.array([v.max() - v.min() for v in views])
        travel = np.array([np.abs(np.diff(v)).sum() for v in views])
        start = _window_start(SimpleNamespace(waveform=SimpleNamespace(window_s=0.5 * steps, dt_s=0.5)), p)
        chosen = round(start / 0.5)
        assert span[chosen] >= 0.95 * span.max()
        assert travel[chosen] == pytest.approx(travel[span >= 0.95 * span.max()].max(), abs=1e-9)
