"""How near one size of a site is to each kind of limit, and in how many steps it breaks it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.trial import Float, Trial
from gridedge.planning.hosting.bounds import KINDS, NOISE, Base, Group, moving_mean
from gridedge.planning.hosting.losses import WHERE, Held, losses_at

ALL_KINDS = (*KINDS, "losses")
UNITS = {"low": "pu", "high": "pu", "loading": "%", "step": "pu", "losses": "MW"}


@dataclass(frozen=True)
class Rooms:
    """One size at one bus, in all steps; the kinds are those of ``ALL_KINDS``.

    Parameters
    ----------
    room : ndarray, shape (kind,)
        Room that decides, negative where the limit is broken, infinite where there is none.
    element : tuple of str
        Bus or branch that has it.
    step : ndarray, shape (kind,)
        Step (or first of a mean) in which it has it.
    broken : ndarray, shape (kind,)
        Steps (or means) in which the limit is broken, the most of all limits of that kind.
    unsolved : int
        Steps without solution; then all of the above is of the others.
    """

    room: Float
    element: tuple[str, ...]
    step: NDArray[np.intp]
    broken: NDArray[np.intp]
    unsolved: int

    @property
    def holds(self) -> bool:
        """Whether every limit holds."""
        return self.unsolved == 0 and bool((self.room >= -np.where(np.array(ALL_KINDS) == "losses", 0, NOISE)).all())


def rooms_at(trial: Trial, groups: list[Group], held: list[Held], base: Base, k: int, p_mw: float) -> Rooms:
    """Solve one size at row ``k`` in all steps and measure how near its limits are.

    Parameters
    ----------
    trial : Trial
        The net and its series.
    groups : list of Group
        What every bus and branch is held to.
    held : list of Held
        Limits of losses.
    base : Base
        The net without a site: what a voltage step is counted from.
    k : int
        The row of the solver.
    p_mw : float
        The size. [MW]
    """
    every = np.arange(trial.steps)
    vm, loading, solved = trial.full(trial.states(k, np.full(trial.steps, p_mw), every))
    rooms = measured(trial, groups, base, vm, loading)
    if held and solved.all():
        losses, delivered = losses_at(trial, k, np.array([p_mw]))
        for one in held:
            series = one.room_mw(losses, delivered)
            room, at = one.worst(series)
            if room[0] < rooms.room[-1]:
                rooms.room[-1], rooms.step[-1] = room[0], at[0]
            rooms.broken[-1] = max(int(rooms.broken[-1]), int((series < 0).sum()))
    return Rooms(rooms.room, rooms.element, rooms.step, rooms.broken, int((~solved).sum()))


def measured(trial: Trial, groups: list[Group], base: Base, vm: Float, loading: Float) -> Rooms:
    """Return how near voltages (step, bus) [pu] and loadings (step, branch) [%] are to their limits."""
    out = trial.model.readout
    room = np.full(len(ALL_KINDS), np.inf)
    step, broken = np.zeros(room.size, dtype=np.intp), np.zeros(room.size, dtype=np.intp)
    element = ["", "", "", "", WHERE]
    for g in groups:
        v, load = moving_mean(vm, g.window), moving_mean(loading, g.window)
        b = g.bounds
        with np.errstate(invalid="ignore"):
            change = np.abs(v - moving_mean(base.vm_pu, g.window))
            sides = (v - b.low, b.high - v, b.full - load, b.step - change)
        for kind, side in enumerate(sides):
            if not side.size:
                continue
            margin = np.where(np.isfinite(side), side, np.inf)
            worst = margin.min(axis=1)
            broken[kind] = max(int(broken[kind]), int((worst < -NOISE).sum()))
            at = int(np.argsort(worst, kind="stable")[min(g.allowed, worst.size - 1)])
            if worst[at] < room[kind]:
                where = int(margin[at].argmin())
                room[kind], step[kind] = worst[at], at
                element[kind] = out.labels[where] if KINDS[kind] == "loading" else f"bus {out.bus_index[where]}"
    return Rooms(room, tuple(element), step, broken, 0)
