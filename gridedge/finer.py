"""Series between the samples of a coarse one, made block by block when they are read."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from gridedge import schema
from gridedge.errors import bad
from gridedge.timebase import step_count


def interpolate(ds: xr.Dataset, dt_s: float) -> xr.Dataset:
    """Return a series on a finer clock, straight lines between the coarse samples, computed only where it is read.

    A coarse sample stands at its label; after the last label its value is held.  Interpolation adds no detail: what
    happens within a coarse step stays unknown.

    Parameters
    ----------
    ds : Dataset
        With ``time`` as the first dimension of its variables.
    dt_s : float
        The finer step, a whole fraction of the coarse one. [s]

    Returns
    -------
    Dataset
        The same variables, lazily; ``time`` takes no memory.

    Raises
    ------
    InputError
        If the coarse step is no multiple of the finer one.

    Examples
    --------
    >>> year = interpolate(quarter_hours, 1.0)  # doctest: +SKIP
    >>> gridedge.solve(net, background={"load": year}, reduce=["min", "max"])  # doctest: +SKIP
    """
    coarse_s = schema.clock(ds)
    per = step_count(coarse_s, dt_s, "the coarse step")
    steps = ds.sizes["time"] * per
    start = float(ds["time"][0])
    index = xr.indexes.RangeIndex.arange(start, start + (steps - 0.5) * dt_s, dt_s, dim="time")
    fine = {}
    for name, variable in ds.data_vars.items():
        if variable.dims[:1] != ("time",):
            raise bad(f"{name} does not begin with time", str(variable.dims), "Use ds.transpose('time', ...).")
        array = indexing.LazilyIndexedArray(_Between(variable.values, per))
        fine[str(name)] = xr.Variable(variable.dims, array, variable.attrs)
    coords = {n: c for n, c in ds.coords.items() if "time" not in c.dims}
    found = xr.Dataset(fine, coords=coords).assign_coords(xr.Coordinates.from_xindex(index))
    found.attrs = {**ds.attrs, "dt_s": dt_s, "interpolated": f"linearly from steps of {coarse_s:g} s"}
    return found


class _Between(BackendArray):
    """A coarse series, read as if it were fine."""

    def __init__(self, values: NDArray[Any], per: int):
        self.values, self.per = np.asarray(values, dtype=float), per
        self.shape = (values.shape[0] * per, *values.shape[1:])
        self.dtype = self.values.dtype

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: tuple[Any, ...]) -> NDArray[np.float64]:
        steps, rest = key[0], key[1:]
        if isinstance(steps, slice) and steps.step in (None, 1):
            return self._stretch(*steps.indices(self.shape[0])[:2])[(slice(None), *rest)]
        fine = np.arange(self.shape[0])[steps] if isinstance(steps, slice) else np.asarray(steps)
        coarse, part = np.divmod(np.atleast_1d(fine), self.per)
        later = np.minimum(coarse + 1, self.values.shape[0] - 1)
        weight = (part / self.per).reshape(-1, *[1] * (self.values.ndim - 1))
        found = (self.values[coarse] * (1.0 - weight) + self.values[later] * weight)[(slice(None), *rest)]
        return np.asarray(found if fine.ndim else found[0])

    def _stretch(self, first: int, stop: int) -> NDArray[np.float64]:
        """Return consecutive fine steps, coarse step by coarse step."""
        out = np.empty((max(0, stop - first), *self.values.shape[1:]))
        at = first
        while at < stop:
            coarse, part = divmod(at, self.per)
            end = min(stop, (coarse + 1) * self.per)
            before = self.values[coarse]
            after = self.values[min(coarse + 1, self.values.shape[0] - 1)]
            weight = (np.arange(part, part + end - at) / self.per).reshape(-1, *[1] * before.ndim)
            here = out[at - first : end - first]
            np.multiply(before, 1.0 - weight, out=here)
            here += after * weight
            at = end
        return out
