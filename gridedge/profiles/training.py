"""Power of a synchronous training job.

All accelerators compute, then wait for each other: power swings between two levels once
per iteration.  The waveform is piecewise linear in time, and a sample is its exact mean over
the step; so the same seed gives the same job at every step length.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.profiles.catalog import ServerChoice, server
from gridedge.profiles.chance import counted_normal
from gridedge.spec import Origin, Spec, quantity

Float = NDArray[np.float64]
_NOISE_SIGMAS = 3.0
_PERIOD, _NOISE = 0, 1  # streams of random numbers


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
    period_s: float = Field(gt=0)
    """Length of one iteration. [s]"""
    period_jitter_pu: float = quantity(0.0, mark="assumed", source="no jitter", ge=0, le=0.2)
    """Standard deviation of the length of an iteration, relative to it."""
    compute_pu: float = Field(gt=0, le=1.5)
    """Power while computing. [pu of nameplate]"""
    communication_pu: float = Field(ge=0)
    """Power while waiting for the collective. [pu of nameplate]"""
    compute_share: float = Field(gt=0, lt=1)
    """Share of the iteration spent computing."""
    rise_s: float = Field(gt=0)
    """From communication to compute level. [s]"""
    fall_s: float = Field(gt=0)
    """From compute to communication level. [s]"""
    checkpoint_interval_s: float | None = Field(None, gt=0)
    """A checkpoint is written after the first iteration that ends later than this; none if left out. [s]"""
    checkpoint_s: float = quantity(20.0, mark="measured", source="8xH100, synchronous save: 16 to 29 s", gt=0)
    """Length of a checkpoint. [s]"""
    checkpoint_pu: float = quantity(
        0.2, mark="measured", source="8xH100 with synchronous saves: 565 -> 151 W per accelerator", ge=0
    )
    """Power while writing a checkpoint. [pu of nameplate]"""
    checkpoint_edge_s: float = quantity(
        1.0, mark="measured", source="8xH100: 10 to 90 % edges of about 1 s, an upper bound set by the sensor", gt=0
    )
    """Rise and fall of a checkpoint's dip. [s]"""
    noise_pu: float = quantity(0.0, mark="assumed", source="no noise", ge=0, le=0.2)
    """Standard deviation of the noise at its knots, cut at three of them. [pu of nameplate]"""
    noise_step_s: float = quantity(0.25, mark="assumed", source="corner of the jitter seen at 2 to 4 Hz", gt=0)
    """Distance of the knots between which the noise runs straight. [s]"""
    origins: dict[str, Origin] = {}
    """Where the preset's figures come from, by key."""
    expected: dict[str, tuple[float, float]] = {}
    """Statistics this profile must show, each with its tolerance; checked by the tests."""

    @model_validator(mode="after")
    def _fits(self) -> TrainingProfile:
        busy, idle = self.compute_share * self.period_s, (1 - self.compute_share) * self.period_s
        # Six sigma: an iteration that the jitter shortens must still hold its edges.
        shortest = 1 - 6 * self.period_jitter_pu
        if shortest <= 0 or self.rise_s > busy * shortest or self.fall_s > idle * shortest:
            cure = "Lengthen period_s, shorten rise_s or fall_s, or lower period_jitter_pu."
            raise bad("the edges do not fit into an iteration", f"rise {self.rise_s} s, fall {self.fall_s} s", cure)
        if self.communication_pu >= self.compute_pu:
            cure = "communication_pu is the lower level."
            raise bad("communication_pu is not below compute_pu", f"{self.communication_pu} pu", cure)
        lowest = min(self.communication_pu, self.checkpoint_pu if self.checkpoint_interval_s else self.compute_pu)
        if _NOISE_SIGMAS * self.noise_pu > lowest:
            cure = f"The lowest level is {lowest:g} pu; keep noise_pu at a third of it or below."
            raise bad("the noise would make the power negative", f"noise_pu {self.noise_pu:g}", cure)
        if self.checkpoint_interval_s is not None:
            if 2 * self.checkpoint_edge_s > self.checkpoint_s:
                raise bad(
                    "the checkpoint is shorter than its edges", f"{self.checkpoint_s} s", "Shorten checkpoint_edge_s."
                )
            if self.checkpoint_interval_s < self.period_s:
                cure = "Give at least one iteration between checkpoints."
                raise bad("checkpoint_interval_s is shorter than an iteration", f"{self.checkpoint_interval_s} s", cure)
        unknown = sorted((set(self.origins)) - set(type(self).model_fields))
        if unknown:
            raise bad("origins names a key that does not exist", unknown[0], "Use the profile's own keys.")
        return self

    @property
    def nameplate_mw(self) -> float:
        """Nameplate power of all servers, in MW."""
        return self.servers * server(self.server).rated_kw / 1e3


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
    edges: Float = np.arange(start, stop + 1, dtype=float) * dt_s
    end_s = stop * dt_s
    work = _integral(*_job(profile, end_s, seed, member), edges)
    if profile.noise_pu:
        knots = int(np.ceil(end_s / profile.noise_step_s)) + 2
        drawn = counted_normal(seed, member, _NOISE, 0, knots)
        level = profile.noise_pu * np.clip(drawn, -_NOISE_SIGMAS, _NOISE_SIGMAS)
        at: Float = np.arange(knots, dtype=float) * profile.noise_step_s
        work = work + _integral(at, level, edges)
    return np.asarray(np.diff(work) / dt_s * profile.nameplate_mw)


def _job(profile: TrainingProfile, end_s: float, seed: int, member: int) -> tuple[Float, Float]:
    """Return the corners (time, pu) of iterations and checkpoints from 0 to past ``end_s``."""
    count = int(np.ceil(end_s / (profile.period_s * (1 - 6 * profile.period_jitter_pu)))) + 2
    jitter = np.clip(counted_normal(seed, member, _PERIOD, 0, count), -6, 6) if profile.period_jitter_pu else 0.0
    length = profile.period_s * (1 + profile.period_jitter_pu * jitter) * np.ones(count)
    pause = np.zeros(count)
    if profile.checkpoint_interval_s is not None:
        elapsed = np.cumsum(length)
        saves = np.floor(elapsed / profile.checkpoint_interval_s + 1e-9)
        pause = np.where(np.diff(saves, prepend=0.0) > 0, profile.checkpoint_s, 0.0)
    start = np.concatenate(([0.0], np.cumsum(length + pause)[:-1]))
    busy = profile.compute_share * length
    low, high = profile.communication_pu, profile.compute_pu
    corners: list[tuple[Float, Float | float]] = [
        (start, low),
        (start + profile.rise_s, high),
        (start + busy, high),
        (start + busy + profile.fall_s, low),
    ]
    after = start + length
    saved = np.where(pause > 0, profile.checkpoint_pu, low)
    edge = np.where(pause > 0, profile.checkpoint_edge_s, 0.0)
    corners += [(after, low), (after + edge, saved), (after + np.maximum(pause - edge, 0.0), saved)]
    time = np.stack([c[0] for c in corners], axis=1).ravel()
    value = np.stack([np.broadcast_to(c[1], (count,)) for c in corners], axis=1).ravel()
    keep = np.concatenate((np.diff(time) > 0, [True]))  # iterations without a checkpoint leave empty pieces
    return time[keep], value[keep]


def _integral(time: Float, value: Float, at: Float) -> Float:
    """Return the integral from 0 of a piecewise linear function at given times."""
    area = np.concatenate(([0.0], np.cumsum(0.5 * (value[1:] + value[:-1]) * np.diff(time))))
    k = np.clip(np.searchsorted(time, at, side="right") - 1, 0, time.size - 2)
    into = at - time[k]
    slope = (value[k + 1] - value[k]) / (time[k + 1] - time[k])
    return np.asarray(area[k] + into * (value[k] + 0.5 * slope * into))
