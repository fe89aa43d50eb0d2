"""The numbers by which layouts of a fleet study are compared."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gridedge.errors import bad, nearest
from gridedge.sites.fleet.footprint import Footprint, TierUse, footprint, per_request
from gridedge.study.fleet_model import FleetStudySpec

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.grid.season import Season
    from gridedge.study.fleet_layout import Served

_CARBON = "carbon_g_per_kwh"
COLUMNS: dict[str, tuple[str, str]] = {
    "sites": ("", "sites"),
    "connection_mw": ("MW", "connections together"),
    "accelerators": ("", "accelerators"),
    "building": ("", "building"),
    "peak_mw": ("MW", "highest power at the meters together"),
    "energy_gwh": ("GWh", "energy at the meters"),
    "it_gwh": ("GWh", "energy of the computers"),
    "pue": ("", "PUE: energy at the meters over that of the computers"),
    "late_pu": ("pu", "requests late: network, queue, or slow inside a replica"),
    "refused_pu": ("pu", "requests refused"),
    "network_ms": ("ms", "mean time on the network"),
    "losses_gwh": ("GWh", "network losses more than without sites, feeders below included"),
    "overload_new_branches": ("", "branches newly overloaded in some hour"),
    "overload_new_h": ("branch h", "hours of new overloads"),
    "overload_worse_h": ("branch h", "hours of own overloads made worse"),
    "overload_h": ("branch h", "hours of all overloads"),
    "vm_pu_min": ("pu", "lowest voltage in the net"),
    "vm_pu_max": ("pu", "highest voltage in the net"),
    "vm_new_h": ("bus h", "hours of buses further outside the band than without sites"),
    "not_converged_h": ("h", "hours without solution"),
    "n1_new": ("", "branches newly overloaded by some outage at the heaviest hour"),
    "n1_new_percent": ("%", "highest loading of these"),
    "n1_worse": ("", "branches overloaded by some outage, heavier than without sites"),
    "n1_unsolved": ("", "outages without solution, solved without sites"),
    "lost_mw": ("MW", "largest site lost"),
    "step_percent": ("%", "largest voltage step when a site is lost"),
    "lost_overloads": ("", "branches newly overloaded once its load has landed"),
    "lost_rerouted": ("requests", "taken on elsewhere after the loss"),
    "lost_late": ("requests", "late because of the loss"),
    "lost_refused": ("requests", "refused because of the loss"),
    "lost_refused_pu": ("pu", "refused, of all requests after the loss"),
    "dropped_mw": ("MW", "power that the area draws less after the loss: idle power, fuller batches, refused work"),
    "daily_swing_mw": ("MW", "mean daily swing of all sites together"),
    "rho": ("", "correlation of two sites about their common shape"),
    "sd_site_mw": ("MW", "deviation of one site about it"),
    "sd_mw": ("MW", "deviation of all sites together"),
    "sd_law_mw": ("MW", "what s sqrt(N (1 + (N - 1) rho)) says"),
    "carbon_kt": ("kt", "carbon of the electricity"),
    "embodied_kt": ("kt", "carbon embodied in the computers"),
    "water_ml": ("Ml", "water, on site and for generation"),
}
"""Unit and meaning of each column of the table."""


def base_row(year: xr.Dataset) -> dict[str, Any]:
    """Return what the net does without any site."""
    x = year.sel(case="base")
    return {
        "losses_gwh": float(x["pl_mw"].sum()) * _hours(year) / 1e3,
        "overload_branches": int((x["overload_h"] > 0).sum()),
        "overload_h": float(x["overload_h"].sum()),
        "overload_hours": float((x["overloaded"] > 0).sum()) * _hours(year),
        "vm_pu_min": float(x["vm_pu_min"].min()),
        "vm_pu_max": float(x["vm_pu_max"].max()),
        "vm_off_h": float((x["vm_low_h"] + x["vm_high_h"]).sum()),
        "load_mw_max": float(year["p_load_mw"].max()),
        "load_mw_min": float(year["p_load_mw"].min()),
        "not_converged_h": float((~x["converged"] & year["p_load_mw"].notnull()).sum()) * _hours(year),
    }


def row(
    one: Served, year: xr.Dataset, outages: xr.Dataset | None, lost: xr.Dataset | None, lost_grid: xr.Dataset | None,
    carbon: Footprint,
) -> dict[str, Any]:  # fmt: skip
    """Return a layout's row of the table; what was not studied is NaN, and fluctuations are put in afterwards."""
    label, flow, tiers = one.label, one.made.flow, one.made.by_tier
    offered = sum(b["offered"] for b in flow.books.values())
    missed = sum(b["late"] for b in flow.books.values()) + sum(one.made.slow.values())
    taken = {c: float(flow.by_site["taken_on"].sel({"class": c}).sum()) for c in flow.books}
    x, base, per_h = year.sel(case=label), year.sel(case="base"), _hours(year)
    both = x["converged"] & base["converged"]
    total = one.made.load["p_mw"].values.sum(axis=1)
    below_mwh = 0.0
    if one.below is not None:
        below_mwh = float(one.steps["p_mw"].values.sum()) * per_h - float(tiers["meter_mwh"].sum())
    it, meter = float(tiers["it_mwh"].sum()), float(tiers["meter_mwh"].sum())
    whole = {str(k): float(v) for k, v in carbon.table().loc["all"].to_dict().items()}
    found: dict[str, Any] = {
        "sites": one.layout.sites,
        "connection_mw": one.layout.sites * one.layout.mw_each,
        "accelerators": int(one.made.load["accelerators"].sum()),
        "building": one.plan.sites[0].building().name,
        "peak_mw": float(total.max()),
        "energy_gwh": meter / 1e3,
        "it_gwh": it / 1e3,
        "pue": meter / it,
        "late_pu": missed / offered,
        "refused_pu": sum(b["refused"] for b in flow.books.values()) / offered,
        "network_ms": 1e3 * sum(flow.network_s[c] * n for c, n in taken.items()) / sum(taken.values()),
        "losses_gwh": (float((x["pl_mw"] - base["pl_mw"]).where(both).sum()) * per_h + below_mwh) / 1e3,
        "overload_new_branches": int((x["overload_new_h"] > 0).sum()),
        "overload_new_h": float(x["overload_new_h"].sum()),
        "overload_worse_h": float(x["overload_worse_h"].sum()),
        "overload_h": float(x["overload_h"].sum()),
        "vm_pu_min": float(x["vm_pu_min"].min()),
        "vm_pu_max": float(x["vm_pu_max"].max()),
        "vm_new_h": float(x["vm_new_h"].sum()),
        "not_converged_h": float((~x["converged"] & base["converged"]).sum()) * per_h,
    }
    found |= {name: np.nan for name in COLUMNS if name.startswith(("n1_", "lost_", "rho", "sd_"))}
    found |= {"step_percent": np.nan, "dropped_mw": np.nan}
    if outages is not None:
        n1 = outages.sel(layout=label)
        found |= {"n1_new": int(n1["overloaded_new"]), "n1_worse": int(n1["overloaded_worse"])}
        new = n1["loading_percent_max"].values[n1["breaks"].values == 2]
        found |= {"n1_new_percent": float(new.max()) if new.size else np.nan, "n1_unsolved": int(n1["unsolved_new"])}
    if lost is not None and lost_grid is not None:
        largest = lost.attrs["lost"]
        behind = float(lost["offered_per_s"].mean()) * (lost.sizes["time"] * lost.attrs["dt_s"] - lost.attrs["at_s"])
        refused = lost["refused"].sum("class")
        found |= {
            "lost_mw": float(lost["before_mw"].max()),
            "step_percent": 100.0 * float(np.abs(lost_grid["vm_step_pu"]).max()),
            "lost_overloads": int(lost_grid["overloaded_new"].max()),
            "lost_rerouted": float(lost["rerouted"].sel(case=largest)),
            "lost_late": max(float(lost["late"].sum("class").max()), 0.0),
            "lost_refused": float(refused.max()),
            "lost_refused_pu": float(refused.max()) / behind,
            "dropped_mw": float(lost_grid["dropped_mw"].max()),
        }
    per_day = round(86_400.0 / one.made.load.attrs["dt_s"])
    daily = total[: total.size // per_day * per_day].reshape(-1, per_day)
    found["daily_swing_mw"] = float((daily.max(axis=1) - daily.min(axis=1)).mean()) if daily.size else np.nan
    found |= {
        "carbon_kt": whole["carbon_t"] / 1e3,
        "embodied_kt": whole["embodied_t"] / 1e3,
        "water_ml": (whole["water_site_m3"] + whole["water_generation_m3"]) / 1e3,
    }
    return {name: found[name] for name in COLUMNS}


def carbon_series(path: Path) -> xr.DataArray:
    """Read the hourly carbon intensity of the grid, in g/kWh.

    Raises
    ------
    InputError
        If the file is none, or holds no such column, or something that is no number.
    """
    import pandas as pd

    try:
        table = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise bad("the carbon intensity cannot be read", f"{path}: {error}", "Give a CSV file.") from error
    if _CARBON not in table:
        cure = f"{nearest(_CARBON, table.columns)} Name one column {_CARBON}, a row for each hour."
        raise bad(f"{path.name} has no column {_CARBON}", ", ".join(map(str, table.columns)), cure)
    values = pd.to_numeric(table[_CARBON], errors="coerce").to_numpy(float)
    wrong = np.flatnonzero(~np.isfinite(values) | (values < 0))
    if wrong.size:
        value = f"row {int(wrong[0]) + 2}: {table[_CARBON].iloc[int(wrong[0])]}"
        raise bad(f"{path.name} holds no carbon intensity", value, "Give g/kWh, 0 or more, in each row.")
    return xr.DataArray(values, dims="time", coords={"time": 3600.0 * np.arange(values.size)})


def footprint_of(spec: FleetStudySpec, one: Served, carbon: xr.DataArray | None = None) -> Footprint:
    """Return carbon and water of a layout's year, by an hourly carbon intensity or the default one."""
    load = one.made.load
    mwh = {name: load[name].values.sum(axis=0) for name in ("p_mw", "p_it_mw")}
    with np.errstate(invalid="ignore", divide="ignore"):
        pue = np.where(mwh["p_it_mw"] > 0, mwh["p_mw"] / mwh["p_it_mw"], 1.0)
    return footprint(
        load, pue=pue, cooling=[spec.cooling.get(str(t), "mixed") for t in load["tier"].values],
        accelerators=load["accelerators"].values, factors=spec.factors, carbon=carbon,
        requests=one.made.flow.by_site["served"].sum("class").values,
    )  # fmt: skip


def requests_table(spec: FleetStudySpec, served: Mapping[str, Served]) -> pd.DataFrame:
    """Return one request of the first class by layout, and on a device that answers it with its own small model."""
    key = next(iter(spec.traffic))
    uses: dict[str, TierUse] = {}
    for label, one in served.items():
        tiers, load = one.made.by_tier, one.made.load
        tokens = float(tiers["tokens"].sum())
        kind = one.plan.traffic.of(key)
        answer = kind.mean_tokens()[1]
        busy = float((load["accelerators"].values * one.made.flow.data["load_pu"].values.mean(axis=1)).sum())
        mine = [s for s in one.made.services if s.name.split("@")[0] == key]
        uses[label] = TierUse(
            it_wh=float(tiers["it_mwh"].sum()) * 1e6 / tokens * answer, busy_s=mine[0].work_s,
            pue=float(tiers["meter_mwh"].sum() / tiers["it_mwh"].sum()),
            cooling=spec.cooling.get(str(load["tier"].values[0]), "mixed"),
            use_pu=busy / float(load["accelerators"].sum()),
        )  # fmt: skip
    kind = next(iter(served.values())).plan.traffic.of(key)
    tokens_in, tokens_out = kind.mean_tokens()
    work_s = spec.device.work_s(tokens_out, tokens_in)
    uses["device"] = TierUse(it_wh=spec.device.active_w * work_s / 3600.0, busy_s=work_s, device=True, use_pu=0.05)
    return per_request(uses, factors=spec.factors).to_dataframe()


def elements_table(year: xr.Dataset, season: Season) -> pd.DataFrame:
    """Return the branches that are over their limit in some hour of some case, the worst of each case first."""
    import pandas as pd

    from gridedge.grid.buses import branch_words

    rows = []
    for case in year["case"].values.tolist():
        x = year.sel(case=case)
        for k in np.flatnonzero(x["overload_h"].values > 0).tolist():
            branch = str(x["branch"].values[k])
            rows.append(
                {
                    "case": case, "branch": branch, "what": branch_words(season.net, branch),
                    "new_h": float(x["overload_new_h"][k]), "worse_h": float(x["overload_worse_h"][k]),
                    "h": float(x["overload_h"][k]),
                    "loading_percent_max": float(x["branch_loading_percent_max"][k]),
                    "hour": int(x["hour_of_loading"][k]),
                }
            )  # fmt: skip
    columns = ["case", "branch", "what", "new_h", "worse_h", "h", "loading_percent_max", "hour"]
    frame = pd.DataFrame(rows, columns=columns)
    frame["case"] = pd.Categorical(frame["case"], categories=year["case"].values.tolist(), ordered=True)
    frame = frame.sort_values(["case", "new_h", "h"], ascending=[True, False, False], kind="stable", ignore_index=True)
    return frame.assign(case=frame["case"].astype(str))


def sites_table(served: Mapping[str, Served], lost_grid: Mapping[str, xr.Dataset], room: pd.DataFrame) -> pd.DataFrame:
    """Return every site of every layout: where it is, what it does, and what binds at its bus.

    Returns
    -------
    DataFrame
        ``layout``, ``site``, ``bus``, ``bus_name``, ``vn_kv`` [kV], ``town``, ``lat``, ``lon`` [degree], ``tier``,
        ``size_mw``, ``mean_mw``, ``peak_mw``, ``energy_mwh`` at the meter, ``load_pu`` (mean share of its accelerators
        at work), ``served`` (requests), ``capacity_mw``, what the bus takes alone at the heaviest hour, ``binding``,
        the class of what stops more, with ``limit`` and ``element``; ``step_percent``, largest voltage step when it is
        lost, and ``overloads``, branches newly overloaded once its load has landed (NaN where that was not studied).
    """
    import pandas as pd

    rows = []
    for label, one in served.items():
        load, flow, grid = one.made.load, one.made.flow, lost_grid.get(label)
        per_h = float(load.attrs["dt_s"]) / 3600.0
        for k, site in enumerate(one.placement.sites):
            p = load["p_mw"].values[:, k]
            here: Any = room.loc[site.bus]
            rows.append(
                {
                    "layout": label, "site": site.site, "bus": site.bus, "bus_name": site.bus_name,
                    "vn_kv": float(here["vn_kv"]), "town": site.town, "lat": site.lat, "lon": site.lon,
                    "tier": str(load["tier"].values[k]), "size_mw": site.p_mw, "mean_mw": float(p.mean()),
                    "peak_mw": float(p.max()), "energy_mwh": float(p.sum()) * per_h,
                    "load_pu": float(flow.data["load_pu"].values[k].mean()),
                    "served": float(flow.by_site["served"].values[:, k].sum()),
                    "capacity_mw": float(here["capacity_mw"]), "binding": str(here["binding"]),
                    "limit": str(here["limit"]), "element": str(here["element"]),
                    "step_percent": np.nan if grid is None else 100.0 * np.abs(grid["vm_step_pu"].values[k]).max(),
                    "overloads": np.nan if grid is None else float(grid["overloaded_new"].values[k]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def _hours(year: xr.Dataset) -> float:
    return float(year.attrs["dt_s"]) / 3600.0
