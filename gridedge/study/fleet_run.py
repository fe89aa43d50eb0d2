"""The verb ``run_fleet``: the same inference at few or many sites of a net in; one table, one page out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr

from gridedge import schema
from gridedge.study import fleet_grid, fleet_layout, fleet_table, store
from gridedge.study import fleet_words as words
from gridedge.study.fleet_below import below_of
from gridedge.study.fleet_model import FleetStudy, FleetStudySpec, load_fleet_study
from gridedge.study.fleet_result import FleetStudyResult
from gridedge.study.fleet_swings import fluctuations

if TYPE_CHECKING:
    from gridedge.grid.season import Season
    from gridedge.study.fleet_layout import Served

_WEEK_S = 7 * 86_400.0


def run_fleet(
    study: str | Path | Mapping[str, Any] | FleetStudySpec,
    *,
    out: str | Path | None = None,
    settings: Iterable[str] = (),
    executor: Executor | None = None,
    progress: Callable[[str], None] | None = None,
) -> FleetStudyResult:
    """Run a study of a fleet: the same requests, served at few or many sites of one net, over the net's year.

    Parameters
    ----------
    study : str, path, dict or FleetStudySpec
        A shipped study's name, a YAML file with ``study: fleet``, its content, or the spec itself.
    out : str or path, optional
        Folder to write to: ``layouts.csv``, ``sites.csv``, ``elements.csv``, ``fluctuations.csv``, ``requests.csv``,
        ``fleet.json``, ``year.nc``, ``study.yaml``, ``manifest.json`` and ``report.html``.  Nothing is written if left
        out, and nothing half.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the study.
    executor : Executor, optional
        Solves outages; this process alone if left out.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    FleetStudyResult

    Raises
    ------
    InputError
        If the study or a file it names cannot be used; every problem is listed.
    RunError
        If the net has no solution as it stands, or a state differs from ``runpp``.

    Examples
    --------
    >>> result = run_fleet("dallas-gigawatt")  # doctest: +SKIP
    >>> result.table["energy_gwh"]  # doctest: +SKIP
    """
    began = time.perf_counter()
    loaded = load_fleet_study(study, settings)
    tell = progress or (lambda _: None)
    if out is None:
        return _solve(loaded, executor, tell, began)
    with store.output_folder(Path(out)) as folder:
        result = _solve(loaded, executor, tell, began)
        _write(result, loaded.spec, folder)
    return replace(result, out=Path(out))


def _solve(study: FleetStudy, executor: Executor | None, tell: Callable[[str], None], began: float) -> FleetStudyResult:
    from gridedge.grid.drawing import drawing
    from gridedge.grid.feeders import load_feeder

    spec = study.spec
    tell("reading the net")
    beside = study.base / spec.feeder
    with study.at("feeder"):
        feeder = load_feeder(str(beside) if beside.is_file() else spec.feeder, reference_bus=spec.reference_bus)
        season = fleet_grid.season_of(spec, feeder.net)
    with study.at("places"):
        places = fleet_layout.places_of(spec, feeder.net)
    intensity = None
    if spec.carbon is not None:
        with study.at("carbon"):
            intensity = fleet_table.carbon_series(study.base / spec.carbon)
    tell("placing sites")
    with study.at("layouts"):
        placements = fleet_layout.place_layouts(spec, feeder.net)
    with study.at("serve"):
        plans = fleet_layout.plans_of(spec, placements, places, spec.start or season.start)
    served = {}
    for label, plan in plans.items():
        tell(f"a year of requests at {label}")
        with study.at("layouts", label, "under"):
            below = below_of(spec, label, study.base)
        served[label] = fleet_layout.serve_year(spec, label, placements[label], plan, season, below)
    tell("the net's year")
    year = fleet_grid.year_of(spec, season, served)
    lost, lost_grid = {}, {}
    if spec.losing() is not None:
        for label, one in served.items():
            tell(f"losing each site of {label}")
            lost[label] = fleet_layout.lose_sites(spec, one, season.heaviest, season)
            lost_grid[label] = fleet_grid.lost_sites(season, one, lost[label])
    outages = None
    if spec.n_minus_1:
        tell("every outage at the heaviest hour")
        outages = fleet_grid.outages_of(season, served, executor)
    tell("fluctuations, carbon and what else would fit")
    swings, traces, remarks = fluctuations(spec, served) if spec.swings() is not None else (None, None, [])
    carbon = {label: fleet_table.footprint_of(spec, one, intensity) for label, one in served.items()}
    rows = {
        label: fleet_table.row(one, year, outages, lost.get(label), lost_grid.get(label), carbon[label])
        for label, one in served.items()
    }
    table = pd.DataFrame.from_dict(rows, orient="index")
    if swings is not None:
        for name in ("rho", "sd_site_mw", "sd_mw", "sd_law_mw"):
            table[name] = swings.loc[table.index, name].astype(float)
    room, single = fleet_grid.room_of(spec, season, served)
    room["single"] = room.index.isin(single)
    base = fleet_table.base_row(year)
    pues = {s.building().name: s.building().pue for one in served.values() for s in one.plan.sites}
    days, took_s = season.time_s.size * season.dt_s / 86_400.0, time.perf_counter() - began
    return FleetStudyResult(
        title=spec.title,
        question=spec.question,
        answer=words.sentences(spec, table, base, room, swings, pues, days, served),
        facts=words.facts(spec, season, served, feeder, year, took_s),
        notes=words.notes(feeder, year, outages, lost_grid, placements, served, remarks),
        table=table,
        base=base,
        elements=fleet_table.elements_table(year, season),
        sites=fleet_table.sites_table(served, lost_grid, room),
        year=year,
        outages=outages,
        lost=lost,
        lost_grid=lost_grid,
        week={label: _week(one, season) for label, one in served.items()},
        latency={label: fleet_layout.latency(spec, one) for label, one in served.items()},
        swings=swings,
        traces=traces,
        footprint=pd.DataFrame({label: one.table().loc["all"] for label, one in carbon.items()}).T,
        request=fleet_table.requests_table(spec, served),
        room=room,
        placements=placements,
        drawing=drawing(feeder.net),
        assumptions=words.assumptions(spec, served, next(iter(carbon.values()))),
        not_studied=words.not_studied(spec),
        manifest=words.manifest(spec, feeder, year, outages, lost, served, began),
        places=places,
    )


def _week(one: Served, season: Season) -> xr.Dataset:
    """Return the week around the net's heaviest hour by tier, from a midnight on."""
    load = one.made.load
    middle = float(season.time_s[season.heaviest])
    first = max(0.0, (middle - 3 * 86_400.0) // 86_400.0 * 86_400.0)
    time_s = load["time"].values
    first = min(first, max(float(time_s[-1]) + load.attrs["dt_s"] - _WEEK_S, 0.0))
    here = (time_s >= first) & (time_s < first + _WEEK_S)
    tiers = sorted(set(load["tier"].values.tolist()))
    by = {
        name: np.stack([load[name].values[here][:, load["tier"].values == t].sum(axis=1) for t in tiers], axis=1)
        for name in ("p_mw", "p_it_mw")
    }
    week = xr.Dataset({n: (("time", "tier"), v) for n, v in by.items()}, coords={"time": time_s[here], "tier": tiers})
    if one.made.homes is not None:
        week["homes_mw"] = ("time", one.made.homes["p_mw"].values[here])
    week.attrs = {"dt_s": load.attrs["dt_s"], "start": season.start}
    return schema.describe(week)


def _write(result: FleetStudyResult, spec: FleetStudySpec, folder: Path) -> None:
    from gridedge.report.fleet_page import write_fleet_report

    result.table.T.rename_axis("quantity").to_csv(folder / "layouts.csv")
    result.sites.to_csv(folder / "sites.csv", index=False)
    result.elements.to_csv(folder / "elements.csv", index=False)
    result.request.rename_axis("layout").to_csv(folder / "requests.csv")
    if result.swings is not None:
        result.swings.rename_axis("load").to_csv(folder / "fluctuations.csv")
    plain = {
        "title": result.title, "question": result.question, "answer": result.answer, "remarks": result.notes,
        "base": result.base, "layouts": json.loads(result.table.to_json(orient="index")),
        "units": {name: {"unit": unit, "meaning": meaning} for name, (unit, meaning) in fleet_table.COLUMNS.items()},
        "not_studied": result.not_studied, "assumptions": [a.to_dict() for a in result.assumptions],
    }  # fmt: skip
    (folder / "fleet.json").write_text(json.dumps(plain, indent=1, allow_nan=False), encoding="utf-8")
    store.write_dataset(result.year, folder / "year.nc")
    (folder / "study.yaml").write_text(spec.to_yaml(), encoding="utf-8")
    write_fleet_report(result, folder / store.REPORT)
    files = sorted([*(path.name for path in folder.iterdir()), store.MANIFEST])
    (folder / store.MANIFEST).write_text(json.dumps({**result.manifest, "files": files}, indent=1), encoding="utf-8")
