"""What makes a net stronger: standard sizes, and changes to a net of one's own.

Everything here changes the net that it is given, in place; callers hand over a copy.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from gridedge.errors import bad

R10 = (1.0, 1.25, 1.6, 2.0, 2.5, 3.15, 4.0, 5.0, 6.3, 8.0)
"""Preferred values of rated power, to be multiplied by powers of ten: series R10 of ISO 3, which IEC 60076-1 asks
of transformers (from memory)."""
REACTANCE_OHM_PER_KM = 0.03, 1.0
"""Between which a reactance per km is that of a line: cables from 0.08, overhead lines to 0.42 in pandapower's types,
and room on either side (chosen)."""
How = Literal["type", "parallel", "rating", "tap", "capacitor"]


@dataclass(frozen=True)
class Change:
    """One change of a net.

    Parameters
    ----------
    how : {"type", "parallel", "rating", "tap", "capacitor"}
        Another standard type of line; so many in parallel; another rated power; a tap position; a shunt capacitor.
    table : str
        Table of the net: "line", "trafo", "trafo3w", "impedance"; "bus" for a capacitor.
    index : int
        Index there.
    value : float or str
        Standard type; number in parallel; rated power [MVA]; tap position; reactive power at nominal voltage [Mvar].
    """

    how: How
    table: str
    index: int
    value: float | str

    @property
    def label(self) -> str:
        """What it changes, as results name it."""
        return f"bus {self.index}" if self.table == "bus" else f"{self.table}:{self.index}"


def next_rating(needed_mva: float) -> float:
    """Return the smallest preferred rated power [MVA] that is not below a given one."""
    if not 0 < needed_mva < np.inf:
        raise bad("a rating must be positive", needed_mva, "Give megavolt-amperes.")
    decade = 10.0 ** np.floor(np.log10(needed_mva))
    sizes = [decade * r for r in (*R10, 10.0)]
    return float(next(s for s in sizes if s >= needed_mva * (1 - 1e-9)))


def apply_change(net: Any, change: Change) -> None:
    """Make a change to a net, in place.

    A larger transformer keeps its short-circuit voltage and no-load current in percent, and its iron losses grow with
    its rating; a larger impedance keeps its per-unit values on its larger base.  A capacitor is a shunt: what it gives
    falls with the square of the voltage.
    """
    how, frame, i = change.how, net[change.table], change.index
    if how == "type":
        kind = net.std_types["line"][str(change.value)]
        for column in ("r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "max_i_ka"):
            frame.loc[i, column] = float(kind[column])
        frame.loc[i, "std_type"] = str(change.value)
    elif how == "parallel":
        frame.loc[i, "parallel"] = int(change.value)
    elif how == "rating" and change.table == "trafo3w":
        ratio = float(change.value) / float(frame.at[i, "sn_hv_mva"])
        for column in ("sn_hv_mva", "sn_mv_mva", "sn_lv_mva", "pfe_kw"):
            frame.loc[i, column] = float(frame.at[i, column]) * ratio
    elif how == "rating":
        if "pfe_kw" in frame:
            frame.loc[i, "pfe_kw"] = float(frame.at[i, "pfe_kw"]) * float(change.value) / float(frame.at[i, "sn_mva"])
        frame.loc[i, "sn_mva"] = float(change.value)
    elif how == "tap":
        frame.loc[i, "tap_pos"] = change.value
    else:
        import pandapower as pp

        pp.create_shunt(net, i, q_mvar=-float(change.value), p_mw=0.0, name="capacitor bank, a remedy")


def larger_types(net: Any, line: int) -> list[tuple[str, float]]:
    """Return the standard types that could replace a line, with their rated current [kA], the smallest first.

    They are those of the net's own library of the same kind (cable or overhead) and of a voltage level that fits, and
    are told to fit by their names, as pandapower's basic types write them: ``NA2XS2Y 1x240 RM/25 12/20 kV``,
    ``243-AL1/39-ST1A 20.0``.  None fits a line whose length is not known (:data:`REACTANCE_OHM_PER_KM`).
    """
    row = net.line.loc[line]
    vn_kv = float(net.bus.vn_kv.at[row.from_bus])
    found: list[tuple[str, float]] = []
    if not _has_length(row):
        return found
    for name, kind in net.std_types["line"].items():
        rated_kv = _rated_kv(name)
        same = kind.get("type") == row.get("type") and kind.get("type") in ("cs", "ol")
        needs = ("r_ohm_per_km", "x_ohm_per_km", "c_nf_per_km", "max_i_ka")
        if same and rated_kv is not None and 0.99 * vn_kv <= rated_kv <= 2.0 * vn_kv and all(k in kind for k in needs):
            found.append((name, float(kind["max_i_ka"])))
    return sorted(((n, i) for n, i in found if i > float(row.max_i_ka) * (1 + 1e-9)), key=lambda pair: pair[1])


def _has_length(line: Any) -> bool:
    """Say whether a line's reactance per km is one: case files write the whole line as one of 1 km."""
    low, high = REACTANCE_OHM_PER_KM
    return bool(low <= float(line.x_ohm_per_km) <= high)


def _rated_kv(name: str) -> float | None:
    for pattern in (r"/(\d+(?:\.\d+)?) kV$", r" (\d+\.\d+)$"):
        match = re.search(pattern, name)
        if match:
            return float(match.group(1))
    return 0.4 if name.startswith("NAYY ") else None


@dataclass(frozen=True)
class BranchFacts:
    """What a branch is, as a planner names it.

    Parameters
    ----------
    table, index
        Where it stands.
    vn_kv : float
        Voltage of its upper side. [kV]
    rating_mva : float
        Rating of all that is in parallel. [MVA]
    rating_ka : float
        The same as a current, of lines; else NaN. [kA]
    parallel : int
        How many are in parallel.
    length_km : float
        Of lines whose length is known; else NaN. [km]
    overhead : bool
        Whether it is an overhead line.
    z_ohm : float
        Series impedance of lines, of all in parallel; else NaN. [ohm]
    """

    table: str
    index: int
    vn_kv: float
    rating_mva: float
    rating_ka: float
    parallel: int
    length_km: float
    overhead: bool
    z_ohm: float


def branch_facts(net: Any, label: str) -> BranchFacts:
    """Return what a branch is; its label as in results, ``line:12``."""
    table, number = label.split(":")
    i = int(number)
    row = net[table].loc[i]
    if table == "line":
        vn, parallel = float(net.bus.vn_kv.at[row.from_bus]), int(row.parallel)
        ka = float(row.max_i_ka) * float(row.df) * parallel
        z = float(np.hypot(row.r_ohm_per_km, row.x_ohm_per_km)) * float(row.length_km) / parallel
        mva, overhead = np.sqrt(3.0) * vn * ka, row.get("type") == "ol"
        length = float(row.length_km) if _has_length(row) else np.nan
        return BranchFacts(table, i, vn, mva, ka, parallel, length, overhead, z)
    if table == "trafo":
        parallel = int(row.parallel)
        mva = float(row.sn_mva) * parallel * float(row.df)
        return BranchFacts(table, i, float(row.vn_hv_kv), mva, np.nan, parallel, np.nan, False, np.nan)
    vn = float(row.vn_hv_kv) if table == "trafo3w" else float(net.bus.vn_kv.at[row.from_bus])
    mva = float(row.sn_hv_mva if table == "trafo3w" else row.sn_mva)
    return BranchFacts(table, i, vn, mva, np.nan, 1, np.nan, False, np.nan)


def tap_range(net: Any, table: str, index: int) -> tuple[int, int, int, float] | None:
    """Return tap position now, lowest and highest, and which way raises the lower side; None without a tap changer.

    The last is -1 where the changer is on the upper side: fewer turns there raise the voltage below.
    """
    row = net[table].loc[index]
    values = [row.get(c, np.nan) for c in ("tap_pos", "tap_min", "tap_max", "tap_step_percent")]
    numbers = np.array([np.nan if v is None else v for v in values], dtype=float)
    if not np.isfinite(numbers).all() or numbers[3] == 0 or numbers[1] >= numbers[2]:
        return None
    upper = str(row.get("tap_side", "hv")) == "hv"
    return int(numbers[0]), int(numbers[1]), int(numbers[2]), (-1.0 if upper else 1.0) * np.sign(numbers[3])
