"""A net with remedies on it, put to the test: exact power flows at sizes up to the wished one, in every step."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridedge.errors import GridedgeError, RunError
from gridedge.grid.inject import Background, private_copy
from gridedge.grid.reinforce import BranchFacts, Change, apply_change, branch_facts
from gridedge.grid.trial import Float, Trial
from gridedge.measure.limit_sets import LimitSet
from gridedge.planning.hosting.bounds import NOISE, Base, groups_of, moving_mean
from gridedge.planning.hosting.hours import Hours, worst_steps
from gridedge.planning.hosting.losses import held_losses, losses_at
from gridedge.planning.hosting.rooms import ALL_KINDS, measured
from gridedge.planning.remedies.prices import Cost

QUICK = 4
"""Sizes between zero and the wished one at which measures are compared; what is proposed is proven at ``SURE``."""
SURE = 20

_KEPT_VALUES = 2e7  # voltages and loadings of nets that were solved already, which are kept


@dataclass(frozen=True)
class Measure:
    """One thing that can be done.

    Parameters
    ----------
    kind : str
        "larger line", "parallel line", "larger transformer", "parallel transformer", "larger impedance", "tap",
        "capacitor" or "var support".
    element : str
        Branch or bus, ``line:12``, ``bus 81``.
    words : str
        What is done, for a reader.
    size : float
        Of what is new: kA of a line (all in parallel), MVA of a transformer, Mvar, or the tap position.
    unit : str
        Unit of ``size``.
    mva : float
        Rating of the branch afterwards, or reactive power; NaN for a tap. [MVA]
    needed : float
        What would just do, in the same unit; NaN where nothing was measured.
    change : Change, optional
        What it changes in the net; None where it changes the site.
    support_mvar : float
        Reactive power that the site draws less, at the wished size. [Mvar]
    cost : Cost, optional
        What it costs; None where no price is known.
    """

    kind: str
    element: str
    words: str
    size: float
    unit: str
    mva: float = np.nan
    needed: float = np.nan
    change: Change | None = None
    support_mvar: float = 0.0
    cost: Cost | None = None


@dataclass(frozen=True)
class Broken:
    """A limit that the wished size breaks.

    Parameters
    ----------
    kind : str
        "low", "high", "loading", "step", "losses", or "no solution".
    element : str
        The worst bus, or the branch.
    value, limit : float
        What is reached and what is allowed: pu, % of the rating, MW of losses.
    p_mw : float
        The size at which it is the worst. [MW]
    time_s : float
        When. [s]
    needed_ka, needed_mva : float
        Rating that would do for a branch, its flow as it is; NaN else.
    """

    kind: str
    element: str
    value: float
    limit: float
    p_mw: float
    time_s: float
    needed_ka: float = np.nan
    needed_mva: float = np.nan

    @property
    def name(self) -> str:
        """What tells it from others."""
        return f"{self.kind} at {self.element}"


@dataclass(frozen=True)
class State:
    """What a set of measures comes to.

    Parameters
    ----------
    room : ndarray, shape (kind,)
        Least room of each kind of limit over all sizes and steps, in the order of ``ALL_KINDS``.
    broken : tuple of Broken
        Every limit that is broken; each branch by itself, of buses the worst.
    ratio : dict
        Loading over its limit of every branch beyond it, by label; where the wished size has no solution,
        what the site adds is scaled up to it.
    unsolved : int
        States without solution.
    base : Base
        The net with the measures, without the site.
    loading : ndarray, shape (2, branch)
        Highest loading without the site, and at the largest size that has a solution. [%]
    p_solved_mw : float
        That size. [MW]
    labels : list of str
        The branches.
    """

    room: Float
    broken: tuple[Broken, ...]
    ratio: dict[str, float]
    unsolved: int
    base: Base
    loading: Float
    p_solved_mw: float
    labels: list[str]

    @property
    def holds(self) -> bool:
        """Whether every limit holds at every size that was looked at."""
        return not self.broken

    def room_of(self, kind: str) -> float:
        """Return the least room of one kind."""
        return float(self.room[ALL_KINDS.index(kind)])


class Bench:
    """The test bench: one bus, one wished size, the limits of the net as it was.

    Parameters
    ----------
    net : pandapowerNet, str or path
        Never changed.
    bus : int or str
        Where.
    wanted_mw : float
        The wished size. [MW]
    q_per_p : float
        Reactive power of the site per active power, lagging positive.
    limits : LimitSet
        What must hold.
    no_worse : bool
        Whether an element beyond a limit already is held to its own worst value in the net *without* measures.
    background, shape, supply, hours
        As for :func:`gridedge.hosting_capacity`.
    """

    def __init__(
        self, net: Any, bus: Any, wanted_mw: float, q_per_p: float, limits: LimitSet, no_worse: bool,
        background: Background, shape: Any, supply: str, hours: Hours = "all",
    ):  # fmt: skip
        self.own, self.remarks = private_copy(net)
        self.wanted_mw, self.q_per_p, self.limits = wanted_mw, q_per_p, limits
        self.background, self.shape, self.supply = background, shape, supply
        self.bus, self._kept = bus, None
        self._last: tuple[tuple[Measure, ...], Any] | None = None
        trial = self.trial(())
        if hours == "worst":
            self._kept = worst_steps(trial)
            trial = self.trial(())
        self.bus, self._buses = trial.buses[0], trial.model.readout.bus_index
        self.remarks += trial.remarks
        zero = trial.states(0, np.zeros(trial.steps), np.arange(trial.steps))
        vm, loading, solved = trial.full(zero)
        if not solved.all():
            raise RunError("The net has no solution without the site: mend the net or its background first.")
        self.groups, said = groups_of(trial, limits, Base(vm, loading), no_worse)
        self.remarks += said
        self.held = held_losses(trial, limits, no_worse)
        self.steps, self.time_s = trial.steps, trial.time_s
        self.reach_mw = float(trial.reach_mw()[0])
        self.looks = 0
        self._seen: dict[tuple[tuple[Measure, ...], int], State] = {}
        self._most = int(np.clip(_KEPT_VALUES / (vm.size + loading.size), 1, 500))
        self._still = np.full_like(vm, np.nan), np.zeros_like(loading), trial.model.readout.labels

    def trial(self, measures: Sequence[Measure]) -> Trial:
        """Return the net with measures on it, ready to be tried."""
        q_per_p = self.tangent(measures)
        trial = Trial(self.net(measures), [self.bus], q_per_p, self.background, self.shape, self.supply)
        if self._kept is not None:
            trial.keep(self._kept)
        return trial

    def net(self, measures: Sequence[Measure]) -> Any:
        """Return a copy of the net with measures on it; the last one is kept, and nobody changes it."""
        if self._last is not None and self._last[0] == tuple(measures):
            return self._last[1]
        own = copy.deepcopy(self.own)
        for m in measures:
            if m.change is not None:
                apply_change(own, m.change)
        self._last = tuple(measures), own
        return own

    def tangent(self, measures: Sequence[Measure]) -> float:
        """Return reactive per active power of the site with measures."""
        return self.q_per_p - sum(m.support_mvar for m in measures) / self.wanted_mw

    def facts(self, label: str, measures: Sequence[Measure] = ()) -> BranchFacts:
        """Return what a branch is with measures on the net."""
        return branch_facts(self.net(measures) if measures else self.own, label)

    def look(self, measures: Sequence[Measure], sizes: int = QUICK) -> State:
        """Solve the net with measures at sizes from zero to the wished one, in every step.

        Parameters
        ----------
        measures : sequence of Measure
            What is done.
        sizes : int
            How many sizes above zero, closer together for small ones as in the search.
        """
        key = tuple(measures), sizes
        if key not in self._seen:
            if len(self._seen) >= self._most:
                self._seen.pop(next(iter(self._seen)))
            self._seen[key] = self._solved(measures, sizes)
        return self._seen[key]

    def _solved(self, measures: Sequence[Measure], sizes: int) -> State:
        self.looks += 1
        try:
            with np.errstate(invalid="ignore", divide="ignore"):
                trial = self.trial(measures)
        except GridedgeError:  # a capacitor in resonance with the net: no solution even without the site
            vm, none, labels = self._still
            nowhere = Broken("no solution", f"bus {self.bus}", np.nan, np.nan, 0.0, float(self.time_s[0]))
            room, most = np.full(len(ALL_KINDS), -np.inf), np.zeros((2, none.shape[1]))
            return State(room, (nowhere,), {}, self.steps, Base(vm, none), most, 0.0, labels)
        power = 1 if sizes == QUICK else 2
        levels = self.wanted_mw * (np.arange(sizes + 1) / sizes) ** power
        steps = trial.steps
        x = trial.states(0, np.repeat(levels, steps), np.tile(np.arange(steps), levels.size))
        with np.errstate(invalid="ignore", divide="ignore"):  # a voltage of zero, on the way to no solution
            vm, loading, solved = trial.full(x)
        vm, loading = (a.reshape(levels.size, steps, -1) for a in (vm, loading))
        lost = ~solved.reshape(levels.size, steps)
        good = np.flatnonzero(~lost.any(axis=1))
        last = int(good[-1]) if good.size else 0
        base = Base(vm[0], loading[0])
        room = np.full(len(ALL_KINDS), np.inf)
        worst: dict[str, tuple[float, Broken]] = {}
        for j in good.tolist():
            found = measured(trial, self.groups, base, vm[j], loading[j])
            room = np.minimum(room, found.room)
            for kind in ("low", "high", "step"):
                n = ALL_KINDS.index(kind)
                over = float(found.room[n])
                if over < -NOISE and (kind not in worst or over < worst[kind][0]):
                    worst[kind] = (
                        over,
                        self._voltage(kind, found.element[n], over, float(levels[j]), int(found.step[n])),
                    )
        ratio, spots = self._ratios(trial, loading[good], levels[good])
        if room[ALL_KINDS.index("loading")] < -NOISE and max(ratio.values(), default=0.0) <= 1 + 1e-9:
            # Steps that may be broken are counted over all branches: none is beyond them by itself.
            ratio, spots = self._ratios(trial, loading[good], levels[good], every_step=True)
        if lost.any() and last > 0:
            still, _ = self._ratios(trial, loading[:1], levels[:1])
            more = self.wanted_mw / float(levels[last])
            # What a branch carries without the site does not grow with it.
            ratio = {b: r + (more - 1.0) * max(0.0, r - still.get(b, 0.0)) for b, r in ratio.items()}
        broken = [b for _, b in worst.values()]
        for label, r in ratio.items():
            if r > 1 + 1e-9:
                broken.append(self._thermal(trial, label, r, *spots[label], measures))
        if self.held and not lost.any():
            broken += self._losses(trial, levels, room)
        if lost.any():
            step = int(np.flatnonzero(lost.any(axis=0))[0])
            size = float(levels[int(np.flatnonzero(lost.any(axis=1))[0])])
            broken.append(Broken("no solution", f"bus {self.bus}", np.nan, np.nan, size, float(trial.time_s[step])))
        most = np.stack([np.nan_to_num(loading[i]).max(axis=0) for i in (0, last)])
        full = {label: r for label, r in ratio.items() if r > 1 + 1e-9}
        return State(
            room, tuple(broken), full, int(lost.sum()), base, most, float(levels[last]), trial.model.readout.labels
        )

    def _voltage(self, kind: str, element: str, over: float, p_mw: float, step: int) -> Broken:
        """Return a broken limit of voltages from the worst room."""
        at = int(element.split()[-1])
        limits = []
        for g in self.groups:
            position = int(np.flatnonzero(self._buses == at)[0])
            limits.append({"low": g.bounds.low, "high": g.bounds.high, "step": g.bounds.step}[kind][position])
        limit = max(limits) if kind == "low" else min(limits)
        value = limit + over if kind == "low" else limit - over
        return Broken(kind, element, float(value), float(limit), p_mw, float(self.time_s[step]))

    def _ratios(
        self, trial: Trial, loading: Float, levels: Float, every_step: bool = False
    ) -> tuple[dict[str, float], dict[str, tuple[float, int, float]]]:
        """Return loading over limit of every branch with a limit, and size, step and limit of its worst."""
        labels = trial.model.readout.labels
        most = np.zeros(len(labels))
        spot: dict[str, tuple[float, int, float]] = {}
        for g in self.groups:
            bounded = np.flatnonzero(np.isfinite(g.bounds.full))
            for level, values in zip(levels, loading, strict=True):
                mean = np.nan_to_num(moving_mean(values[:, bounded], g.window))
                rank = 0 if every_step else min(g.allowed, mean.shape[0] - 1)
                order = np.argsort(-mean, axis=0, kind="stable")[rank]
                share = np.take_along_axis(mean, order[None], axis=0)[0] / g.bounds.full[bounded]
                for n in np.flatnonzero(share > most[bounded] * (1 + 1e-12)):
                    b = int(bounded[n])
                    most[b] = share[n]
                    spot[labels[b]] = float(level), int(order[n]), float(g.bounds.full[b])
        return {labels[b]: float(most[b]) for b in range(len(labels)) if labels[b] in spot}, spot

    def _thermal(
        self, trial: Trial, label: str, ratio: float, p_mw: float, step: int, limit: float, measures: Sequence[Measure]
    ) -> Broken:
        facts = self.facts(label, measures)
        return Broken(
            "loading", label, ratio * limit, limit, p_mw, float(trial.time_s[step]),
            facts.rating_ka * ratio, facts.rating_mva * ratio,
        )  # fmt: skip

    def _losses(self, trial: Trial, levels: Float, room: Float) -> list[Broken]:
        losses, delivered = losses_at(trial, 0, levels)
        found = []
        for one in self.held:
            series = one.room_mw(losses, delivered)
            least, at = one.worst(series)
            j = int(least.argmin())
            room[-1] = min(float(room[-1]), float(least[j]))
            if least[j] < -1e-9:
                lost = float(losses[j, at[j]])
                found.append(
                    Broken(
                        "losses", "all branches", lost, lost + float(least[j]), float(levels[j]),
                        float(trial.time_s[at[j]]),
                    )
                )  # fmt: skip
        return found
