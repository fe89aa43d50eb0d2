"""The parts of a result, put together as they come: in memory, reduced, or on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.grid.keep import QUANTITIES, Part, Plan
from gridedge.grid.results import Readout

Float = NDArray[np.float64]
EXTRA = {"p_unit_mw": "unit", "q_unit_mvar": "unit_bus", "at_limit": "unit_bus"}


class Whole:
    """Every state, in memory."""

    def __init__(self, out: Readout, states: int):
        sizes = {"bus": out.bus_index.size, "branch": len(out.labels)}
        self.states, self.extra = states, dict[str, Float]()
        self.values = {name: np.empty((states, sizes[dim])) for name, dim in QUANTITIES}

    def add(self, first: int, part: Part) -> None:
        """Take the part that begins with a state."""
        for name, block in part.series.items():
            self.values[name][first : first + block.shape[0]] = block
        for name, block in part.extra.items():
            if name not in self.extra:
                self.extra[name] = np.full((self.states, block.shape[1]), np.nan)
            self.extra[name][first : first + block.shape[0]] = block

    def variables(self) -> dict[str, Any]:
        """Return the variables of the result."""
        more = {name: (("time", EXTRA[name]), values) for name, values in self.extra.items()}
        return {name: (("time", dim), self.values[name]) for name, dim in QUANTITIES} | more


class OnDisk:
    """Every state, written to a Zarr store block by block and opened lazily in the end."""

    def __init__(self, out: Readout, states: int, path: Path, time: Float):
        try:
            import zarr
        except ImportError as error:
            raise bad("writing a series to Zarr needs zarr", str(path), "pip install gridedge[zarr]") from error
        if path.exists():
            raise bad("the store exists already", str(path), "Give another path, or remove it.")
        self.path = path
        root = zarr.open_group(str(path), mode="w")
        sizes = {"bus": out.bus_index.size, "branch": len(out.labels)}
        self.arrays = {}
        for name, dim in QUANTITIES:
            chunks = (min(states, 8192), max(1, min(sizes[dim], 256)))
            self.arrays[name] = root.create_array(
                name, shape=(states, sizes[dim]), chunks=chunks, dtype="f8", dimension_names=("time", dim)
            )
        root.create_array("time", data=time, chunks=(max(1, min(states, 1 << 20)),), dimension_names=("time",))
        root.create_array("bus", data=out.bus_index.astype("i8"), dimension_names=("bus",))

    def add(self, first: int, part: Part) -> None:
        """Write the part that begins with a state."""
        for name, block in part.series.items():
            self.arrays[name][first : first + block.shape[0]] = block

    def variables(self) -> dict[str, Any]:
        """Return the variables of the result, which read the store when they are asked."""
        ds = xr.open_zarr(str(self.path), consolidated=False, chunks=None)
        return {name: ds[name].variable for name, _ in QUANTITIES}


class Reduced:
    """Reductions over the solved states, and the series of chosen buses."""

    def __init__(self, out: Readout, plan: Plan, states: int, dt_s: float):
        size = plan.low.size
        self.out, self.plan, self.dt_s = out, plan, dt_s
        self.lowest, self.highest = np.full(size, np.inf), np.full(size, -np.inf)
        self.total, self.beyond, self.count = np.zeros(size), np.zeros(size), 0
        self.bins: Any = None
        self.at = np.full((states, plan.at.size), np.nan)

    def add(self, first: int, part: Part) -> None:
        """Take the part that begins with a state."""
        np.minimum(self.lowest, part.lowest, out=self.lowest)
        np.maximum(self.highest, part.highest, out=self.highest)
        self.total += part.total
        self.beyond += part.beyond
        self.count += int(part.solved.sum())
        if part.bins is not None:
            if self.bins is None:
                self.bins = part.bins
            else:
                self.bins.merge(part.bins)
        if part.at is not None:
            self.at[first : first + part.solved.size] = part.at

    def _of(self, name: str) -> Float:
        if name == "min":
            found = self.lowest
        elif name == "max":
            found = self.highest
        elif name == "mean":
            found = self.total / max(self.count, 1)
        else:
            found = np.clip(self.bins.quantile(float(name[1:]))[0], self.lowest, self.highest)
        return np.where(np.isfinite(self.lowest), found, np.nan)

    def variables(self) -> dict[str, Any]:
        """Return the variables of the result."""
        kept = [n for n in self.plan.names or () if n != "beyond"]
        parts: dict[str, Any] = {}
        values = {n: self._split(self._of(n)) for n in kept}
        if kept:
            parts = {name: (("reduction", dim), np.stack([values[n][name] for n in kept])) for name, dim in QUANTITIES}
        if self.plan.quantiles:
            error = self._split(self.bins.quantile(0.5)[1])
            parts |= {f"{name}_quantile_error": (dim, error[name]) for name, dim in QUANTITIES}
        if "beyond" in (self.plan.names or ()):
            beyond = self._split(np.where(np.isfinite(self.lowest), self.beyond * self.dt_s, np.nan))
            parts["vm_beyond_s"] = ("bus", beyond["vm_pu"])
            parts["loading_beyond_s"] = ("branch", beyond["loading_percent"])
        if self.plan.at.size:
            parts["vm_at_pu"] = (("time", "at"), self.at)
        return parts

    def _split(self, values: Float) -> dict[str, Float]:
        """Return one array per quantity; the loading of a branch without voltage is no number."""
        buses, branches = self.out.bus_index.size, len(self.out.labels)
        ends = np.cumsum([buses, buses, branches, branches])[:-1]
        parts = dict(zip((name for name, _ in QUANTITIES), np.split(values.copy(), ends), strict=True))
        parts["loading_percent"][self.out.dead] = np.nan
        return parts
