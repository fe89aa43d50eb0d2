"""Who supplies a net: its units, what each can deliver, and at which buses they hold the voltage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse.csgraph import connected_components

from gridedge.errors import InputError, Problem, bad
from gridedge.grid.engines.model import Complex, Float, Model

_PD, _QD = 2, 3  # columns of pandapower's internal bus table: demand in MW and Mvar
_FIT_MW = 1e-6  # what the units' power may differ from the injections, per MW of the largest unit


@dataclass(frozen=True)
class Units:
    """The units in service at buses with supply, read from a net once.

    Units are the gens, the ext_grids, and the two ends of every DC line, which pandapower models as gens.  They come
    in the order of the tables ``ext_grid``, ``gen``, ``dcline`` (first all ``from`` ends, then all ``to`` ends).

    Parameters
    ----------
    table : tuple of str, one per unit
        ``ext_grid``, ``gen`` or ``dcline``.
    index : ndarray, shape (unit,)
        Index in that table.
    row : ndarray, shape (unit,)
        Row of its bus in the model.
    reference : ndarray of bool, shape (unit,)
        Whether it takes what the others leave: an ext_grid, or a gen with ``slack``.
    weight : ndarray, shape (unit,)
        Share in the power of its reference bus that no other unit there delivers; 0 for other units. [pu]
    p_mw : ndarray, shape (unit,)
        Active power in the base state, generation positive; of a reference unit, what the solution gave it. [MW]
    min_p_mw, max_p_mw : ndarray, shape (unit,)
        Limits of a unit that shares in a change of load; NaN where it does not, or has none. [MW]
    bus_row : ndarray, shape (unit bus,)
        Rows with a unit, ascending.
    min_q_mvar, max_q_mvar : ndarray, shape (unit bus,)
        Sums of the limits of the units there, infinite where one has none. [Mvar]
    island : ndarray, shape (row,)
        Which rows are connected.
    other : ndarray, shape (row,)
        Injections of the base state that come from no unit. [pu]
    """

    table: tuple[str, ...]
    index: NDArray[np.intp]
    row: NDArray[np.intp]
    reference: NDArray[np.bool_]
    weight: Float
    p_mw: Float
    min_p_mw: Float
    max_p_mw: Float
    bus_row: NDArray[np.intp]
    min_q_mvar: Float
    max_q_mvar: Float
    island: NDArray[np.intp]
    other: Complex


def read_units(net: Any, model: Model, *, headroom: bool = True) -> Units:
    """Read the units of a net that ``runpp`` has just solved.

    Parameters
    ----------
    net : pandapowerNet
        Solved, with the tables that made ``model``.
    model : Model
        Its extraction.
    headroom : bool
        Whether units will share in changes of load; without it, no limit of active power is looked at.

    Returns
    -------
    Units

    Raises
    ------
    InputError
        If limits contradict each other or depend on a capability curve; with ``headroom``, if they stand at a gen
        whose ``scaling`` is not 1: pandapower limits the power before scaling in ``runpp(enforce_p_lims=True)`` and
        after scaling in ``runopp``.

    Notes
    -----
    As in pandapower, a missing limit (no column, or NaN) is none; so a unit without ``max_p_mw`` takes no
    share of added load, as nobody knows its headroom.  A gen with ``controllable`` False keeps its ``p_mw``, as in
    ``runopp``; its reactive limits hold all the same, as in ``runpp(enforce_q_lims=True)``.  An ext_grid shares
    wherever it has limits: its ``controllable`` is about voltage.  A DC line keeps its power.

    Reference units at one bus split its power by ``slack_weight``.  pandapower does so only with what its DC start
    left over, which it splits equally: with unequal weights, its split depends on how it was started.
    """
    tables = [f for f in (_ext_grids(net), _gens(net), _dclines(net)) if len(f)]
    frame = pd.concat(tables, ignore_index=True)
    row_of = pd.Series(model.readout.bus_row, index=model.readout.bus_index)
    frame["row"] = row_of.reindex(frame["bus"]).fillna(-1).to_numpy(dtype=np.intp)
    frame = frame[frame["in_service"] & (frame["row"] >= 0)].reset_index(drop=True)
    frame["shares"] &= headroom
    _check(frame)

    row = frame["row"].to_numpy(np.intp)
    reference = frame["reference"].to_numpy(bool)
    start_mw, weight = frame["p_mw"].to_numpy(float), frame["weight"].to_numpy(float)
    bus = net._ppc["internal"]["bus"]
    other = -(bus[:, _PD].real + 1j * bus[:, _QD].real) / model.base_mva
    weight = _weights(row, reference, weight)
    total_mw = (model.v0 * np.conj(model.y @ model.v0) - other).real * model.base_mva
    # The rest of a reference bus comes on top of what stands in the table.
    rest_mw = total_mw - np.bincount(row, start_mw, minlength=total_mw.size)
    p_mw = start_mw + weight * rest_mw[row]
    rest_mw[row[reference]] = 0.0
    if not np.abs(rest_mw[np.r_[model.pv, model.ref]]).max(initial=0.0) < _FIT_MW * max(1.0, np.abs(p_mw).max()):
        cure = "Solve the net by runpp as it stands, then read its units."
        raise bad("the units of this net do not make its injections", f"{np.abs(rest_mw).max():.3g} MW differ", cure)

    shares = frame["shares"].to_numpy(bool)
    low, high = (np.where(shares, frame[f"{side}_p_mw"].to_numpy(float), np.nan) for side in ("min", "max"))

    bus_row, where = np.unique(row, return_inverse=True)
    q_low, q_high = np.zeros((2, bus_row.size))
    np.add.at(q_low, where, frame["min_q_mvar"].fillna(-np.inf).to_numpy(float))
    np.add.at(q_high, where, frame["max_q_mvar"].fillna(np.inf).to_numpy(float))
    island = np.asarray(connected_components(abs(model.y), directed=False)[1], dtype=np.intp)
    return Units(
        tuple(frame["table"]), frame["index"].to_numpy(np.intp), row, reference, weight, p_mw, low, high,
        bus_row, q_low, q_high, island, other,
    )  # fmt: skip


def _weights(row: NDArray[np.intp], reference: NDArray[np.bool_], weight: Float) -> Float:
    """Return each reference unit's share of its bus: by ``slack_weight``, equal where these are all 0."""
    weight = np.where(reference, weight, 0.0)
    empty = np.bincount(row, weight)[row] == 0
    weight = np.where(reference & empty, 1.0, weight)
    total = np.bincount(row, weight)[row]
    return np.asarray(weight / np.where(total > 0, total, 1.0))


def _limits(frame: Any) -> dict[str, Float]:
    names = ("min_p_mw", "max_p_mw", "min_q_mvar", "max_q_mvar")
    empty = np.full(len(frame), np.nan)
    return {n: frame[n].to_numpy(float) if n in frame else empty for n in names}


def _ext_grids(net: Any) -> pd.DataFrame:
    frame = net.ext_grid
    fixed = {"table": "ext_grid", "reference": True, "shares": True, "p_mw": 0.0, "scaling": 1.0, "curve": False}
    read = {"index": frame.index, "bus": frame.bus.to_numpy(), "in_service": frame.in_service.to_numpy(bool)}
    weight = frame.slack_weight.fillna(0.0).to_numpy(float)
    return pd.DataFrame({**read, **fixed, "weight": weight, **_limits(frame)})


def _gens(net: Any) -> pd.DataFrame:
    frame = net.gen
    none = np.zeros(len(frame))
    curve = none
    if "q_capability_characteristic" in net and "reactive_capability_curve" in frame:
        curve = frame["reactive_capability_curve"].fillna(False).to_numpy(bool)
    free = frame["controllable"].fillna(True).to_numpy(bool) if "controllable" in frame else ~none.astype(bool)
    read = {"index": frame.index, "bus": frame.bus.to_numpy(), "in_service": frame.in_service.to_numpy(bool)}
    scaling = frame.scaling.to_numpy(float)
    return pd.DataFrame(
        {
            "table": "gen",
            **read,
            "reference": frame.slack.fillna(False).to_numpy(bool),
            "shares": free,
            "p_mw": frame.p_mw.to_numpy(float) * scaling,
            "scaling": scaling,
            "curve": curve.astype(bool),
            "weight": frame.slack_weight.fillna(0.0).to_numpy(float),
            **_limits(frame),
        }
    )


def _dclines(net: Any) -> pd.DataFrame:
    """Return the ends of DC lines with the power that ``runpp`` gives them."""
    frame = net.dcline
    ends = []
    sent = frame.p_mw.abs().to_numpy(float)
    received = sent * (1 - frame.loss_percent.to_numpy(float) / 100) - frame.loss_mw.to_numpy(float)
    forward = frame.p_mw.to_numpy(float) > 0
    for end, p_mw in (("from", np.where(forward, -sent, received)), ("to", np.where(forward, received, -sent))):
        ends.append(
            pd.DataFrame(
                {
                    "table": "dcline",
                    "index": frame.index,
                    "bus": frame[f"{end}_bus"].to_numpy(),
                    "in_service": frame.in_service.to_numpy(bool),
                    "reference": False,
                    "shares": False,
                    "p_mw": p_mw,
                    "scaling": 1.0,
                    "curve": False,
                    "weight": 0.0,
                    "min_p_mw": np.nan,
                    "max_p_mw": np.nan,
                    "min_q_mvar": frame[f"min_q_{end}_mvar"].to_numpy(float),
                    "max_q_mvar": frame[f"max_q_{end}_mvar"].to_numpy(float),
                }
            )
        )
    return pd.concat(ends, ignore_index=True)


def _check(frame: pd.DataFrame) -> None:
    """Raise InputError for limits that cannot be meant, all of them together."""
    problems = []
    for what, unit in (("p", "mw"), ("q", "mvar")):
        low, high = f"min_{what}_{unit}", f"max_{what}_{unit}"
        wrong = (frame[low] > frame[high]) & (frame["shares"] | (what == "q"))
        for _, u in frame[wrong].iterrows():
            thing = f"{u['table']} {u['index']} has {low} above {high}"
            problems.append(Problem(thing, f"{u[low]:g} > {u[high]:g}", "Swap them."))
    for _, u in frame[frame["curve"]].iterrows():
        cure = "Set reactive_capability_curve to False; min_q_mvar and max_q_mvar then hold."
        problems.append(Problem(f"gen {u['index']} has limits that depend on its power", "a capability curve", cure))
    moved = frame["shares"] & (frame["scaling"] != 1) & (frame["min_p_mw"].notna() | frame["max_p_mw"].notna())
    for _, u in frame[moved].iterrows():
        cure = "Multiply p_mw by it and set scaling to 1, or set controllable to False."
        problems.append(Problem(f"gen {u['index']} has a scaling beside its limits", f"{u['scaling']:g}", cure))
    if problems:
        raise InputError(problems)
