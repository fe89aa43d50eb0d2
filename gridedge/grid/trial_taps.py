"""A site on trial where tap changers answer it: steady limits see settled taps, voltage steps those of before."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.grid.engines import reference
from gridedge.grid.engines.batch import Drawn
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.inject import Background
from gridedge.grid.tap_data import Float, TapControl, Taps, read_changers
from gridedge.grid.tapchanger import Combinations, check_step, follow
from gridedge.grid.tapmoves import Settled, let_move
from gridedge.grid.trial import Bounds, Index, Trial

_LOOK_DELAYS = 40  # moves for which a state that hunts is watched: every position that it visits is judged


class SettledTrial(Trial):
    """A net on which one site at a time is tried, with on-load tap changers that follow.

    Without the site the taps follow the series, each step from where the one before it left them, until they rest.
    With the site they start from there: first the voltage steps, with the taps of before; then the taps move until
    they rest, and voltages and loadings are those of the settled state.

    Parameters
    ----------
    net, buses, q_per_p, background, shape, supply
        As for :class:`gridedge.grid.trial.Trial`.
    control : TapControl
        Which tap changers move, and how.

    Raises
    ------
    InputError
        If units share by their headroom, a step is shorter than a delay, or a tap changer cannot be used.
    """

    finer = 4
    """The voltage over the size is a sawtooth: it falls, and rises where a tap moves."""

    def __init__(
        self, net: Any, buses: Any, q_per_p: float, background: Background, shape: Any, supply: str,
        control: TapControl,
    ):  # fmt: skip
        super().__init__(net, buses, q_per_p, background, shape, supply)
        if self.within is not None:
            cure = 'Use supply="slack", or taps="held".'
            raise bad("taps settle only where the slack delivers", f"supply {self.supply!r}", cure)
        self._given = (q_per_p, background, shape)
        own = copy.deepcopy(self.own)
        reference.base_state(own)
        self.changers = read_changers(own, control)
        moves = bool(self.moving)
        if moves:
            check_step(self.changers, self.dt_s)
        nets = Combinations(own, self.moving, self.changers, self.steps if moves else 1)
        path = follow(nets, np.inf)
        self.before_tap = path.tap if moves else np.repeat(path.tap, self.steps, axis=0)
        self.path = path
        self.hunted = 0
        self._trials: dict[tuple[int, ...], Trial] = {}
        self.remarks += self.changers.said
        if path.hunting.any():
            self.remarks.append(f"Without a site the tap changers hunt in {int(path.hunting.sum())} steps.")

    @property
    def method(self) -> str:
        """How the states are solved, in words."""
        return f"{super().method}, in {len(self._trials)} combinations of tap positions"

    def keep(self, steps: Index) -> None:
        """Leave only some steps, in place, each with the taps that the whole series has given it."""
        super().keep(steps)
        self.before_tap = self.before_tap[steps]
        self._trials.clear()

    def held_at(self, step: int) -> Trial:
        """Return the trial with its taps held where the step without a site has left them."""
        return self._at(tuple(self.before_tap[step].tolist()))

    def _at(self, tap: tuple[int, ...]) -> Trial:
        """Return the same trial with its taps held in given positions."""
        if tap not in self._trials:
            own = copy.deepcopy(self.own)
            self.changers.put(own, tap)
            q_per_p, background, shape = self._given
            one = Trial(own, self.buses, q_per_p, background, shape, "slack")
            one.base, one.moving = self.base, self.moving  # a year of them is large
            one.shape, one.time_s, one.steps = self.shape, self.time_s, self.steps
            self._trials[tap] = one
        return self._trials[tap]

    def states(self, k: int, p_mw: Float, when: Index) -> Float:
        """Return what moves, as :meth:`Trial.states` does, and in a last column the step that each state stands for."""
        return np.column_stack([super().states(k, p_mw, when), when.astype(float)])

    def solve(self, x: Float, v: Lanes, settle: bool = True, drawn: Drawn | None = None) -> NDArray[np.bool_]:
        """Solve states after their taps have settled."""
        x = x if drawn is None else np.column_stack([self._columns(drawn), drawn.when.astype(float)])
        found, _ = self._settle(x, settle)
        return self._each(found.tap, x, lambda one, at: self._into(one, x, v, at, settle))

    def _into(self, one: Trial, x: Float, v: Lanes, at: Index, settle: bool) -> NDArray[np.bool_]:
        here = Lanes(v.rows, at.size)
        solved = one.solve(_plain(x[at]), here, settle)
        v.put(at, here.take(np.arange(at.size)))
        return solved

    def margins(
        self, x: Float, when: Index, bounds: Bounds, before: Float, settle: bool = True
    ) -> tuple[Float, NDArray[np.int64], NDArray[np.bool_]]:
        """Return margins as :meth:`Trial.margins` does: of voltages and loadings settled, of steps with held taps."""
        found, visited = self._settle(x, settle)
        steady = Bounds(bounds.low, bounds.high, bounds.full, np.full_like(bounds.step, np.inf))
        margin, where, solved = self._margins(found.tap, x, when, steady, before, settle)
        for state, taps in visited.items():
            at = np.full(len(taps), state)
            each, element, fine = self._margins(np.array(taps), x[at], when[at], steady, before, settle)
            worst = each.argmin(axis=1)
            margin[:, state] = each[np.arange(5), worst]
            where[:, state] = element[np.arange(5), worst]
            solved[state] = fine.all()
        if np.isfinite(bounds.step).any():
            none = np.full_like
            held = Bounds(none(bounds.low, -np.inf), none(bounds.high, np.inf), none(bounds.full, np.inf), bounds.step)
            step, at_bus, fine = self._margins(self.before_tap[when], x, when, held, before, settle)
            margin[3], where[3] = step[3], at_bus[3]
            solved = solved & fine
        margin[:, ~solved] = -np.inf
        return margin, where, solved

    def judge(
        self, k: Index, p_mw: Float, when: Index, bounds: list[Bounds], before: Float, settle: bool = True,
        windows: list[int] | None = None,
    ) -> tuple[list[Float], list[NDArray[np.int64]], NDArray[np.bool_]]:  # fmt: skip
        """Return how near states are to several sets of limits, as :meth:`Trial.judge` does."""
        windows = windows or [1] * len(bounds)
        x = np.column_stack([self._columns(self.drawn(k, p_mw, when)), when.astype(float)])
        margins, wheres = [], []
        if not bounds or any(window > 1 for window in windows):
            vm, loading, solved = self.full(x, settle)
        for b, window in zip(bounds, windows, strict=True):
            if window == 1:
                margin, where, solved = self.margins(x, when, b, before, settle)
                margin[:, ~solved] = np.inf
            else:
                margin, where = _of_means(vm, loading, solved, b, window, self.steps)
            margins.append(margin)
            wheres.append(where)
        return margins, wheres, solved

    def full(self, x: Float, settle: bool = True) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Return voltages and loadings of settled states, and which are solved."""
        found, _ = self._settle(x, settle)
        out = self.model.readout
        vm, loading = np.empty((x.shape[0], out.bus_index.size)), np.empty((x.shape[0], len(out.labels)))

        def one_of(one: Trial, at: Index) -> NDArray[np.bool_]:
            vm[at], loading[at], solved = one.full(_plain(x[at]), settle)
            return solved

        return vm, loading, self._each(found.tap, x, one_of)

    def apart_from_runpp(self, k: int, p_mw: float, step: int) -> float:
        """Return the largest difference of a settled state's voltages from plain ``runpp`` with its taps, in pu."""
        found, _ = self._settle(self.states(k, np.array([p_mw]), np.array([step])), True)
        return self._at(tuple(found.tap[0].tolist())).apart_from_runpp(k, p_mw, step)

    def _margins(
        self, tap: Taps, x: Float, when: Index, bounds: Bounds, before: Float, settle: bool
    ) -> tuple[Float, NDArray[np.int64], NDArray[np.bool_]]:
        margin, where = np.empty((5, when.size)), np.empty((5, when.size), dtype=np.int64)

        def one_of(one: Trial, at: Index) -> NDArray[np.bool_]:
            margin[:, at], where[:, at], solved = one.margins(_plain(x[at]), when[at], bounds, before, settle)
            return solved

        return margin, where, self._each(tap, x, one_of)

    def _each(self, tap: Taps, x: Float, do: Callable[[Trial, Index], NDArray[np.bool_]]) -> NDArray[np.bool_]:
        """Do something with the states of each combination of taps; return which states are solved."""
        solved = np.zeros(x.shape[0], dtype=bool)
        combos, which = np.unique(tap, axis=0, return_inverse=True)
        for c, combo in enumerate(combos.tolist()):
            at = np.flatnonzero(which.ravel() == c)
            solved[at] = do(self._at(tuple(combo)), at)
        return solved

    def _settle(self, x: Float, settle: bool) -> tuple[Settled, dict[int, list[list[int]]]]:
        """Let the taps of states move until they rest; also return where those that hunt have been."""

        def voltages(states: Index, tap: Taps) -> Float:
            vm_pu = np.full(tap.shape, np.nan)

            def one_of(one: Trial, at: Index) -> NDArray[np.bool_]:
                v = Lanes(self.model.v0.size, at.size)
                solved = one.solve(_plain(x[states[at]]), v, settle)
                found = np.abs(v.take(np.arange(at.size), self.changers.row)).T
                vm_pu[at] = np.where(solved[:, None], found, np.nan)
                return solved

            self._each(tap, x[states], one_of)
            return vm_pu

        when = x[:, -1].astype(np.intp)
        start = self.before_tap[when]
        found = let_move(self.changers, start, np.zeros(start.shape), voltages)
        visited: dict[int, list[list[int]]] = {}
        for state in np.flatnonzero(found.hunting).tolist():
            been: list[list[int]] = []

            def watched(_: Index, tap: Taps, state: int = state, been: list[list[int]] = been) -> Float:
                been.extend(t for t in tap.tolist() if t not in been)
                return voltages(np.array([state]), tap)

            long_s = _LOOK_DELAYS * float(self.changers.delay_s.max())
            let_move(self.changers, found.tap[[state]], np.zeros((1, start.shape[1])), watched, long_s)
            visited[state] = been
        self.hunted += len(visited)
        return found, visited


def _of_means(
    vm: Float, loading: Float, solved: NDArray[np.bool_], b: Bounds, window: int, steps: int
) -> tuple[Float, NDArray[np.int64]]:
    """Return margins of moving means and whose they are, at the first step of each; all steps of one size follow."""
    margin, where = np.full((5, vm.shape[0]), np.inf), np.full((5, vm.shape[0]), -1, dtype=np.int64)
    for first in range(0, vm.shape[0], steps):
        here = slice(first, first + steps)
        if steps < window or not solved[here].all():
            continue
        means = [sliding_window_view(each[here], window, axis=0).mean(axis=-1) for each in (vm, loading)]
        room = np.arange(first, first + steps - window + 1)
        with np.errstate(invalid="ignore"):
            sides = [means[0] - b.low, b.high - means[0], b.full - means[1]]
        for kind, given in enumerate(sides):
            side = np.where(np.isfinite(given), given, np.inf)
            if not side.shape[1]:
                continue
            where[kind, room], margin[kind, room] = side.argmin(axis=1), side.min(axis=1)
            if kind == 2 and side.shape[1] > 1:
                side[np.arange(room.size), where[2, room]] = np.inf
                where[4, room], margin[4, room] = side.argmin(axis=1), side.min(axis=1)
    return margin, where


def _plain(x: Float) -> Float:
    """Return the columns of :meth:`Trial.states` alone."""
    return np.ascontiguousarray(x[:, :-1])
