"""Voltage over a run: the band at a bus, and the bus that is worst."""

from __future__ import annotations

import numpy as np
import xarray as xr


def worst_bus(result: xr.Dataset) -> int:
    """Return the index of the bus with the lowest voltage of all steps.

    Parameters
    ----------
    result : Dataset
        With ``vm_pu(time, bus)``.
    """
    lowest = np.nanmin(np.where(np.isfinite(result["vm_pu"].values), result["vm_pu"].values, np.inf), axis=0)
    return int(result["bus"].values[int(np.argmin(lowest))])


def swing_pu(result: xr.Dataset, bus: int) -> float:
    """Return the highest minus the lowest voltage of a bus. [pu]"""
    vm = result["vm_pu"].sel(bus=bus).values
    return float(np.nanmax(vm) - np.nanmin(vm)) if np.isfinite(vm).any() else float("nan")
