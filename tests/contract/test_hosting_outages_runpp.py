"""Hosting capacity under outages, judged by a loop of plain runpp over all of them."""

import copy

import numpy as np
import pytest

import gridedge
from gridedge.grid.feeders import load_feeder

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

Q_PER_P = float(np.tan(np.arccos(0.98)))
BRANCHES = ("line", "trafo")


def tied():
    """case33bw with two of its ties closed, so that outages of most lines leave a way."""
    net = nw.case33bw()
    net.line.loc[[32, 36], "in_service"] = True
    net.line["max_i_ka"] = 0.35
    return net


def after(net, out, bus=None, p_mw=0.0):
    """Return voltages and loadings by plain runpp while something is out; None where it does not converge."""
    own = copy.deepcopy(net)
    for label in out.split("+") if out else ():
        table, index = label.split(":")
        own[table].at[int(index), "in_service"] = False
    if bus is not None:
        pp.create_load(own, bus, p_mw, Q_PER_P * p_mw)
    try:
        pp.runpp(own, tolerance_mva=1e-10, max_iteration=50, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged:
        return None
    loading = {f"{t}:{i}": x for t in BRANCHES for i, x in own[f"res_{t}"].loading_percent.items()}
    return {f"bus {i}": v for i, v in own.res_bus.vm_pu.items() if np.isfinite(v)}, loading


def broken(net, outages, bus, p_mw, low, high, full, no_worse):
    """Return every (outage, element) that breaks a limit, by plain runpp."""
    found = set()
    for out, base in outages.items():
        here = after(net, out, bus, p_mw)
        if base is None:
            continue
        if here is None:
            found.add((out, f"bus {bus}"))
            continue
        for name, v in here[0].items():
            b = base[0][name]
            least = min(low, b - 0.0005) if no_worse and b < low else low
            most = max(high, b + 0.0005) if no_worse and b > high else high
            if v < least - 1e-7 or v > most + 1e-7:
                found.add((out, name))
        for name, x in here[1].items():
            b = base[1][name]
            if x > (max(full, b + 0.1) if no_worse and b > full else full) + 1e-5:
                found.add((out, name))
    return found


def singles(net):
    tables = ("line", "trafo", "gen")
    return [f"{t}:{i}" for t in tables for i in net[t].index[net[t].in_service]]


# net, bus, lowest and highest voltage, loading, existing, and every how many elements is lost
CASES = {
    "case9": (nw.case9, 4, 0.9, 1.1, 110.0, "no_worse", 1),
    "case33bw with ties": (tied, 24, 0.7, 1.1, 400.0, "absolute", 3),
    "case39": (nw.case39, 7, 0.9, 1.1, 100.0, "no_worse", 4),
}


@pytest.mark.parametrize("name", CASES)
def test_all_hold_at_the_capacity_and_the_one_reported_breaks_above(name):
    make, bus, low, high, full, existing, every = CASES[name]
    net = make()
    lost = singles(net)[::every]
    outages = {out: after(net, out) for out in ["", *lost]}
    limits = {"vm_pu": [low, high], "loading_percent": full}
    given = {"buses": bus, "limits": limits, "existing": existing, "supply": "slack"}
    found = gridedge.hosting_capacity(net, **given, n_minus_1=True if every == 1 else lost)
    whole = gridedge.hosting_capacity(net, **given)
    assert (found.capacity_mw <= whole.capacity_mw + 1e-9).all()
    assert found.data.attrs["error_vm_pu"] < 1e-8
    mw, out = float(found.capacity_mw[0]), str(found.data["outage"][0].values)
    assert out  # else nothing is tested
    limit = low, high, full, existing == "no_worse"
    assert mw > 0
    assert not broken(net, outages, bus, mw, *limit)
    element = str(found.data["element"][0].values)
    assert (out, element) in broken(net, {out: outages[out]}, bus, mw + 0.02, *limit)
    assert not float(found.data["next_mw"][0]) < mw


def test_a_radial_feeder_loses_supply_and_breaks_nothing():
    given = {"buses": [81, 194], "limits": ("en50160", "ratings")}
    whole = gridedge.hosting_capacity("mv_oberrhein", **given)
    found = gridedge.hosting_capacity("mv_oberrhein", **given, n_minus_1=True)
    # An outage may take the charging of a cable with it, so that its transformer carries a little more.
    assert (found.capacity_mw <= whole.capacity_mw + 1e-9).all()
    assert (found.capacity_mw >= whole.capacity_mw - 0.02).all()
    lost = found.lost_supply.set_index("outage")
    net = load_feeder("mv_oberrhein").net
    behind = set(map(int, net.bus.index[net.bus.in_service])) - {
        int(n.removeprefix("bus ")) for n in after(net, "trafo:114")[0]
    }
    assert set(lost.at["trafo:114", "buses"]) == behind
    load = net.load[net.load.in_service & net.load.bus.isin(behind)]
    assert lost.at["trafo:114", "lost_mw"] == pytest.approx(float((load.p_mw * load.scaling).sum()))
    assert "trafo:114" in str(found.data["cut_off_by"].sel(bus=81).values).split(", ")
    assert "trafo:114" not in str(found.data["cut_off_by"].sel(bus=194).values).split(", ")
