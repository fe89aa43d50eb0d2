"""The batch engine with the units of the net kept within their limits."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines import reference
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.inputs import Inputs
from gridedge.grid.engines.model import Float, Model
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.supply import Supplied, within_limits
from gridedge.grid.engines.units import Units, read_units

_NAMES = ("p_unit_mw", "q_unit_mvar", "at_limit")


class Within:
    """A net whose units keep their limits, ready to solve blocks of states.

    Parameters
    ----------
    net : pandapowerNet
        That has just been solved.
    model : Model
        Its extraction.
    what : Inputs
        What moves.
    q_limits, headroom : bool
        Whether buses of generators keep their reactive limits, and whether all units share in a change of load.
    """

    def __init__(self, net: Any, model: Model, what: Inputs, *, q_limits: bool, headroom: bool):
        self.model, self.still, self.p, self.q = model, what.still, what.p, what.q
        self.units = read_units(net, model, headroom=headroom)
        self.q_limits, self.headroom = q_limits, headroom
        self.rows = model.v0.size
        self.said: Counter[str] = Counter()
        self.extra: dict[str, Float] = {}
        self._gens = _gen_columns(net, self.units, what.moving)

    def solve(self, moving: list[Moving], x: Float, v: Lanes) -> NDArray[np.bool_]:  # noqa: ARG002 (as all engines)
        """Solve a block of states; see :meth:`gridedge.grid.engines.batch.Batch.solve`."""
        done = self.supplied(x)
        v.put(np.arange(x.shape[0]), done.v)
        self.said = Counter(str(reason) for reason in done.why if reason)
        self.extra = dict(zip(_NAMES, (done.p_mw.T, done.q_mvar.T, done.at_limit.T.astype(float)), strict=True))
        return done.converged

    def supplied(self, x: Float) -> Supplied:
        """Return the states of values (state, element), with what their units deliver."""
        s = self.still[:, None] + self.p @ x.T + 1j * (self.q @ x.T)
        return within_limits(
            self.model, self.units, s, q_limits=self.q_limits, headroom=self.headroom, p_mw=self.schedule_mw(x)
        )  # fmt: skip

    def schedule_mw(self, x: Float) -> Float:
        """Return what the units deliver (unit, state) before any of them takes its part of a change."""
        schedule = np.repeat(self.units.p_mw[:, None], x.shape[0], axis=1)
        for column, unit, scaling, before in self._gens:
            schedule[unit] += scaling * (x[:, column] - before)
        return schedule

    def coordinates(self) -> dict[str, Any]:
        """Return the labels of what :attr:`extra` holds: units, and buses with a unit."""
        labels = [f"{t}:{i}" for t, i in zip(self.units.table, self.units.index, strict=True)]
        index = self.model.readout.bus_index
        first = {int(row): int(bus) for bus, row in zip(index[::-1], self.model.readout.bus_row[::-1], strict=True)}
        return {"unit": labels, "unit_bus": [first[int(row)] for row in self.units.bus_row]}


def _gen_columns(net: Any, units: Units, moving: list[Moving]) -> list[tuple[int, int, float, float]]:
    """Return, for every column that moves a generator: the column, its unit, its scaling and what stands there."""
    unit_of = {(t, int(i)): k for k, (t, i) in enumerate(zip(units.table, units.index, strict=True))}
    found, first = [], 0
    for m in moving:
        if m.table == "gen" and m.column == "p_mw":
            for k, row in enumerate(m.rows):
                unit = unit_of.get(("gen", int(net.gen.index[row])))
                if unit is not None and not units.reference[unit]:
                    scaling, before = float(net.gen["scaling"].iloc[row]), float(net.gen["p_mw"].iloc[row])
                    found.append((first + k, unit, scaling, before))
        first += m.rows.size
    return found


def apart_from_runpp(net: Any, solver: Within, moving: list[Moving], v: dict[int, NDArray[np.complex128]]) -> float:
    """Return the largest difference of voltages, in pu, from ``runpp`` with every unit as it was found to stand.

    Generators get the power that they were found to deliver; where all of a bus stand at their reactive limit, they
    become static generators of that power.  So ``runpp`` knows no limits, and must find the same state.
    """
    worst = 0.0
    units = solver.units
    for state, voltages in v.items():
        values = [m.at_each(np.array([state]))[0] for m in moving]
        done = solver.supplied(np.concatenate([*values, np.empty(0)])[None, :])
        own = copy.deepcopy(net)
        for m, value in zip(moving, values, strict=True):
            column = own[m.table][m.column].to_numpy(float).copy()
            column[m.rows] = value
            own[m.table][m.column] = column
        as_found(own, units, done)
        if reference.run_once(own):
            worst = max(worst, float(np.abs(np.abs(own._ppc["internal"]["V"]) - np.abs(voltages)).max()))
    return worst


def as_found(net: Any, units: Units, done: Supplied) -> None:
    """Set the units of a net as the limits have left them, in place: voltages held, or reactive power at a limit."""
    import pandapower as pp

    limited = dict(zip(units.bus_row.tolist(), done.at_limit[:, 0] != 0, strict=True))
    given: set[int] = set()
    place = {int(row): k for k, row in enumerate(units.bus_row)}
    for k, (table, index) in enumerate(zip(units.table, units.index, strict=True)):
        if table != "gen":
            continue
        row = int(units.row[k])
        if not units.reference[k]:
            net.gen.loc[index, "p_mw"] = done.p_mw[k, 0] / float(net.gen.at[index, "scaling"])
        if limited[row]:
            net.gen.loc[index, "in_service"] = False
            q_mvar = 0.0 if row in given else float(done.q_mvar[place[row], 0])
            given.add(row)
            pp.create_sgen(net, net.gen.at[index, "bus"], float(done.p_mw[k, 0]), q_mvar)
