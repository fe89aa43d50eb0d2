"""Power of a profile that is too long to hold: made where it is read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray
from xarray.core import indexing

from gridedge import schema
from gridedge.profiles.lines import TILE

Read = Callable[[int, int], NDArray[np.float64]]


def lazy_dataset(
    variables: Mapping[str, Sequence[Read]], steps: int, dt_s: float, *, members: bool, attrs: Mapping[str, Any]
) -> xr.Dataset:
    """Return IT power whose samples are made when they are read, and not kept.

    Parameters
    ----------
    variables : mapping of str to sequence of callable
        For each variable and member, ``read(start, stop)`` gives samples of shape (stop - start,).
    steps : int
        Number of samples.
    dt_s : float
        Step length. [s]
    members : bool
        Whether there is a dimension ``member``.
    attrs : mapping
        Attributes.

    Returns
    -------
    Dataset
        Variables of (time) or (member, time); ``time`` takes no memory.
    """
    dims = ("member", "time") if members else ("time",)
    found = {}
    for name, reads in variables.items():
        array = indexing.LazilyIndexedArray(_Made(tuple(reads), steps, members))
        found[name] = xr.Variable(dims, array, {"cell_methods": "time: mean"})
    index = xr.indexes.RangeIndex.arange(0.0, (steps - 0.5) * dt_s, dt_s, dim="time")
    ds = xr.Dataset(found).assign_coords(xr.Coordinates.from_xindex(index))
    ds.attrs = {"power": "IT", "dt_s": dt_s, **attrs}
    return schema.describe(ds)


class _Made(BackendArray):
    """Samples of one variable, by member where there are members."""

    def __init__(self, reads: tuple[Read, ...], steps: int, members: bool):
        self.reads, self.members = reads, members
        self.shape = (len(reads), steps) if members else (steps,)
        self.dtype = np.dtype(float)

    def __getitem__(self, key: Any) -> Any:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: tuple[Any, ...]) -> Any:
        if not self.members:
            return _samples(self.reads[0], key[0], self.shape[-1])
        chosen = np.arange(len(self.reads))[key[0]]
        if chosen.ndim == 0:
            return _samples(self.reads[int(chosen)], key[1], self.shape[-1])
        return np.stack([_samples(self.reads[int(m)], key[1], self.shape[-1]) for m in chosen])


def _samples(read: Read, key: Any, steps: int) -> Any:
    if isinstance(key, slice) and key.step in (None, 1):
        start, stop, _ = key.indices(steps)
        return read(start, max(start, stop))
    wanted = np.arange(*key.indices(steps)) if isinstance(key, slice) else np.asarray(key)
    flat = np.atleast_1d(wanted)
    out = np.empty(flat.size)
    # Tile by tile: what lies between is made, and dropped.
    for tile in np.unique(flat // TILE):
        here = flat // TILE == tile
        first = int(flat[here].min())
        out[here] = read(first, int(flat[here].max()) + 1)[flat[here] - first]
    return out if wanted.ndim else out[0]
