"""Changes, ramps, limits and rules."""

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.measure.limits import Limits, check_limits
from gridedge.measure.ramp import largest_change, largest_ramp
from gridedge.measure.rulebook import load_rulebook
from gridedge.spec import build


def metered(p, dt_s=0.1, **attrs):
    p = np.asarray(p, float)[:, None]
    coords = {"time": dt_s * np.arange(p.size), "site": ["s"]}
    return xr.Dataset({"p_mw": (("time", "site"), p)}, coords, {"dt_s": dt_s, **attrs})


def test_a_sine_changes_by_twice_its_amplitude_over_half_a_period():
    t = 0.01 * np.arange(6000)
    p = 5 + 2 * np.sin(2 * np.pi * 0.1 * t)
    assert largest_change(p, 0.01, window_s=5.0).value == pytest.approx(4.0, rel=1e-6)
    quarter = largest_change(p, 0.01, window_s=2.5)
    assert quarter.value == pytest.approx(2 * 2 * np.sin(np.pi * 0.1 * 2.5), rel=1e-4)
    ramp = largest_ramp(p, 0.01, window_s=5.0)
    assert ramp.value == pytest.approx(4.0 * 12, rel=1e-6)


def test_a_closed_window_holds_both_of_its_ends():
    p = np.array([0.0, 1, 2, 3, 4, 5])
    assert largest_change(p, 1.0, window_s=2.0).value == 2.0
    assert largest_ramp(p, 1.0, window_s=2.0).value == pytest.approx(60.0)


def test_what_the_sampling_cannot_show_is_not_a_number():
    p = np.array([0.0, 3, 0, 3])
    coarse = largest_change(p, 2.0, window_s=1.0)
    assert np.isnan(coarse.value)
    assert "steps of 2 s cannot show a change within 1 s" in coarse.why
    lower = largest_change(p, 2.0, window_s=3.0)
    assert (lower.value, lower.exact) == (3.0, False)
    assert np.isnan(largest_change(p, 2.0, window_s=60).value)
    assert np.isnan(largest_ramp(p, 2.0, window_s=3.0).value)
    assert np.isnan(largest_ramp(p, 2.0, window_s=60.0).value)


CHANGE = {"rule": "change", "name": "c", "window_s": 1.0, "limit_mw": 3.0}


@pytest.mark.parametrize(("scale", "verdict"), [(0.998, "pass"), (1.002, "fail")])
@pytest.mark.parametrize(
    "rule",
    [CHANGE, {"rule": "ramp", "name": "r", "window_s": 1.0, "limit_mw_per_min": 180.0}],
    ids=["change", "ramp"],
)
def test_a_rule_holds_just_below_its_limit_and_breaks_just_above(rule, scale, verdict):
    p = np.concatenate((np.zeros(30), np.full(30, 3.0 * scale)))
    (finding,) = gridedge.check(metered(p), [rule])
    assert finding.verdict == verdict
    limit = rule.get("limit_mw", rule.get("limit_mw_per_min"))
    assert finding.measured == pytest.approx(limit * scale)
    assert finding.margin == pytest.approx(limit * (1 - scale))
    assert 1.9 <= finding.when_s <= 3.0


def test_a_flat_load_passes_every_rule_that_can_be_measured():
    verdicts = {f.name: f.verdict for f in gridedge.check(metered(np.full(20_000, 200.0)), "operators")}
    # at 0.1 s the upper edges of their bands cannot be shown, and the power alone says nothing of the voltage
    unmeasured = {"ERCOT 10 MW in 5 s", "IESO periodic swing", "LIPA 0.1 to 5 Hz", "LIPA 5 to 55 Hz"}
    unmeasured |= {"Dominion 3 % voltage change"}
    assert {v for n, v in verdicts.items() if n not in unmeasured} == {"pass"}
    assert {verdicts[n] for n in unmeasured} == {"cannot tell"}


def test_a_small_site_is_not_asked_what_large_ones_are():
    findings = gridedge.check(metered(np.tile([1.0, 5.0], 10_000)), "operators")
    by_name = {f.name: f for f in findings}
    for name in ("ERCOT 10 MW in 5 s", "IESO ramp", "IESO 5 MW in 15 s"):
        assert by_name[name].verdict == "not applicable"
        assert by_name[name].measured is None
        assert "the site peaks at 5 MW at the meter" in by_name[name].note
    assert "threshold not known" in by_name["AESO ramp"].note


def test_a_coarse_trace_can_fail_but_not_pass():
    steep = gridedge.check(metered([0, 9, 0, 9] * 20, dt_s=2.0), [{**CHANGE, "window_s": 5.0}])[0]
    assert steep.verdict == "fail"
    gentle = gridedge.check(metered([0, 1, 0, 1] * 20, dt_s=2.0), [{**CHANGE, "window_s": 5.0}])[0]
    assert gentle.verdict == "cannot tell"
    short = gridedge.check(metered([0, 1, 0, 1], dt_s=2.0), [CHANGE])[0]
    assert (short.verdict, short.measured) == ("cannot tell", None)


def test_every_operators_rule_says_who_and_when():
    for rule in load_rulebook("operators").rules:
        assert rule.authority
        assert rule.document
        assert rule.date.startswith("20")
        assert rule.status
        assert rule.known != "chosen"


def test_bad_rules_and_loads_are_refused():
    with pytest.raises(InputError, match="Did you mean 'operators'"):
        gridedge.check(metered([1, 2]), "operator")
    with pytest.raises(InputError, match="unknown"):
        gridedge.check(metered([1, 2]), [{"rule": "chnge", "name": "x"}])
    with pytest.raises(InputError, match="not metered power"):
        gridedge.check(metered([1, 2]).isel(site=0, drop=True), [CHANGE])
    with pytest.raises(InputError, match="voltage band is empty"):
        build(Limits, {"vm_pu": [1.05, 0.95]})


def flow(vm, loading, converged=None, known=True):
    vm, loading = np.asarray(vm, float), np.asarray(loading, float)
    ds = xr.Dataset(
        {
            "vm_pu": (("time", "bus"), vm),
            "loading_percent": (("time", "branch"), loading),
            "converged": ("time", np.ones(len(vm), bool) if converged is None else converged),
        },
        {"time": np.arange(len(vm)), "bus": [3, 7], "branch": ["line:1", "trafo:0"]},
    )
    known = ("branch", [known, known])
    return ds.assign_coords(bus_name=("bus", ["A", "B"]), element=("branch", ["line", "trafo"]), rating_known=known)


LIMITS = Limits(vm_pu=(0.95, 1.05), loading_percent=100)


def by_name(findings):
    return {f.name: f for f in findings}


def test_limits_name_the_worst_place_and_time():
    found = by_name(check_limits(flow([[1, 1.0], [0.94, 1.02]], [[50, 60], [101, 99]]), LIMITS, where="w"))
    low = found["lowest voltage"]
    assert (low.verdict, low.measured, low.where, low.when_s) == ("fail", 0.94, "w, bus 3 (A)", 1.0)
    assert found["highest voltage"].verdict == "pass"
    assert (found["highest line loading"].verdict, found["highest line loading"].where) == ("fail", "w, line:1")
    assert found["highest transformer loading"].verdict == "pass"


def test_what_the_feeder_breaks_alone_is_told_apart():
    no_worse = LIMITS.model_copy(update={"existing": "no_worse"})
    base = flow([[0.94, 1.06]], [[120, 60]])
    same = by_name(check_limits(flow([[0.9397, 1.06]], [[120.05, 60]]), no_worse, where="w", base=base))
    assert {f.verdict for f in same.values()} == {"pass"}
    assert "without the site already" in same["highest line loading"].note
    worse = by_name(check_limits(flow([[0.93, 1.06]], [[121, 60]]), no_worse, where="w", base=base))
    assert worse["lowest voltage"].verdict == "fail"
    assert worse["highest line loading"].verdict == "fail"
    assert worse["highest voltage"].verdict == "pass"
    absolute = by_name(check_limits(flow([[0.94, 1.06]], [[120, 60]]), LIMITS, where="w", base=base))
    assert absolute["highest voltage"].verdict == "fail"


def test_placeholder_ratings_and_lost_steps_are_no_numbers():
    ds = flow([[1, 1], [np.nan, np.nan]], [[0.1, 0.1], [np.nan, np.nan]], [True, False], known=False)
    found = by_name(check_limits(ds, LIMITS, where="w"))
    assert found["power flow"].verdict == "fail"
    assert found["highest line loading"].verdict == "cannot tell"
    assert found["highest line loading"].measured is None
    assert found["lowest voltage"].verdict == "pass"


def test_one_element_without_a_rating_leaves_a_pass_open_but_not_a_fail():
    ds = flow([[1, 1]], [[90, 80]])
    both = xr.concat([ds, ds.assign_coords(branch=["line:5", "trafo:9"])], dim="branch", data_vars="minimal")
    both = both.assign_coords(rating_known=("branch", [True, True, False, True]))
    found = by_name(check_limits(both, LIMITS, where="w"))
    assert found["highest line loading"].verdict == "cannot tell"
    assert "1 without a known rating" in found["highest line loading"].note
    assert found["highest transformer loading"].verdict == "pass"
    both["loading_percent"][0, 0] = 120.0
    assert by_name(check_limits(both, LIMITS, where="w"))["highest line loading"].verdict == "fail"


def test_no_worse_needs_something_to_compare_with():
    with pytest.raises(InputError, match="without the site"):
        check_limits(flow([[1, 1]], [[1, 1]]), LIMITS.model_copy(update={"existing": "no_worse"}), where="w")


def test_a_clock_that_starts_in_1970_measures_like_one_that_starts_at_zero():
    t = 0.1 * np.arange(7000)
    p = np.clip(t - 100, 0, 60) / 60 * 20
    here = metered(p)
    there = metered(p).assign_coords(time=1.7e9 + t).drop_attrs()
    for rule in (
        {"rule": "change", "name": "c", "window_s": 60.0, "limit_mw": 20.5},
        {"rule": "ramp", "name": "r", "limit_mw_per_min": 20.5},
    ):
        (a,), (b,) = gridedge.check(here, [rule]), gridedge.check(there, [rule])
        assert a.verdict == b.verdict == "pass"
        assert a.measured == pytest.approx(20.0)
        assert b.measured == pytest.approx(20.0, rel=1e-6)


def test_a_set_point_at_the_limit_holds_it():
    found = by_name(check_limits(flow([[1.05 + 3e-16, 0.95 - 3e-16]], [[100 + 1e-12, 50]]), LIMITS, where="w"))
    assert {f.verdict for f in found.values()} == {"pass"}
