"""The transmission net of Texas: who delivers decides what stops a site, and neighbours stop for different reasons.

Oracle: plain ``runpp``, with the units set by hand in proportion to their headroom.
"""

import copy

import numpy as np
import pytest

import gridedge
from gridedge.grid.extras import missing_packages
from gridedge.grid.ratings import branch_loading_percent
from gridedge.grid.texas import texas_net

pp = pytest.importorskip("pandapower")
ABSENT = missing_packages("texas")
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"texas2000 needs {', '.join(ABSENT)}, not installed")
DALLAS = ("DALLAS 24 0", "DALLAS 41 0", "DALLAS 44 0")


@pytest.fixture(scope="module")
def net():
    return texas_net()


@pytest.fixture(scope="module")
def found(net):
    return gridedge.hosting_capacity(net, buses=DALLAS, supply="auto")


def shared(net, bus, p_mw, out=None):
    """Solve with the site and an outage, all units left taking their part of what is missing; return the loadings."""
    own = copy.deepcopy(net)
    pp.runpp(own, tolerance_mva=1e-8)
    slack_mw = float(own.res_ext_grid.p_mw.sum())
    lost_mw = 0.0
    if out is not None:
        table, index = out.split(":")
        own[table].at[int(index), "in_service"] = False
        lost_mw = float(own.gen.p_mw.at[int(index)]) if table == "gen" else 0.0
    alive = own.gen.in_service.to_numpy()
    assert not own.gen.slack[alive].any()
    scheduled = own.gen.p_mw.to_numpy().copy()
    room = np.where(alive, np.maximum(own.gen.max_p_mw - scheduled, 0.0), 0.0)
    slack_room = max(float(own.ext_grid.max_p_mw.iloc[0]) - slack_mw, 0.0)
    total = room.sum() + slack_room
    pp.create_load(own, bus, p_mw, p_mw * np.tan(np.arccos(0.98)))
    change = p_mw + lost_mw
    for _ in range(20):
        own.gen["p_mw"] = scheduled + change * room / total
        pp.runpp(own, tolerance_mva=1e-8, init="results")
        left = float(own.res_ext_grid.p_mw.sum()) - slack_mw - change * slack_room / total
        if abs(left) < 1e-4:
            break
        change += left
    return branch_loading_percent(own)


def test_three_buses_of_dallas_stop_for_different_reasons(found):
    assert found.data.attrs["supply"] == "headroom"
    assert found.data["kind"].values.tolist() == ["loading"] * 3
    assert len(set(found.data["element"].values.tolist())) == 3
    assert np.diff(np.sort(found.capacity_mw.values)).min() > 100
    assert not found.data["at_slack"].any()
    assert any("Reactive limits of units are not enforced" in r for r in found.remarks)


def test_runpp_with_units_set_by_hand_says_the_same(net, found):
    bus, mw = int(found.data["bus"][0]), float(found.capacity_mw[0])
    element = str(found.data["element"].values[0])
    for size, breaks in ((mw, False), (mw + 1.0, True)):
        loading = shared(net, bus, size)
        assert bool((loading > 100.0 + 1e-4).any()) == breaks
        assert loading.idxmax() == element if breaks else True


def test_with_the_slack_alone_it_is_the_slack_that_stops_the_site(net, found):
    alone = gridedge.hosting_capacity(net, buses=DALLAS[0], supply="slack")
    assert bool(alone.data["at_slack"][0])
    assert float(alone.capacity_mw[0]) < 0.5 * float(found.capacity_mw[0])


def test_after_an_outage_no_bus_stops_at_the_slack_and_runpp_says_the_same(net):
    largest = f"gen:{net.gen.p_mw.where(net.gen.in_service).idxmax()}"
    given = {"limits": {"vm_pu": [0.9, 1.1], "loading_percent": 100}, "existing": "no_worse"}
    secure = gridedge.hosting_capacity(net, buses=DALLAS, **given, n_minus_1=[largest, "line:1089", "impedance:354"])
    assert not secure.data["at_slack"].any()
    assert secure.data["outage"].values.tolist()[0] == "line:1089"
    assert secure.data["outage"].values.tolist()[2] == "impedance:354"
    assert secure.data.attrs["error_vm_pu"] < 1e-8
    bus, mw, out = (secure.data[name].values[0] for name in ("bus", "capacity_mw", "outage"))
    assert shared(net, int(bus), float(mw), str(out)).max() <= 100.0 + 1e-4
    above = shared(net, int(bus), float(mw) + 0.1, str(out))
    assert above.idxmax() == str(secure.data["element"].values[0])
    assert above.max() > 100.0 + 1e-4
    # What the largest unit delivered comes from all, so it is not this outage that stops anybody.
    assert shared(net, int(bus), float(mw), largest).max() <= 100.0 + 1e-4
