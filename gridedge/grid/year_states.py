"""The states of a year on arrays: one set of admittances per position of the shunts, all hours and layouts in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.grid.engines.batch import Batch
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.model import Complex, Float, Model, extract
from gridedge.grid.engines.newton import exact
from gridedge.grid.engines.units import read_units
from gridedge.grid.follow import follow
from gridedge.grid.season import Season
from gridedge.grid.shunts import admittance_pu

REST_MW = 1.0  # what the reference may be left with beyond its share
PROBES = 16  # hours of each case that are solved before the others
_MOST = 8  # rounds in which the losses of a state and the generation that follows them settle


@dataclass(frozen=True)
class Sites:
    """What all sites of all layouts draw.

    Parameters
    ----------
    bus : ndarray, shape (site,)
        Index of the bus.
    of_case : tuple of ndarray
        By case, the positions of its sites.
    p_mw, q_mvar : tuple of ndarray, (time, site of the case) or (1, site of the case)
        By case. [MW, Mvar]
    """

    bus: NDArray[np.intp]
    of_case: tuple[NDArray[np.intp], ...]
    p_mw: tuple[Float, ...]
    q_mvar: tuple[Float, ...]

    def values(self, case: int, hours: NDArray[np.intp]) -> tuple[Float, Float]:
        """Return ``p_mw`` and ``q_mvar`` of a case, both (hour, site)."""
        found = np.zeros((2, hours.size, self.bus.size))
        for k, given in enumerate((self.p_mw[case], self.q_mvar[case])):
            found[k][:, self.of_case[case]] = given[hours] if given.shape[0] > 1 else given
        return found[0], found[1]


@dataclass(frozen=True)
class States:
    """Solved states, case after case, each with the same hours.

    Parameters
    ----------
    v : ndarray, shape (row, state)
        Voltages; NaN where not solved. [pu]
    lanes : Lanes
        The same, side by side.
    solved : ndarray of bool, shape (state,)
        Which have a solution.
    unit_mw : ndarray, shape (state, unit)
        What the units deliver by their rule. [MW]
    loss_mw, rest_mw, site_mw : ndarray, shape (state,)
        Losses of branches and shunts; what the reference delivers beyond its share; what the sites draw. [MW]
    q_mvar : ndarray, shape (state, unit bus)
        Reactive power of the units of each watched bus. [Mvar]
    """

    v: Complex
    lanes: Lanes
    solved: NDArray[np.bool_]
    unit_mw: Float
    loss_mw: Float
    rest_mw: Float
    site_mw: Float
    q_mvar: Float


class Year:
    """A season with sites, ready to solve any of its hours.

    Parameters
    ----------
    season : Season
        The net, its loads, shunts and units.
    sites : Sites
        What is connected, case by case.

    Raises
    ------
    InputError
        If the net's arrays do not reproduce its solution, or a site stands at a bus without supply.
    """

    def __init__(self, season: Season, sites: Sites):
        net = season.net
        model = extract(net)
        if model is None:
            raise bad("the net's bus-branch model does not reproduce its own solution", "", "Solve it by runpp first.")
        self.season, self.sites, self.model = season, sites, model
        row_of = dict(zip(model.readout.bus_index.tolist(), model.readout.bus_row.tolist(), strict=True))
        dark = [int(b) for b in sites.bus if row_of[int(b)] < 0]
        if dark:
            raise bad("a site connects to a bus without supply", f"bus {dark[:5]}", "Choose another bus.")
        base, units = model.base_mva, season.units
        at = [np.array([row_of[int(b)] for b in buses], dtype=np.intp) for buses in _buses(net, season, sites)]
        load_row, unit_row, site_row, self.shunt_row = at
        groups, own, many = season.group_mw.shape[1], units.p_mw.size, sites.bus.size
        self.parts = np.cumsum([groups, own, many])
        alive = load_row >= 0
        load = sp.csr_matrix(season.weight_pu * alive[:, None])
        where = sp.csr_matrix((-np.ones(load_row.size), (np.where(alive, load_row, 0), np.arange(load_row.size))),
                              shape=(model.v0.size, load_row.size))  # fmt: skip
        moves = units.reference | (unit_row < 0)
        unit = _columns(np.where(moves, 0.0, 1.0), unit_row, model.v0.size)
        site = _columns(-np.ones(many), site_row, model.v0.size)
        none = sp.csr_matrix((model.v0.size, many))
        power_factor = np.zeros(own)
        sgen = units.table == "sgen"
        power_factor[sgen] = net.sgen["q_mvar"].to_numpy(float)[units.position[sgen]] / units.p_mw[sgen]
        power_factor[sgen] *= net.sgen["scaling"].to_numpy(float)[units.position[sgen]]
        drawn = sp.csr_matrix(where @ sp.diags(season.ratio) @ load)
        self.p = sp.csr_matrix(sp.hstack([where @ load, unit, site, none])) / base
        self.q_watched = sp.csr_matrix(sp.hstack([drawn, unit * 0.0, none, site])) / base
        self.q = sp.csr_matrix(sp.hstack([drawn, unit @ sp.diags(power_factor), none, site])) / base
        for matrix in (self.p, self.q, self.q_watched):
            matrix.eliminate_zeros()
        frame = net.load
        in_net = frame["p_mw"].to_numpy(float) * frame["scaling"].to_numpy(float) * frame["in_service"].to_numpy(bool)
        self.x0 = np.concatenate([np.zeros(groups), units.p_mw, np.zeros(2 * many)])
        here = np.where(season.moved, in_net, 0.0)
        still_load = where @ (here + 1j * here * season.ratio) / base
        s0 = model.s0.copy()
        s0[model.ref] = model.v0[model.ref] * np.conj(model.y[model.ref] @ model.v0)  # runpp states no power there
        self.still = s0 - self.p @ self.x0 - 1j * (self.q @ self.x0) - still_load
        self.base_load_mw, self.base_loss_mw = float(here.sum()), float(_losses_mw(model, model.v0[:, None])[0])
        every = (in_net.sum(), self.base_loss_mw, -units.p_mw.sum())
        self.other_mw = float(sum(every))  # from what neither follows nor is a load of the net
        self._watch(units.position[sgen], unit_row[sgen], still_load)
        self.load_mw = np.asarray(season.group_mw @ season.weight_pu.sum(axis=0))
        self.y_shunt = admittance_pu(net, base)
        self.fits: list[Float | None] = [None] * len(sites.of_case)
        self.hopeful = np.ones(len(sites.of_case), dtype=bool)
        self.starts: list[tuple[float, Complex]] = [(self.base_load_mw, model.v0)]

    def probe(self, hours: NDArray[np.intp]) -> None:
        """Solve a few of some hours: where to start from, what losses to expect, whether Newton is worth it."""
        order = hours[np.argsort(self.load_mw[hours], kind="stable")]
        picked = order[np.unique(np.linspace(0, order.size - 1, min(order.size, PROBES)).round().astype(np.intp))]
        cases = range(len(self.sites.of_case))
        wanted, loss = np.full((2, len(cases), picked.size), np.nan)
        starts = []
        for k, hour in enumerate(picked.tolist()):
            found = self.solve(np.array([hour]), cases)
            wanted[:, k] = self.season.units.p_mw.sum() + self.load_mw[hour] - self.base_load_mw + found.site_mw
            loss[:, k] = np.where(found.solved, found.loss_mw, np.nan)
            if found.solved[0]:
                starts.append((float(self.load_mw[hour]), found.v[:, 0]))
        for case in cases:
            good = np.isfinite(loss[case])
            self.hopeful[case] = good.any()
            if good.sum() >= 6 and np.ptp(wanted[case, good]) > 0:
                self.fits[case] = np.polyfit(wanted[case, good], loss[case, good], 2)
        self.starts = starts or self.starts

    def _watch(self, sgen: NDArray[np.intp], sgen_row: NDArray[np.intp], still_load: Complex) -> None:
        """Note the buses that hold their voltage, the limits of all units there, and what else draws there."""
        net, model = self.season.net, self.model
        watched = read_units(net, model, headroom=False)
        self.q_row = watched.bus_row
        low, high = watched.min_q_mvar.copy(), watched.max_q_mvar.copy()
        other = watched.other.imag - still_load.imag  # without the loads that move
        frame = net.sgen
        place = {int(row): k for k, row in enumerate(self.q_row)}
        for position, row in zip(sgen.tolist(), sgen_row.tolist(), strict=True):
            if row not in place or "min_q_mvar" not in frame or "max_q_mvar" not in frame:
                continue
            q_mvar = float(frame["q_mvar"].iloc[position] * frame["scaling"].iloc[position])
            other[row] -= q_mvar / model.base_mva
            own = frame["min_q_mvar"].iloc[position], frame["max_q_mvar"].iloc[position]
            low[place[row]] += -np.inf if np.isnan(own[0]) else own[0]
            high[place[row]] += np.inf if np.isnan(own[1]) else own[1]
        self.low_mvar, self.high_mvar, self.other_q = low, high, other[self.q_row]
        out = model.readout
        first = {int(row): int(bus) for bus, row in zip(out.bus_index[::-1], out.bus_row[::-1], strict=True)}
        self.q_bus = np.array([first[int(row)] for row in self.q_row], dtype=np.intp)

    def patterns(self, hours: NDArray[np.intp]) -> list[NDArray[np.intp]]:
        """Return the hours with the same position of all shunts, set by set."""
        share = self.season.share[hours]
        if not share.shape[1]:
            return [hours]
        _, which = np.unique(share, axis=0, return_inverse=True)
        which = which.reshape(-1)
        order = np.argsort(which, kind="stable")
        return [hours[part] for part in np.split(order, np.flatnonzero(np.diff(which[order])) + 1)]

    def model_at(self, hour: int) -> Model:
        """Return the net with its shunts as in an hour."""
        change = (self.season.share[hour] - 1.0) * self.y_shunt
        rows = self.model.v0.size
        here = self.shunt_row >= 0
        diagonal = np.bincount(self.shunt_row[here], change.real[here], rows) + 1j * np.bincount(
            self.shunt_row[here], change.imag[here], rows
        )
        return replace(self.model, y=sp.csr_matrix(self.model.y + sp.diags(diagonal)))

    def solve(self, hours: NDArray[np.intp], cases: Sequence[int]) -> States:
        """Solve some hours of one position of the shunts, for some cases.

        Parameters
        ----------
        hours : ndarray
            With the same shunts.
        cases : sequence of int
            Positions of the layouts; what the chord does not settle goes to Newton where :meth:`probe` left hope.
        """
        count = hours.size * len(cases)
        x = np.zeros((count, self.x0.size))
        first, second, third = self.parts.tolist()
        for k, case in enumerate(cases):
            here = slice(k * hours.size, (k + 1) * hours.size)
            x[here, second:third], x[here, third:] = self.sites.values(case, hours)
            x[here, :first] = self.season.group_mw[hours]
        site_mw = x[:, second:third].sum(axis=1)
        units = self.season.units
        change = np.tile(self.load_mw[hours], len(cases)) - self.base_load_mw + site_mw
        wanted = units.p_mw.sum() + change
        loss = self.base_loss_mw * (np.maximum(wanted, 0.0) / max(units.p_mw.sum(), 1e-9)) ** 2
        for k, case in enumerate(cases):
            here, fit = slice(k * hours.size, (k + 1) * hours.size), self.fits[case]
            if fit is not None:
                loss[here] = np.maximum(np.polyval(fit, wanted[here]), 0.0)
        tried = np.repeat(self.hopeful[list(cases)], hours.size)
        open_states = np.arange(count)
        x[:, first:second], _ = follow(wanted + loss - self.base_loss_mw, units.p_mw, units.min_p_mw, units.max_p_mw)
        model, batch = self._prepared(int(hours[0]), x)
        lanes = Lanes(batch.rows, count)
        v = np.full((batch.rows, count), np.nan, dtype=complex)
        for _ in range(_MOST):
            part = Lanes(batch.rows, open_states.size)
            solved = batch.contracting(x[open_states], part)
            again = np.flatnonzero(~solved & tried[open_states])
            if again.size:
                values = x[open_states[again]]
                s = self.still[:, None] + self.p @ values.T + 1j * (self.q @ values.T)
                found, good = exact(model, s)
                part.put(again, found)
                solved[again] = good
            part.blank(solved)
            v[:, open_states] = part.take(np.arange(open_states.size))
            open_states = open_states[solved]  # a state without solution has no losses to follow
            found_mw = _losses_mw(model, v[:, open_states])
            left = np.abs(found_mw - loss[open_states]) > REST_MW
            open_states, found_mw = open_states[left], found_mw[left]
            if not open_states.size:
                break
            loss[open_states] = found_mw
            x[open_states, first:second], _ = follow(
                wanted[open_states] + found_mw - self.base_loss_mw, units.p_mw, units.min_p_mw, units.max_p_mw
            )
        lanes.put(np.arange(count), v)
        solved = np.isfinite(v.real).all(axis=0)
        # What the reference gives follows from the voltages alone, not from the rule.
        ref = model.ref
        at_ref = (v[ref] * np.conj(model.y[ref] @ v)).real - self.still.real[ref, None] - (self.p @ x.T)[ref]
        reference_mw = at_ref.sum(axis=0) * model.base_mva + units.p_mw[units.reference].sum()
        rest = reference_mw - x[:, first:second][:, units.reference].sum(axis=1)
        injected = v[self.q_row] * np.conj(model.y[self.q_row] @ v)
        q_mvar = (injected.imag - self.other_q[:, None] - (self.q_watched @ x.T)[self.q_row]) * model.base_mva
        return States(v, lanes, solved, x[:, first:second], _losses_mw(model, v), rest, site_mw, q_mvar.T)

    def _prepared(self, hour: int, x: Float) -> tuple[Model, Batch]:
        """Return the net of an hour, solved in the middle of some values, and what solves others near it."""
        centre = self.still + self.p @ x.mean(axis=0) + 1j * (self.q @ x.mean(axis=0))
        loads = np.array([load for load, _ in self.starts])
        near = self.starts[int(np.abs(loads - self.load_mw[hour]).argmin())][1]
        model = replace(self.model_at(hour), v0=near)
        batch = Batch(model, self.still, self.p, self.q, centre)
        start = batch.start if model.pv.size else model.v0
        return replace(model, v0=start), batch


def _buses(net: Any, season: Season, sites: Sites) -> tuple[Any, ...]:
    return net.load["bus"].to_numpy(), season.units.bus, sites.bus, net.shunt["bus"].to_numpy()


def _columns(weight: Float, row: NDArray[np.intp], rows: int) -> sp.csr_matrix:
    """Return a matrix (row, element) with one weight in each column."""
    alive = row >= 0
    return sp.csr_matrix((weight * alive, (np.where(alive, row, 0), np.arange(row.size))), shape=(rows, row.size))


def _losses_mw(model: Model, v: Complex) -> Float:
    """Return what branches and shunts turn into heat: the sum of all injections, shape (state,)."""
    return np.asarray((v * np.conj(model.y @ v)).real.sum(axis=0) * model.base_mva)
