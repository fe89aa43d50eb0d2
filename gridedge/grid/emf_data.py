"""How stiff a net's sources are: what the net knows, what the user says, and what is assumed in its place."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridedge.errors import bad
from gridedge.grid.ratings import PLACEHOLDER_MVA

Given = float | Mapping[int, float] | None

ASSUMED_S_SC_MVA = (
    (1.0, 10.0, "a 630 kVA transformer of 6 %"),
    (60.0, 100.0, "the 20 kV source of the CIGRE low-voltage benchmark"),
    (150.0, 5000.0, "the 110 kV source of the CIGRE medium-voltage benchmark"),
    (np.inf, 10000.0, "the 380 kV source of pandapower's example_multivoltage"),
)
"""Short-circuit power of an external grid that says nothing of itself: up to this voltage [kV], the power [MVA], and
where the number is from."""
ASSUMED_RX = 0.1
"""R/X of an external grid that does not say: IEC 60909-0, 6.2, X = 0.995 Z for networks above 35 kV (typical)."""
ASSUMED_XD_TRANSIENT_PU = 0.3
"""Transient reactance of a machine that does not say, on its own rating.  Typical of turbine generators 0.15 to 0.4,
of hydro units 0.2 to 0.5 (Kundur, Power System Stability and Control, table 4.2). [pu]"""
_XDSS_TO_XDS = 1.5  # the middle of Kundur's ranges: x'd 0.15-0.4 over x''d 0.12-0.25 of turbine generators
_POWER_FACTOR = 0.9
_IDLE_MVA = 1e-3
_STIFFEST_MVA = 1e7  # a hundred times any grid; beyond, rounding alone leaves more than 1e-8 MVA
_C_MAX = 1.1  # voltage factor of IEC 60909-0, table 1, that is in the largest short-circuit power; in the smallest 1.0


@dataclass(frozen=True)
class Stiffness:
    """The impedance of one source, and where it is from.

    Parameters
    ----------
    s_base_mva : float
        Power that ``r_pu`` and ``x_pu`` refer to: short-circuit power, or a machine's rating. [MVA]
    r_pu, x_pu : float
        Impedance at the nominal voltage of the source's bus. [pu]
    words : str
        What it stands on, the same for sources that share it.
    assumed : bool
        Whether its size is an assumption.
    """

    s_base_mva: float
    r_pu: float
    x_pu: float
    words: str
    assumed: bool = False


def of_ext_grid(net: Any, index: int, s_sc_mva: Given, rx: Given, sharing: int, carried_mva: float) -> Stiffness:
    """Return the impedance of an external grid.

    Parameters
    ----------
    net : pandapowerNet
        The net; it is not changed.
    index : int
        Of the external grid.
    s_sc_mva, rx : float or mapping, optional
        Given by the user, see :func:`gridedge.grid.emf.behind_impedance`.
    sharing : int
        External grids at its bus; a power that belongs to the bus is shared among them.
    carried_mva : float
        What each of them delivers on average. [MVA]

    Raises
    ------
    InputError
        If a number cannot be used, or the source delivers more than its short-circuit power.

    Notes
    -----
    Z = c Un² / S, X = Z / sqrt(1 + (R/X)²), as in pandapower's ``_add_ext_grid_sc_impedance`` (IEC 60909-0, 6.2).
    The smallest short-circuit power comes first, since it gives the larger swing.
    """
    row = net.ext_grid.loc[index]
    thing, factor = f"ext_grid {index}", 1.0
    vn_kv = float(net.bus.at[row["bus"], "vn_kv"])
    s_mva = _given(s_sc_mva, index)
    shared = sharing if s_mva is not None and not isinstance(s_sc_mva, Mapping) else 1
    if s_mva is not None:
        words = "given by the user"
    elif (s_mva := _cell(row, "s_sc_min_mva")) is not None:
        words = "the net's s_sc_min_mva"
    elif (s_mva := _cell(row, "s_sc_max_mva")) is not None:
        words, factor = f"the net's s_sc_max_mva with voltage factor {_C_MAX:g}", _C_MAX
    else:
        s_mva, source = next((s, why) for up_to, s, why in ASSUMED_S_SC_MVA if vn_kv <= up_to)
        words, shared = f"assumed for {vn_kv:g} kV, as {source}; set s_sc_mva", sharing
        # A slack that delivers this much is a power station: at least as stiff as a machine that it needs.
        station_mva = sharing * carried_mva / _POWER_FACTOR / ASSUMED_XD_TRANSIENT_PU
        if station_mva > s_mva:
            s_mva = station_mva
            words = f"assumed, a machine of {ASSUMED_XD_TRANSIENT_PU:g} pu that carries its power; set s_sc_mva"
    ratio = _given(rx, index)
    if ratio is not None:
        from_where = "given by the user"
    else:
        columns = ("rx_max", "rx_min") if factor > 1 else ("rx_min", "rx_max")
        found = [(c, value) for c in columns if (value := _cell(row, c)) is not None]
        ratio, from_where = (found[0][1], f"the net's {found[0][0]}") if found else (ASSUMED_RX, "assumed; set rx")
    _positive(s_mva, f"short-circuit power of {thing}", "s_sc_mva", "MVA")
    if s_mva > _STIFFEST_MVA:
        cure = 'A source without impedance is held: sources="held".'
        raise bad(f"short-circuit power of {thing} is beyond any grid", mva(s_mva), cure)
    if s_mva < shared * carried_mva:
        cure = "Give s_sc_mva: a grid's is tens of times what it delivers."
        raise bad(f"{thing} delivers more than its short-circuit power", f"{mva(s_mva)}, {words}", cure)
    if not 0 <= ratio < np.inf:
        raise bad(f"R/X of {thing} must be zero or more", ratio, "Give rx=0.1.")
    x_pu = factor / np.sqrt(1 + ratio**2)
    each = f"; {shared} sources share it" if shared > 1 else ""
    words = f"short-circuit power {mva(s_mva)} ({words}{each}), R/X {ratio:g} ({from_where})"
    return Stiffness(s_mva / shared, float(ratio * x_pu), float(x_pu), words, "assumed" in words.split(", R/X")[0])


def of_gen(net: Any, index: int, xd_transient_pu: Given, *, subtransient: bool = False) -> Stiffness:
    """Return the reactance of a machine that holds its voltage; its resistance is left out.

    Parameters
    ----------
    net : pandapowerNet
        Solved with results; it is not changed.
    index : int
        Of the generator.
    xd_transient_pu : float or mapping, optional
        Given by the user, see :func:`gridedge.grid.emf.behind_impedance`.
    subtransient : bool
        Whether the subtransient reactance is meant.

    Raises
    ------
    InputError
        If a number is not positive, or nothing tells how large the machine is.
    """
    row = net.gen.loc[index]
    kind, key = ("subtransient", "xd_subtransient_pu") if subtransient else ("transient", "xd_transient_pu")
    x_pu, assumed = _given(xd_transient_pu, index), False
    if x_pu is not None:
        words = "given by the user"
    elif subtransient and (x_pu := _cell(row, "xdss_pu")) is not None:
        words = "the net's xdss_pu"
    elif subtransient and (xds_pu := _cell(row, "xd_transient_pu")) is not None:
        x_pu, words = xds_pu / _XDSS_TO_XDS, f"the net's xd_transient_pu over {_XDSS_TO_XDS:g}, typical; set {key}"
    elif subtransient:
        x_pu, assumed = ASSUMED_XD_TRANSIENT_PU / _XDSS_TO_XDS, True
        words = f"assumed, typical 0.12 to 0.25; set {key}"
    elif (x_pu := _cell(row, "xd_transient_pu")) is not None:
        words = "the net's xd_transient_pu"
    elif (xdss_pu := _cell(row, "xdss_pu")) is not None:
        x_pu, words = _XDSS_TO_XDS * xdss_pu, f"{_XDSS_TO_XDS:g} times the net's xdss_pu, typical; set xd_transient_pu"
    else:
        x_pu, words = ASSUMED_XD_TRANSIENT_PU, "assumed, typical 0.15 to 0.4; set xd_transient_pu"
        assumed = True
    _positive(x_pu, f"{kind} reactance of gen {index}", key, "pu")
    s_mva, size = _rating(net, index)
    vn_kv = float(net.bus.at[row["bus"], "vn_kv"])
    own_kv = _cell(row, "vn_kv")
    if own_kv is not None:
        _positive(own_kv, f"rated voltage of gen {index}", "vn_kv in net.gen", "kV")
    ratio = 1.0 if own_kv is None else own_kv / vn_kv
    words = f"{kind} reactance {x_pu:g} pu ({words}) on {size}"
    return Stiffness(s_mva, 0.0, float(x_pu * ratio**2), words, assumed or "assumed" in size)


def _rating(net: Any, index: int) -> tuple[float, str]:
    """Return a machine's rating [MVA] and where it is from."""
    row = net.gen.loc[index]
    own = _cell(row, "sn_mva")
    if own is not None:
        _positive(own, f"rating of gen {index}", "sn_mva in net.gen", "MVA")
        return own, "the net's sn_mva"
    limit, carried = _cell(row, "max_p_mw") or 0.0, delivered_mva(net, "gen", index)
    rating = limit / _POWER_FACTOR if limit < PLACEHOLDER_MVA else 0.0
    if rating > 0 and rating >= carried:
        return rating, f"max_p_mw / {_POWER_FACTOR:g}, assumed"
    if carried > _IDLE_MVA:
        return carried / _POWER_FACTOR, f"what it delivers / {_POWER_FACTOR:g}, assumed"
    limits = [abs(q) for c in ("max_q_mvar", "min_q_mvar") if (q := _cell(row, c)) is not None]
    reactive = max([q for q in limits if q < PLACEHOLDER_MVA], default=0.0)
    if reactive > 0:  # a synchronous condenser at rest
        return reactive, "its reactive limit, assumed"
    cure = "Give net.gen its sn_mva, or take it out of service."
    raise bad(f"nothing tells how large gen {index} is", "no sn_mva, no limits, no power", cure)


def mva(value: float) -> str:
    """Return a power as text."""
    return f"{value:.0f} MVA" if value >= 1000 else f"{value:.4g} MVA"


def delivered_mva(net: Any, table: str, index: int) -> float:
    """Return the apparent power of a source in the state that the net is in, in MVA."""
    return float(np.hypot(*net[f"res_{table}"].loc[index, ["p_mw", "q_mvar"]]))


def known_indices(given: Given, table: Any, name: str) -> None:
    """Raise InputError where a mapping names an element that the net has not."""
    if not isinstance(given, Mapping):
        return
    missing = [i for i in given if i not in table.index]
    if missing:
        raise bad(f"{name} names what the net has not", str(missing[:5]), f"Known: {table.index.tolist()[:12]}.")


def _given(given: Given, index: int) -> float | None:
    value = given.get(index) if isinstance(given, Mapping) else given
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise bad(
            "data of a source are no number", str(value), "Give a number, or a mapping of index to number."
        ) from None


def _cell(row: Any, column: str) -> float | None:
    """Return a number of a table's row; None where it is missing."""
    if column not in row.index:
        return None
    try:
        value = float(row[column])
    except (TypeError, ValueError):  # None and pandas' NA
        return None
    return None if np.isnan(value) else value


def _positive(value: float, thing: str, key: str, unit: str) -> None:
    if not 0 < value < np.inf:
        raise bad(f"{thing} must be positive and finite", f"{value:g} {unit}", f"Set {key}.")
