"""Power of a synchronous training job.

All accelerators compute, then wait for each other: power swings once per iteration.  The waveform is
piecewise linear in time, and a sample its exact mean over the step; so the same seed gives the same
job at every step length, and the same bits whatever block is read.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.profiles.catalog import server
from gridedge.profiles.chance import counted_uniform
from gridedge.profiles.iteration import iteration_corners
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.lines import Line, step_means, value_at
from gridedge.profiles.noise import COMMON, REST, Octaves, node_stream, noise_knots, shares
from gridedge.profiles.timeline import Run, pause_lengths, timeline

Float = NDArray[np.float64]
_CLOCK = 3  # stream of the recorders' offsets


class Job:
    """A job with its timeline: made once, read in blocks.

    Parameters
    ----------
    profile : TrainingProfile
        What runs.
    end_s : float
        Up to when it is read. [s]
    seed, member, stream : int
        Which random numbers; those of its streams begin at ``stream``.
    """

    def __init__(self, profile: TrainingProfile, end_s: float, *, seed: int = 0, member: int = 0, stream: int = 0):
        self.profile, self.seed, self.member, self.stream = profile, seed, member, stream
        self.runs = timeline(profile, end_s, seed=seed, member=member, stream=stream)
        self._shape = iteration_corners(profile)
        self._begins = np.array([run.begin_s for run in self.runs])
        running = [run for run in self.runs if run.idle_s > run.steps_s]
        self._steps = np.array([-np.inf if r.begin_s == -np.inf else r.steps_s for r in running])
        self._idles = np.array([r.idle_s for r in running])
        spec, (evaluation_s, wait_s) = profile, pause_lengths(profile)
        saves = [(r.start_s + r.length_s + evaluation_s * r.evaluated)[r.saved] + wait_s for r in self.runs]
        kept = [(begins[begins <= r.stop_s], r.stop_s) for begins, r in zip(saves, self.runs, strict=True)]
        self._writes = np.concatenate([np.empty(0), *(begins for begins, _ in kept)])
        self._written = np.concatenate(
            [np.empty(0), *(np.minimum(begins + spec.checkpoint_s, stop_s) for begins, stop_s in kept)]
        )

    def power_pu(self, dt_s: float, start: int, stop: int) -> Float:
        """Return samples of the job's IT power, shape (stop - start,), in pu of nameplate."""
        common, rest = shares(self.profile, self.profile.servers)
        parts = [(COMMON, common), (REST, rest)]
        return self._with_noise(self.quiet_pu(dt_s, start, stop), parts, dt_s, start, stop)

    def node_pu(self, dt_s: float, start: int, stop: int, nodes: list[int]) -> Float:
        """Return samples of single servers, shape (node, stop - start), in pu of a server's nameplate."""
        spec = self.profile
        own = float(np.sqrt(1.0 - spec.node_correlation))
        quiet = self.quiet_pu(dt_s, start, stop)
        found = np.empty((len(nodes), max(0, stop - start)))
        for row, node in enumerate(nodes):
            drawn = counted_uniform(self.seed, self.member, self.stream + _CLOCK, node, node + 1)[0]
            shift_s = spec.node_clock_s * float(2.0 * drawn - 1.0)
            here = self.quiet_pu(dt_s, start, stop, shift_s) if shift_s else quiet
            parts = [(COMMON, shares(spec, 1)[0]), (node_stream(node), own)]
            found[row] = self._with_noise(here, parts, dt_s, start, stop, shift_s)
        return found

    def active_pu(self, dt_s: float, start: int, stop: int) -> Float:
        """Return the share of each step in which the job runs, its iterations or its hang, shape (stop - start,)."""
        return step_means(self._active, dt_s, start, stop)

    def quiet_pu(self, dt_s: float, start: int, stop: int, shift_s: float = 0.0) -> Float:
        """Return samples without noise, in pu of nameplate."""
        found = step_means(self._line, dt_s, start, stop, shift_s)
        spec = self.profile
        if spec.checkpoint_write_pu and spec.checkpoint_mode == "asynchronous" and spec.checkpoint_interval_s:
            found += spec.checkpoint_write_pu * step_means(self._writing, dt_s, start, stop, shift_s)
        return found

    def _with_noise(
        self,
        quiet: Float,
        parts: list[tuple[int, float]],
        dt_s: float,
        start: int,
        stop: int,
        shift_s: float = 0.0,
    ) -> Float:
        parts = [(stream, share) for stream, share in parts if share * self.profile.noise_pu > 0]
        if not parts:
            return quiet

        spec = self.profile
        octaves = Octaves(spec.noise_step_s, spec.noise_octaves, spec.noise_slope, spec.noise_kind == "band")

        def noise(from_s: float, to_s: float) -> Line:
            time, level = np.empty(0), np.empty(0)
            for stream, share in parts:
                chance = {"seed": self.seed, "member": self.member, "stream": self.stream + stream}
                time, drawn = noise_knots(octaves, from_s, to_s, **chance)
                level = share * drawn if level.size == 0 else level + share * drawn
            # Servers whose job is down are quiet: a knot there is 0.
            return time, self.profile.noise_pu * level * self._active_at(time)

        return quiet + step_means(noise, dt_s, start, stop, shift_s)

    def _active_at(self, at: Float) -> Float:
        if not self._steps.size:
            return np.zeros(at.size)
        k = np.searchsorted(self._steps, at, side="right") - 1
        return np.where(k < 0, 0.0, at < self._idles[k])

    def _line(self, from_s: float, to_s: float) -> Line:
        """Return the corners of the job's power."""
        idle = self.profile.idle_level_pu
        time, level = [np.array([-np.inf])], [np.array([idle])]
        # A run that ended before the stretch has left idle power; the last one may still fall to it.
        first = max(0, int(np.searchsorted(self._begins, from_s, side="right")) - 1)
        last = int(np.searchsorted(self._begins, to_s, side="right"))
        for run in self.runs[first:last]:
            here = self._run(run, from_s, to_s)
            time.append(here[0])
            level.append(here[1])
        when, value = np.concatenate(time), np.concatenate(level)
        return _framed(when, value, from_s, to_s)

    def _run(self, run: Run, from_s: float, to_s: float) -> Line:
        """Return the corners of one run, from its begin to the level it leaves behind."""
        spec = self.profile
        idle = spec.idle_level_pu
        init = idle if spec.init_pu is None else spec.init_pu
        time, level = self._iterations(run, from_s, to_s)
        started = run.begin_s > -np.inf
        if started and spec.warm_up_s:
            grown = np.clip(time - run.steps_s, 0.0, spec.warm_up_s) / spec.warm_up_s
            level = init + grown * (level - init)
        head = ([run.begin_s, run.begin_s, run.steps_s], [idle, init, init]) if started else ([], [])
        tail: tuple[list[float], list[float]] = ([], [])
        # A corner behind the stretch may lie behind the end of the run: cut there too, else the piece would be another.
        if run.stop_s <= max(to_s, float(time[-1]) if time.size else to_s):
            inside = time <= run.stop_s
            before = value_at((time, level), run.stop_s) if run.stop_s >= run.steps_s else init
            time, level = time[inside], level[inside]
            if run.stop_s < run.steps_s:
                head = ([run.begin_s, run.begin_s, run.stop_s], [idle, init, init])
            if run.end == "stop":
                tail = ([run.stop_s, run.stop_s + spec.stop_s], [before, idle])
            elif run.end == "hang":
                spins = spec.communication_pu if spec.hang_pu is None else spec.hang_pu
                tail = ([run.stop_s, run.stop_s, run.idle_s, run.idle_s], [before, spins, spins, idle])
            else:
                tail = ([run.stop_s, run.stop_s], [before, idle])
        return np.concatenate((head[0], time, tail[0])), np.concatenate((head[1], level, tail[1]))

    def _iterations(self, run: Run, from_s: float, to_s: float) -> Line:
        """Return the corners of the iterations and pauses of a run that touch a stretch."""
        spec = self.profile
        # One iteration more on either side: it carries the pause before the first, and the corner past the end.
        first = max(0, int(np.searchsorted(run.start_s, from_s, side="right")) - 2)
        last = int(np.searchsorted(run.start_s, to_s, side="right")) + 1
        start, length = run.start_s[first:last, None], run.length_s[first:last, None]
        share, shape = self._shape
        time, level = [start + share * length], [np.broadcast_to(shape, (start.shape[0], share.size))]
        after = start + length
        evaluation_s, checkpoint_s = pause_lengths(spec)
        evaluation_pu = spec.compute_pu if spec.evaluation_pu is None else spec.evaluation_pu
        for pauses, interval_s, wait_s, edge_s, low in (
            (run.evaluated, spec.evaluation_interval_s, evaluation_s, spec.evaluation_edge_s, evaluation_pu),
            (run.saved, spec.checkpoint_interval_s, checkpoint_s, spec.checkpoint_edge_s, spec.checkpoint_pu),
        ):
            if interval_s is None:
                continue
            rest = float(shape[-1])
            paused = pauses[first:last, None]
            offsets = np.array([0.0, edge_s, wait_s - edge_s, wait_s])
            time.append(after + paused * offsets)
            level.append(np.where(paused, np.array([rest, low, low, rest]), rest))
            after = after + paused * wait_s
        return np.concatenate(time, axis=1).ravel(), np.concatenate(level, axis=1).ravel()

    def _writing(self, from_s: float, to_s: float) -> Line:
        """Return the corners of a line that is 1 while an asynchronous checkpoint is written."""
        return _rectangles(self._writes, self._written, from_s, to_s)

    def _active(self, from_s: float, to_s: float) -> Line:
        return _rectangles(self._steps, self._idles, from_s, to_s)


def _rectangles(begins: Float, ends: Float, from_s: float, to_s: float) -> Line:
    """Return a line that is 1 between each begin and its end, 0 elsewhere; they rise and do not overlap."""
    first = int(np.searchsorted(ends, from_s, side="right"))
    last = int(np.searchsorted(begins, to_s, side="right"))
    begins, ends = begins[first:last], ends[first:last]
    time = np.concatenate(([-np.inf], np.stack([begins, begins, ends, ends], axis=1).ravel()))
    level = np.concatenate(([0.0], np.tile([0.0, 1.0, 1.0, 0.0], begins.size)))
    return _framed(time, level, from_s, to_s)


def _framed(time: Float, level: Float, from_s: float, to_s: float) -> Line:
    """Return a line with finite ends: held at its first and last level where it does not reach."""
    ever, never = time == -np.inf, time == np.inf
    lead = level[np.flatnonzero(ever)[-1]] if ever.any() else level[0]
    inner = ~(ever | never)
    time, level, tail = time[inner], level[inner], level[np.argmax(never)] if never.any() else level[-1]
    front = min(from_s, float(time[0])) if time.size else from_s
    back = max(to_s, float(time[-1])) if time.size else to_s
    return np.concatenate(([front], time, [back])), np.concatenate(([lead], level, [tail]))


def training_power_mw(
    profile: TrainingProfile, dt_s: float, start: int, stop: int, *, seed: int = 0, member: int = 0
) -> Float:
    """Return samples ``start`` to ``stop - 1`` of a job's IT power.

    Parameters
    ----------
    profile : TrainingProfile
        The job.
    dt_s : float
        Step length. [s]
    start, stop : int
        Samples wanted; sample ``k`` is the mean over ``[k dt_s, (k+1) dt_s)``.
    seed, member : int
        Which random numbers.

    Returns
    -------
    ndarray, shape (stop - start,)
        IT power, consumption positive; the same bits whatever block it is cut from. [MW]
    """
    job = Job(profile, stop * dt_s, seed=seed, member=member)
    return job.power_pu(dt_s, start, stop) * profile.nameplate_mw


def node_power_kw(
    profile: TrainingProfile,
    dt_s: float,
    start: int,
    stop: int,
    *,
    nodes: Sequence[int],
    seed: int = 0,
    member: int = 0,
) -> Float:
    """Return the power of single servers of a job, as their own recorders see it.

    Parameters
    ----------
    profile : TrainingProfile
        The job.
    dt_s : float
        Step length. [s]
    start, stop : int
        Samples wanted.
    nodes : sequence of int
        Which servers, from 0 to ``profile.servers - 1``.
    seed, member : int
        Which random numbers; the job's course and the common noise are those of :func:`training_power_mw`.

    Returns
    -------
    ndarray, shape (node, stop - start)
        IT power of each server, consumption positive. [kW]

    Raises
    ------
    InputError
        If there is no such server.

    Notes
    -----
    Every server follows the job, has the common noise and noise of its own; the sum of all has the variance of the
    job's power, not its very noise, which would need every server's.  With ``node_clock_s`` each recorder is
    off by its own constant, even within that range either way.
    """
    if not isinstance(profile, TrainingProfile):
        shown = repr(profile) if isinstance(profile, str) else type(profile).__name__
        cure = "Give load_profile(...) of a single job; a cluster has one for each of its jobs."
        raise bad("servers are told apart in one job only", shown, cure)
    wrong = [n for n in nodes if not 0 <= n < profile.servers]
    if wrong:
        raise bad("there is no such server", wrong[0], f"Give numbers from 0 to {profile.servers - 1}.")
    job = Job(profile, stop * dt_s + profile.node_clock_s, seed=seed, member=member)
    return job.node_pu(dt_s, start, stop, list(nodes)) * server(profile.server).rated_kw
