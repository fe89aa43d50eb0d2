"""The worst of many outages, kept while they are solved: no array of outages x states x elements is held."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.secure import UNSOLVED, Solved

Float = NDArray[np.float64]
_NOBODY = -1
_SAMPLES = 4  # outages of which all voltages are kept, to be held against runpp


class Extreme:
    """The largest value per state and element over outages, and which outage it was.

    Parameters
    ----------
    states, elements : int
        Sizes.
    sign : float
        1 keeps the largest, -1 the smallest.
    """

    def __init__(self, states: int, elements: int, sign: float = 1.0):
        self.sign = sign
        self.value = np.full((states, elements), np.nan)
        self.case = np.full((states, elements), _NOBODY, dtype=np.int32)

    def add(self, state: int, cases: NDArray[np.intp], values: Float) -> None:
        """Take in values (case, element) of one state; NaN is no value."""
        if not cases.size:
            return
        signed = np.where(np.isnan(values), -np.inf, self.sign * values)
        winner = signed.argmax(axis=0)
        best = np.take_along_axis(signed, winner[None], axis=0)[0]
        known = self.value[state]
        better = (best > -np.inf) & ~(best <= self.sign * known)
        known[better] = self.sign * best[better]
        self.case[state, better] = cases[winner[better]]


class Worst:
    """What is kept of all outages.

    Parameters
    ----------
    cases, states, buses : int
        Sizes.
    rated : ndarray of bool, shape (branch,)
        Whether a branch has a rating that means something; others are not named as the worst of an outage.
    kept : sequence of int
        Outages of which everything is kept.
    """

    def __init__(self, cases: int, states: int, buses: int, rated: NDArray[np.bool_], kept: Sequence[int]):
        branches = rated.size
        self.rated = rated
        self.loading = Extreme(states, branches)
        self.low, self.high = Extreme(states, buses, -1.0), Extreme(states, buses)
        self.base_vm_pu = np.full((states, buses), np.nan)
        self.base_loading_percent = np.full((states, branches), np.nan)
        self.base_converged = np.zeros(states, dtype=bool)
        self.how = np.full((cases, states), UNSOLVED, dtype=np.int8)
        self.case_loading_percent = np.full((cases, states), np.nan)
        self.case_branch = np.full((cases, states), _NOBODY, dtype=np.int32)
        self.case_vm_pu = np.full((cases, states), np.nan)
        self.case_bus = np.full((cases, states), _NOBODY, dtype=np.int32)
        self.unsupplied_mw = np.full((cases, states), np.nan)
        picks = np.linspace(0, cases - 1, _SAMPLES).round().astype(int).tolist()
        steps = np.linspace(0, states - 1, _SAMPLES).round().astype(int).tolist()
        self.wanted = set(zip(picks, steps, strict=True))
        self.samples: dict[tuple[int, int], Float] = {}
        self.kept = {case: place for place, case in enumerate(kept)}
        shape = (len(self.kept), states)
        self.kept_vm_pu, self.kept_va_degree = np.full((2, *shape, buses), np.nan)
        self.kept_loading_percent = np.full((*shape, branches), np.nan)

    def add(self, solved: Solved, demand_mw: Float) -> None:
        """Take in some outages of one state, or the state without outage.

        Parameters
        ----------
        solved : Solved
            What was found.
        demand_mw : ndarray, shape (bus,)
            What the loads of each bus draw in this state. [MW]
        """
        t, which = solved.state, solved.cases
        if which.size and which[0] == _NOBODY:
            self.base_vm_pu[t], self.base_loading_percent[t] = solved.vm_pu[0], solved.loading_percent[0]
            self.base_converged[t] = solved.how[0] != UNSOLVED
            return
        self.loading.add(t, which, solved.loading_percent)
        self.low.add(t, which, solved.vm_pu)
        self.high.add(t, which, solved.vm_pu)
        self.how[which, t] = solved.how
        good = solved.how != UNSOLVED
        loading = np.where(self.rated & ~np.isnan(solved.loading_percent), solved.loading_percent, -np.inf)
        vm = np.where(np.isnan(solved.vm_pu), np.inf, solved.vm_pu)
        self.case_loading_percent[which, t], self.case_branch[which, t] = _highest(loading)
        lowest, bus = _highest(-vm)
        self.case_vm_pu[which, t], self.case_bus[which, t] = -lowest, bus
        dark = np.isnan(solved.vm_pu) & ~np.isnan(self.base_vm_pu[t])
        self.unsupplied_mw[which, t] = np.where(good, dark @ demand_mw, np.nan)
        for a, case in enumerate(which):
            if (int(case), t) in self.wanted and good[a]:
                self.samples[int(case), t] = solved.vm_pu[a].copy()
            place = self.kept.get(int(case))
            if place is not None:
                self.kept_vm_pu[place, t] = solved.vm_pu[a]
                self.kept_va_degree[place, t] = solved.va_degree[a]
                self.kept_loading_percent[place, t] = solved.loading_percent[a]


def _highest(values: Float) -> tuple[Float, NDArray[np.int32]]:
    """Return the largest value of each row and where it is; NaN and -1 where all are -inf."""
    if not values.shape[1]:
        return np.full(len(values), np.nan), np.full(len(values), _NOBODY, dtype=np.int32)
    where = values.argmax(axis=1)
    best = np.take_along_axis(values, where[:, None], axis=1)[:, 0]
    none = best == -np.inf
    return np.where(none, np.nan, best), np.where(none, _NOBODY, where).astype(np.int32)
