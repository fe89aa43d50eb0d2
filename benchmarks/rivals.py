"""The other libraries, each fed with the bus-branch arrays of pandapower.

Their own converters from pandapower differ from ``runpp`` in silence on many nets, so none is used here:
every library gets the same admittances, bus types and injections, and solves for voltages alone.  What it is timed
on is its own call in its own layout; turning arrays into that layout and back is not counted.
"""

from __future__ import annotations

import copy
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
import scipy.sparse as sp
from numpy.typing import NDArray
from states import States

Float = NDArray[np.float64]
Complex = NDArray[np.complex128]
_SIGN = {"load": -1.0, "storage": -1.0, "sgen": 1.0, "gen": 1.0}
_KV = 10.0  # a rated voltage for libraries that want one; everything is in per unit of it


class Unfit(Exception):
    """The library cannot solve this net exactly; the text says why."""


@dataclass(frozen=True)
class Arrays:
    """The bus-branch model of a net that has just been solved, in pandapower's internal order.

    Parameters
    ----------
    y : csr_matrix, shape (row, row)
        Bus admittances. [pu]
    ref, pv, pq : ndarray
        Rows by type.
    v0, s0 : ndarray, shape (row,)
        Voltages and injections as the net stands; generation is positive. [pu]
    first, second : ndarray, shape (branch,)
        Rows of the ends of the branches.
    there, back : ndarray, shape (branch,)
        What a branch adds to the admittances between its ends: from the first to the second, and back. [pu]
    row : ndarray
        Row of each of pandapower's buses, by its index.
    base_mva : float
        Base power. [MVA]
    """

    y: sp.csr_matrix
    ref: NDArray[np.intp]
    pv: NDArray[np.intp]
    pq: NDArray[np.intp]
    v0: Complex
    s0: Complex
    first: NDArray[np.intp]
    second: NDArray[np.intp]
    there: Complex
    back: Complex
    row: NDArray[np.intp]
    base_mva: float


def arrays(net: Any) -> Arrays:
    """Solve a copy of the net and return its bus-branch model."""
    own = copy.deepcopy(net)
    pp.runpp(own, tolerance_mva=1e-8, calculate_voltage_angles=True)
    i = own._ppc["internal"]
    ref, pv, pq = (np.asarray(i[name], dtype=np.intp) for name in ("ref", "pv", "pq"))
    y = sp.csr_matrix(i["Ybus"])
    y.sort_indices()
    row = np.asarray(own._pd2ppc_lookups["bus"], dtype=np.intp)
    first, second = (np.real(i["branch"][:, end]).astype(np.intp) for end in (0, 1))
    every = np.arange(first.size)
    there = np.asarray(sp.csr_matrix(i["Yf"])[every, second]).ravel()
    back = np.asarray(sp.csr_matrix(i["Yt"])[every, first]).ravel()
    return Arrays(
        y, ref, pv, pq, np.array(i["V"]), np.array(i["Sbus"]), first, second, there, back, row, float(i["baseMVA"])
    )


def power(a: Arrays, states: States) -> Complex:
    """Return the injections of states in pu, shape (row, state)."""
    s = np.repeat(a.s0[:, None], states.count, axis=1)
    for (table, column), values in states.columns.items():
        frame = states.net[table]
        rows = a.row[frame["bus"].to_numpy()]
        alive = frame["in_service"].to_numpy(bool) & (rows >= 0) & (rows < a.v0.size)
        scaling = frame["scaling"].to_numpy(float) if "scaling" in frame else np.ones(len(frame))
        weight = _SIGN[table] * (1.0 if column == "p_mw" else 1j) / a.base_mva * scaling
        change = weight[:, None] * (values - frame[column].to_numpy(float)).T
        spread = sp.csr_matrix((np.ones(alive.sum()), (rows[alive], np.flatnonzero(alive))), (a.v0.size, len(frame)))
        s += spread @ change
    return s


@dataclass(frozen=True)
class Links:
    """A net of branches and shunts with the same bus admittances.

    A branch is a series admittance with an ideal turn of its first end by ``shift``; its ratio is 1, and all the rest
    stands in shunts at the buses.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    series: Complex
    shift: Float
    shunt: Complex


def links(a: Arrays, place: NDArray[np.intp], y: sp.csr_matrix) -> Links:
    """Turn a bus-branch model into branches and shunts, exactly.

    Parameters
    ----------
    a : Arrays
        The model.
    place : ndarray, shape (row,)
        Where its rows stand in ``y``; several may be one.
    y : csr_matrix
        The bus admittances that have to come back. [pu]

    Raises
    ------
    Unfit
        If an element is no such branch.
    """
    i, j, there, back = place[a.first], place[a.second], a.there, a.back
    tie = (i != j) & (abs(there) > 0)
    i, j, there, back = i[tie], j[tie], there[tie], back[tie]
    uneven = ~np.isclose(abs(there), abs(back), rtol=1e-9, atol=0.0)
    if uneven.any():
        raise Unfit(f"{uneven.sum()} elements whose impedance differs with the direction")
    # there = -y e^(j shift), back = -y e^(-j shift)
    shift = np.angle(there / back) / 2
    shift[abs(shift) < 1e-9] = 0.0
    series = -there * np.exp(-1j * shift)
    other = (shift != 0) & (series.imag > 0)  # half a turn more, and the reactance is positive as it was
    shift[other] += np.pi
    series[other] *= -1
    shunt = y.diagonal()
    np.subtract.at(shunt, i, series)
    np.subtract.at(shunt, j, series)
    found = Links(i, j, series, shift, shunt)
    off = abs(_admittances(found, y.shape[0]) - y).max()
    if not off <= 1e-9 * abs(y).max():
        raise Unfit(f"its admittances come back {off:.1e} pu off")
    return found


def _admittances(x: Links, rows: int) -> sp.csr_matrix:
    turn = np.exp(1j * x.shift)
    own = np.arange(rows)
    data = np.r_[x.shunt, x.series, x.series, -x.series * turn, -x.series / turn]
    at = np.r_[own, x.first, x.second, x.first, x.second]
    to = np.r_[own, x.first, x.second, x.second, x.first]
    return sp.csr_matrix((data, (at, to)), (rows, rows))


class Rival:
    """A library that is ready to solve states of one net.

    ``pack`` and ``unpack`` are its layout, ``run`` is what is timed.
    """

    package = ""

    def __init__(self, a: Arrays, threads: int) -> None:
        self.a, self.threads = a, threads

    def pack(self, s: Complex) -> Any:
        """Turn injections (row, state) in pu into the library's layout."""
        return np.ascontiguousarray(s)

    def run(self, packed: Any) -> Any:
        """Solve."""
        raise NotImplementedError

    def unpack(self, out: Any) -> tuple[Complex, NDArray[np.bool_]]:
        """Return voltages (row, state) [pu] and which states converged."""
        raise NotImplementedError

    def solve(self, s: Complex) -> tuple[Complex, NDArray[np.bool_]]:
        """Solve injections (row, state); return voltages (row, state) and which states converged."""
        return self.unpack(self.run(self.pack(s)))


class P3s(Rival):
    """``p3s-cpp``: full Newton with KLU, states over OpenMP threads."""

    package = "p3s-cpp"

    def __init__(self, a: Arrays, threads: int) -> None:
        from p3s import nr_klu

        super().__init__(a, threads)
        index = [np.asarray(x, dtype=np.int32) for x in (a.y.indptr, a.y.indices, a.pv, a.pq)]
        self.solver = nr_klu.Solver(index[0], index[1], a.y.data, index[2], index[3])

    def run(self, packed: Complex) -> Any:
        """Solve."""
        # 1e-8 MVA as in runpp, but no finer than rounding lets a large net be
        tol = max(1e-8 / self.a.base_mva, 1e-10)
        return self.solver.solve_batch(packed, self.a.v0, max_iter=20, tol=tol, n_threads=self.threads)

    def unpack(self, out: Any) -> tuple[Complex, NDArray[np.bool_]]:
        """Return voltages and which states converged."""
        return np.asarray(out["V"]), np.asarray(out["converged"], dtype=bool)


class LightSim2Grid(Rival):
    """``lightsim2grid``: Newton with KLU, every state from the same start, states over threads.

    Net injections are loads, one per bus.  It solves several references as one distributed slack; here they become
    one bus, which is exact if they hold the same voltage.
    """

    package = "lightsim2grid"

    def __init__(self, a: Arrays, threads: int) -> None:
        from lightsim2grid.injectionSweep import InjectionSweepCPP
        from lightsim2grid.network import init_from_powermodels

        super().__init__(a, threads)
        if a.ref.size > 1 and not np.allclose(a.v0[a.ref], a.v0[a.ref[0]], rtol=0, atol=1e-12):
            raise Unfit("several references that hold different voltages")
        keep = np.setdiff1d(np.arange(a.v0.size), a.ref[1:])
        self.keep, place = keep, np.empty(a.v0.size, dtype=np.intp)
        place[keep] = np.arange(keep.size)
        place[a.ref] = place[a.ref[0]]
        self.place = place
        merge = sp.csr_matrix((np.ones(a.v0.size), (place, np.arange(a.v0.size))), (keep.size, a.v0.size))
        x, base = links(a, place, sp.csr_matrix(merge @ a.y @ merge.T)), a.base_mva
        kinds = np.ones(keep.size, dtype=int)
        kinds[place[a.pv]], kinds[place[a.ref[0]]] = 2, 3
        held = [int(k) for k in np.flatnonzero(kinds > 1)]
        z = 1 / x.series
        branches = zip(x.first, x.second, z.real, z.imag, x.shift, strict=True)
        network = {
            "baseMVA": base,
            "bus": {
                str(k + 1): {"bus_i": k + 1, "bus_type": int(kinds[k]), "base_kv": _KV, "vmin": 0.0, "vmax": 2.0}
                for k in range(keep.size)
            },
            "branch": {
                str(k + 1): {
                    "f_bus": int(f) + 1, "t_bus": int(t) + 1, "br_r": float(r), "br_x": float(w), "br_status": 1,
                    "g_fr": 0.0, "g_to": 0.0, "b_fr": 0.0, "b_to": 0.0, "tap": 1.0, "shift": float(turn),
                    "transformer": bool(turn),
                }
                for k, (f, t, r, w, turn) in enumerate(branches)
            },
            "shunt": {
                str(k + 1): {"shunt_bus": k + 1, "gs": float(v.real), "bs": float(v.imag), "status": 1}
                for k, v in enumerate(x.shunt)
            },
            "load": {str(k + 1): {"load_bus": k + 1, "pd": 0.0, "qd": 0.0, "status": 1} for k in range(keep.size)},
            "gen": {
                str(n + 1): {
                    "gen_bus": k + 1, "pg": 0.0, "qg": 0.0, "vg": float(abs(a.v0[keep[k]])), "gen_status": 1,
                    "qmin": -1e6, "qmax": 1e6,
                }
                for n, k in enumerate(held)
            },
        }  # fmt: skip
        self.sweep = InjectionSweepCPP(init_from_powermodels(network))
        self.sweep.nb_thread = threads

    def pack(self, s: Complex) -> tuple[Float, Float]:
        """Turn injections into loads (state, bus) in MW and Mvar."""
        load = -s[self.keep].T * self.a.base_mva
        return np.ascontiguousarray(load.real), np.ascontiguousarray(load.imag)

    def run(self, packed: tuple[Float, Float]) -> Complex:
        """Solve."""
        self.sweep.modify_load_p(packed[0])
        self.sweep.modify_load_q(packed[1])
        self.sweep.compute(self.a.v0[self.keep], 20, 1e-8)
        return np.asarray(self.sweep.get_voltages())

    def unpack(self, out: Complex) -> tuple[Complex, NDArray[np.bool_]]:
        """Return voltages and which states converged."""
        return out.T[self.place], np.asarray(self.sweep.converged_mask(), dtype=bool)


class PowerGridModel(Rival):
    """``power-grid-model``: columns in and out, sources as stiff as it lets them be; buses with P and Q alone."""

    package = "power-grid-model"
    method = "iterative_current"

    def __init__(self, a: Arrays, threads: int) -> None:
        from power_grid_model import PowerGridModel as Model
        from power_grid_model import initialize_array

        super().__init__(a, threads)
        if a.pv.size:
            raise Unfit("buses that hold their voltage")
        x, n = links(a, np.arange(a.v0.size), a.y), a.v0.size
        siemens = a.base_mva / _KV**2
        node = initialize_array("input", "node", n)
        node["id"], node["u_rated"] = np.arange(n), _KV * 1e3
        branch = initialize_array("input", "generic_branch", x.first.size)
        z = 1 / (x.series * siemens)
        branch["id"] = n + np.arange(x.first.size)
        branch["from_node"], branch["to_node"] = x.first, x.second
        branch["from_status"], branch["to_status"] = 1, 1
        branch["r1"], branch["x1"], branch["g1"], branch["b1"] = z.real, z.imag, 0.0, 0.0
        branch["k"], branch["theta"], branch["sn"] = 1.0, x.shift, a.base_mva * 1e6
        shunt = initialize_array("input", "shunt", n)
        shunt["id"], shunt["node"], shunt["status"] = n + x.first.size + np.arange(n), np.arange(n), 1
        shunt["g1"], shunt["b1"] = x.shunt.real * siemens, x.shunt.imag * siemens
        shunt["g0"], shunt["b0"] = shunt["g1"], shunt["b1"]
        load = initialize_array("input", "sym_load", n)
        load["id"], load["node"], load["status"] = 2 * n + x.first.size + np.arange(n), np.arange(n), 1
        load["type"], load["p_specified"], load["q_specified"] = 0, 0.0, 0.0
        source = initialize_array("input", "source", a.ref.size)
        source["id"] = 3 * n + x.first.size + np.arange(a.ref.size)
        source["node"], source["status"] = a.ref, 1
        source["u_ref"], source["u_ref_angle"] = abs(a.v0[a.ref]), np.angle(a.v0[a.ref])
        source["sk"] = 1e20
        parts = {"node": node, "generic_branch": branch, "shunt": shunt, "sym_load": load, "source": source}
        self.model = Model(parts)

    def pack(self, s: Complex) -> dict[str, dict[str, Float]]:
        """Turn injections into loads (state, bus) in W and var."""
        load = -s.T * self.a.base_mva * 1e6
        columns = {
            "p_specified": np.ascontiguousarray(load.real),
            "q_specified": np.ascontiguousarray(load.imag),
        }
        return {"sym_load": columns}

    def run(self, packed: Any) -> Any:
        """Solve."""
        return self.model.calculate_power_flow(
            update_data=packed, calculation_method=self.method, error_tolerance=1e-9, max_iterations=50,
            threading=self.threads, output_component_types={"node": ["u_pu", "u_angle"]}, continue_on_batch_error=True,
        )  # fmt: skip

    def unpack(self, out: Any) -> tuple[Complex, NDArray[np.bool_]]:
        """Return voltages and which states converged."""
        node = out["node"]
        converged = np.ones(len(node["u_pu"]), dtype=bool)
        if self.model.batch_error is not None:
            converged[self.model.batch_error.failed_scenarios] = False
        return (node["u_pu"] * np.exp(1j * node["u_angle"])).T, converged


class PowerGridModelNewton(PowerGridModel):
    """``power-grid-model`` with Newton's method."""

    method = "newton_raphson"


RIVALS: dict[str, tuple[type[Rival], str]] = {
    # name: class, what must be importable
    "p3s-cpp": (P3s, "p3s"),
    "lightsim2grid": (LightSim2Grid, "lightsim2grid"),
    "power-grid-model, current": (PowerGridModel, "power_grid_model"),
    "power-grid-model, Newton": (PowerGridModelNewton, "power_grid_model"),
}


def prepare(name: str, a: Arrays, threads: int) -> Rival:
    """Return a library, ready to solve states of one net.

    Raises
    ------
    Unfit
        If it is not installed, or cannot solve this net exactly.
    """
    kind, module = RIVALS[name]
    if importlib.util.find_spec(module) is None:
        raise Unfit("not installed")
    return kind(a, threads)


def versions() -> str:
    """Return the versions of the libraries that are installed."""
    found = []
    for package in dict.fromkeys(kind.package for kind, _ in RIVALS.values()):
        try:
            found.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    return ", ".join(found)
