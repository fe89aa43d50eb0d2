"""What a synchronous training job is: the spec of its waveform.

Every power is in pu of the servers' nameplate.  How the figures make a waveform is told where
they are used: one iteration in ``iteration.py``, pauses, failures, start and stop in
``timeline.py``, noise in ``noise.py``.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from gridedge.errors import InputError, Problem, bad
from gridedge.profiles.catalog import ServerChoice, server
from gridedge.spec import Origin, Spec, quantity

NOISE_SIGMAS = 3.0
"""Knots of the noise are cut at so many standard deviations."""
JITTER_SIGMAS = 6.0
"""Lengths of iterations are cut at so many standard deviations."""
_LORA = "MLPerf Training v4.0 power logs (2024), 8 nodes of 8xH100, Llama-2-70B LoRA"
_GPT3 = "MLPerf Training v4.0 power log (2024), 64 nodes of 8xH100, GPT-3"
_OFF = "off unless stated"


class TrainingProfile(Spec):
    """A training job on a number of equal servers; powers in pu of the servers' nameplate."""

    kind: Literal["training"]
    title: str = ""
    source: str = ""
    licence: str = ""
    server: ServerChoice = "8xH100"
    """Server type: its name in the catalogue, a file, or its figures."""
    servers: int = Field(1, ge=1)
    """Number of servers."""

    # One iteration.
    period_s: float = Field(gt=0)
    """Mean length of one iteration. [s]"""
    period_jitter_pu: float = quantity(0.0, mark="assumed", source="no jitter", ge=0, le=0.15)
    """Standard deviation of the length of an iteration, relative to it; its parts stretch alike."""
    compute_pu: float = Field(gt=0, le=1.5)
    """Power while computing. [pu of nameplate]"""
    communication_pu: float = Field(ge=0)
    """Power while waiting for the collective, nothing of it hidden. [pu of nameplate]"""
    compute_share: float = Field(gt=0, lt=1)
    """Share of the iteration from the start of the rise to the steep edge of the fall."""
    overlap_pu: float = quantity(0.0, mark="assumed", source="levels are stated as they are seen", ge=0, le=1)
    """Share of the communication hidden behind computing: every departure from compute_pu within an iteration is
    (1 - overlap_pu) times its full size, and no length changes; 0 is full depth, 1 is flat."""
    rise_s: float = Field(gt=0)
    """From communication level to the start's peak. [s]"""
    fall_s: float = Field(gt=0)
    """Length of the steep edge, from taper_pu to residual_pu. [s]"""
    overshoot_pu: float | None = Field(None, gt=0, le=1.5)
    """Peak right after the rise; compute_pu if left out. [pu of nameplate]"""
    overshoot_s: float = quantity(
        0.4, mark="measured", source="Choukse et al. 2025: the start's peak decays to the plateau in 0.4 s", gt=0
    )
    """Decay of the peak to compute_pu, in a straight line. [s]"""
    taper_s: float = quantity(0.0, mark="assumed", source="no taper before the edge", ge=0)
    """Time before the steep edge over which power falls from compute_pu to taper_pu. [s]"""
    taper_pu: float | None = Field(None, ge=0, le=1.5)
    """Where the steep edge begins; compute_pu if left out. [pu of nameplate]"""
    residual_s: float = quantity(0.0, mark="assumed", source="no taper after the edge", ge=0)
    """Time after the steep edge over which power falls from residual_pu to communication_pu. [s]"""
    residual_pu: float | None = Field(None, ge=0, le=1.5)
    """Where the steep edge ends; communication_pu if left out. [pu of nameplate]"""
    dip_pu: float | None = Field(None, ge=0)
    """Level at the bottom of a dip inside the compute phase; no dip if left out. [pu of nameplate]"""
    dip_at_s: float = quantity(
        3.0, mark="measured", source="Choukse et al. 2025: second dip 3 s after the iteration's start", ge=0
    )
    """Start of that dip, from the iteration's start. [s]"""
    dip_fall_s: float = quantity(0.4, mark="measured", source="Choukse et al. 2025: fall of the second dip", gt=0)
    """Fall of that dip. [s]"""
    dip_hold_s: float = quantity(0.0, mark="measured", source="Choukse et al. 2025: the second dip has a point", ge=0)
    """Time at its bottom. [s]"""
    dip_recovery_s: float = quantity(
        0.7, mark="measured", source="Choukse et al. 2025: recovery of the second dip", gt=0
    )
    """Rise out of that dip. [s]"""
    micro_batches: int = Field(1, ge=1, le=10_000)
    """Micro-batches in the compute phase, of equal length, with a notch between two."""
    notch_pu: float = quantity(0.0, mark="assumed", source=_OFF, ge=0, le=1)
    """Depth of the notch between two micro-batches, below compute_pu. [pu of nameplate]"""
    notch_s: float | None = Field(None, gt=0)
    """Length of that notch, a V; as long as a micro-batch, a triangular ripple, if left out. [s]"""

    # What interrupts the iterations.
    evaluation_interval_s: float | None = Field(None, gt=0)
    """Training time between two evaluations; none if left out. The iteration under way is finished first. [s]"""
    evaluation_s: float = quantity(13.1, mark="measured", source=f"{_GPT3}: evaluations last 13.1 s", gt=0)
    """Length of an evaluation. [s]"""
    evaluation_pu: float | None = Field(None, ge=0, le=1.5)
    """Power while evaluating; compute_pu if left out. [pu of nameplate]"""
    evaluation_edge_s: float = quantity(
        0.5, mark="assumed", source="between the published edges of 0.05 to 1 s", low=0.05, high=1.0, gt=0
    )
    """Rise and fall around an evaluation. [s]"""
    checkpoint_interval_s: float | None = Field(None, gt=0)
    """Training time between two checkpoints; none if left out. The iteration under way is finished first. [s]"""
    checkpoint_mode: Literal["synchronous", "asynchronous"] = "synchronous"
    """synchronous: the job waits for the whole checkpoint; asynchronous: for checkpoint_snapshot_s only."""
    checkpoint_s: float = quantity(20.0, mark="measured", source="8xH100, synchronous save: 16 to 29 s", gt=0)
    """Length of a checkpoint. [s]"""
    checkpoint_pu: float = quantity(
        0.2, mark="measured", source="8xH100 with synchronous saves: 565 -> 151 W per accelerator", ge=0
    )
    """Power while the job waits for a checkpoint. [pu of nameplate]"""
    checkpoint_edge_s: float = quantity(
        1.0, mark="measured", source="8xH100: 10 to 90 % edges of about 1 s, an upper bound set by the sensor", gt=0
    )
    """Fall into the wait for a checkpoint, and rise out of it. [s]"""
    checkpoint_snapshot_s: float = quantity(
        4.0, mark="assumed", source="asynchronous saves stop a job for seconds (quoted)", low=2.0, high=10.0, gt=0
    )
    """How long an asynchronous checkpoint stops the job: the copy to host memory. [s]"""
    checkpoint_write_pu: float = quantity(0.0, mark="assumed", source="no published figure", ge=0, le=0.2)
    """Power that writing an asynchronous checkpoint adds for checkpoint_s, beside the training. [pu of nameplate]"""

    # Failures.
    failures_per_accelerator_h: float = quantity(0.0, mark="assumed", source=_OFF, ge=0)
    """Failures per accelerator and hour of running; each stops the whole job. [1/h]"""
    hang_share: float = quantity(
        0.3, mark="assumed", source="no published share of hangs among failures", low=0.1, high=0.5, ge=0, le=1
    )
    """Share of the failures that hang instead of crashing."""
    hang_pu: float | None = Field(None, ge=0, le=1.5)
    """Power of a job that spins in its collective; communication_pu if left out. [pu of nameplate]"""
    watchdog_s: float = quantity(
        600.0,
        mark="quoted",
        source="PyTorch pull request 110947 (2023): NCCL process groups time out after 10 min",
        gt=0,
    )
    """How long a hang spins before the watchdog ends it. [s]"""
    restart_s: float = quantity(
        180.0, mark="assumed", source="minutes, no published figure", low=60.0, high=600.0, ge=0
    )
    """Idle time from a crash, or from the watchdog, to the next start of the job. [s]"""

    # Start and stop.
    begin_s: float | None = Field(None, ge=0)
    """When the job is started: its init phase begins; if left out, it has been running. [s]"""
    end_s: float | None = Field(None, gt=0)
    """When the job is stopped; if left out, never. [s]"""
    running_s: float = Field(0.0, ge=0)
    """How long a job without begin_s has been running at time 0: shifts its iterations and its pauses. [s]"""
    idle_pu: float | None = Field(None, ge=0, le=1)
    """Power of its servers before and after the job; the catalogue's idle power if left out. [pu of nameplate]"""
    init_s: float = quantity(358.0, mark="measured", source=f"{_GPT3}: 358 s before the first step", ge=0)
    """Init phase of each start: loading, compiling, connecting. [s]"""
    init_pu: float | None = Field(None, ge=0, le=1.5)
    """Power in the init phase; idle power if left out. [pu of nameplate]"""
    warm_up_s: float = quantity(4.0, mark="measured", source=f"{_LORA}: 2.65 to 5.9 kW per node within 4 s", ge=0)
    """Time after the init phase over which power goes from init_pu to its full swing. [s]"""
    stop_s: float = quantity(8.0, mark="measured", source=f"{_LORA}: 6.1 to 2.74 kW per node in 8 s", ge=0)
    """Fall to idle power after a planned stop. [s]"""

    # Noise, and how alike the servers are.
    noise_pu: float = quantity(0.0, mark="assumed", source="no noise", ge=0, le=0.2)
    """Standard deviation of the noise of one server at its knots, cut at three of them. [pu of nameplate]"""
    noise_step_s: float = quantity(0.25, mark="assumed", source="corner of the jitter seen at 2 to 4 Hz", gt=0)
    """Distance of the finest knots between which the noise runs straight. [s]"""
    noise_kind: Literal["low", "band"] = "low"
    """low: the power of an octave lies below half its knots' frequency; band: around 0.35 of that frequency."""
    noise_octaves: int = Field(1, ge=1, le=24)
    """Octaves of the noise; each has knots twice as far apart as the one before."""
    noise_slope: float = quantity(
        1.0, mark="assumed", source="octaves of equal power: a spectral density of 1/f", low=0.7, high=1.4, gt=0, le=4
    )
    """Standard deviation of an octave over that of the next finer one."""
    node_correlation: float = quantity(
        1.0, mark="quoted", source="arXiv 2604.07345 (2026): the deviation grows with the nodes, to 16", ge=0, le=1
    )
    """Correlation of the noise of two servers; Var(sum) = N s^2 (1 + (N - 1) rho)."""
    node_clock_s: float = quantity(0.0, mark="assumed", source="recorders of the servers agree", ge=0)
    """Largest offset of a server's recorder, either way; seen in single servers, not in the power of the job. [s]"""

    origins: dict[str, Origin] = {}
    """Where the preset's figures come from, by key."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics this profile must show, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> TrainingProfile:
        problems = [*self._iteration_problems(), *self._pause_problems()]
        if (lowest := self.lowest_pu) < NOISE_SIGMAS * self.noise_pu:
            cure = f"The lowest level is {lowest:g} pu; keep noise_pu at a third of it or below."
            problems.append(Problem("the noise would make the power negative", f"noise_pu {self.noise_pu:g}", cure))
        problems += [
            Problem("origins names a key that does not exist", key, "Use the profile's own keys.")
            for key in sorted(set(self.origins) - set(type(self).model_fields))
        ]
        if problems:
            raise InputError(problems)
        return self

    def _iteration_problems(self) -> list[Problem]:
        found = []
        busy_s, wait_s = self.compute_share * self.period_s, (1 - self.compute_share) * self.period_s
        head_s = self.rise_s + (self.overshoot_s if self.overshoot_pu is not None else 0.0)
        cure = "Lengthen period_s, shorten the edges, or move compute_share."
        if head_s + self.taper_s > busy_s:
            value = f"{head_s + self.taper_s:g} s in {busy_s:g} s"
            found.append(Problem("rise, overshoot and taper do not fit into the compute phase", value, cure))
        if self.fall_s + self.residual_s > wait_s:
            value = f"{self.fall_s + self.residual_s:g} s in {wait_s:g} s"
            found.append(Problem("fall and residual do not fit into the communication phase", value, cure))
        if self.communication_pu >= self.compute_pu:
            cure = "communication_pu is the lower level."
            value = f"{self.communication_pu} pu, compute_pu {self.compute_pu}"
            found.append(Problem("communication_pu is not below compute_pu", value, cure))
        start, end = self.taper_level_pu, self.residual_level_pu
        if not self.communication_pu <= end <= start <= self.compute_pu:
            value = (
                f"compute {self.compute_pu}, taper {start}, residual {end}, communication {self.communication_pu} pu"
            )
            cure = "Give compute_pu >= taper_pu >= residual_pu >= communication_pu."
            found.append(Problem("the levels of the fall do not go down", value, cure))
        if self.overshoot_pu is not None and self.overshoot_pu < self.compute_pu:
            cure = "Leave overshoot_pu out, or give it at or above compute_pu."
            found.append(Problem("overshoot_pu lies below compute_pu", f"{self.overshoot_pu} pu", cure))
        if self.dip_pu is not None:
            ends_s = self.dip_at_s + self.dip_fall_s + self.dip_hold_s + self.dip_recovery_s
            if self.dip_pu > self.compute_pu or self.dip_at_s < head_s or ends_s > busy_s - self.taper_s:
                value = f"{self.dip_pu} pu, {self.dip_at_s:g} to {ends_s:g} s"
                cure = f"Keep it below compute_pu and between {head_s:g} and {busy_s - self.taper_s:g} s."
                found.append(Problem("the dip does not fit into the compute phase", value, cure))
        spacing_s = (busy_s - self.taper_s - head_s) / self.micro_batches
        if self.micro_batches > 1 and self.notch_s is not None and self.notch_s > spacing_s:
            cure = "Shorten notch_s or lower micro_batches."
            found.append(Problem("notch_s is longer than a micro-batch", f"{self.notch_s} s > {spacing_s:g} s", cure))
        if self.micro_batches > 1 and self.notch_pu > self.compute_pu:
            found.append(Problem("notch_pu is deeper than compute_pu", f"{self.notch_pu} pu", "Lower notch_pu."))
        return found

    def _pause_problems(self) -> list[Problem]:
        found = []
        for name, edge_s in (("checkpoint", self.checkpoint_edge_s), ("evaluation", self.evaluation_edge_s)):
            interval_s, length_s = getattr(self, f"{name}_interval_s"), getattr(self, f"{name}_s")
            if name == "checkpoint" and self.checkpoint_mode == "asynchronous":
                length_s = self.checkpoint_snapshot_s
            if interval_s is None:
                continue
            if 2 * edge_s > length_s:
                cure = f"Shorten {name}_edge_s."
                found.append(Problem(f"the {name} is shorter than its edges", f"{length_s} s", cure))
            if interval_s < self.period_s:
                cure = f"Give at least one iteration between two; period_s is {self.period_s:g}."
                found.append(Problem(f"{name}_interval_s is shorter than an iteration", f"{interval_s} s", cure))
        every_s = self.checkpoint_interval_s
        if every_s is not None and self.checkpoint_mode == "asynchronous" and self.checkpoint_s > every_s:
            cure = "Shorten checkpoint_s or lengthen checkpoint_interval_s."
            value = f"{self.checkpoint_s} s, every {every_s} s"
            found.append(Problem("a checkpoint is not written before the next one begins", value, cure))
        if self.begin_s is not None and self.running_s > 0:
            cure = "Leave running_s out for a job that is started."
            found.append(Problem("a job with begin_s has not been running", f"running_s {self.running_s}", cure))
        if self.end_s is not None and self.begin_s is not None and self.end_s <= self.begin_s:
            value = f"end_s {self.end_s}, begin_s {self.begin_s}"
            found.append(Problem("the job ends before it begins", value, "Give end_s above begin_s."))
        return found

    def unused(self) -> set[str]:
        """Return the keys that have no effect as the others stand: what is off need not be known."""
        off: set[str] = set()
        for prefix in ("checkpoint", "evaluation"):
            if getattr(self, f"{prefix}_interval_s") is None:
                off |= {name for name in type(self).model_fields if name.startswith(f"{prefix}_")}
        if self.checkpoint_mode == "synchronous":
            off |= {"checkpoint_snapshot_s", "checkpoint_write_pu"}
        if not self.failures_per_accelerator_h:
            off |= {"hang_share", "hang_pu", "watchdog_s", "restart_s"}
            if self.begin_s is None:
                off |= {"init_s", "init_pu", "warm_up_s"}
        if not self.noise_pu:
            off |= {"noise_step_s", "noise_octaves", "noise_slope", "noise_kind", "node_correlation"}
        if self.noise_octaves == 1:
            off |= {"noise_slope"}
        if self.dip_pu is None:
            off |= {"dip_at_s", "dip_fall_s", "dip_hold_s", "dip_recovery_s"}
        if self.overshoot_pu is None:
            off |= {"overshoot_s"}
        if self.micro_batches == 1:
            off |= {"notch_pu", "notch_s"}
        if self.end_s is None:
            off |= {"stop_s"}
        return off

    @property
    def nameplate_mw(self) -> float:
        """Nameplate power of all servers, in MW."""
        return self.servers * server(self.server).rated_kw / 1e3

    @property
    def accelerators(self) -> int:
        """Accelerators in all servers."""
        return self.servers * server(self.server).accelerators

    @property
    def taper_level_pu(self) -> float:
        """Where the steep edge begins."""
        return self.compute_pu if self.taper_pu is None else self.taper_pu

    @property
    def residual_level_pu(self) -> float:
        """Where the steep edge ends."""
        return self.communication_pu if self.residual_pu is None else self.residual_pu

    @property
    def idle_level_pu(self) -> float:
        """Power of servers without a job."""
        machine = server(self.server)
        return machine.idle_kw / machine.rated_kw if self.idle_pu is None else self.idle_pu

    @property
    def lowest_pu(self) -> float:
        """Lowest level of a running job, without noise."""
        shown = 1.0 - self.overlap_pu
        levels = [self.communication_pu, self.compute_pu if self.dip_pu is None else self.dip_pu]
        if self.micro_batches > 1:
            levels.append(self.compute_pu - self.notch_pu)
        found = [self.compute_pu - shown * (self.compute_pu - level) for level in levels]
        if self.checkpoint_interval_s is not None:
            found.append(self.checkpoint_pu)
        if self.evaluation_interval_s is not None and self.evaluation_pu is not None:
            found.append(self.evaluation_pu)
        return min(found)


def check_step(profile: TrainingProfile, dt_s: float) -> None:
    """Refuse a step of which an iteration does not hold two.

    Raises
    ------
    InputError
        If ``period_s`` is shorter than two steps.
    """
    if profile.period_s < 2 * dt_s:
        cure = f"Use dt_s of {profile.period_s / 2:g} s or less, and coarsen the series afterwards."
        raise bad("the iteration is shorter than two steps", f"period_s {profile.period_s:g}, dt_s {dt_s:g}", cure)
