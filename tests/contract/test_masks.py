"""States that cannot be solved, and inputs that are no number: masked, and nothing beside them suffers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import xarray as xr
from oracle import LOADING_PERCENT, VA_DEGREE, VM_PU, equal, judge, series, sites, with_sites

import gridedge
from gridedge.errors import RunError

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

STEPS = {"reference": 60, "batch": 1000, "surface": 1000}
RESULTS = ("vm_pu", "va_degree", "loading_percent", "pl_mw")
NOSE_MW = {"mv_oberrhein": 51.0, "case14": 151.0}
NETS = {"mv_oberrhein": (118, 4.0), "case14": (13, 20.0)}  # bus and power of the site; without and with generators


def _net(name: str) -> Any:
    """Return a net, with a line out of service."""
    net = nw.mv_oberrhein() if name == "mv_oberrhein" else nw.case14()
    net.line.loc[net.line.index[12], "in_service"] = False
    return net


def _load(name: str, steps: int) -> xr.Dataset:
    bus, p_mw = NETS[name]
    rng = np.random.default_rng(5)
    return sites([bus], p_mw * rng.uniform(0.1, 1, steps), 0.3 * p_mw * rng.uniform(-1, 1, steps))


def _masked(result: xr.Dataset, bad: list[int]) -> None:
    """Hold that these steps, and no others, are without numbers."""
    steps = result.sizes["time"]
    assert np.flatnonzero(~result["converged"].values).tolist() == bad
    assert result.attrs["steps_not_converged"] == len(bad)
    for name in RESULTS:
        assert result[name].isel(time=bad).isnull().all()
    rest = result.isel(time=[k for k in range(steps) if k not in bad])
    assert (rest["vm_pu"].isnull().any("time") == rest["vm_pu"].isnull().all("time")).all()
    assert rest["pl_mw"].notnull().all()


def _sample(steps: int, bad: int) -> list[int]:
    """Return ten steps beside the bad one, its neighbours among them."""
    drawn = np.random.default_rng(9).choice(np.setdiff1d(np.arange(steps), [bad]), 8, replace=False)
    return sorted({bad - 1, bad + 1, *drawn.tolist()})


@pytest.mark.parametrize("engine", STEPS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("factor", [3, 1000])
def test_one_infeasible_state_is_masked_and_the_others_equal_runpp(factor: float, name: str, engine: str) -> None:
    net, steps = _net(name), STEPS[engine]
    load, bad = _load(name, steps), steps // 3
    load["p_mw"][bad] = factor * NOSE_MW[name]
    result = gridedge.solve(net, load, engine=engine, tol_vm_pu=VM_PU)
    if factor < 1000:  # so far away that no part of the range has a solution throughout, batch takes over
        assert result.attrs["engine"] == engine, result.attrs["engine_why"]
    _masked(result, [bad])
    for step in _sample(steps, bad):
        equal(result, step, judge(with_sites(net, load, step)))


@pytest.mark.parametrize("engine", STEPS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize(("what", "value"), [("p_mw", np.nan), ("q_mvar", np.nan), ("p_mw", np.inf)])
def test_one_input_that_is_no_number_is_masked(what: str, value: float, name: str, engine: str) -> None:
    net, steps = _net(name), STEPS[engine]
    load, bad = _load(name, steps), steps // 3
    load[what][bad] = value
    result = gridedge.solve(net, load, engine=engine, tol_vm_pu=VM_PU)
    assert result.attrs["engine"] == engine, result.attrs["engine_why"]
    _masked(result, [bad])
    assert "1 steps have an input that is no number" in " ".join(result.attrs["remarks"])
    for step in _sample(steps, bad):
        equal(result, step, judge(with_sites(net, load, step)))


@pytest.mark.parametrize("engine", STEPS)
@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("what", ["p_mw", "q_mvar"])
def test_one_background_load_that_is_no_number_masks_the_steps_it_holds_for(what: str, name: str, engine: str) -> None:
    """Surfaces want a background that moves slowly: there, one value holds for 200 of the 1,000 steps."""
    net, steps = _net(name), STEPS[engine]
    held = steps // 5 if engine == "surface" else 1
    load = _load(name, steps)
    factors = np.random.default_rng(6).uniform(0.8, 1.0, (steps // held, len(net.load)))
    background = series(net, "load", factors, float(held))
    background[what][2, 3] = np.nan
    result = gridedge.solve(net, load, background=background, engine=engine, tol_vm_pu=VM_PU)
    assert result.attrs["engine"] == engine, result.attrs["engine_why"]
    _masked(result, list(range(2 * held, 3 * held)))
    assert f"{held} steps have an input that is no number" in " ".join(result.attrs["remarks"])
    for step in np.random.default_rng(9).choice(np.setdiff1d(np.arange(steps), np.arange(2 * held, 3 * held)), 10):
        own = with_sites(net, load, int(step))
        for column in background:
            own.load.loc[background["load"].values, column] = background[column].values[step // held]
        equal(result, int(step), judge(own))


@pytest.mark.parametrize("engine", STEPS)
def test_nothing_but_inputs_that_are_no_number_is_an_error(engine: str) -> None:
    load = _load("case14", 70)
    load["p_mw"][:] = np.nan
    with pytest.raises(RunError, match="converges in none of the 70 steps"):
        gridedge.solve(nw.case14(), load, engine=engine)


@pytest.mark.parametrize("reduce", [None, ["min", "max", "mean"], ["min", "max", "mean", "beyond"]])
@pytest.mark.parametrize("engine", ["batch", "surface"])
def test_a_reduction_leaves_out_what_is_masked(engine: str, reduce: list[str] | None) -> None:
    net, steps = nw.mv_oberrhein(), 1000
    load = _load("mv_oberrhein", steps)
    load["p_mw"][400] = np.nan
    clean = load.isel(time=[k for k in range(steps) if k != 400]).assign_coords(time=np.arange(steps - 1.0))
    kept, without = (gridedge.solve(net, ds, engine=engine, reduce=reduce, tol_vm_pu=1e-9) for ds in (load, clean))
    assert kept["converged"].values.sum() == steps - 1
    for name in RESULTS:
        here = kept[name] if reduce else kept[name].dropna("time", how="all")
        atol = {"vm_pu": VM_PU, "va_degree": VA_DEGREE, "loading_percent": LOADING_PERCENT, "pl_mw": 1e-6}[name]
        np.testing.assert_allclose(here.values, without[name].values, rtol=0, atol=atol)


@pytest.mark.parametrize("reduce", [None, ["min", "max"]])
@pytest.mark.parametrize("engine", STEPS)
def test_the_nose_of_two_buses_is_where_the_closed_form_puts_it(engine: str, reduce: list[str] | None) -> None:
    """X = 0.1 pu, unity power factor: collapse at P = 1 / (2 X) = 5.0 pu, V = 1 / sqrt(2) = 0.7071 pu."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_impedance(net, a, b, rft_pu=0.0, xft_pu=0.1, sn_mva=1.0)
    count = 50 if engine == "reference" else 900
    p = np.concatenate((np.linspace(0.0, 4.9, count), 5.0 + np.array([-1e-8, 1e-6, 1e-4, 0.01, 1.0])))
    found = gridedge.solve(net, sites([int(b)], p), engine=engine, tol_vm_pu=VM_PU, reduce=reduce, at=reduce and [b])
    assert found.attrs["engine"] == engine, found.attrs["engine_why"]
    assert found["converged"].values.tolist() == [True] * (count + 1) + [False] * 4
    vm = (found["vm_at_pu"] if reduce else found["vm_pu"].sel(bus=[b])).values[: count + 1, 0]
    closed = np.sqrt(0.5 + np.sqrt(0.25 - (p[: count + 1] * 0.1) ** 2))
    np.testing.assert_allclose(vm[:count], closed[:count], rtol=0, atol=1e-8)
    assert vm[count] == pytest.approx(0.7071, abs=1e-4)
    if reduce:
        assert float(found["vm_pu"].sel(bus=b, reduction="min")) == pytest.approx(0.7071, abs=1e-4)
