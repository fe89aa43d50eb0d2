"""What a study says about itself: facts, notes, assumptions and the manifest."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from gridedge.measure.rulebook import ChangeRule, RampRule, Rulebook
from gridedge.profiles.measured import MeasuredProfile
from gridedge.spec import Assumption
from gridedge.study.campus import Campus
from gridedge.study.model import StudySpec, Waveform

if TYPE_CHECKING:
    from gridedge.plot.change import Mark
    from gridedge.plot.spectrum import Band

_VERSIONS = ("gridedge", "pandapower", "numpy", "scipy", "pandas", "xarray")
_ENGINE = ("engine", "engine_detail", "engine_why")
_LOWER_BOUND = (
    "Sources are held at their set-point on the waveform's clock, so the voltage swings of the windows are a lower "
    "bound; each sample of a window is a quasi-steady power flow."
)
_EMF = (
    "On the waveform's clock sources are constant EMFs behind their impedance, set at the site's mean power: right for "
    "changes within about a second; rotors, exciters and tap changers that act later are not in it. Each sample of a "
    "window is a quasi-steady power flow, approximate above some 10 Hz."
)
_SEASON = (
    "Over the season the site stands at the highest power of its measured stretch for voltages and loadings, and at "
    "its mean for losses; taps are held."
)
_SEASON_TAPS = (
    "Over the season the site stands at the highest power of its measured stretch for voltages and loadings, and at "
    "its mean for losses; tap changers follow it. On the waveform's clock they are held where they settle at that "
    "hour, the site at its mean, from the positions of the feeder."
)


def notes(
    spec: StudySpec, net: Any, campus: Campus, flows: Mapping[tuple[str, str], xr.Dataset], shape: np.ndarray
) -> list[str]:
    """Return what must be known of this run before a number is trusted."""
    remarks = _once([remark for ds in flows.values() for remark in ds.attrs["remarks"]])
    known = set(campus.notes)
    shaped = [
        f"{label}: {note}"
        for label, wave in campus.strategies.items()
        for note in wave.attrs.get("notes", [])
        if note not in known
    ]
    inverters = [
        f"{label}: the storage's inverter needs {wave.attrs['storage_inverter_mva']:.3g} MVA to give its power and to "
        "keep the power factor at the meter."
        for label, wave in campus.strategies.items()
        if "storage_inverter_mva" in wave.attrs
    ]
    season = _SEASON if spec.taps is None else _SEASON_TAPS
    clock = _EMF if spec.waveform.sources == "emf" else _LOWER_BOUND
    return [*remarks, *_generators(spec, net, shape), *shaped, *inverters, clock, season]


def _once(remarks: list[str]) -> list[str]:
    """Return remarks that differ in their numbers alone only once: the strategies differ in their mean power."""
    alike: dict[str, list[str]] = {}
    for remark in dict.fromkeys(remarks):
        alike.setdefault(re.sub(r"\d[\d.,]*( and \d+ more)?", "#", remark), []).append(remark)
    return [
        first if not others else f"{first} Likewise, with other numbers, in {len(others)} more of the power flows."
        for first, *others in alike.values()
    ]


def _generators(spec: StudySpec, net: Any, shape: np.ndarray) -> list[str]:
    """Say what the slack does when loads move and generators do not."""
    own = sum(float((net[t].p_mw * net[t].scaling)[net[t].in_service].sum()) for t in ("gen", "sgen") if len(net[t]))
    if own <= 0 or spec.background.generation == "follow":
        return []
    load = float((net.load.p_mw * net.load.scaling)[net.load.in_service].sum())
    return [
        f"The net's own generators keep their {own:.4g} MW while its loads fall from {load * shape.max():.4g} to "
        f"{load * shape.min():.4g} MW: the slack takes the difference, unless background.generation is `follow`."
    ]


def facts(
    spec: StudySpec,
    campus: Campus,
    feeder: Any,
    bus: int,
    bus_name: str,
    season_s: np.ndarray,
    shape: np.ndarray,
    flows: Mapping[tuple[str, str], xr.Dataset],
) -> list[tuple[str, str]]:
    """Return what was connected where: labels, and values with their units."""
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
            f"{wave.measure_s:g} s at {wave.dt_s:g} s measured; {_window(wave, campus)} through the power flow at the "
            "peak and at the lightest step",
        ),
        ("Power flow", _engines(flows)),
    ]


def _engines(flows: Mapping[tuple[str, str], xr.Dataset]) -> str:
    count = sum(ds.sizes["time"] for ds in flows.values())
    names = ", ".join(dict.fromkeys(ds.attrs["engine"] for ds in flows.values()))
    error = max(ds.attrs["error_vm_pu"] for ds in flows.values())
    return f"{count:,} states by {names}; largest difference from pandapower's runpp where compared: {error:.1e} pu"


def _window(wave: Waveform, campus: Campus) -> str:
    if wave.window_s == wave.measure_s:
        return "all of it"
    return f"{wave.window_s:g} s of it, from {campus.window_start_s:g} s on,"


def _lead(power_factor: float) -> str:
    return "leading" if power_factor < 0 else "lagging"


def _clock(time_s: float) -> str:
    day, second = divmod(int(time_s), 86400)
    text = f"{second // 3600:02d}:{second % 3600 // 60:02d}"
    return text if day == 0 else f"day {day + 1}, {text}"


def assumptions(spec: StudySpec) -> list[Assumption]:
    """Return every number that the result stands on, the background's shape as a whole."""
    shape = spec.background.shape
    return [
        a for a in spec.assumptions() if not a.name.startswith(("background.shape.", "load.expected", "load.servers"))
    ] + [Assumption("background.shape", shape.title, "quoted", f"{shape.source} ({shape.licence})")]


def marks(spec: StudySpec, rules: Rulebook | None) -> list[Mark]:
    """Return the limits on changes that the study's requirement and rulebook hold, to be drawn."""
    from gridedge.plot.change import Mark

    found = []
    for rule in [*spec.requirement, *(rules.rules if rules is not None else ())]:
        if isinstance(rule, ChangeRule) and rule.limit_mw is not None:
            found.append(Mark(rule.name, rule.window_s, rule.limit_mw, rule.filter is not None))
        elif isinstance(rule, RampRule) and rule.limit_mw_per_min is not None:
            found.append(Mark(rule.name, rule.window_s, rule.limit_mw_per_min * rule.window_s / 60.0))
    return found


def bands(spec: StudySpec, rules: Rulebook | None) -> list[Band]:
    """Return the bands of frequencies that the study's requirement and rulebook speak of, to be drawn."""
    from gridedge.plot.spectrum import Band

    found = []
    for rule in [*spec.requirement, *(rules.rules if rules is not None else ())]:
        filtered = rule.filter.band_hz if isinstance(rule, ChangeRule) and rule.filter is not None else None
        band = getattr(rule, "band_hz", None) or filtered
        if band is not None:
            found.append(Band(rule.name, band[0], band[1]))
    return found


def manifest(spec: StudySpec, feeder: Any, flows: Mapping[tuple[str, str], xr.Dataset], began: float) -> dict[str, Any]:
    """Return versions, seed, hashes, engine, measured error and time taken."""
    ran = {name: list(dict.fromkeys(ds.attrs[name] for ds in flows.values())) for name in _ENGINE}
    return {
        "study": spec.title,
        "spec_sha256": spec.hash(),
        "seed": spec.seed,
        "spec": spec.to_dict(),
        "feeder": {"name": feeder.name, "source": feeder.source, "licence": feeder.licence, "cite": feeder.cite},
        "trace": spec.load.trace if isinstance(spec.load, MeasuredProfile) else None,
        **{name: ", ".join(found) if name == "engine" else found for name, found in ran.items()},
        "engines": {_part(key): ds.attrs["engine"] for key, ds in flows.items()},
        "error_vm_pu": max(ds.attrs["error_vm_pu"] for ds in flows.values()),
        "power_flows": int(sum(ds.sizes["time"] for ds in flows.values())),
        "power_flows_not_converged": int(sum(int((~ds["converged"].values).sum()) for ds in flows.values())),
        "sources": {"season": "held at their set-point", "windows": spec.waveform.for_solve()},
        "reductions": {"season": "max of the measured stretch, held", "season_mean": "mean of it, held"},
        "versions": versions(),
        "platform": platform.platform(),
        "time_taken_s": round(time.perf_counter() - began, 2),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of what the numbers hang on."""
    return {"python": platform.python_version(), **{n: _version(n) for n in _VERSIONS}}


def _part(key: tuple[str, str]) -> str:
    return ", ".join(k.replace("_", " ") for k in key if k)


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
