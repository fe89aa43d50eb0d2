"""What a study of a fleet says: three sentences, facts, notes, and what it did not look at."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.spec import Assumption
from gridedge.study.describe import versions
from gridedge.study.fleet_model import OWN_YEAR, FleetStudySpec
from gridedge.study.fleet_swings import CAMPUS, TRAINING

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from gridedge.planning.placement import Placement
    from gridedge.study.fleet_layout import Served


def sentences(
    spec: FleetStudySpec, table: pd.DataFrame, base: Mapping[str, Any], room: pd.DataFrame,
    swings: pd.DataFrame | None, pues: Mapping[str, float], days: float, served: Mapping[str, Served],
) -> list[str]:  # fmt: skip
    """Return the answer: what the net feels, what serving costs, what it depends on.

    Parameters
    ----------
    spec : FleetStudySpec
        The study.
    table : DataFrame
        By layout, as :func:`gridedge.study.fleet_table.row` gives it.
    base : dict
        The net without sites.
    room : DataFrame
        What buses take alone.
    swings : DataFrame or None
        How loads fluctuate.
    pues : dict
        PUE of each building by name.
    days : float
        Length of what was studied.
    served : dict
        By layout.
    """
    return [_grid(table, base, days, served), _serving(table, days), _depends(spec, table, room, swings, pues)]


def _grid(table: pd.DataFrame, base: Mapping[str, Any], days: float, served: Mapping[str, Served]) -> str:
    connected, drawn = (_per(table, name) for name in ("connection_mw", "peak_mw"))
    new, span = table["overload_new_h"], _span_of(days)
    own = "nor is any without sites"
    if base["overload_h"]:
        own = f"without any site {_said(base['overload_h'])} on {base['overload_branches']} branches"
    if new.max() == 0:
        over = f"no branch is newly overloaded in {span} ({own})"
    else:
        over = f"branch hours of new overloads in {span}: {_per(table, 'overload_new_h')} ({own})"
    low, high = table["vm_pu_min"].min(), table["vm_pu_max"].max()
    volts = f"voltages span {low:.3f} to {high:.3f} pu ({base['vm_pu_min']:.3f} to {base['vm_pu_max']:.3f} without)"
    parts = [f"of {connected} MW connected, {drawn} MW are drawn at most", over, volts]
    if table["n1_new"].notna().all():
        worst = table["n1_new_percent"].max()
        beyond = f", the worst to {_said(float(worst))} %" if np.isfinite(worst) else ""
        parts.append(f"at the heaviest hour, outages newly overload {_per(table, 'n1_new')} branches{beyond}")
    parts.append(f"network losses rise by {_per(table, 'losses_gwh')} GWh")
    if table["step_percent"].notna().all():
        parts.append(f"losing a site steps the voltage by up to {_per(table, 'step_percent')} %")
    for label, one in served.items():
        if one.below is not None:
            peak = float(one.made.load["p_mw"].values.max())
            parts.append(
                f"at {label}, the feeder of the busiest site ({one.below.feeder}) is loaded to "
                f"{_said(one.below.at(peak)[0])} %, {_said(one.below.loading_percent[0])} % without it"
            )
    return f"The grid{_order(table)}: {'; '.join(parts)}."


def _serving(table: pd.DataFrame, days: float) -> str:
    energy, span = table["energy_gwh"], _span_of(days)
    least, most = str(energy.idxmin()), str(energy.idxmax())
    if len(table) > 1 and energy[most] > energy[least] * 1.001:
        more = 100.0 * (energy[most] / energy[least] - 1.0)
        parts = [
            f"the same requests take {_said(energy[least])} GWh in {span} at {least} "
            f"(PUE {_at(table, least, 'pue'):.3f}), and {more:.1f} % more at {most} (PUE {_at(table, most, 'pue'):.3f})"
        ]
    else:
        parts = [f"the requests take {_per(table, 'energy_gwh')} GWh in {span}"]
    parts.append(f"{_per(table, 'late_pu', 100.0)} % of them are late, {_per(table, 'refused_pu', 100.0)} % refused")
    if table["lost_refused_pu"].notna().all():
        parts.append(
            f"if the largest site is lost at the heaviest hour, {_per(table, 'lost_refused_pu', 100.0)} % of what is "
            "asked from then on is refused"
        )
    return f"Serving{_order(table)}: {'; '.join(parts)}."


def _depends(
    spec: FleetStudySpec, table: pd.DataFrame, room: pd.DataFrame, swings: pd.DataFrame | None,
    pues: Mapping[str, float],
) -> str:  # fmt: skip
    parts = []
    capacity = room.loc[room["single"], "capacity_mw"].to_numpy(float)
    if capacity.size > 1:
        single = next(label for label, one in spec.layouts.items() if one.sites == 1)
        size = spec.layouts[single].mw_each
        fits = int((capacity >= size * (1 - 1e-9)).sum())
        parts.append(
            f"the bus of {single}: at the heaviest hour {fits} of the {capacity.size} buses that it could have take "
            f"{_said(size)} MW, half of them less than {_said(float(np.median(capacity)))} MW"
        )
    low, high = min(pues, key=lambda k: pues[k]), max(pues, key=lambda k: pues[k])
    if pues[high] > pues[low]:
        spread = 100.0 * (table["it_gwh"].max() / table["it_gwh"].min() - 1.0)
        parts.append(
            f"the PUEs of the buildings, from {pues[low]:g} ({low}) to {pues[high]:g} ({high}), partly assumed: the "
            f"computers alone differ by {spread:.1f} %"
        )
    how = spec.swings()
    if swings is not None and how is not None and table["rho"].notna().any():
        most = str(table["sites"].idxmax())
        sd, each = _at(table, most, "sd_mw"), _at(table, most, "sd_site_mw")
        parts.append(
            f"what sites have in common: with rates that correlate by {how.common_pu:g} (assumed), "
            f"{most} deviate by {_said(sd)} MW about their shape, {sd / each:.0f} times one of them (rho "
            f"{_at(table, most, 'rho'):.2f}), the same inference in one campus by "
            f"{_said(_at(swings, CAMPUS, 'sd_mw'))} MW, and synchronous training by "
            f"{_said(_at(swings, TRAINING, 'sd_mw'))} MW"
        )
    parts.append("how generation follows the load, which no file of the net says")
    return f"It depends on {'; on '.join(parts)}."


def _at(table: pd.DataFrame, label: str, column: str) -> float:
    return float(table[column].to_dict()[label])


def _order(table: pd.DataFrame) -> str:
    return f" ({', '.join(map(str, table.index))})" if len(table) > 1 else ""


def facts(
    spec: FleetStudySpec, season: Any, served: Mapping[str, Served], feeder: Any, year: xr.Dataset, took_s: float
) -> list[tuple[str, str]]:
    """Return what was compared: labels, and values with their units."""
    one = next(iter(served.values()))
    rate = sum(s.requests_per_s for s in one.plan.traffic.classes.values())
    asked = ", ".join(
        f"{key} {share.requests_per_s:,.0f}/s on {_model(one, key)}" for key, share in one.plan.traffic.classes.items()
    )
    found = [
        ("Net", f"{feeder.name}: {feeder.title}"),
        ("Source of the net", f"{feeder.source} ({feeder.licence})"),
        (
            "Year",
            f"{season.time_s.size:,} steps of {season.dt_s / 60:g} min from {season.start}; load "
            f"{season.load_mw.min():,.0f} to {season.load_mw.max():,.0f} MW",
        ),
        ("Rule of the year", season.rule),
        ("Requests", f"{rate:,.0f}/s on average: {asked}"),
        ("Where people ask", f"{len(one.plan.places)} places, the largest {one.plan.places[0].name}"),
        (
            "Busiest step",
            f"{100 * spec.peak_pu:g} % of what the accelerators can do; a site takes on no more at "
            f"{100 * one.plan.fill_pu:g} %",
        ),
    ]
    for label, this in served.items():
        site = this.plan.sites[0]
        found.append(
            (
                label,
                f"{this.layout.sites} x {this.layout.mw_each:g} MW at the meter, "
                f"{int(this.made.load['accelerators'][0]):,} accelerators each; building {site.building().name}, PUE "
                f"{site.building().pue:g} at {site.building().at_load_pu:g} of its load; {_placed(this)}",
            )
        )
    found += [(f"Feeder of each site, {label}", _feeder(this)) for label, this in served.items() if this.below]
    states = int(year.attrs["hours_solved"]) * year.sizes["case"]
    found.append(
        (
            "Power flow",
            f"{states:,} states of the year; largest difference from pandapower's runpp where compared: "
            f"{year.attrs['error_vm_pu']:.1e} pu",
        )
    )
    found.append(("Time taken", f"{took_s:.0f} s"))
    return found


def notes(
    feeder: Any, year: xr.Dataset, outages: xr.Dataset | None, lost_grid: Mapping[str, xr.Dataset],
    placements: Mapping[str, Placement], served: Mapping[str, Served], more: list[str],
) -> list[str]:  # fmt: skip
    """Return what must be known before a number is trusted."""
    found = [*feeder.notes, *year.attrs["remarks"]]
    for label, this in served.items():
        if this.below is not None:
            found.append(
                f"{label}: each site hangs on a feeder of its own like {this.below.feeder}, as that stands; what the "
                f"net sees of it is read between {this.below.p_mw.size} solved powers, within "
                f"{this.below.error_mva:.1e} MVA."
            )
    for label, one in placements.items():
        found += [f"{label}: all sites at once break a limit: {one.breaks}."] if one.breaks else []
        found += [f"{label}: {remark}" for remark in one.remarks if remark.startswith(("Thermal", "Distances"))]
    found += [r for one in placements.values() for r in one.remarks if r.startswith("Coordinates")]
    for ds in list(lost_grid.values())[:1]:  # the machines are the same for all layouts
        found += [f"Loss of a site: {remark}" for remark in ds.attrs["remarks"]]
    if outages is not None:
        found.append("N-1 holds normal ratings after an outage too: the net has no emergency ratings.")
    return list(dict.fromkeys([*found, *more]))


def not_studied(spec: FleetStudySpec) -> list[str]:
    """Return what the answer says nothing about."""
    found = [
        "Seconds and milliseconds at the meter: flicker, ramps, oscillations; `gridedge run` of one site does.",
        "Stability, protection, short circuit, and reactive limits of the units, which are watched and not enforced.",
        "What lines, transformers and buildings cost, and how long they take to build.",
        "Wind and sun by their own weather: generation follows the load.",
    ]
    if any(one.under is None for one in spec.layouts.values()):
        found.append("Feeders below the buses, where a layout names none (`under`).")
    if not spec.n_minus_1:
        found.append("Outages of branches and units: n_minus_1 is false.")
    if spec.losing() is None:
        found.append("The loss of a site: loss is false.")
    if spec.swings() is None:
        found.append("Fluctuations: fluctuation is false.")
    return found


def assumptions(spec: FleetStudySpec, served: Mapping[str, Served], footprint: Any) -> list[Assumption]:
    """Return every number that the result stands on, those of fleet, buildings and footprint among them, once."""
    left_out = ("background.shape.", "traffic.", "serve.", "device.", "factors.")
    found = [a for a in spec.assumptions() if not a.name.startswith(left_out)]
    if spec.background is not None:
        shape = spec.background.shape
        found.append(Assumption("background.shape", shape.title, "quoted", f"{shape.source} ({shape.licence})"))
    skipped = ("sites.", "places.", "traffic.classes.")
    for one in served.values():
        found += [a for a in one.made.assumptions if not a.name.startswith(skipped) and "[" not in a.name.split(".")[0]]
    found += list(footprint.assumptions)
    return list({(a.name, a.value): a for a in found}.values())


def manifest(
    spec: FleetStudySpec, feeder: Any, year: xr.Dataset, outages: xr.Dataset | None, lost: Mapping[str, xr.Dataset],
    served: Mapping[str, Served], began: float,
) -> dict[str, Any]:  # fmt: skip
    """Return versions, hashes, engines, measured errors, how well the books close, and time taken."""
    from gridedge.study.fleet_layout import books_gap

    gaps = [books_gap(b) for one in served.values() for b in one.made.flow.books.values()]
    gaps += [float(ds.attrs["books_gap"]) for ds in lost.values()]
    return {
        "study": spec.title,
        "kind": "fleet",
        "spec_sha256": spec.hash(),
        "spec": spec.to_dict(),
        "feeder": {"name": feeder.name, "source": feeder.source, "licence": feeder.licence, "cite": feeder.cite},
        "own_year": spec.feeder == OWN_YEAR,
        "hours_solved": year.attrs["hours_solved"],
        "states": int(year.attrs["hours_solved"]) * year.sizes["case"],
        "outages_solved": 0 if outages is None else int(outages.sizes["case"]) * outages.sizes["layout"],
        "engine": year.attrs["engine"],
        "error_vm_pu": year.attrs["error_vm_pu"],
        "books_gap": max(gaps),
        "versions": versions(),
        "platform": platform.platform(),
        "time_taken_s": round(time.perf_counter() - began, 2),
    }


def _per(table: pd.DataFrame, column: str, times: float = 1.0) -> str:
    """Return a column in the order of the layouts; one value where all are alike."""
    said = [_said(float(v) * times) for v in table[column]]
    return said[0] if len(set(said)) == 1 else ", ".join(said[:-1]) + f" and {said[-1]}"


def _said(value: float) -> str:
    """Return a number with three digits, or with all before the point."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _span_of(days: float) -> str:
    return "the year" if 365 <= days <= 366 else "the day" if days == 1 else f"the {days:g} days"


def _model(one: Served, key: str) -> str:
    replica = one.plan.how(key).replica
    name = replica.model if isinstance(replica.model, str) else replica.model.name
    return f"{name} ({replica.accelerators} x {replica.accelerator})"


def _feeder(one: Served) -> str:
    below = one.below
    assert below is not None
    peak = float(one.made.load["p_mw"].values.max())
    loading, low = below.at(peak)
    seen = float(below.above(np.array([peak]))[0][0])
    full = f"; a site of {one.layout.mw_each:g} MW breaks it: {below.breaks}" if below.breaks else ""
    return (
        f"{below.feeder} as it stands, at its bus {below.bus_name}: at the highest {peak:.3g} MW of a site the net "
        f"sees {seen:.3g} MW, the feeder is loaded to {loading:.0f} % ({below.worst}) and goes down to {low:.3f} "
        f"pu{full}"
    )


def _placed(one: Served) -> str:
    how = one.layout.how
    first = one.placement.sites[0]
    if len(one.placement.sites) == 1:
        return f"at {first.bus_name} ({how}: {first.reason})"
    return f"at {len({s.bus for s in one.placement.sites})} buses ({how}), the first {first.bus_name}"
