"""The search for the first break: every level, then ever finer between the two that enclose it.

No step is left out of an answer: refinement looks at the steps that were the worst, and what it finds is confirmed on
all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.trial import Float, Trial
from gridedge.planning.hosting.bounds import KINDS, NOISE, Base, Group, Margins, of_means, reduced

LEVELS = 20
"""Levels up to what the bus can draw at most, wider apart with the square: small sites are looked at more closely."""
_BEYOND, _MORE = 1.5, 6  # further levels where nothing binds: each so much higher, so many
_TOGETHER = 1024  # states of a scan that are solved at once
_INSIDE = 7  # sizes tried at once between two
_WORST = 4  # steps of every kind that refinement looks at
_ROUNDS = 20  # of refinement and confirmation before a bus is given up
COLLAPSE = -1

Lifted = tuple[int, int] | None


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
        t, levels = self.trial, p_mw.size
        shape = (levels, steps.size)
        when = np.tile(steps, levels)
        x = t.states(k, np.repeat(p_mw, steps.size), when)
        unsolved = np.zeros(shape, dtype=bool)
        found: list[Margins] = []
        direct = [i for i, g in enumerate(self.groups) if g.window == 1]
        for g in self.groups:
            margin = np.full((5, levels, steps.size - g.window + 1), np.inf)
            found.append(Margins(margin, np.full(margin.shape, -1, dtype=np.int64)))
        if not direct or not self.groups:
            unsolved = ~t.full(x, settle=False)[2].reshape(shape) if not self.groups else unsolved
        for i in direct:
            margin, where, solved = t.margins(x, when, self.groups[i].bounds, self.before, settle=False)
            margin[:, ~solved] = np.inf
            found[i].margin[:], found[i].where[:] = margin.reshape(5, *shape), where.reshape(5, *shape)
            unsolved = ~solved.reshape(shape)
        final = not unsolved.any()
        if settle and not final:
            self._settle(x, when, shape, unsolved, found, direct)
            final = True
        for i, g in enumerate(self.groups):
            if g.window == 1:
                continue
            for j in range(levels):
                vm, loading, solved = t.full(x[j * steps.size : (j + 1) * steps.size], settle)
                unsolved[j] |= ~solved
                one = of_means(g, vm, loading)
                found[i].margin[:, j], found[i].where[:, j] = one.margin[:, 0], one.where[:, 0]
            final = settle or not unsolved.any()
        return Look(found, unsolved, final, steps)

    def _settle(
        self, x: Float, when: NDArray[np.intp], shape: tuple[int, int], unsolved: NDArray[np.bool_],
        found: list[Margins], direct: list[int],
    ) -> None:  # fmt: skip
        """Solve exactly what did not contract, level by level up to the first that has no solution."""
        for j in np.flatnonzero(unsolved.any(axis=1)):
            at = np.flatnonzero(unsolved[j])
            here = j * shape[1] + at
            for i in direct or [-1]:
                if i < 0:
                    unsolved[j, at] = ~self.trial.full(x[here])[2]
                    continue
                for one, state in self._pieces(at, here):
                    margin, where, solved = self.trial.margins(
                        x[state], when[state], self.groups[i].bounds, self.before
                    )
                    margin[:, ~solved] = np.inf
                    found[i].margin[:, j, one], found[i].where[:, j, one] = margin, where
                    unsolved[j, one] = ~solved
                    if not solved.all():
                        break
            if unsolved[j].any():
                return

    def _pieces(self, at: NDArray[np.intp], here: NDArray[np.intp]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Cut states into pieces: near the end of the units' headroom what converges depends on what is beside it."""
        if self.trial.within is None:
            return [(at, here)]
        return [(at[i : i + 1], here[i : i + 1]) for i in range(at.size)]

    def refine(
        self, k: int, good: float, bad: float, at_bad: Look | None, lifted: Lifted
    ) -> tuple[float, float, Look, Look]:
        """Return sizes that keep and break the limits, no more than ``tol_mw`` apart, and all steps at both.

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
        inside = _INSIDE if self.trial.within is None else 1  # there, a state without a solution is dear
        for _ in range(_ROUNDS):
            while abs(bad - good) > self.tol_mw:
                sizes = np.linspace(good, bad, inside + 2)[1:-1]
                rising = bad > good
                look = self.look(k, sizes if rising else sizes[::-1], steps, settle=True)
                broken = look.broken(self.groups, lifted)
                broken = broken if rising else broken[::-1]
                first = int(np.argmax(broken)) if broken.any() else sizes.size
                edges = np.r_[good, sizes, bad]
                good, bad = float(edges[first]), float(edges[first + 1])
            sure, over = (self.look(k, np.array([p]), self.every, settle=True) for p in (good, bad))
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
        if search.plain and search.trial.within is None:
            steps = np.union1d(search.worst(base, None), np.argmax(search.trial.shape)).astype(np.intp)
            if steps.size < search.trial.steps:
                self._few = search.look(k, self.levels, steps, settle=False)

    def _hint(self, lifted: Lifted) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return which levels are broken in the few steps, and which have a step there that does not contract."""
        broken = np.zeros(self.levels.size, dtype=bool)
        if self._few is None:
            return broken, broken
        for room, _, _ in self._few.rooms(self.search.groups, lifted):
            broken |= (room < -NOISE).any(axis=0)
        return broken, np.asarray(self._few.unsolved.any(axis=1))

    def at(self, i: int, stop: int | None = None) -> Look:
        """Return a level in all steps; those behind it, up to ``stop``, are solved together with it."""
        s = self.search
        if i not in self._full:
            count = max(1, min(_TOGETHER // s.trial.steps, (stop or i + 1) - i))
            count = count if s.trial.within is None else min(count, 2)
            count = count if s.plain else min(count, 3)
            look = s.look(self.k, self.levels[i : i + count], s.every, settle=False)
            for j in range(count):
                found = [Margins(f.margin[:, j : j + 1], f.where[:, j : j + 1]) for f in look.found]
                unsolved = look.unsolved[j : j + 1]
                settled = look.settled or not unsolved.any()
                self._full.setdefault(i + j, Look(found, unsolved, settled, s.every))
        return self._full[i]

    def broken(self, i: int, lifted: Lifted, stop: int | None = None) -> bool:
        """Say whether a limit breaks at a level; what does not contract is settled where it decides."""
        s = self.search
        look = self.at(i, stop)
        if look.broken(s.groups, lifted)[0]:
            return True
        if not look.settled:
            look = self._full[i] = s.look(self.k, self.levels[i : i + 1], s.every, settle=True)
        if look.unsolved.any():
            self.end = min(self.end, i)
        return bool(look.broken(s.groups, lifted)[0])

    def first(self, lifted: Lifted, start: int = 0) -> int | None:
        """Return the first level from ``start`` on that is broken; None where none is."""
        known, _ = self._hint(lifted)
        ahead = start + int(np.argmax(known[start:])) if known[start:].any() else None
        for i in range(start, self.levels.size):
            if i == ahead or i >= self.end or self.broken(i, lifted, ahead or self.levels.size):
                return i
        return None

    def later(self, start: int) -> list[tuple[int, int]]:
        """Return the runs of levels after ``start`` that keep all limits, up to where states stop contracting."""
        runs: list[tuple[int, int]] = []
        known, lost = self._hint(None)
        for i in range(start, min(self.levels.size, self.end)):
            if lost[i]:
                break
            if known[i]:
                continue
            look = self.at(i)
            if look.unsolved.any():
                break
            if not look.broken(self.search.groups, None)[0]:
                runs = [*runs[:-1], (runs[-1][0], i)] if runs and runs[-1][1] == i - 1 else [*runs, (i, i)]
        return runs
