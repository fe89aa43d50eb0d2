"""What a strategy buys: each kind of storage by hand, and how long it lasts."""

from __future__ import annotations

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.planning.account import account
from gridedge.planning.prices import Prices
from gridedge.sites.ageing import ageing
from gridedge.sites.facility import Facility
from gridedge.sites.mitigate import read_step

SERVERS, PER_SERVER = 1000, 8
NAMEPLATE = 14.3
PRICES = Prices(
    energy_per_mwh=0, accelerator_hour=0, battery_per_mwh=2e5, battery_per_mw=1e5, capacitor_per_mwh=4e6,
    capacitor_per_mw=3e5, battery_life_years=8, inverter_life_years=10, discount_per_year=0,
)  # fmt: skip
IDEAL = {"charge_efficiency": 1.0, "discharge_efficiency": 1.0, "standby_pu": 0.0}
SLOW = {"law": "low_pass", "tau_s": 20}


def books(steps, prices=PRICES, p_mw=None):
    """Return the account of steps on a square wave, and the metered power behind them."""
    p_mw = np.tile(np.r_[np.full(10, 10.0), np.full(10, 6.0)], 20) if p_mw is None else p_mw
    about = {"nameplate_mw": NAMEPLATE, "server": "8xB200", "servers": SERVERS, "accelerators": SERVERS * PER_SERVER}
    load = schema.power_dataset(p_mw, 1.0, power="IT", attrs=about)
    read = [read_step(step) for step in steps]
    bare = gridedge.connect(load, Facility())
    metered = gridedge.connect(gridedge.mitigate(load, [s for s in read if s.place != "site"]), Facility())
    after = gridedge.mitigate(metered, [s for s in read if s.place == "site"])
    return account(load, bare, metered, after, steps=read, facility=Facility(), prices=prices), after


def test_the_life_ends_by_cycles_or_by_age_whichever_comes_first():
    battery = {"step": "battery", "p_rated_mw": 4, "e_rated_mwh": 0.05, "law": SLOW, **IDEAL}
    found, after = books([battery])
    worn = ageing(after["soc_pu"].sel(storage="0:battery").values[:, 0], 1.0).life_years
    assert worn < 8
    assert found.life_years == pytest.approx(worn)
    assert found.capital_cost_per_year == pytest.approx(0.05 * 2e5 / worn + 4 * 1e5 / 10)
    old, _ = books([{**battery, "e_rated_mwh": 50}])
    assert old.life_years == 8.0


def test_storage_inside_wastes_its_losses_and_their_cooling():
    inside = {"step": "supercapacitor", "p_rated_mw": 4, "e_rated_mwh": 0.5, "law": SLOW}
    found, _ = books([inside])
    one, after = books([{**inside, "place": "site", "delay_s": 0}])
    lost = float(after["lost_mw"].mean())
    assert one.wasted_mwh_per_year == pytest.approx(lost * 8760)
    facility = Facility()
    draw = 1 / facility.conversion_efficiency + facility.cooling_proportional_pu
    load = np.tile(np.r_[np.full(10, 10.0), np.full(10, 6.0)], 20)
    alone = gridedge.mitigate(schema.power_dataset(load, 1.0, power="IT"), [inside])
    assert found.wasted_mwh_per_year == pytest.approx(float(alone["lost_mw"].mean()) * draw * 8760)


def test_a_load_of_nothing_has_no_shares():
    found, _ = books([], p_mw=np.zeros(60))
    assert (found.wasted_percent, found.delayed_percent, found.cost_per_year) == (0.0, 0.0, 0.0)
