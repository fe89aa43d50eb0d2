"""One more site, of any size, at any bus, in any step: whether there is a solution, and how near its limits are."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from gridedge.errors import RunError, bad
from gridedge.grid.clock import clock_of
from gridedge.grid.engines import reference
from gridedge.grid.engines.batch import Batch, Drawn
from gridedge.grid.engines.buffers import LANES, Lanes
from gridedge.grid.engines.inputs import Inputs, inputs
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.newton import exact
from gridedge.grid.engines.sharing import Sharing
from gridedge.grid.engines.solver import side_by_side
from gridedge.grid.engines.threads import on_threads
from gridedge.grid.engines.within import Within
from gridedge.grid.feeders import find_bus
from gridedge.grid.inject import Background, moving_background, private_copy
from gridedge.grid.ratings import has_real_ratings, known_ratings

Float = NDArray[np.float64]
Index = NDArray[np.intp]
_TILE = 128
_PIECE = 8  # states that are given to the exact Newton at once, once the heaviest has a solution
_MOST, _PATIENT = 40, 600  # passes of the inner loops: for all states, and for those near the collapse
_TOGETHER = 4096  # states that are solved at once; their voltages are read while they are in the cache
_AGREE_PU = 1e-8


@dataclass(frozen=True)
class Bounds:
    """The limit of every element; infinite where there is none.

    Parameters
    ----------
    low, high, step : ndarray, shape (bus,)
        Lowest and highest voltage, and largest change by the site. [pu]
    full : ndarray, shape (branch,)
        Highest loading. [%]
    """

    low: Float
    high: Float
    full: Float
    step: Float


class Trial:
    """A net on which one site at a time is tried.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : sequence of int or str, optional
        Where; without, every bus that has a supply.
    q_per_p : float
        Reactive power per active power, lagging positive.
    background : Dataset or dict of Datasets, optional
        How the net's own elements move.
    shape : ndarray, shape (time,), optional
        Power of the site in each step, of its size. [pu]
    supply : {"auto", "slack", "headroom"}
        Who delivers what the site draws.

    Raises
    ------
    InputError
        If a bus is unknown or has no supply, or the engines cannot do the net exactly.
    RunError
        If the net has no solution as it stands.
    """

    finer = 1
    """How many times closer together the sizes must be that a search looks at."""

    def __init__(self, net: Any, buses: Any, q_per_p: float, background: Background, shape: Any, supply: str):
        self.own, self.remarks = private_copy(net)
        self.q_per_p = q_per_p
        clock = clock_of(None, background)
        self.time_s, self.dt_s = clock.time_s(), clock.dt_s
        self.shape = np.ones(clock.steps)
        if shape is not None and (background is not None or np.size(shape) == 1):
            self.shape = _shape(shape, clock.steps)
        elif shape is not None:  # the net stands still, the site moves
            self.shape = _shape(shape, np.size(shape))
            self.time_s = np.asarray(getattr(shape, "time", np.arange(self.shape.size)), dtype=float)
            self.dt_s = float(self.time_s[1] - self.time_s[0])
        moving, idle = moving_background(self.own, background, clock)
        self.moving = moving
        self.remarks += idle
        reference.base_state(self.own)
        reasons = covers(self.own)
        model = extract(self.own) if not reasons else None
        if model is None:
            raise bad("the net cannot be tried exactly", ", ".join(reasons) or "its model", "Use gridedge.solve.")
        self.model = model
        self.rating_known = known_ratings(self.own, model.readout.element)
        self.real_ratings = has_real_ratings(self.own)
        self._place(buses)
        self._engine(supply, clock.steps)

    def _place(self, buses: Any) -> None:
        """Find the buses, and the row of each in the solver."""
        out = self.model.readout
        row_of = dict(zip(out.bus_index.tolist(), out.bus_row.tolist(), strict=True))
        if buses is None:
            self.buses = [b for b, row in row_of.items() if row >= 0]
            left = len(row_of) - len(self.buses)
            if left:
                self.remarks.append(f"{left} buses are out of service or have no supply: left out.")
        else:
            several = isinstance(buses, Iterable) and not isinstance(buses, str)
            given: list[Any] = list(buses) if several else [buses]
            if not given:
                raise bad("no bus is asked for", "[]", "Name one, or leave buses= out for all.")
            self.buses = [int(find_bus(self.own, b)[0]) for b in given]
            if len(set(self.buses)) < len(self.buses):
                twice = sorted({b for b in self.buses if self.buses.count(b) > 1})
                raise bad("a bus is named twice", str(twice[:5]), "Name it once.")
            dead = [b for b in self.buses if row_of[b] < 0]
            if dead:
                cure = "Leave it out, put it into service, or close the switches towards it."
                raise bad("a bus has no supply", str(dead[:5]), cure)
        self.row = np.array([row_of[b] for b in self.buses], dtype=np.intp)
        # Buses behind closed switches are one.
        self.rows, self.which = np.unique(self.row, return_inverse=True)

    def _engine(self, supply: str, steps: int) -> None:
        model, moving = self.model, self.moving
        what = inputs(self.own, model, moving)
        base = side_by_side(moving, slice(0, steps)) if moving else np.zeros((steps, 0))
        if base.shape[0] != self.shape.size:
            base = np.repeat(base, self.shape.size, axis=0)
        self.base = base
        self.steps = self.shape.size
        if not np.isfinite(base).all():
            raise bad("the background holds what is no number", "NaN", "Fill the gap, or leave the steps out.")
        draw = sp.csr_matrix(
            (np.full(self.rows.size, -1.0 / model.base_mva), (self.rows, np.arange(self.rows.size))),
            shape=(model.v0.size, self.rows.size),
        )
        p = sp.csr_matrix(sp.hstack([what.p, draw]))
        q = sp.csr_matrix(sp.hstack([what.q, self.q_per_p * draw]))
        self.still, self.p, self.q = what.still, p, q
        mean = np.r_[base.mean(axis=0), np.zeros(self.rows.size)]
        self.batch = Batch(model, what.still, p, q, what.still + p @ mean + 1j * (q @ mean))
        self.of_steps: Batch | Sharing = self.batch.of_steps(what.p, what.q)
        self.within: Within | None = None
        self.sharing: Sharing | None = None
        self.supply = supply
        if supply == "auto":
            self.supply = "slack" if radial(model.y) else "headroom"
        if self.supply == "headroom":
            self.within = Within(self.own, model, Inputs(moving, what.still, p, q), q_limits=False, headroom=True)
            units = self.within.units
            self.headroom_mw = float(np.maximum(np.nan_to_num(units.max_p_mw - units.p_mw), 0.0).sum())
            if supply == "headroom" and not self.headroom_mw > 0:
                cure = 'Give units a max_p_mw above their p_mw, or supply="slack".'
                raise bad("no unit of the net has headroom", "max_p_mw less p_mw is 0 MW", cure)
            if supply == "auto" and not self.headroom_mw > 0:
                self.within, self.supply = None, "slack"
                self.remarks.append("No unit of the net has headroom (max_p_mw): the slack delivers everything.")
            elif model.ref.size == 1 and not any(m.table == "gen" for m in moving):
                self.sharing = Sharing(model, units, what.still, p, q, what.still + p @ mean + 1j * (q @ mean))
                self.of_steps = self.sharing.of_steps(what.p, what.q)
        self.flat = model.readout.flat()
        self._lanes: Lanes | None = None

    def keep(self, steps: Index) -> None:
        """Leave only some steps, in place."""
        self.base, self.shape = np.ascontiguousarray(self.base[steps]), self.shape[steps]
        self.time_s, self.steps = self.time_s[steps], steps.size

    @property
    def dear(self) -> bool:
        """Whether states are solved one by one: units share, and their schedule moves or there are several slacks."""
        return self.within is not None and self.sharing is None

    @property
    def method(self) -> str:
        """How the states are solved, in words."""
        if self.within is not None:
            how = "bordered rows" if self.dear else "one change of generation"
            return f"chord Newton with {how}, units in proportion to their headroom"
        return f"{self.batch.method}, exact Newton for what does not contract"

    def at_slack(self) -> NDArray[np.bool_]:
        """Say of each branch whether it stands at a reference bus."""
        touches = np.zeros(len(self.model.readout.labels), dtype=bool)
        for side in self.model.readout.sides:
            touches[side.element[np.isin(side.bus, self.model.ref)]] = True
        return touches

    def reach_mw(self) -> Float:
        """Return about how much each row can draw before the voltage collapses, infinite at a stiff bus.

        The maximum power transfer of the two-bus equation, ``S = V^2 / (2 (|Z| + R cos + X sin))``, behind the
        impedance that the net shows there with its references held.  Other loads leave less; it only scales the levels.
        """
        m = self.model
        free = np.setdiff1d(np.arange(m.v0.size), m.ref)
        place = np.full(m.v0.size, -1)
        place[free] = np.arange(free.size)
        lu = splu(sp.csc_matrix(m.y[free][:, free]))
        reach = np.full(self.rows.size, np.inf)
        cos = 1.0 / np.hypot(1.0, self.q_per_p)
        for k, row in enumerate(self.rows):
            if place[row] < 0:
                continue
            unit = np.zeros(free.size, dtype=complex)
            unit[place[row]] = 1.0
            z = lu.solve(unit)[place[row]]
            span = abs(z) + z.real * cos + z.imag * self.q_per_p * cos
            if span > 1e-9:
                reach[k] = abs(m.v0[row]) ** 2 / (2.0 * span) * cos * m.base_mva
        return reach

    def held_at(self, step: int) -> Trial:  # noqa: ARG002
        """Return the trial in which nothing slow moves: what happens within seconds of a step is tried on it."""
        return self

    def net_at(self, step: int) -> Any:
        """Return a copy of the net as it stands in a step, without a site and as its units are scheduled."""
        own, first = copy.deepcopy(self.own), 0
        for m in self.moving:
            column = own[m.table][m.column].to_numpy(float).copy()
            column[m.rows] = self.base[step, first : first + m.rows.size]
            own[m.table][m.column] = column
            first += m.rows.size
        return own

    def states(self, k: int, p_mw: Float, when: Index) -> Float:
        """Return what moves when row ``k`` draws ``p_mw`` (state,) in the steps ``when`` (state,)."""
        count = self.base.shape[1]
        x = np.zeros((p_mw.size, count + self.rows.size))
        x[:, :count] = self.base[when]
        x[:, count + k] = p_mw * self.shape[when]
        return x

    def states_of(self, drawn_mw: Float, when: Index) -> Float:
        """Return what moves when every row draws its power of ``drawn_mw`` (state, row) in the steps ``when`` (state,).

        That is what is drawn: the shape of the trial is not put on it.
        """
        return np.concatenate([self.base[when], drawn_mw], axis=1)

    def drawn(self, k: Index, p_mw: Float, when: Index) -> Drawn:
        """Return the states in which rows ``k`` draw sizes ``p_mw`` in the steps ``when``, each (state,)."""
        s = p_mw * self.shape[when] * (1.0 + 1j * self.q_per_p) / self.model.base_mva
        return Drawn(when.astype(np.int64), self.rows[k], np.asarray(s, dtype=np.complex128))

    def solve(self, x: Float, v: Lanes, settle: bool = True, drawn: Drawn | None = None) -> NDArray[np.bool_]:
        """Solve states; without ``settle`` those that do not contract are left as not solved.

        ``x`` is from :meth:`states`, or it is :attr:`base` and the states are ``drawn`` from it.  With ``settle``
        the heaviest are looked at first, and the rest is left as not solved once one has no solution.
        """
        solved, open_ = self._contracting(x, v, drawn, _MOST)
        lost = np.flatnonzero(open_)
        if not settle or not lost.size:
            return solved
        s = self._injections(x, lost, drawn)
        lost = lost[np.argsort(s.real.sum(axis=0), kind="stable")]  # one without a solution is enough to know
        first, size = 0, 1 if self.within is not None else LANES
        while first < lost.size:
            here = lost[first : first + size]
            if not self._settled(x, v, drawn, here, solved):
                break
            first, size = first + here.size, min(_TILE, 4 * size)
        return solved

    def _contracting(
        self, x: Float, v: Lanes, drawn: Drawn | None, most: int, far: bool = False
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Solve states by the inner loops; return which are solved, and of which it is open whether they can be."""
        if self.dear and self.within is not None:
            solved = self.within.solve(self.moving, x if drawn is None else self._columns(drawn), v)
            return solved, np.zeros_like(solved)
        if isinstance(solver := self._solver(drawn), Sharing):
            solved, short, _ = solver.solve(x, v, drawn, most, far)
            return solved, ~solved & ~short
        solved = solver.contracting(x, v, drawn, most, far)
        return solved, ~solved

    def _solver(self, drawn: Drawn | None) -> Batch | Sharing:
        """Return what solves drawn states, or states with a column for every row."""
        return self.of_steps if drawn is not None else self.sharing or self.batch

    def _settled(self, x: Float, v: Lanes, drawn: Drawn | None, here: Index, solved: NDArray[np.bool_]) -> bool:
        """Solve some states that do not contract at once, in place; return False when one has no solution."""
        room = Lanes(self.model.v0.size, here.size)
        part = (x[here], None) if drawn is None else (x, drawn.some(here))
        good, left = self._contracting(part[0], room, part[1], _PATIENT, far=True)
        v.put(here[good], room.take(np.flatnonzero(good)))
        solved[here] = good
        if not (good | left).all():  # beyond the headroom of the units
            return False
        rest = here[left]
        if self.within is not None:
            for k in range(rest.size):  # one by one: what converges there depends on what is beside it
                one = rest[k : k + 1]
                full = x[one] if drawn is None else self._columns(drawn.some(one))
                solved[one] = self.within.solve(self.moving, full, room)
                v.put(one, room.take(np.zeros(1, dtype=np.intp)))
                if not solved[one].all():
                    return False
            return True
        first, size = 0, 1
        while first < rest.size:
            piece = rest[first : first + size]
            found, solved[piece] = exact(self.model, self._injections(x, piece, drawn))
            v.put(piece, found)
            if not solved[piece].all():
                return False
            first, size = first + piece.size, _PIECE
        return True

    def _injections(self, x: Float, some: Index, drawn: Drawn | None) -> NDArray[np.complex128]:
        """Return the injections (row, state) of some states, in pu."""
        full = x[some] if drawn is None else self._columns(drawn.some(some))
        return np.asarray(self.still[:, None] + self.p @ full.T + 1j * (self.q @ full.T))

    def _columns(self, drawn: Drawn) -> Float:
        """Return drawn states as :meth:`states` does."""
        count = self.base.shape[1]
        x = np.zeros((drawn.when.size, count + self.rows.size))
        x[:, :count] = self.base[drawn.when]
        x[np.arange(drawn.when.size), count + np.searchsorted(self.rows, drawn.row)] = (
            drawn.s.real * self.model.base_mva
        )
        return x

    def judge(
        self, k: Index, p_mw: Float, when: Index, bounds: list[Bounds], before: Float, settle: bool = True,
        windows: list[int] | None = None,
    ) -> tuple[list[Float], list[NDArray[np.int64]], NDArray[np.bool_]]:  # fmt: skip
        """Return how near states are to several sets of limits, solving each once.

        Parameters
        ----------
        k : ndarray, shape (state,)
            Position of the site in :attr:`rows`.
        p_mw : ndarray, shape (state,)
            Its size. [MW]
        when : ndarray, shape (state,)
            The step.
        bounds : list of Bounds
            Sets of limits.
        before : ndarray, shape (step, bus)
            Voltages without a site. [pu]
        settle : bool
            Whether states that do not contract are solved exactly.
        windows : list of int, optional
            Steps of the moving mean that each set limits, 1 for every step; with it, the states are all steps of one
            size after another.

        Returns
        -------
        margins : list of ndarray, shape (kind, state)
            Per set, see :func:`gridedge.grid.engines.margins.keep_margins`; infinite where there is no solution.  Of a
            mean, the margin stands at the first step of its window, and is infinite where the series is too short.
        where : list of ndarray of int64, shape (kind, state)
            Position of the bus or branch that is nearest.
        solved : ndarray of bool, shape (state,)
        """
        from gridedge.grid.engines.margins import keep_margins, keep_mean_margins

        windows = windows or [1] * len(bounds)
        moving = any(w > 1 for w in windows)
        whole = self.steps if moving else LANES
        room = -(-whole // LANES) * LANES  # the states of a size begin at a row of lanes
        together = max(1, _TOGETHER // room)
        margin = [np.full((5, when.size), np.inf) for _ in bounds]
        where = [np.full((5, when.size), -1, dtype=np.int64) for _ in bounds]
        solved = np.zeros(when.size, dtype=bool)
        for first in range(0, when.size, together * whole):
            here = np.arange(first, min(first + together * whole, when.size))
            if moving and room > whole:  # the last step again
                here = np.concatenate(
                    [np.r_[one, np.repeat(one[-1:], room - whole)] for one in here.reshape(-1, whole)]
                )
            v = self._space(here.size)
            good = self.solve(self.base, v, settle, self.drawn(k[here], p_mw[here], when[here]))
            solved[here] = good
            for i, (b, window) in enumerate(zip(bounds, windows, strict=True)):
                near, at = np.empty((5, here.size)), np.empty((5, here.size), dtype=np.int64)
                if window == 1:
                    on_threads(
                        keep_margins, -(-here.size // _TILE), v.re, v.im, here.size, v.rows, self.flat[0][0],
                        self.flat[1], b.low, b.high, b.full, b.step, before, when[here].astype(np.int64), near, at,
                    )  # fmt: skip
                    near[:, ~good] = np.inf
                else:
                    on_threads(
                        keep_mean_margins, here.size // room, v.re, v.im, whole, v.rows, self.flat[0][0],
                        self.flat[1], b.low, b.high, b.full, window, good, near, at,
                    )  # fmt: skip
                margin[i][:, here[::-1]], where[i][:, here[::-1]] = near[:, ::-1], at[:, ::-1]
        return margin, where, solved

    def _space(self, states: int) -> Lanes:
        """Return room for states; new memory costs more than the solution of what it holds, so it is kept."""
        if self._lanes is None or self._lanes.re.size < -(-states // LANES) * LANES * self.model.v0.size:
            self._lanes = Lanes(self.model.v0.size, states)
        return self._lanes

    def margins(
        self, x: Float, when: Index, bounds: Bounds, before: Float, settle: bool = True
    ) -> tuple[Float, NDArray[np.int64], NDArray[np.bool_]]:
        """Return margins (kind, state), where (kind, state), and which states are solved.

        See :func:`gridedge.grid.engines.margins.keep_margins`; margins are -inf where there is no solution.
        """
        from gridedge.grid.engines.margins import keep_margins

        states = when.size
        v = Lanes(self.model.v0.size, states)
        solved = self.solve(x, v, settle)
        margin, where = np.empty((5, states)), np.empty((5, states), dtype=np.int64)
        on_threads(
            keep_margins, -(-states // _TILE), v.re, v.im, states, v.rows, self.flat[0][0], self.flat[1],
            bounds.low, bounds.high, bounds.full, bounds.step, before, when.astype(np.int64), margin, where,
        )  # fmt: skip
        margin[:, ~solved] = -np.inf
        return margin, where, solved

    def full(self, x: Float, settle: bool = True) -> tuple[Float, Float, NDArray[np.bool_]]:
        """Return all voltages (state, bus) [pu] and loadings (state, branch) [%] of states, and which are solved."""
        v = Lanes(self.model.v0.size, x.shape[0])
        solved = self.solve(x, v, settle)
        voltages = v.take(np.arange(x.shape[0]))
        voltages[:, ~solved] = np.nan
        vm, _ = self.model.readout.voltages(voltages)
        loading, _ = self.model.readout.branches(voltages)
        return vm, loading, solved

    def beyond_mvar(self, k: Index, p_mw: Float, when: Index) -> tuple[Float, NDArray[np.bool_]]:
        """Return how far each unit bus is beyond its reactive limits, which are not enforced here.

        Parameters
        ----------
        k, p_mw, when : ndarray, shape (state,)
            States, as for :meth:`judge`.

        Returns
        -------
        beyond : ndarray, shape (unit bus, state)
            In Mvar; 0 within the limits, and where there is no limit.
        solved : ndarray of bool, shape (state,)
        """
        if self.within is None:
            return np.zeros((0, k.size)), np.ones(k.size, dtype=bool)
        m, units = self.model, self.within.units
        drawn = self.drawn(k, p_mw, when)
        v = Lanes(m.v0.size, k.size)
        solved = self.solve(self.base, v, True, drawn)
        voltages = v.take(np.arange(k.size))
        made = (voltages * np.conj(m.y @ voltages)).imag - self._injections(self.base, np.arange(k.size), drawn).imag
        q_mvar = (made + (m.s0 - units.other).imag[:, None])[units.bus_row] * m.base_mva
        beyond = np.maximum(q_mvar - units.max_q_mvar[:, None], units.min_q_mvar[:, None] - q_mvar)
        beyond = np.maximum(beyond, 0.0)
        beyond[:, ~solved] = 0.0
        return beyond, solved

    def shortage(self, x: Float) -> str:
        """Say why states have no solution where units share by headroom."""
        return "" if self.within is None else next((str(w) for w in self.within.supplied(x).why if w), "")

    def apart_from_runpp(self, k: int, p_mw: float, step: int) -> float:
        """Return the largest difference of a state's voltages from plain ``runpp``, in pu.

        Raises
        ------
        RunError
            If it is above 1e-8 pu: better no number than a wrong one.
        """
        drawn_mw = np.zeros(self.rows.size)
        drawn_mw[k] = p_mw * self.shape[step]
        return self.drawn_apart_from_runpp(drawn_mw, step)

    def drawn_apart_from_runpp(self, drawn_mw: Float, step: int) -> float:
        """Return the same for a state in which every row draws its power of ``drawn_mw`` (row,)."""
        import pandapower as pp

        own = self.net_at(step)
        x = self.states_of(drawn_mw[None, :], np.array([step]))
        v = Lanes(self.model.v0.size, 1)
        solved = self.solve(x, v)
        if not solved.all():
            return 0.0
        out, buses = self.model.readout, []
        for k in np.flatnonzero(drawn_mw):
            buses.append(int(out.bus_index[out.bus_row == self.rows[k]][0]))
            pp.create_sgen(own, buses[-1], -drawn_mw[k], -drawn_mw[k] * self.q_per_p)
        if self.within is not None:
            from gridedge.grid.engines.within import as_found

            as_found(own, self.within.units, self.within.supplied(x))
        if not reference.run_once(own):
            return 0.0
        apart = float(np.abs(np.abs(own._ppc["internal"]["V"]) - np.abs(v.take(np.array([0]))[:, 0])).max())
        if apart > _AGREE_PU:
            raise RunError(f"A capacity differs from runpp by {apart:.1e} pu at bus {buses}. Report the net.")
        return apart


def radial(y: sp.csr_matrix) -> bool:
    """Say whether a net of given admittances has no mesh."""
    upper = sp.triu(y, k=1)
    islands = connected_components(abs(y), directed=False)[0]
    return bool(np.count_nonzero(upper.tocsr().data) == y.shape[0] - islands)


def _shape(shape: Any, steps: int) -> Float:
    cure = "Give values from 0 to 1, the share of its size that the site draws in each step."
    try:
        values = np.atleast_1d(np.asarray(getattr(shape, "values", shape), dtype=float))
    except (TypeError, ValueError):
        raise bad("the site's shape holds what is no number", str(shape), cure) from None
    if values.ndim != 1 or values.size != steps:
        fit = "Give one value per step of the background."
        raise bad("the site's shape does not fit the clock", f"shape {values.shape}, {steps} steps", fit)
    if not np.isfinite(values).all() or (values < 0).any() or not (values > 0).any():
        raise bad("the site's shape is no share of its size", "negative, all zero or NaN", cure)
    if values.max() > 1 + 1e-9:
        raise bad("the site's shape exceeds its size", f"{values.max():g}", cure)
    return values
