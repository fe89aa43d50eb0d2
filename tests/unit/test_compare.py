"""Strategies side by side: every figure of the table by hand, the front, and what cannot be compared."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.planning.compare import compare
from gridedge.planning.pareto import pareto_front
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites.ageing import ageing

HIGH, LOW, NAMEPLATE = 12.0, 6.0, 12.0  # MW of IT power
MEAN = (HIGH + LOW) / 2
# What the load draws inside, the meter sees 1.5 times, at once: 1 / 0.8 of conversion, 0.25 of cooling.
FACILITY = {
    "conversion_efficiency": 0.8, "cooling_proportional_pu": 0.25, "cooling_fixed_pu": 0.0, "cooling_lag_s": 1e-3,
}  # fmt: skip
DRAW = 1.5
PRICES = {
    "currency": "XYZ", "energy_per_mwh": 50.0, "co2_t_per_mwh": 0.5, "accelerator_hour": 3.0,
    "battery_per_mwh": 2e5, "battery_per_mw": 1e5, "capacitor_per_mwh": 4e6, "capacitor_per_mw": 3e5,
    "battery_life_years": 5.0, "inverter_life_years": 10.0, "discount_per_year": 0.0, "hours_per_year": 8000.0,
}  # fmt: skip
HOURS = 8000.0
SWING = {"change_mw": 4, "window_s": 5}  # 9 MW at the meter without any step
LOSSY = {
    "charge_efficiency": 0.8, "discharge_efficiency": 0.5, "standby_pu": 0.02, "delay_s": 0.0,
    "soc_min_pu": 0.0, "soc_max_pu": 1.0,
}  # fmt: skip
GOOD = {"charge_efficiency": 0.99, "discharge_efficiency": 0.99, "standby_pu": 0.0}
FILL = {"step": "dummy_load", "floor_pu": 0.75, "reaction_s": 0, "sampling_s": 0}
CAP = {"step": "power_cap", "cap_pu": 0.75}


def square(high=HIGH, low=LOW, half=10, cycles=15):
    return np.tile(np.r_[np.full(half, high), np.full(half, low)], cycles)


def load(p_mw=None, dt_s=1.0, **attrs):
    about = {"nameplate_mw": NAMEPLATE, "accelerators": 8000, **attrs}
    return schema.power_dataset(square() if p_mw is None else np.asarray(p_mw, float), dt_s, power="IT", attrs=about)


def hold(mean_mw, p_mw=10.0, e_mwh=20.0, **changes):
    """A battery that makes the power flat."""
    law = {"law": "hold_mean", "mean_mw": mean_mw, "recovery_s": 0}
    return {"step": "battery", "p_rated_mw": p_mw, "e_rated_mwh": e_mwh, "law": law, **LOSSY, **changes}


def weigh(strategies, *, of=None, target=SWING, facility=FACILITY, prices=PRICES, **more):
    return compare(load() if of is None else of, strategies, target=target, facility=facility, prices=prices, **more)


def row(strategy, **more):
    return weigh({"one": strategy}, **more).table.loc["one"]


def money(found, wasted=0.0, delayed=0.0, capital=0.0):
    """Check that the three costs are what they are, and add up."""
    assert found["wasted_cost_per_year"] == pytest.approx(wasted, rel=1e-9)
    assert found["delayed_cost_per_year"] == pytest.approx(delayed, rel=1e-9)
    assert found["capital_cost_per_year"] == pytest.approx(capital, rel=1e-9)
    assert found["cost_per_year"] == pytest.approx(wasted + delayed + capital, rel=1e-9)


def test_no_step_costs_nothing_and_misses_by_what_is_too_much():
    found = weigh({"none": []})
    none = found.table.loc["none"]
    assert (none["strategy"], none["verdict"]) == ("none", "fail")
    assert none["excess_percent"] == pytest.approx(100 * (DRAW * (HIGH - LOW) / 4 - 1))
    assert none["missed"] == "change: 9 MW against 4 MW, 125 % too much"
    money(none)
    assert none[["wasted_mwh_per_year", "wasted_percent", "delayed_percent", "bought_mw", "capital"]].eq(0).all()
    assert np.isnan(none["life_years"])
    assert [f.measured for f in found.before] == pytest.approx([9.0])
    assert found.findings["none"] == found.before
    assert found.remarks == {"none": []}
    assert found.currency == "XYZ"


def test_filling_up_to_a_floor_wastes_what_is_missing_and_its_cooling():
    found = row([FILL])
    mw = DRAW * (0.75 * NAMEPLATE - LOW) / 2  # half of the time
    assert found["wasted_mwh_per_year"] == pytest.approx(mw * HOURS)
    assert found["wasted_percent"] == pytest.approx(100 * mw / (DRAW * MEAN))
    assert found["co2_t_per_year"] == pytest.approx(mw * HOURS * 0.5)
    assert found["excess_percent"] == pytest.approx(100 * (4.5 / 4 - 1))
    money(found, wasted=mw * HOURS * 50)


def test_a_power_floor_wastes_what_the_accelerators_burn():
    box = server("8xB200")
    chip = accelerator(box.accelerator)
    servers = 800
    watts = square(0.95 * chip.tdp_w, 0.3 * chip.tdp_w)
    it = load(
        servers * (box.host_kw + box.accelerators * watts / 1e3) / 1e3,
        nameplate_mw=servers * box.rated_kw / 1e3, server="8xB200", servers=servers,
    )  # fmt: skip
    ideal = {"ramp_up_w_per_s": 1e12, "ramp_down_w_per_s": 1e12, "ramp_down_hysteresis_ms": 1e12}
    found = row([{"step": "power_floor", "percent_tmp_floor": 80, **ideal}], of=it)
    burnt_mw = servers * box.accelerators * 0.5 * (0.8 - 0.3) * chip.tdp_w / 1e6
    assert found["wasted_mwh_per_year"] == pytest.approx(DRAW * burnt_mw * HOURS)
    assert found["wasted_percent"] == pytest.approx(100 * burnt_mw / float(it["p_mw"].mean()))
    money(found, wasted=DRAW * burnt_mw * HOURS * 50)


def test_a_cap_delays_what_it_cuts_and_the_accelerators_are_paid_for_it():
    found = row([CAP])
    share = (HIGH - 0.75 * NAMEPLATE) / 2 / MEAN
    assert found["delayed_percent"] == pytest.approx(100 * share)
    assert found["wasted_mwh_per_year"] == 0.0
    money(found, delayed=share * 8000 * HOURS * 3)


def test_a_cap_on_a_generated_job_delays_work_and_not_power():
    job = {
        "kind": "training", "server": "8xB200", "servers": 100, "period_s": 4.0, "compute_pu": 0.7,
        "communication_pu": 0.3, "compute_share": 0.75, "rise_s": 0.1, "fall_s": 0.1,
    }  # fmt: skip
    it = gridedge.generate(job, duration_s=120, dt_s=0.1)
    cap = {"step": "power_cap", "cap_pu": 0.55}
    said = gridedge.mitigate(it, [cap]).attrs["figures"]["0:power_cap"]["delayed_pu"]
    found = row([cap], of=it)
    assert 0 < said < 1
    assert found["delayed_percent"] == pytest.approx(100 * said)
    assert it.attrs["accelerators"] == 800
    money(found, delayed=said * 800 * HOURS * 3)


def test_a_battery_loses_both_ways_stands_by_and_is_paid_over_its_life():
    found = row([hold(DRAW * MEAN)])
    swing, standby = DRAW * (HIGH - LOW) / 2, 0.02 * 10  # each way, half of the time; what it draws itself, too
    lost = 0.5 * (swing - standby) * (1 - 0.8) + 0.5 * (swing + standby) * (1 / 0.5 - 1) + standby
    assert found["wasted_mwh_per_year"] == pytest.approx(lost * HOURS)
    assert found["wasted_percent"] == pytest.approx(100 * lost / (DRAW * MEAN))
    assert (found["verdict"], found["missed"]) == ("pass", "")
    assert (found["bought_mw"], found["bought_mwh"], found["life_years"]) == (10.0, 20.0, 5.0)
    assert found["capital"] == 10 * 1e5 + 20 * 2e5
    money(found, wasted=lost * HOURS * 50, capital=10 * 1e5 / 10 + 20 * 2e5 / 5)


def test_inside_and_outside_steps_add_up():
    found = row([CAP, FILL, hold(DRAW * MEAN, standby_pu=0.0)])
    # Capped at 9 MW and filled to 9 MW: flat, so that nothing passes through the battery.
    assert found["wasted_mwh_per_year"] == pytest.approx(DRAW * 1.5 * HOURS)
    share = 1.5 / MEAN
    money(found, DRAW * 1.5 * HOURS * 50, share * 8000 * HOURS * 3, 10 * 1e5 / 10 + 20 * 2e5 / 5)


def test_the_default_prices_discount_and_are_in_euro():
    found = weigh({"one": [hold(DRAW * MEAN)]}, prices=None)
    capital = found.table.loc["one", "capital_cost_per_year"]
    life = found.table.loc["one", "life_years"]
    assert found.currency == "EUR"
    inverter = 10 * 287_000 / sum(1.07**-year for year in range(1, 11))
    assert capital == pytest.approx(inverter + 20 * 250_000 * 0.07 / (1 - 1.07**-life))
    assert life <= 20.0


def test_members_count_by_their_mean():
    both = xr.concat([load(), load(square(HIGH, LOW + 2))], "member").assign_coords(member=[0, 1])
    both.attrs = load().attrs
    found = row([FILL], of=both)
    one, other = row([FILL]), row([FILL], of=load(square(HIGH, LOW + 2)))
    assert found["wasted_mwh_per_year"] == pytest.approx(
        (one["wasted_mwh_per_year"] + other["wasted_mwh_per_year"]) / 2
    )
    share = 0.5 * (1.5 + 0.5) / (0.5 * (9.0 + 10.0))
    assert found["wasted_percent"] == pytest.approx(100 * share)
    comparison = weigh({"one": [FILL]}, of=both)
    assert comparison.findings["one"][0].members == 2


def test_the_start_is_left_out_of_findings_and_accounts():
    # A dark start: filling it would take 9 MW instead of 3, and its edge is 18 MW.
    p = np.r_[np.zeros(40), square()]
    with_start, settled = row([FILL], of=load(p)), row([FILL], of=load(p), settle_s=40)
    plain = row([FILL])
    assert with_start["wasted_percent"] > plain["wasted_percent"] * 1.1
    for name in ("wasted_mwh_per_year", "wasted_percent", "excess_percent", "cost_per_year"):
        assert settled[name] == pytest.approx(plain[name]), name
    assert weigh({"one": []}, of=load(p)).before[0].measured == pytest.approx(18.0)
    assert weigh({"one": []}, of=load(p), settle_s=40).before[0].measured == pytest.approx(9.0)


@pytest.mark.parametrize("settle_s", [-1.0, 300.0, 1e9, float("nan")])
def test_a_start_that_leaves_nothing_is_refused(settle_s):
    with pytest.raises(InputError, match=r"settle_s (leaves nothing to judge|must be a number of seconds)"):
        weigh({"none": []}, settle_s=settle_s)


def test_the_front_holds_what_meets_the_target_and_is_not_beaten():
    strategies = {
        "none": [],
        "fill": {"steps": [FILL], "vary": {"dummy_load.floor_pu": [0.7, 0.8, 0.9]}},
        "cap": {"steps": [CAP], "vary": {"power_cap.cap_pu": [0.7, 0.6]}},
        "battery": {"steps": [hold(DRAW * MEAN, **GOOD)], "vary": {"battery.e_rated_mwh": [20, 40]}},
    }
    found = weigh(strategies)
    table = found.table
    assert len(table) == 8
    met = {label for label, one in table.iterrows() if one["verdict"] == "pass"}
    # 9 MW of swing at the meter, of which 4 may stay: a floor from 9.33 MW on (0.78), a cap from 8.67 MW down (0.72).
    assert met == {
        "fill: dummy_load.floor_pu 0.8", "fill: dummy_load.floor_pu 0.9", "cap: power_cap.cap_pu 0.7",
        "cap: power_cap.cap_pu 0.6", "battery: battery.e_rated_mwh 20", "battery: battery.e_rated_mwh 40",
    }  # fmt: skip
    # The higher floor wastes more, the lower cap delays more, the larger battery costs more: each is beaten.
    front = {"fill: dummy_load.floor_pu 0.8", "cap: power_cap.cap_pu 0.7", "battery: battery.e_rated_mwh 20"}
    assert set(table.index[table["pareto"]]) == front
    assert found.front["cost_per_year"].is_monotonic_increasing
    assert set(found.front.index) == front
    assert found.cheapest == table.loc[sorted(met), "cost_per_year"].idxmin()
    assert found.notes == []
    assert table.loc["fill: dummy_load.floor_pu 0.8", "dummy_load.floor_pu"] == 0.8
    assert np.isnan(table.loc["none", "dummy_load.floor_pu"])


def test_the_cheapest_meets_the_target_even_where_less_is_cheaper():
    found = weigh({"none": [], "fill": [{**FILL, "floor_pu": 0.8}]})
    assert found.table["cost_per_year"].idxmin() == "none"
    assert found.cheapest == "fill"


def test_where_nothing_meets_the_target_the_nearest_says_by_how_much():
    strategies = {"none": [], "fill": {"steps": [FILL], "vary": {"dummy_load.floor_pu": [0.6, 0.75]}}}
    found = weigh(strategies)
    assert found.cheapest is None
    assert found.notes == [
        "No variant meets the target. Nearest is fill: dummy_load.floor_pu 0.75; it misses by: change: 4.5 MW against "
        "4 MW, 12.5 % too much."
    ]
    objectives = ["wasted_mwh_per_year", "delayed_percent", "capital", "excess_percent"]
    assert found.table["pareto"].tolist() == pareto_front(found.table[objectives]).tolist() == [True, True, True]


def test_where_a_rule_cannot_be_told_the_note_says_which_and_why():
    target = [{"rule": "ramp", "name": "long ramp", "limit_mw_per_min": 20, "window_s": 600}]
    found = weigh({"none": [], "fill": [FILL]}, target=target)
    assert set(found.table["verdict"]) == {"cannot tell"}
    (note,) = found.notes
    assert note.startswith("No variant is known to meet the target. Nearest is none; long ramp cannot be told: ")
    assert "the series of 300 s is too short" in note
    assert found.cheapest is None


def test_a_target_that_does_not_apply_is_said():
    rule = {"rule": "change", "name": "large sites", "window_s": 5, "limit_mw": 4, "applies_from_mw": 75}
    found = weigh({"none": [], "fill": [FILL]}, target=[rule])
    assert set(found.table["verdict"]) == {"not applicable"}
    assert found.cheapest is None
    assert found.notes == ["No requirement of the target applies to this site."]


def test_a_rule_applies_by_the_size_without_any_step():
    rule = {"rule": "change", "name": "large sites", "window_s": 5, "limit_mw": 4, "applies_from_mw": 17}
    found = weigh({"flat": [hold(DRAW * MEAN)]}, target=[rule])  # 18 MW without, 13.7 MW with it
    assert found.table.loc["flat", "verdict"] == "pass"


def test_metered_power_is_compared_at_the_meter():
    metered = gridedge.connect(load(), FACILITY)
    names = set(metered.attrs)
    battery = [hold(DRAW * MEAN)]
    found = weigh({"none": [], "one": battery}, of=metered, facility=None).table.loc["one"]
    inside = row(battery)
    for name in ("wasted_mwh_per_year", "wasted_percent", "capital", "cost_per_year", "excess_percent"):
        assert found[name] == pytest.approx(inside[name]), name
    assert set(metered.attrs) == names  # what was given stays as it was
    with pytest.raises(
        InputError, match=r"'mix': dummy_load cannot act on metered power \(got place: chip\)\. Give the IT"
    ):
        weigh({"mix": [FILL, hold(1.0)]}, of=metered, facility=None)
    with pytest.raises(InputError, match="the load is metered already"):
        weigh({"none": []}, of=metered)


def test_power_that_was_mitigated_before_is_compared_further():
    once = gridedge.mitigate(gridedge.connect(load(), FACILITY), [hold(DRAW * MEAN, p_mw=1.0, e_mwh=2.0)])
    prices = {**PRICES, "battery_life_years": 50.0}
    found = weigh({"none": [], "more": [hold(DRAW * MEAN, **GOOD)]}, of=once, facility=None, prices=prices).table
    assert found["bought_mw"].tolist() == [0.0, 10.0]
    assert found["verdict"].tolist() == ["fail", "pass"]
    # What the first battery loses is in the load already; 3.5 MW each way are left, less what it draws to stand by.
    assert found.loc["none", "wasted_mwh_per_year"] == 0.0
    both = gridedge.mitigate(once, [hold(DRAW * MEAN, **GOOD)])
    lost = float((both["lost_mw"] - once["lost_mw"]).mean())
    assert lost == pytest.approx(0.5 * 3.5 * (1 - 0.99) + 0.5 * 3.5 * (1 / 0.99 - 1), rel=0.02)
    assert found.loc["more", "wasted_mwh_per_year"] == pytest.approx(lost * HOURS)
    # The life is that of the second battery.
    ages = [ageing(both["soc_pu"].sel(storage=name).values[:, 0], 1.0).life_years for name in both["storage"].values]
    assert abs(ages[0] - ages[1]) > 0.1
    assert found.loc["more", "life_years"] == pytest.approx(ages[1])


def test_work_that_was_put_off_before_is_not_put_off_again():
    capped = gridedge.mitigate(load(), [{**CAP, "cap_pu": 0.9}])
    found = weigh({"none": [], "fill": [FILL]}, of=capped).table
    assert found["delayed_percent"].tolist() == [0.0, 0.0]
    assert found["wasted_mwh_per_year"].tolist() == pytest.approx([0.0, DRAW * 1.5 * HOURS])
    assert found.loc["fill", "wasted_percent"] == pytest.approx(100 * 1.5 / (MEAN - 0.6))


def test_remarks_are_those_of_the_strategy():
    noted = load(notes=["known before"])
    late = {**FILL, "reaction_s": 2}
    found = weigh({"none": [], "late": [late], "cap": [CAP]}, of=noted)
    assert found.remarks["none"] == []
    assert any("missed by up to 3 MW" in words for words in found.remarks["late"])
    assert any("MWh of work are put off" in words for words in found.remarks["cap"])
    assert all("known before" not in words for words in found.remarks["cap"])


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ([{"step": "batery"}], r"strategy 'one': unknown step \(got batery\)\. Did you mean 'battery'\?"),
        ([{**FILL, "floor_pu": 1.5}], r"strategy 'one': .*floor_pu cannot be used \(got 1\.5\)"),
        ([hold(9.0, charge_efficiency=-1)], r"strategy 'one': .*charge_efficiency cannot be used \(got -1\)"),
        ([{"step": "power_floor", "percent_tmp_floor": 80}], r"strategy 'one': power_floor acts in the accelerators"),
        ([{**CAP, "cap_pu": 0.5}, {**FILL, "floor_pu": 0.6}], r"strategy 'one': the floor lies above the cap"),
        ([hold(9.0), FILL], r"strategy 'one': the steps are out of order \(got battery at site, then dummy_load"),
    ],
)
def test_an_error_names_its_strategy(steps, words):
    with pytest.raises(InputError, match=words):
        weigh({"none": [], "one": steps})


def test_a_value_inside_a_single_value_cannot_be_varied():
    words = r"lies inside floor_pu, which is a single value \(got floor_pu\.x: 0\.75\)\. Vary floor_pu itself"
    with pytest.raises(InputError, match=words):
        weigh({"fill": {"steps": [FILL], "vary": {"dummy_load.floor_pu.x": [1]}}})


def test_several_sites_are_compared_each_by_itself():
    metered = gridedge.connect(load(), FACILITY)
    two = metered.isel(site=[0, 0]).assign_coords(site=["a", "b"])
    with pytest.raises(InputError, match=r"compared on one site \(got 2 sites\)"):
        weigh({"none": []}, of=two, facility=None)


def test_work_without_a_number_of_accelerators_has_no_price_and_says_so():
    bare = schema.power_dataset(square(), 1.0, power="IT", attrs={"nameplate_mw": NAMEPLATE})
    found = weigh({"none": [], "cap": [{**CAP, "cap_pu": 0.6}]}, of=bare)
    assert found.table.loc["cap", "delayed_cost_per_year"] == 0.0
    assert [note for note in found.notes if "Delayed work has no price here" in note]
    assert not weigh({"none": [], "fill": [{**FILL, "floor_pu": 0.8}]}, of=bare).notes


def test_two_variants_of_one_name_are_refused():
    vary = {"dummy_load.floor_pu": [0.6, 0.6]}
    with pytest.raises(InputError, match=r"two variants have the same name \(got fill: dummy_load\.floor_pu 0\.6\)"):
        weigh({"fill": {"steps": [FILL], "vary": vary}})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"target": {"ramp": 3}}, "unknown target"),
        ({"target": "operatrs"}, "Did you mean 'operators'"),
        ({"prices": {"energy": 3}}, "energy"),
        ({"prices": {"energy_per_mwh": -3}}, r"energy_per_mwh cannot be used \(got -3\)"),
        ({"facility": {"power_factor": 2}}, "power_factor is not possible"),
        ({"of": load(np.r_[np.full(20, 5.0), np.nan, np.full(20, 5.0)])}, "not a number"),
    ],
)
def test_what_cannot_be_compared_says_why(change, words):
    with pytest.raises(InputError, match=words):
        weigh({"none": []}, **change)


def test_progress_is_told_and_the_whole_is_plain_data():
    told = []
    found = weigh({"none": [], "fill": [FILL]}, target={"ramp_mw_per_min": 5}, progress=lambda *n: told.append(n))
    assert told == [(1, 2), (2, 2)]

    def refuse(word):
        raise AssertionError(word)

    plain = json.loads(json.dumps(found.to_dict()), parse_constant=refuse)
    assert plain["table"]["fill"]["wasted_percent"] == pytest.approx(100 / 6)
    assert plain["table"]["none"]["life_years"] is None
    assert plain["before"][0]["name"] == "ramp"
    assert plain["findings"].keys() == plain["remarks"].keys() == {"none", "fill"}
    assert plain["currency"] == "XYZ"
