"""What an outage changes in the arrays of a net: admittances, injections, bus types, supply.

Everything is read from pandapower's internal branches and units, so that an outage means here what
``in_service=False`` means to ``runpp``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.grid.engines.islands import bridges, unreached

Rows = NDArray[np.intp]
BRANCHES = ("line", "trafo", "trafo3w", "impedance")
UNITS = ("gen", "sgen", "ext_grid")
_N_1 = (*BRANCHES, "gen")
_F_BUS, _T_BUS = 0, 1
_GEN_BUS, _VG = 0, 5
NO_REFERENCE = "no reference is left"


@dataclass(frozen=True)
class Case:
    """One outage, of one or several elements, by their names.

    Parameters
    ----------
    label : str
        ``line:12``, or ``line:12+gen:3``.
    elements : tuple of (str, int)
        Table and index of each.
    """

    label: str
    elements: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Change:
    """What an outage changes.

    Parameters
    ----------
    rows : ndarray
        Rows between which admittances change.
    dy : ndarray, shape (row, row)
        By how much. [pu]
    freed : ndarray
        Rows whose voltage nobody controls any more.
    lost : tuple of (str, int, int)
        Table, position and row of units whose injection is lost.
    dark : ndarray
        Rows without a reference.
    reason : str
        Why the arrays cannot show it, ``""`` where they can; then it is for ``runpp``, unless no reference is left.
    """

    rows: Rows
    dy: NDArray[np.complex128]
    freed: Rows
    lost: tuple[tuple[str, int, int], ...]
    dark: Rows
    reason: str


def cases(net: Any, outages: str | Sequence[str | Sequence[str]]) -> list[Case]:
    """Read a list of outages.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    outages : "n-1" or sequence
        Labels such as ``line:12``, and tuples of labels that go out together.

    Raises
    ------
    InputError
        With every label that the net does not know, that is named twice, or that is out of service already.
    """
    if isinstance(outages, str):
        if outages != "n-1":
            raise bad("outages is a list of labels", outages, f'Give outages=["{outages}"], or outages="n-1".')
        return [Case(f"{t}:{i}", ((t, int(i)),)) for t in _N_1 for i in net[t].index[net[t].in_service.astype(bool)]]
    known = {f"{t}:{i}": (t, int(i)) for t in (*BRANCHES, *UNITS) for i in net[t].index}
    found, problems = [], []
    for entry in outages:
        labels = [entry] if isinstance(entry, str) else list(entry)
        problem = _problem(net, labels, known)
        if problem is not None:
            problems.append(problem)
            continue
        found.append(Case("+".join(labels), tuple(known[label] for label in labels)))
    names = [case.label for case in found]
    twice = sorted({name for name in names if names.count(name) > 1}) if len(set(names)) < len(names) else []
    problems += [Problem("an outage is listed twice", name, "Drop one of them.") for name in twice]
    if problems:
        raise InputError(problems)
    if not found:
        raise bad("there is no outage to look at", "", 'Give labels such as "line:12", or "n-1".')
    return found


def _problem(net: Any, labels: list[Any], known: dict[str, tuple[str, int]]) -> Problem | None:
    for label in labels:
        if label not in known:
            cure = nearest(str(label), known)
            if str(label).partition(":")[0] == "dcline":
                cure = "The outage of a DC line is not in this version; set its p_mw to zero in the net."
            return Problem("unknown outage", repr(label), cure)
        table, index = known[label]
        if not bool(net[table].at[index, "in_service"]):
            return Problem("this element is out of service already", label, "Drop it, or put it into service.")
    if not labels or len(set(labels)) < len(labels):
        return Problem("an outage names no element, or one twice", repr(tuple(labels)), "Name each element once.")
    return None


class Wiring:
    """The branches and units of a net that ``runpp`` has just solved, and what each outage does to them.

    Parameters
    ----------
    net : pandapowerNet
        The net; nothing of it is kept.
    """

    def __init__(self, net: Any):
        internal, lookups = net._ppc["internal"], net._pd2ppc_lookups
        self.rows = int(internal["Ybus"].shape[0])
        self.ends = internal["branch"][:, [_F_BUS, _T_BUS]].real.astype(np.intp)
        self.yf, self.yt = sp.csr_matrix(internal["Yf"]), sp.csr_matrix(internal["Yt"])
        self.references: Rows = np.asarray(internal["ref"], dtype=np.intp)
        self.controlled: Rows = np.asarray(internal["pv"], dtype=np.intp)
        alive = np.asarray(internal["branch_is"], dtype=bool)
        place = np.where(alive, np.cumsum(alive) - 1, -1)
        self.branch_rows: dict[tuple[str, int], list[int]] = {}
        for table, (first, stop) in lookups["branch"].items():
            if table in BRANCHES:
                for position, index in enumerate(net[table].index):
                    here = place[first + position : stop : len(net[table])]  # a three-winding transformer has three
                    self.branch_rows[table, int(index)] = [int(r) for r in here if r >= 0]
        self.terminals: dict[tuple[str, int], list[int]] = {}
        every = net._ppc["branch"][:, [_F_BUS, _T_BUS]].real.astype(np.intp)
        for table, index in self.branch_rows:
            first, count = lookups["branch"][table][0] + net[table].index.get_loc(index), len(net[table])
            if table == "trafo3w":  # the other ends are its star point
                ends = [every[first, 0], every[first + count, 1], every[first + 2 * count, 1]]
            else:
                ends = every[first].tolist()
            self.terminals[table, index] = [int(row) for row in ends]
        self.unit_row: dict[tuple[str, int], tuple[int, int]] = {}
        for table in UNITS:
            row = np.asarray(lookups["bus"], dtype=np.intp)[net[table]["bus"].to_numpy(dtype=np.intp)]
            row = np.where((row < self.rows) & net[table]["in_service"].to_numpy(bool), row, -1)
            for position, index in enumerate(net[table].index):
                self.unit_row[table, int(index)] = (position, int(row[position]))
        self.set_points: dict[int, list[float]] = {}
        for row, vm_pu in internal["gen"][:, [_GEN_BUS, _VG]]:
            self.set_points.setdefault(int(row), []).append(float(vm_pu))
        slack = [self.unit_row["ext_grid", int(i)][1] for i in net.ext_grid.index]
        slack += [self.unit_row["gen", int(i)][1] for i in net.gen.index[net.gen.slack.to_numpy(bool)]]
        self.slack = [row for row in slack if row >= 0]
        self.slack_units = {("ext_grid", int(i)) for i in net.ext_grid.index}
        self.slack_units |= {("gen", int(i)) for i in net.gen.index[net.gen.slack.to_numpy(bool)]}
        self._bridge = bridges(self.rows, self.ends, self.references)

    def change(self, case: Case) -> Change:
        """Return what an outage changes."""
        out = sorted({r for element in case.elements for r in self.branch_rows.get(element, ())})
        reason, lost = "", []
        slack, fewer = list(self.slack), dict.fromkeys(self.set_points, 0)
        for element in case.elements:
            position, row = self.unit_row.get(element, (-1, -1))
            if row < 0:
                continue
            if element[0] != "ext_grid":
                lost.append((element[0], position, row))
            if element[0] != "sgen":
                fewer[row] += 1
            if element in self.slack_units:
                slack.remove(row)
        freed = []
        for row in (row for row, count in fewer.items() if count):
            if row in self.references:
                reason = "a unit at a reference bus is out"
            elif fewer[row] == len(self.set_points[row]):
                freed.append(row)
            elif np.ptp(self.set_points[row]) > 0:
                reason = "units at one bus differ in their set-points"
        references = self.references[np.isin(self.references, slack)]
        dark = self._unreached(out, references)
        if dark.size == self.rows:
            reason = NO_REFERENCE
        rows, dy = self._admittances(out)
        return Change(rows, dy, np.array(freed, dtype=np.intp), tuple(lost), dark, reason)

    def _unreached(self, out: list[int], references: Rows) -> Rows:
        whole = references.size == self.references.size
        if whole and (not out or (len(out) == 1 and not self._bridge[out[0]])):
            return np.empty(0, dtype=np.intp)
        ends = np.delete(self.ends, out, axis=0)
        return np.flatnonzero(unreached(self.rows, ends, references))

    def _admittances(self, out: Iterable[int]) -> tuple[Rows, NDArray[np.complex128]]:
        entries = []
        for branch in out:
            for end, matrix in ((0, self.yf), (1, self.yt)):
                span = slice(matrix.indptr[branch], matrix.indptr[branch + 1])
                row = self.ends[branch, end]
                entries += [(row, j, y) for j, y in zip(matrix.indices[span], matrix.data[span], strict=True)]
        rows = np.unique(np.array([(i, j) for i, j, _ in entries], dtype=np.intp))
        dy = np.zeros((rows.size, rows.size), dtype=complex)
        for i, j, y in entries:
            dy[np.searchsorted(rows, i), np.searchsorted(rows, j)] -= y
        return rows, dy
