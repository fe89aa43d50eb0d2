"""Control laws of storage: what each wants of the power behind it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator, model_validator

from gridedge.errors import bad
from gridedge.sites.buffering import Target
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_NO_FIGHT = "long beside the swings that are smoothed, so that it does not fight the law"
_OPENG2G = "defaults of the voltage droop of a local storage in OpenG2G (2026)"


class _Returning(Spec):
    """What the laws have in common: the state of charge comes back."""

    recovery_s: float = quantity(600.0, mark="assumed", source=_NO_FIGHT, ge=0)
    """Time constant of the return to the state of charge at the start; 0 or null switches it off. [s]"""

    @field_validator("recovery_s", "smooth_s", mode="before", check_fields=False)
    @classmethod
    def _off(cls, value: Any) -> Any:
        return 0.0 if value is None else value


class RampLimit(_Returning):
    """Limit the slope of the power, after a low-pass."""

    law: Literal["ramp_limit"] = "ramp_limit"
    ramp_mw_per_min: float = Field(gt=0)
    """Largest slope of the power behind the storage. [MW/min]"""
    smooth_s: float = quantity(
        60.0, mark="assumed", source="several iterations long, so that their mean is followed", ge=0
    )
    """Time constant of the low-pass before the limit; 0 or null leaves a pure ramp limit. [s]"""
    start_mw: float | None = None
    """Level before the series begins; its first sample unless given. [MW]"""

    def target(self) -> Target:
        """Return what it wants."""
        return Target(self.start_mw, self.smooth_s, self.ramp_mw_per_min / 60.0, self.recovery_s)


class LowPass(_Returning):
    """Let the power follow through a first-order low-pass."""

    law: Literal["low_pass"] = "low_pass"
    tau_s: float = Field(gt=0)
    """Its time constant. [s]"""
    start_mw: float | None = None
    """Level before the series begins; its first sample unless given. [MW]"""

    def target(self) -> Target:
        """Return what it wants."""
        return Target(self.start_mw, self.tau_s, np.inf, self.recovery_s)


class HoldMean(_Returning):
    """Hold the power at its mean: a set-point, or a slow average."""

    law: Literal["hold_mean"] = "hold_mean"
    mean_mw: float | None = None
    """Set-point; without one, the average of the load is followed. [MW]"""
    average_s: float = quantity(
        300.0, mark="assumed", source="some twenty iterations, or a few checkpoints, long", gt=0
    )
    """Time constant of that average, which starts at the first sample. [s]"""

    @model_validator(mode="after")
    def _one_mean(self) -> HoldMean:
        if self.mean_mw is not None and "average_s" in self.model_fields_set:
            cure = "Keep mean_mw to hold a set-point, or average_s to follow the load."
            raise bad("two means are given", f"mean_mw {self.mean_mw:g} and average_s {self.average_s:g}", cure)
        return self

    def target(self) -> Target:
        """Return what it wants."""
        return Target(self.mean_mw, np.inf if self.mean_mw is not None else self.average_s, np.inf, self.recovery_s)


class Droop(_Returning):
    """Answer the voltage at the point of connection, in active and reactive power."""

    law: Literal["droop"] = "droop"
    v_ref_pu: float = quantity(1.0, mark="quoted", source=_OPENG2G, gt=0)
    """Voltage at which it does nothing. [pu]"""
    deadband_pu: float = quantity(0.005, mark="quoted", source=_OPENG2G, ge=0)
    """Deviation up to which it does nothing. [pu]"""
    full_pu: float = quantity(0.05, mark="quoted", source=_OPENG2G, gt=0)
    """Deviation from which it gives all it has. [pu]"""
    p_share_pu: float = quantity(1.0, mark="assumed", source="all of its active power answers the voltage", ge=0, le=1)
    """Active power at full output. [pu of p_rated_mw]"""
    q_share_pu: float = quantity(0.0, mark="assumed", source="reactive droop is asked for, not usual", ge=0, le=1)
    """Reactive power at full output. [pu of s_rated_mva]"""
    s_rated_mva: float | None = Field(None, gt=0)
    """Rating of the inverter, active power first; p_rated_mw unless given. [MVA]"""

    @model_validator(mode="after")
    def _fits(self) -> Droop:
        if not self.deadband_pu < self.full_pu:
            cure = "Full output must come after the deadband: raise full_pu."
            raise bad("the droop has no slope", f"deadband_pu {self.deadband_pu:g}, full_pu {self.full_pu:g}", cure)
        return self

    def target(self) -> Target:
        """Return what it wants beside what the voltage asks."""
        return Target(None, 0.0, np.inf, self.recovery_s)


AnyLaw = Annotated[RampLimit | LowPass | HoldMean | Droop, Field(discriminator="law")]
LevelLaw = Annotated[RampLimit | LowPass | HoldMean, Field(discriminator="law")]


def droop_pu(vm_pu: Float, *, v_ref_pu: float, deadband_pu: float, full_pu: float) -> Float:
    r"""Return the share of full output that a voltage asks for.

    Parameters
    ----------
    vm_pu : ndarray
        Voltage magnitude. [pu]
    v_ref_pu, deadband_pu, full_pu : float
        Reference, and the deviations at which the output begins and is full. [pu]

    Returns
    -------
    ndarray
        Of the shape of ``vm_pu``, from -1 to 1; positive where the voltage is high: consume, and draw
        reactive power.

    Notes
    -----
    .. math:: d = \mathrm{sign}(v - v_0)\,\min\Bigl(1, \frac{\max(|v - v_0| - v_d, 0)}{v_f - v_d}\Bigr)
    """
    away = np.asarray(vm_pu, dtype=float) - v_ref_pu
    share = np.asarray(np.abs(away))  # worked on where it lies: fresh memory costs more than the arithmetic
    share -= deadband_pu
    np.maximum(share, 0.0, out=share)
    share /= full_pu - deadband_pu
    np.minimum(share, 1.0, out=share)
    np.copysign(share, away, out=share)
    return share


def late(values: Float, dt_s: float, *, delay_s: float, lag_s: float) -> Float:
    """Return what a converter makes of a command: a dead time, then a first-order lag; at rest before it starts.

    Parameters
    ----------
    values : ndarray, shape (..., time)
        Command, constant within each step.
    dt_s, delay_s, lag_s : float
        Step length, dead time and time constant, 0 for none. [s]

    Returns
    -------
    ndarray, shape (..., time)
        Means over each step, exact for the dead time alone and for the lag alone.
    """
    steps = int(delay_s / dt_s + 1e-9)
    part = max(delay_s / dt_s - steps, 0.0)
    samples = values.shape[-1]
    moved = np.zeros(values.shape)
    moved[..., steps:] = values[..., : max(samples - steps, 0)]
    if part:
        moved *= 1.0 - part
        moved[..., steps + 1 :] += part * values[..., : max(samples - steps - 1, 0)]
    if lag_s <= 0 or not samples:
        return np.asarray(moved)
    from scipy.signal import lfilter

    decay = float(np.exp(-dt_s / lag_s))
    ends = np.asarray(lfilter([1.0 - decay], [1.0, -decay], moved, axis=-1))
    begins = np.concatenate((np.zeros_like(ends[..., :1]), ends[..., :-1]), axis=-1)
    return np.asarray(moved + (begins - moved) * (1.0 - decay) * lag_s / dt_s)
