"""Several jobs on one cluster, and what runs beside them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from gridedge import yamlfile
from gridedge.errors import InputError, Problem, bad
from gridedge.profiles.catalog import ServerChoice, server
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.lines import Line, step_means
from gridedge.profiles.noise import Octaves, noise_knots
from gridedge.profiles.preset import merge_preset
from gridedge.profiles.training import Job
from gridedge.spec import Origin, Spec, quantity

Float = NDArray[np.float64]
_STREAMS = 1 << 32  # streams of random numbers that one job may use
_BESIDE = 512  # first stream of what runs beside the jobs
_NOT_PUBLISHED = "no published figure for a cluster"


class ClusterJob(Spec):
    """A training job and its place on the cluster."""

    job: TrainingProfile
    """The job: a shipped profile's name, a mapping, or both: ``{profile: h100-at-scale, period_s: 12}``.  Its number
    of servers follows from ``share_pu``."""
    share_pu: float = Field(gt=0, le=1)
    """Share of the cluster's servers that it has."""
    offset_s: float = Field(0.0, ge=0)
    """How much later it does everything. [s]"""

    @field_validator("job", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"profile": value}
        return merge_preset(yamlfile.Document(dict(value)), ()).data if isinstance(value, Mapping) else value


class Beside(Spec):
    """Machines that do not train: data preparation or serving, at a level that varies slowly."""

    what: Literal["data_preparation", "serving"]
    """What they do; a label, both are reckoned alike."""
    share_pu: float = Field(gt=0, le=1)
    """Share of the cluster's servers."""
    level_pu: float = quantity(0.45, mark="assumed", source=_NOT_PUBLISHED, low=0.3, high=0.6, gt=0, le=1)
    """Mean power. [pu of their nameplate]"""
    variation_pu: float = quantity(0.03, mark="assumed", source=_NOT_PUBLISHED, low=0.01, high=0.06, ge=0, le=0.2)
    """Standard deviation of their power, cut at three of them. [pu of their nameplate]"""
    variation_step_s: float = quantity(60.0, mark="assumed", source=_NOT_PUBLISHED, low=20.0, high=180.0, gt=0)
    """Fastest time in which it varies. [s]"""
    variation_octaves: int = Field(6, ge=1, le=24)
    """Octaves of the variation: it reaches from variation_step_s to that times 2 to their number, less one."""
    origins: dict[str, Origin] = {}
    """Where the figures come from, by key."""

    @model_validator(mode="after")
    def _fits(self) -> Beside:
        if 3 * self.variation_pu > self.level_pu:
            cure = "Keep variation_pu at a third of level_pu or below."
            raise bad("the variation would make the power negative", f"{self.variation_pu:g} pu", cure)
        return self


class ClusterProfile(Spec):
    """Jobs on their shares of equal servers, what runs beside them, and the rest idle."""

    kind: Literal["cluster"]
    title: str = ""
    source: str = ""
    licence: str = ""
    server: ServerChoice = "8xH100"
    """Server type: its name in the catalogue, a file, or its figures."""
    servers: int = Field(ge=1)
    """Number of servers."""
    jobs: tuple[ClusterJob, ...] = Field(min_length=1)
    """Training jobs."""
    beside: tuple[Beside, ...] = ()
    """Data preparation and serving."""
    idle_pu: float | None = Field(None, ge=0, le=1)
    """Power of idle servers; the catalogue's idle power if left out. [pu of nameplate]"""
    origins: dict[str, Origin] = {}
    """Where the preset's figures come from, by key."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics this profile must show, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> ClusterProfile:
        problems = []
        parts: list[ClusterJob | Beside] = [*self.jobs, *self.beside]
        taken = sum(part.share_pu for part in parts)
        if taken > 1 + 1e-9:
            cure = "Lower the shares of jobs and beside until they sum to 1 or less; the rest is idle."
            problems.append(Problem("more servers are taken than there are", f"share_pu sums to {taken:g}", cure))
        mine = server(self.server).name
        for number, job in enumerate(self.jobs):
            other = server(job.job.server).name
            if other != mine:
                cure = f"Give it `server: {mine}`, or make a cluster of its own."
                value = f"{other}, the cluster has {mine}"
                problems.append(Problem(f"jobs.{number} is for another server", value, cure))
        for part in parts:
            if round(part.share_pu * self.servers) < 1:
                cure = f"Give at least {1 / self.servers:.3g}, or more servers."
                problems.append(Problem("a part of the cluster has no whole server", f"share_pu {part.share_pu}", cure))
        if problems:
            raise InputError(problems)
        return self

    @property
    def nameplate_mw(self) -> float:
        """Nameplate power of all servers, in MW."""
        return self.servers * server(self.server).rated_kw / 1e3

    @property
    def accelerators(self) -> int:
        """Accelerators in all servers."""
        return self.servers * server(self.server).accelerators

    def placed(self) -> tuple[TrainingProfile, ...]:
        """Return the jobs with their servers, each later by its offset."""
        return tuple(_placed(part, self.servers) for part in self.jobs)


def _placed(part: ClusterJob, servers: int) -> TrainingProfile:
    spec = part.job
    changed: dict[str, Any] = {"servers": round(part.share_pu * servers)}
    if changed["servers"] < 1:  # a study may have chosen the number of servers later
        cure = f"Give at least {1 / part.share_pu:.0f} servers, or a larger share."
        raise bad("a part of the cluster has no whole server", f"share_pu {part.share_pu} of {servers} servers", cure)
    if part.offset_s and spec.begin_s is not None:
        changed["begin_s"] = spec.begin_s + part.offset_s
    elif part.offset_s:
        # A running job is later when it has been running for less; whole periods keep that from going below 0.
        whole_s = np.ceil(max(0.0, part.offset_s - spec.running_s) / spec.period_s) * spec.period_s
        changed["running_s"] = float(spec.running_s + whole_s - part.offset_s)
    if part.offset_s and spec.end_s is not None:
        changed["end_s"] = spec.end_s + part.offset_s
    return spec.model_copy(update=changed)


class Cluster:
    """A cluster with the timelines of its jobs: made once, read in blocks.

    Parameters
    ----------
    profile : ClusterProfile
        What runs.
    end_s : float
        Up to when it is read. [s]
    seed, member : int
        Which random numbers; every job has its own.

    Attributes
    ----------
    jobs : tuple of Job
    all_work : bool
        Whether no machine is left idle.
    """

    def __init__(self, profile: ClusterProfile, end_s: float, *, seed: int = 0, member: int = 0):
        self.profile, self.seed, self.member = profile, seed, member
        self.jobs = tuple(
            Job(job, end_s, seed=seed, member=member, stream=(number + 1) * _STREAMS)
            for number, job in enumerate(profile.placed())
        )
        self._beside = tuple(round(part.share_pu * profile.servers) for part in profile.beside)
        # Rounding to whole servers may take one more than there are.
        self._idle = max(0, profile.servers - sum(j.profile.servers for j in self.jobs) - sum(self._beside))
        self.all_work = self._idle == 0
        self._all = self._idle + sum(j.profile.servers for j in self.jobs) + sum(self._beside)

    def power_pu(self, dt_s: float, start: int, stop: int) -> Float:
        """Return samples of the cluster's IT power, shape (stop - start,), in pu of its nameplate."""
        machine = server(self.profile.server)
        idle = machine.idle_kw / machine.rated_kw if self.profile.idle_pu is None else self.profile.idle_pu
        total = np.full(max(0, stop - start), self._idle * idle)
        for job in self.jobs:
            total += job.profile.servers * job.power_pu(dt_s, start, stop)
        for number, (part, servers) in enumerate(zip(self.profile.beside, self._beside, strict=True)):
            octaves = Octaves(part.variation_step_s, part.variation_octaves, 1.0)
            stream = _BESIDE + 32 * number

            def slow(from_s: float, to_s: float, octaves: Octaves = octaves, stream: int = stream) -> Line:
                return noise_knots(octaves, from_s, to_s, seed=self.seed, member=self.member, stream=stream)

            varied = step_means(slow, dt_s, start, stop) if part.variation_pu else 0.0
            total += servers * (part.level_pu + part.variation_pu * varied)
        return total / self._all

    def active_pu(self, dt_s: float, start: int, stop: int) -> Float:
        """Return the share of the servers whose job runs, shape (stop - start,); idle machines have none."""
        total = np.full(max(0, stop - start), float(sum(self._beside)))
        for job in self.jobs:
            total += job.profile.servers * job.active_pu(dt_s, start, stop)
        return total / self._all
