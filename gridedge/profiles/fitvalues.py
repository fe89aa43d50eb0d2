"""From what was found in a trace to the keys of a profile, each with its origin, and the profile itself."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.catalog import Server
from gridedge.profiles.catalog import servers as catalogue
from gridedge.profiles.cycles import Cycles, fold, residual
from gridedge.profiles.fitsource import Source
from gridedge.profiles.job import NOISE_SIGMAS, TrainingProfile
from gridedge.profiles.noisefit import Noise
from gridedge.profiles.pauses import Pauses
from gridedge.profiles.shapefit import Shape
from gridedge.spec import build

Float = NDArray[np.float64]
UNHIDDEN_PU = 0.25
EDGES_S = (0.25, 0.05)
CHOUKSE = "the at-scale DGX-H100 waveform of Choukse et al., arXiv 2508.14318 (2025)"


def short(value: float) -> float:
    """Return four significant digits: more than a trace can tell."""
    return float(f"{value:.4g}")


Values = dict[str, Any]
Origins = dict[str, tuple[str, str]]


def profile_values(
    source: Source,
    shape: Shape,
    cycles: Cycles,
    noise: Noise,
    pauses: Pauses,
    bound_s: float,
    unhidden_pu: float | None,
) -> tuple[Values, Origins, list[str]]:
    """Return the profile's keys, where each comes from, and what must be said of them."""
    seen = f"fitted to {source.name}"
    period_s = short(cycles.period_s)
    stretch = period_s / shape.period_s
    v: Values = {"period_s": period_s, "period_jitter_pu": short(min(cycles.jitter_pu, 0.15))}
    o: Origins = {}
    notes = [
        f"{cycles.start_s.size} iterations of {period_s:g} s, {np.count_nonzero(cycles.pause_s)} of them with a pause "
        "after it."
    ]
    if cycles.jitter_pu > 0.15:
        notes.append(f"The iterations' lengths scatter by {cycles.jitter_pu:.1%}; the profile holds 15 % at the most.")
    v["compute_pu"], low = short(shape.compute), shape.communication
    rise_s, fall_s = shape.rise_s, shape.fall_s
    unresolved = []
    for name, edge_s, published_s in (("rise_s", rise_s, EDGES_S[0]), ("fall_s", fall_s, EDGES_S[1])):
        if edge_s > bound_s:
            v[name] = short(edge_s * stretch)
        else:
            v[name] = min(published_s, bound_s)
            o[name] = ("assumed", f"{source.name} shows {bound_s:g} s or less only; as in {CHOUKSE}")
            unresolved.append(name)
    if unresolved:
        notes.append(
            f"{' and '.join(unresolved)}: a step or average of {bound_s:g} s cannot show edges this short; "
            f"they are {bound_s:g} s at the most, and taken from the published at-scale waveform (assumed)."
        )
    # The middle of the steep edge is what a coarse trace fixes; a shorter edge keeps it there.
    middle_s = (shape.busy_s + shape.fall_s / 2) * stretch - (shape.rise_s * stretch - v["rise_s"]) / 2
    v["compute_share"] = short(np.clip((middle_s - v["fall_s"] / 2) / period_s, 0.01, 0.99))
    levels = {"taper_pu": shape.taper, "residual_pu": shape.residual, "dip_pu": shape.dip}
    levels["overshoot_pu"] = shape.overshoot
    overlap, full_low, full = _unhide(shape.compute, low, levels, unhidden_pu, notes)
    v["overlap_pu"], v["communication_pu"] = short(overlap), short(full_low)
    if overlap:
        o["communication_pu"] = (
            ("chosen", "unhidden_pu of the fit")
            if unhidden_pu is not None
            else ("assumed", f"nothing hidden: {CHOUKSE}")
        )
        o["overlap_pu"] = ("assumed", f"{source.name} shows a floor of {low:.3g} pu, against communication_pu")
    v |= {name: short(level) for name, level in full.items() if level is not None}
    if shape.taper is not None:
        v |= {"taper_s": short(shape.taper_s * stretch), "residual_s": short(shape.residual_s * stretch)}
    if shape.dip is not None:
        v["dip_at_s"] = short(shape.dip_at_s * stretch)
        v |= {
            "dip_fall_s": short(shape.dip_fall_s * stretch),
            "dip_recovery_s": short(shape.dip_recovery_s * stretch),
        }
    if shape.overshoot is not None:
        v["overshoot_s"] = short(shape.overshoot_s * stretch)
    _keep_inside(v)
    v |= pauses.values(period_s, notes)
    v["noise_pu"] = short(min(noise.noise_pu, 0.2))
    if noise.noise_pu:
        v |= {"noise_step_s": short(noise.step_s), "noise_octaves": noise.octaves, "noise_slope": short(noise.slope)}
    return v, {**dict.fromkeys(v, ("measured", seen)), **o}, notes


def _keep_inside(v: Values) -> None:
    """Trim what rounding has moved past the end of its phase."""
    busy_s, wait_s = v["compute_share"] * v["period_s"], (1 - v["compute_share"]) * v["period_s"]
    v["rise_s"] = min(v["rise_s"], 0.99 * busy_s)
    v["fall_s"] = min(v["fall_s"], 0.99 * wait_s)
    head_s = v["rise_s"]
    if "overshoot_pu" in v:
        v["overshoot_s"] = max(min(v["overshoot_s"], 0.99 * (busy_s - head_s)), 1e-4)
        head_s += v["overshoot_s"]
    if "taper_s" in v:
        v["taper_s"] = min(v["taper_s"], 0.99 * (busy_s - head_s))
        v["residual_s"] = min(v["residual_s"], 0.99 * (wait_s - v["fall_s"]))
    if "dip_pu" in v:
        end_s = busy_s - v.get("taper_s", 0.0)
        v["dip_at_s"] = max(v["dip_at_s"], 1.0001 * head_s)
        over = (end_s - v["dip_at_s"]) / (v["dip_fall_s"] + v["dip_recovery_s"])
        if over < 1.001:
            v["dip_fall_s"] *= 0.999 * over
            v["dip_recovery_s"] *= 0.999 * over
    for name, value in v.items():
        v[name] = float(f"{value:.6g}")


def _unhide(
    high: float, low: float, levels: dict[str, float | None], unhidden_pu: float | None, notes: list[str]
) -> tuple[float, float, dict[str, float | None]]:
    """Return the overlap, and the levels as they would be without it."""
    bottom = UNHIDDEN_PU if unhidden_pu is None else unhidden_pu
    whole = high - bottom
    shown = (high - low) / whole if whole > 0 else 1.0
    if shown >= 0.98:
        return 0.0, low, levels
    full = {name: None if level is None else high + (level - high) / shown for name, level in levels.items()}
    if any(level is not None and not 0.0 <= level <= 1.5 for level in full.values()):
        notes.append(
            f"The floor of {low:.3g} pu may hide {1 - shown:.0%} of the communication, but a dip is deeper: levels are "
            "kept as they are seen, overlap 0."
        )
        return 0.0, low, levels
    notes.append(
        f"The iteration falls to {low:.3g} pu. Against {bottom:g} pu with nothing hidden, {1 - shown:.0%} of the "
        "communication is overlapped; only the product of depth and overlap is measured."
    )
    return 1.0 - shown, bottom, full


def correlation(source: Source, first: int, last: int, cycles: Cycles, at_s: Float, steep: Float) -> float | None:
    """Return the correlation of the columns' noise, None where there is one column only."""
    if source.node_pu is None or source.node_pu.shape[0] < 2:
        return None
    own = []
    bins = at_s.size
    for row in source.node_pu:
        here = row[first:last]
        where_s, mean, _, _ = fold(here, source.dt_s, cycles, bins=bins)
        own.append(residual(here, source.dt_s, cycles, where_s, mean, np.interp(where_s, at_s, steep)))
    table = np.stack(own)
    table = table[:, np.isfinite(table).all(axis=0)]
    n = table.shape[0]
    each = float(np.mean(np.var(table, axis=1)))
    if table.shape[1] < 30 or each <= 0:
        return None
    return float(np.clip((n * np.var(table.mean(axis=0)) / each - 1) / (n - 1), 0.0, 1.0))


def with_init(
    values: Values, origins: Origins, init: tuple[float, float] | None, source: Source, notes: list[str]
) -> tuple[Values, Origins]:
    """Return values and origins with the init phase, where the trace has one (length [s], level [pu])."""
    if init is None:
        return values, origins
    length_s, level = init
    notes.append(
        f"Before the first iteration there are {length_s:.4g} s at {level:.3g} pu: taken as the init phase. The "
        "profile is of a running job; set begin_s to see it start."
    )
    found = {"init_s": short(length_s), "init_pu": short(level)}
    return {**values, **found}, {**origins, **dict.fromkeys(found, ("measured", f"fitted to {source.name}"))}


def build_profile(source: Source, values: Values, origins: Origins, notes: list[str]) -> TrainingProfile:
    """Build the profile; what its rules do not hold is trimmed, and said."""
    own = source.server
    known = own.name if _in_catalogue(own) else own.to_dict()
    data = {
        "kind": "training",
        "title": f"Training job fitted to {source.name}",
        "source": f"fitted to {source.name} at its step of {source.dt_s:g} s",
        "licence": "that of the trace",
        "server": known,
        "servers": source.servers,
        **values,
    }
    lowest = build(TrainingProfile, {**data, "noise_pu": 0.0}).lowest_pu
    if NOISE_SIGMAS * data["noise_pu"] > lowest:
        data["noise_pu"] = short(0.99 * lowest / NOISE_SIGMAS)
        notes.append(f"noise_pu was cut to {data['noise_pu']:g}, a third of the lowest level.")
    data["origins"] = {key: {"mark": mark, "source": text} for key, (mark, text) in origins.items() if key in data}
    return build(TrainingProfile, data)


def _in_catalogue(own: Server) -> bool:
    return catalogue().get(own.name) == own
