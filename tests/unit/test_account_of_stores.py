"""What a comparison books, against the books added up by hand."""

from __future__ import annotations

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.planning.compare import compare
from gridedge.planning.prices import Prices, annuity
from gridedge.sites.ageing import LIVES, ageing

DT_S, SETTLE_S = 0.1, 40.0
TARGET = {"change_mw": 1.3, "window_s": 5}
FACILITY = {"conversion_efficiency": 0.9, "cooling_proportional_pu": 0.2}
DRAW = 1 / 0.9 + 0.2  # MW at the meter for each MW burned inside
CAP = {"step": "power_cap", "cap_pu": 0.7}
DUMMY = {"step": "dummy_load", "floor_pu": 0.5, "steals_pu": 0.1}
BATTERY = {"step": "battery", "p_rated_mw": 2.0, "e_rated_mwh": 0.5, "law": {"law": "low_pass", "tau_s": 20.0}}


@pytest.fixture(scope="module")
def load():
    return gridedge.generate("h100-at-scale", duration_s=160, dt_s=DT_S, seed=1, members=2)


def settled(ds, name):
    """Return the mean over the members and over what is judged."""
    return float(ds[name].isel(time=slice(round(SETTLE_S / DT_S), None)).mean())


def run(load, strategies, **more):
    return compare(load, strategies, target=TARGET, settle_s=SETTLE_S, **more).table


def test_a_mix_is_booked_as_its_series_add_up(load):
    row = run(load, {"mix": [DUMMY, BATTERY]}, facility=FACILITY).loc["mix"]
    inside = gridedge.mitigate(load, [DUMMY])
    after = gridedge.mitigate(gridedge.connect(inside, FACILITY), [BATTERY])
    bare_mw = settled(gridedge.connect(load, FACILITY), "p_mw")
    wasted_mw = settled(inside, "wasted_mw") * DRAW + settled(after, "lost_mw")
    assert row["wasted_mwh_per_year"] == pytest.approx(wasted_mw * 8760)
    assert row["wasted_percent"] == pytest.approx(100 * wasted_mw / bare_mw)
    assert row["wasted_cost_per_year"] == pytest.approx(wasted_mw * 8760 * Prices().energy_per_mwh)
    delayed = settled(inside, "delayed_mw") / settled(load, "p_mw")
    assert delayed > 0
    assert row["delayed_percent"] == pytest.approx(100 * delayed)
    hours = load.attrs["accelerators"] * 8760
    assert row["delayed_cost_per_year"] == pytest.approx(delayed * hours * Prices().accelerator_hour)
    assert row["capital"] == pytest.approx(2.0 * Prices().battery_per_mw + 0.5 * Prices().battery_per_mwh)


def test_work_that_is_stolen_behind_a_cap_is_delayed_too(load):
    table = run(load, {"cap": [CAP], "both": [CAP, DUMMY]})
    capped = gridedge.mitigate(load, [CAP])
    both = gridedge.mitigate(load, [CAP, DUMMY])
    stolen = float((both["delayed_mw"] - capped["delayed_mw"]).mean() / capped["p_mw"].mean())
    slower = capped.attrs["figures"]["0:power_cap"]["delayed_pu"]
    assert stolen > 0.005
    assert table.loc["cap", "delayed_percent"] == pytest.approx(100 * slower)
    assert table.loc["both", "delayed_percent"] == pytest.approx(100 * (1 - (1 - slower) * (1 - stolen)))


@pytest.mark.parametrize("metered", [False, True])
def test_what_the_load_came_with_is_not_booked_again(load, metered):
    given = gridedge.mitigate(load, [DUMMY])
    given = gridedge.connect(given, {}) if metered else given
    before = dict(given.attrs)
    table = run(given, {"none": [], "battery": [BATTERY]})
    assert given.attrs == before
    assert table.loc["none", ["wasted_mwh_per_year", "delayed_percent", "cost_per_year"]].tolist() == [0, 0, 0]
    after = gridedge.mitigate(given if metered else gridedge.connect(given, {}), [BATTERY])
    assert table.loc["battery", "wasted_mwh_per_year"] == pytest.approx(settled(after, "lost_mw") * 8760)
    assert np.isfinite(table.loc["battery", "life_years"])


def test_steps_out_of_order_are_refused(load):
    with pytest.raises(InputError, match=r"out of order.*battery at site, then dummy_load at chip"):
        run(load, {"wrong": [BATTERY, DUMMY]})


def test_every_store_wears_by_its_own_curve_and_none_cycles_for_nothing(load):
    law = {"law": "low_pass", "tau_s": 5.0}
    capacitor = {"step": "supercapacitor", "p_rated_mw": 2.0, "e_rated_mwh": 0.02, "law": law}
    ups = {"step": "ups", "chemistry": "lithium", "may_cycle": True, "p_rated_mw": 2.0, "e_rated_mwh": 0.05, "law": law}
    table = run(load, {"capacitor": [capacitor], "ups": [ups]})
    prices, lives = Prices(), {}
    for name, step in (("supercapacitor", capacitor), ("ups", ups)):
        soc = gridedge.mitigate(load, [step])["soc_pu"].isel(storage=0, time=slice(round(SETTLE_S / DT_S), None))
        lives[name] = min(ageing(row, DT_S, LIVES[name]).life_years for row in soc.transpose("member", "time").values)
    rate = prices.discount_per_year
    row = table.loc["capacitor"]
    assert row["life_years"] == pytest.approx(lives["supercapacitor"])
    assert row["life_years"] < 15
    cells = annuity(0.02 * prices.capacitor_per_mwh, lives["supercapacitor"], rate)
    inverter = annuity(2.0 * prices.capacitor_per_mw, prices.inverter_life_years, rate)
    assert row["capital_cost_per_year"] == pytest.approx(cells + inverter)
    row = table.loc["ups"]
    assert row[["bought_mw", "bought_mwh", "capital"]].tolist() == [0, 0, 0]
    assert row["life_years"] == pytest.approx(lives["ups"])
    assert row["life_years"] < prices.battery_life_years
    price = 0.05 * prices.battery_per_mwh
    wear = annuity(price, lives["ups"], rate) - annuity(price, prices.battery_life_years, rate)
    assert row["capital_cost_per_year"] == pytest.approx(wear)


def test_delayed_work_without_accelerators_is_said_not_to_cost(load):
    series = load.drop_vars("active_pu", errors="ignore")
    series.attrs = {"dt_s": DT_S, "nameplate_mw": load.attrs["nameplate_mw"], "power": "IT"}
    found = compare(series, {"cap": [CAP]}, target=TARGET, settle_s=SETTLE_S)
    assert found.table.loc["cap", "delayed_percent"] > 0
    assert any("Delayed work has no price here" in note for note in found.notes)


def test_capacitors_of_power_supplies_do_not_wear_as_supercapacitors(load):
    row = run(load, {"psu": [{"step": "psu_capacitor"}]}).loc["psu"]
    assert row["life_years"] == LIVES["psu_capacitor"].calendar_years
    energy_mwh = 65.0 * load.attrs["accelerators"] / 3.6e9
    assert row["capital"] == pytest.approx(energy_mwh * Prices().capacitor_per_mwh)
