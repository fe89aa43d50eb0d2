"""The verb ``contingencies``: the AC power flow of every outage in every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import RunError, bad, nearest
from gridedge.grid.clock import clock_of
from gridedge.grid.engines import reference
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.moving import Moving, as_values
from gridedge.grid.engines.outages import Case, cases
from gridedge.grid.engines.secure import LOW_RANK, NEWTON, RUNPP, UNSOLVED, Security, by_runpp
from gridedge.grid.engines.slow import slowly
from gridedge.grid.inject import Background, add_sites, check_supply, moving_background, private_copy
from gridedge.grid.ratings import known_ratings
from gridedge.grid.results import Readout, readout
from gridedge.grid.worst import Worst

_AGREE_PU = 1e-8
_DETAIL = (
    "chord Newton on pandapower's bus-branch model, outages as low-rank corrections of one Jacobian, "
    "last step below 1e-11 pu"
)


def contingencies(
    net: Any,
    outages: str | Sequence[str | Sequence[str]] = "n-1",
    *,
    injections: xr.Dataset | None = None,
    background: Background = None,
    keep: Sequence[str] = (),
    executor: Executor | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Solve the AC power flow of every outage in every step, and keep the worst.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    outages : "n-1" or sequence
        Labels of lines, transformers, impedances, generators, static generators and external grids, such as
        ``"line:12"``, ``"trafo3w:0"``, ``"gen:3"``; a tuple of labels goes out together.  ``"n-1"`` is every line,
        transformer, impedance and generator in service, one at a time.
    injections, background
        What moves, as for :func:`gridedge.solve`; without both there is one step, the net as it is.
    keep : sequence of str
        Outages of which every voltage and loading is kept; a tuple is named by its labels joined by ``+``.
    executor : concurrent.futures.Executor, optional
        Works on blocks of outages, as for :func:`gridedge.solve`; the numbers are those of one process, to the last
        bit.
    on_progress : callable, optional
        Told how many power flows are done.

    Returns
    -------
    Dataset
        The worst of all outages, with the outage that makes it: ``loading_percent_max(time, branch)`` [%] and
        ``case_of_loading``, ``vm_pu_min(time, bus)``, ``vm_pu_max(time, bus)`` [pu] and ``case_of_vm_min``,
        ``case_of_vm_max``.  The worst of each outage: ``case_loading_percent_max(case, time)`` [%] and
        ``branch_of_loading``, over branches with a known rating; ``case_vm_pu_min(case, time)`` [pu] and
        ``bus_of_vm_min`` (-1 where there is none).  ``unsupplied_mw(case, time)``: demand of the loads and sites at
        buses that lose every reference [MW].  ``converged(case, time)``, and ``reason(case)`` where it never does.
        Without outage: ``loading_percent_base``, ``vm_pu_base``, ``converged_base(time)``.  With ``keep``:
        ``vm_pu``, ``va_degree`` (kept, time, bus) and ``loading_percent(kept, time, branch)``.

    Raises
    ------
    InputError
        If an input cannot be used; every unknown label with the nearest known.
    RunError
        If the net does not converge without outage, or an outage differs from ``runpp``.

    Notes
    -----
    An outage means what ``in_service=False`` means to ``runpp``: buses without a reference have no voltage (NaN), their
    generators and loads are lost; the reference takes up the difference.  Reactive limits of generators are not
    enforced; taps are held.  A branch that is out has a loading of 0, or NaN where one of its buses is dead.  An
    outage that ``runpp`` cannot solve from a flat start either is NaN and not ``converged``.

    Each outage changes few rows of the Jacobian, and is solved by a correction of low rank [1]_ on the factors of the
    net without it, with the mismatch of the true admittances; see :mod:`gridedge.grid.engines.lowrank`.

    References
    ----------
    .. [1] O. Alsac, B. Stott, W. F. Tinney, "Sparsity-oriented compensation methods for modified network solutions",
       IEEE Transactions on Power Apparatus and Systems PAS-102(5), 1983, pp. 1050-1060.

    Examples
    --------
    >>> worst = contingencies("case39", ["line:3", ("line:3", "gen:2")])  # doctest: +SKIP
    >>> worst["loading_percent_max"].max("time").to_series().nlargest(5)  # doctest: +SKIP
    """
    own, remarks = private_copy(net)
    chosen = cases(own, outages)
    kept = _kept(keep, chosen)
    clock = clock_of(injections, background)
    time, dt_s = clock.time_s(), clock.dt_s
    moving, idle = moving_background(own, background, clock)
    reference.base_state(own)
    demand = Demand(own, moving)
    if injections is not None:
        rows = add_sites(own, injections)
        for column in ("p_mw", "q_mvar"):
            values = as_values(injections[column].transpose("time", "site"))
            moving.append(Moving("sgen", column, rows, values, sign=-1.0))
        if not reference.run_once(own):
            raise RunError("The net does not converge any more once the site's load element is added.")
        demand.add_sites(own, injections, rows)

    why = ", ".join(covers(own))
    model = None if why else extract(own)
    if model is None and not why:
        why = "a bus-branch model that does not reproduce its own solution"
    out = readout(own) if model is None else model.readout
    if injections is not None:
        check_supply(own, out, rows)
    worst = Worst(len(chosen), time.size, out.bus_index.size, known_ratings(own, out.element), kept)
    reasons = [""] * len(chosen)
    if model is None:
        blocks = slowly(own, moving, chosen, time.size, executor, remarks)
    else:
        security = Security(own, model, chosen, moving)
        blocks = security.solve(time.size, executor, remarks)
        reasons = [change.reason for change in security.changes]
        remarks += _blackouts(security)
    done = 0
    for solved in blocks:
        worst.add(solved, demand.at(solved.state))
        if solved.cases[0] >= 0:
            done += solved.cases.size
        if on_progress is not None and solved.cases[0] >= 0:
            on_progress(done)
    if not worst.base_converged.any():
        raise RunError("The power flow converges in none of the steps even without an outage: look at the base case.")

    ds = _dataset(worst, out, own, chosen, time, kept, reasons)
    ds.attrs |= {"engine": "reference" if model is None else "low-rank", "dt_s": dt_s, "remarks": remarks + idle}
    ds.attrs["engine_detail"] = "pandapower runpp" if model is None else _DETAIL
    ds.attrs["engine_why"] = f"not covered exactly: {why}" if why else "the net is covered exactly"
    ds.attrs["error_vm_pu"] = 0.0 if model is None else _judge(security, worst, chosen)
    return schema.describe(ds)


def _blackouts(security: Security) -> list[str]:
    """Say which outages cut most of the net off its reference: that is more the model's weakness than the net's."""
    rows = security.model.v0.size
    labels = [
        case.label for case, change in zip(security.cases, security.changes, strict=True) if change.dark.size > rows / 2
    ]
    if not labels:
        return []
    shown = ", ".join(labels[:5]) + (f" and {len(labels) - 5} more" if len(labels) > 5 else "")
    return [
        f"{shown}: most of the net loses its reference and goes dark, as in runpp. Where generators could carry on, "
        "name a second reference (gen slack=True) to see it."
    ]


def _judge(security: Security, worst: Worst, chosen: list[Case]) -> float:
    """Solve a few outages by ``runpp`` too, the most severe among them; return the largest difference in pu.

    Raises
    ------
    RunError
        If they differ by more than 1e-8 pu, or in what has supply: better no number than a wrong one.
    """
    fast = np.argwhere((worst.how == LOW_RANK) | (worst.how == NEWTON))
    if not len(fast):
        return 0.0
    at = tuple(fast.T)
    lowest = int(np.nanargmin(worst.case_vm_pu[at]))
    heaviest = int(np.nan_to_num(worst.case_loading_percent[at], nan=-1.0).argmax())
    error = 0.0
    for case, state in {*worst.samples, tuple(fast[lowest].tolist()), tuple(fast[heaviest].tolist())}:
        (true,) = by_runpp(security.net, security.moving, [chosen[case]], np.array([state]))
        if true.how[0] == UNSOLVED or worst.how[case, state] not in {LOW_RANK, NEWTON}:
            continue
        mine = worst.samples.get((case, state))
        off = abs(float(np.nanmin(true.vm_pu[0])) - float(worst.case_vm_pu[case, state]))
        if mine is not None:
            here = ~np.isnan(true.vm_pu[0])
            off = np.inf if (here != ~np.isnan(mine)).any() else float(np.abs(mine - true.vm_pu[0])[here].max())
        if not off <= _AGREE_PU:
            raise RunError(f"The outage of {chosen[case].label} differs from runpp by {off:.1e} pu in step {state}.")
        error = max(error, off)
    return error


class Demand:
    """What the loads and sites of each bus draw in each state, generation at the bus aside.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    moving : list of Moving
        What changes from state to state.
    """

    def __init__(self, net: Any, moving: list[Moving]):
        self.position = {int(b): k for k, b in enumerate(net.bus.index)}
        self.still = np.zeros(len(net.bus))
        self.parts: list[tuple[NDArray[np.intp], NDArray[np.float64]]] = []
        frame = net.load
        scale = frame["scaling"].to_numpy(float) * frame["in_service"].to_numpy(bool)
        p_mw = frame["p_mw"].to_numpy(float).copy()
        for m in moving:
            if m.table == "load" and m.column == "p_mw":
                p_mw[m.rows] = 0.0
                self.parts.append((self._at(frame["bus"].to_numpy()[m.rows]), m.at(slice(0, m.states)) * scale[m.rows]))
        self._add(frame["bus"], p_mw * scale)
        for table, columns in (
            ("asymmetric_load", ("p_a_mw", "p_b_mw", "p_c_mw")),
            ("ward", ("ps_mw",)),
            ("xward", ("ps_mw",)),
        ):
            frame = net[table]
            if len(frame):
                scale = frame["scaling"].to_numpy(float) if "scaling" in frame else np.ones(len(frame))
                self._add(frame["bus"], frame[list(columns)].sum(axis=1) * scale * frame["in_service"])
        if len(net.motor):
            frame = net.motor  # as pandapower takes it: mechanical power over efficiency
            power = frame["pn_mech_mw"] / frame["efficiency_percent"] * frame["loading_percent"] * frame["scaling"]
            self._add(frame["bus"], power * frame["in_service"])

    def add_sites(self, net: Any, load: xr.Dataset, rows: NDArray[np.intp]) -> None:
        """Add what sites draw."""
        values = load["p_mw"].transpose("time", "site").values.astype(float)
        self.parts.append((self._at(net.sgen["bus"].to_numpy()[rows]), values))

    def at(self, state: int) -> NDArray[np.float64]:
        """Return the demand (bus,) of a state, in MW."""
        total = self.still.copy()
        for at, values in self.parts:
            np.add.at(total, at, values[state])
        return total

    def _at(self, buses: Any) -> NDArray[np.intp]:
        return np.array([self.position[int(b)] for b in buses], dtype=np.intp)

    def _add(self, buses: Any, values: Any) -> None:
        np.add.at(self.still, self._at(buses), np.asarray(values, dtype=float))


def _kept(keep: Sequence[str], chosen: list[Case]) -> list[int]:
    place = {case.label: k for k, case in enumerate(chosen)}
    if isinstance(keep, str):
        raise bad("keep is a list of outages", keep, f'Give keep=["{keep}"].')
    for label in keep:
        if label not in place:
            raise bad("keep names what is no outage of this run", label, nearest(label, place))
    return [place[label] for label in dict.fromkeys(keep)]


def _dataset(
    worst: Worst,
    out: Readout,
    net: Any,
    chosen: list[Case],
    time: NDArray[np.float64],
    kept: list[int],
    reasons: list[str],
) -> xr.Dataset:
    label = np.array([*(case.label for case in chosen), ""])  # -1, nobody, is the last one
    branch = np.array([*out.labels, ""])
    bus = np.append(out.bus_index, -1)
    converged = worst.how != UNSOLVED
    reason = [
        "" if good.any() else why or "runpp does not converge" for why, good in zip(reasons, converged, strict=True)
    ]
    ds = xr.Dataset(
        {
            "loading_percent_max": (("time", "branch"), worst.loading.value),
            "case_of_loading": (("time", "branch"), label[worst.loading.case]),
            "vm_pu_min": (("time", "bus"), worst.low.value),
            "case_of_vm_min": (("time", "bus"), label[worst.low.case]),
            "vm_pu_max": (("time", "bus"), worst.high.value),
            "case_of_vm_max": (("time", "bus"), label[worst.high.case]),
            "case_loading_percent_max": (("case", "time"), worst.case_loading_percent),
            "branch_of_loading": (("case", "time"), branch[worst.case_branch]),
            "case_vm_pu_min": (("case", "time"), worst.case_vm_pu),
            "bus_of_vm_min": (("case", "time"), bus[worst.case_bus]),
            "unsupplied_mw": (("case", "time"), worst.unsupplied_mw),
            "converged": (("case", "time"), converged),
            "loading_percent_base": (("time", "branch"), worst.base_loading_percent),
            "vm_pu_base": (("time", "bus"), worst.base_vm_pu),
            "converged_base": ("time", worst.base_converged),
        },
        coords={
            "case": label[:-1],
            "reason": ("case", reason),
            "time": time,
            "bus": out.bus_index,
            "bus_name": ("bus", [str(name) for name in net.bus.name]),
            "branch": branch[:-1],
            "element": ("branch", out.element),
            "index": ("branch", out.index),
            "rating_known": ("branch", worst.rated),
        },
    )
    if kept:
        ds = ds.assign_coords(kept=label[kept])
        ds["vm_pu"] = (("kept", "time", "bus"), worst.kept_vm_pu)
        ds["va_degree"] = (("kept", "time", "bus"), worst.kept_va_degree)
        ds["loading_percent"] = (("kept", "time", "branch"), worst.kept_loading_percent)
    ds.attrs = {"sources": "held at their set-point", "not_converged": int((~converged).sum())}
    names = {LOW_RANK: "solved_by_low_rank", NEWTON: "solved_by_newton", RUNPP: "solved_by_runpp"}
    ds.attrs |= {name: int((worst.how == how).sum()) for how, name in names.items()}
    return ds
