"""The states of a trial while something of the net is out, one by one: what each unit delivers, and the solution."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridedge.errors import bad
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.lowrank import newton
from gridedge.grid.engines.model import Complex
from gridedge.grid.engines.outage_shares import LEFT_MW, Rooms, balanced, rooms_of
from gridedge.grid.engines.reference import FAR_PU
from gridedge.grid.engines.secure import UNSOLVED, Security, by_runpp
from gridedge.grid.trial import Float, Index, Trial


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


class OutageStates:
    """States of a trial with one site, without outage or in one of them.

    Parameters
    ----------
    trial : Trial
        The net, its series and the buses.
    security : Security
        The outages.

    Raises
    ------
    InputError
        If units share and the net has several reference buses.
    """

    def __init__(self, trial: Trial, security: Security):
        self.trial, self.security = trial, security
        self.cases, self.changes = security.cases, security.changes
        lost = sorted({(table, position) for c in self.changes for table, position, _ in c.lost})
        self.units = {unit: k for k, unit in enumerate(lost)}
        if trial.within is not None and trial.model.ref.size > 1:
            cure = 'Give supply="slack", or keep one ext_grid and make the others gens.'
            raise bad("after an outage load cannot be shared: several reference buses", str(trial.model.ref.size), cure)
        self.rooms = None if trial.within is None or trial.dear else self._rooms(trial.within.units.p_mw)

    def _net(self, site: Sites) -> Any:
        """Return the net of one state, as ``runpp`` takes it."""
        import pandapower as pp

        trial, step = self.trial, int(site.step[0])
        own = trial.net_at(step)
        drawn = float(site.p_mw[0] * trial.shape[step])
        readout = trial.model.readout
        bus = readout.bus_index[readout.bus_row == trial.rows[site.row[0]]][0]
        pp.create_sgen(own, int(bus), -drawn, -drawn * trial.q_per_p)
        return own

    def values(self, sites: Sites) -> Float:
        """Return what moves in some states, as :meth:`gridedge.grid.trial.Trial.states` does."""
        x = np.empty((sites.p_mw.size, self.trial.base.shape[1] + self.trial.rows.size))
        for row in np.unique(sites.row):
            mine = sites.row == row
            x[mine] = self.trial.states(int(row), sites.p_mw[mine], sites.step[mine])
        return x

    def base(self, sites: Sites) -> tuple[Complex, Complex, Complex, Float]:
        """Return voltages and injections (row, state) without outage, what units deliver (unit, state), and its change.

        Where units share, injections and units are those of the schedule, and the change (state,) is what all deliver
        beside it; all in pu.
        """
        trial, model = self.trial, self.trial.model
        x, count = self.values(sites), sites.p_mw.size
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

    def _after(self, outage: int, site: Sites) -> tuple[Complex, Complex, float]:
        """Return the voltages before an outage, the injections after it, both (row,), and about what units add [pu]."""
        change = self.changes[outage]
        v0, before, unit, shared = self.base(site)
        s = before[:, 0].copy()
        for table, position, row in change.lost:
            s[row] -= unit[self.units[table, position], 0]
        lit = np.ones(s.size, dtype=bool)
        lit[change.dark] = False
        more = shared[0] + (before[:, 0] - s)[lit].real.sum() + before[~lit, 0].real.sum()  # no losses changed
        return v0[:, 0], s, float(more)

    def exact(self, outage: int, site: Sites) -> tuple[Complex, Float, Float] | None:
        """Return the voltages of one state, and what is read of them, by Newton's method or ``runpp``; None without."""
        change = self.changes[outage]
        v0, s, begin = self._after(outage, site)
        found = None
        if not change.reason and self.trial.within is None:
            found = newton(self.trial.model, v0, s, change)
        elif not change.reason:
            known = self._shared(outage, site, v0, s, begin)
            if known is not None and known[1]:
                return None
            found = None if known is None else known[0]
        if found is not None:
            away = np.abs(np.abs(found) - np.abs(v0))
            away[change.dark] = 0.0
            if (away <= FAR_PU).all():
                reading = self.security.reading(np.array([outage]), [change])
                read = reading.read(0, found[:, None].copy(), np.array([1], dtype=np.int8))
                return found, read.vm_pu[0], read.loading_percent[0]
        plain = self.by_runpp(outage, site)
        return None if plain is None else (np.empty(0, dtype=complex), *plain)

    def _shared(
        self, outage: int, site: Sites, start: Complex, s: Complex, begin: float
    ) -> tuple[Complex, bool] | None:
        """Return the voltages of one state in which the remaining units share, and whether they cannot deliver it."""
        model, change = self.trial.model, self.changes[outage]
        rooms = self._rooms_at(site)
        part, most = rooms.left(change, [self.units[table, position] for table, position, _ in change.lost])

        def surplus(more: float) -> float | None:
            nonlocal start
            injected = s + part[0 if more >= 0 else 1] * more
            found = newton(model, start, injected, change)
            if found is None:
                return None
            start = found
            current = (model.y[rooms.ref] @ found)[0]
            here = np.flatnonzero(change.rows == rooms.ref)
            if here.size:
                current += change.dy[here[0]] @ found[change.rows]
            return float((found[rooms.ref] * np.conj(current)).real - injected[rooms.ref].real)

        more = balanced(surplus, begin, LEFT_MW / model.base_mva)
        return None if more is None else (start, more > most + rooms.none)

    def _rooms(self, schedule_mw: Float) -> Rooms:
        trial = self.trial
        assert trial.within is not None
        index = np.array([trial.own[table].index[position] for table, position in self.units], dtype=np.intp)
        return rooms_of(trial.model, trial.within.units, schedule_mw, self.units, index)

    def _rooms_at(self, site: Sites) -> Rooms:
        if self.rooms is not None:
            return self.rooms
        assert self.trial.within is not None
        return self._rooms(self.trial.within.schedule_mw(self.values(site))[:, 0])

    def lacks_supply(self, outage: int, site: Sites) -> bool:
        """Say whether a state without a solution is one because the remaining units cannot deliver it."""
        if self.trial.within is None:
            return False
        if self.changes[outage].reason:
            return self._runpp_shared(outage, site)[1]
        known = self._shared(outage, site, *self._after(outage, site))
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
        schedule = trial.within.schedule_mw(self.values(site))[:, 0]
        names = list(zip(units.table, units.index.tolist(), strict=True))
        stay = np.array([name not in case.elements for name in names]) & ~np.isin(units.row, change.dark)
        rooms = self._rooms_at(site)
        room, alone = rooms.unit * stay, units.weight * stay
        alone = alone / alone.sum() if alone.any() else alone
        parts = [r / r.sum() if r.sum() > rooms.none else alone for r in room]
        seen: list[tuple[Float, Float]] = []

        def surplus(more: float) -> float | None:
            given = schedule + parts[0 if more >= 0 else 1] * more * trial.model.base_mva
            for k, (table, index) in enumerate(names):
                if table == "gen" and not units.reference[k]:
                    own.gen.loc[index, "p_mw"] = given[k] / float(own.gen.at[index, "scaling"])
            (read,) = by_runpp(own, [], [case], np.array([0]))
            if read.how[0] == UNSOLVED:
                return None
            seen[:] = [(read.vm_pu[0], read.loading_percent[0])]
            mine = np.flatnonzero(units.reference & stay).tolist()
            made = sum(float(own[f"res_{names[k][0]}"].at[names[k][1], "p_mw"]) for k in mine)
            return (made - float(given[mine].sum())) / trial.model.base_mva

        more = balanced(surplus, self._after(outage, site)[2], LEFT_MW / trial.model.base_mva)
        if more is None:
            return None, False
        short = more > float(room[0].sum()) + rooms.none
        return (None if short else seen[0]), short
