"""Buses by what their table says."""

import pytest

from gridedge.errors import InputError

pp = pytest.importorskip("pandapower")

from gridedge.grid.selection import select_buses  # noqa: E402


def named():
    net = pp.create_empty_network()
    pp.create_ext_grid(net, pp.create_bus(net, 20.0))
    for zone in (3.0, "3", None):
        pp.create_line_from_parameters(net, 0, pp.create_bus(net, 20.0, zone=zone), 1, 0.1, 0.1, 0, 0.4)
    return net


def test_a_bus_of_which_the_net_says_nothing_is_in_no_region():
    assert select_buses(named(), "all", {"zone": 3})[0] == [1, 2]


def test_a_column_that_the_net_does_not_fill_is_told():
    net = named()
    net.bus["zone"] = None
    with pytest.raises(InputError, match="fills zone for none of them"):
        select_buses(net, "all", {"zone": 3})
