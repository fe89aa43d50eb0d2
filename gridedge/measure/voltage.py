"""Voltage over a run."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from gridedge.measure.ramp import Extreme, largest_change


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


def largest_voltage_change(vm_pu: NDArray[np.float64], dt_s: float, *, window_s: float) -> Extreme:
    """Return the largest max - min of a voltage in any closed window, in per cent of the nominal voltage.

    Parameters
    ----------
    vm_pu : ndarray, shape (time,)
        Voltage, NaN where no power flow converged. [pu of the nominal voltage]
    dt_s : float
        Step length. [s]
    window_s : float
        Length of the window. [s]

    Returns
    -------
    Extreme
        Change [%] and the start of its window [s]; a lower bound where a step did not converge.
    """
    lost = int((~np.isfinite(vm_pu)).sum())
    if not lost:
        found = largest_change(vm_pu, dt_s, window_s=window_s)
        return Extreme(100.0 * found.value, found.when_s, found.exact, found.why)
    why = f"{lost} of {vm_pu.size} steps have no voltage: the power flow did not converge there"
    size = int(np.floor(window_s / dt_s * (1 + 1e-9))) + 1
    if size < 2 or vm_pu.size < size or lost == vm_pu.size:
        return Extreme(np.nan, np.nan, False, why)
    gap = ~np.isfinite(vm_pu)
    highest = maximum_filter1d(np.where(gap, -np.inf, vm_pu), size, mode="constant", cval=-np.inf)
    lowest = minimum_filter1d(np.where(gap, np.inf, vm_pu), size, mode="constant", cval=np.inf)
    change = np.where(np.isfinite(highest) & np.isfinite(lowest), highest - lowest, -np.inf)
    k = int(np.argmax(change))
    return Extreme(100.0 * float(change[k]), max(0, k - size // 2) * dt_s, False, why)
