"""What is kept of a year, by hour and by element; what the base case breaks by itself is told apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.keep import Keeper, Plan
from gridedge.grid.results import Readout
from gridedge.grid.year_states import States

Float = NDArray[np.float64]
WORSE_PERCENT = 0.1  # what "no worse" forgives, as everywhere in gridedge
WORSE_PU = 0.0005
BEYOND_MVAR = 1.0  # from here on a unit counts as beyond its limits: case files round voltages
_NO_PLAN = Plan(None, np.empty(0), np.empty(0), np.empty(0, dtype=np.intp))


@dataclass(frozen=True)
class Watch:
    """What is looked at.

    Parameters
    ----------
    low_pu, high_pu : float
        Voltage limits. [pu]
    most_percent : float
        Limit of every loading. [%]
    rated : ndarray of bool, shape (branch,)
        Which ratings mean something.
    low_mvar, high_mvar : ndarray, shape (unit bus,)
        Reactive limits. [Mvar]
    fuel : ndarray, shape (fuel, unit)
        1 where a unit burns a fuel.
    """

    low_pu: float
    high_pu: float
    most_percent: float
    rated: NDArray[np.bool_]
    low_mvar: Float
    high_mvar: Float
    fuel: Float


@dataclass
class Piece:
    """What is kept of some hours.

    Parameters
    ----------
    hours : ndarray
        Which.
    hourly : dict of ndarray, (case, hour) or (fuel, case, hour)
        Per hour.
    counts : dict of ndarray, (case, element)
        Hours, summed over pieces.
    peaks : dict of tuple of ndarray, (case, element)
        Largest value, and the hour that has it; the smallest where the name ends in ``min``.
    sample : dict of (int, int), ndarray
        By case and hour, voltages (row,) and generation (unit,) to be held against ``runpp``.
    """

    hours: NDArray[np.intp]
    hourly: dict[str, NDArray[Any]] = field(default_factory=dict)
    counts: dict[str, Float] = field(default_factory=dict)
    peaks: dict[str, tuple[Float, NDArray[np.intp]]] = field(default_factory=dict)
    sample: dict[tuple[int, int], tuple[NDArray[np.complex128], Float]] = field(default_factory=dict)


def piece(
    states: States, hours: NDArray[np.intp], cases: int, out: Readout, watch: Watch, wanted: set[tuple[int, int]]
) -> Piece:
    """Keep what is asked of solved states, case after case; case 0 is the one without sites."""
    shape = (cases, hours.size)
    found = Piece(hours)
    series = Keeper(_NO_PLAN, out).part(states.lanes, states.solved).series
    vm = series["vm_pu"].reshape(*shape, -1)
    loading = np.where(watch.rated, series["loading_percent"].reshape(*shape, -1), np.nan)
    q_mvar = states.q_mvar.reshape(*shape, -1)
    solved = states.solved.reshape(shape)

    over = loading > watch.most_percent  # NaN is beyond nothing
    new = over & (over[:1] == 0)
    worse = over & over[:1] & (loading > loading[:1] + WORSE_PERCENT)
    low, high = vm < watch.low_pu, vm > watch.high_pu
    off = low | high
    fresh = (low & (vm < vm[:1] - WORSE_PU)) | (high & (vm > vm[:1] + WORSE_PU))
    beyond = np.fmax(np.fmax(q_mvar - watch.high_mvar, watch.low_mvar - q_mvar), 0.0)
    unknown = ~solved[:1]  # nobody can tell whose doing it is
    new, fresh = new & ~unknown[..., None], fresh & ~unknown[..., None]
    found.counts = {
        "overload": over.sum(axis=1), "overload_new": new.sum(axis=1), "overload_worse": worse.sum(axis=1),
        "vm_low": low.sum(axis=1), "vm_high": high.sum(axis=1), "vm_new": fresh.sum(axis=1),
        "q_beyond": (beyond > BEYOND_MVAR).sum(axis=1),
        "generation": np.nansum(np.where(solved[..., None], states.unit_mw.reshape(*shape, -1), 0.0), axis=1),
    }  # fmt: skip
    found.peaks = {
        "loading_max": _peak(loading, hours, 1.0), "vm_max": _peak(vm, hours, 1.0), "vm_min": _peak(vm, hours, -1.0),
        "q_beyond_max": _peak(np.where(solved[..., None], beyond, np.nan), hours, 1.0),
    }  # fmt: skip
    found.hourly = {
        "converged": solved, "pl_mw": states.loss_mw.reshape(shape), "rest_mw": states.rest_mw.reshape(shape),
        "site_mw": states.site_mw.reshape(shape), "overloaded": over.sum(axis=2), "overloaded_new": new.sum(axis=2),
        "overloaded_worse": worse.sum(axis=2), "buses_off": off.sum(axis=2), "buses_off_new": fresh.sum(axis=2),
        "units_beyond": (beyond > BEYOND_MVAR).sum(axis=2), "beyond_mvar_max": beyond.max(axis=2, initial=0.0),
        "fuel": np.where(solved, np.einsum("fu,chu->fch", watch.fuel, states.unit_mw.reshape(*shape, -1)), np.nan),
    }  # fmt: skip
    for name, values, sign in (("loading", loading, 1.0), ("vm_max", vm, 1.0), ("vm_min", vm, -1.0)):
        found.hourly[f"{name}_at"], found.hourly[name] = _hourly(values, sign)
    for case, hour in wanted:
        at = np.flatnonzero(hours == hour)
        if at.size and solved[case, at[0]]:
            k = case * hours.size + int(at[0])
            found.sample[case, hour] = states.v[:, k].copy(), states.unit_mw[k].copy()
    return found


def _hourly(values: Float, sign: float) -> tuple[NDArray[np.intp], Float]:
    """Return where the largest (or smallest) of each hour is, and its value; -1 and NaN where there is none."""
    if not values.shape[2]:
        return np.full(values.shape[:2], -1), np.full(values.shape[:2], np.nan)
    ranked = np.where(np.isnan(values), -np.inf, sign * values)
    at = ranked.argmax(axis=2)
    best = np.take_along_axis(ranked, at[..., None], axis=2)[..., 0]
    none = np.isneginf(best)
    return np.where(none, -1, at), np.where(none, np.nan, sign * best)


def _peak(values: Float, hours: NDArray[np.intp], sign: float) -> tuple[Float, NDArray[np.intp]]:
    """Return the largest (or smallest) over the hours and the hour that has it, both (case, element)."""
    ranked = np.where(np.isnan(values), -np.inf, sign * values)
    at = ranked.argmax(axis=1)
    best = np.take_along_axis(ranked, at[:, None], axis=1)[:, 0]
    none = np.isneginf(best)
    return np.where(none, np.nan, sign * best), np.where(none, -1, hours[at])


class Books:
    """Pieces put together; the order they come in does not change the books.

    Parameters
    ----------
    steps : int
        How many hours the year has.
    """

    def __init__(self, steps: int):
        self.steps = steps
        self.hourly: dict[str, NDArray[Any]] = {}
        self.counts: dict[str, Float] = {}
        self.peaks: dict[str, tuple[Float, NDArray[np.intp]]] = {}
        self.sample: dict[tuple[int, int], tuple[NDArray[np.complex128], Float]] = {}

    def add(self, part: Piece) -> None:
        """Take in some hours."""
        for name, values in part.hourly.items():
            if name not in self.hourly:
                self.hourly[name] = np.zeros((*values.shape[:-1], self.steps), dtype=values.dtype)
            self.hourly[name][..., part.hours] = values
        for name, count in part.counts.items():
            self.counts[name] = self.counts[name] + count if name in self.counts else count.astype(float)
        for name, (value, hour) in part.peaks.items():
            if name not in self.peaks:
                self.peaks[name] = value, hour
                continue
            sign = -1.0 if name.endswith("min") else 1.0
            old, when = self.peaks[name]
            better = (hour >= 0) & ((when < 0) | (sign * value > sign * old) | ((value == old) & (hour < when)))
            self.peaks[name] = np.where(better, value, old), np.where(better, hour, when)
        self.sample |= part.sample
