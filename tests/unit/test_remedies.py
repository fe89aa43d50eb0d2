"""Remedies: needed ratings and reactive power against closed forms, sets proven, and what nothing lifts."""

import copy
import json

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.grid.feeders import load_feeder
from gridedge.grid.reinforce import Change, apply_change, larger_types, next_rating
from gridedge.planning.remedies.prices import cost_of, load_prices

pp = pytest.importorskip("pandapower")

R_PU, X_PU, BASE_MVA = 0.05, 0.10, 10.0
BAND = {"vm_pu": [0.95, 1.05]}


def two_buses():
    net = pp.create_empty_network(sn_mva=1.0)
    first, second = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first, vm_pu=1.0)
    pp.create_impedance(net, first, second, rft_pu=R_PU, xft_pu=X_PU, sn_mva=BASE_MVA)
    return net, second


def cable(length_km=2.0, kind="NA2XS2Y 1x95 RM/25 12/20 kV"):
    net = pp.create_empty_network(sn_mva=1.0)
    first, second = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first)
    pp.create_line(net, first, second, length_km, kind)
    net.line["c_nf_per_km"] = 0.0
    return net, second


def needed_q_pu(p_pu, v_pu):
    """V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2 with V1 = 1, solved for Q: the root near zero."""
    z2 = (R_PU**2 + X_PU**2) / v_pu**2
    c = v_pu**2 - 1.0 + 2.0 * R_PU * p_pu + z2 * p_pu**2
    return (-2.0 * X_PU + np.sqrt(4.0 * X_PU**2 - 4.0 * z2 * c)) / (2.0 * z2)


def of(found, kind):
    return next(s for s in found.singles if s.measure.kind == kind)


@pytest.fixture(scope="module")
def ten():
    """What lets the second of two buses take 10 MW, where 8.70134 MW fit."""
    net, bus = two_buses()
    return gridedge.remedies(net, bus, 10.0, power_factor=1.0, limits=BAND)


def test_needed_mvar_is_the_closed_form_of_two_buses(ten):
    found = ten
    assert found.capacity_mw == pytest.approx(8.70, abs=0.011)
    missing = -needed_q_pu(1.0, 0.95) * BASE_MVA
    support = of(found, "var support")
    assert support.measure.needed == pytest.approx(missing, abs=2e-4)
    assert support.lifts
    bank = of(found, "capacitor")
    assert bank.measure.needed == pytest.approx(missing / 0.95**2, abs=2e-4)  # a shunt gives less at less voltage
    assert bank.lifts
    assert bank.measure.size == pytest.approx(0.3 * np.ceil(bank.measure.needed / 0.3))
    assert found.chosen is not None
    assert found.chosen.capacity_mw >= 10.0 - 0.01


def test_the_switching_of_a_capacitor_is_what_two_buses_say(ten):
    bank = of(ten, "capacitor").measure
    # Without load: V2 = V1 / |1 - (X - jR) b|, b = Q / base.
    b = bank.size / BASE_MVA
    step = 100.0 * (1.0 / np.hypot(1.0 - X_PU * b, R_PU * b) - 1.0)
    assert f"{step:.2f} %" in bank.words


def test_a_wish_without_a_solution_overloads_no_branch_that_the_site_does_not_use():
    net, bus = cable(20.0)
    aside = pp.create_bus(net, 20.0)
    pp.create_line(net, 0, aside, 1.0, "NA2XS2Y 1x95 RM/25 12/20 kV")
    pp.create_load(net, aside, 6.0)  # 70 % of its line
    found = gridedge.remedies(net, bus, 120.0, limits="ratings")
    assert {b.element for b in found.broken if b.kind == "loading"} == {"line:0"}
    assert any("no solution" in remark for remark in found.remarks)


def test_a_larger_voltage_step_splits_a_capacitor_into_stages():
    net, bus = two_buses()
    bank = of(gridedge.remedies(net, bus, 14.0, power_factor=1.0, limits=BAND), "capacitor").measure
    assert "stages" in bank.words


def test_needed_rating_of_a_line_is_the_current_of_the_closed_form():
    net, bus = cable()
    p_mw = 10.0  # 0.252 kA carry 8.7 MVA
    found = gridedge.remedies(net, bus, p_mw, power_factor=1.0, limits={"loading_percent": 100})
    r, x = net.line.r_ohm_per_km[0] * 2.0, net.line.x_ohm_per_km[0] * 2.0
    a, b, c = 1.0, 2.0 * r * p_mw - 20.0**2, (r**2 + x**2) * p_mw**2  # V2^4 - (V1^2 - 2 R P) V2^2 + Z^2 P^2 = 0
    v2 = np.sqrt((-b + np.sqrt(b * b - 4 * a * c)) / 2)
    ka = p_mw / (np.sqrt(3.0) * v2)
    (broken,) = found.broken
    assert broken.needed_ka == pytest.approx(ka, rel=1e-6)
    assert broken.needed_mva == pytest.approx(np.sqrt(3) * 20.0 * ka, rel=1e-6)
    larger = of(found, "larger line").measure
    assert larger.change.value == "NA2XS2Y 1x150 RM/25 12/20 kV"
    assert larger.size == pytest.approx(0.319)
    assert of(found, "parallel line").measure.size == pytest.approx(2 * 0.252)
    assert {s.lifts for s in found.singles} == {True}


def test_a_transformer_is_given_the_next_preferred_rating_or_a_twin():
    net = pp.create_empty_network()
    high, low = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, high)
    pp.create_transformer(net, high, low, "25 MVA 110/20 kV")
    found = gridedge.remedies(net, low, 30.0, limits={"loading_percent": 100})
    assert of(found, "larger transformer").measure.size == 40.0  # 30.6 MVA and losses, at less than 20 kV
    assert of(found, "parallel transformer").measure.size == 50.0
    assert found.chosen is not None
    assert found.chosen.measures[0].kind == "parallel transformer"  # 25 MVA more are cheaper than 40 MVA
    assert found.chosen.capacity_mw > 30.0


def test_the_nearest_tap_position_that_settles_it():
    net = pp.create_empty_network()
    high, low = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, high)
    pp.create_transformer(net, high, low, "63 MVA 110/20 kV")
    found = gridedge.remedies(net, low, 40.0, limits={"vm_pu": [0.97, 1.05]})
    tap = of(found, "tap")
    assert tap.lifts

    def lowest(position):
        own = copy.deepcopy(net)
        own.trafo["tap_pos"] = float(position)
        pp.create_load(own, low, 40.0, 40.0 * np.tan(np.arccos(0.98)))
        pp.runpp(own, tolerance_mva=1e-10)
        return own.res_bus.vm_pu[low]

    assert lowest(tap.measure.size) >= 0.97
    assert lowest(tap.measure.size + 1) < 0.97
    assert found.chosen is not None
    assert [m.kind for m in found.chosen.measures] == ["tap"]


def test_a_capacitor_that_lifts_the_light_hour_too_high_is_not_proposed():
    net, bus = two_buses()
    pp.create_sgen(net, bus, p_mw=1.0)
    sun = xr.Dataset({"p_mw": (("time", "sgen"), [[0.0], [9.0]])}, coords={"time": [0.0, 3600.0], "sgen": [0]})
    sun.attrs["dt_s"] = 3600.0
    arguments = {"power_factor": 1.0, "limits": BAND, "background": sun, "shape": [1.0, 0.0]}
    found = gridedge.remedies(net, bus, 10.0, **arguments)
    bank = of(found, "capacitor")
    assert "breaks high" in bank.note
    assert found.plans
    assert all(m.kind != "capacitor" for plan in found.plans for m in plan.measures)


def test_a_request_below_the_capacity_needs_nothing():
    net, bus = two_buses()
    found = gridedge.remedies(net, bus, 8.0, power_factor=1.0, limits=BAND)
    assert found.fits
    assert not found.broken
    assert not found.plans
    assert "Nothing is needed" in found.describe()
    assert json.loads(json.dumps(found.to_dict()))["fits"]


def test_nothing_lifts_what_no_source_can_deliver():
    net, bus = two_buses()  # 30.9 MW are the most at unity power factor
    found = gridedge.remedies(net, bus, 200.0, power_factor=1.0, limits=BAND)
    assert not found.plans
    assert any("no solution" in r for r in found.reasons)
    assert "Nothing lifts it" in found.describe()


def test_losses_can_be_what_binds():
    net, bus = cable()
    found = gridedge.remedies(net, bus, 8.0, power_factor=0.9, limits={"losses_percent": 1.5})
    assert [b.kind for b in found.broken] == ["losses"]
    assert found.chosen is not None
    assert found.chosen.capacity_mw >= 8.0 - 0.01


def test_no_worse_compares_with_the_net_without_measures():
    net, bus = two_buses()
    pp.create_load(net, bus, 9.0)  # 0.948 pu without a site
    found = gridedge.remedies(net, bus, 1.0, power_factor=1.0, limits=BAND, existing="no_worse")
    assert found.chosen is not None
    assert np.isnan(found.chosen.capacity_mw)
    assert any("no_worse" in r for r in found.remarks)


def test_every_price_has_its_date_and_source():
    for price in load_prices().prices:
        assert price.date[:2] in ("19", "20")
        assert price.source
        assert price.known
        assert price.low <= price.high
    cost = cost_of(load_prices(), "capacitor", mvar=2.1, vn_kv=20.0)
    assert cost is not None
    assert cost.low == 200_000.0  # two banks
    assert cost_of(load_prices(), "parallel line", length_km=1.0, vn_kv=1000.0) is None


def test_a_price_list_of_ones_own_decides():
    net, bus = two_buses()
    one = {"per": "Mvar", "currency": "EUR", "date": "2026", "source": "ours", "known": "chosen"}
    cheap = {"item": "converter", "measure": "var support", "low": 1.0, "high": 1.0, **one}
    dear = {"item": "bank", "measure": "capacitor", "low": 1e6, "high": 1e6, **one}
    found = gridedge.remedies(net, bus, 10.0, power_factor=1.0, limits=BAND, prices={"prices": [cheap, dear]})
    assert found.chosen is not None
    assert [m.kind for m in found.chosen.measures] == ["var support"]
    assert found.currency == "EUR"
    with pytest.raises(InputError, match="currencies"):
        load_prices({"prices": [cheap, {**dear, "currency": "USD"}]})


def test_on_a_feeder_the_cheapest_set_holds_by_plain_runpp_and_the_callers_net_is_untouched():
    net = load_feeder("mv_oberrhein").net
    before = copy.deepcopy(net)
    found = gridedge.remedies(net, "Bus 51", 6.0)
    for table in ("line", "trafo", "shunt", "load", "sgen"):
        assert net[table].equals(before[table])
    assert found.capacity_mw == pytest.approx(5.105, abs=0.011)
    assert [b.element for b in found.broken] == ["line:181"]
    assert found.chosen is not None
    assert found.chosen.capacity_mw >= 6.0
    for m in found.chosen.measures:
        apply_change(before, m.change)
    pp.create_load(before, 81, 6.0, 6.0 * np.tan(np.arccos(0.98)))
    pp.runpp(before, tolerance_mva=1e-10)
    assert max(before.res_line.loading_percent.max(), before.res_trafo.loading_percent.max()) <= 100.0
    assert before.res_bus.vm_pu.between(0.9, 1.1).all()
    assert (found.plan_table()["date"] != "").all()
    assert (found.table()["source"] != "").all()


def test_standard_sizes():
    assert next_rating(25.0) == 25.0
    assert next_rating(25.1) == 31.5
    assert next_rating(81.0) == 100.0
    assert next_rating(0.5) == 0.5
    net, _ = cable()
    assert [name.split()[1] for name, _ in larger_types(net, 0)] == ["1x120", "1x150", "1x185", "1x240"]


def test_a_larger_impedance_keeps_its_per_unit_values():
    net, bus = two_buses()
    apply_change(net, Change("rating", "impedance", 0, 20.0))
    pp.create_load(net, bus, 20.0 * 0.870134)
    pp.runpp(net, tolerance_mva=1e-10)
    assert net.res_bus.vm_pu[bus] == pytest.approx(0.95, abs=1e-6)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"wanted_mw": 0.0}, "wanted_mw"),
        ({"wanted_mw": 1.0, "n_minus_1": True}, "whole net"),
        ({"wanted_mw": 1.0, "taps": "settled"}, "taps"),
        ({"wanted_mw": 1.0, "limits": "en5016"}, "en50160"),
        ({"wanted_mw": 1.0, "power_factor": 0.0}, "power factor"),
    ],
)
def test_what_cannot_be_asked_says_what_to_do(more, words):
    net, bus = two_buses()
    with pytest.raises(InputError, match=words):
        gridedge.remedies(net, bus, **more)


def test_a_line_of_a_case_file_has_no_length_so_no_price_and_no_type():
    from pandapower import networks as nw

    net = nw.case9()  # whole lines, written as 1 km of 68 ohm
    assert larger_types(net, 2) == []
    found = gridedge.remedies(net, 4, 160.0, limits={"loading_percent": 80}, supply="slack")
    assert found.chosen is not None
    lines = [m for m in found.chosen.measures if m.kind == "parallel line"]
    assert lines
    assert all(m.cost is None and "unknown length" in m.words for m in lines)
    assert any("without a price" in r for r in found.remarks)
