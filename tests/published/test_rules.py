"""Operators' rules, each at 0.998 and 1.002 of its limit, on a series made in closed form for it.

The limits are those of the documents that ``gridedge/measure/rules/`` names.  The oracle of each is a series whose
measured value follows from its formula; the tolerance is the 0.2 % that parts the two verdicts.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.measure.rulebook import list_rulebooks, load_rulebook

DT_S = 0.005  # half the sampling rate, 100 Hz, lies above every shipped band
BASE_MW = 1200.0  # above every size from which a rule applies; 0.25 % of it is more than 2.5 MW


def metered(p_mw, dt_s=DT_S, **attrs):
    p = np.asarray(p_mw, float)[:, None]
    return xr.Dataset({"p_mw": (("time", "site"), p)}, {"time": dt_s * np.arange(p.size), "site": ["s"]}, attrs)


def clock(length_s, dt_s=DT_S):
    return dt_s * np.arange(round(length_s / dt_s))


def sine(amplitude_mw, f_hz, length_s=120.0, dt_s=DT_S, grow_s=40.0):
    """A swing that grows for 40 s, so that no filter rings."""
    t = clock(length_s, dt_s)
    envelope = 0.5 - 0.5 * np.cos(np.pi * np.clip(t / grow_s, 0, 1))
    return BASE_MW + amplitude_mw * envelope * np.sin(2 * np.pi * f_hz * t)


def step(change_mw, length_s=130.0):
    return BASE_MW + change_mw * (clock(length_s) >= 0.5 * length_s)


def slope(change_mw, over_s, length_s, dt_s=DT_S):
    t = clock(length_s, dt_s)
    return BASE_MW + change_mw * np.clip((t - 0.25 * (length_s - over_s)) / over_s, 0, 1)


def gain(f_hz, order=2, band_hz=(0.1, 55.0), dt_s=DT_S):
    """Gain of a Butterworth band-pass behind the bilinear transform."""
    w, low, high = (math.tan(math.pi * f * dt_s) for f in (f_hz, *band_hz))
    return (1 + ((w * w - low * high) / (w * (high - low))) ** (2 * order)) ** -0.5


def two_sines(share):
    """A swing of 1 Hz that holds a share of the energy beside one of 0.05 Hz, over whole periods of both."""
    t = clock(200.0)
    inside, outside = math.sqrt(share), math.sqrt(1 - share)
    return BASE_MW + 10 * (inside * np.sin(2 * np.pi * t) + outside * np.sin(2 * np.pi * 0.05 * t))


AT = {
    "ERCOT 10 MW in 5 s": lambda k: sine(5.0 * k / gain(1.0), 1.0),
    "CAISO 10-minute ramp": lambda k: slope(200.0 * k, 600.0, 800.0),
    "IESO ramp": lambda k: slope(20.0 * k, 60.0, 100.0),
    "IESO 5 MW in 15 s": lambda k: step(5.0 * k),
    "IESO periodic swing": lambda k: sine(2.5 * k, 1.0),
    "Southern Company ramp": lambda k: slope(20.0 * k, 60.0, 100.0),
    "Southern Company 1-minute ramp, 75th percentile": lambda k: slope(20.0 * k * 5, 300.0, 300.0),
    "Southern Company 10 MW in 6 s": lambda k: step(10.0 * k),
    "ATC 50 MW at 0.5 MW/s": lambda k: step(50.0 * k),
    "ATC, SPP 25 MW in 5 s": lambda k: step(25.0 * k),
    "LIPA 0.1 to 5 Hz": lambda k: sine(10.0 * k, 1.0),
    "LIPA 5 to 55 Hz": lambda k: sine(3.5 * k, 20.0),
    "AESO ramp": lambda k: slope(10.0 * k, 60.0, 100.0),
    "energy in 0.1 to 20 Hz": lambda k: two_sines(0.20 * k),
}
LIMIT = {
    "ERCOT 10 MW in 5 s": 10,
    "CAISO 10-minute ramp": 20,
    "IESO ramp": 20,
    "IESO 5 MW in 15 s": 5,
    "IESO periodic swing": 2.5,
    "Southern Company ramp": 20,
    "Southern Company 1-minute ramp, 75th percentile": 20,
    "Southern Company 10 MW in 6 s": 10,
    "ATC 50 MW at 0.5 MW/s": 50,
    "ATC, SPP 25 MW in 5 s": 25,
    "LIPA 0.1 to 5 Hz": 10,
    "LIPA 5 to 55 Hz": 3.5,
    "AESO ramp": 10,
    "energy in 0.1 to 20 Hz": 20,
}
RULES = {r.name: r for name in ("operators", "joint-paper") for r in load_rulebook(name).rules}


def test_every_shipped_rule_with_a_figure_is_tried_below():
    tried = {*AT, "Dominion 3 % voltage change"}
    open_ones = {name for name, rule in RULES.items() if getattr(rule, "no_figure", False)}
    assert open_ones == {"ramp up", "ramp down", "dynamic range"}
    assert tried | open_ones == set(RULES)
    shipped = {rule.name for name in list_rulebooks() for rule in load_rulebook(name).rules}
    assert shipped == set(RULES)


@pytest.mark.parametrize(("k", "verdict"), [(0.998, "pass"), (1.002, "fail")])
@pytest.mark.parametrize("name", AT)
def test_a_rule_holds_just_below_its_limit_and_breaks_just_above(name, k, verdict):
    (found,) = gridedge.check(metered(AT[name](k)), [RULES[name]])
    assert found.limit == LIMIT[name]
    assert found.measured == pytest.approx(k * LIMIT[name], rel=5e-4)
    assert found.verdict == verdict
    assert found.margin == pytest.approx(found.limit - found.measured)


@pytest.mark.parametrize(("amplitude_mw", "verdict"), [(4.99, "pass"), (5.01, "fail")])
def test_ercot_at_the_output_of_its_filter(amplitude_mw, verdict):
    """The input is scaled by the closed form of the filter's gain at 1 Hz; samples of 1 ms."""
    dt_s = 0.001
    p = sine(amplitude_mw / gain(1.0, dt_s=dt_s), 1.0, length_s=70.0, dt_s=dt_s)
    (found,) = gridedge.check(metered(p, dt_s), "ercot")
    assert found.verdict == verdict
    assert found.measured == pytest.approx(2 * amplitude_mw, rel=1e-4)
    for order in (1, 2, 3, 4):
        wanted = 2 * amplitude_mw * gain(1.0, order, dt_s=dt_s) / gain(1.0, dt_s=dt_s)
        assert dict(found.figures)[f"order_{order}_mw"] == pytest.approx(wanted, rel=1e-3)
    assert "over orders 1 to 4" in found.note


@pytest.mark.parametrize("phase_degree", [0, 45, 90, 200, 330])
@pytest.mark.parametrize(("amplitude_mw", "verdict"), [(4.99, "pass"), (5.01, "fail")])
def test_ercot_on_a_sine_that_was_always_there(amplitude_mw, verdict, phase_degree):
    """The filter starts somewhere within the swing, whose history it does not know; the load goes on as it was."""
    dt_s = 0.002
    t = dt_s * np.arange(round(60.0 / dt_s))
    p = 100.0 + amplitude_mw / gain(1.0, dt_s=dt_s) * np.sin(2 * np.pi * t + np.radians(phase_degree))
    (found,) = gridedge.check(metered(p, dt_s), "ercot")
    assert found.verdict == verdict
    assert found.measured == pytest.approx(2 * amplitude_mw, rel=5e-4)


@pytest.mark.parametrize("at_s", [0.5, 2.0, 5.0, 9.0, 20.0])
def test_ercot_sees_a_step_wherever_it_is(at_s):
    """A step of D swings 1.252 D behind the filter; one near the start is none of an unknown history."""
    t = 0.002 * np.arange(30_000)
    (found,) = gridedge.check(metered(100.0 + 8.1 * (t >= at_s), 0.002), "ercot")
    assert found.verdict == "fail"
    assert found.measured == pytest.approx(1.252 * 8.1, rel=2e-3)


def test_a_verdict_that_depends_on_the_assumed_filter_says_so():
    """At 0.15 Hz a filter of order 1 passes 0.83 of a swing, of order 2 0.91, of order 4 0.98."""
    found = {a: gridedge.check(metered(sine(a / gain(0.15), 0.15, length_s=200.0)), "ercot")[0] for a in (3.0, 4.99)}
    assert "depends on it" not in found[3.0].note
    assert "so that the verdict depends on it" in found[4.99].note
    least, most = (how(dict(found[4.99].figures)[f"order_{n}_mw"] for n in (1, 2, 3, 4)) for how in (min, max))
    gains = [gain(0.15, n) / gain(0.15) for n in (1, 2, 3, 4)]
    assert least == pytest.approx(9.98 * min(gains), rel=5e-3)
    assert most == pytest.approx(9.98 * max(gains), rel=5e-3)


@pytest.mark.parametrize(("rate_mw_per_s", "verdict"), [(0.499, "pass"), (0.501, "fail")])
def test_atc_lets_a_large_change_take_its_time(rate_mw_per_s, verdict):
    over_s = 80.0 / rate_mw_per_s
    (found,) = gridedge.check(metered(slope(80.0, over_s, over_s + 40.0)), [RULES["ATC 50 MW at 0.5 MW/s"]])
    assert found.verdict == verdict
    assert found.measured == pytest.approx(80.0 if verdict == "fail" else 0.0, abs=0.01)


def test_atc_sees_a_change_in_two_halves_that_no_window_of_100_s_holds():
    t = clock(300.0)
    p = BASE_MW + 40.0 * (t >= 50) + 40.0 * (t >= 199)
    (found,) = gridedge.check(metered(p), [RULES["ATC 50 MW at 0.5 MW/s"]])
    assert (found.verdict, found.measured) == ("fail", 80.0)


@pytest.mark.parametrize(("k", "verdict"), [(0.998, "pass"), (1.002, "fail")])
def test_ieso_takes_the_smaller_share_of_a_small_site(k, verdict):
    p = sine(0.25 * k, 1.0) - BASE_MW + 90.0
    (found,) = gridedge.check(metered(p, size_mw=100.0), [RULES["IESO periodic swing"]])
    assert found.limit == pytest.approx(0.25)
    assert found.verdict == verdict


@pytest.mark.parametrize(("ramping", "verdict"), [(0.24, "pass"), (0.26, "fail")])
def test_southern_lets_a_quarter_of_the_minutes_ramp_faster(ramping, verdict):
    """A rise over r seconds shows in the minutes that begin from 60 s before it to its end."""
    minutes_s = 1000.0
    rise_s = ramping * minutes_s - 60.0
    t = clock(minutes_s + 60.0, 0.5)
    p = BASE_MW + 10.0 * np.clip(t - 400.0, 0, rise_s)
    name = "Southern Company 1-minute ramp, 75th percentile"
    book = [RULES[name].model_copy(update={"limit_mw_per_min": 1e-3})]
    (found,) = gridedge.check(metered(p, 0.5), book)
    assert found.verdict == verdict
    assert dict(found.figures)["largest_mw_per_min"] == pytest.approx(600.0)


@pytest.mark.parametrize(("k", "verdict"), [(0.998, "pass"), (1.002, "fail")])
def test_dominion_is_judged_on_the_voltage_of_the_site(k, verdict):
    t = clock(10.0)
    vm = np.stack([np.ones(t.size), 1.0 - 0.03 * k * (t >= 5)], axis=1)
    ds = xr.Dataset({"vm_pu": (("time", "bus"), vm)}, {"time": t, "bus": [3, 7]})
    (worst,) = gridedge.check(ds, "dominion")
    (there,) = gridedge.check(ds.assign_attrs(site_bus=7), "dominion")
    (elsewhere,) = gridedge.check(ds.assign_attrs(site_bus=3), "dominion")
    assert worst.verdict == there.verdict == verdict
    assert there.measured == pytest.approx(3.0 * k)
    assert there.when_s == pytest.approx(4.0, abs=0.01)
    assert (there.where, elsewhere.where, elsewhere.verdict) == ("bus 7", "bus 3", "pass")
    assert "the worst of 2" in worst.note


@pytest.mark.parametrize(("k", "verdict"), [(0.998, "pass"), (1.002, "fail")])
def test_the_joint_papers_structure_takes_the_users_figures(k, verdict):
    t = clock(200.0)
    p = BASE_MW + k * (4.0 * np.clip(t - 50, 0, 5) - 2.5 * np.clip(t - 100, 0, 8))
    target = {"ramp_up_mw_per_s": 4, "ramp_down_mw_per_s": 2.5, "change_mw": 20, "window_s": 60}
    found = gridedge.check(metered(p), target)
    assert [f.verdict for f in found] == [verdict] * 3
    assert [f.measured for f in found] == pytest.approx([4 * k, 2.5 * k, 20 * k])
    assert [f.unit for f in found] == ["MW/s", "MW/s", "MW"]
    bare = {f.name: f for f in gridedge.check(metered(p), "joint-paper")}
    assert bare["dynamic range"].verdict == "cannot tell"
    assert bare["dynamic range"].measured == pytest.approx(20 * k)
    assert (bare["dynamic range"].limit, bare["dynamic range"].margin) == (None, None)
    assert "names no figure" in bare["dynamic range"].note


def test_a_flat_load_passes_every_shipped_rule():
    n = round(610.0 / DT_S)
    ds = metered(np.full(n, 733.1)).assign(vm_pu=(("time", "bus"), np.full((n, 2), 0.97)))
    for name in list_rulebooks():
        for found in gridedge.check(ds.assign_coords(bus=[1, 2]), name):
            assert found.verdict == "pass", found
            assert found.measured == pytest.approx(0.0, abs=1e-9)


def test_a_trace_of_one_second_cannot_tell_ercot_unless_it_exceeds_already():
    f_hz = 0.103  # no fraction of the sampling rate, so that all phases are met
    gentle, steep = (sine(a, f_hz, 1200.0, 1.0, grow_s=300.0) for a in (1.0, 20.0))
    (calm,) = gridedge.check(metered(gentle, 1.0), "ercot")
    assert calm.verdict == "cannot tell"
    # a lower bound, shown as what it is: what the lower edge lets through, over the 4 s that two means of 1 s span
    edge = (1 + (math.tan(math.pi * 0.1) / math.tan(math.pi * f_hz)) ** 4) ** -0.5
    assert calm.measured == pytest.approx(2 * edge * math.sin(math.pi * f_hz * 4), rel=5e-3)
    assert "use a step below 0.00909 s" in calm.note
    (wild,) = gridedge.check(metered(steep, 1.0), "ercot")
    assert wild.verdict == "fail"
    assert "already exceeded by the samples at hand" in wild.note
    (blind,) = gridedge.check(metered(gentle[::5], 5.0), "ercot")
    assert (blind.verdict, blind.measured) == ("cannot tell", None)
