"""A feeder under a transmission bus, against plain runpp."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError, RunError
from gridedge.planning.nesting import nest

pp = pytest.importorskip("pandapower")


def feeder():
    net = pp.create_empty_network(sn_mva=1.0)
    top, bus = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    end = pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, top, vm_pu=1.01)
    pp.create_transformer(net, top, bus, "25 MVA 110/20 kV")
    pp.create_line_from_parameters(net, bus, end, 5.0, 0.1, 0.35, 10.0, max_i_ka=0.5)
    pp.create_load(net, end, 3.0, 1.0)
    return net


def drawn(p_mw):
    p = np.asarray(p_mw, dtype=float)[:, None]
    coords = {"time": 900.0 * np.arange(p.size), "site": ["a"], "bus": ("site", [2])}
    return xr.Dataset({"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)}, coords=coords)


def by_runpp(p_mw):
    net = feeder()
    pp.create_load(net, 2, p_mw, 0.2 * p_mw)
    pp.runpp(net, tolerance_mva=1e-10)
    return net.res_ext_grid.p_mw[0], net.res_ext_grid.q_mvar[0], net.res_trafo.loading_percent[0]


def test_the_bus_above_sees_the_sites_and_the_losses_that_they_cause():
    found = nest(feeder(), drawn([4.0, 10.0]), bus=7)
    none, some, more = by_runpp(0.0), by_runpp(4.0), by_runpp(10.0)
    assert found["p_mw"].values[:, 0] == pytest.approx([some[0] - none[0], more[0] - none[0]], abs=1e-6)
    assert found["q_mvar"].values[:, 0] == pytest.approx([some[1] - none[1], more[1] - none[1]], abs=1e-6)
    assert found.attrs["losses_added_mw"] == pytest.approx(more[0] - none[0] - 10, abs=1e-6)
    assert found.attrs["losses_added_mw"] > 0.05
    assert found["bus"].values.tolist() == [7]
    whole = nest(feeder(), drawn([4.0, 10.0]), bus=7, whole=True)
    assert whole["p_mw"].values[:, 0] == pytest.approx([some[0], more[0]], abs=1e-6)
    assert found.attrs["feeder_loading_max_percent"] >= more[2] - 1e-6


def test_three_feeders_on_a_transmission_net():
    up = nest(feeder(), drawn([4.0, 5.0]), bus=[3, 5, 7], names=["x", "y", "z"])
    grid = pp.networks.case9()
    result = gridedge.solve(grid, up)
    for bus in (3, 5, 7):
        pp.create_load(grid, bus, float(up["p_mw"][1, 0]), float(up["q_mvar"][1, 0]))
    pp.runpp(grid, tolerance_mva=1e-10)
    assert result["vm_pu"].isel(time=1).values == pytest.approx(grid.res_bus.vm_pu.values, abs=1e-8)


def test_what_is_refused():
    with pytest.raises(InputError, match="names"):
        nest(feeder(), drawn([1.0]), bus=[1, 2], names=["x"])
    with pytest.raises(InputError, match="one name"):
        nest(feeder(), drawn([1.0, 1.0]), bus=[1, 2], names=["x", "x"])
    with pytest.raises(RunError, match="no solution with its sites"):
        nest(feeder(), drawn([1.0, 500.0]), bus=1)
    own = feeder()
    pp.create_gen(own, 2, 1.0, vm_pu=1.0)
    with pytest.raises(InputError, match="generators"):
        nest(own, drawn([1.0, 1.0]), bus=1)
