"""When a training job runs: its starts, iterations, pauses, failures and stop.

A *run* is what lies between a start of the job and the failure or the stop that ends it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.chance import counted_normal, counted_uniform
from gridedge.profiles.job import JITTER_SIGMAS, TrainingProfile

Float = NDArray[np.float64]
PERIOD, GAP, KIND = 0, 1, 2  # streams of random numbers
End = Literal["crash", "hang", "stop", "open"]


@dataclass(frozen=True)
class Run:
    """One run of a job; times in s.

    Parameters
    ----------
    begin_s : float
        Start of its init phase; minus infinity for a job that was running.
    steps_s : float
        Start of its first iteration.
    start_s, length_s : ndarray, shape (iteration,)
        Iterations.
    evaluated, saved : ndarray of bool, shape (iteration,)
        Whether an evaluation or a checkpoint follows; the evaluation comes first.
    stop_s : float
        When it ends; infinite if the series ends before.
    end : {"crash", "hang", "stop", "open"}
        What ends it.
    idle_s : float
        When its servers fall idle: at ``stop_s``, after a hang when the watchdog ends it.
    replay_s : float
        Training since the last complete checkpoint, which the next run does again.
    """

    begin_s: float
    steps_s: float
    start_s: Float
    length_s: Float
    evaluated: NDArray[np.bool_]
    saved: NDArray[np.bool_]
    stop_s: float
    end: End
    idle_s: float
    replay_s: float


def pause_lengths(profile: TrainingProfile) -> tuple[float, float]:
    """Return how long the job waits for an evaluation and for a checkpoint, in s."""
    waits = profile.checkpoint_s if profile.checkpoint_mode == "synchronous" else profile.checkpoint_snapshot_s
    return profile.evaluation_s, waits


def timeline(
    profile: TrainingProfile, end_s: float, *, seed: int = 0, member: int = 0, stream: int = 0
) -> tuple[Run, ...]:
    """Return the runs of a job that begin before a time.

    Parameters
    ----------
    profile : TrainingProfile
        The job.
    end_s : float
        How far to go; a longer timeline begins with the same runs. [s]
    seed, member, stream : int
        Which random numbers; streams from ``stream`` on.

    Returns
    -------
    tuple of Run

    Notes
    -----
    Failures strike a job at the rate of all its accelerators together, in exponential gaps of running time: each
    stops the whole job (arXiv 2407.21783, section 3.3.4, counts interruptions of the job in this way).
    """
    runs: list[Run] = []
    done = 0
    rate_per_s = profile.failures_per_accelerator_h * profile.accelerators / 3600.0
    begin_s = -np.inf if profile.begin_s is None else profile.begin_s
    # A recorder that runs behind reads before time 0: a running job was running then too.
    early_s = np.ceil(profile.node_clock_s / profile.period_s) * profile.period_s
    since_s = -profile.running_s - early_s if profile.begin_s is None else profile.begin_s
    steps_s = since_s if profile.begin_s is None else profile.begin_s + profile.init_s
    while since_s <= end_s:
        gap_s = np.inf
        if rate_per_s:
            gap_s = (
                float(-np.log(counted_uniform(seed, member, stream + GAP, len(runs), len(runs) + 1)[0])) / rate_per_s
            )
        fails_s = since_s + gap_s
        stop_s = min(fails_s, np.inf if profile.end_s is None else profile.end_s)
        planned = profile.end_s is not None and stop_s == profile.end_s
        run = _run(profile, steps_s, stop_s, end_s, done, (seed, member, stream))
        end: End = "stop" if planned else "open"
        idle_s = stop_s
        if not planned and stop_s < np.inf:
            # A job that fails before its first step spins in no collective: it crashes.
            drawn = counted_uniform(seed, member, stream + KIND, len(runs), len(runs) + 1)[0]
            hangs = stop_s > steps_s and drawn < profile.hang_share
            end = "hang" if hangs else "crash"
            idle_s = stop_s + profile.watchdog_s if hangs else stop_s
        runs.append(
            Run(begin_s, steps_s, *run, stop_s, end, idle_s, _replay(profile, run, stop_s) if end != "open" else 0.0)
        )
        if end in {"stop", "open"}:
            break
        done += run[0].size
        begin_s = since_s = idle_s + profile.restart_s
        if profile.end_s is not None and begin_s >= profile.end_s:
            break
        steps_s = begin_s + profile.init_s
    return tuple(runs)


_Iterations = tuple[Float, Float, NDArray[np.bool_], NDArray[np.bool_]]


def _run(
    profile: TrainingProfile,
    steps_s: float,
    stop_s: float,
    end_s: float,
    done: int,
    chance: tuple[int, int, int],
) -> _Iterations:
    """Return start, length and pauses of the iterations of one run that start before its end."""
    seed, member, stream = chance
    shortest_s = profile.period_s * (1.0 - JITTER_SIGMAS * profile.period_jitter_pu)
    count = max(1, int(np.ceil((min(stop_s, end_s) - steps_s) / shortest_s)) + 2)
    length = np.full(count, profile.period_s)
    if profile.period_jitter_pu:
        drawn = counted_normal(seed, member, stream + PERIOD, done, done + count)
        length *= 1.0 + profile.period_jitter_pu * np.clip(drawn, -JITTER_SIGMAS, JITTER_SIGMAS)
    trained = np.cumsum(length)
    evaluated = _due(trained, profile.evaluation_interval_s)
    saved = _due(trained, profile.checkpoint_interval_s)
    evaluation_s, checkpoint_s = pause_lengths(profile)
    after = steps_s + np.cumsum(length + evaluation_s * evaluated + checkpoint_s * saved)
    start = np.concatenate(([steps_s], after[:-1]))
    kept = max(1, int(np.searchsorted(start, min(stop_s, end_s), side="right")) + 1)
    return start[:kept], length[:kept], evaluated[:kept], saved[:kept]


def _due(trained: Float, interval_s: float | None) -> NDArray[np.bool_]:
    if interval_s is None:
        return np.zeros(trained.size, dtype=bool)
    return np.asarray(np.diff(np.floor(trained / interval_s + 1e-9), prepend=0.0) > 0)


def _replay(profile: TrainingProfile, run: _Iterations, stop_s: float) -> float:
    """Return the training that is lost at a stop, in s."""
    start, length, evaluated, saved = run
    trained = np.cumsum(length)
    now = float(np.clip(stop_s - start, 0.0, length).sum())
    evaluation_s, wait_s = pause_lengths(profile)
    written_s = wait_s if profile.checkpoint_mode == "synchronous" else wait_s + profile.checkpoint_s
    complete = saved & (start + length + evaluation_s * evaluated + written_s <= stop_s)
    return now - (float(trained[np.flatnonzero(complete)[-1]]) if complete.any() else 0.0)
