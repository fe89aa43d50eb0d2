"""What interrupts the iterations of a trace: checkpoints, evaluations, and the ends of the job."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.cycles import Cycles

Float = NDArray[np.float64]
_DEEP = 0.5  # of the mean power: a pause below it is read as a checkpoint, one above as an evaluation
_RARE = 0.15  # of the time: low stretches that take more are no pauses of a flat job
_EDGE_S = {"checkpoint": 1.0, "evaluation": 0.5}
_SHARP = 0.6  # of the depth within one step: the edge is shorter than the trace shows
_SHARP_S = 0.25  # then as the published rise of an iteration (arXiv 2508.14318)


@dataclass(frozen=True)
class Ends:
    """The part of a trace in which the job runs: samples ``first`` to ``last - 1``."""

    first: int
    last: int
    samples: int
    dt_s: float

    def notes(self) -> list[str]:
        """Say what was left out."""
        found, dt_s = [], self.dt_s
        if self.first:
            found.append(f"The first {self.first * dt_s:g} s lie low, before the job's iterations.")
        if self.last < self.samples:
            found.append(f"The last {(self.samples - self.last) * dt_s:g} s lie low, after the job: left out.")
        return found

    def init(self, p: Float) -> tuple[float, float] | None:
        """Return the length [s] and the level [pu] of what comes before the job; None where it begins at once."""
        return (self.first * self.dt_s, float(np.median(p[: self.first]))) if self.first else None


def ends_of_the_job(p: Float, dt_s: float) -> Ends:
    """Find where the job's iterations begin and end.

    Parameters
    ----------
    p : ndarray, shape (time,)
        Power. [pu]
    dt_s : float
        Step. [s]

    Notes
    -----
    The job runs between the first and the last window of 30 s whose mean is nearer to the high level than to
    the lowest; a trace whose lowest power is above 0.6 of the high level has no ends to leave out.
    """
    high, low = float(np.percentile(p, 90)), float(p.min())
    whole = Ends(0, p.size, p.size, dt_s)
    width = int(np.clip(round(30.0 / dt_s), 3, max(3, p.size // 8)))
    if low > 0.6 * high or p.size < 4 * width:
        return whole
    level = 0.5 * (high + low)
    total = np.concatenate(([0.0], np.cumsum(p)))
    busy = np.flatnonzero((total[width:] - total[:-width]) / width > level)
    if not busy.size:
        return whole
    first, last = int(busy[0]), int(busy[-1]) + width
    above = np.flatnonzero(p > level)
    first = int(above[above >= first][0]) if first else 0
    last = int(above[above < last][-1]) + 1 if last < p.size else p.size
    if first:
        # The climb belongs to the job, not to what comes before: it begins where power leaves that level.
        before = float(np.median(p[:first]))
        first = int(np.flatnonzero(p[:first] <= max(before, p[:first].min()) + 0.1 * (high - before))[-1]) + 1
    return Ends(first if first > 1 else 0, last, p.size, dt_s)


@dataclass(frozen=True)
class Kind:
    """One kind of pause: how often, how long, how deep."""

    count: int
    interval_s: float
    iterations: float
    length_s: float
    level_pu: float
    spread_s: float
    sharp: bool


@dataclass(frozen=True)
class Pauses:
    """The pauses of a trace, by kind; ``steps_of`` says whether intervals are whole iterations."""

    checkpoint: Kind | None
    evaluation: Kind | None

    def values(self, period_s: float, notes: list[str]) -> dict[str, Any]:
        """Return the profile's keys."""
        found: dict[str, Any] = {}
        for name, kind in (("checkpoint", self.checkpoint), ("evaluation", self.evaluation)):
            if kind is None:
                continue
            whole = round(kind.iterations)
            # A hair less than whole iterations, so that rounding never puts a pause off by one.
            even = whole >= 1 and abs(kind.iterations - whole) < 0.1
            interval_s = whole * period_s * (1 - 1e-6) if even else max(kind.interval_s, 1.001 * period_s)
            edge_s = min(_SHARP_S if kind.sharp else _EDGE_S[name], 0.45 * kind.length_s)
            found |= {
                f"{name}_interval_s": float(f"{interval_s:.8g}"),
                f"{name}_s": float(f"{kind.length_s:.4g}"),
                f"{name}_pu": float(f"{kind.level_pu:.4g}"),
            }
            if edge_s < _EDGE_S[name]:
                found[f"{name}_edge_s"] = float(f"{edge_s:.4g}")
            how = "below half of the mean power" if name == "checkpoint" else "above half of the mean power"
            spread = f", {kind.spread_s:.2g} s apart from each other in length" if kind.count > 1 else ""
            once = " Seen less than twice: the interval is the trace's length." if kind.count < 2 else ""
            notes.append(
                f"{kind.count} pauses of {kind.length_s:.3g} s at {kind.level_pu:.3g} pu{spread}, every "
                f"{kind.interval_s:.4g} s of training, read as {name}s because they lie {how}.{once}"
            )
        return found


def classify(p: Float, dt_s: float, cycles: Cycles, mean_pu: float) -> Pauses:
    """Sort the pauses between iterations into checkpoints and evaluations.

    Parameters
    ----------
    p : ndarray, shape (time,)
        Power. [pu]
    dt_s : float
        Step. [s]
    cycles : Cycles
        The iterations and what lies between them.
    mean_pu : float
        Mean power of an undisturbed iteration. [pu]
    """
    paused = np.flatnonzero(cycles.pause_s > max(dt_s, 0.1 * cycles.period_s))
    begin_s = cycles.start_s[paused] + cycles.length_s[paused]
    length_s = cycles.pause_s[paused]
    sharp = np.array([_sharpness(p, dt_s, b, n) for b, n in zip(begin_s, length_s, strict=True)])
    level = np.array([_level(p, dt_s, b, n) for b, n in zip(begin_s, length_s, strict=True)])
    trained = np.cumsum(cycles.length_s)
    deep = level < _DEEP * mean_pu
    return Pauses(
        *(
            _kind(trained, paused[k], length_s[k], level[k], sharp[k], cycles.period_s, float(trained[-1]))
            for k in (deep, ~deep)
        )
    )


def _level(p: Float, dt_s: float, begin_s: float, length_s: float) -> float:
    """Return the level in the inner half of a pause."""
    inner = p[int((begin_s + 0.25 * length_s) / dt_s) : max(int((begin_s + 0.75 * length_s) / dt_s), 1)]
    k = min(int((begin_s + 0.5 * length_s) / dt_s), p.size - 1)
    return float(np.median(inner)) if inner.size else float(p[k])


def _sharpness(p: Float, dt_s: float, begin_s: float, length_s: float) -> float:
    """Return the steepest step around a pause over the largest range there."""
    near = p[max(int(begin_s / dt_s) - 3, 0) : int((begin_s + length_s) / dt_s) + 4]
    return float(np.abs(np.diff(near)).max() / max(float(np.ptp(near)), 1e-12)) if near.size > 1 else 0.0


def _kind(
    trained: Float,
    paused: NDArray[np.intp],
    length_s: Float,
    level: Float,
    sharp: Float,
    period_s: float,
    total_s: float,
) -> Kind | None:
    if not paused.size:
        return None
    between = np.diff(trained[paused]) if paused.size > 1 else np.array([total_s])
    interval_s = float(np.median(between)) if paused.size > 2 else float(np.mean(between))
    spread = float(np.std(length_s))
    return Kind(
        int(paused.size),
        interval_s,
        interval_s / period_s,
        float(np.median(length_s)),
        float(np.median(level)),
        spread,
        bool(np.median(sharp) > _SHARP),
    )


def low_stretches(p: Float, dt_s: float) -> tuple[NDArray[np.bool_], Pauses]:
    """Return what lies outside of low stretches, and these as pauses, for a trace without iterations."""
    high, low = float(np.percentile(p, 75)), float(p.min())
    everything: NDArray[np.bool_] = np.ones(p.size, dtype=bool)
    if low > 0.9 * high:
        return everything, Pauses(None, None)
    below = p < 0.5 * (high + low)
    change = np.diff(below.astype(np.int8), prepend=0, append=0)
    begins, ends = np.flatnonzero(change == 1), np.flatnonzero(change == -1)
    rest = everything.copy()
    for b, e in zip(begins, ends, strict=True):
        rest[max(b - 2, 0) : e + 2] = False
    if rest.mean() < 1 - _RARE:
        return everything, Pauses(None, None)
    level: Float = np.array([float(np.median(p[b:e])) for b, e in zip(begins, ends, strict=True)])
    length_s: Float = np.asarray((ends - begins) * dt_s, dtype=np.float64)
    sharp = np.array([_sharpness(p, dt_s, b * dt_s, n) for b, n in zip(begins, length_s, strict=True)])
    trained: Float = np.asarray(begins * dt_s - np.concatenate(([0.0], np.cumsum(length_s)[:-1])), dtype=np.float64)
    deep = level < _DEEP * float(np.median(p[rest]))
    index: NDArray[np.intp] = np.arange(begins.size)
    return rest, Pauses(
        *(_kind(trained, index[k], length_s[k], level[k], sharp[k], np.inf, p.size * dt_s) for k in (deep, ~deep))
    )
