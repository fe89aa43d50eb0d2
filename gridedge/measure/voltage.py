"""Voltage over a run."""

from __future__ import annotations

import numpy as np
import xarray as xr


def swing_pu(result: xr.Dataset, bus: int) -> float:
    """Return the highest minus the lowest voltage of a bus, in pu; NaN where no step converged.

    Parameters
    ----------
    result : Dataset
        With ``vm_pu(time, bus)``.
    bus : int
        Index of the bus.
    """
    vm = result["vm_pu"].sel(bus=bus).values
    return float(np.nanmax(vm) - np.nanmin(vm)) if np.isfinite(vm).any() else float("nan")
