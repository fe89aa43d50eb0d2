"""The search for the first break: every level, then ever finer between the two that enclose it.

No step is left out of an answer: refinement looks at the steps that were the worst, and what it finds is confirmed on
all of them.

The searches at several rows go on side by side (:meth:`Search.together`): each is a generator that asks for sizes and
is sent what is found there, so that the states of all of them are solved at once.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.trial import Float, Trial
from gridedge.planning.hosting.bounds import KINDS, NOISE, Base, Group, Margins, reduced

LEVELS = 20
"""Levels up to what the bus can draw at most, wider apart with the square: small sites are looked at more closely."""
_BEYOND, _MORE = 1.5, 6  # further levels where nothing binds: each so much higher, so many
_TOGETHER = 1024  # states of a scan that are asked for at once
_AHEAD = 8  # levels that are asked for at once where nobody knows which of them breaks
_INSIDE = 7  # sizes tried at once between two
_MANY = 4096  # states from which on a size more costs more than asking again
_WAITING, _ROWS = 200_000, 64  # states, and rows, of the searches that go on side by side
_WORST = 4  # steps of every kind that refinement looks at
_ROUNDS = 20  # of refinement and confirmation before a bus is given up
COLLAPSE = -1

Lifted = tuple[int, int] | None
T = TypeVar("T")


@dataclass(frozen=True)
class Break:
    """Where a limit breaks.

    Parameters
    ----------
    p_mw : float
        Largest size found to keep it. [MW]
    beyond_mw : float
        Smallest size found to break it. [MW]
    group : int
        Position of its group; -1 for the collapse.
    kind, element : int
        Position in ``KINDS``, and of the bus or branch.
    step : int
        Step in which it breaks (the first of a mean).
    """

    p_mw: float
    beyond_mw: float
    group: int
    kind: int
    element: int
    step: int

    @property
    def lifted(self) -> Lifted:
        """What to leave out in order to see the next one."""
        return (self.kind, self.element)


@dataclass
class Look:
    """Some sizes at one bus, in all steps or in some.

    Parameters
    ----------
    found : list of Margins
        One per group.
    unsolved : ndarray of bool, shape (level, step)
        Where there is no solution, or none has been looked for beyond the contracting ones.
    settled : bool
        Whether ``unsolved`` is final.
    steps : ndarray
        Which steps.
    """

    found: list[Margins]
    unsolved: NDArray[np.bool_]
    settled: bool
    steps: NDArray[np.intp]

    def rooms(self, groups: list[Group], lifted: Lifted) -> list[Any]:
        """Return margin, element and step (kind, level) of every group."""
        return [reduced(g, f, lifted) for g, f in zip(groups, self.found, strict=True)]

    def broken(self, groups: list[Group], lifted: Lifted) -> NDArray[np.bool_]:
        """Say of each level whether a limit breaks in what is solved, or whether it is known to have no solution."""
        bad = np.zeros(self.unsolved.shape[0], dtype=bool)
        for room, _, _ in self.rooms(groups, lifted):
            bad |= (room < -NOISE).any(axis=0)
        return bad | (self.unsolved.any(axis=1) if self.settled else False)


@dataclass(frozen=True)
class Asked:
    """Sizes at a row that a search wants to know about.

    Parameters
    ----------
    k : int
        Position of the row.
    p_mw : ndarray, shape (level,)
        Sizes. [MW]
    steps : ndarray
        Which steps.
    settle : bool
        Whether what does not contract is solved exactly.
    """

    k: int
    p_mw: Float
    steps: NDArray[np.intp]
    settle: bool


Asking = Generator[Asked, Look, T]


class Search:
    """The search at one row of the net after the other.

    Parameters
    ----------
    trial : Trial
        The net.
    groups : list of Group
        Its limits.
    base : Base
        The net without a site.
    tol_mw : float
        How near to the break a capacity must be. [MW]
    max_mw : float, optional
        Highest size of interest. [MW]
    """

    def __init__(self, trial: Trial, groups: list[Group], base: Base, tol_mw: float, max_mw: float | None):
        self.trial, self.groups, self.tol_mw = trial, groups, tol_mw
        self.before = np.ascontiguousarray(base.vm_pu)
        self.every = np.arange(trial.steps, dtype=np.intp)
        self.plain = all(g.plain for g in groups)
        reach = trial.reach_mw()
        finite = reach[np.isfinite(reach)]
        self.reach = np.where(np.isfinite(reach), reach, finite.max() if finite.size else trial.model.base_mva)
        if trial.within is not None:
            self.reach = np.minimum(self.reach, 1.1 * trial.headroom_mw)
        self.max_mw = max_mw

    def levels(self, k: int) -> Float:
        """Return the sizes that are looked at, from zero."""
        top = float(self.reach[k])
        top = top if self.max_mw is None else min(top, self.max_mw)
        count = LEVELS * self.trial.finer
        found = top * (np.arange(count + 1) / count) ** 2
        last = top * _BEYOND**_MORE if self.max_mw is None else self.max_mw
        more = top * _BEYOND ** np.arange(1, 200)
        more = more[more < last * (1 - 1e-9)]
        return np.r_[found, more, last] if last > top * (1 + 1e-9) else found

    def look(self, k: int, p_mw: Float, steps: NDArray[np.intp], settle: bool) -> Look:
        """Solve some sizes in some steps."""
        return self.looks([Asked(k, p_mw, steps, settle)])[0]

    def run(self, search: Asking[T]) -> T:
        """Return what one search comes to."""
        return self.together([search])[0]

    def together(self, searches: Iterable[Asking[T]]) -> list[T]:
        """Return what searches come to, several of them side by side.

        What a search is told does not depend on the others, but for what an iteration leaves over (1e-10 pu).
        """
        at_once = max(1, min(_ROWS, _WAITING // (LEVELS * self.every.size)))
        waiting = list(enumerate(searches))[::-1]
        found: dict[int, T] = {}
        going: dict[int, tuple[Asking[T], Asked]] = {}

        def on(number: int, search: Asking[T], told: Look | None) -> None:
            try:
                going[number] = search, next(search) if told is None else search.send(told)
            except StopIteration as end:
                going.pop(number, None)
                found[number] = end.value

        while waiting or going:
            while waiting and len(going) < at_once:
                on(*waiting.pop(), None)
            if going:
                now = sorted(going.items())
                for (number, (search, _)), told in zip(now, self.looks([a for _, (_, a) in now]), strict=True):
                    on(number, search, told)
        return [found[i] for i in sorted(found)]

    def looks(self, asked: list[Asked]) -> list[Look]:
        """Solve what several searches ask for, all of it at once."""
        sizes = [a.p_mw.size * a.steps.size for a in asked]
        which = np.repeat([a.k for a in asked], sizes).astype(np.intp)
        p_mw = np.concatenate([np.repeat(a.p_mw, a.steps.size) for a in asked])
        when = np.concatenate([np.tile(a.steps, a.p_mw.size) for a in asked])
        told = self._judge(which, p_mw, when, False)
        out, first = [], 0
        for a, size in zip(asked, sizes, strict=True):
            here = slice(first, first + size)
            look = self._look_of(a, [(m[:, here], w[:, here]) for m, w in told[0]], told[1][here])
            if not look.settled and a.settle:
                self._settle(a, look)
            out.append(look)
            first += size
        return out

    def _judge(
        self, k: NDArray[np.intp], p_mw: Float, when: NDArray[np.intp], settle: bool
    ) -> tuple[list[tuple[Float, NDArray[np.int64]]], NDArray[np.bool_]]:
        bounds, windows = [g.bounds for g in self.groups], [g.window for g in self.groups]
        margin, where, solved = self.trial.judge(k, p_mw, when, bounds, self.before, settle, windows)
        return list(zip(margin, where, strict=True)), solved

    def _look_of(self, a: Asked, told: list[tuple[Float, NDArray[np.int64]]], solved: NDArray[np.bool_]) -> Look:
        """Sort what is told of states by level and step."""
        shape = (a.p_mw.size, a.steps.size)
        found = []
        for g, (margin, where) in zip(self.groups, told, strict=True):
            whole = a.steps.size - g.window + 1
            cut = np.s_[:, :, :whole]
            at = np.ascontiguousarray(where.reshape(5, *shape)[cut])
            found.append(Margins(np.ascontiguousarray(margin.reshape(5, *shape)[cut]), at))
        unsolved = ~solved.reshape(shape)
        return Look(found, unsolved, not unsolved.any(), a.steps)

    def _settle(self, a: Asked, look: Look) -> None:
        """Solve exactly what did not contract, level by level up to the first that has no solution, in place."""
        look.settled = True
        plain = all(g.window == 1 for g in self.groups)
        for j in np.flatnonzero(look.unsolved.any(axis=1)):
            at = np.flatnonzero(look.unsolved[j]) if plain else np.arange(a.steps.size)
            pieces = [at[i : i + 1] for i in range(at.size)] if self.trial.dear else [at]
            for one in pieces:
                k, p_mw = np.full(one.size, a.k, dtype=np.intp), np.full(one.size, a.p_mw[j])
                told, solved = self._judge(k, p_mw, a.steps[one], True)
                look.unsolved[j, one] = ~solved
                for found, g, (margin, where) in zip(look.found, self.groups, told, strict=True):
                    here = one[: one.size - g.window + 1]
                    found.margin[:, j, here], found.where[:, j, here] = margin[:, : here.size], where[:, : here.size]
                if not solved.all():
                    break
            if look.unsolved[j].any():
                return

    def refine(
        self, k: int, good: float, bad: float, at_bad: Look | None, lifted: Lifted
    ) -> Asking[tuple[float, float, Look, Look]]:
        """Ask for sizes that keep and break the limits, no more than ``tol_mw`` apart; return all steps at both too.

        Parameters
        ----------
        k : int
            The row.
        good, bad : float
            Sizes that keep and break them; either may be the larger. [MW]
        at_bad : Look, optional
            All steps at ``bad``.
        lifted : tuple, optional
            Limit that is left out.
        """
        steps = self.worst(at_bad, lifted) if self.plain and at_bad is not None else self.every
        outer = good, bad
        # Where a state without a solution is dear, or there are many of them, one size at a time.
        inside = 1 if self.trial.dear or steps.size > _MANY else _INSIDE
        for _ in range(_ROUNDS):
            while abs(bad - good) > self.tol_mw:
                sizes = np.linspace(good, bad, inside + 2)[1:-1]
                rising = bad > good
                look = yield Asked(k, sizes if rising else sizes[::-1], steps, True)
                broken = look.broken(self.groups, lifted)
                broken = broken if rising else broken[::-1]
                first = int(np.argmax(broken)) if broken.any() else sizes.size
                edges = np.r_[good, sizes, bad]
                good, bad = float(edges[first]), float(edges[first + 1])
            sure = yield Asked(k, np.array([good]), self.every, True)
            over = yield Asked(k, np.array([bad]), self.every, True)
            if not sure.broken(self.groups, lifted)[0]:
                if over.broken(self.groups, lifted)[0]:
                    return good, bad, sure, over
                good, bad, steps = bad, outer[1], self.every  # it did converge, with other states beside it
                continue
            # Another step breaks earlier than those that were looked at.
            good, bad, steps = outer[0], good, self.every
        bus = self.trial.model.readout.bus_index[self.trial.model.readout.bus_row == self.trial.rows[k]][0]
        raise RunError(
            f"The capacity of bus {bus} is not decided near {good:.6g} MW: whether the power flow converges there "
            "depends on where it starts. Choose a larger tol_mw, or max_mw below it."
        )

    def worst(self, look: Look, lifted: Lifted) -> NDArray[np.intp]:
        """Return the steps in which some kind is at its worst, or that have no solution."""
        chosen = [np.flatnonzero(look.unsolved[0])[:_WORST]]
        for found in look.found:
            margin = found.margin[:4, 0]
            for kind, row in enumerate(margin):
                kept = row
                if lifted is not None and lifted[0] == kind:
                    kept = np.where(found.where[kind, 0] == lifted[1], found.margin[4, 0], row) if kind == 2 else None
                if kept is not None and np.isfinite(kept).any():
                    chosen.append(np.argsort(kept, kind="stable")[:_WORST])
        steps = np.unique(np.concatenate(chosen)).astype(np.intp)
        return steps if steps.size else self.every

    def binding(self, good: float, bad: float, at_good: Look, at_bad: Look, lifted: Lifted) -> Break:
        """Return what breaks first between two sizes."""
        best: tuple[float, Break] | None = None
        before, after = (look.rooms(self.groups, lifted) for look in (at_good, at_bad))
        for i, ((room0, _, _), (room1, where, at)) in enumerate(zip(before, after, strict=True)):
            for kind in range(len(KINDS)):
                if room1[kind, 0] < -NOISE:
                    start = max(float(room0[kind, 0]), 0.0)
                    share = start / (start - float(room1[kind, 0]))
                    if best is None or share < best[0]:
                        spot = Break(good, bad, i, kind, int(where[kind, 0]), int(at[kind, 0]))
                        best = share, spot
        if best is not None:
            return best[1]
        step = int(np.flatnonzero(at_bad.unsolved[0])[0])
        return Break(good, bad, COLLAPSE, COLLAPSE, COLLAPSE, step)


class Scan:
    """The levels at one row, solved when they are asked for.

    A few steps, the worst without a site, are solved at all levels first.  They can only show that a level is broken;
    that it holds is always known from all steps.

    Parameters
    ----------
    search : Search
        What is looked for.
    k : int
        The row.
    base : Look
        Level zero, which is the same everywhere.
    """

    def __init__(self, search: Search, k: int, base: Look):
        self.search, self.k = search, k
        self.levels = search.levels(k)
        self.end = self.levels.size  # level from which on there is no solution
        self._full: dict[int, Look] = {0: base}
        self._few: Look | None = None

    def begin(self) -> Asking[None]:
        """Look at the few steps; before anything else."""
        search = self.search
        if search.plain and not search.trial.dear:
            steps = np.union1d(search.worst(self._full[0], None), np.argmax(search.trial.shape)).astype(np.intp)
            if steps.size < search.trial.steps:
                self._few = yield Asked(self.k, self.levels, steps, False)

    def _hint(self, lifted: Lifted) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which levels are broken in the few steps, and which have a step there that does not contract."""
        broken = np.zeros(self.levels.size, dtype=bool)
        if self._few is None:
            return broken, broken
        for room, _, _ in self._few.rooms(self.search.groups, lifted):
            broken |= (room < -NOISE).any(axis=0)
        return broken, np.asarray(self._few.unsolved.any(axis=1))

    def at(self, i: int, stop: int | None = None) -> Asking[Look]:
        """Return a level in all steps; those behind it, up to ``stop``, are solved together with it."""
        s = self.search
        if i not in self._full:
            count = max(1, min(_TOGETHER // s.trial.steps, (stop or i + 1) - i))
            count = min(count, 2 if s.trial.dear else _AHEAD)
            look = yield Asked(self.k, self.levels[i : i + count], s.every, False)
            for j in range(look.unsolved.shape[0]):
                found = [Margins(f.margin[:, j : j + 1], f.where[:, j : j + 1]) for f in look.found]
                unsolved = look.unsolved[j : j + 1]
                settled = look.settled or not unsolved.any()
                self._full.setdefault(i + j, Look(found, unsolved, settled, s.every))
        return self._full[i]

    def broken(self, i: int, lifted: Lifted, stop: int | None = None) -> Asking[bool]:
        """Say whether a limit breaks at a level; what does not contract is settled where it decides."""
        s = self.search
        look = yield from self.at(i, stop)
        if look.broken(s.groups, lifted)[0]:
            return True
        if not look.settled:
            look = self._full[i] = yield Asked(self.k, self.levels[i : i + 1], s.every, True)
        if look.unsolved.any():
            self.end = min(self.end, i)
        return bool(look.broken(s.groups, lifted)[0])

    def first(self, lifted: Lifted, start: int = 0) -> Asking[int | None]:
        """Return the first level from ``start`` on that is broken; None where none is."""
        known, _ = self._hint(lifted)
        ahead = start + int(np.argmax(known[start:])) if known[start:].any() else None
        for i in range(start, self.levels.size):
            if i == ahead or i >= self.end or (yield from self.broken(i, lifted, ahead or self.levels.size)):
                return i
        return None

    def later(self, start: int) -> Asking[list[tuple[int, int]]]:
        """Return the runs of levels after ``start`` that keep all limits, up to where states stop contracting."""
        runs: list[tuple[int, int]] = []
        known, lost = self._hint(None)
        for i in range(start, min(self.levels.size, self.end)):
            if lost[i]:
                break
            if known[i]:
                continue
            look = yield from self.at(i)
            if look.unsolved.any():
                break
            if not look.broken(self.search.groups, None)[0]:
                runs = [*runs[:-1], (runs[-1][0], i)] if runs and runs[-1][1] == i - 1 else [*runs, (i, i)]
        return runs
