"""Caps on power and on frequency: the work takes longer, and less is drawn at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.profiles import reshape
from gridedge.sites.chip import active, chips
from gridedge.sites.regenerate import Work
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_EXPONENT = "between 1 (the voltage is fixed) and 3 (it follows the clock)"
_BOUND = "the rest of the compute phase waits for memory"


class PowerCap(Spec):
    """A cap on the power of the accelerators."""

    step: Literal["power_cap"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the accelerators."""
    cap_pu: float = Field(gt=0, le=1)
    """Highest IT power. [pu of IT nameplate]"""
    exponent: float = quantity(reshape.EXPONENT, mark="assumed", source=_EXPONENT, ge=1, le=3)
    """Power above idle goes with the clock to this power. [1]"""
    compute_bound_pu: float = quantity(reshape.COMPUTE_BOUND_PU, mark="assumed", source=_BOUND, ge=0, le=1)
    """Share of the compute phase whose time goes with the inverse of the clock. [pu]"""

    def capped_mw(self, around: Around) -> float:
        """Return the highest IT power in MW that the cap lets through."""
        if around.nameplate_mw is None:
            cure = 'Set load.attrs["nameplate_mw"] to the nameplate of the servers in MW.'
            raise bad("the load does not say its nameplate", "", cure)
        return self.cap_pu * around.nameplate_mw

    def reshaped(self, profile: Any) -> tuple[Work, Mapping[str, float]]:
        """Return the profile with its compute phases stretched, and by how much."""
        return reshape.cap_power(profile, self.cap_pu, exponent=self.exponent, compute_bound_pu=self.compute_bound_pu)

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Clip a series whose work cannot be stretched, and book what is put off."""
        top_mw = self.capped_mw(around)
        after = np.minimum(p_mw, top_mw)
        return _clipped("power_cap", p_mw, after, around, f"at {top_mw:.4g} MW")


class FrequencyCap(Spec):
    """A cap on the clock of the accelerators."""

    step: Literal["frequency_cap"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the accelerators."""
    frequency_pu: float = Field(gt=0, le=1)
    """Clock. [pu of the clock without a cap]"""
    exponent: float = quantity(reshape.EXPONENT, mark="assumed", source=_EXPONENT, ge=1, le=3)
    """Power above idle goes with the clock to this power. [1]"""
    compute_bound_pu: float = quantity(reshape.COMPUTE_BOUND_PU, mark="assumed", source=_BOUND, ge=0, le=1)
    """Share of the compute phase whose time goes with the inverse of the clock. [pu]"""

    def capped_mw(self, around: Around) -> float:
        """Return the highest IT power in MW that the cap lets through: that of accelerators at their ceiling."""
        unit = chips(around, asked_by="frequency_cap")
        above_w = unit.kind.tdp_w - unit.idle_w
        return unit.of_all_mw(unit.idle_w + above_w * self.frequency_pu**self.exponent)

    def reshaped(self, profile: Any) -> tuple[Work, Mapping[str, float]]:
        """Return the profile with its compute phases stretched, and by how much."""
        return reshape.cap_frequency(
            profile, self.frequency_pu, exponent=self.exponent, compute_bound_pu=self.compute_bound_pu
        )

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Lower the power above idle of a series whose work cannot be stretched, and book what is put off."""
        unit = chips(around, asked_by="frequency_cap")
        share = active(p_mw, around)
        above_w = np.maximum(unit.of_one_w(p_mw, share) - unit.idle_w, 0.0)
        less_w = above_w * (1.0 - self.frequency_pu**self.exponent)
        after = p_mw - less_w * share * unit.count / 1e6
        return _clipped("frequency_cap", p_mw, after, around, f"to a clock of {self.frequency_pu:g} pu")


def _clipped(name: str, p_mw: Float, after: Float, around: Around, how: str) -> Outcome:
    delayed = p_mw - after
    mwh = float(delayed.sum()) * around.dt_s / 3600.0 / max(1, int(np.prod(p_mw.shape[:-1])))
    note = (
        f"{name}: this load is a series, whose iterations cannot be stretched. It is cut {how}; {mwh:.3g} MWh of work "
        "are put off and do not come back within it, and its period stays as it was."
    )
    return Outcome(after, delayed_mw=delayed, notes=(note,), figures=(("delayed_mwh", mwh),))
