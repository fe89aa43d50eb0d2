"""The verb ``run``: one study file in, results and a report out."""

from __future__ import annotations

import importlib.metadata
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from gridedge import schema
from gridedge.measure.finding import Finding
from gridedge.measure.limits import check_limits
from gridedge.measure.rulebook import Rulebook, check, load_rulebook
from gridedge.profiles.measured import MeasuredProfile
from gridedge.profiles.training import TrainingProfile
from gridedge.spec import Assumption
from gridedge.study import answer, store
from gridedge.study.campus import Campus, build_campus
from gridedge.study.model import Study, StudySpec, load_study
from gridedge.study.result import Result
from gridedge.study.tasks import FlowTask, feeder_of, solve_all

_PARTS = ("season", "season_mean", "window_peak", "window_lightest")
_VERSIONS = ("gridedge", "pandapower", "numpy", "scipy", "pandas", "xarray")
_LOWER_BOUND = (
    "Sources are held at their set-point on the waveform's clock, so the voltage swings of the windows are a lower "
    "bound; each sample of a window is a quasi-steady power flow."
)
_SEASON = (
    "Over the season the site stands at the highest power of its measured stretch for voltages and loadings, and at "
    "its mean for losses; taps are held."
)


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
        Folder to write to: one NetCDF per strategy, ``summary.csv``, ``findings.json``, ``manifest.json`` and
        ``report.html``.  Nothing is written if left out, and nothing half.
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
    season_s, shape = _season(spec)
    tasks = _tasks(spec, where, campus, season_s, shape)
    flows = solve_all(tasks, executor, progress)

    data, findings, rows = {}, {}, {}
    for label, wave in campus.strategies.items():
        parts = {part: flows[label, part].assign_attrs(site_bus=bus) for part in _PARTS}
        parts["waveform"] = _for_report(wave)
        findings[label] = _findings(spec, rules, campus, parts, wave, flows["", "without site"])
        rows[label] = answer.summary_row({**parts, "waveform": wave}, spec.waveform.dt_s)
        data[label] = xr.DataTree.from_dict(parts)
    inverters = [
        f"{label}: the storage's inverter needs {wave.attrs['storage_inverter_mva']:.3g} MVA to give its power and to "
        "keep the power factor at the meter."
        for label, wave in campus.strategies.items()
        if "storage_inverter_mva" in wave.attrs
    ]
    generators = _generation_note(spec, feeder.net, shape)
    remarks = [remark for ds in flows.values() for remark in ds.attrs["remarks"]]
    notes = [
        *feeder.notes,
        *condition(feeder.net),
        *campus.notes,
        *remarks,
        *generators,
        *inverters,
        _LOWER_BOUND,
        _SEASON,
    ]
    summary = pd.DataFrame.from_dict(rows, orient="index")
    return Result(
        title=spec.title,
        question=spec.question,
        answer=answer.sentences(findings, rows, spec.background.days),
        facts=_facts(spec, campus, feeder, bus, bus_name, season_s, shape),
        notes=list(dict.fromkeys(notes)),
        findings=findings,
        summary=summary,
        assumptions=_assumptions(spec),
        manifest=_manifest(spec, feeder, flows, began),
        data=data,
        base=flows["", "without site"],
        network=_picture(feeder.net, flows["", "without site"], bus),
        limits={k: v for k, v in (("vm_pu", spec.limits.vm_pu), ("loading_percent", spec.limits.loading_percent)) if v},
        zoom_s=spec.load.period_s if isinstance(spec.load, TrainingProfile) else None,
    )


def _beside(name: str, base: Path) -> str:
    """Return a name as it is, and a relative path as seen from the study's folder."""
    beside = base / name
    return str(beside) if beside.is_file() else name


def _season(spec: StudySpec) -> tuple[np.ndarray, np.ndarray]:
    shape = spec.background.shape
    steps = len(shape.values) * spec.background.days
    return shape.step_s * np.arange(steps), shape.factor(steps)


def _tasks(spec: StudySpec, feeder: str, campus: Campus, season_s: np.ndarray, shape: np.ndarray) -> list[FlowTask]:
    step_s = spec.background.shape.step_s
    one = (feeder, spec.reference_bus, spec.background.generation)
    tasks = [FlowTask("", "without site", *one, None, shape, season_s, step_s)]
    for label, wave in campus.strategies.items():
        for part, how in (("season", "max"), ("season_mean", "mean")):
            tasks.append(FlowTask(label, part, *one, _held(wave, how, season_s, step_s), shape, season_s, step_s))
        for part, hour in (("window_peak", int(np.argmax(shape))), ("window_lightest", int(np.argmin(shape)))):
            cut = _window(wave, campus.window_start_s, spec.waveform.window_s, spec.waveform.dt_s)
            start = cut["time"].values[:1]
            tasks.append(FlowTask(label, part, *one, cut, shape[[hour]], start, spec.waveform.window_s))
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
    found = check(metered, list(spec.requirement)) if spec.requirement else []
    factor = _season(spec)[1]
    hours = {
        "season": ("season", slice(None)),
        "window_peak": ("window at the peak", [int(np.argmax(factor))]),
        "window_lightest": ("window at the lightest hour", [int(np.argmin(factor))]),
    }
    for part, (words, hour) in hours.items():
        own = base.isel(time=hour)
        found += check_limits(parts[part], spec.limits, where=words, base=own)
    if rules is not None:
        found += [replace(f, decides=False) for f in check(metered, rules)]
    return found


def _generation_note(spec: StudySpec, net: Any, shape: np.ndarray) -> list[str]:
    """Say what the slack does when loads move and generators do not."""
    own = sum(float((net[t].p_mw * net[t].scaling)[net[t].in_service].sum()) for t in ("gen", "sgen") if len(net[t]))
    if own <= 0 or spec.background.generation == "follow":
        return []
    load = float((net.load.p_mw * net.load.scaling)[net.load.in_service].sum())
    return [
        f"The net's own generators keep their {own:.4g} MW while its loads fall from {load * shape.max():.4g} to "
        f"{load * shape.min():.4g} MW: the slack takes the difference, unless background.generation is `follow`."
    ]


def _facts(
    spec: StudySpec, campus: Campus, feeder: Any, bus: int, bus_name: str, season_s: np.ndarray, shape: np.ndarray
) -> list[tuple[str, str]]:
    wave, net = spec.waveform, feeder.net
    peak, light = float(season_s[int(np.argmax(shape))]), float(season_s[int(np.argmin(shape))])
    return [
        ("Feeder", f"{feeder.name}: {feeder.title}"),
        ("Source of the feeder", f"{feeder.source} ({feeder.licence})"),
        ("Connection", f"bus index {bus}, named {bus_name!r}, {net.bus.vn_kv.at[bus]:g} kV"),
        ("Servers", f"{campus.servers} x {campus.server_name}"),
        ("Nameplate power", f"{campus.nameplate_mw:.4g} MW"),
        ("Highest IT power, no mitigation", f"{campus.p_it_peak_mw:.4g} MW"),
        ("Highest power at the meter, no mitigation", f"{campus.p_meter_peak_mw:.4g} MW"),
        (
            "Power factor at the meter",
            f"{spec.site.facility.power_factor:g} ({_lead(spec.site.facility.power_factor)})",
        ),
        ("Load", spec.load.title or spec.load.kind),
        (
            "Season",
            f"{season_s.size} steps of {spec.background.shape.step_s / 60:g} min; {spec.background.shape.title}",
        ),
        (
            "Peak and lightest step",
            f"{_clock(peak)} at factor {shape.max():.3g}, {_clock(light)} at factor {shape.min():.3g}",
        ),
        (
            "Waveform",
            f"{wave.measure_s:g} s at {wave.dt_s:g} s measured; {wave.window_s:g} s of it, from "
            f"{campus.window_start_s:g} s on, through the power flow at the peak and at the lightest step",
        ),
    ]


def _lead(power_factor: float) -> str:
    return "leading" if power_factor < 0 else "lagging"


def _clock(time_s: float) -> str:
    day, second = divmod(int(time_s), 86400)
    text = f"{second // 3600:02d}:{second % 3600 // 60:02d}"
    return text if day == 0 else f"day {day + 1}, {text}"


def _assumptions(spec: StudySpec) -> list[Assumption]:
    shape = spec.background.shape
    return [
        a for a in spec.assumptions() if not a.name.startswith(("background.shape.", "load.expected", "load.servers"))
    ] + [Assumption("background.shape", shape.title, "quoted", f"{shape.source} ({shape.licence})")]


def _manifest(
    spec: StudySpec, feeder: Any, flows: Mapping[tuple[str, str], xr.Dataset], began: float
) -> dict[str, Any]:
    first = next(iter(flows.values()))
    return {
        "study": spec.title,
        "spec_sha256": spec.hash(),
        "seed": spec.seed,
        "spec": spec.to_dict(),
        "feeder": {"name": feeder.name, "source": feeder.source, "licence": feeder.licence, "cite": feeder.cite},
        "trace": spec.load.trace if isinstance(spec.load, MeasuredProfile) else None,
        "engine": first.attrs["engine"],
        "engine_detail": first.attrs["engine_detail"],
        "engine_why": first.attrs["engine_why"],
        "error_vm_pu": max(ds.attrs["error_vm_pu"] for ds in flows.values()),
        "power_flows": int(sum(ds.sizes["time"] for ds in flows.values())),
        "power_flows_not_converged": int(sum(int((~ds["converged"].values).sum()) for ds in flows.values())),
        "reductions": {"season": "max of the measured stretch, held", "season_mean": "mean of it, held"},
        "versions": {"python": platform.python_version(), **{n: _version(n) for n in _VERSIONS}},
        "platform": platform.platform(),
        "time_taken_s": round(time.perf_counter() - began, 2),
    }


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _picture(net: Any, result: xr.Dataset, bus: int) -> Any:
    from gridedge.grid.feeders import bus_coordinates, line_coordinates
    from gridedge.plot.network import NetworkPicture

    labels = [str(b) for b in result["branch"].values]
    courses = line_coordinates(net)
    return NetworkPicture(
        bus_index=result["bus"].values,
        bus_xy=bus_coordinates(net),
        bus_name=[str(n) for n in result["bus_name"].values],
        branch=labels,
        branch_xy=None if courses is None else _courses(net, labels, courses),
        site_bus=bus,
        branch_bus=_ends(net, result),
    )


_END_COLUMNS = {
    "line": ("from_bus", "to_bus"),
    "trafo": ("hv_bus", "lv_bus"),
    "trafo3w": ("hv_bus", "mv_bus"),
    "impedance": ("from_bus", "to_bus"),
}


def _ends(net: Any, result: xr.Dataset) -> np.ndarray:
    """Return the buses between which each branch is drawn, shape (branch, 2)."""
    pairs = zip(result["element"].values, result["index"].values, strict=True)
    return np.array([[net[e].at[i, column] for column in _END_COLUMNS[e]] for e, i in pairs], dtype=np.int64)


def _courses(net: Any, labels: list[str], lines: list[np.ndarray]) -> list[np.ndarray]:
    by_label = {f"line:{i}": xy for i, xy in zip(net.line.index, lines, strict=True)}
    return [by_label.get(label, np.empty((0, 2))) for label in labels]
