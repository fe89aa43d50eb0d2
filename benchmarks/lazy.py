"""Long inputs that are never whole in memory: a site's waveform in a Zarr store, a net's loads computed block by block.

Every number is counted, not drawn in turn, so a part of a series is the same whoever reads it first.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from states import States

_BLOCK = 1 << 18
_TAN_PHI = np.tan(np.arccos(0.98))


def waveform(first: int, count: int, dt_s: float, peak_mw: float) -> NDArray[np.float32]:
    """Return a stretch of a training job's power: iterations of 0.9 s with a pause, a checkpoint every 10 minutes.

    Its shape is made up for the benchmark: what counts is that it moves in every step and never repeats. [MW]
    """
    t = dt_s * np.arange(first, first + count)
    power = np.where(t % 0.9 < 0.7, 0.92, 0.45)
    power[t % 600.0 < 12.0] = 0.35
    numbers = np.arange(first, first + count, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    numbers ^= numbers >> np.uint64(29)
    noise = (numbers * np.uint64(0xBF58476D1CE4E5B9) >> np.uint64(40)).astype(float) / (1 << 24) - 0.5
    return np.asarray(peak_mw * (power + 0.08 * noise), dtype=np.float32)


def site(first: int, count: int, dt_s: float, peak_mw: float, bus: int) -> xr.Dataset:
    """Return one site in memory, at constant power factor, as :func:`gridedge.solve` takes it."""
    p = waveform(first, count, dt_s, peak_mw).astype(float)[:, None]
    return xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), _TAN_PHI * p)},
        coords={"time": dt_s * np.arange(count), "site": ["site"], "bus": ("site", [bus])},
    )


def make_lazy_site(folder: Path, steps: int, dt_s: float, peak_mw: float, bus: int) -> xr.Dataset:
    """Write one site to a Zarr store block by block, and open it without reading it. float32 on disk."""
    import zarr

    store = str(folder / "site.zarr")
    root = zarr.open_group(store, mode="w")
    layout: dict[str, Any] = {"dtype": "float32", "shape": (steps, 1), "chunks": (min(steps, _BLOCK), 1)}
    p_mw, q_mvar = (root.create_array(n, dimension_names=("time", "site"), **layout) for n in ("p_mw", "q_mvar"))
    for first in range(0, steps, _BLOCK):
        p = waveform(first, min(_BLOCK, steps - first), dt_s, peak_mw)[:, None]
        p_mw[first : first + len(p)] = p
        q_mvar[first : first + len(p)] = np.float32(_TAN_PHI) * p
    ds = xr.open_zarr(store, consolidated=False, chunks=None)
    return _clock(ds, steps, dt_s).assign_coords(site=["site"], bus=("site", [bus]))


def make_lazy_background(states: States, steps: int, dt_s: float) -> dict[str, xr.Dataset]:
    """Return a year of quarter hours interpolated to a finer step, computed when read."""
    from gridedge.finer import interpolate

    coarse: dict[str, xr.Dataset] = {}
    count = -(-steps // round(states.dt_s / dt_s))
    if count > states.count:
        raise ValueError(f"{steps} steps are longer than the {states.count} states that they are made of")
    for (table, column), quarters in states.columns.items():
        here = coarse.setdefault(table, xr.Dataset(coords={table: states.net[table].index.to_numpy()}))
        here[column] = (("time", table), quarters[:count])
    fine = {}
    for table, ds in coarse.items():
        timed = ds.assign_coords(time=states.dt_s * np.arange(count)).assign_attrs(dt_s=states.dt_s)
        fine[table] = interpolate(timed, dt_s).isel(time=slice(0, steps)).assign_attrs(dt_s=dt_s)
    return fine


def _clock(ds: xr.Dataset, steps: int, dt_s: float) -> xr.Dataset:
    """Give a dataset its clock as start, step and count: written out, a day of milliseconds takes 691 MB."""
    index = xr.indexes.RangeIndex.arange(0.0, steps * dt_s, dt_s, dim="time")
    if index.size != steps:
        raise ValueError(f"a clock of {index.size} steps for {steps}")
    return ds.assign_coords(xr.Coordinates.from_xindex(index)).assign_attrs(dt_s=dt_s)
