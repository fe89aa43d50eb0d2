"""Outages times states: solved side by side, then by Newton's method, then by ``runpp``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import InputError
from gridedge.grid.engines import reference
from gridedge.grid.engines.lowrank import Linear, chord, linearise, newton, prepare
from gridedge.grid.engines.model import Complex, Float, Model, injection
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.outages import BRANCHES, NO_REFERENCE, Case, Change, Wiring
from gridedge.grid.results import readout

_BLOCK = 64
_TOGETHER = 8  # states that share one factorisation; each starts from its own state without outage
_QD = 3  # column of pandapower's bus matrix
LOW_RANK, NEWTON, RUNPP, UNSOLVED = range(4)


@dataclass(frozen=True)
class Solved:
    """Some outages of one state, or the state without outage.

    Parameters
    ----------
    state : int
        Which state.
    cases : ndarray, shape (case,)
        Which outages; -1 is none.
    vm_pu, va_degree : ndarray, shape (case, bus)
        Voltages; NaN without supply and where not converged. [pu, degree]
    loading_percent : ndarray, shape (case, branch)
        Loadings, as ``runpp`` gives them: 0 for a branch that is out between buses with voltage. [%]
    how : ndarray of int, shape (case,)
        ``LOW_RANK``, ``NEWTON``, ``RUNPP`` or ``UNSOLVED``.
    """

    state: int
    cases: NDArray[np.intp]
    vm_pu: Float
    va_degree: Float
    loading_percent: Float
    how: NDArray[np.int8]


def by_runpp(net: Any, moving: list[Moving], chosen: Sequence[Case], states: NDArray[np.intp]) -> Iterator[Solved]:
    """Solve outages one by one with ``runpp``, on a private copy whose columns are overwritten.

    Parameters
    ----------
    net : pandapowerNet
        A private copy.
    moving : list of Moving
        What changes from state to state.
    chosen : sequence of Case
        The outages; one without elements is the net as it is.
    states : ndarray
        Which states.

    Yields
    ------
    Solved
        All outages of one state, numbered as in ``chosen``.
    """
    buses, branches = len(net.bus), sum(len(net[t]) for t in BRANCHES)
    for state in states:
        write_state(net, moving, int(state))
        vm, va = np.full((2, len(chosen), buses), np.nan)
        loading = np.full((len(chosen), branches), np.nan)
        how = np.full(len(chosen), UNSOLVED, dtype=np.int8)
        for k, case in enumerate(chosen):
            found = _run_without(net, case)
            if found is not None:
                vm[k], va[k], loading[k] = found
                how[k] = RUNPP
        yield Solved(int(state), np.arange(len(chosen)), vm, va, loading, how)


def _run_without(net: Any, case: Case) -> tuple[Float, Float, Float] | None:
    """Solve a net without some elements; return voltages and loadings, None where it does not converge."""
    try:
        for table, index in case.elements:
            net[table].at[index, "in_service"] = False
        if not reference.run_once(net):
            return None
        out, v = readout(net), net._ppc["internal"]["V"][:, None]
        vm, va = out.voltages(v)
        loading = out.branches(v)[0][0]
        # A transformer that is out has no voltage at its star point, and still carries nothing.
        loading[np.array(out.element) == "trafo3w"] = net.res_trafo3w["loading_percent"].to_numpy(float)
        return vm[0], va[0], loading
    except InputError:  # pandapower finds nothing left to solve
        return None
    except KeyError:  # only references are left: pandapower fills in the tables and keeps no arrays
        return _printed(net)
    finally:
        for table, index in case.elements:
            net[table].at[index, "in_service"] = True


def _printed(net: Any) -> tuple[Float, Float, Float]:
    """Return what ``runpp`` printed; nothing flows but what the references exchange with their own bus."""
    vm, va = (net.res_bus[name].to_numpy(float) for name in ("vm_pu", "va_degree"))
    parts = []
    for table in sorted(net._pd2ppc_lookups["branch"], key=lambda t: net._pd2ppc_lookups["branch"][t][0]):
        if table == "impedance":
            dead = net.res_bus["vm_pu"].isna()
            frame = net.impedance
            parts.append(np.where(dead.loc[frame.from_bus].to_numpy() | dead.loc[frame.to_bus].to_numpy(), np.nan, 0.0))
        elif table in BRANCHES:
            parts.append(net[f"res_{table}"]["loading_percent"].to_numpy(float))
    return vm, va, np.concatenate(parts) if parts else np.empty(0)


def write_state(net: Any, moving: list[Moving], state: int) -> None:
    """Write what moves into the columns of a net."""
    for m in moving:
        values = net[m.table][m.column].to_numpy(float).copy()
        values[m.rows] = m.at_each(np.array([state]))[0]
        net[m.table][m.column] = values


class Security:
    """The outages of a net, ready for any state of it.

    Parameters
    ----------
    net : pandapowerNet
        A private copy that ``runpp`` has just solved; ``runpp`` gets it where nothing else helps.
    model : Model
        Its extraction.
    chosen : sequence of Case
        The outages.
    moving : list of Moving
        What changes from state to state.
    """

    def __init__(self, net: Any, model: Model, chosen: Sequence[Case], moving: list[Moving]):
        self.net, self.model, self.cases, self.moving = net, model, chosen, moving
        wiring = Wiring(net)
        self.changes = [wiring.change(case) for case in chosen]
        self.parts = injection(net, model, moving)
        s0 = model.s0.copy()
        s0[model.pv] = s0[model.pv].real - 1j * _drawn_q_pu(net, model)  # what stays when the unit goes
        self.still = s0 - sum((m @ base for m, base in self.parts), np.zeros(model.v0.size, dtype=complex))
        self.units = {table: _units_pu(net, table, model.base_mva) for table in ("gen", "sgen")}
        place = {label: k for k, label in enumerate(model.readout.labels)}
        self.out = [
            [place[f"{t}:{i}"] for t, i in case.elements if t in BRANCHES and f"{t}:{i}" in place] for case in chosen
        ]
        self.terminals = np.full((len(place), 3), -1, dtype=np.intp)
        for (table, index), rows in wiring.terminals.items():
            self.terminals[place[f"{table}:{index}"], : len(rows)] = rows

    def solve(self, count: int) -> Iterator[Solved]:
        """Solve all outages of all states, block by block; each state without outage comes first."""
        for first in range(0, count, _TOGETHER):
            states = np.arange(first, min(first + _TOGETHER, count), dtype=np.intp)
            bases: dict[int, Complex] = {}
            for state in states:
                base, how = self._base(int(state))
                yield self._read(int(state), np.array([-1]), base[:, None], np.array([how], dtype=np.int8), [])
                if how != UNSOLVED:
                    bases[int(state)] = base
            linear = self._linear(list(bases.values())) if bases else None
            for start in range(0, len(self.cases), _BLOCK):
                which = np.arange(start, min(start + _BLOCK, len(self.cases)), dtype=np.intp)
                yield from self._block(linear, which, bases)

    def injections(self, state: int) -> Complex:
        """Return the injections (row,) of a state without outage, in pu."""
        here = np.array([state])
        moved = (part @ m.at_each(here)[0] for (part, _), m in zip(self.parts, self.moving, strict=True))
        return sum(moved, self.still.copy())

    def _base(self, state: int) -> tuple[Complex, int]:
        v = newton(self.model, self.model.v0, self.injections(state))
        if v is not None and not reference.far_from(v, np.abs(self.model.v0)):
            return v, NEWTON
        write_state(self.net, self.moving, state)
        if reference.run_once(self.net):
            return np.asarray(self.net._ppc["internal"]["V"]).copy(), RUNPP
        return np.full(self.model.v0.size, np.nan, dtype=complex), UNSOLVED

    def _linear(self, bases: list[Complex]) -> Linear | None:
        """Linearise in the middle of some states."""
        vm = np.mean([np.abs(v) for v in bases], axis=0)
        ahead = np.mean([np.angle(v / bases[0]) for v in bases], axis=0)
        return linearise(self.model, vm * np.exp(1j * (np.angle(bases[0]) + ahead)))

    def _block(self, linear: Linear | None, which: NDArray[np.intp], bases: dict[int, Complex]) -> Iterator[Solved]:
        shown = np.array([not self.changes[k].reason for k in which])
        prepared = prepare(linear, [self.changes[k] for k in which[shown]]) if linear is not None else None
        for state, base in bases.items():
            v = np.full((base.size, which.size), np.nan, dtype=complex)
            how = np.full(which.size, UNSOLVED, dtype=np.int8)
            s = np.repeat(self.injections(state)[:, None], which.size, axis=1)
            for a, k in enumerate(which):
                for table, position, row in self.changes[k].lost:
                    s[row, a] -= self._power(table, position, state)
            if prepared is not None:
                v[:, shown], converged = chord(linear, prepared, base, s[:, shown])  # type: ignore[arg-type]
                how[np.flatnonzero(shown)[converged]] = LOW_RANK
            for a in np.flatnonzero(shown & (how == UNSOLVED)).tolist():
                exact = newton(self.model, base, s[:, a], self.changes[which[a]])
                if exact is not None:
                    v[:, a], how[a] = exact, NEWTON
            for a in np.flatnonzero(how != UNSOLVED).tolist():
                if self._far(v[:, a], base, self.changes[which[a]]):
                    how[a] = UNSOLVED
            solved = self._read(state, which, v, how, [self.changes[k] for k in which])
            for a in np.flatnonzero(how == UNSOLVED).tolist():
                if self.changes[which[a]].reason != NO_REFERENCE:
                    self._last_resort(solved, a)
            yield solved

    def _far(self, v: Complex, base: Complex, change: Change) -> bool:
        """Say whether this may be the lower root: far from the state without outage, or no number."""
        away = np.abs(np.abs(v) - np.abs(base))
        away[change.dark] = 0.0
        return not bool((away <= reference.FAR_PU).all())

    def _last_resort(self, solved: Solved, a: int) -> None:
        (one,) = by_runpp(self.net, self.moving, [self.cases[solved.cases[a]]], np.array([solved.state]))
        for name in ("vm_pu", "va_degree", "loading_percent", "how"):
            getattr(solved, name)[a] = getattr(one, name)[0]

    def _power(self, table: str, position: int, state: int) -> complex:
        """Return what one unit injects in a state, generation positive, in pu."""
        total, scaling = self.units[table][0][position], self.units[table][1][position]
        for m in self.moving:
            here = np.flatnonzero(m.rows == position)
            if m.table == table and here.size:
                value = float(m.at_each(np.array([state]))[0, here[0]]) * scaling
                total = complex(value, total.imag) if m.column == "p_mw" else complex(total.real, value)
        return complex(total)

    def _read(
        self, state: int, which: NDArray[np.intp], v: Complex, how: NDArray[np.int8], changes: list[Change]
    ) -> Solved:
        v[:, how == UNSOLVED] = np.nan
        for a, change in enumerate(changes):
            v[change.dark, a] = np.nan
        vm, va = self.model.readout.voltages(v)
        loading, _ = self.model.readout.branches(v)
        for a, change in enumerate(changes):
            if how[a] == UNSOLVED:
                loading[a] = np.nan
                continue
            loading[a, self.out[which[a]]] = 0.0
            if change.dark.size:
                loading[a, np.isin(self.terminals, change.dark).any(axis=1)] = np.nan
        if not changes and how[0] == UNSOLVED:
            loading[:] = np.nan
        return Solved(state, which, vm, va, loading, how)


def _drawn_q_pu(net: Any, model: Model) -> Float:
    """Return the reactive power drawn at the controlled rows, units aside, in pu."""
    return np.asarray(net._ppc["internal"]["bus"][model.pv, _QD].real / model.base_mva, dtype=float)


def _units_pu(net: Any, table: str, base_mva: float) -> tuple[Complex, Float]:
    """Return what each unit of a table injects, and how its MW or Mvar become pu."""
    frame = net[table]
    scaling = frame["scaling"].to_numpy(float) / base_mva
    reactive = frame["q_mvar"].to_numpy(float) if "q_mvar" in frame else np.zeros(len(frame))
    return (frame["p_mw"].to_numpy(float) + 1j * reactive) * scaling, scaling
