"""The tables of a fleet study's report, as plain rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.plot.binding import LOOKS, counts
from gridedge.report.words import number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.grid.drawing import Drawing

DASH = "\u2013"
_GROUPS: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "Size and energy",
        ("sites", "connection_mw", "accelerators", "building", "peak_mw", "energy_gwh", "it_gwh", "pue"),
    ),
    ("Requests over the year", ("late_pu", "refused_pu", "network_ms")),
    (
        "The net over the year",
        (
            "losses_gwh", "overload_new_branches", "overload_new_h", "overload_worse_h", "overload_h", "vm_pu_min",
            "vm_pu_max", "vm_new_h", "not_converged_h",
        ),
    ),
    ("Any one branch or unit out, at the heaviest hour", ("n1_new", "n1_new_percent", "n1_worse", "n1_unsolved")),
    (
        "A site lost, at the heaviest hour",
        (
            "lost_mw", "step_percent", "lost_overloads", "lost_rerouted", "lost_late", "lost_refused",
            "lost_refused_pu", "dropped_mw",
        ),
    ),
    ("Fluctuation", ("daily_swing_mw", "rho", "sd_site_mw", "sd_mw", "sd_law_mw")),
    ("Carbon and water over the year", ("carbon_kt", "embodied_kt", "water_ml")),
)  # fmt: skip
_OF_BASE = ("overload_h", "vm_pu_min", "vm_pu_max", "not_converged_h")  # mean the same with and without sites
_MOST_OUTAGES = 30  # branches that outages newly overload, in the table
_NO_REQUEST = 0.005  # what is left of the difference of two sums of 1e9 requests
_TAKERS = 3  # sites that take on most, by name


@dataclass(frozen=True)
class Row:
    """One quantity: its unit, its value without any site (empty where it has none), and with each layout."""

    heading: str
    unit: str
    base: str
    values: list[str]


@dataclass(frozen=True)
class BranchRow:
    """One branch: hours over its limit without sites and with each layout, and whether a layout adds some."""

    branch: str
    what: str
    base: str
    cells: list[tuple[str, bool]]
    highest: str


@dataclass(frozen=True)
class LandingRow:
    """Where the load of the largest site of a layout lands."""

    layout: str
    site: str
    before: str
    takers: list[str]
    others: str
    less: str
    step: str
    late: str
    refused: str


def layout_groups(
    table: pd.DataFrame, columns: Mapping[str, tuple[str, str]], base: Mapping[str, Any]
) -> list[tuple[str, list[Row]]]:
    """Return the quantities in groups; one that no layout has is left out, and so is a group without any.

    Shares, in per unit in the table, are said in percent; voltages stay in per unit.
    """
    placed = {name for _, names in _GROUPS for name in names}
    groups = [*_GROUPS, ("More", tuple(name for name in table.columns if name not in placed))]
    found = []
    for title, names in groups:
        rows = [_row(table, name, columns, base) for name in names if name in table and table[name].notna().any()]
        if rows:
            found.append((title, rows))
    return found


def _row(table: pd.DataFrame, name: str, columns: Mapping[str, tuple[str, str]], base: Mapping[str, Any]) -> Row:
    unit, meaning = columns.get(name, ("", name.replace("_", " ")))
    times = 1.0
    if unit == "pu" and not name.startswith("vm_"):
        unit, times = "%", 100.0
    of_base = cell(base.get(name), unit) if name in _OF_BASE else ""
    return Row(meaning, unit, of_base, [cell(v, unit, times) for v in table[name].tolist()])


def cell(value: Any, unit: str = "", times: float = 1.0) -> str:
    """Return a value as text; a missing one is a dash."""
    if isinstance(value, str):
        return value
    if value is None or np.isnan(float(value)):
        return DASH
    shown = float(value) * times + 0.0  # plus zero: no minus before nothing
    if unit == "requests":
        if abs(shown) < _NO_REQUEST:
            return "0"
        return f"{number(shown / 1e6)} million" if abs(shown) >= 1e6 else number(shown)
    return number(float(f"{shown:.3g}")) if unit == "%" else number(shown, unit)


def base_words(base: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the net does without any site: labels, and values with their units."""
    known = {
        "Load": ("load_mw_min", "load_mw_max"), "Losses": ("losses_gwh",),
        "Overloads": ("overload_branches", "overload_h", "overload_hours"),
        "Voltage": ("vm_pu_min", "vm_pu_max"), "Outside the band": ("vm_off_h",),
    }  # fmt: skip
    form = {
        "Load": "{} to {} MW", "Losses": "{} GWh a year", "Outside the band": "{} bus hours",
        "Overloads": "{} branches, {} branch hours, in {} hours of the year", "Voltage": "{} to {} pu",
    }  # fmt: skip
    found = []
    for label, names in known.items():
        if all(name in base for name in names):
            unit = "pu" if label == "Voltage" else ""
            found.append((label, form[label].format(*(cell(base[name], unit) for name in names))))
    return found


def overload_rows(elements: pd.DataFrame, layouts: Sequence[str]) -> tuple[list[BranchRow], list[BranchRow]]:
    """Return the branches that a layout newly overloads in some hour, and those that the net itself overloads."""
    new: list[tuple[tuple[float, float], BranchRow]] = []
    own: list[tuple[tuple[float, float], BranchRow]] = []
    by_branch: dict[str, dict[str, dict[str, Any]]] = {}
    for one in elements.to_dict("records"):
        by_branch.setdefault(str(one["branch"]), {})[str(one["case"])] = {str(k): v for k, v in one.items()}
    for branch, cases in by_branch.items():
        base_h = float(cases["base"]["h"]) if "base" in cases else 0.0
        some = next(iter(cases.values()))
        cells = [_hours(cases.get(label)) for label in layouts]
        highest = max(float(c["loading_percent_max"]) for c in cases.values())
        row = BranchRow(branch, str(some["what"]), number(base_h), cells, number(highest, "%"))
        added = max((float(c["new_h"]) for label, c in cases.items() if label != "base"), default=0.0)
        (own if base_h > 0 else new).append(((-added, -base_h), row))
    return _sorted(new), _sorted(own)


def _sorted(rows: list[tuple[tuple[float, float], BranchRow]]) -> list[BranchRow]:
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def _hours(one: Mapping[str, Any] | None) -> tuple[str, bool]:
    """Return hours over the limit, with what of them is new or worse, and whether anything is."""
    if one is None:
        return "0", False
    more = [f"{number(float(one[f'{k}_h']))} {k}" for k in ("new", "worse") if one[f"{k}_h"] > 0]
    hours = number(float(one["h"]))
    return (f"{hours} ({', '.join(more)})" if more else hours), bool(more)


def outage_rows(
    outages: xr.Dataset | None, layouts: Sequence[str], net: Drawing
) -> tuple[list[BranchRow], int]:  # fmt: skip
    """Return the branches that some outage newly overloads under a layout, the heaviest first, and how many there are.

    Loadings are the highest after any outage, in percent.
    """
    if outages is None:
        return [], 0
    labels = [label for label in layouts if label in outages["layout"].values]
    breaks = outages["breaks"].sel(layout=labels).values == 2
    highest = outages["loading_percent_max"].sel(layout=labels).values
    without = outages["loading_percent_max"].sel(layout="base").values
    worst = np.where(breaks, highest, -np.inf).max(axis=0)
    order = [k for k in np.argsort(-worst, kind="stable").tolist() if np.isfinite(worst[k])]
    joins = _joins(net, dict(zip(outages["bus"].values.tolist(), outages["bus_name"].values.tolist(), strict=True)))
    rows = []
    for k in order[:_MOST_OUTAGES]:
        branch = str(outages["branch"].values[k])
        at = int(np.where(breaks[:, k], highest[:, k], -np.inf).argmax())
        case = str(outages["case_of_loading"].sel(layout=labels[at]).values[k])
        words = f"{joins.get(branch, '')}; worst while {case} is out"
        cells = [(number(float(highest[i, k]), "%"), bool(breaks[i, k])) for i in range(len(labels))]
        rows.append(BranchRow(branch, words.removeprefix("; "), number(float(without[k]), "%"), cells, ""))
    return rows, len(order)


def _joins(net: Drawing, name: Mapping[int, str]) -> dict[str, str]:
    """Return by branch the two buses that it joins."""
    bus = net.bus.tolist()
    words: dict[str, str] = {}
    for label, (a, b) in zip(net.label, net.ends.tolist(), strict=True):
        words.setdefault(label, f"{name.get(bus[a], bus[a])} to {name.get(bus[b], bus[b])}")
    return words


def landing_rows(
    lost: Mapping[str, xr.Dataset], lost_grid: Mapping[str, xr.Dataset], sites: pd.DataFrame
) -> list[LandingRow]:
    """Return for each layout where the load of its largest site lands."""
    rows = []
    for label, ds in lost.items():
        name = str(ds.attrs["lost"])
        mine = sites[sites["layout"] == label].set_index("site")["bus_name"].to_dict()
        before = ds["before_mw"].values
        more = ds["lands_mw"].sel(case=name).values - before
        gone = ds["site"].values == name
        order = [k for k in np.argsort(-more, kind="stable").tolist() if not gone[k] and more[k] > 0]
        takers = [f"{_at(str(ds['site'].values[k]), mine)}: +{_mw(more[k])} MW" for k in order[:_TAKERS]]
        rest = order[_TAKERS:]
        others = f"+{_mw(more[rest].sum())} MW at {len(rest)} more" if rest else ""
        late, refused = (float(ds[w].sel(case=name).sum()) for w in ("late", "refused"))
        rows.append(
            LandingRow(
                label, _at(name, mine), _mw(before[gone].sum()), takers, others, _mw(-more.sum()),
                _step(lost_grid.get(label), name), cell(max(late, 0.0), "requests"), cell(refused, "requests"),
            )
        )  # fmt: skip
    return rows


def _step(grid: xr.Dataset | None, name: str) -> str:
    if grid is None:
        return DASH
    step = 100.0 * np.abs(grid["vm_step_pu"].sel(case=name).values)
    if not np.isfinite(step).any():
        return DASH
    k = int(np.nanargmax(step))
    return f"{step[k]:.2g} % at {grid['bus_name'].values[k]}"


def _at(site: str, bus_name: Mapping[Any, Any]) -> str:
    return f"{site} ({bus_name[site]})" if site in bus_name else site


def _mw(value: float) -> str:
    return number(float(f"{value + 0.0:.3g}") + 0.0)


def frame_rows(table: pd.DataFrame | None, names: Mapping[str, tuple[str, str]]) -> tuple[list[str], list[Row]]:
    """Return a table turned round: its labels, and a row for each quantity of ``names`` (unit, words) that it has."""
    if table is None or table.empty:
        return [], []
    rows = [
        Row(words, unit, "", [cell(v, unit) for v in table[name].tolist()])
        for name, (unit, words) in names.items()
        if name in table and table[name].notna().any()
    ]
    return [str(label) for label in table.index], rows


def binding_rows(sites: pd.DataFrame, layouts: Sequence[str]) -> list[tuple[str, str, list[str]]]:
    """Return for each class of what binds its colour and how many sites of each layout it stops."""
    of = {label: counts(sites.loc[sites["layout"] == label, "binding"]) for label in layouts}
    return [(name, LOOKS[name].colour, [str(of[label].get(name, 0)) for label in layouts])
            for name in counts(sites["binding"])]  # fmt: skip
