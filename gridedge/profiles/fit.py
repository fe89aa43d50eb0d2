"""The verb ``fit_training``: a training profile from a measured trace.

What a trace does not show is not invented silently: it stands in the notes and, marked assumed, among the
origins of the profile.  The profile is made again at the trace's step and held against the trace.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.catalog import Server
from gridedge.profiles.catalog import server as find_server
from gridedge.profiles.cycles import Cycles, find_pauses, fold, follow, residual
from gridedge.profiles.fiterror import Figures, compare, cycle_rmse_pu
from gridedge.profiles.job import NOISE_SIGMAS, TrainingProfile
from gridedge.profiles.measured import MeasuredProfile, read_trace
from gridedge.profiles.noisefit import Noise, fit_noise
from gridedge.profiles.pauses import Pauses, classify, ends_of_the_job, low_stretches
from gridedge.profiles.shapefit import Shape, fit_shape
from gridedge.spec import build

Float = NDArray[np.float64]
_FEWEST = 3  # iterations
_FLAT = 0.05  # of the median: a narrower band without a period is a job that hides its communication
_IRREGULAR = 0.3  # of the median: a narrower band without a period is taken as noise, and said
_PERIOD_S = 16.9  # of the at-scale H100 job, where a flat trace shows none
_UNHIDDEN_PU = 0.25
_EDGES_S = (0.25, 0.05)
_CHOUKSE = "the at-scale DGX-H100 waveform of Choukse et al., arXiv 2508.14318 (2025)"
_PLAUSIBLE = (0.02, 1.2)  # largest power over the nameplate


@dataclass(frozen=True)
class TrainingFit:
    """A training profile fitted to a trace, and how well it does.

    Parameters
    ----------
    profile : TrainingProfile
        The job; every figure has its origin.
    dt_s : float
        Step of the trace. [s]
    iterations : int
        Iterations that were found; 0 for a flat trace.
    edge_bound_s : float
        Edges shorter than this cannot be seen in the trace. [s]
    rise_seen_s, fall_seen_s : float
        The iteration's edges as the trace shows them; upper bounds where they are not longer than
        ``edge_bound_s``. [s]
    cycle_rmse_pu : float
        Root mean square of the fitted iteration's difference from the mean measured one, at the trace's step. [pu]
    figures : dict
        By name, the trace's figure and the same of the profile made again: mean, standard deviation, quantiles [pu],
        peaks of the spectrum [s, pu], largest change per window [pu].
    notes : tuple of str
        What was done, what was assumed, and what the trace cannot show.
    """

    profile: TrainingProfile
    dt_s: float
    iterations: int
    edge_bound_s: float
    rise_seen_s: float
    fall_seen_s: float
    cycle_rmse_pu: float
    figures: Figures
    notes: tuple[str, ...]

    def error(self, name: str) -> float:
        """Return the profile's figure less the trace's."""
        measured, fitted = self.figures[name]
        return fitted - measured

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return {
            "profile": self.profile.to_dict(),
            "dt_s": self.dt_s,
            "iterations": self.iterations,
            "edge_bound_s": self.edge_bound_s,
            "rise_seen_s": self.rise_seen_s,
            "fall_seen_s": self.fall_seen_s,
            "cycle_rmse_pu": self.cycle_rmse_pu,
            "figures": {name: {"trace": pair[0], "profile": pair[1]} for name, pair in self.figures.items()},
            "notes": list(self.notes),
        }

    def to_yaml(self) -> str:
        """Return the profile as YAML text, for a file that ``generate`` and a study read."""
        return self.profile.to_yaml()

    def __str__(self) -> str:
        lines = [f"{'':<22}{'trace':>10}{'profile':>10}"]
        lines += [f"{name:<22}{pair[0]:>10.4g}{pair[1]:>10.4g}" for name, pair in self.figures.items()]
        lines.append(f"{'cycle_rmse_pu':<22}{'':>10}{self.cycle_rmse_pu:>10.4g}")
        return "\n".join([*lines, "", *self.notes])


@dataclass(frozen=True)
class _Source:
    p_pu: Float
    dt_s: float
    server: Server
    servers: int
    name: str
    notes: list[str]
    node_pu: Float | None = None


def fit_training(
    trace: str | Path | Mapping[str, Any] | MeasuredProfile | xr.Dataset,
    *,
    server: str | Path | Server | Mapping[str, Any] | None = None,
    servers: int | None = None,
    period_s: float | None = None,
    unhidden_pu: float | None = None,
) -> TrainingFit:
    """Fit a training profile to a measured trace.

    Parameters
    ----------
    trace : str, path, dict, MeasuredProfile or Dataset
        A CSV of node or meter power, a log of nvidia-smi or DCGM, the same with its treatment
        (``{"trace": FILE, "gaps": "hold"}``), or a Dataset with ``p_mw(time)`` [MW, IT power].
    server : str, path, dict or Server, optional
        What one server is; of a Dataset its own attribute, else 8xH100, which is then noted as assumed.
    servers : int, optional
        How many servers the trace is the sum of; of a file the number of its columns, of a Dataset its attribute.
    period_s : float, optional
        Length of an iteration, if it is known: the search then stays within 20 % of it. [s]
    unhidden_pu : float, optional
        Level of a communication phase of which nothing is hidden, 0.25 if left out; the overlap is what
        the trace lacks of that depth. [pu of nameplate]

    Returns
    -------
    TrainingFit
        Profile, errors and notes.

    Raises
    ------
    InputError
        If the trace cannot be read, has missing samples, is shorter than three iterations, shows none though
        it swings, or does not fit its servers.

    Notes
    -----
    Period: autocorrelation at the multiples of the strongest line.  Levels, edges, taper, dip and overshoot: least
    squares of the iteration's line, averaged over the trace's step, on the folded iterations.  Jitter:
    the growth of the variance of start differences.  Noise: octaves on the variance of block means.  Pauses:
    gaps between iterations; those below half of the mean power are read as checkpoints, the others as evaluations.

    A trace of 1 s does not show edges, and nvidia-smi's ``power.draw`` is an average over 1 s on most accelerators
    since Ampere, of readings that cover a part of the time only (arXiv 2312.02741): edges not longer than
    ``edge_bound_s`` are taken from the published at-scale waveform (arXiv 2508.14318) instead, so that a
    ramp is not made too slow, and marked assumed.
    """
    source = _read(trace, server, servers)
    p, dt_s = source.p_pu, source.dt_s
    notes = source.notes
    job = ends_of_the_job(p, dt_s)
    notes += job.notes()
    inner = p[job.first : job.last]
    longest_s = inner.size * dt_s / _FEWEST
    if period_s is not None and not 4 * dt_s <= period_s <= longest_s:
        cure = f"Give {4 * dt_s:g} to {longest_s:g} s: four samples in it, three of it in the trace."
        raise bad("period_s does not fit the trace", f"{period_s} s", cure)
    period, known, how = find_pauses(inner, dt_s, longest_s=longest_s, near_s=period_s)
    cycles = None if period is None else follow(inner, known, dt_s, period.period_s)
    if cycles is None:
        return _flat(source, inner, job.init(p), period_s, unhidden_pu)
    notes += [how] if how else []
    bins = int(np.clip(4 * cycles.period_s / dt_s, 40, 400))
    at_s, mean, _, count = fold(inner, dt_s, cycles, bins=bins)
    shape, _, fitted = fit_shape(at_s, mean, count, period_s=cycles.period_s, dt_s=dt_s)
    slope = np.abs(np.gradient(fitted, at_s)) * dt_s
    steep = (slope > 0.1 * (shape.compute - shape.communication)).astype(float)
    left = residual(inner, dt_s, cycles, at_s, mean, steep)
    noise = fit_noise(left, dt_s)
    # Less what the reading of a start is off by, an edge cannot be shorter than the step shows.
    bound_s = dt_s
    pauses = classify(inner, dt_s, cycles, float(np.mean(mean)))
    values, origins, said = _values(source, shape, cycles, noise, pauses, bound_s, unhidden_pu)
    notes += said
    rho = _correlation(source, job.first, job.last, cycles, at_s, steep)
    if rho is not None and values.get("noise_pu"):
        columns = source.node_pu.shape[0] if source.node_pu is not None else 1
        values["noise_pu"] = _short(values["noise_pu"] / np.sqrt(rho + (1 - rho) / columns))
        values["node_correlation"] = _short(rho)
        origins["node_correlation"] = ("measured", f"noise of {columns} distinct columns of {source.name}")
    values, origins = _with_init(values, origins, job.init(p), source, notes)
    profile = _build(source, values, origins, notes)
    # From the first iteration on, so that pauses fall where the trace has them.
    stretch = inner[int(cycles.start_s[0] / dt_s) :]
    figures = compare(stretch, profile, dt_s)
    rmse = cycle_rmse_pu(profile, at_s, mean, count, dt_s)
    rise, fall = _edges(shape)
    return TrainingFit(
        profile, dt_s, int(cycles.start_s.size), bound_s, rise, fall, rmse, figures, tuple(dict.fromkeys(notes))
    )


def _read(trace: Any, server: Any, servers: int | None) -> _Source:
    """Return the trace in pu of its servers' nameplate."""
    if servers is not None and (isinstance(servers, bool) or not isinstance(servers, int) or servers < 1):
        raise bad("servers must be a whole number of 1 or more", servers, "Give the number the trace is the sum of.")
    notes: list[str] = []
    node_kw: Float | None = None
    if isinstance(trace, xr.Dataset):
        schema.require(trace, ["p_mw"], thing="the trace")
        if trace["p_mw"].dims != ("time",):
            cure = "Take one: ds.isel(member=0), or sum over the nodes."
            raise bad("the trace is not one series", ", ".join(map(str, trace["p_mw"].dims)), cure)
        chosen = server if server is not None else trace.attrs.get("server")
        count = servers if servers is not None else trace.attrs.get("servers")
        if count is None:
            raise bad("the number of servers is not stated", "servers", "Give servers=, the number the trace sums.")
        p_kw, dt_s, name = trace["p_mw"].values.astype(float) * 1e3, schema.clock(trace), "the dataset"
    else:
        spec = _measured(trace)
        found = read_trace(spec)
        notes += found.report
        chosen, name, dt_s = server, Path(found.source).name, found.dt_s
        machine = find_server("8xH100" if chosen is None else chosen)
        if found.of == "accelerator":
            host_kw = machine.host_kw / machine.accelerators
            each_kw = found.p_node_kw + host_kw
            p_kw = found.p_node_kw.mean(axis=1) * machine.accelerators + machine.host_kw
            count = servers if servers is not None else int(np.ceil(found.nodes_in_file / machine.accelerators))
            p_kw, node_kw = p_kw * count, each_kw.T * machine.accelerators
            notes.append(
                f"Power beside the accelerators, {machine.host_kw:.3g} kW per {machine.name}, is added as a constant "
                "(assumed)."
            )
        else:
            count = servers if servers is not None else spec.nodes or found.nodes_in_file
            p_kw, node_kw = found.p_mw(spec.nodes) * 1e3, found.p_node_kw.T
    machine = find_server("8xH100" if chosen is None else chosen)
    if chosen is None:
        notes.append("The server is taken as 8xH100 (assumed): give server= if it is another.")
    p_pu = p_kw / (count * machine.rated_kw)
    peak = float(p_pu.max())
    if not _PLAUSIBLE[0] <= peak <= _PLAUSIBLE[1]:
        value = f"peak {p_kw.max():.4g} kW, {peak:.3g} of {count} x {machine.rated_kw:g} kW"
        raise bad("the trace does not fit its servers", value, "Correct servers=, server= or the unit.")
    if p_pu.size < 12:
        raise bad("the trace is too short", f"{p_pu.size} samples", "Record at least three iterations.")
    if node_kw is not None:
        node_kw = np.unique(node_kw, axis=0) / machine.rated_kw
    return _Source(p_pu, dt_s, machine, int(count), name, notes, node_kw)


def _measured(trace: Any) -> MeasuredProfile:
    if isinstance(trace, MeasuredProfile):
        return trace
    if isinstance(trace, Mapping):
        return build(MeasuredProfile, {"kind": "measured", **trace})
    if isinstance(trace, str | Path):
        return MeasuredProfile(trace=str(trace))
    raise bad(
        "cannot read a trace from this", type(trace).__name__, "Give a path, a dict or a Dataset with p_mw(time)."
    )


def _edges(shape: Shape) -> tuple[float, float]:
    return shape.rise_s, shape.fall_s


def _short(value: float) -> float:
    """Return four significant digits: more than a trace can tell."""
    return float(f"{value:.4g}")


_Values = dict[str, Any]
_Origins = dict[str, tuple[str, str]]


def _values(
    source: _Source,
    shape: Shape,
    cycles: Cycles,
    noise: Noise,
    pauses: Pauses,
    bound_s: float,
    unhidden_pu: float | None,
) -> tuple[_Values, _Origins, list[str]]:
    """Return the profile's keys, where each comes from, and what must be said of them."""
    seen = f"fitted to {source.name}"
    period_s = _short(cycles.period_s)
    stretch = period_s / shape.period_s
    v: _Values = {"period_s": period_s, "period_jitter_pu": _short(min(cycles.jitter_pu, 0.15))}
    o: _Origins = {}
    notes = [
        f"{cycles.start_s.size} iterations of {period_s:g} s, {np.count_nonzero(cycles.pause_s)} of them with a pause "
        "after it."
    ]
    if cycles.jitter_pu > 0.15:
        notes.append(f"The iterations' lengths scatter by {cycles.jitter_pu:.1%}; the profile holds 15 % at the most.")
    v["compute_pu"], low = _short(shape.compute), shape.communication
    rise_s, fall_s = _edges(shape)
    unresolved = []
    for name, edge_s, published_s in (("rise_s", rise_s, _EDGES_S[0]), ("fall_s", fall_s, _EDGES_S[1])):
        if edge_s > bound_s:
            v[name] = _short(edge_s * stretch)
        else:
            v[name] = min(published_s, bound_s)
            o[name] = ("assumed", f"{source.name} shows {bound_s:g} s or less only; as in {_CHOUKSE}")
            unresolved.append(name)
    if unresolved:
        notes.append(
            f"{' and '.join(unresolved)}: the trace's step of {source.dt_s:g} s cannot show edges this short; they are "
            f"{bound_s:g} s at the most, and taken from the published at-scale waveform (assumed)."
        )
    # The middle of the steep edge is what a coarse trace fixes; a shorter edge keeps it there.
    middle_s = (shape.busy_s + shape.fall_s / 2) * stretch - (shape.rise_s * stretch - v["rise_s"]) / 2
    v["compute_share"] = _short(np.clip((middle_s - v["fall_s"] / 2) / period_s, 0.01, 0.99))
    levels = {"taper_pu": shape.taper, "residual_pu": shape.residual, "dip_pu": shape.dip}
    levels["overshoot_pu"] = shape.overshoot
    overlap, full_low, full = _unhide(shape.compute, low, levels, unhidden_pu, notes)
    v["overlap_pu"], v["communication_pu"] = _short(overlap), _short(full_low)
    if overlap:
        o["communication_pu"] = (
            ("chosen", "unhidden_pu of the fit")
            if unhidden_pu is not None
            else ("assumed", f"nothing hidden: {_CHOUKSE}")
        )
        o["overlap_pu"] = ("assumed", f"{source.name} shows a floor of {low:.3g} pu, against communication_pu")
    v |= {name: _short(level) for name, level in full.items() if level is not None}
    if shape.taper is not None:
        v |= {"taper_s": _short(shape.taper_s * stretch), "residual_s": _short(shape.residual_s * stretch)}
    if shape.dip is not None:
        v["dip_at_s"] = _short(shape.dip_at_s * stretch)
        v |= {
            "dip_fall_s": _short(shape.dip_fall_s * stretch),
            "dip_recovery_s": _short(shape.dip_recovery_s * stretch),
        }
    if shape.overshoot is not None:
        v["overshoot_s"] = _short(shape.overshoot_s * stretch)
    _keep_inside(v)
    v |= pauses.values(period_s, notes)
    v["noise_pu"] = _short(min(noise.noise_pu, 0.2))
    if noise.noise_pu:
        v |= {"noise_step_s": _short(noise.step_s), "noise_octaves": noise.octaves, "noise_slope": _short(noise.slope)}
    return v, {**dict.fromkeys(v, ("measured", seen)), **o}, notes


def _keep_inside(v: _Values) -> None:
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


def _unhide(
    high: float, low: float, levels: dict[str, float | None], unhidden_pu: float | None, notes: list[str]
) -> tuple[float, float, dict[str, float | None]]:
    """Return the overlap, and the levels as they would be without it."""
    bottom = _UNHIDDEN_PU if unhidden_pu is None else unhidden_pu
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


def _correlation(source: _Source, first: int, last: int, cycles: Cycles, at_s: Float, steep: Float) -> float | None:
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


def _with_init(
    values: _Values, origins: _Origins, init: tuple[float, float] | None, source: _Source, notes: list[str]
) -> tuple[_Values, _Origins]:
    if init is None:
        return values, origins
    length_s, level = init
    notes.append(
        f"Before the first iteration there are {length_s:.4g} s at {level:.3g} pu: taken as the init phase. The "
        "profile is of a running job; set begin_s to see it start."
    )
    found = {"init_s": _short(length_s), "init_pu": _short(level)}
    return {**values, **found}, {**origins, **dict.fromkeys(found, ("measured", f"fitted to {source.name}"))}


def _build(source: _Source, values: _Values, origins: _Origins, notes: list[str]) -> TrainingProfile:
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
        data["noise_pu"] = _short(0.99 * lowest / NOISE_SIGMAS)
        notes.append(f"noise_pu was cut to {data['noise_pu']:g}, a third of the lowest level.")
    data["origins"] = {key: {"mark": mark, "source": text} for key, (mark, text) in origins.items() if key in data}
    return build(TrainingProfile, data)


def _in_catalogue(own: Server) -> bool:
    from gridedge.profiles.catalog import servers as catalogue

    return catalogue().get(own.name) == own


def _flat(
    source: _Source, p: Float, init: tuple[float, float] | None, period_s: float | None, unhidden_pu: float | None
) -> TrainingFit:
    """Return the profile of a job that shows no iteration, or refuse."""
    dt_s, notes = source.dt_s, source.notes
    rest, pauses = low_stretches(p, dt_s)
    level = float(np.median(p[rest]))
    band = float(np.percentile(p[rest], 95) - np.percentile(p[rest], 5)) / level
    if band > _IRREGULAR:
        value = f"{band:.1%} of the median between its 5 and 95 % quantiles, no period up to {p.size * dt_s / 3:.3g} s"
        cure = (
            f"Record three iterations or more, at a quarter of one or finer (here {dt_s:g} s), cut start and stop "
            "(start_s, stop_s), or give period_s."
        )
        raise bad("the trace swings and shows no iteration", value, cure)
    period = _PERIOD_S if period_s is None else period_s
    bottom = min(_UNHIDDEN_PU if unhidden_pu is None else unhidden_pu, 0.9 * level)
    # A recorder's step hides what is faster; of the slower part nothing is a swing of the iterations.
    noise = fit_noise(np.where(rest, p - level, np.nan), dt_s)
    length = f"{period:g} s " + ("as given." if period_s is not None else "as published at scale (assumed).")
    if band <= _FLAT:
        notes.append(
            f"The trace is flat: 90 % of it lie within {band:.1%} of {level:.3g} pu. The communication is fully "
            f"overlapped (overlap_pu 1) as far as a step of {dt_s:g} s can show; the period is {length}"
        )
    else:
        notes.append(
            f"The trace swings by {band:.1%} of {level:.3g} pu and shows no iteration between {4 * dt_s:g} and "
            f"{p.size * dt_s / _FEWEST:.4g} s: the swing is taken as noise, overlap_pu as 1. Iterations shorter than "
            f"four steps cannot be told; record at a finer step, or give period_s. The period is {length}"
        )
    values: _Values = {
        "period_s": period,
        "compute_pu": _short(level),
        "communication_pu": _short(bottom),
        "compute_share": 0.8,
        "overlap_pu": 1.0,
        "rise_s": _EDGES_S[0],
        "fall_s": _EDGES_S[1],
        "noise_pu": _short(min(noise.noise_pu, 0.2)),
        "noise_step_s": _short(noise.step_s),
        "noise_octaves": noise.octaves,
        "noise_slope": _short(noise.slope),
    }
    origins: _Origins = dict.fromkeys(values, ("measured", f"fitted to {source.name}"))
    guess = f"does not show in a flat trace; as in {_CHOUKSE}"
    origins |= dict.fromkeys(("communication_pu", "compute_share", "rise_s", "fall_s"), ("assumed", guess))
    origins["period_s"] = ("assumed", guess) if period_s is None else ("chosen", "period_s of the fit")
    found = pauses.values(period, notes)
    values |= found
    origins |= dict.fromkeys(found, ("measured", f"fitted to {source.name}"))
    values, origins = _with_init(values, origins, init, source, notes)
    profile = _build(source, values, origins, notes)
    rmse = float(abs(np.mean(p[rest]) - profile.compute_pu))
    figures = compare(p, profile, dt_s)
    return TrainingFit(profile, dt_s, 0, dt_s, dt_s, dt_s, rmse, figures, tuple(dict.fromkeys(notes)))
