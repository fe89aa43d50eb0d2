"""What feeds a bus, where it lies, which buses are meant: on small nets whose answer is plain to see."""

import json

import numpy as np
import pandapower as pp
import pytest

from gridedge.errors import InputError
from gridedge.grid.drawing import drawing
from gridedge.grid.feeders import load_feeder
from gridedge.grid.feeding import feeding, transformer_labels
from gridedge.grid.places import great_circle_km, places
from gridedge.grid.selection import select_buses
from gridedge.plot.scheme import scheme


def substation(ring=False, second=False):
    """Return 110 kV, a bank of 25 MVA (or two), a busbar and two feeders; a ring closes them."""
    net = pp.create_empty_network()
    high, bar, a, a2, b = (pp.create_bus(net, kv, name=n) for kv, n in
                           ((110, "grid"), (20, "bar"), (20, "a"), (20, "a2"), (20, "b")))  # fmt: skip
    pp.create_ext_grid(net, high)
    for _ in range(2 if second else 1):
        pp.create_transformer(net, high, bar, "25 MVA 110/20 kV", name="bank")
    for start, stop in ((bar, a), (a, a2), (bar, b)) + (((a, b),) if ring else ()):
        pp.create_line(net, start, stop, 1.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.create_load(net, a2, 1.5, scaling=2.0)
    pp.create_sgen(net, b, 0.7)
    return net


def test_bank_feeder_and_power_of_a_radial_net():
    fed = feeding(substation())
    assert fed["bank"].tolist() == ["", "bank", "bank", "bank", "bank"]
    assert fed["bank_mva"].iloc[1:].tolist() == [25.0] * 4
    assert fed["substation"].iloc[3] == "bar"
    assert fed["feeder"].tolist() == ["", "", "line:0", "line:0", "line:2"]
    assert fed["load_mw"].tolist() == [0, 0, 0, 3.0, 0]
    assert fed["generation_mw"].iloc[4] == 0.7


def test_transformers_in_parallel_are_one_bank():
    fed = feeding(substation(second=True))
    assert fed["bank"].iloc[2] == "bank; bank"
    assert fed["bank_mva"].iloc[2] == 50.0
    twins = substation()
    twins.trafo["parallel"] = 2
    assert feeding(twins)["bank_mva"].iloc[2] == 50.0


def test_a_ring_has_a_bank_and_no_single_feeder_until_it_is_opened():
    net = substation(ring=True)
    assert feeding(net)["feeder"].iloc[2:].tolist() == ["", "", ""]
    assert feeding(net)["bank"].iloc[2] == "bank"
    pp.create_switch(net, 2, 3, et="l", closed=False)
    assert feeding(net)["feeder"].iloc[2:].tolist() == ["line:0", "line:0", "line:2"]


def test_three_windings_are_one_bank():
    net = pp.create_empty_network()
    h, m, low, end = (pp.create_bus(net, kv, name=f"{kv} kV") for kv in (110, 20, 10, 10))
    pp.create_ext_grid(net, h)
    pp.create_transformer3w(net, h, m, low, "63/25/38 MVA 110/20/10 kV", name="three")
    pp.create_line(net, low, end, 1.0, "NA2XS2Y 1x185 RM/25 12/20 kV")
    fed = feeding(net)
    assert fed["bank"].tolist() == ["", "three", "three", "three"]
    assert fed["bank_mva"].iloc[3] == 63.0
    assert fed["substation"].iloc[3] == "10.0 kV" or fed["substation"].iloc[3] == "10 kV"
    assert fed["feeder"].tolist() == ["", "", "", "line:0"]
    assert transformer_labels(net) == {"trafo3w:0"}


def test_a_generator_behind_its_own_transformer_makes_no_bank():
    """case39 holds its angle at a generator: its step-up transformer feeds nobody."""
    assert set(feeding(load_feeder("case39").net)["bank"]) == {""}


def test_a_tenth_of_the_earth_and_a_published_distance():
    """A degree of a great circle; Paris to Berlin is 878 km (great circle, rounded)."""
    assert great_circle_km(np.array([0.0, 0.0]), np.array([0.0, 1.0])) == pytest.approx(111.195, abs=1e-3)
    assert great_circle_km(np.array([2.3522, 48.8566]), np.array([13.405, 52.52])) == pytest.approx(878, abs=1)


def test_degrees_are_told_from_drawings():
    assert places(load_feeder("mv_oberrhein").net).geographic
    drawn = places(load_feeder("cigre_mv").net)
    assert not drawn.geographic
    assert "those of a drawing" in drawn.why_not
    assert "no line has a length of its own" in places(load_feeder("case33bw").net).why_not
    net = substation()
    assert places(net).why_not == "The net has no coordinates."
    net.bus["geo"] = [json.dumps({"type": "Point", "coordinates": [3.4e6 + k, 5.3e6]}) for k in range(5)]
    assert "beyond 180 or 90 degrees" in places(net).why_not


def test_buses_by_load_by_column_and_by_name():
    net = substation()
    net.bus["area"] = [1, 1, 2, 2, 2]
    assert select_buses(net, "all")[0] == [0, 1, 2, 3, 4]
    assert select_buses(net, "loads")[0] == [3]
    assert select_buses(net, "all", {"area": 2, "vn_kv": 20})[0] == [2, 3, 4]
    assert select_buses(net, ["b", 2])[0] == [4, 2]
    net.line.loc[1, "in_service"] = False  # a2 is dark
    assert select_buses(net, "all") == ([0, 1, 2, 4], ["1 bus is out of service or has no supply: left out."])
    with pytest.raises(InputError, match=r"no bus is left.*There are: 1, 2"):
        select_buses(net, "all", {"area": 7})
    with pytest.raises(InputError, match=r"no such column \(got aera\). Did you mean 'area'"):
        select_buses(net, "all", {"aera": 7})


def test_a_chain_is_drawn_in_order_and_a_second_island_is_left_out():
    ends = np.array([[0, 1], [1, 2], [2, 3], [4, 5]])
    xy = scheme(6, ends, np.array([1.0, 4.0, 1.0, 1.0]))
    assert np.isnan(xy[4:]).all()
    apart = np.linalg.norm(np.diff(xy[:4], axis=0), axis=1)
    assert apart[1] / apart[0] == pytest.approx(2, rel=0.02)  # lengths go with the root of the impedance
    assert np.linalg.norm(xy[3] - xy[0]) == pytest.approx(apart.sum(), rel=0.01)
    np.testing.assert_array_equal(xy, scheme(6, ends, np.array([1.0, 4.0, 1.0, 1.0])))


def test_a_drawing_holds_every_branch_in_service():
    net = substation(second=True)
    net.line.loc[2, "in_service"] = False
    drawn = drawing(net)
    assert drawn.label == ["line:0", "line:1", "trafo:0", "trafo:1"]
    assert drawn.ends.tolist() == [[1, 2], [2, 3], [0, 1], [0, 1]]
    assert drawn.z_ohm[0] == pytest.approx(np.hypot(0.161, 0.117), rel=1e-6)
    assert drawn.z_ohm[2] == 0


@pytest.mark.parametrize("feeder", ["mv_oberrhein", "cigre_mv", "illinois200"])
def test_without_its_feeder_or_its_bank_a_bus_is_dark(feeder):
    """What pandapower finds dark when a branch is out is what hangs on it, and nothing else."""
    from pandapower.topology import unsupplied_buses

    net = load_feeder(feeder).net
    fed = feeding(net)
    before = unsupplied_buses(net)
    for label, mine in fed[fed["feeder"] != ""].groupby("feeder"):
        table, _, index = label.partition(":")
        net[table].loc[int(index), "in_service"] = False
        assert unsupplied_buses(net) - before == set(mine.index)
        net[table].loc[int(index), "in_service"] = True
    for bank, mine in fed[fed["bank"] != ""].groupby("bank"):
        names = net.trafo["name"].astype(str)
        index = net.trafo.index[names == bank] if (names == bank).any() else [int(bank.partition(":")[2])]
        net.trafo.loc[index, "in_service"] = False
        assert unsupplied_buses(net) - before == set(mine.index)
        net.trafo.loc[index, "in_service"] = True
