"""The batch engine where it is hard: states that cannot be, the nose of the curve, nets it must refuse."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.grid.engines import batch, reference
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.inputs import inputs
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.moving import Moving

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402


def site(bus, p_mw, q_mvar=None, dt_s=1.0):
    p = np.asarray(p_mw, dtype=float)[:, None]
    q = np.zeros_like(p) if q_mvar is None else np.asarray(q_mvar, dtype=float)[:, None]
    return xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), q)},
        coords={"time": dt_s * np.arange(p.size), "site": ["campus"], "bus": ("site", [bus])},
        attrs={"dt_s": dt_s},
    )


def two_buses(x_pu=0.1):
    """Return a source and a bus behind a reactance, 1 MVA base, with a load of 0.1 pu."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_impedance(net, a, b, rft_pu=0.0, xft_pu=x_pu, sn_mva=1.0)
    pp.create_load(net, b, 0.1)
    return net


@pytest.mark.parametrize("engine", ["batch", "reference"])
def test_one_state_of_a_thousand_that_cannot_be_is_masked(engine):
    count = 1000 if engine == "batch" else 100
    p = np.linspace(0.5, 4.0, count)
    p[count // 3] = 900.0
    ds = gridedge.solve("mv_oberrhein", site(118, p, 0.2 * p), engine=engine)
    assert ds["converged"].values.sum() == count - 1
    assert not bool(ds["converged"][count // 3])
    assert ds["vm_pu"][count // 3].isnull().all()
    assert ds["loading_percent"][count // 3].isnull().all()
    from gridedge.grid.feeders import load_feeder

    for k in (0, count // 3 - 1, count // 3 + 1, count - 1):
        net = load_feeder("mv_oberrhein").net
        pp.create_load(net, 118, p[k], 0.2 * p[k])
        pp.runpp(net, tolerance_mva=1e-10)
        np.testing.assert_allclose(ds["vm_pu"][k], net.res_bus.vm_pu, rtol=0, atol=1e-8)


@pytest.mark.parametrize("engine", ["batch", "reference"])
def test_the_nose_of_two_buses_is_where_the_closed_form_puts_it(engine):
    """X = 0.1 pu, unity power factor: collapse at P = 1 / (2 X) = 5.0 pu, V = 1 / sqrt(2) = 0.7071 pu."""
    p = np.concatenate((np.linspace(0.0, 4.9, 50), 5.0 + np.array([-1e-8, 1e-6, 1e-4, 0.01, 1.0])))
    net = two_buses()
    net.load["p_mw"] = 0.0
    ds = gridedge.solve(net, site(1, p), engine=engine)
    assert ds["converged"].values.tolist() == [True] * 51 + [False] * 4
    vm = ds["vm_pu"].sel(bus=1).values[:51]
    x = 0.1
    closed = np.sqrt(0.5 + np.sqrt(0.25 - (p[:51] * x) ** 2))
    np.testing.assert_allclose(vm[:50], closed[:50], rtol=0, atol=1e-8)
    assert vm[50] == pytest.approx(0.7071, abs=1e-4)


def test_a_lane_that_is_lost_does_not_harm_its_neighbours():
    net = two_buses()
    assert reference.run_once(net)
    model = extract(net)
    values = np.full((40, 1), 1.0)
    values[::7] = np.nan
    values[3::7] = 60.0
    moving = [Moving("load", "p_mw", np.array([0]), values)]
    what = inputs(net, model, moving)
    x = what.values(slice(0, 40))
    room = Lanes(model.v0.size, 40)
    converged = batch.prepare(model, what, 40).solve(moving, x, room)
    v = room.take(np.arange(40))
    good = np.isfinite(values[:, 0]) & (values[:, 0] < 5)
    assert converged.tolist() == good.tolist()
    closed = np.sqrt(0.5 + np.sqrt(0.25 - 0.1**2))
    np.testing.assert_allclose(np.abs(v[-1, good]), closed, rtol=0, atol=1e-12)
    assert np.isnan(v[:, ~good]).all()


def test_what_the_batch_engine_cannot_do_is_refused_by_name_and_auto_goes_elsewhere():
    net = nw.case9()
    net.load["const_z_p_percent"] = 40.0
    net.load["const_z_q_percent"] = 40.0
    assert covers(net) == ["loads that depend on the voltage"]
    p = np.linspace(1, 30, 80)
    with pytest.raises(InputError, match=r"loads that depend on the voltage.*reference"):
        gridedge.solve(net, site(4, p), engine="batch")
    ds = gridedge.solve(net, site(4, p))
    assert ds.attrs["engine"] == "reference"
    assert "loads that depend on the voltage" in ds.attrs["engine_why"]
    own = copy.deepcopy(net)
    pp.create_sgen(own, 4, -p[70])
    pp.runpp(own, tolerance_mva=1e-10)
    np.testing.assert_allclose(ds["vm_pu"][70], own.res_bus.vm_pu, rtol=0, atol=1e-8)


def test_auto_chooses_by_what_moves_and_says_so():
    few = gridedge.solve("case33bw", site(5, np.linspace(0, 0.2, 10)))
    many = gridedge.solve("case33bw", site(5, np.linspace(0, 0.2, 100)))
    assert few.attrs["engine"] == "reference"
    assert many.attrs["engine"] == "batch"
    assert 0 <= many.attrs["error_vm_pu"] < 1e-8
    slow = gridedge.solve("case33bw", site(5, np.linspace(0, 0.2, 100)), engine="reference")
    for name in ("vm_pu", "va_degree", "loading_percent", "pl_mw"):
        np.testing.assert_allclose(many[name], slow[name], rtol=1e-7, atol=1e-8)


def test_reversing_a_line_and_relabelling_buses_change_nothing():
    net = nw.case33bw()
    turned = copy.deepcopy(net)
    turned.line[["from_bus", "to_bus"]] = turned.line[["to_bus", "from_bus"]].to_numpy()
    load = site(17, np.linspace(0, 0.5, 70))
    plain = gridedge.solve(net, load)
    np.testing.assert_allclose(plain["vm_pu"], gridedge.solve(turned, load)["vm_pu"], rtol=0, atol=1e-9)
    from pandapower.toolbox import reindex_buses

    moved = copy.deepcopy(net)
    reindex_buses(moved, {int(b): int(b) + 500 for b in net.bus.index})
    other = gridedge.solve(moved, site(517, np.linspace(0, 0.5, 70)))
    np.testing.assert_allclose(plain["vm_pu"].sel(bus=17), other["vm_pu"].sel(bus=517), rtol=0, atol=1e-9)
