"""Dispatch by headroom: what units have left, what each takes of a change of generation, and when it is too much."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.grid.engines.model import Complex, Float, Model
from gridedge.grid.engines.units import Units

P_MW = 1e-7  # a change of generation by less is none

NO_HEADROOM = "the added load exceeds the headroom of the units"
NO_FOOTROOM = "the load falls by more than the units can reduce"


@dataclass(frozen=True)
class Work:
    """The states on their way, one per row of each array; the last five are written to as they go."""

    p: Float  # (state, row) scheduled injections [pu]
    q: Float  # (state, row) injections that come from no unit [pu]
    up: Float  # (state, unit) headroom [pu]
    down: Float  # (state, unit) footroom [pu]
    load: Float  # (state, island) added load less added schedule, without losses [pu]
    rising: NDArray[np.bool_]  # (state, island)
    change: Float  # (state, island) change of generation [pu]
    limited: NDArray[np.int8]  # (state, held) as Supplied.at_limit
    vm: Float  # (state, row)
    va: Float


@dataclass(frozen=True)
class Case:
    """What all states share: the net, which rows may be limited to what, and who is dispatched."""

    model: Model
    units: Units
    held: NDArray[np.intp]  # rows
    low: Float  # (held,) [pu]
    high: Float
    ref_row: NDArray[np.intp]  # of each dispatched island
    island: NDArray[np.intp]  # (row,) position in ref_row, or -1
    at: sp.csr_matrix  # (row, unit)


def case_of(model: Model, units: Units, q_limits: bool, headroom: bool) -> Case:
    """Return what all states share.

    Raises
    ------
    InputError
        If load is to be shared in an island with several reference buses.
    """
    nothing = np.empty(0, dtype=np.intp)
    held, ref_row = model.pv if q_limits else nothing, model.ref if headroom else nothing
    own = units.island[ref_row]
    if np.unique(own).size < own.size:
        twice = [i for i in np.unique(own) if (own == i).sum() > 1]
        rows = ref_row[np.isin(own, twice)]
        buses = model.readout.bus_index[np.isin(model.readout.bus_row, rows)]
        cure = "Keep one ext_grid, and make the others gens with their power and limits."
        raise bad("load cannot be shared: several reference buses are connected", str(buses.tolist()), cure)
    position = np.full(int(units.island.max()) + 1, -1, dtype=np.intp)
    position[own] = np.arange(own.size)
    low, high = np.full(held.size, -np.inf), np.full(held.size, np.inf)
    here = np.isin(held, units.bus_row)
    at = np.searchsorted(units.bus_row, held[here])
    low[here], high[here] = units.min_q_mvar[at] / model.base_mva, units.max_q_mvar[at] / model.base_mva
    count = units.row.size
    where = sp.csr_matrix((np.ones(count), (units.row, np.arange(count))), shape=(model.v0.size, count))
    return Case(model, units, held, low, high, ref_row, position[units.island], where)


def work_of(case: Case, s: Complex, schedule_mw: Float) -> Work:
    """Return the states before they are solved, for injections (row, state) and the schedule (unit, state) in them."""
    model, units, base = case.model, case.units, case.model.base_mva
    extra = case.at @ (schedule_mw - units.p_mw[:, None]) / base
    fixed = s - (model.s0 - units.other)[:, None] - extra
    p = (fixed.real + case.at @ schedule_mw / base).T.copy()
    # A unit outside its limits has no room further out; one without a limit, none that is known.
    up = np.fmax((units.max_p_mw[:, None] - schedule_mw) / base, 0.0).T.copy()
    down = np.fmax((schedule_mw - units.min_p_mw[:, None]) / base, 0.0).T.copy()
    mine = np.flatnonzero(case.island >= 0)
    load = np.zeros((case.ref_row.size, s.shape[1]))
    np.add.at(load, case.island[mine], (units.other.real[:, None] - fixed.real - extra)[mine])
    load = load.T.copy()
    limited = np.zeros((s.shape[1], case.held.size), dtype=np.int8)
    empty = np.empty_like(p)
    return Work(p, fixed.imag.T.copy(), up, down, load, load >= 0, load.copy(), limited, empty, empty.copy())


def shares(case: Case, work: Work, states: NDArray[np.intp]) -> tuple[Float, Float]:
    """Return each unit's part (state, unit) of its island's change, and the island's room (state, island) [pu]."""
    if not case.ref_row.size:
        return np.zeros((states.size, case.units.row.size)), np.zeros((states.size, 0))
    mine = case.island[case.units.row]
    room = np.where(work.rising[states][:, mine], work.up[states], work.down[states])
    total = np.stack([room[:, mine == j].sum(axis=1) for j in range(case.ref_row.size)], axis=1)
    # Where nobody has room the reference unit takes the change, so that it can be told by how much it fails.
    some = total[:, mine] > 0
    return np.where(some, room / np.where(some, total[:, mine], 1.0), case.units.weight), total


def of_unit(case: Case, change: Float) -> Float:
    """Return, per unit, what belongs to its island."""
    return change[:, case.island[case.units.row]] if case.ref_row.size else np.zeros((change.shape[0], 1))


def turn(case: Case, work: Work, states: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Share by footroom where generation falls after all, and by headroom where it rises; return where."""
    rising, change, none = work.rising[states], work.change[states], P_MW / case.model.base_mva
    wrong = np.where(rising, change < -none, change > none)
    work.rising[states] = rising ^ wrong
    return np.asarray(wrong.any(axis=1))


def shortage(case: Case, work: Work, state: np.intp, change: Float) -> str:
    """Say whether a change of generation, with or without that of losses, is more than the units can do."""
    if not change.size:
        return ""
    total = shares(case, work, np.array([state]))[1][0]
    short = np.abs(change) > total + P_MW / case.model.base_mva
    if not short.any():
        return ""
    return NO_HEADROOM if (change[short] > 0).any() else NO_FOOTROOM
