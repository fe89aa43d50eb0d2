"""Several sites that grow along a straight line: the first break counted from zero, judged in every step."""

from __future__ import annotations

import functools
import pickle
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.engines.spread import pack, spread
from gridedge.grid.trial import Float, Index, Trial
from gridedge.planning.hosting.bounds import KINDS, NOISE, Base, Group, Margins, of_means, reduced
from gridedge.planning.hosting.result import Stop

_LEVELS = 20  # up to what the sites can draw at most, wider apart with the square, as for one site
_BEYOND, _MORE = 1.5, 6  # further levels where nothing binds
_APART = 4.0  # sites that share no impedance draw more than one behind all of it; levels begin to widen here
_TOGETHER = 4096  # states that are solved at once
_INSIDE = 7  # sizes tried at once between two
_WORST = 4  # steps of every kind that are looked at first
_ROUNDS = 20
_HELD_OUT = 4  # answers that runpp solves again
_BEFORE_NOSE = 0.99  # at the nose itself a voltage follows the square root of what a solver leaves over
_PIECE = 16  # cases that travel to a worker together
_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading", "step": "voltage step"}


@dataclass(frozen=True)
class Case:
    """Sites that grow together: each has ``fixed_mw + size * share``.

    Parameters
    ----------
    bus : ndarray of int, shape (site,)
        Position in the trial's buses; two sites may stand at one bus.
    fixed_mw, share : ndarray, shape (site,)
        What stands already, and how much of the size each site takes. [MW, MW/MW]
    most_mw : float
        Largest size of interest; infinite for as much as there is. [MW]
    """

    bus: Index
    fixed_mw: Float
    share: Float
    most_mw: float = np.inf


@dataclass(frozen=True)
class Climbed:
    """What is found of a case.

    Parameters
    ----------
    size_mw : float
        Largest size, counted from zero, at which all limits hold. [MW]
    stop : Stop, optional
        What stops it; none where nothing does up to that size.
    step, moment : int
        Step, and which site is at its peak, when it breaks.
    """

    size_mw: float
    stop: Stop | None
    step: int = 0
    moment: int = 0


@dataclass
class Seen:
    """Some sizes of a case in some steps: margins (kind, size x moment, step) of every group, and what is unsolved."""

    found: list[Margins]
    unsolved: NDArray[np.bool_]
    moments: int

    def broken(self, groups: list[Group], final: bool) -> NDArray[np.bool_]:
        """Say of each size whether a limit breaks; what is unsolved counts when it is ``final``."""
        bad = self.unsolved.any(axis=1) if final else np.zeros(self.unsolved.shape[0], dtype=bool)
        for group, one in zip(groups, self.found, strict=True):
            bad = bad | (reduced(group, one, None)[0] < -NOISE).any(axis=0)
        return np.asarray(bad.reshape(-1, self.moments).any(axis=1))


@dataclass
class Climb:
    """The search for the first break of any case on one net.

    Parameters
    ----------
    trial : Trial
        The net and the buses.
    groups : list of Group
        What every element is held to.
    base : Base
        The net without any site.
    shapes : ndarray, shape (bus or 1, step)
        Power of a site in each step, of its size. [pu]
    coincidence : float
        What the other sites draw of their own when one is at its peak.
    tol_mw : float
        How near to the break an answer is, in MW of the size.
    """

    trial: Trial
    groups: list[Group]
    base: Base
    shapes: Float
    coincidence: float
    tol_mw: float
    reach: Float = field(init=False)

    def __post_init__(self) -> None:
        self.before = np.ascontiguousarray(self.base.vm_pu)
        self.every = np.arange(self.trial.steps, dtype=np.intp)
        self.plain = all(g.plain for g in self.groups)
        reach = self.trial.reach_mw()
        finite = reach[np.isfinite(reach)]
        self.reach = np.where(np.isfinite(reach), reach, finite.max() if finite.size else self.trial.model.base_mva)

    def factors(self, sites: int) -> Float:
        """Return how much of its own each site draws, shape (moment, site): one after the other is at its peak."""
        if self.coincidence == 1.0 or sites == 1:
            return np.ones((1, sites))
        return np.where(np.eye(sites, dtype=bool), 1.0, self.coincidence)

    def drawn(self, case: Case, sizes: Float, steps: Index) -> Float:
        """Return what every row draws, shape (size x moment, step, row), in MW."""
        mw = case.fixed_mw + sizes[:, None] * case.share
        series = (mw[:, None, :] * self.factors(case.bus.size)).reshape(-1, case.bus.size)
        shapes = self.shapes[case.bus if self.shapes.shape[0] > 1 else np.zeros_like(case.bus)][:, steps]
        drawn = np.zeros((series.shape[0], steps.size, self.trial.rows.size))
        for site, row in enumerate(self.trial.which[case.bus]):
            drawn[:, :, row] += series[:, site, None] * shapes[site]
        return drawn

    def levels(self, case: Case) -> Float:
        """Return the sizes that are looked at, from zero."""
        share = np.zeros(self.trial.rows.size)
        np.add.at(share, self.trial.which[case.bus], case.share)
        grows = share > 0
        each = self.reach[grows] / share[grows]
        top = min(float(each.min()), _APART / float((1.0 / each).sum()))
        if self.trial.within is not None:
            top = min(top, 1.1 * self.trial.headroom_mw / float(share.sum()))
        top = min(top, case.most_mw)
        found = top * (np.arange(_LEVELS + 1) / _LEVELS) ** 2
        last = top * _BEYOND**_MORE if np.isinf(case.most_mw) else case.most_mw
        more = top * _BEYOND ** np.arange(1, 200)
        more = more[more < last * (1 - 1e-9)]
        return np.r_[found, more, last] if last > top * (1 + 1e-9) else found

    def look(self, case: Case, sizes: Float, steps: Index, settle: bool) -> Seen:
        """Solve some sizes in some steps; what does not contract is left open without ``settle``."""
        t, moments = self.trial, self.factors(case.bus.size).shape[0]
        drawn = self.drawn(case, sizes, steps)
        series = drawn.shape[0]
        unsolved = np.zeros((series, steps.size), dtype=bool)
        found = []
        for g in self.groups:
            margin = np.full((5, series, steps.size - g.window + 1), np.inf)
            found.append(Margins(margin, np.full(margin.shape, -1, dtype=np.int64)))
        few = max(1, _TOGETHER // steps.size)
        for first in range(0, series, few):
            part = slice(first, min(first + few, series))
            count = part.stop - part.start
            for begin in range(0, steps.size, _TOGETHER):  # a year, piece by piece
                at = slice(begin, min(begin + _TOGETHER, steps.size))
                when = np.tile(steps[at], count)
                x = t.states_of(drawn[part, at].reshape(when.size, -1), when)
                shape = (count, at.stop - at.start)
                for g, one in zip(self.groups, found, strict=True):
                    if g.window > 1:
                        continue
                    margin, where, solved = self._margins(x, when, g, settle)
                    margin[:, ~solved] = np.inf
                    one.margin[:, part, at], one.where[:, part, at] = (a.reshape(5, *shape) for a in (margin, where))
                    unsolved[part, at] |= ~solved.reshape(shape)
                if not self.groups:
                    unsolved[part, at] = ~t.full(x, settle)[2].reshape(shape)
        for g, one in zip(self.groups, found, strict=True):
            for k in range(series if g.window > 1 else 0):
                vm, loading, solved = t.full(t.states_of(drawn[k], steps), settle)
                unsolved[k] |= ~solved
                mean = of_means(g, vm, loading)
                one.margin[:, k], one.where[:, k] = mean.margin[:, 0], mean.where[:, 0]
        return Seen(found, unsolved, moments)

    def _margins(self, x: Float, when: Index, group: Group, settle: bool) -> Any:
        """Return margins, where, and what is solved; near the end of the units' headroom, state by state."""
        margin, where, solved = self.trial.margins(x, when, group.bounds, self.before, settle)
        if settle and self.trial.within is not None:
            for k in np.flatnonzero(~solved):  # there, what converges depends on what is beside it
                one = slice(k, k + 1)
                margin[:, one], where[:, one], solved[one] = self.trial.margins(
                    x[one], when[one], group.bounds, self.before, settle
                )
        return margin, where, solved

    def first(self, case: Case, sizes: Float, steps: Index) -> tuple[int | None, Seen | None]:
        """Return which of rising sizes is the first that breaks a limit in some steps, and all of them at it."""
        seen = self.look(case, sizes, steps, settle=False)
        broken = seen.broken(self.groups, final=False)
        open_ = np.asarray(seen.unsolved.reshape(sizes.size, -1).any(axis=1))
        for k in range(sizes.size):
            if broken[k]:
                return k, _only(seen, k)
            if open_[k]:
                one = self.look(case, sizes[k : k + 1], steps, settle=True)
                if one.broken(self.groups, final=True)[0]:
                    return k, one
        return None, None

    def climb(self, case: Case) -> Climbed:
        """Find the first break of a case."""
        levels = self.levels(case)
        ahead, steps = levels.size, self.every
        if self.plain and self.trial.within is None:
            zero = self.look(case, levels[:1], self.every, settle=False)
            steps = self.worst(case, zero)
            seen = self.look(case, levels, steps, settle=False)  # it can only show that a level breaks
            broken = seen.broken(self.groups, final=False)
            ahead = int(np.argmax(broken)) if broken.any() else ahead
        found, at_bad = ahead, None
        few = max(1, min(_TOGETHER // self.trial.steps, 2 if self.trial.within is not None else _LEVELS))
        for k in range(0, ahead, few):
            stop = min(k + few, ahead)
            broken_at, at_bad = self.first(case, levels[k:stop], self.every)
            if broken_at is not None:
                found = k + broken_at
                break
        if found == levels.size:
            return Climbed(float(levels[-1]), None)
        if at_bad is None:
            at_bad = self.first(case, levels[found : found + 1], self.every)[1]
        if at_bad is None:
            raise self._undecided(float(levels[found]))
        if found == 0:
            return self._told(0.0, at_bad, at_bad)
        return self._refine(case, float(levels[found - 1]), float(levels[found]), at_bad)

    def _refine(self, case: Case, good: float, bad: float, at_bad: Seen) -> Climbed:
        """Go ever finer between two sizes; confirm both ends in all steps."""
        steps = self.worst(case, at_bad) if self.plain and self.trial.within is None else self.every
        outer = good, bad
        inside = _INSIDE if self.trial.within is None else 1  # there, a state without a solution is dear
        for _ in range(_ROUNDS):
            while bad - good > self.tol_mw:
                sizes = np.linspace(good, bad, inside + 2)[1:-1]
                k, _seen = self.first(case, sizes, steps)
                edges = np.r_[good, sizes, bad]
                k = sizes.size if k is None else k
                good, bad = float(edges[k]), float(edges[k + 1])
            below, at_good = self.first(case, np.array([good]), self.every)
            if below is not None and at_good is not None:  # another step breaks earlier
                steps = np.union1d(steps, self.worst(case, at_good)).astype(np.intp)
                good, bad = outer[0], good
                continue
            above, over = self.first(case, np.array([bad]), self.every)
            if above is not None and over is not None:
                return self._told(good, self.look(case, np.array([good]), self.every, settle=True), over)
            good, bad, steps = bad, outer[1], self.every  # it did converge, with other states beside it
        raise self._undecided(good)

    def _undecided(self, size_mw: float) -> RunError:
        return RunError(
            f"The size of several sites is not decided near {size_mw:.6g} MW: whether the power flow converges there "
            "depends on where it starts. Choose a larger tol_mw, or max_mw below it."
        )

    def worst(self, case: Case, seen: Seen) -> Index:
        """Return the steps in which some kind is at its worst, those without a solution, and the sites' peaks."""
        chosen = [np.flatnonzero(seen.unsolved.any(axis=0))[:_WORST]]
        chosen.append(self.shapes[case.bus if self.shapes.shape[0] > 1 else [0]].argmax(axis=1))
        for one in seen.found:
            rows = one.margin[:4].min(axis=1)
            chosen += [np.argsort(row, kind="stable")[:_WORST] for row in rows if np.isfinite(row).any()]
        return np.unique(np.concatenate(chosen)).astype(np.intp)

    def _told(self, size_mw: float, at_good: Seen, at_bad: Seen) -> Climbed:
        """Return what breaks first between a size that holds and one that does not."""
        best: tuple[float, Climbed] | None = None
        for g, before, after in zip(self.groups, at_good.found, at_bad.found, strict=True):
            room0, (room1, where, at) = reduced(g, before, None)[0], reduced(g, after, None)
            for kind, moment in zip(*np.nonzero(room1 < -NOISE), strict=True):
                start = max(float(room0[kind, moment]), 0.0)
                share = start / (start - float(room1[kind, moment]))
                if best is None or share < best[0]:
                    step = int(at[kind, moment])
                    stop = self.stop(size_mw, g, int(kind), int(where[kind, moment]), step)
                    best = share, Climbed(size_mw, stop, step, int(moment))
        if best is not None:
            return best[1]
        moment, step = (int(a[0]) for a in np.nonzero(at_bad.unsolved))
        words, kind_ = "collapse of the voltage", "collapse"
        if self.trial.within is not None:
            words, kind_ = "supply: the headroom of the units, or the collapse", "supply"
        return Climbed(size_mw, Stop(size_mw, words, kind_, "", float(self.trial.time_s[step])), step, moment)

    def stop(self, size_mw: float, group: Group, kind: int, element: int, step: int) -> Stop:
        """Return in words what breaks."""
        out, name = self.trial.model.readout, KINDS[kind]
        time_s = float(self.trial.time_s[step])
        if name == "loading":
            source = group.source(name, out.element[element])
            near = bool(self.trial.at_slack()[element])
            return Stop(
                size_mw, f"{source.limit.name}: {_WORDS[name]}", name, out.labels[element], time_s, at_slack=near
            )
        source = group.source(name, "")
        return Stop(size_mw, f"{source.limit.name}: {_WORDS[name]}", name, f"bus {out.bus_index[element]}", time_s)

    def judge(self, cases: Sequence[Case], found: Sequence[Climbed]) -> float:
        """Solve some answers by ``runpp`` in the step that binds; return the largest difference, in pu."""
        worst = 0.0
        for k in np.unique(np.linspace(0, len(cases) - 1, _HELD_OUT).astype(int)).tolist():
            size, step, stop = found[k].size_mw, found[k].step, found[k].stop
            if stop is not None and stop.kind == "collapse":
                size *= _BEFORE_NOSE
            drawn = self.drawn(cases[k], np.array([size]), np.array([step], dtype=np.intp))
            worst = max(worst, self.trial.drawn_apart_from_runpp(drawn[found[k].moment, 0], step))
        return worst

    def all_of(self, cases: Sequence[Case], executor: Executor | None, remarks: list[str]) -> list[Climbed]:
        """Find the first break of many cases; an executor changes no bit of them."""
        if executor is None:
            return [self.climb(case) for case in cases]
        packed = pack(self)
        tasks: Iterator[Any] = (
            functools.partial(_some, packed, list(cases[k : k + _PIECE])) for k in range(0, len(cases), _PIECE)
        )
        return [one for part in spread(executor, tasks, remarks, "deployments' pieces") for one in part]


def _some(packed: bytes, cases: list[Case]) -> list[Climbed]:
    climb: Climb = pickle.loads(packed)
    return [climb.climb(case) for case in cases]


def _only(seen: Seen, k: int) -> Seen:
    """Return one size."""
    part = slice(k * seen.moments, (k + 1) * seen.moments)
    found = [Margins(one.margin[:, part], one.where[:, part]) for one in seen.found]
    return Seen(found, seen.unsolved[part], seen.moments)
