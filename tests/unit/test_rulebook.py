"""Rulebooks: how they are written, what cannot be judged, and findings over members."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.measure.filters import band_pass, droop
from gridedge.measure.rulebook import describe_rulebook, list_rulebooks, load_rulebook

CHANGE = {"rule": "change", "name": "c", "window_s": 5.0, "limit_mw": 10.0}
FILTERED = {**CHANGE, "filter": {"band_hz": [0.1, 20]}}


def metered(p, dt_s=0.1, **attrs):
    p = np.asarray(p, float)
    p = p[None] if p.ndim == 1 else p
    dims = ("member", "time", "site")
    ds = xr.Dataset({"p_mw": (dims, p[..., None])}, {"time": dt_s * np.arange(p.shape[-1]), "site": ["s"]}, attrs)
    return ds if p.shape[0] > 1 else ds.isel(member=0)


def only(p, rule, dt_s=0.1, **attrs):
    (found,) = gridedge.check(metered(p, dt_s, **attrs), [rule] if "rule" in rule else rule)
    return found


def test_shipped_rulebooks_have_the_names_that_a_target_takes():
    names = {"ercot", "caiso", "ieso", "southern", "lipa", "aeso", "atc-spp", "dominion", "joint-paper", "operators"}
    assert set(list_rulebooks()) == names
    assert all(list_rulebooks().values())
    each = [rule for name in names - {"operators", "joint-paper"} for rule in load_rulebook(name).rules]
    assert {rule.name for rule in each} == {rule.name for rule in load_rulebook("operators").rules}
    text = describe_rulebook("ercot")
    assert "discussed; quoted by a reader of the source" in text
    assert "0.1 to 55 Hz (Butterworth, order 2, causal, from the mean; assumed)" in text


def test_what_is_assumed_says_so():
    (rule,) = load_rulebook("ercot").rules
    assert rule.filter.known == "assumed"
    assert "does not say by which filter" in rule.assumed
    (bare,) = load_rulebook([FILTERED]).rules
    marks = {a.name: a.mark for a in bare.assumptions()}
    assert marks["filter.order"] == "assumed"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"ramp_mw_per_min": 20}, "|P(t + 60 s) - P(t)| at most 20 MW/min"),
        ({"change_mw": 10, "window_s": 5}, "max - min at most 10 MW in any 5 s"),
        ({"change_mw": 10, "window_s": 5, "band_hz": [0.1, 55]}, "0.1 to 55 Hz"),
        ({"ramp_up_mw_per_min": 5}, "P(t + 60 s) - P(t) at most 5 MW/min"),
        ({"ramp_down_mw_per_s": 2}, "P(t) - P(t + 1 s) at most 2 MW/s"),
        ({"amplitude_mw": 3, "band_hz": [1, 5]}, "amplitude of any sine at most 3 MW, 1 to 5 Hz"),
        ({"energy_percent": 20, "band_hz": [0.1, 20]}, "at most 20 % of the energy"),
        ({"voltage_change_percent": 3}, "max - min at most 3 % in any 1 s"),
        (CHANGE, "max - min at most 10 MW in any 5 s"),
    ],
)
def test_a_target_in_short(target, words):
    (rule,) = load_rulebook(target).rules
    assert words in rule.words
    assert (rule.status, rule.known) == ("chosen", "chosen")


def test_a_target_of_several_limits():
    book = load_rulebook({"ramp_mw_per_min": 20, "change_mw": 10, "window_s": 5})
    assert [(r.name, r.window_s) for r in book.rules] == [("ramp", 60.0), ("change", 5.0)]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"ramp_mw_per_mn": 20}, "Did you mean 'ramp_mw_per_min'"),
        ({"ramp_mw_per_min": 20, "windw_s": 5}, "Did you mean 'window_s'"),
        ({"change_mw": 10}, "change_mw needs window_s"),
        ({"ramp_mw_per_min": 20, "window_s": 5}, "window_s belongs to no limit"),
        ({"window_s": 5}, r"window_s belongs to no limit of the target \(got 5\). .* add a limit beside it: change_mw"),
        ({"ramp_mw_per_min": -1}, "greater than 0"),
        (["ercot", "ieso"], r"a list holds rules, not names of rulebooks \(got ercot, ieso\). Write {'include'"),
        ({"change_mw": 1, "window_s": 5, "band_hz": 55}, r"band_hz cannot be used \(got 55\). Write a list"),
        ([{**CHANGE, "filter": "butterworth"}], r"filter cannot be used \(got 'butterworth'\). Write keys with"),
        ({}, "no rule"),
        ([], "no rule"),
        ([{**CHANGE, "limit_mw": None}], "'c' has no limit"),
        ([{**CHANGE, "no_figure": True}], "given twice"),
        ([CHANGE, CHANGE], "two rules have the same name"),
        ([{**CHANGE, "filter": {"band_hz": [55, 0.1]}}], "band_hz is empty"),
        ([{**CHANGE, "filter": {"band_hz": [0.1, 55], "order": 9}}], "less than or equal to 8"),
        ([{**CHANGE, "status": "maybe"}], "status"),
        ([{"rule": "ramp", "name": "r", "limit_mw_per_min": 1, "limit_mw_per_s": 1}], "given twice"),
        ([{"rule": "band_amplitude", "name": "b", "band_hz": [0.01, 1], "limit_mw": 1}], "must hold four periods"),
        ([{"rule": "band_amplitude", "name": "b", "band_hz": [1, 5]}], "has no limit"),
        (7, "cannot make a rulebook"),
    ],
)
def test_what_is_no_rulebook_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        load_rulebook(given)


def test_a_file_of_ones_own_includes_others(tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ninclude: [aeso, more.yaml]\nrules:\n"
        "  - {rule: change, name: own, date: 2026-11-01, window_s: 5, limit_mw: 3}\n",
        encoding="utf-8",
    )
    (tmp_path / "more.yaml").write_text(
        "rules:\n  - {rule: ramp, name: more, date: 2025, limit_mw_per_min: 1}\n", encoding="utf-8"
    )
    book = load_rulebook(tmp_path / "mine.yaml")
    assert [rule.name for rule in book.rules] == ["AESO ramp", "more", "own"]
    assert [rule.date for rule in book.rules] == ["2026", "2025", "2026-11-01"]
    again = load_rulebook(book)
    assert again == book
    assert load_rulebook(book.to_dict()) == book
    (tmp_path / "more.yaml").write_text("include: [mine.yaml]\n", encoding="utf-8")
    with pytest.raises(InputError, match="includes itself"):
        load_rulebook(tmp_path / "mine.yaml")


def test_a_problem_of_a_file_comes_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("rules:\n  - rule: change\n    name: x\n    window_s: 5\n    limit_mv: 3\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine.yaml:5.*Did you mean 'limit_mw'"):
        load_rulebook(path)


def test_a_filter_gives_the_gain_of_its_closed_form():
    dt_s = 0.001
    t = dt_s * np.arange(100_000)
    for order, f_hz, wanted in ((4, 0.1, 0.5**0.5), (2, 55.0, 0.5**0.5), (2, 2.345, 1.0)):
        passed = band_pass(np.sin(2 * np.pi * f_hz * t), dt_s, band_hz=(0.1, 55.0), order=order)
        settled = passed[-20_000:] if f_hz > 1 else passed[-50_000:]
        assert np.abs(settled).max() == pytest.approx(wanted, rel=2e-3)


def test_a_filter_that_runs_both_ways_squares_the_gain_and_delays_nothing():
    t = 0.01 * np.arange(60_000)
    sine = np.sin(2 * np.pi * 0.1 * t)
    passed = band_pass(sine, 0.01, band_hz=(0.1, 20.0), causal=False)[20_000:40_000]
    assert np.abs(passed).max() == pytest.approx(0.5, rel=1e-3)
    assert np.corrcoef(passed, sine[20_000:40_000])[0, 1] == pytest.approx(1.0, abs=1e-6)


def test_a_flat_series_passes_no_filter_whatever_its_length_and_rows():
    passed = band_pass(np.full((2, 300_000), 1234.567), 0.001, band_hz=(0.1, 55.0), order=4)
    assert np.abs(passed).max() < 1e-12  # what the mean of a long flat series is rounded by, and no more
    assert band_pass(np.empty(0), 0.001, band_hz=(0.1, 55.0)).size == 0
    assert droop(55.0, 0.005) == pytest.approx(np.sin(np.pi * 0.275) / (np.pi * 0.275))


@pytest.mark.parametrize(
    ("band_hz", "order", "message"),
    [((0.0, 5.0), 2, "band of a filter is empty"), ((6.0, 9.0), 2, "cannot show any"), ((0.1, 4.0), 0, "order")],
)
def test_a_filter_that_cannot_be_made_is_refused(band_hz, order, message):
    with pytest.raises(InputError, match=message):
        band_pass(np.ones(100), 0.1, band_hz=band_hz, order=order)


def test_a_slow_ramp_does_not_fail_for_the_jump_from_the_mean():
    p = 50.0 + 40.0 * np.arange(24_000) / 24_000
    found = only(p, FILTERED, dt_s=0.02)
    assert found.verdict == "pass"
    assert found.measured < 1.0
    assert dict(found.figures)["from_the_mean_mw"] > 15
    assert "if the load had stood at its mean" in found.note


def test_a_step_in_the_first_seconds_still_fails():
    p = np.where(np.arange(5000) < 50, 50.0, 70.0)
    assert only(p, FILTERED, dt_s=0.02).verdict == "fail"


def test_samples_that_damp_the_upper_edge_say_so():
    p = 100 + np.sin(np.arange(20_000))
    assert "leaves 0.64 of a swing at 20 Hz" not in only(p, FILTERED, dt_s=0.005).note
    assert "leaves 0.76 of a swing at 20 Hz" in only(p, FILTERED, dt_s=0.02).note


def test_a_series_shorter_than_the_window_can_fail_but_not_pass():
    assert only([100, 112], CHANGE, dt_s=1.0).verdict == "fail"
    short = only([100, 108], CHANGE, dt_s=1.0)
    assert (short.verdict, short.measured) == ("cannot tell", 8.0)
    assert "the series of 2 s is too short: give more than 5 s" in short.note
    brief = only(100 + 0.1 * np.arange(400) % 1, FILTERED, dt_s=0.02)
    assert (brief.verdict, "give more than 10 s" in brief.note) == ("cannot tell", True)


def test_what_is_too_short_or_too_coarse_says_how_to_mend_it():
    band = {"rule": "band_amplitude", "name": "b", "band_hz": [1, 5], "limit_mw": 1}
    assert "give 60 s or more" in only(np.ones(300), band).note
    assert "use a step below 0.1 s" in only(100 + np.arange(100) % 2, band, dt_s=1.0).note
    energy = {"rule": "band_energy", "name": "e", "band_hz": [0.1, 20], "limit_percent": 20}
    assert "give 100 s or more" in only(np.ones(300), energy, dt_s=0.01).note
    assert "use a step below 0.025 s" in only(np.ones(3000), energy).note
    fast = {"rule": "fast_change", "name": "f", "rate_mw_per_s": 0.5, "limit_mw": 50}
    assert "use 10 s or less" in only(np.ones(300), fast, dt_s=20.0).note
    assert "give more than 100 s" in only(np.ones(300), fast).note
    assert only(np.where(np.arange(300) < 100, 10, 70), fast).verdict == "fail"
    ramp = {"rule": "ramp", "name": "r", "limit_mw_per_min": 1}
    assert "use a step that divides it" in only(np.ones(300), ramp, dt_s=7.0).note


def test_members_are_judged_by_the_95th_percentile():
    t = np.arange(200)
    steps = np.arange(1.0, 21.0)  # members change by 1 to 20 MW
    p = 100 + steps[:, None] * (t >= 100)
    rule = {**CHANGE, "limit_mw": 18.5}
    found = only(p, rule)
    assert (found.members, found.share_failing) == (20, 0.1)
    assert (found.p50, found.p95, found.p99, found.measured) == (10.0, 19.0, 20.0, 19.0)
    assert (found.verdict, found.margin) == ("fail", -0.5)
    assert "fails in 2 of 20 members, judged by the 95th percentile" in found.note
    one = only(p, {**CHANGE, "limit_mw": 19.5})
    assert (one.verdict, one.share_failing) == ("pass", 0.05)
    assert one.to_dict()["p95"] == 19.0
    few = only(p[:3], {**CHANGE, "limit_mw": 2.5})
    assert (few.verdict, few.measured) == ("fail", 3.0)


@pytest.mark.parametrize("size_mw", ["100 MW", float("nan"), -5.0, 0])
def test_a_size_that_is_none_is_refused(size_mw):
    load = gridedge.connect(gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5), {})
    with pytest.raises(InputError, match=r"attrs\['size_mw'\] is no size of a site .* Give megawatts above 0"):
        gridedge.check(load.assign_attrs(size_mw=size_mw), "ercot")


def test_a_load_without_members_has_none():
    found = only(100.0 + np.arange(200) % 2, CHANGE)
    assert (found.members, found.share_failing, found.p50, found.p95, found.p99) == (None,) * 5


def test_the_order_of_dimensions_does_not_matter():
    rng = np.random.default_rng(3)
    ds = metered(100 + rng.normal(size=(4, 900)))
    swapped = ds.transpose("time", "site", "member")
    for a, b in zip(gridedge.check(ds, "operators"), gridedge.check(swapped, "operators"), strict=True):
        assert a == b


def test_a_result_of_a_power_flow_is_judged_for_its_voltage_alone():
    t = 0.1 * np.arange(200)
    vm = 1 - 0.04 * (t >= 10)
    ds = xr.Dataset({"vm_at_pu": (("time", "at"), vm[:, None])}, {"time": t, "at": [5]})
    voltage, power = gridedge.check(ds, {"voltage_change_percent": 3, "ramp_mw_per_min": 20})
    assert (voltage.verdict, voltage.where) == ("fail", "bus 5")
    assert voltage.measured == pytest.approx(4.0)
    assert power.verdict == "cannot tell"
    assert "needs the power at the meter" in power.note
    reduced = xr.Dataset({"vm_pu": (("reduction", "bus"), np.ones((1, 1)))}, {"time": t, "bus": [5]})
    (blind,) = gridedge.check(reduced, "dominion")
    assert (blind.verdict, blind.measured) == ("cannot tell", None)


def test_steps_without_a_voltage_leave_a_pass_open():
    t = 0.1 * np.arange(200)
    vm = 1 - 0.02 * (t >= 10)
    vm[50] = np.nan
    ds = xr.Dataset({"vm_pu": ("time", vm)}, {"time": t})
    (found,) = gridedge.check(ds, "dominion")
    assert found.verdict == "cannot tell"
    assert found.measured == pytest.approx(2.0)
    assert found.when_s == pytest.approx(9.0, abs=0.11)
    assert "1 of 200 steps have no voltage" in found.note
    (worse,) = gridedge.check(ds, {"voltage_change_percent": 1})
    assert worse.verdict == "fail"
    (none,) = gridedge.check(ds * np.nan, "dominion")
    assert none.verdict == "cannot tell"


def test_power_and_voltage_in_one_dataset_are_judged_at_the_sites_bus():
    t = 0.1 * np.arange(200)
    vm = np.stack([np.ones(200), 1 - 0.04 * (t >= 10)], axis=1)
    ds = metered(np.full(200, 50.0)).assign(vm_pu=(("time", "node"), vm)).assign_coords(node=[4, 9])
    both = gridedge.check(ds.rename(node="bus").assign_attrs(site_bus=4), {"voltage_change_percent": 3})
    assert [f.verdict for f in both] == ["pass"]
