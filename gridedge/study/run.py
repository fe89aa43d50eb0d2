"""The verb ``run``: one study file in, results and a report out."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridedge import schema
from gridedge.errors import bad
from gridedge.measure.finding import Finding
from gridedge.measure.limit_sets import VoltageLimit
from gridedge.measure.limits import check_limits
from gridedge.measure.rulebook import AnyRule, Rulebook, VoltageChangeRule, check, load_rulebook
from gridedge.measure.voltage_report import VoltageReport, voltage_report
from gridedge.profiles.job import TrainingProfile
from gridedge.study import answer, describe, store
from gridedge.study.campus import Campus, build_campus
from gridedge.study.kinds import kind_of
from gridedge.study.model import Study, StudySpec, load_study
from gridedge.study.picture import picture
from gridedge.study.result import Result
from gridedge.study.seconds import within_seconds
from gridedge.study.tasks import FlowTask, Window, feeder_of, solve_all
from gridedge.study.weigh import weigh

WITHOUT_SITE = "without the site"
_PARTS = ("season", "season_mean", "window_peak", "window_lightest")


def run(
    study: str | Path | Mapping[str, Any] | StudySpec = "default",
    *,
    out: str | Path | None = None,
    settings: Iterable[str] = (),
    executor: Executor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Result:
    """Run a study.

    Parameters
    ----------
    study : str, path, dict or StudySpec
        A shipped study's name, a YAML file, its content, or the spec itself.
    out : str or path, optional
        Folder to write to: one NetCDF per strategy, ``summary.csv``, ``findings.json``, ``voltage.csv`` and
        ``voltage.json``, ``manifest.json`` and ``report.html``; with ``compare`` also ``comparison.csv`` and
        ``comparison.json``.  Nothing is written if left out, and nothing half.
    settings : iterable of str
        ``KEY.SUBKEY=VALUE`` put over the study.
    executor : concurrent.futures.Executor, optional
        Solves the power flows; the numbers do not depend on it.
    progress : callable, optional
        Called with the power flows done and their total.

    Returns
    -------
    Result

    Raises
    ------
    InputError
        If the study or a file it names cannot be used; every problem is listed.
    RunError
        If no step of a power flow converges.

    Examples
    --------
    >>> result = run("default")  # doctest: +SKIP
    >>> result.summary  # doctest: +SKIP
    """
    began = time.perf_counter()
    settings = [settings] if isinstance(settings, str) else list(settings)
    kind = kind_of(study, settings)
    if kind != "site":
        what = str(study) if isinstance(study, str | Path) else "a dict"
        said = {"hosting": "hosting capacity", "fleet": "a fleet"}[kind]
        raise bad(f"this is a study of {said}", what, f"Use gridedge.run_{kind}, or `gridedge run`.")
    loaded = load_study(study, settings)
    if out is None:
        return _solve(loaded, executor, progress, began)
    with store.output_folder(Path(out)) as folder:
        result = _solve(loaded, executor, progress, began)
        store.write(result, folder)
        from gridedge.report.page import write_report

        write_report(result, folder / store.REPORT)
    return replace(result, out=Path(out))


def _solve(
    study: Study,
    executor: Executor | None,
    progress: Callable[[int, int], None] | None,
    began: float,
) -> Result:
    from gridedge.grid.condition import condition
    from gridedge.grid.feeders import find_bus

    spec, base = study.spec, study.base
    with study.at("rulebook"):
        rules = None if spec.rulebook is None else load_rulebook(_beside(spec.rulebook, base))
    where = _beside(spec.feeder, base)
    with study.at("feeder"):
        feeder = feeder_of(where, spec.reference_bus)
    with study.at("site", "bus"):
        bus, bus_name = find_bus(feeder.net, spec.site.bus)
    with study.at("load"):
        campus = build_campus(spec, base, bus)
    comparison, battery = weigh(study, campus.servers)
    season_s, shape = _season(spec)
    tasks = _tasks(spec, where, campus, season_s, shape, bus)
    flows = solve_all(tasks, executor, progress)

    data, findings, rows = {}, {}, {}
    for label, wave in campus.strategies.items():
        parts = {part: flows[label, part].assign_attrs(site_bus=bus) for part in _PARTS}
        parts["waveform"] = _for_report(wave)
        findings[label] = _findings(spec, rules, campus, parts, wave, flows["", "without site"])
        findings[label] += within_seconds(
            {words: parts[part] for part, words in _WINDOWS.items()},
            vn_kv=float(feeder.net.bus.at[bus, "vn_kv"]),
            f_hz=float(feeder.net.f_hz),
            held=spec.waveform.sources == "held",
        )
        rows[label] = answer.summary_row({**parts, "waveform": wave}, spec.waveform.dt_s)
        data[label] = xr.DataTree.from_dict(parts)
    notes = [
        *feeder.notes,
        *condition(feeder.net),
        *campus.notes,
        *describe.notes(spec, feeder.net, campus, flows, shape),
    ]
    summary = pd.DataFrame.from_dict(rows, orient="index")
    return Result(
        title=spec.title,
        question=spec.question,
        answer=[
            *answer.sentences(findings, rows, spec.background.days),
            *answer.weighed(comparison, battery, _behind(spec)),
        ],
        facts=describe.facts(spec, campus, feeder, bus, bus_name, season_s, shape, flows),
        notes=list(dict.fromkeys(notes)),
        findings=findings,
        summary=summary,
        assumptions=describe.assumptions(spec),
        manifest=describe.manifest(spec, feeder, flows, began),
        data=data,
        base=flows["", "without site"],
        network=picture(feeder.net, flows["", "without site"], bus),
        limits={k: v for k, v in (("vm_pu", spec.limits.vm_pu), ("loading_percent", spec.limits.loading_percent)) if v},
        zoom_s=spec.load.period_s if isinstance(spec.load, TrainingProfile) else None,
        equipment=campus.equipment,
        comparison=comparison,
        battery=battery,
        marks=describe.marks(spec, rules),
        bands=describe.bands(spec, rules),
        voltage=_voltage(spec, flows, list(campus.strategies)),
    )


def _voltage(
    spec: StudySpec, flows: Mapping[tuple[str, str], xr.Dataset], strategies: list[str]
) -> dict[str, VoltageReport]:
    """Return the voltage report of the season without the site and of each strategy, by label."""
    band = spec.limits.vm_pu
    own = [VoltageLimit(limit="voltage", name="the study's band", vm_pu=band)] if band is not None else []
    named = {WITHOUT_SITE: flows["", "without site"], **{label: flows[label, "season"] for label in strategies}}
    reports = {}
    for label, season in named.items():
        if np.isfinite(season["vm_pu"].values).any():
            reports[label] = voltage_report(season, [*own, "en50160"])
    return reports


def _behind(spec: StudySpec) -> str | None:
    return None if spec.compare is None else spec.compare.behind


def _beside(name: str, base: Path) -> str:
    """Return a name as it is, and a relative path as seen from the study's folder."""
    beside = base / name
    return str(beside) if beside.is_file() else name


def _season(spec: StudySpec) -> tuple[np.ndarray, np.ndarray]:
    shape = spec.background.shape
    steps = len(shape.values) * spec.background.days
    return shape.step_s * np.arange(steps), shape.factor(steps)


def _tasks(
    spec: StudySpec, feeder: str, campus: Campus, season_s: np.ndarray, shape: np.ndarray, bus: int
) -> list[FlowTask]:
    step_s = spec.background.shape.step_s
    one = (feeder, spec.reference_bus, spec.background.generation)
    tasks = [FlowTask("", "without site", *one, None, shape, season_s, step_s, taps=spec.taps)]
    for label, wave in campus.strategies.items():
        for part, how in (("season", "max"), ("season_mean", "mean")):
            held = _held(wave, how, season_s, step_s)
            tasks.append(FlowTask(label, part, *one, held, shape, season_s, step_s, taps=spec.taps))
        for part, hour in (("window_peak", int(np.argmax(shape))), ("window_lightest", int(np.argmin(shape)))):
            cut = _window(wave, campus.window_start_s, spec.waveform.window_s, spec.waveform.dt_s)
            start = cut["time"].values[:1]
            fine = Window(bus, spec.waveform.for_solve(), spec.waveform.tol_vm_pu)
            length_s = spec.waveform.window_s
            tasks.append(FlowTask(label, part, *one, cut, shape[[hour]], start, length_s, fine, spec.taps))
    return tasks


def _held(wave: xr.Dataset, how: str, season_s: np.ndarray, step_s: float) -> xr.Dataset:
    """Return the site's power on the season's clock: the measured stretch reduced, and held throughout.

    At the highest power, reactive power is that of the same sample: its own largest value may belong to another one.
    """
    power = wave[["p_mw", "q_mvar"]]
    reduced = (
        power.mean("time") if how == "mean" else power.isel(time=int(wave["p_mw"].values[:, 0].argmax()), drop=True)
    )
    held = reduced.expand_dims(time=season_s).transpose("time", "site")
    held.attrs = {"dt_s": step_s, "reduction": f"time: {how} over the measured stretch, held"}
    return schema.describe(held.assign_coords(bus=wave["bus"]))


def _window(wave: xr.Dataset, start_s: float, length_s: float, dt_s: float) -> xr.Dataset:
    first = round(start_s / dt_s)
    return wave[["p_mw", "q_mvar"]].isel(time=slice(first, first + round(length_s / dt_s))).assign_attrs(dt_s=dt_s)


def _for_report(wave: xr.Dataset) -> xr.Dataset:
    """Return the waveform of the one site as plain series over time."""
    flat = wave.isel(site=0, drop=True)
    if "soc_pu" in flat:
        flat = flat.isel(storage=0, drop=True) if flat.sizes["storage"] == 1 else flat
    return flat


def _findings(
    spec: StudySpec,
    rules: Rulebook | None,
    campus: Campus,
    parts: Mapping[str, xr.Dataset],
    wave: xr.Dataset,
    base: xr.Dataset,
) -> list[Finding]:
    metered = wave[["p_mw"]].assign_attrs(size_mw=campus.p_meter_peak_mw, dt_s=spec.waveform.dt_s)
    found = _against(spec.requirement, metered, parts)
    factor = _season(spec)[1]
    hours = {
        "season": ("season", slice(None)),
        "window_peak": (_WINDOWS["window_peak"], [int(np.argmax(factor))]),
        "window_lightest": (_WINDOWS["window_lightest"], [int(np.argmin(factor))]),
    }
    for part, (words, hour) in hours.items():
        own = base.isel(time=hour)
        found += check_limits(parts[part], spec.limits, where=words, base=own)
    if rules is not None:
        found += [replace(f, decides=False) for f in _against(rules.rules, metered, parts)]
    return found


def _against(rules: Sequence[AnyRule], metered: xr.Dataset, parts: Mapping[str, xr.Dataset]) -> list[Finding]:
    """Test rules on the power on the measured stretch, and those on the voltage on the windows that were solved."""
    voltage = [rule for rule in rules if isinstance(rule, VoltageChangeRule)]
    power = [rule for rule in rules if not isinstance(rule, VoltageChangeRule)]
    found = check(metered, power) if power else []
    for part, words in _WINDOWS.items():
        at_site = parts[part].assign_attrs(size_mw=metered.attrs["size_mw"])
        found += [replace(f, where=f"{words}, {f.where}") for f in check(at_site, voltage)] if voltage else []
    return found


_WINDOWS = {"window_peak": "window at the peak", "window_lightest": "window at the lightest hour"}
