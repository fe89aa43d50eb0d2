"""NetCDF with the attributes of the CF conventions."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gridedge.formats.clock import zone_name
from gridedge.formats.series import Series

_CHUNK = 1 << 16  # samples of time that lie together on disk
_CONVENTIONS = "CF-1.8"


def write(series: Series, path: Path) -> None:
    """Write a series as NetCDF-4 after CF-1.8.

    ``p_mw``, ``q_mvar`` and perhaps ``p_max_mw``, each over ``time`` and before it ``member`` and ``site`` where there
    are several, in double precision and without rounding.  ``time`` counts seconds since the start in UTC and has
    bounds, so that a reader knows that a sample is the mean from its time on.

    Notes
    -----
    No standard name of CF is for electric power: ``long_name`` and ``units`` say what it is.  Chunks are cut along
    time, and a long series is written as it is made.

    References
    ----------
    .. [1] Eaton et al., "NetCDF Climate and Forecast (CF) Metadata Conventions", version 1.8, 2020, sections 2.6.2
       (description of file contents), 4.4 (time), 7.1 (cell boundaries) and 7.3 (cell methods).
    """
    import h5netcdf
    import h5py

    clock = series.clock
    with h5netcdf.File(path, "w") as file:
        file.dimensions = {"time": series.steps, "nv": 2, **{d: series.load.sizes[d] for d in series.beside}}
        for dim in series.beside:
            values = series.values_of(dim)
            text = not all(isinstance(v, int) for v in values)
            label = file.create_variable(dim, (dim,), dtype=h5py.string_dtype() if text else "i8")
            label[...] = np.array([str(v) for v in values], dtype=object) if text else np.array(values)
            label.attrs["long_name"] = f"{dim} of the load"
        storage: dict[str, Any] = {"compression": "gzip", "compression_opts": 1, "shuffle": True}
        chunk = min(series.steps, _CHUNK)
        time = file.create_variable("time", ("time",), dtype="f8", chunks=(chunk,), **storage)
        bounds = file.create_variable("time_bnds", ("time", "nv"), dtype="f8", chunks=(chunk, 2), **storage)
        epoch = np.datetime64(clock.start.astimezone(UTC).replace(tzinfo=None), "us")
        time.attrs["units"] = f"seconds since {str(epoch).replace('T', ' ')}"
        time.attrs.update({"standard_name": "time", "long_name": "start of the sample, UTC", "axis": "T"})
        time.attrs.update({"calendar": "standard", "bounds": "time_bnds"})
        shape = tuple(series.load.sizes[d] for d in series.beside)
        powers = _powers(file, series, (*shape, chunk), storage)
        for block in series.blocks():
            here = slice(block.first, block.stop)
            seconds = clock.t0_s + clock.dt_s * np.arange(block.first, block.stop + 1)
            time[here] = seconds[:-1]
            bounds[here, :] = np.stack([seconds[:-1], seconds[1:]], axis=1)
            for name, power in (("p_mw", block.p_mw), ("q_mvar", block.q_mvar), ("p_max_mw", block.p_max_mw)):
                if power is not None:
                    powers[name][(*[slice(None)] * len(shape), here)] = power.reshape(*shape, -1)
        for key, value in _about(series).items():
            file.attrs[key] = value


def _powers(file: Any, series: Series, chunks: tuple[int, ...], storage: dict[str, Any]) -> dict[str, Any]:
    """Declare the variables of power."""
    words = {
        "p_mw": ("MW", "active power, consumption positive", "time: mean"),
        "q_mvar": ("Mvar", "reactive power, lagging positive", "time: mean"),
        "p_max_mw": ("MW", "highest active power within the interval, consumption positive", "time: maximum"),
    }
    found = {}
    for name, (units, long_name, methods) in words.items():
        if name == "p_max_mw" and name not in series.load:
            continue
        found[name] = file.create_variable(name, (*series.beside, "time"), dtype="f8", chunks=chunks, **storage)
        found[name].attrs.update({"units": units, "long_name": long_name, "cell_methods": methods})
    return found


def _about(series: Series) -> dict[str, Any]:
    """Return the attributes of the file: those of CF 2.6.2, and the origin by its own keys."""
    said = series.origin
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "Conventions": _CONVENTIONS,
        "title": said["model"],
        "institution": str(series.load.attrs.get("institution", "not stated")),
        "source": f"model: {said['program']}, {said['model']}, seed {said['seed']}",
        "history": f"{now} {said['program']}: written",
        "references": said["source"],
        "comment": "\n".join([f"samples: {said['samples']}", *series.notes]),
        "timezone": zone_name(series.clock.start.tzinfo),
        "dt_s": float(series.clock.dt_s),
        **{key: value for key, value in said.items() if key not in {"source", "model", "time_zone"}},
        "model": said["model"],
    }
