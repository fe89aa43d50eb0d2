"""The smallest battery: it holds, less of it does not, and what cannot be held is said."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.planning.sizing import size_battery

PLAIN = {
    "charge_efficiency": 1.0, "discharge_efficiency": 1.0, "standby_pu": 0.0, "delay_s": 0.0,
    "soc_min_pu": 0.0, "soc_max_pu": 1.0,
}  # fmt: skip


def metered(p, dt_s=0.1):
    p = np.asarray(p, dtype=float)
    ds = xr.Dataset({"p_mw": (("time", "site"), p[:, None])}, coords={"time": dt_s * np.arange(p.size), "site": ["a"]})
    ds.attrs["dt_s"] = dt_s
    return schema.describe(ds)


def square(low, high, period_s, cycles, dt_s=0.1):
    half = round(period_s / dt_s / 2)
    return np.tile(np.r_[np.full(half, high), np.full(half, low)], cycles)


@pytest.fixture(scope="module")
def swinging():
    return metered(np.roll(square(40.0, 50.0, 10.0, 30), 25))  # begins in the middle of a half period


def test_the_size_holds_and_one_percent_less_does_not(swinging):
    found = size_battery(swinging, target={"change_mw": 4, "window_s": 5}, battery=PLAIN, c_rate_per_h=1e9)
    assert found.meets
    assert [f.verdict for f in found.findings] == ["pass"]
    assert [f.verdict for f in found.before] == ["fail"]
    assert all("too much" in words for words in found.smaller.values())
    again = gridedge.check(gridedge.mitigate(swinging, [found.battery]), {"change_mw": 4, "window_s": 5})
    assert [f.verdict for f in again] == ["pass"]
    # Whatever the law: 10 MW of swing may leave 4, so 3 MW at least must go each way; holding the mean takes 5.
    assert 3.0 <= found.p_rated_mw <= 5.0 + 1e-9
    # Holding the mean takes P T / 4 of a swing P.
    assert found.e_needed_mwh <= 10.0 * 10.0 / 4 / 3600 * 1.01
    assert found.e_needed_mwh == found.e_rated_mwh


def test_cells_limit_the_power_that_their_energy_gives(swinging):
    found = size_battery(swinging, target={"change_mw": 4, "window_s": 5}, battery=PLAIN, c_rate_per_h=4.0)
    assert found.e_rated_mwh == pytest.approx(found.p_rated_mw / 4.0)
    assert found.e_needed_mwh < found.e_rated_mwh
    assert found.battery["soc_start_pu"] == 0.5
    assert "asks for more of them" in found.note


def test_a_step_under_a_ramp_takes_what_the_closed_form_says():
    step = metered(np.r_[np.zeros(600), np.full(9000, 100.0)])
    target, prices = {"ramp_mw_per_min": 20}, {"battery_per_mw": 287_000.0, "battery_per_mwh": 250_000.0}
    law = {"law": "ramp_limit", "ramp_mw_per_min": 19.9999, "smooth_s": 0, "recovery_s": 0, "start_mw": 0}
    pure = size_battery(step, target=target, battery={**PLAIN, "law": law}, c_rate_per_h=1e9, prices=prices)
    assert pure.meets
    # A pure ramp limit: the step, and its square over twice the ramp, 100^2 / (2 * 20) / 60 MWh.
    assert pure.p_rated_mw == pytest.approx(100.0, rel=5e-3)
    assert pure.e_rated_mwh == pytest.approx(4.1667, rel=5e-3)
    # The rule lets 20 MW pass at once, of which another law makes less power, more energy and a lower price.
    free = size_battery(step, target=target, battery=PLAIN, start_mw=0.0, c_rate_per_h=1e9, prices=prices)
    assert free.meets
    assert 80.0 * 0.99 <= free.p_rated_mw < pure.p_rated_mw
    assert free.price < pure.price


def test_a_flat_load_needs_none():
    found = size_battery(metered(np.full(3000, 30.0)), target={"ramp_mw_per_min": 5})
    assert found.meets
    assert (found.p_rated_mw, found.e_rated_mwh, found.battery) == (0.0, 0.0, {})


def test_edges_that_pass_a_late_converter_are_named():
    load = metered(square(40.0, 60.0, 10.0, 30, dt_s=0.01), dt_s=0.01)
    found = size_battery(load, target={"change_mw": 4, "window_s": 5}, battery={"delay_s": 0.05})
    assert not found.meets
    assert "misses by: change: 2" in found.note
    assert "Without its converter's delay of 0.05 s it would" in found.note


def test_a_rule_that_cannot_be_told_is_named(swinging):
    target = [{"rule": "ramp", "name": "long ramp", "limit_mw_per_min": 20, "window_s": 600}]
    found = size_battery(swinging, target=target, battery=PLAIN)
    assert not found.meets
    words = "No battery of this kind is known to meet the target; of the nearest, long ramp cannot be told: the series"
    assert found.note.startswith(words)


def test_losses_ask_for_more(swinging):
    target = {"change_mw": 4, "window_s": 5}
    plain = size_battery(swinging, target=target, battery=PLAIN, c_rate_per_h=1e9)
    lossy = size_battery(swinging, target=target, battery={**PLAIN, "soc_min_pu": 0.1}, c_rate_per_h=1e9)
    assert lossy.e_rated_mwh > plain.e_rated_mwh


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"battery": {"p_rated_mw": 3}}, "what is looked for"),
        ({"c_rate_per_h": 0}, "must be positive"),
        ({"target": {"ramp": 5}}, "unknown target"),
        ({"battery": {"charge_efficiency": -1}}, "charge_efficiency"),
        ({"battery": [{"p_rated_mw": 3}]}, r"battery must be a dict \(got list\)"),
        ({"battery": {"step": "ups"}}, r"only a battery can be sized \(got step 'ups'\)"),
        ({"c_rate_per_h": "4C"}, r"c_rate_per_h must be positive \(got '4C'\)"),
        ({"start_mw": "3"}, r"start_mw must be a number of megawatts \(got '3'\)"),
        ({"settle_s": -10}, r"settle_s must be a number of seconds, 0 or more \(got -10\)"),
        ({"settle_s": "10"}, r"settle_s must be a number of seconds, 0 or more \(got '10'\)"),
        ({"settle_s": 1e6}, "settle_s leaves nothing to judge"),
    ],
)
def test_what_cannot_be_sized_says_why(swinging, change, words):
    with pytest.raises(InputError, match=words):
        size_battery(swinging, **{"target": {"change_mw": 4, "window_s": 5}, **change})


def test_it_power_must_be_metered_first():
    load = gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5)
    with pytest.raises(InputError, match="metered power of one site"):
        size_battery(load, target={"ramp_mw_per_min": 20})


def test_what_standby_adds_is_in_the_size():
    """The level starts below the metered power by the standby power; without room for that the target is missed."""
    load = gridedge.connect(gridedge.generate("h100-at-scale", duration_s=120, dt_s=0.1, seed=1), {})
    for standby_pu in (0.0, 0.005, 0.02):
        battery = {"standby_pu": standby_pu}
        found = size_battery(
            load, target={"change_mw": 1, "window_s": 5}, battery=battery, settle_s=20, c_rate_per_h=1e9
        )
        assert found.meets, standby_pu
        assert all("too much" in words for words in found.smaller.values())


@pytest.mark.parametrize(("limit_mw", "enough_mw"), [(1.0, 1.27), (2.0, 0.53)])
def test_slower_smoothing_with_less_power_is_found(limit_mw, enough_mw):
    """Batteries at other strengths, a quarter of an hour of cells each: none that holds is much cheaper."""
    load = gridedge.connect(gridedge.generate("h100-at-scale", duration_s=120, dt_s=0.1, seed=1), {})
    target = {"change_mw": limit_mw, "window_s": 5}
    found = size_battery(load, target=target, settle_s=20)
    assert found.meets
    assert found.p_rated_mw <= enough_mw
    assert all("too much" in words for words in found.smaller.values())
    for tau_s in (2.0, 5.0, 10.0, 20.0, 50.0):
        p_mw = 0.95 * found.p_rated_mw
        law = {"law": "low_pass", "tau_s": tau_s, "recovery_s": 10 * tau_s, "start_mw": float(load["p_mw"].mean())}
        less = {**found.battery, "p_rated_mw": p_mw, "e_rated_mwh": p_mw / 4, "law": law}
        after = gridedge.mitigate(load, [less]).isel(time=slice(200, None))
        assert [f.verdict for f in gridedge.check(after, target)] == ["fail"], tau_s
