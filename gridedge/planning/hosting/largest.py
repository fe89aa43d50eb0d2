"""The largest total of several sites: linear programs on sensitivities, each answer confirmed by exact power flows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.trial import Float, Index
from gridedge.planning.hosting.bounds import KINDS, Group, moving_mean
from gridedge.planning.hosting.climb import Case, Climb, Climbed

_PASSES = 40
_SMALLEST = 0.5  # of tol_mw: a step or a gain below it is none
_WIDER, _CLOSER = 2.0, 0.25  # the step after one that was as good as foretold, and after one that was not
_ENOUGH = 0.7  # share of what was foretold
_PENALTY = 1e3  # MW of total that one MW beyond a limit costs, where the linear program cannot keep them all
_PROBE = 1e-3  # of the total, by which a site is moved to see what it does
_INSENSITIVE = 1e-9  # pu or % per MW: no site moves it
_SEEN = 0.1  # of the total: how far the linear program looks when it judges an answer


@dataclass(frozen=True)
class Linear:
    """The limits near a point: ``room + slope @ d >= 0`` for a move ``d`` of the sites, every row in MW.

    Parameters
    ----------
    room_mw : ndarray, shape (limit,)
        By how much the site that matters most may grow until the limit is reached. [MW]
    slope : ndarray, shape (limit, site)
        Change of the room, of a largest absolute value of 1. [MW/MW]
    kind, element : ndarray of int, shape (limit,)
        Position in ``KINDS``, and of the bus or branch.
    """

    room_mw: Float
    slope: Float
    kind: Index
    element: Index


@dataclass(frozen=True)
class Largest:
    """The largest total found.

    Parameters
    ----------
    p_mw : ndarray, shape (site,)
        Of each site. [MW]
    found : Climbed
        What stops it when all grow in proportion.
    left_mw : float
        What the linearised limits still allow within a move of a tenth of the total. [MW]
    """

    p_mw: Float
    found: Climbed
    left_mw: float


def grown(climb: Climb, bus: Index, share: Float, max_mw: float) -> tuple[Float, Climbed]:
    """Return the sites at the first break when they grow from zero in proportion to ``share`` (site,), in MW."""
    share = share / share.sum()
    found = climb.climb(Case(bus, np.zeros(bus.size), share, max_mw / float(share.max())))
    return found.size_mw * share, found


def largest(climb: Climb, bus: Index, start_mw: Float, found: Climbed, max_mw: float) -> Largest:
    """Move the power of sites between them until their total grows no more.

    From a point that keeps all limits, the limits are linearised and a linear program finds the move, no site by more
    than a step, after which the total is the largest.  The point it leads to is drawn back, or out, along the line
    from zero to its first break, exactly and in all steps.  If the total has grown, the search goes on from there,
    else with a smaller step.

    Parameters
    ----------
    climb : Climb
        The net.
    bus : ndarray of int, shape (site,)
        Position of each site's bus in the trial.
    start_mw : ndarray, shape (site,)
        A point that keeps all limits, at its first break. [MW]
    found : Climbed
        What stops it there.
    max_mw : float
        Highest size of interest of a site. [MW]

    Notes
    -----
    Successive linear programming with a trust region [1]_; the exact total along the line from zero is its merit, so
    each accepted point keeps all limits.  It finds a best point nearby; that none is better elsewhere is not proven.

    References
    ----------
    .. [1] J. Nocedal, S. J. Wright, "Numerical Optimization", 2nd ed., Springer, 2006, section 18.5 (from memory).
    """
    p_mw, steps = start_mw, np.empty(0, dtype=np.intp)
    radius = max(float(p_mw.sum()) / 2, climb.tol_mw)
    for _ in range(_PASSES):
        steps = _steps(climb, bus, p_mw, steps)
        near = linear(climb, bus, p_mw, steps)
        accepted = False
        while not accepted:
            move = _program(near, p_mw, radius, max_mw)
            foretold = float(move.sum())
            if foretold < _SMALLEST * climb.tol_mw or radius < _SMALLEST * climb.tol_mw:
                return Largest(p_mw, found, _left(near, p_mw, max_mw))
            moved = np.maximum(p_mw + move, 0.0)
            new_mw, new = grown(climb, bus, moved, max_mw)
            gained = float(new_mw.sum() - p_mw.sum())
            accepted = gained > _SMALLEST * climb.tol_mw
            if accepted:
                radius *= _WIDER if gained > _ENOUGH * foretold else 1.0
            else:
                radius *= _CLOSER
                steps = np.union1d(steps, [new.step]).astype(np.intp)
        p_mw, found = new_mw, new
    return Largest(p_mw, found, _left(linear(climb, bus, p_mw, steps), p_mw, max_mw))


def linear(climb: Climb, bus: Index, p_mw: Float, steps: Index) -> Linear:
    """Return the limits near ``p_mw`` (site,) in some steps, from differences of exact power flows."""
    t, sites = climb.trial, bus.size
    probe = max(_PROBE * float(p_mw.sum()), 0.1 * climb.tol_mw)
    # The point itself, then each site moved.
    points = np.concatenate([p_mw[None, :], p_mw + probe * np.eye(sites)])
    found = []
    for point in points:
        drawn = climb.drawn(Case(bus, point, np.zeros(sites)), np.zeros(1), steps)
        moments = drawn.shape[0]
        x = t.states_of(drawn.reshape(moments * steps.size, -1), np.tile(steps, moments))
        vm, loading, solved = t.full(x)
        shape = (moments, steps.size, -1)
        found.append((vm.reshape(shape), loading.reshape(shape), solved.all()))
    rooms, slopes, kinds, elements = [], [], [], []
    for group in climb.groups:
        for moment in range(found[0][0].shape[0]):
            here = [_sides(climb, group, vm[moment], loading[moment], steps) for vm, loading, _ in found]
            for kind, room in enumerate(here[0]):
                keep = np.isfinite(room)
                if group.allowed and keep.any():  # the worst steps may break it
                    order = np.argsort(np.where(keep, room, np.inf).min(axis=1), kind="stable")
                    keep[order[: group.allowed]] = False
                slope = np.stack([(other[kind][keep] - room[keep]) / probe for other in here[1:]], axis=-1)
                rooms.append(room[keep])
                slopes.append(np.nan_to_num(slope))
                kinds.append(np.full(int(keep.sum()), kind))
                elements.append(np.nonzero(keep)[1])
    if not rooms:
        return Linear(np.empty(0), np.empty((0, sites)), np.empty(0, dtype=np.intp), np.empty(0, dtype=np.intp))
    room, slope = np.concatenate(rooms), np.concatenate(slopes)
    size = np.abs(slope).max(axis=1, initial=0.0)
    live = size > _INSENSITIVE
    kind_, element = np.concatenate(kinds)[live].astype(np.intp), np.concatenate(elements)[live].astype(np.intp)
    return Linear(room[live] / size[live], slope[live] / size[live, None], kind_, element)


def binding(climb: Climb, near: Linear) -> list[str]:
    """Return what has no room left, in words: a site that grew by twice the tolerance would break it."""
    out, words = climb.trial.model.readout, []
    for k in np.argsort(near.room_mw, kind="stable"):
        if near.room_mw[k] > 2 * climb.tol_mw:
            break
        kind = KINDS[near.kind[k]]
        place = out.labels[near.element[k]] if kind == "loading" else f"bus {out.bus_index[near.element[k]]} ({kind})"
        if place not in words:
            words.append(place)
    return words


def _sides(climb: Climb, group: Group, vm: Float, loading: Float, steps: Index) -> list[Float]:
    """Return the room (step, element) of every kind, infinite where there is no limit."""
    b = group.bounds
    mean, load = moving_mean(vm, group.window), moving_mean(loading, group.window)
    sides = [mean - b.low, b.high - mean, b.full - load]
    if group.window == 1:
        sides.append(b.step - np.abs(vm - climb.before[steps]))
    return sides


def _steps(climb: Climb, bus: Index, p_mw: Float, known: Index) -> Index:
    """Return the steps in which a limit is near: those known, and the worst of this point."""
    if not climb.plain:
        return climb.every
    case = Case(bus, p_mw, np.zeros(bus.size))
    seen = climb.look(case, np.zeros(1), climb.every, settle=False)
    return np.union1d(known, climb.worst(case, seen)).astype(np.intp)


def _program(near: Linear, p_mw: Float, radius: float, max_mw: float) -> Float:
    """Return the move (site,) that makes the linearised total the largest, no site by more than ``radius``."""
    from scipy.optimize import linprog

    sites = p_mw.size
    low, high = np.maximum(-p_mw, -radius), np.minimum(radius, max_mw - p_mw)
    reach = near.room_mw + np.where(near.slope > 0, near.slope * low, near.slope * high).sum(axis=1)
    close = reach < 0  # others are not reached within the step
    if not close.any():
        return high
    # One more unknown: how far beyond the limits, in MW, where they cannot all be kept.
    a = np.concatenate([-near.slope[close], -np.ones((int(close.sum()), 1))], axis=1)
    cost = np.r_[-np.ones(sites), _PENALTY]
    done = linprog(cost, A_ub=a, b_ub=near.room_mw[close], bounds=[*zip(low, high, strict=True), (0.0, None)])
    return np.zeros(sites) if done.x is None else np.asarray(done.x[:sites])


def _left(near: Linear, p_mw: Float, max_mw: float) -> float:
    """Return what the linearised limits still allow within a move of a tenth of the total, in MW."""
    move: NDArray[np.float64] = _program(near, p_mw, max(_SEEN * float(p_mw.sum()), 1e-9), max_mw)
    return max(0.0, float(move.sum()))
