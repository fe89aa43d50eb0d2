"""Outages times states: solved side by side, then by Newton's method, then by ``runpp``."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import InputError
from gridedge.grid.engines import reference
from gridedge.grid.engines.lowrank import Linear, chord, linearise, newton, prepare
from gridedge.grid.engines.model import Complex, Float, Model, injection
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.outages import BRANCHES, NO_REFERENCE, Case, Change, Rows, Wiring
from gridedge.grid.engines.spread import spread
from gridedge.grid.results import Readout, readout

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


@dataclass(frozen=True)
class Reading:
    """How the voltages of some outages become results.

    Parameters
    ----------
    readout : Readout
        Of the net without outage.
    which : ndarray
        Which outages; -1 is none.
    changes : list of Change
        What they change; empty without outage.
    out : list of list of int
        Places of the branches that are out, per outage.
    terminals : ndarray, shape (branch, 3)
        Rows of the ends of every branch; -1 where it has no such end.
    """

    readout: Readout
    which: NDArray[np.intp]
    changes: list[Change]
    out: list[list[int]]
    terminals: Rows

    def read(self, state: int, v: Complex, how: NDArray[np.int8]) -> Solved:
        """Return the results of one state, of voltages (row, outage)."""
        v[:, how == UNSOLVED] = np.nan
        for a, change in enumerate(self.changes):
            v[change.dark, a] = np.nan
        vm, va = self.readout.voltages(v)
        loading, _ = self.readout.branches(v)
        for a, change in enumerate(self.changes):
            if how[a] == UNSOLVED:
                loading[a] = np.nan
                continue
            loading[a, self.out[a]] = 0.0
            if change.dark.size:
                loading[a, np.isin(self.terminals, change.dark).any(axis=1)] = np.nan
        if not self.changes and how[0] == UNSOLVED:
            loading[:] = np.nan
        return Solved(state, self.which, vm, va, loading, how)


@dataclass(frozen=True)
class Outages:
    """Some outages of some states, for whoever takes them; it holds no pandapower net.

    Parameters
    ----------
    model : Model
        The net without outage.
    linear : Linear, optional
        The same, linearised in the middle of the states; None where it is singular.
    changes : list of Change
        What the outages change.
    reading : Reading
        How their voltages become results.
    bases : dict of ndarray
        By state, the voltages without outage. [pu]
    injected : dict of ndarray
        By state, the injections without outage. [pu]
    less : dict of list of (int, int, complex)
        By state: outage, row, and what is injected no more. [pu]
    """

    model: Model
    linear: Linear | None
    changes: list[Change]
    reading: Reading
    bases: dict[int, Complex]
    injected: dict[int, Complex]
    less: dict[int, list[tuple[int, int, complex]]]

    def __call__(self) -> list[Solved]:
        """Solve them; what is left ``UNSOLVED`` is for ``runpp``."""
        linear, changes = self.linear, self.changes
        shown = np.array([not change.reason for change in changes])
        usable = [change for change in changes if not change.reason]
        prepared = prepare(linear, usable) if linear is not None else None
        found = []
        for state, base in self.bases.items():
            v = np.full((base.size, len(changes)), np.nan, dtype=complex)
            how = np.full(len(changes), UNSOLVED, dtype=np.int8)
            s = np.repeat(self.injected[state][:, None], len(changes), axis=1)
            for a, row, power in self.less[state]:
                s[row, a] -= power
            if prepared is not None:
                v[:, shown], converged = chord(linear, prepared, base, s[:, shown])  # type: ignore[arg-type]
                how[np.flatnonzero(shown)[converged]] = LOW_RANK
            for a in np.flatnonzero(shown & (how == UNSOLVED)).tolist():
                exact = newton(self.model, base, s[:, a], changes[a])
                if exact is not None:
                    v[:, a], how[a] = exact, NEWTON
            for a in np.flatnonzero(how != UNSOLVED).tolist():
                if _far(v[:, a], base, changes[a]):
                    how[a] = UNSOLVED
            found.append(self.reading.read(state, v, how))
        return found


def _far(v: Complex, base: Complex, change: Change) -> bool:
    """Say whether this may be the lower root: far from the state without outage, or no number."""
    away = np.abs(np.abs(v) - np.abs(base))
    away[change.dark] = 0.0
    return not bool((away <= reference.FAR_PU).all())


def told(found: deque[Solved]) -> Iterator[Solved]:
    """Hand on what has been found so far."""
    while found:
        yield found.popleft()


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

    def solve(self, count: int, executor: Executor | None = None, remarks: list[str] | None = None) -> Iterator[Solved]:
        """Solve all outages of all states, block by block; each state without outage comes before its outages.

        Parameters
        ----------
        count : int
            Number of states.
        executor : Executor, optional
            Who works on the blocks of outages; this thread without.
        remarks : list of str, optional
            What has to be said of the executor is appended.
        """
        bases: deque[Solved] = deque()  # found when their outages are handed out, told before these are back
        tasks = self._tasks(count, bases)
        if executor is None:
            results: Iterable[list[Solved]] = (task() for task in tasks)
        else:
            results = spread(executor, tasks, [] if remarks is None else remarks)
        for block in results:
            yield from told(bases)
            for solved in block:
                for a in np.flatnonzero(solved.how == UNSOLVED).tolist():
                    if self.changes[solved.cases[a]].reason != NO_REFERENCE:
                        self._last_resort(solved, a)
                yield solved
        yield from told(bases)

    def _tasks(self, count: int, found: deque[Solved]) -> Iterator[Outages]:
        """Solve the states without outage, and say what there is to do with them."""
        for first in range(0, count, _TOGETHER):
            bases: dict[int, Complex] = {}
            for state in range(first, min(first + _TOGETHER, count)):
                base, how = self._base(state)
                none = np.array([-1])
                found.append(self.reading(none, []).read(state, base[:, None], np.array([how], dtype=np.int8)))
                if how != UNSOLVED:
                    bases[state] = base
            if not bases:
                continue
            linear = self._linear(list(bases.values()))
            injected = {state: self.injections(state) for state in bases}
            for start in range(0, len(self.cases), _BLOCK):
                which = np.arange(start, min(start + _BLOCK, len(self.cases)), dtype=np.intp)
                changes = [self.changes[k] for k in which]
                less = {
                    state: [
                        (a, row, self._power(table, position, state))
                        for a, change in enumerate(changes)
                        for table, position, row in change.lost
                    ]
                    for state in bases
                }
                yield Outages(self.model, linear, changes, self.reading(which, changes), bases, injected, less)

    def reading(self, which: NDArray[np.intp], changes: list[Change]) -> Reading:
        """Return how the voltages of some outages become results."""
        out = [self.out[k] for k in which] if changes else []
        return Reading(self.model.readout, which, changes, out, self.terminals)

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


def _drawn_q_pu(net: Any, model: Model) -> Float:
    """Return the reactive power drawn at the controlled rows, units aside, in pu."""
    return np.asarray(net._ppc["internal"]["bus"][model.pv, _QD].real / model.base_mva, dtype=float)


def _units_pu(net: Any, table: str, base_mva: float) -> tuple[Complex, Float]:
    """Return what each unit of a table injects, and how its MW or Mvar become pu."""
    frame = net[table]
    scaling = frame["scaling"].to_numpy(float) / base_mva
    reactive = frame["q_mvar"].to_numpy(float) if "q_mvar" in frame else np.zeros(len(frame))
    return (frame["p_mw"].to_numpy(float) + 1j * reactive) * scaling, scaling
