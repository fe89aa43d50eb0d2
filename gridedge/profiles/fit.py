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

from gridedge import yamlfile
from gridedge.errors import bad, is_number
from gridedge.profiles.catalog import Server
from gridedge.profiles.cycles import fold, follow, residual
from gridedge.profiles.fiterror import Figures, compare, cycle_rmse_pu
from gridedge.profiles.fitsource import Source, read_source
from gridedge.profiles.fitvalues import (
    CHOUKSE,
    EDGES_S,
    UNHIDDEN_PU,
    Origins,
    Values,
    build_profile,
    correlation,
    profile_values,
    short,
    with_init,
)
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.measured import MeasuredProfile
from gridedge.profiles.noisefit import fit_noise
from gridedge.profiles.pauses import classify, ends_of_the_job, low_stretches
from gridedge.profiles.period import find_pauses
from gridedge.profiles.shapefit import fit_shape

Float = NDArray[np.float64]
_FEWEST = 3  # iterations
_FLAT = 0.05  # of the median: a narrower band without a period is a job that hides its communication
_IRREGULAR = 0.3  # of the median: a narrower band without a period is taken as noise, and said
_PERIOD_S = 16.9  # of the at-scale H100 job, where a flat trace shows none
_FAR_PU = 0.01  # of mean and deviation: a profile that is further off is pointed out
_LONG_S = 10.0  # low part of an iteration: longer ones are rather checkpoints


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
            "profile": self._written(),
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
        return yamlfile.write(self._written())

    def _written(self) -> dict[str, Any]:
        # Defaults stay out, so that they keep their own origin when the file is read.
        return self.profile.model_dump(mode="json", exclude_none=True, exclude_unset=True)

    def __str__(self) -> str:
        lines = [f"{'':<22}{'trace':>10}{'profile':>10}"]
        lines += [f"{name:<22}{pair[0]:>10.4g}{pair[1]:>10.4g}" for name, pair in self.figures.items()]
        lines.append(f"{'cycle_rmse_pu':<22}{'':>10}{self.cycle_rmse_pu:>10.4g}")
        return "\n".join([*lines, "", *self.notes])


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
    if unhidden_pu is not None and not (is_number(unhidden_pu) and 0 <= unhidden_pu < 1):
        cure = "Give the level of the communication with nothing hidden, in pu of nameplate: 0.25, for instance."
        raise bad("unhidden_pu is no level", repr(unhidden_pu), cure)
    if period_s is not None and not is_number(period_s):
        raise bad("period_s must be a number", repr(period_s), "Give the length of an iteration in seconds.")
    source = read_source(trace, server, servers)
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
    if cycles is not None and cycles.start_s.size < _FEWEST:
        cycles = None
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
    bound_s = source.edge_bound_s
    pauses = classify(inner, dt_s, cycles, float(np.mean(mean)))
    values, origins, said = profile_values(source, shape, cycles, noise, pauses, bound_s, unhidden_pu)
    notes += said
    if source.node_pu is not None and source.node_pu.shape[0] > 1:
        notes.append(
            "The columns are added up: where their recorders' clocks disagree, edges of the sum are longer than those "
            "of one server. Fit a single column to see."
        )
    rho = correlation(source, job.first, job.last, cycles, at_s, steep)
    if rho is not None and values.get("noise_pu"):
        columns = source.node_pu.shape[0] if source.node_pu is not None else 1
        values["noise_pu"] = short(values["noise_pu"] / np.sqrt(rho + (1 - rho) / columns))
        values["node_correlation"] = short(rho)
        origins["node_correlation"] = ("measured", f"noise of {columns} distinct columns of {source.name}")
    values, origins = with_init(values, origins, job.init(p), source, notes)
    profile = build_profile(source, values, origins, notes)
    # From the first iteration on, so that pauses fall where the trace has them.
    stretch = inner[int(cycles.start_s[0] / dt_s) :]
    figures = compare(stretch, profile, dt_s)
    rmse = cycle_rmse_pu(profile, at_s, mean, count, dt_s)
    notes += _doubts(figures)
    if rmse > 0.03 * (shape.compute - shape.communication):
        notes.append(
            f"The iteration has more structure than the profile: {rmse:.3g} pu root mean square, "
            f"{rmse / (shape.compute - shape.communication):.1%} of its swing."
        )
    if (1 - profile.compute_share) * profile.period_s > _LONG_S:
        notes.append(
            f"The low part of the iteration lasts {(1 - profile.compute_share) * profile.period_s:.3g} s: it may be a "
            "pause, every time, of a job whose iterations do not show; the waveform is the same."
        )
    rise, fall = shape.rise_s, shape.fall_s
    return TrainingFit(
        profile, dt_s, int(cycles.start_s.size), bound_s, rise, fall, rmse, figures, tuple(dict.fromkeys(notes))
    )


def _doubts(figures: Figures) -> list[str]:
    """Say where the profile made again is not what the trace was."""
    names = {"mean_pu": "mean", "std_pu": "standard deviation"}
    off = [f"{names[n]} {pair[1] - pair[0]:+.3f} pu" for n, pair in figures.items() if n in names and _far(pair)]
    if not off:
        return []
    return [f"The profile made again differs from the trace: {', '.join(off)}. Look at both before it is used."]


def _far(pair: tuple[float, float]) -> bool:
    return abs(pair[1] - pair[0]) > _FAR_PU


def _flat(
    source: Source, p: Float, init: tuple[float, float] | None, period_s: float | None, unhidden_pu: float | None
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
    bottom = min(UNHIDDEN_PU if unhidden_pu is None else unhidden_pu, 0.9 * level)
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
    values: Values = {
        "period_s": period,
        "compute_pu": short(level),
        "communication_pu": short(bottom),
        "compute_share": 0.8,
        "overlap_pu": 1.0,
        "rise_s": EDGES_S[0],
        "fall_s": EDGES_S[1],
        "noise_pu": short(min(noise.noise_pu, 0.2)),
        "noise_step_s": short(noise.step_s),
        "noise_octaves": noise.octaves,
        "noise_slope": short(noise.slope),
    }
    origins: Origins = dict.fromkeys(values, ("measured", f"fitted to {source.name}"))
    guess = f"does not show in a flat trace; as in {CHOUKSE}"
    origins |= dict.fromkeys(("communication_pu", "compute_share", "rise_s", "fall_s"), ("assumed", guess))
    origins["period_s"] = ("assumed", guess) if period_s is None else ("chosen", "period_s of the fit")
    found = pauses.values(period, notes)
    values |= found
    origins |= dict.fromkeys(found, ("measured", f"fitted to {source.name}"))
    values, origins = with_init(values, origins, init, source, notes)
    profile = build_profile(source, values, origins, notes)
    rmse = float(abs(np.mean(p[rest]) - profile.compute_pu))
    figures = compare(p, profile, dt_s)
    notes += _doubts(figures)
    return TrainingFit(profile, dt_s, 0, dt_s, dt_s, dt_s, rmse, figures, tuple(dict.fromkeys(notes)))
