"""One more site, of any size, at any bus, in any step, while something of the net is out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.contingency import Demand
from gridedge.grid.engines.buffers import LANES, Lanes
from gridedge.grid.engines.model import Complex, Model
from gridedge.grid.engines.outages import NO_REFERENCE, Case, Change
from gridedge.grid.engines.secure import Security
from gridedge.grid.engines.secured import EXACT_PU, Held, Secured, States
from gridedge.grid.outage_states import OutageStates, Sites
from gridedge.grid.trial import Float, Index, Trial

_TOGETHER = 256  # states that are solved at once
_AGREE_PU, _AGREE_PERCENT = 1e-8, 1e-4


@dataclass
class Seen:
    """How near the limits some states are in some outages.

    Parameters
    ----------
    which : ndarray, shape (outage,)
        The outages.
    margin : ndarray, shape (outage, 4, state)
        Of the lowest voltage, the highest [pu], the loading and the second loading [%]; negative is beyond, infinite
        is no limit.
    where : ndarray of int, shape (outage, 4, state)
        Whose they are: position of the bus or branch.
    solved : ndarray of bool, shape (outage, state)
        Whether the fast solver found a solution; where not, :meth:`TrialOutages.settle` says what is true.
    zero : ndarray, shape (outage, 4, step)
        Margins without a site, the limits as they stand.
    zero_where, zero_solved : ndarray
        The same of these.
    """

    which: Index
    margin: Float
    where: NDArray[np.int32]
    solved: NDArray[np.bool_]
    zero: Float
    zero_where: NDArray[np.int32]
    zero_solved: NDArray[np.bool_]


class TrialOutages:
    """The outages of a net on which one site at a time is tried.

    Parameters
    ----------
    trial : Trial
        The net, its series and the buses.
    chosen : sequence of Case
        The outages.

    Notes
    -----
    An outage takes away what it takes away in :func:`gridedge.contingencies`.  What that leaves over or short is for
    the reference, or, where the trial's units share in proportion to their headroom, for the units that remain, in
    proportion to theirs (:mod:`gridedge.grid.engines.outage_shares`).

    Raises
    ------
    InputError
        If units share and the net has several reference buses.
    """

    def __init__(self, trial: Trial, chosen: Sequence[Case]):
        self.trial, self.cases = trial, list(chosen)
        self.security = Security(trial.own, trial.model, self.cases, trial.moving)
        self.one = OutageStates(trial, self.security)
        self.changes = self.security.changes
        rows = trial.model.v0.size
        self.black = np.array([c.dark.size == rows or c.reason == NO_REFERENCE for c in self.changes], dtype=bool)
        zero = np.zeros(trial.steps)
        self._none = Sites(np.zeros(trial.steps, dtype=np.intp), zero, np.arange(trial.steps, dtype=np.intp))
        middle, one = self.one.base(self._none)[0].mean(axis=1), self.one
        out, terminals = self.security.out, self.security.terminals
        self.fast = Secured(trial.model, middle, self.changes, one.units, out, terminals, one.rooms)
        self.slow = self.fast.slow.copy()
        if trial.dear:  # the schedule moves, and with it what units have left: state by state
            self.slow[:] = True
        self.own: dict[int, tuple[Secured, Complex]] = {}
        self.unsolvable: dict[int, list[int]] = {}
        self.unsupplied: set[int] = set()
        self._find_hard()

    def _find_hard(self) -> None:
        """Give outages whose state without a site does not contract a Jacobian of their own, or to slow ways."""
        states = self._states(self._none, self._none.pick(slice(0, 0)))
        usable = np.flatnonzero(~self.slow & ~self.black)
        nothing = np.full(self.trial.model.readout.bus_index.size, np.inf)
        held = Held(-nothing, nothing, np.full(len(self.trial.model.readout.labels), np.inf), False, 0.0, 0.0, 0.0)
        _, _, solved = self.fast.margins(usable, states, held)
        hard = usable[~solved[:, : self.trial.steps].all(axis=1)]
        for c in [*hard.tolist(), *np.flatnonzero(self.slow & ~self.black).tolist()]:
            change = self.changes[c]
            found = [self.one.exact(c, self._none.pick([t])) for t in range(self.trial.steps)]
            lost = [t for t, one in enumerate(found) if one is None]
            if lost:
                self.unsolvable[c] = lost
                if self.one.lacks_supply(c, self._none.pick(lost[:1])):
                    self.unsupplied.add(c)
            if self.trial.dear:
                self.slow[c] = True
                continue
            voltages = [one[0] for one in found if one is not None]
            self.slow[c] = True
            if voltages and all(v.size for v in voltages) and not change.dark.size and not change.reason:
                model, v = _without(self.trial.model, change), np.mean(voltages, axis=0)
                nobody = np.empty(0, dtype=np.intp)
                rest = Change(nobody, np.empty((0, 0), dtype=complex), nobody, change.lost, nobody, "")
                out, terminals = [self.security.out[c]], self.security.terminals
                self.own[c] = Secured(model, v, [rest], self.one.units, out, terminals, self.one.rooms), v
                self.slow[c] = False

    @property
    def labels(self) -> list[str]:
        """Names of the outages."""
        return [case.label for case in self.cases]

    def dark_buses(self, outage: int) -> NDArray[np.intp]:
        """Return the buses of the net, by index, that an outage cuts off."""
        out = self.trial.model.readout
        dark = self.changes[outage].dark
        return np.asarray(out.bus_index[np.isin(out.bus_row, dark)], dtype=np.intp)

    def lost_mw(self) -> Float:
        """Return how much of the net's own demand every outage cuts off, in MW, in the step in which that is most."""
        demand = Demand(self.trial.own, self.trial.moving)
        out = self.trial.model.readout
        count = self.trial.steps if self.trial.moving else 1
        most = np.zeros(len(self.cases))
        dark = [np.isin(out.bus_row, c.dark) if c.dark.size else None for c in self.changes]
        for step in range(count):
            drawn = demand.at(step)
            for k, one in enumerate(dark):
                if one is not None:
                    most[k] = max(most[k], float(drawn[one].sum()))
        return most

    def cuts_off(self, outage: int, row: int) -> bool:
        """Say whether an outage cuts off a row of the trial."""
        return bool(np.isin(self.trial.rows[row], self.changes[outage].dark))

    def see(self, sites: Sites, held: Held, which: Index | None = None, error_pu: float = EXACT_PU) -> Seen:
        """Solve outages of states, and say how near they are to what is held; what is not solved is for `settle`.

        Parameters
        ----------
        sites : Sites
            The states.
        held : Held
            The limits.
        which : ndarray, optional
            The outages; all without.
        error_pu : float
            Error that a voltage may have; a look that does not decide needs less. [pu]
        """
        which = np.flatnonzero(~self.black) if which is None else which[~self.black[which]]
        count, steps = sites.p_mw.size, self.trial.steps
        margin = np.full((which.size, 4, count), -np.inf)
        where = np.full((which.size, 4, count), -1, dtype=np.int32)
        solved = np.zeros((which.size, count), dtype=bool)
        zero, zero_where = np.full((which.size, 4, steps), -np.inf), np.full((which.size, 4, steps), -1, dtype=np.int32)
        zero_solved = np.zeros((which.size, steps), dtype=bool)
        quick = np.flatnonzero(~self.slow[which] & ~np.isin(which, list(self.own)))
        for first in range(0, max(count, 1), _TOGETHER):
            here = slice(first, min(first + _TOGETHER, count))
            states = self._states(self._none, sites.pick(here))
            begin = states.zero * LANES
            many = begin + np.arange(here.stop - first)
            jobs = [(quick, self.fast, which[quick], states)] if quick.size else []
            for a in np.flatnonzero(np.isin(which, list(self.own))).tolist():
                one, v = self.own[int(which[a])]
                start = Lanes(self.trial.model.v0.size, states.unit.shape[1])
                start.put(np.arange(states.unit.shape[1]), np.repeat(v[:, None], states.unit.shape[1], axis=1))
                jobs.append((np.array([a]), one, np.array([0], dtype=np.intp), replace(states, v=start)))
            for rows, engine, numbers, given in jobs:
                m, w, s = engine.margins(numbers, given, held, error_pu)
                margin[rows, :, here], where[rows, :, here], solved[rows, here] = (
                    m[:, :, many],
                    w[:, :, many],
                    s[:, many],
                )
                zero[rows], zero_where[rows], zero_solved[rows] = m[:, :, :steps], w[:, :, :steps], s[:, :steps]
        seen = Seen(which, margin, where, solved, zero, zero_where, zero_solved)
        for a in np.flatnonzero(self.slow[which]).tolist():
            self._slowly(seen, a, sites, held)
        for a, t in np.argwhere(~zero_solved & ~self.slow[which][:, None]).tolist():
            zero_solved[a, t] = self._fill(
                zero[a, :, t], zero_where[a, :, t], int(which[a]), self._none.pick([t]), held
            )
            if held.loosen:  # its states were held to too much
                seen.solved[a] = False
        for c, lost in self.unsolvable.items():  # no solution without the site either: no fault of the site
            mine = np.flatnonzero(which == c)
            if mine.size:
                gone = np.isin(sites.step, lost)
                a = int(mine[0])
                seen.margin[a, :, gone], seen.solved[a, gone] = np.inf, True
                seen.zero[a, :, lost], seen.zero_solved[a, lost] = np.inf, True
        return seen

    def _slowly(self, seen: Seen, a: int, sites: Sites, held: Held) -> None:
        """Fill in an outage that the inner loop cannot do, state by state."""
        lost = self.unsolvable.get(int(seen.which[a]), [])
        if len(lost) == self.trial.steps:
            return
        own = self._loosened(int(seen.which[a]), held)
        for t in np.setdiff1d(np.arange(self.trial.steps), lost).tolist():
            seen.zero_solved[a, t] = self._fill(seen.zero[a, :, t], seen.zero_where[a, :, t], int(seen.which[a]),
                                                self._none.pick([t]), held)  # fmt: skip
        for s in np.flatnonzero(~np.isin(sites.step, lost)).tolist():
            seen.solved[a, s] = self._fill(seen.margin[a, :, s], seen.where[a, :, s], int(seen.which[a]),
                                           sites.pick([s]), own)  # fmt: skip

    def settle(self, seen: Seen, a: int, state: int, sites: Sites, held: Held) -> bool:
        """Solve one state of an outage exactly, in place of what did not contract; return whether it has a solution."""
        own = self._loosened(int(seen.which[a]), held)
        found = self._fill(
            seen.margin[a, :, state], seen.where[a, :, state], int(seen.which[a]), sites.pick([state]), own
        )
        seen.solved[a, state] = found
        return found

    def _fill(self, margin: Float, where: NDArray[np.int32], outage: int, site: Sites, held: Held) -> bool:
        found = self.one.exact(outage, site)
        if found is None:
            return False
        _, vm, loading = found
        sides = [vm - held.low, held.high - vm, held.full - loading]
        sides = [np.where(np.isfinite(side), side, np.inf) for side in sides]
        margin[:], where[:] = np.inf, -1
        for kind, side in enumerate(sides):
            if side.size:
                where[kind] = side.argmin()
                margin[kind] = side.min()
        if sides[2].size > 1:
            sides[2][where[2]] = np.inf
            where[3], margin[3] = sides[2].argmin(), sides[2].min()
        return True

    def _loosened(self, outage: int, held: Held) -> Held:
        """Return what is held to in one outage, where each element may be as bad as without the site."""
        if not held.loosen:
            return held
        low, high, full = held.low.copy(), held.high.copy(), held.full.copy()
        for t in range(self.trial.steps):
            found = self.one.exact(outage, self._none.pick([t]))
            if found is None:
                continue
            _, vm, loading = found
            with np.errstate(invalid="ignore"):
                low = np.where(vm < held.low - held.noise, np.fmin(low, vm - held.worse_pu), low)
                high = np.where(vm > held.high + held.noise, np.fmax(high, vm + held.worse_pu), high)
                over = (loading > held.full + held.noise) & np.isfinite(held.full)
                full = np.where(over, np.fmax(full, loading + held.worse_percent), full)
        return replace(held, low=low, high=high, full=full)

    def apart_from_runpp(self, outage: int, site: Sites, held: Held) -> float:
        """Return the largest difference of a state's voltage margins from plain ``runpp``, in pu.

        Raises
        ------
        RunError
            If it is above 1e-8 pu, or 1e-4 % of a loading: better no number than a wrong one.
        """
        seen = self.see(site, held, np.array([outage]))
        true = self.one.by_runpp(outage, site)
        if true is None or not seen.which.size or not seen.solved[0, 0]:
            return 0.0
        mine = seen.margin[0, :, 0]
        vm, loading = true
        own = self._loosened(outage, held)
        sides = [vm - own.low, own.high - vm, own.full - loading]
        apart = [0.0, 0.0, 0.0]
        for kind, side in enumerate(sides):
            known = side[np.isfinite(side)]
            if known.size:
                apart[kind] = abs(float(known.min()) - float(mine[kind]))
        if not max(apart[:2]) <= _AGREE_PU or not apart[2] <= _AGREE_PERCENT:
            off = f"{max(apart[:2]):.1e} pu, {apart[2]:.1e} %"
            raise RunError(f"The outage of {self.cases[outage].label} with a site differs from runpp by {off}.")
        return max(apart[:2])

    def _states(self, none: Sites, sites: Sites) -> States:
        """Return states for the inner loop, those without a site first, both padded to whole blocks."""
        parts, counts = [], []
        for part in (none, sites):
            padded = -(-part.p_mw.size // LANES) * LANES
            parts.append(part.pick(np.minimum(np.arange(padded), max(part.p_mw.size - 1, 0))))
            counts.append(padded // LANES)
        both = Sites(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("row", "p_mw", "step")))
        v, s, unit, change = self.one.base(both)
        here, rows = np.arange(both.p_mw.size), self.trial.model.v0.size
        lanes = Lanes(rows, here.size), Lanes(rows, here.size)
        lanes[0].put(here, v)
        lanes[1].put(here, s)
        return States(*lanes, unit, change, counts[0])


def _without(model: Model, change: Change) -> Model:
    """Return the net without what an outage takes away, as a model of its own."""
    at = np.ix_(change.rows, change.rows)
    more = sp.lil_matrix(model.y.shape, dtype=complex)
    more[at] = change.dy
    pv = np.setdiff1d(model.pv, change.freed)
    return replace(model, y=sp.csr_matrix(model.y + more.tocsr()), pv=pv, pq=np.r_[model.pq, change.freed])
