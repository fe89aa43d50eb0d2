"""What changes the description of a net and not the net changes no voltage: batch and surface."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import sites

import gridedge

pp = pytest.importorskip("pandapower")

# 1e-9 pu, and what that means for the others
SAME = {"vm_pu": 1e-9, "va_degree": 1e-7, "loading_percent": 1e-5, "pl_mw": 1e-7}
ENGINES = ["batch", "surface"]
few = settings(max_examples=8, deadline=None)


@st.composite
def nets(draw: Any) -> Any:
    """Draw a tree of 4 to 7 buses at 20 kV, with perhaps one line that closes a loop and perhaps a generator."""
    net = pp.create_empty_network(sn_mva=draw(st.sampled_from([1.0, 100.0])))
    count = draw(st.integers(4, 7))
    for _ in range(count):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=draw(st.floats(0.98, 1.05)))
    ends = [(draw(st.integers(0, b - 1)), b) for b in range(1, count)]
    if draw(st.booleans()):
        ends.append((0, count - 1))
    for a, b in ends:
        length_km = draw(st.floats(0.5, 6.0))
        pp.create_line_from_parameters(net, a, b, length_km, 0.16, 0.12, 270.0, 0.36, g_us_per_km=0.2)
    for b in range(1, count):
        pp.create_load(net, b, draw(st.floats(0.0, 1.0)), draw(st.floats(-0.2, 0.4)), scaling=draw(st.floats(0.5, 1.0)))
    if draw(st.booleans()):
        pp.create_gen(net, count - 1, draw(st.floats(0.0, 1.0)), vm_pu=draw(st.floats(0.98, 1.04)))
    return net


seeds = st.integers(0, 2**16)


def _site(net: Any, seed: int, bus: int = 2) -> xr.Dataset:
    rng = np.random.default_rng(seed)
    return sites([bus], rng.uniform(0, 1.5, 40), rng.uniform(-0.4, 0.4, 40))


def _solve(net: Any, load: xr.Dataset, engine: str) -> xr.Dataset:
    found = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9)
    assert found.attrs["engine"] == engine, found.attrs["engine_why"]
    assert bool(found["converged"].all())
    return found


def _same(one: xr.Dataset, other: xr.Dataset) -> None:
    """Hold two results against each other, and the same ones without a number."""
    for name, allowed in SAME.items():
        np.testing.assert_allclose(one[name].values, other[name].values, rtol=0, atol=allowed, err_msg=name)


@pytest.mark.parametrize("engine", ENGINES)
@few
@given(nets(), seeds)
def test_relabelling_buses_changes_nothing(engine: str, net: Any, seed: int) -> None:
    from pandapower.toolbox import reindex_buses

    load = _site(net, seed)
    new = 100 + np.random.default_rng(seed).permutation(len(net.bus))
    other = copy.deepcopy(net)
    reindex_buses(other, dict(zip(net.bus.index.tolist(), new.tolist(), strict=True)))
    other.bus = other.bus.sort_index()  # the table's order changes too
    moved = load.assign_coords(bus=("site", [int(new[2])]))
    found = _solve(other, moved, engine).sel(bus=new)
    _same(_solve(net, load, engine), found)


@pytest.mark.parametrize("engine", ENGINES)
@few
@given(nets(), seeds, st.floats(0.1, 0.9))
def test_splitting_a_load_in_two_changes_nothing(engine: str, net: Any, seed: int, share: float) -> None:
    load = _site(net, seed)
    other = copy.deepcopy(net)
    row = other.load.loc[1].copy()
    other.load.loc[1, ["p_mw", "q_mvar"]] = share * row[["p_mw", "q_mvar"]].astype(float)
    rest = (1 - share) * row[["p_mw", "q_mvar"]].astype(float)
    pp.create_load(other, int(row["bus"]), rest["p_mw"], rest["q_mvar"], scaling=row["scaling"])
    _same(_solve(net, load, engine), _solve(other, load, engine))


@pytest.mark.parametrize("engine", ENGINES)
@few
@given(nets(), seeds, st.floats(0.1, 0.9))
def test_splitting_a_site_in_two_changes_nothing(engine: str, net: Any, seed: int, share: float) -> None:
    load = _site(net, seed)
    two = xr.concat([share * load, (1 - share) * load], dim="site")
    two = two.assign_coords(site=["a", "b"], bus=("site", [2, 2]), time=load["time"]).assign_attrs(dt_s=1.0)
    _same(_solve(net, load, engine), _solve(net, two, engine))


@pytest.mark.parametrize("engine", ENGINES)
@few
@given(nets(), seeds)
def test_reversing_a_line_changes_nothing(engine: str, net: Any, seed: int) -> None:
    load = _site(net, seed)
    other = copy.deepcopy(net)
    turned = np.random.default_rng(seed).random(len(net.line)) < 0.5
    other.line.loc[turned, ["from_bus", "to_bus"]] = net.line.loc[turned, ["to_bus", "from_bus"]].to_numpy()
    _same(_solve(net, load, engine), _solve(other, load, engine))


@pytest.mark.parametrize("engine", ENGINES)
@few
@given(nets(), seeds)
def test_permuting_time_permutes_the_result(engine: str, net: Any, seed: int) -> None:
    load = _site(net, seed)
    order = np.random.default_rng(seed).permutation(load.sizes["time"])
    mixed = load.isel(time=order).assign_coords(time=load["time"])
    _same(_solve(net, load, engine).isel(time=order), _solve(net, mixed, engine))
