"""The verb ``run_hosting``: one study of hosting capacity in; table, map and report out."""

from __future__ import annotations

import datetime
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gridedge.planning.hosting.result import HostingResult
from gridedge.spec import Assumption
from gridedge.study import hosting_words as words
from gridedge.study import store
from gridedge.study.hosting_model import HostingSpec, HostingStudy, load_hosting

if TYPE_CHECKING:
    import pandas as pd

    from gridedge.plot.hosting_map import HostingPicture


@dataclass(frozen=True, eq=False)
class HostingStudyResult:
    """The results of a study of hosting capacity.

    Parameters
    ----------
    title, question : str
        As the study says them.
    answer : list of str
        What came out, in sentences.
    facts : list of (str, str)
        What was asked of what: label, and value with its unit.
    notes : list of str
        What must be known before a number is trusted.
    table : DataFrame
        By bus: the fields of published maps, as :func:`gridedge.planning.hosting.published.published` gives them.
    found : HostingResult
        The answers themselves.
    bottlenecks, limits : list of dict
        The elements that stop most buses; what was held, and how well it is known.
    not_studied : list of str
        What the answer says nothing about.
    assumptions : list of Assumption
        Every number that the result stands on.
    manifest : dict
        Versions, hashes, engine, time taken.
    picture : HostingPicture or None
        What is drawn; None where the net can be drawn in no way, and ``not_drawn`` says why.
    not_drawn, no_places : str
        Why there is no map, and why no GeoJSON; empty where there is.
    requested_mw : float or None
        A wished size. [MW]
    out : Path or None
        Folder the result was written to.
    """

    title: str
    question: str
    answer: list[str]
    facts: list[tuple[str, str]]
    notes: list[str]
    table: pd.DataFrame
    found: HostingResult
    bottlenecks: list[dict[str, Any]]
    limits: list[dict[str, str]]
    not_studied: list[str]
    assumptions: list[Assumption]
    manifest: dict[str, Any]
    picture: HostingPicture | None
    not_drawn: str
    no_places: str
    requested_mw: float | None = None
    out: Path | None = None


def run_hosting(
    study: str | Path | Mapping[str, Any] | HostingSpec,
    *,
    out: str | Path | None = None,
    settings: Iterable[str] = (),
    date: str | None = None,
) -> HostingStudyResult:
    """Run a study of hosting capacity.

    Parameters
    ----------
    study : str, path, dict or HostingSpec
        A shipped study's name, a YAML file with ``study: hosting``, its content, or the spec itself.
    out : str or path, optional
        Folder to write to: ``hosting.csv``, ``hosting.json``, ``hosting.geojson`` (where the net has places on the
        earth), ``map.svg``, ``study.yaml``, ``manifest.json`` and ``report.html``.  Nothing is written if left out,
        and nothing half.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the study.
    date : str, optional
        Date that the table carries, ``2026-11-22``; today if left out.

    Returns
    -------
    HostingStudyResult

    Raises
    ------
    InputError
        If the study or a file it names cannot be used; every problem is listed.
    RunError
        If the net has no solution as it stands, or an answer differs from ``runpp``.

    Examples
    --------
    >>> result = run_hosting("hosting-oberrhein")  # doctest: +SKIP
    >>> result.table["capacity_mw"]  # doctest: +SKIP
    """
    began = time.perf_counter()
    loaded = load_hosting(study, settings)
    today = date or datetime.date.today().isoformat()
    if out is None:
        return _solve(loaded, today, began)
    with store.output_folder(Path(out)) as folder:
        result = _solve(loaded, today, began)
        _write(result, loaded.spec, folder)
        from gridedge.report.hosting_page import write_hosting_report

        write_hosting_report(result, folder / store.REPORT)
    return replace(result, out=Path(out))


def _solve(study: HostingStudy, date: str, began: float) -> HostingStudyResult:
    from gridedge.grid.feeders import load_feeder
    from gridedge.grid.selection import select_buses
    from gridedge.planning.hosting.capacity import hosting_capacity
    from gridedge.planning.hosting.published import published

    spec, limits = study.spec, study.limits()
    beside = study.base / spec.feeder
    with study.at("feeder"):
        feeder = load_feeder(str(beside) if beside.is_file() else spec.feeder, reference_bus=spec.reference_bus)
    with study.at("within" if spec.within else "buses"):
        buses, said = select_buses(feeder.net, spec.buses, spec.within)
    background = _background(spec, feeder.net)
    given = spec.forwarded()
    for name in ("n_minus_1", "waveform"):  # a file is looked for beside the study
        if isinstance(given.get(name), str) and (study.base / given[name]).is_file():
            given[name] = str(study.base / given[name])
    found = hosting_capacity(feeder.net, buses=buses, limits=limits, background=background, **given)
    steps = 1 if background is None else next(iter(background.values())).sizes["time"]
    table = published(found, feeder.net, date)
    picture, not_drawn, no_places = _picture(table, feeder.net)
    took_s = time.perf_counter() - began
    return HostingStudyResult(
        title=spec.title,
        question=spec.question,
        answer=words.sentences(table, found, spec.requested_mw),
        facts=words.facts(spec, feeder, found, steps, took_s),
        notes=list(dict.fromkeys([*feeder.notes, *said, *found.remarks])),
        table=table,
        found=found,
        bottlenecks=words.bottlenecks(table),
        limits=words.limit_rows(found.limits),
        not_studied=words.not_studied(spec, found),
        assumptions=words.assumptions(spec),
        manifest=words.manifest(spec, feeder, found, steps, began),
        picture=picture,
        not_drawn=not_drawn,
        no_places=no_places,
        requested_mw=spec.requested_mw,
    )


def _background(spec: HostingSpec, net: Any) -> dict[str, Any] | None:
    if spec.background is None:
        return None
    from gridedge.grid.inject import scaled_background

    shape = spec.background.shape
    steps = len(shape.values) * spec.background.days
    tables = ("load", "sgen", "gen") if spec.background.generation == "follow" else ("load",)
    time_s = shape.step_s * np.arange(steps, dtype=np.float64)
    made = {t: scaled_background(net, t, shape.factor(steps), time_s) for t in tables if len(net[t])}
    for ds in made.values():
        ds.attrs["dt_s"] = shape.step_s
    return made


def _picture(table: pd.DataFrame, net: Any) -> tuple[HostingPicture | None, str, str]:
    from gridedge.errors import InputError
    from gridedge.grid.drawing import drawing
    from gridedge.plot.hosting_map import hosting_picture

    drawn = drawing(net)
    try:
        return hosting_picture(table, drawn), "", drawn.places.why_not
    except InputError as error:
        return None, str(error), drawn.places.why_not


def _write(result: HostingStudyResult, spec: HostingSpec, folder: Path) -> None:
    import json

    from gridedge.formats.hosting_files import write_csv, write_geojson, write_json

    write_csv(result.table, folder / "hosting.csv")
    about = {"title": result.title, "answer": result.answer, "remarks": result.notes}
    more = {"limits_held": result.limits, "bottlenecks": result.bottlenecks, "not_studied": result.not_studied}
    write_json({**about, **more, **result.found.to_dict()}, folder / "hosting.json")
    if not result.no_places:
        write_geojson(result.table, folder / "hosting.geojson", **about)
    if result.picture is not None:
        from gridedge.plot.hosting_svg import write_svg

        held = ", ".join(row["name"] for row in result.limits) or "no limits"
        below = f"{len(result.table)} buses, each asked alone; {held}"
        write_svg(result.picture, folder / "map.svg", result.title, below)
    (folder / "study.yaml").write_text(spec.to_yaml(), encoding="utf-8")
    files = sorted([*(path.name for path in folder.iterdir()), store.MANIFEST, store.REPORT])
    kept = {**result.manifest, "files": files}
    (folder / store.MANIFEST).write_text(json.dumps(kept, indent=1), encoding="utf-8")
