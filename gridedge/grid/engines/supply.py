"""Who delivers, within limits: reactive limits of generators and the dispatch of added load by headroom.

Both are part of the power-flow equations here, not corrections after it, and hold for many states at once
(:mod:`gridedge.grid.engines.bordered`).

**Reactive limits.** A bus that holds its voltage is in one of three conditions [1]_; Q is the reactive power of all its
units together, between the sums of their limits::

    V = Vset  and  Qmin <= Q <= Qmax;     Q = Qmax  and  V <= Vset;     Q = Qmin  and  V >= Vset

A state starts with every bus at its set-point.  All buses that break their condition change it, the equations are
solved again, and so on until none does.  In a state that does not settle only the first of them changes [2]_; where
changing all together leaves no solution, only the one furthest off.  ``runpp(enforce_q_lims=True)`` never lets a bus
return to its set-point: where others reach their limits after it, it can leave a bus at Qmax with V > Vset, or at Qmin
with V < Vset, which no voltage regulator would do.  There the two answers differ; elsewhere they are the same, unless
near collapse several sets of buses meet all conditions.

**Dispatch.** An island's change of generation against its schedule is its added load and the change of its losses.
Each unit takes the part of it that its room has in the room of all: headroom ``max_p_mw - p_mw`` where
generation rises, footroom ``p_mw - min_p_mw`` where it falls.  So all units reach their limits together.

References
----------
.. [1] "A robust and informative method for solving large-scale power flow problems", Computational Optimization and
   Applications, 2015. :doi:`10.1007/s10589-015-9745-5` (the limits as complementarity constraints)
.. [2] K. G. Murty, "Note on a Bard-type scheme for solving the complementarity problem", Opsearch 11, 1974,
   pp. 123-130 (only the first of those in conflict changes: no cycle, in the linear problem).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.grid.engines.batch import Batch
from gridedge.grid.engines.bordered import Border, border, solve_bordered
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.dispatch import Case, Work, case_of, of_unit, shares, shortage, turn, work_of
from gridedge.grid.engines.model import Complex, Float, Model
from gridedge.grid.engines.newton import determinant_sign
from gridedge.grid.engines.reference import FAR_PU
from gridedge.grid.engines.threads import spread
from gridedge.grid.engines.units import Units

Flow = Callable[[Model, Complex], tuple[Complex, NDArray[np.bool_]]]

_NEWTON_MOST = 20
_WILD_PU = 10.0  # a voltage on the way to nowhere
_STEP_PU = 1e-11  # a last step of this size leaves an error far below 1e-8 pu
_STEP_MW = 1e-8  # the same for a change of generation
_MOST = 40
_TOGETHER = 40  # passes after which only the first bus in conflict changes
_PASSES = 100
_Q_MVAR = 1e-7  # beyond a limit by less is on it
_V_PU = 1e-10  # closer to the set-point is on it
_FIT_PU = 1e-9  # mismatch that a solution may leave, per pu of the largest injection

NO_NUMBER = "the input is no number"
NO_FLOW = "the power flow does not converge"
NO_SET = "the reactive limits do not settle"
FAR = "what is found is the lower solution, beyond the nose of the curve"


@dataclass(frozen=True)
class Supplied:
    """States in which the units stay within their limits.

    Parameters
    ----------
    v : ndarray, shape (row, state)
        Voltages; NaN where not converged, as in all fields below. [pu]
    converged : ndarray of bool, shape (state,)
        Whether a solution within all limits was found.
    q_mvar : ndarray, shape (unit bus, state)
        Reactive power of the units of each bus of ``Units.bus_row``. [Mvar]
    p_mw : ndarray, shape (unit, state)
        Active power of each unit, generation positive. [MW]
    at_limit : ndarray of int8, shape (unit bus, state)
        1 where the bus is held at its upper reactive limit, -1 at its lower, 0 where it holds its voltage.
    beyond_mvar : ndarray, shape (unit bus, state)
        How far the bus is beyond its reactive limits: where they are not enforced, and at reference buses. [Mvar]
    beyond_mw : ndarray, shape (unit, state)
        How far the unit is beyond its active limits: where it was so in its schedule, and where the reference unit
        takes every change alone. [MW]
    why : ndarray of str, shape (state,)
        Why there is no solution; empty where there is.
    """

    v: Complex
    converged: NDArray[np.bool_]
    q_mvar: Float
    p_mw: Float
    at_limit: NDArray[np.int8]
    beyond_mvar: Float
    beyond_mw: Float
    why: NDArray[np.str_]


def within_limits(
    model: Model,
    units: Units,
    s: Complex,
    flow: Flow | None = None,
    *,
    q_limits: bool,
    headroom: bool,
    p_mw: Float | None = None,
) -> Supplied:
    """Solve many states with their units within limits.

    Parameters
    ----------
    model : Model
        The net.
    units : Units
        Its units, from :func:`gridedge.grid.engines.units.read_units`.
    s : ndarray, shape (row, state)
        Injections, generation positive, made from ``model.s0`` by adding what moves. [pu]
    flow : callable, optional
        ``flow(model, s) -> (v, converged)``, with NaN where not converged: where the states start from.
        By default the batch engine.
    q_limits : bool
        Whether buses of generators keep the sum of their units' reactive limits.  Reference buses have none, as in
        pandapower; ``beyond_mvar`` says how far they go beyond.
    headroom : bool
        Whether all units share in the change of generation; else the reference units take it alone, and
        ``beyond_mw`` says how far they go beyond.
    p_mw : ndarray, shape (unit, state), optional
        Schedule: what the units deliver before the dispatch, as it stands in ``s``; by default ``units.p_mw``
        throughout. [MW]

    Returns
    -------
    Supplied

    Raises
    ------
    InputError
        With ``headroom``, if several reference buses are connected: their angles fix what each delivers.

    Notes
    -----
    Static generators are injections, and keep their reactive power; ``runpp(enforce_q_lims=True)`` would cut it
    to their limits.  A unit beyond an active limit in its schedule stays there, or comes back.
    """
    case = case_of(model, units, q_limits, headroom)
    schedule = np.broadcast_to(units.p_mw[:, None], (units.p_mw.size, s.shape[1])) if p_mw is None else p_mw
    why = np.where(np.isfinite(s).all(axis=0) & np.isfinite(schedule).all(axis=0), "", NO_NUMBER).astype("U120")
    with np.errstate(invalid="ignore"):
        work = work_of(case, s, schedule)
        centre = _begin(case, work, s, flow or chord_flow, why == "")
    common = border(model, centre, case.ref_row, case.island, case.held)
    left, lone = np.flatnonzero(why == ""), np.zeros(why.size, dtype=bool)
    start = work.vm.copy(), work.va.copy()
    for number in range(_PASSES):
        if not left.size:
            break
        good = _solve(case, common, work, left)
        lost, left = left[~good], left[good]
        changed = _switch(case, work, left, lone[left], first=number >= _TOGETHER) | turn(case, work, left)
        left = left[changed]
        # All buses in conflict together may leave no solution on the way to one: then one after the other.
        again = lost[~lone[lost] & work.limited[lost].any(axis=1)]
        lone[again] = True
        work.limited[again], work.change[again] = 0, work.load[again]
        work.vm[again], work.va[again] = start[0][again], start[1][again]
        for i in np.setdiff1d(lost, again):
            why[i] = shortage(case, work, i, work.load[i]) or NO_FLOW
        left = np.union1d(left, again)
    why[left] = NO_SET
    for i in np.flatnonzero(why == ""):
        why[i] = shortage(case, work, i, work.change[i])
    return _answer(case, work, schedule, why)


def chord_flow(model: Model, s: Complex) -> tuple[Complex, NDArray[np.bool_]]:
    """Solve states (row, state) with every bus at its set-point, by the batch engine's loops alone."""
    finite = np.isfinite(s).all(axis=0)
    centre = s[:, finite].mean(axis=1) if finite.any() else model.s0
    one = sp.eye(model.v0.size, format="csr")
    none = sp.csr_matrix(one.shape)
    batch = Batch(model, np.zeros_like(model.s0), sp.hstack([one, none], "csr"), sp.hstack([none, one], "csr"), centre)
    room = Lanes(model.v0.size, s.shape[1])
    converged = batch.contracting(np.ascontiguousarray(np.concatenate((s.real, s.imag)).T), room)
    room.blank(converged)
    return room.take(np.arange(s.shape[1])), converged


def _begin(case: Case, work: Work, s: Complex, flow: Flow, usable: NDArray[np.bool_]) -> Complex:
    """Put every state at its start, all buses at their set-point, and return the voltages in their middle."""
    share, total = shares(case, work, np.arange(s.shape[1]))
    change = np.clip(work.load, -total, total)
    dispatched = s + case.at @ (share * of_unit(case, change)).T
    v, converged = flow(case.model, dispatched)
    good = usable & converged
    centre = v[:, good].mean(axis=1) if good.any() else case.model.v0
    v = np.where(good, v, centre[:, None])
    work.vm[:], work.va[:] = np.abs(v).T, np.angle(v).T
    fixed = np.r_[case.model.ref, case.model.pv]
    work.vm[:, fixed] = np.abs(case.model.v0)[fixed]
    return centre


def _solve(case: Case, common: Border, work: Work, states: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Solve states with the limited buses and directions that they have now; return which converged."""
    good = _chord(case, common, work, states, _MOST)
    for k in np.flatnonzero(~good):
        good[k] = _newton(case, work, states[k : k + 1])
    return good


def _chord(
    case: Case, common: Border, work: Work, states: NDArray[np.intp], most: int, keep: bool = False
) -> NDArray[np.bool_]:
    """Solve states with one Jacobian; keep where they end only if they converge, or with ``keep`` always."""
    limited, q, vm = work.limited[states], _specified(case, work, states), work.vm[states]
    vm[:, case.held] = np.where(limited != 0, vm[:, case.held], np.abs(case.model.v0)[case.held])
    va, change, y = work.va[states], work.change[states], case.model.y
    share = (case.at @ shares(case, work, states)[0].T).T.copy()
    iterations = np.zeros(states.size, dtype=np.int64)
    spread(
        solve_bordered, states.size, y.indptr, y.indices, y.data.real.copy(), y.data.imag.copy(), common.factors,
        common.angle_row, common.magnitude_row, common.held_row, common.ref_row, common.island, common.c.indptr,
        common.c.indices,
        common.c.data, common.w, common.schur, work.p[states], q, share, limited[:, : common.held_row.size] != 0,
        _STEP_PU, _STEP_MW / case.model.base_mva, most, vm, va, change, iterations,
    )  # fmt: skip
    good = (iterations > 0) & np.isfinite(vm).all(axis=1) & np.isfinite(va).all(axis=1)
    take = np.ones_like(good) if keep else good
    work.vm[states[take]], work.va[states[take]], work.change[states[take]] = vm[take], va[take], change[take]
    return good


def _newton(case: Case, work: Work, state: NDArray[np.intp]) -> bool:
    """Solve one state with a Jacobian of its own, taken anew as it goes."""
    limited = work.limited[state[0]] != 0
    model = case.model
    if case.held.size:
        model = replace(model, pv=case.held[~limited], pq=np.r_[model.pq, case.held[limited]])
    nothing = np.empty(0, dtype=np.intp)
    for _ in range(_NEWTON_MOST):
        v = (work.vm[state] * np.exp(1j * work.va[state]))[0]
        if not (np.isfinite(v).all() and np.abs(v).max() < _WILD_PU):
            return False
        try:
            own = border(model, v, case.ref_row, case.island, nothing)
        except RuntimeError:  # exactly singular
            return False
        if _chord(case, own, work, state, 1, keep=True)[0]:
            return True
    return False


def _switch(
    case: Case, work: Work, states: NDArray[np.intp], lone: NDArray[np.bool_], first: bool
) -> NDArray[np.bool_]:
    """Change the buses that break their condition; return which states have one.

    In a ``lone`` state only that which is furthest off changes, with ``first`` only the first of each state.
    """
    if not case.held.size or not states.size:
        return np.zeros(states.size, dtype=bool)
    s, vm = _injection(case, work, states)
    q = s.imag[:, case.held] - work.q[states][:, case.held]
    off = vm[:, case.held] - np.abs(case.model.v0)[case.held]
    old, close = work.limited[states], _Q_MVAR / case.model.base_mva
    beyond = np.where(q > case.high + close, 1, np.where(q < case.low - close, -1, 0))
    # A unit without any range goes from one limit to the other.
    back = np.where(case.high - case.low > close, 0, -old)
    new = np.where(old == 0, beyond, np.where(old * off > _V_PU, back, old)).astype(np.int8)
    differs = new != old
    if first or lone.any():
        size = np.where(old == 0, np.maximum(q - case.high, case.low - q), np.abs(off))
        size = np.where(differs, 1.0 if first else size, -1.0)
        chosen = np.zeros_like(differs)
        chosen[np.arange(states.size), size.argmax(axis=1)] = True
        new = np.where(chosen | ~(lone | first)[:, None], new, old)
    work.limited[states] = new
    return np.asarray(differs.any(axis=1))


def _specified(case: Case, work: Work, states: NDArray[np.intp]) -> Float:
    """Return the reactive power (state, row) of every bus that does not hold its voltage."""
    limited, q = work.limited[states], work.q[states]
    q[:, case.held] += np.where(limited > 0, case.high, np.where(limited < 0, case.low, 0.0))
    return q


def _injection(case: Case, work: Work, states: NDArray[np.intp]) -> tuple[Complex, Float]:
    """Return the injections that the voltages make, and the magnitudes, both (state, row)."""
    vm = work.vm[states]
    v = (vm * np.exp(1j * work.va[states])).T
    return (v * np.conj(case.model.y @ v)).T, vm


def _answer(case: Case, work: Work, schedule_mw: Float, why: NDArray[np.str_]) -> Supplied:
    model, units = case.model, case.units
    states = np.flatnonzero(why == "")
    s, vm = _injection(case, work, states)
    share = shares(case, work, states)[0]
    moved = share * of_unit(case, work.change[states])
    held = np.zeros((states.size, model.v0.size), dtype=bool)
    held[:, case.held] = work.limited[states] != 0
    off = np.abs(s.real - work.p[states] - (case.at @ moved.T).T)
    off[:, np.setdiff1d(model.ref, case.ref_row)] = 0.0
    off_q = np.abs(s.imag - _specified(case, work, states))
    off_q[:, model.ref] = 0.0
    off_q[:, model.pv] = np.where(held[:, model.pv], off_q[:, model.pv], 0.0)
    worst = np.maximum(off, off_q).max(axis=1, initial=0.0)
    why[states[~(worst < _FIT_PU * max(1.0, float(np.abs(s).max(initial=0.0))))]] = NO_FLOW
    far = (np.abs(vm - np.abs(model.v0)) > FAR_PU).any(axis=1)
    for k in np.flatnonzero(far & (why[states] == "")):
        own = replace(model, pv=case.held[~held[k, case.held]], pq=np.r_[model.pq, case.held[held[k, case.held]]])
        if determinant_sign(own, vm[k] * np.exp(1j * work.va[states[k]])) != determinant_sign(own, model.v0):
            why[states[k]] = FAR
    good = why[states] == ""
    states, s, moved = states[good], s[good], moved[good]

    count = why.size
    v = np.full((model.v0.size, count), np.nan, dtype=complex)
    v[:, states] = (work.vm[states] * np.exp(1j * work.va[states])).T
    q_mvar = np.full((units.bus_row.size, count), np.nan)
    q_mvar[:, states] = (s.imag - work.q[states])[:, units.bus_row].T * model.base_mva
    p_mw = np.full((units.row.size, count), np.nan)
    p_mw[:, states] = schedule_mw[:, states] + moved.T * model.base_mva
    if not case.ref_row.size:
        rest = (s.real - work.p[states]).T * model.base_mva
        p_mw[:, states] += units.weight[:, None] * rest[units.row]
    at_limit = np.zeros((units.bus_row.size, count), dtype=np.int8)
    known = np.isin(case.held, units.bus_row)
    at_limit[np.ix_(np.searchsorted(units.bus_row, case.held[known]), states)] = work.limited[states][:, known].T
    beyond_mvar = np.maximum(np.maximum(q_mvar - units.max_q_mvar[:, None], units.min_q_mvar[:, None] - q_mvar), 0.0)
    beyond_mw = np.fmax(p_mw - units.max_p_mw[:, None], units.min_p_mw[:, None] - p_mw)
    beyond_mw = np.where(np.isfinite(p_mw), np.fmax(beyond_mw, 0.0), np.nan)
    return Supplied(v, why == "", q_mvar, p_mw, at_limit, beyond_mvar, beyond_mw, why)
