"""One more site, of any size, at any bus, in any step, while something of the net is out."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.contingency import Demand
from gridedge.grid.engines.buffers import LANES, Lanes
from gridedge.grid.engines.lowrank import newton
from gridedge.grid.engines.model import Complex, Model
from gridedge.grid.engines.outage_shares import Rooms, balanced, rooms_of
from gridedge.grid.engines.outages import NO_REFERENCE, Case, Change
from gridedge.grid.engines.reference import FAR_PU
from gridedge.grid.engines.secure import UNSOLVED, Security, by_runpp
from gridedge.grid.engines.secured import EXACT_PU, Held, Secured, States
from gridedge.grid.trial import Float, Index, Trial

_TOGETHER = 256  # states that are solved at once
_AGREE_PU, _AGREE_PERCENT = 1e-8, 1e-4


@dataclass(frozen=True)
class Sites:
    """Which site is tried in which state.

    Parameters
    ----------
    row : ndarray, shape (state,)
        Number of the row of the trial.
    p_mw : ndarray, shape (state,)
        Size of the site. [MW]
    step : ndarray, shape (state,)
        Step of the series.
    """

    row: Index
    p_mw: Float
    step: Index

    def pick(self, states: Any) -> Sites:
        """Return some states."""
        return Sites(self.row[states], self.p_mw[states], self.step[states])


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
        self.changes = self.security.changes
        rows = trial.model.v0.size
        self.black = np.array([c.dark.size == rows or c.reason == NO_REFERENCE for c in self.changes], dtype=bool)
        lost = sorted({(table, position) for c in self.changes for table, position, _ in c.lost})
        self.units = {unit: k for k, unit in enumerate(lost)}
        if trial.within is not None and trial.model.ref.size > 1:
            cure = 'Give supply="slack", or keep one ext_grid and make the others gens.'
            raise bad("after an outage load cannot be shared: several reference buses", str(trial.model.ref.size), cure)
        self.rooms = None if trial.within is None or trial.dear else self._rooms(trial.within.units.p_mw)
        zero = np.zeros(trial.steps)
        self._none = Sites(np.zeros(trial.steps, dtype=np.intp), zero, np.arange(trial.steps, dtype=np.intp))
        middle = self._base(self._none)[0].mean(axis=1)
        self.fast = Secured(
            trial.model, middle, self.changes, self.units, self.security.out, self.security.terminals, self.rooms
        )
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
            found = [self._exact(c, self._none.pick([t])) for t in range(self.trial.steps)]
            lost = [t for t, one in enumerate(found) if one is None]
            if lost:
                self.unsolvable[c] = lost
                if self.lacks_supply(c, self._none.pick(lost[:1])):
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
                self.own[c] = Secured(model, v, [rest], self.units, out, terminals, self.rooms), v
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
        found = self._exact(outage, site)
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
            found = self._exact(outage, self._none.pick([t]))
            if found is None:
                continue
            _, vm, loading = found
            with np.errstate(invalid="ignore"):
                low = np.where(vm < held.low - held.noise, np.fmin(low, vm - held.worse_pu), low)
                high = np.where(vm > held.high + held.noise, np.fmax(high, vm + held.worse_pu), high)
                over = (loading > held.full + held.noise) & np.isfinite(held.full)
                full = np.where(over, np.fmax(full, loading + held.worse_percent), full)
        return replace(held, low=low, high=high, full=full)

    def _exact(self, outage: int, site: Sites) -> tuple[Complex, Float, Float] | None:
        """Return the voltages of one state, and what is read of them, by Newton's method or ``runpp``; None without."""
        change = self.changes[outage]
        v0, s, unit, _ = self._base(site)
        found = None
        if not change.reason:
            s = s[:, 0].copy()
            for table, position, row in change.lost:
                s[row] -= unit[self.units[table, position], 0]
            if self.trial.within is None:
                found = newton(self.trial.model, v0[:, 0], s, change)
            else:
                known = self._shared(outage, site, v0[:, 0], s)
                if known is not None and known[1]:
                    return None
                found = None if known is None else known[0]
        if found is not None:
            away = np.abs(np.abs(found) - np.abs(v0[:, 0]))
            away[change.dark] = 0.0
            if (away <= FAR_PU).all():
                reading = self.security.reading(np.array([outage]), [change])
                read = reading.read(0, found[:, None].copy(), np.array([1], dtype=np.int8))
                return found, read.vm_pu[0], read.loading_percent[0]
        plain = self.by_runpp(outage, site)
        return None if plain is None else (np.empty(0, dtype=complex), *plain)

    def _shared(self, outage: int, site: Sites, v0: Complex, s: Complex) -> tuple[Complex, bool] | None:
        """Return the voltages of one state in which the remaining units share, and whether they cannot deliver it."""
        trial, change = self.trial, self.changes[outage]
        rooms = self._rooms_at(site)
        part, most = rooms.left(change, [self.units[table, position] for table, position, _ in change.lost])
        start = v0

        def surplus(more: float) -> float | None:
            nonlocal start
            injected = s + part[0 if more >= 0 else 1] * more
            found = newton(trial.model, start, injected, change)
            if found is None:
                return None
            start = found
            current = (trial.model.y[rooms.ref] @ found)[0]
            here = np.flatnonzero(change.rows == rooms.ref)
            if here.size:
                current += change.dy[here[0]] @ found[change.rows]
            return float((found[rooms.ref] * np.conj(current)).real - injected[rooms.ref].real)

        more = balanced(surplus, self._begin(outage, site, s))
        return None if more is None else (start, more > most + rooms.none)

    def _begin(self, outage: int, site: Sites, s: Complex) -> float:
        """Return the change of generation after an outage, as if it changed no losses, in pu."""
        _, before, _, change = self._base(site)
        lit = np.ones(s.size, dtype=bool)
        lit[self.changes[outage].dark] = False
        return float(change[0] + (before[:, 0] - s)[lit].real.sum() + before[~lit, 0].real.sum())

    def _rooms(self, schedule_mw: Float) -> Rooms:
        trial = self.trial
        assert trial.within is not None
        index = np.array([trial.own[table].index[position] for table, position in self.units], dtype=np.intp)
        return rooms_of(trial.model, trial.within.units, schedule_mw, self.units, index)

    def _rooms_at(self, site: Sites) -> Rooms:
        if self.rooms is not None:
            return self.rooms
        assert self.trial.within is not None
        return self._rooms(self.trial.within.schedule_mw(self._values(site))[:, 0])

    def lacks_supply(self, outage: int, site: Sites) -> bool:
        """Say whether a state without a solution is one because the remaining units cannot deliver it."""
        if self.trial.within is None:
            return False
        if self.changes[outage].reason:
            return self._runpp_shared(outage, site)[1]
        v0, s, unit, _ = self._base(site)
        s = s[:, 0].copy()
        for table, position, row in self.changes[outage].lost:
            s[row] -= unit[self.units[table, position], 0]
        known = self._shared(outage, site, v0[:, 0], s)
        return known is not None and known[1]

    def by_runpp(self, outage: int, site: Sites) -> tuple[Float, Float] | None:
        """Return voltages (bus,) [pu] and loadings (branch,) [%] of one state by ``runpp``; None without a solution."""
        if self.trial.within is not None:
            return self._runpp_shared(outage, site)[0]
        (read,) = by_runpp(self._net(site), [], [self.cases[outage]], np.array([0]))
        return None if read.how[0] == UNSOLVED else (read.vm_pu[0], read.loading_percent[0])

    def _runpp_shared(self, outage: int, site: Sites) -> tuple[tuple[Float, Float] | None, bool]:
        """Do the same with the dispatch put by hand until the reference delivers its part; say if units lack it."""
        trial, change, case = self.trial, self.changes[outage], self.cases[outage]
        assert trial.within is not None
        units, own = trial.within.units, self._net(site)
        schedule = trial.within.schedule_mw(self._values(site))[:, 0]
        names = list(zip(units.table, units.index.tolist(), strict=True))
        stay = np.array([name not in case.elements for name in names]) & ~np.isin(units.row, change.dark)
        room = self._rooms_at(site).unit * stay
        part = units.weight * stay / max(float((units.weight * stay).sum()), 1e-12)
        parts = [r / r.sum() if r.sum() > self._rooms_at(site).none else part for r in room]
        seen: list[tuple[Float, Float]] = []
        last = np.nan

        def surplus(more: float) -> float | None:
            nonlocal last
            last = more
            given = schedule + parts[0 if more >= 0 else 1] * more * trial.model.base_mva
            for k, (table, index) in enumerate(names):
                if table == "gen" and not units.reference[k]:
                    own.gen.loc[index, "p_mw"] = given[k] / float(own.gen.at[index, "scaling"])
            (read,) = by_runpp(own, [], [case], np.array([0]))
            if read.how[0] == UNSOLVED:
                return None
            seen[:] = [(read.vm_pu[0], read.loading_percent[0])]
            mine = [k for k in np.flatnonzero(units.reference & stay).tolist()]
            made = sum(float(own[f"res_{names[k][0]}"].at[names[k][1], "p_mw"]) for k in mine)
            return (made - float(given[mine].sum())) / trial.model.base_mva

        _, s, unit, _ = self._base(site)
        s = s[:, 0].copy()
        for table, position, row in change.lost:
            s[row] -= unit[self.units[table, position], 0]
        more = balanced(surplus, self._begin(outage, site, s))
        if more is None:
            return None, False
        short = more > float(room[0].sum()) + self._rooms_at(site).none
        return (None if short else seen[0]), short

    def apart_from_runpp(self, outage: int, site: Sites, held: Held) -> float:
        """Return the largest difference of a state's voltage margins from plain ``runpp``, in pu.

        Raises
        ------
        RunError
            If it is above 1e-8 pu, or 1e-4 % of a loading: better no number than a wrong one.
        """
        seen = self.see(site, held, np.array([outage]))
        true = self.by_runpp(outage, site)
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

    def _net(self, site: Sites) -> Any:
        """Return the net of one state, as ``runpp`` takes it."""
        import pandapower as pp

        trial, own = self.trial, copy.deepcopy(self.trial.own)
        step, first = int(site.step[0]), 0
        for m in trial.moving:
            column = own[m.table][m.column].to_numpy(float).copy()
            column[m.rows] = trial.base[step, first : first + m.rows.size]
            own[m.table][m.column] = column
            first += m.rows.size
        drawn = float(site.p_mw[0] * trial.shape[step])
        readout = trial.model.readout
        bus = readout.bus_index[readout.bus_row == trial.rows[site.row[0]]][0]
        pp.create_sgen(own, int(bus), -drawn, -drawn * trial.q_per_p)
        return own

    def _values(self, sites: Sites) -> Float:
        x = np.empty((sites.p_mw.size, self.trial.base.shape[1] + self.trial.rows.size))
        for row in np.unique(sites.row):
            mine = sites.row == row
            x[mine] = self.trial.states(int(row), sites.p_mw[mine], sites.step[mine])
        return x

    def _base(self, sites: Sites) -> tuple[Complex, Complex, Complex, Float]:
        """Return voltages and injections (row, state) without outage, what units deliver (unit, state), and its change.

        Where units share, injections and units are those of the schedule, and the change (state,) is what all deliver
        beside it; all in pu.
        """
        trial, model = self.trial, self.trial.model
        x, count = self._values(sites), sites.p_mw.size
        lanes = Lanes(model.v0.size, count)
        solved = trial.solve(x, lanes)
        v = lanes.take(np.arange(count))
        v[:, ~solved] = np.nan
        s = trial.still[:, None] + trial.p @ x.T + 1j * (trial.q @ x.T)
        # At a controlled bus: what stays when its unit goes, moving elements aside.
        s.imag[model.pv] += (self._kept_q() - model.s0.imag[model.pv])[:, None]
        unit = np.empty((len(self.units), count), dtype=complex)
        change = np.zeros(count)
        if trial.within is not None:
            rooms = self.rooms or self._rooms(trial.within.units.p_mw)
            s.real += rooms.scheduled[:, None]
            change = np.asarray((v * np.conj(model.y @ v)).real.sum(axis=0) - s.real.sum(axis=0))
        for (table, position), k in self.units.items():
            total, scaling = (part[position] for part in self.security.units[table])
            unit[k] = total
            first = 0
            for m in trial.moving:
                at = np.flatnonzero(m.rows == position)
                if m.table == table and at.size:
                    moved = x[:, first + at[0]] * scaling
                    unit[k] = moved + 1j * unit[k].imag if m.column == "p_mw" else unit[k].real + 1j * moved
                first += m.rows.size
        return v, s, unit, change

    def _kept_q(self) -> Float:
        """Return the reactive injection of the controlled rows in the base state, units aside, in pu."""
        model, security = self.trial.model, self.security
        moved = sum((m @ base for m, base in security.parts), np.zeros(model.v0.size, dtype=complex))
        return np.asarray((security.still + moved).imag[model.pv])

    def _states(self, none: Sites, sites: Sites) -> States:
        """Return states for the inner loop, those without a site first, both padded to whole blocks."""
        parts, counts = [], []
        for part in (none, sites):
            padded = -(-part.p_mw.size // LANES) * LANES
            parts.append(part.pick(np.minimum(np.arange(padded), max(part.p_mw.size - 1, 0))))
            counts.append(padded // LANES)
        both = Sites(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("row", "p_mw", "step")))
        v, s, unit, change = self._base(both)
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
