"""Who delivers after an outage: the units that remain by their headroom, judged by plain runpp dispatched by hand."""

import copy

import numpy as np
import pytest

import gridedge
from gridedge.grid.engines.outages import cases
from gridedge.grid.engines.secured import Held
from gridedge.grid.inject import scaled_background
from gridedge.grid.outage_states import Sites
from gridedge.grid.trial import Trial
from gridedge.grid.trial_outages import TrialOutages

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

Q_PER_P = float(np.tan(np.arccos(0.98)))
OF_9 = ["line:1", "line:3", "line:4", "gen:1"]  # line:3 leaves a unit without a way
OF_39 = ["gen:5", "line:17", "trafo:10", ("gen:3", "line:6")]


def solved(net):
    """Solve by plain runpp; return what the slack delivers, None where nothing converges."""
    try:
        pp.runpp(net, tolerance_mva=1e-9, max_iteration=30, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged:
        return None
    return float(net.res_ext_grid.p_mw.sum())


def after(net, out, bus=None, p_mw=0.0, now=None, q_per_p=Q_PER_P):
    """Return voltages, loadings and what all deliver while something is out; None without a solution.

    ``net`` says what everybody delivers as a schedule, ``now`` is the same net with what has moved since.
    """
    slack_mw = solved(own := copy.deepcopy(net))
    own = copy.deepcopy(net if now is None else now)
    scheduled, own_gen = own.gen.p_mw.to_numpy().copy(), own.gen
    for label in [out] if isinstance(out, str) else out:
        table, index = label.split(":")
        own[table].at[int(index), "in_service"] = False
    if bus is not None:
        pp.create_load(own, bus, p_mw, q_per_p * p_mw)
    dark = pp.topology.unsupplied_buses(own)
    alive = (own_gen.in_service & ~own_gen.bus.isin(dark)).to_numpy()
    lost = (scheduled * (net.gen.in_service.to_numpy() & ~alive)).sum() - own.load.p_mw[own.load.bus.isin(dark)].sum()
    change, off = float(p_mw + lost), 1.0
    for _ in range(40):
        sides = (own.gen.max_p_mw - scheduled, own.ext_grid.max_p_mw.iloc[0] - slack_mw)
        if change < 0:
            sides = (scheduled - own.gen.min_p_mw, slack_mw - own.ext_grid.min_p_mw.iloc[0])
        room, of_slack = np.where(alive, np.maximum(sides[0], 0.0), 0.0), max(float(sides[1]), 0.0)
        total = room.sum() + of_slack
        own.gen["p_mw"] = scheduled + change * room / total
        made = solved(own)
        if made is None:
            return None
        off = made - slack_mw - change * of_slack / total
        if abs(off) < 1e-6:
            break
        change += 1.05 * off  # losses grow with it
    assert abs(off) < 1e-6
    loading = {f"{t}:{i}": x for t in ("line", "trafo") for i, x in own[f"res_{t}"].loading_percent.items()}
    voltage = {f"bus {i}": v for i, v in own.res_bus.vm_pu.items() if np.isfinite(v)}
    return voltage, loading, change, total


def broken(net, out, bus, p_mw, band, full, no_worse, now=None):
    """Return the elements that break a limit in an outage."""
    base, here = after(net, out, now=now), after(net, out, bus, p_mw, now=now)
    found = set()
    for name, v in here[0].items():
        b, (low, high) = base[0][name], band
        least = min(low, b - 0.0005) if no_worse and b < low else low
        most = max(high, b + 0.0005) if no_worse and b > high else high
        if v < least - 1e-7 or v > most + 1e-7:
            found.add(name)
    for name, x in here[1].items():
        b = base[1][name]
        if x > (max(full, b + 0.1) if no_worse and b > full else full) + 1e-5:
            found.add(name)
    return found


CASES = {
    "case9": (nw.case9, 4, OF_9, (0.8, 1.1), 110.0, "no_worse"),
    "case39": (nw.case39, 7, OF_39, (0.9, 1.1), 100.0, "no_worse"),
}


@pytest.mark.parametrize("name", CASES)
def test_all_hold_at_the_capacity_and_the_one_reported_breaks_above(name):
    make, bus, outages, band, full, existing = CASES[name]
    net = make()
    given = {"buses": bus, "limits": {"vm_pu": list(band), "loading_percent": full}, "existing": existing}
    found = gridedge.hosting_capacity(net, **given, n_minus_1=outages)
    whole = gridedge.hosting_capacity(net, **given)
    assert found.data.attrs["supply_after_outage"] == "headroom"
    assert any("shared by the units that remain" in r for r in found.remarks)
    assert found.data.attrs["error_vm_pu"] < 1e-8
    mw, out = float(found.capacity_mw[0]), str(found.data["outage"].values[0])
    assert 0 < mw < float(whole.capacity_mw[0])
    rest = (band, full, existing == "no_worse")
    for one in outages:
        assert not broken(net, one, bus, mw, *rest), one
    stopped = next(o for o in outages if (o if isinstance(o, str) else "+".join(o)) == out)
    assert str(found.data["element"].values[0]) in broken(net, stopped, bus, mw + 0.02, *rest)


def test_every_outage_has_the_voltages_and_loadings_of_runpp_whatever_it_takes_away():
    # Units that are lost or cut off, load that is cut off, with a site and without: the inner loop and runpp.
    net = nw.case9()
    net.load.loc[0, "p_mw"], net.ext_grid["min_p_mw"] = 150.0, 0.0
    bus = pp.create_bus(net, 345.0)
    pp.create_line_from_parameters(net, 8, bus, 1.0, 0.1, 0.5, 0.0, max_i_ka=1.0)
    pp.create_load(net, bus, 60.0)
    tried = Trial(net, [4], Q_PER_P, None, None, "headroom")
    outages = TrialOutages(tried, cases(tried.own, ["line:2", "line:3", "line:9", "gen:0", ("gen:1", "line:9")]))
    nothing = np.full(len(tried.model.readout.bus_index), np.inf)
    held = Held(np.full_like(nothing, 0.9), np.full_like(nothing, 1.1), np.full(10, 100.0), False, 0.0, 0.0, 0.0)
    for p_mw in (0.0, 30.0):
        site = Sites(np.array([0]), np.array([p_mw]), np.array([0]))
        for k, label in enumerate(outages.labels):
            seen = outages.see(site, held, np.array([k]))
            assert seen.solved.all(), label
            vm, loading = outages.one.by_runpp(k, site)
            assert float(seen.margin[0, 0, 0]) == pytest.approx(np.nanmin(vm) - 0.9, abs=1e-8), label
            assert float(seen.margin[0, 2, 0]) == pytest.approx(100.0 - np.nanmax(loading), abs=1e-5), label
            found = outages.one.exact(k, site)
            assert np.nanmax(np.abs(found[1] - vm)) < 1e-8
            if label in {"line:2", "gen:0"}:
                by_hand = after(net, label, 4, p_mw)
                assert np.nanmax(loading) == pytest.approx(max(by_hand[1].values()), abs=1e-3), label


def test_what_the_remaining_units_cannot_deliver_is_lack_of_supply():
    net = nw.case9()
    wide = {"vm_pu": [0.5, 1.5]}
    found = gridedge.hosting_capacity(net, buses=6, power_factor=1.0, limits=wide, n_minus_1=["gen:0", "line:1"])
    assert found.data["kind"].values.tolist() == ["supply"]
    assert found.data["outage"].values.tolist() == ["gen:0"]
    mw = float(found.capacity_mw[0])
    # gen:1 can deliver 270 MW, the slack 250 MW.
    _, _, change, total = after(net, "gen:0", 6, mw, q_per_p=0.0)
    assert change == pytest.approx(total, abs=0.02)
    assert change < total
    assert float(gridedge.hosting_capacity(net, buses=6, power_factor=1.0, limits=wide).capacity_mw[0]) > mw + 100


def test_an_outage_that_nobody_can_stand_in_for_is_left_out_and_said():
    net = nw.case9()
    net.gen["max_p_mw"], net.ext_grid["max_p_mw"] = [170.0, 90.0], 80.0
    found = gridedge.hosting_capacity(
        net, buses=4, limits={"vm_pu": [0.9, 1.1]}, n_minus_1=["gen:0", "line:1"], supply="headroom"
    )
    assert any("outages take more than the remaining units can deliver" in r and "gen:0" in r for r in found.remarks)
    assert float(found.capacity_mw[0]) > 0


@pytest.mark.parametrize(("table", "outages"), [("load", ["line:1", "line:4", "gen:1"]), ("gen", ["line:4"])])
def test_each_step_of_a_background_is_judged(table, outages):
    # A schedule of generators that moves is solved state by state, moving loads in lanes.
    net, share = nw.case9(), np.array([0.8, 1.0])
    series = scaled_background(net, table, share, 3600.0 * np.arange(2))
    band, full = (0.8, 1.1), 110.0
    limits = {"vm_pu": list(band), "loading_percent": full}
    given = {"buses": 4, "limits": limits, "background": series, "tol_mw": 1.0}
    found = gridedge.hosting_capacity(net, **given, n_minus_1=outages)
    whole = gridedge.hosting_capacity(net, **given)
    assert found.data.attrs["error_vm_pu"] < 1e-8
    mw, out = float(found.capacity_mw[0]), str(found.data["outage"].values[0])
    assert 0 < mw < float(whole.capacity_mw[0])
    stops = int(float(found.data["time_s"][0]) / 3600.0)
    for k, part in enumerate(share):
        now = copy.deepcopy(net)
        for column in ("p_mw", "q_mvar") if table == "load" else ("p_mw",):
            now[table][column] *= part
        for one in outages:
            assert not broken(net, one, 4, mw, band, full, False, now=now), (k, one)
        if k == stops:
            assert str(found.data["element"].values[0]) in broken(net, out, 4, mw + 1.1, band, full, False, now=now)
