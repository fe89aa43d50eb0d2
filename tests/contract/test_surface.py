"""The surface engine: how many sites it carries, what it says of its error, and when it gives way."""

import numpy as np
import pytest
import xarray as xr

import gridedge

pytest.importorskip("pandapower")
BUSES = [20, 43, 52, 83, 94, 105]


def free(count, steps, seed=0):
    """Return sites that draw active and reactive power independently of each other."""
    rng = np.random.default_rng(seed)
    return xr.Dataset(
        {
            "p_mw": (("time", "site"), rng.uniform(2, 8, (steps, count))),
            "q_mvar": (("time", "site"), rng.uniform(1, 3, (steps, count))),
        },
        coords={
            "time": 1.0 * np.arange(steps),
            "site": [f"s{k}" for k in range(count)],
            "bus": ("site", BUSES[:count]),
        },
    )


@pytest.mark.parametrize(("count", "tolerance"), [(1, 1e-6), (1, 1e-8), (2, 1e-6), (3, 1e-6), (4, 1e-6)])
def test_sites_that_move_freely_stay_within_the_tolerance(count, tolerance):
    load = free(count, 600)
    found = gridedge.solve("case118", load, engine="surface", tol_vm_pu=tolerance)
    exact = gridedge.solve("case118", load, engine="batch")
    assert found.attrs["engine"] == "surface"
    assert f"{2 * count} axes" in found.attrs["engine_detail"]
    off = float(abs(found["vm_pu"] - exact["vm_pu"]).max())
    assert off <= tolerance
    stated = float(found.attrs["engine_detail"].split()[-2])
    assert off <= 2 * stated  # what it measured on states it had not seen


def test_where_a_polynomial_costs_more_than_a_solution_auto_solves():
    found = gridedge.solve("case118", free(6, 4000), reduce=["min"])
    assert found.attrs["engine"] == "batch"
    assert "terms cost more than a solution" in found.attrs["engine_why"]


def test_a_surface_for_every_step_of_the_background():
    load = free(1, 4500)
    from pandapower import networks as nw

    net = nw.case118()
    hours = xr.Dataset(
        {"p_mw": (("time", "load"), np.outer([0.7, 1.0], net.load.p_mw))},
        coords={"time": [0.0, 2250.0], "load": net.load.index},
    )
    found = gridedge.solve(net, load, background={"load": hours}, engine="surface")
    exact = gridedge.solve(net, load, background={"load": hours}, engine="batch")
    assert found.attrs["engine_detail"].startswith("2 surfaces")
    assert float(abs(found["vm_pu"] - exact["vm_pu"]).max()) <= 1e-6
    assert float(abs(found["vm_pu"][2249] - found["vm_pu"][2250]).max()) > 1e-4
