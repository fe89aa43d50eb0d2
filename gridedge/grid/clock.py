"""The clock that a power flow runs on, which may be too long to be held."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad


@dataclass(frozen=True)
class Clock:
    """Steps of even length.

    Parameters
    ----------
    steps : int
        How many.
    dt_s : float
        How long each is. [s]
    index : object
        xarray's index of the coordinate ``time``; None for a single state without a clock.
    """

    steps: int
    dt_s: float
    index: Any = None

    def coordinate(self) -> xr.Coordinates | dict[str, NDArray[np.float64]]:
        """Return the coordinate ``time``, without a copy."""
        return {"time": np.zeros(1)} if self.index is None else xr.Coordinates.from_xindex(self.index)

    def time_s(self) -> NDArray[np.float64]:
        """Return the start of every step."""
        return np.asarray(self.coordinate()["time"], dtype=float)


def clock_of(injections: xr.Dataset | None, background: Mapping[str, xr.Dataset] | xr.Dataset | None) -> Clock:
    """Return the clock of the sites, or of the first background where there are none."""
    source = injections
    if background is not None and not isinstance(background, Mapping | xr.Dataset):
        cure = 'Give {"load": dataset}, as gridedge.grid.inject.scaled_background makes them.'
        raise bad("the background is no dataset", type(background).__name__, cure)
    if source is None and background is not None:
        source = background if isinstance(background, xr.Dataset) else next(iter(background.values()), None)
    if source is None:
        return Clock(1, 1.0)
    schema.require(source, [], thing="the load" if injections is not None else "the background")
    return Clock(source.sizes["time"], schema.clock(source), source.xindexes["time"])
