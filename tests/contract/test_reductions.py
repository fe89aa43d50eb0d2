"""What is kept of the states: reductions against numpy on the whole series, stores, inputs that lie in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from oracle import series, sites

import gridedge
from gridedge.grid.engines import march

pytest.importorskip("pandapower")
from pandapower import networks as nw

NETS = {"case33bw": (nw.case33bw, 17, 0.5), "case14": (nw.case14, 13, 15.0)}
SERIES = ("vm_pu", "va_degree", "loading_percent", "pl_mw")
STEPS, DT_S = 3000, 0.5
LIMITS = {"vm_pu": [0.93, 1.05], "loading_percent": 0.2}  # the nets have placeholders for ratings
PLAIN = ["min", "max", "mean"]


def _load(bus: int, p_mw: float, axes: int, steps: int = STEPS) -> xr.Dataset:
    """Return a site that moves along one axis, at a fixed power factor, or freely along two."""
    rng = np.random.default_rng(axes)
    p = p_mw * rng.uniform(0, 1, steps)
    q = 0.2 * p if axes == 1 else 0.3 * p_mw * rng.uniform(-1, 1, steps)
    return sites([bus], p, q, dt_s=DT_S)


def _of(full: xr.Dataset, name: str, how: str) -> Any:
    """Return a reduction by numpy of what is a number."""
    values = full[name].values[full["converged"].values]
    if how in PLAIN:
        return getattr(values, how)(axis=0)
    return np.quantile(values, float(how[1:]), axis=0, method="inverted_cdf")


@pytest.mark.parametrize("engine", ["batch", "surface"])
@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize("name", NETS)
def test_reductions_equal_numpy_on_the_whole_series(name: str, axes: int, engine: str) -> None:
    """One axis and no quantile: the surface engine folds the states into cells, and solves none by itself."""
    build, bus, p_mw = NETS[name]
    net, load = build(), _load(bus, p_mw, axes)
    load["p_mw"][1234] = np.nan
    full = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9)
    kept = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9, reduce=PLAIN)
    assert kept.attrs["engine"] == full.attrs["engine"] == engine
    assert kept["reduction"].values.tolist() == PLAIN
    np.testing.assert_array_equal(kept["converged"].values, full["converged"].values)
    for quantity in SERIES:
        for how in PLAIN:
            here = kept[quantity].sel(reduction=how).values
            # A mean over a cell differs from the value at its mean: below 1e-8 of what it does over the whole range.
            cells = 1e-8 * np.nanmax(np.ptp(full[quantity].dropna("time", how="all").values, axis=0))
            atol = cells if how == "mean" and engine == "surface" and axes == 1 else 1e-10
            np.testing.assert_allclose(here, _of(full, quantity, how), rtol=0, atol=atol, err_msg=quantity)


@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
@pytest.mark.parametrize("name", NETS)
def test_quantiles_lie_within_the_error_that_is_stated(name: str, engine: str) -> None:
    build, bus, p_mw = NETS[name]
    net, load = build(), _load(bus, p_mw, 2, steps=STEPS if engine != "reference" else 60)
    asked = ["q0", "q0.05", "q0.5", "q0.95", "q0.999", "q1"]
    full = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9)
    kept = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9, reduce=[*asked, "min", "max"])
    for quantity in SERIES:
        spread = np.ptp(full[quantity].values, axis=0)
        error = kept[f"{quantity}_quantile_error"].values
        assert (error <= np.maximum(spread / 1000, 1e-11)).all()  # narrow enough to be of use: 2048 bins
        for how in asked:
            off = np.abs(kept[quantity].sel(reduction=how).values - _of(full, quantity, how))
            assert (off <= error + 1e-9).all(), (quantity, how)
    np.testing.assert_array_equal(kept["vm_pu"].sel(reduction="q0") >= kept["vm_pu"].sel(reduction="min"), True)


@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
@pytest.mark.parametrize("name", NETS)
def test_seconds_beyond_limits_are_counted_exactly(name: str, engine: str) -> None:
    build, bus, p_mw = NETS[name]
    net, load = build(), _load(bus, p_mw, 1, steps=STEPS if engine != "reference" else 60)
    load["p_mw"][5] = np.nan
    full = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9)
    vm, loading = full["vm_pu"].values, full["loading_percent"].values
    low = np.nanquantile(vm, 0.41234, axis=0)[np.nanargmax(np.nanstd(vm, axis=0))]
    most = np.nanquantile(loading, 0.61234, axis=0)[np.nanargmax(np.nanstd(loading, axis=0))]
    limits = {"vm_pu": [low, 1.05], "loading_percent": most}
    kept = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9, reduce=["beyond"], limits=limits)
    vm_beyond_s = DT_S * ((vm < low) | (vm > 1.05)).sum(axis=0)
    loading_beyond_s = DT_S * (loading > most).sum(axis=0)
    for beyond_s in (vm_beyond_s, loading_beyond_s):
        assert ((beyond_s > 0) & (beyond_s < DT_S * (len(vm) - 1))).any()  # some cross the limit
    np.testing.assert_array_equal(kept["vm_beyond_s"].values, vm_beyond_s)
    np.testing.assert_array_equal(kept["loading_beyond_s"].values, loading_beyond_s)
    assert not set(SERIES) & set(kept.data_vars)


@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
def test_the_voltage_of_chosen_buses_is_kept_at_every_step(engine: str) -> None:
    net, load = nw.case33bw(), _load(17, 0.5, 1, steps=STEPS if engine != "reference" else 60)
    load["p_mw"][7] = np.nan
    full = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9)
    kept = gridedge.solve(net, load, engine=engine, tol_vm_pu=1e-9, reduce=["max"], at=[17, 0, 5])
    assert kept["at"].values.tolist() == [17, 0, 5]
    assert kept["vm_at_pu"].isel(time=7).isnull().all()
    np.testing.assert_allclose(kept["vm_at_pu"].values, full["vm_pu"].sel(bus=[17, 0, 5]).values, rtol=0, atol=1e-13)


@pytest.mark.parametrize("engine", ["batch", "surface"])
def test_nothing_depends_on_where_blocks_end(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    net, load = nw.case14(), _load(13, 15.0, 2)
    every = [*PLAIN, "q0.05", "q0.95", "beyond"]
    found = []
    for states in (128, 640, 8192):
        for module in (march,):
            monkeypatch.setattr(module, "block_states", lambda _rows, states=states: states)
        full = gridedge.solve(net, load, engine=engine)
        found.append((full, gridedge.solve(net, load, engine=engine, reduce=every, limits=LIMITS)))
    for full, kept in found[1:]:
        xr.testing.assert_identical(full, found[0][0])
        for name in kept.data_vars:
            if name in SERIES:  # a mean is a sum of sums: its last bits follow the blocks
                for how in kept["reduction"].values:
                    one, other = (ds[name].sel(reduction=how).values for ds in (kept, found[0][1]))
                    np.testing.assert_allclose(one, other, rtol=1e-13 if how == "mean" else 0, atol=0)
            else:
                np.testing.assert_array_equal(kept[name].values, found[0][1][name].values)


def test_a_whole_stretch_that_is_no_number_does_not_end_the_reduction() -> None:
    """Folding meets a step of the background in which the site says nothing."""
    net, load = nw.case33bw(), _load(17, 0.5, 1)
    load["p_mw"][1000:2000] = np.nan
    background = series(net, "load", np.array([[1.0], [0.8], [0.6]]) * np.ones(len(net.load)), 1000 * DT_S)
    full = gridedge.solve(net, load, background=background, engine="surface", tol_vm_pu=1e-9)
    kept = gridedge.solve(net, load, background=background, engine="surface", tol_vm_pu=1e-9, reduce=PLAIN)
    assert kept.attrs["engine"] == "surface"
    assert int(kept["converged"].sum()) == 2000
    for how in PLAIN:
        np.testing.assert_allclose(kept["vm_pu"].sel(reduction=how), _of(full, "vm_pu", how), rtol=1e-11)


@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
def test_a_zarr_store_holds_what_memory_holds(engine: str, tmp_path: Path) -> None:
    pytest.importorskip("zarr")
    net, load = nw.case33bw(), _load(17, 0.5, 1, steps=STEPS if engine != "reference" else 60)
    load["p_mw"][7] = np.nan
    memory = gridedge.solve(net, load, engine=engine)
    stored = gridedge.solve(net, load, engine=engine, store=tmp_path / "series.zarr")
    assert not stored["vm_pu"].variable._in_memory
    xr.testing.assert_identical(stored.load(), memory)
    again = xr.open_zarr(tmp_path / "series.zarr", consolidated=False, chunks=None)
    for name in SERIES:
        np.testing.assert_array_equal(again[name].values, memory[name].values)
    np.testing.assert_array_equal(again["bus"].values, memory["bus"].values)
    np.testing.assert_array_equal(again["time"].values, memory["time"].values)


@pytest.mark.parametrize("chunks", [None, {"netcdf": {"time": 700}, "zarr": {}}], ids=["lazy", "dask"])
@pytest.mark.parametrize("kind", ["netcdf", "zarr"])
@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
def test_inputs_that_lie_in_files_give_the_same_bits(engine: str, kind: str, chunks: Any, tmp_path: Path) -> None:
    pytest.importorskip("zarr" if kind == "zarr" else "h5netcdf")
    if chunks is not None:
        pytest.importorskip("dask")
        chunks = chunks[kind]
    steps = STEPS if engine != "reference" else 60
    net, load = nw.case33bw(), _load(17, 0.5, 1, steps)
    held = steps // 3
    factors = np.random.default_rng(2).uniform(0.6, 1.0, (3, len(net.load)))
    background = series(net, "load", factors, held * DT_S)
    load = load.assign_coords(site=[0])  # Zarr has no settled form of text
    lazy = []
    for name, ds in (("load", load), ("background", background)):
        if kind == "zarr":
            pieces = {c: {"chunks": (min(500, ds.sizes["time"]), ds[c].shape[1])} for c in ds}
            ds.to_zarr(tmp_path / f"{name}.zarr", consolidated=False, encoding=pieces)
            lazy.append(xr.open_zarr(tmp_path / f"{name}.zarr", consolidated=False, chunks=chunks))
        else:
            ds.to_netcdf(tmp_path / f"{name}.nc", engine="h5netcdf")
            lazy.append(xr.open_dataset(tmp_path / f"{name}.nc", engine="h5netcdf", chunks=chunks))
    for reduce in (None, ["min", "max", "mean"]):
        memory = gridedge.solve(net, load, background=background, engine=engine, reduce=reduce)
        found = gridedge.solve(net, lazy[0], background=lazy[1], engine=engine, reduce=reduce)
        assert found.attrs["engine"] == memory.attrs["engine"] == engine
        assert found.attrs["error_vm_pu"] < 1e-6
        for name in (*SERIES, "converged"):
            np.testing.assert_array_equal(found[name].values, memory[name].values)
    for ds in lazy:
        ds.close()
