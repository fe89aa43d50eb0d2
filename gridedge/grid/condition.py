"""What is true of a net before anything is connected to it, in sentences."""

from __future__ import annotations

import copy
import importlib.util
from typing import Any

import numpy as np

from gridedge.errors import RunError
from gridedge.grid.buses import bus_coordinates, bus_names
from gridedge.grid.ratings import branch_loading_percent, has_real_ratings, known_rating

VM_BAND_PU = (0.95, 1.05)
"""Voltage band outside which a base case is remarked on (ANSI C84.1 range A). [pu]"""
_Q_TOLERANCE_MVAR = 1e-3
_SHOWN = 5

__all__ = ["VM_BAND_PU", "condition", "has_real_ratings", "solve_base_case"]


def solve_base_case(net: Any) -> Any:
    """Solve the power flow of a private copy of a net.

    Returns
    -------
    pandapowerNet
        The copy, with its results.

    Raises
    ------
    RunError
        If it does not converge.
    """
    import pandapower as pp

    solved = copy.deepcopy(net)
    try:
        pp.runpp(solved, tolerance_mva=1e-10, numba=importlib.util.find_spec("numba") is not None)
    except pp.LoadflowNotConverged as error:
        raise RunError(
            "the base case has no power flow solution: runpp did not converge. "
            "Check the loads and the set-points of the net before anything is connected to it"
        ) from error
    return solved


def condition(net: Any) -> list[str]:
    """Say what a reader of any result of this net must know about its base case.

    Parameters
    ----------
    net : pandapowerNet
        The net as it is, with nothing connected; it is not changed.

    Returns
    -------
    list of str
        Sentences, each with its numbers: ratings that are placeholders, voltages outside
        0.95 to 1.05 pu, overloads, units beyond their reactive limits, buses without supply,
        missing coordinates and short-circuit power.  Empty if there is nothing to say.
    """
    sentences = _rating_sentences(net)
    try:
        solved = solve_base_case(net)
    except RunError:
        sentences.append("The base case itself has no power flow solution: runpp does not converge.")
    else:
        sentences += _voltage_sentences(solved) + _overload_sentences(solved) + _reactive_sentences(solved)
    if bus_coordinates(net) is None:
        sentences.append("The net has no coordinates: it cannot be drawn as a map.")
    return sentences + _short_circuit_sentences(net)


def _rating_sentences(net: Any) -> list[str]:
    if not has_real_ratings(net):
        rating_ka = net.line.loc[net.line["in_service"].astype(bool), "max_i_ka"].dropna()
        what = f"their median is {rating_ka.median():.4g} kA" if len(rating_ka) else "none is given"
        return [f"The line ratings are placeholders ({what}): thermal results of this net are not known, never 0 %."]
    sentences = []
    for element, word in (("line", "lines"), ("trafo", "transformers"), ("impedance", "impedances")):
        unknown = ~known_rating(net, element) & net[element]["in_service"].to_numpy(dtype=bool)
        if unknown.any():
            labels = _some([f"{element}:{index}" for index in net[element].index[unknown]])
            sentences.append(
                f"{int(unknown.sum())} of {len(unknown)} {word} have no rating ({labels}): their loading is not known."
            )
    return sentences


def _voltage_sentences(solved: Any) -> list[str]:
    vm_pu = solved.res_bus["vm_pu"]
    names = bus_names(solved)
    low, high = VM_BAND_PU
    sentences = []
    unsupplied = vm_pu.isna() & solved.bus["in_service"].astype(bool)
    if unsupplied.any():
        which = _some([str(index) for index in vm_pu.index[unsupplied]])
        sentences.append(f"{int(unsupplied.sum())} buses in service are not supplied in the base case (bus {which}).")
    # A set-point of exactly 1.05 comes back as 1.0500000000000003.
    for out, worst, side, value in (
        (vm_pu < low - 1e-9, "idxmin", "below", low),
        (vm_pu > high + 1e-9, "idxmax", "above", high),
    ):
        if out.any():
            bus = getattr(vm_pu, worst)()
            extreme = "lowest" if side == "below" else "highest"
            sentences.append(
                f"Base-case voltage is {side} {value} pu at {int(out.sum())} of {len(vm_pu)} buses: "
                f"{extreme} {vm_pu[bus]:.4f} pu at bus {bus} ({names[bus]})."
            )
    return sentences


def _overload_sentences(solved: Any) -> list[str]:
    loading = branch_loading_percent(solved)
    over = loading[loading > 100.0].sort_values(ascending=False)
    if not len(over):
        return []
    shown = _some([f"{label} {value:.1f} %" for label, value in over.items()])
    return [f"{len(over)} of {len(loading)} branches are overloaded in the base case: {shown}."]


def _reactive_sentences(solved: Any) -> list[str]:
    excess: dict[str, float] = {}
    units = 0
    for element in ("gen", "ext_grid"):
        table = solved[element]
        if not {"min_q_mvar", "max_q_mvar"} <= set(table.columns):
            continue
        on = table[table["in_service"].astype(bool)]
        q_mvar = solved[f"res_{element}"]["q_mvar"].reindex(on.index)
        past = np.fmax(q_mvar - on["max_q_mvar"].astype(float), on["min_q_mvar"].astype(float) - q_mvar)
        units += int(past.notna().sum())
        excess |= {f"{element}:{i}": float(x) for i, x in past.items() if x > _Q_TOLERANCE_MVAR}
    if not excess:
        return []
    worst = max(excess, key=lambda label: excess[label])
    return [
        f"{len(excess)} of {units} units are beyond their reactive limits in the base case, "
        f"at most by {excess[worst]:.3g} Mvar ({worst}): runpp does not hold these limits."
    ]


def _short_circuit_sentences(net: Any) -> list[str]:
    sentences = []
    grids = net.ext_grid[net.ext_grid["in_service"].astype(bool)]
    missing = _missing(grids, "s_sc_max_mva")
    if missing:
        sentences.append(
            f"No short-circuit power is given for {missing} of {len(grids)} external grids: where sources "
            "swing it is assumed and stated; where they are held, voltage changes are a lower bound."
        )
    gens = net.gen[net.gen["in_service"].astype(bool)]
    missing = _missing(gens, "xdss_pu")
    if missing:
        sentences.append(
            f"No reactance (xdss_pu) is given for {missing} of {len(gens)} generators: their reaction to a step of "
            "load needs an assumption."
        )
    return sentences


def _missing(table: Any, column: str) -> int:
    if column not in table.columns:
        return len(table)
    return int((~(table[column].astype(float) > 0)).sum())


def _some(items: list[str]) -> str:
    return ", ".join(items[:_SHOWN]) + (f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else "")
