"""Voltage over a run."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray


def swing_pu(result: xr.Dataset, bus: int) -> float:
    """Return the highest minus the lowest voltage of a bus, in pu; NaN where no step converged.

    Parameters
    ----------
    result : Dataset
        As :func:`voltage_at` takes it.
    bus : int
        Index of the bus.
    """
    vm = voltage_at(result, bus)
    return float(np.nanmax(vm) - np.nanmin(vm)) if np.isfinite(vm).any() else float("nan")


def voltage_at(result: xr.Dataset, bus: int) -> NDArray[np.float64]:
    """Return the voltage of a bus at every step, in pu.

    Parameters
    ----------
    result : Dataset
        With ``vm_pu(time, bus)``; or reduced, with the series of chosen buses, ``vm_at_pu(time, at)``.
    bus : int
        Index of the bus.
    """
    series = result["vm_at_pu"].sel(at=bus) if "vm_at_pu" in result else result["vm_pu"].sel(bus=bus)
    values: NDArray[np.float64] = series.values
    return values
