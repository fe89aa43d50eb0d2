"""Storage beside the load: what it takes and gives, loses, and how full it is."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
_LONG = 100_000  # steps; below, starting the compiler takes longer than Python
_COST_DATA = "PyPSA technology-data, EUR 2020: battery inverter, DC round trip 0.96; one way is its root, 0.98"


class Battery(Spec):
    """A battery at the point of connection that limits the ramp of the metered power."""

    step: Literal["battery"]
    place: Literal["site"] = "site"
    """Where it acts: on the metered power."""
    p_rated_mw: float = Field(gt=0)
    """Largest charging and discharging power at its terminals. [MW]"""
    e_rated_mwh: float = Field(gt=0)
    """Energy between empty and full. [MWh]"""
    ramp_mw_per_min: float = Field(gt=0)
    """Largest change of the metered power. [MW/min]"""
    holds_power_factor: bool = quantity(
        True, mark="assumed", source="inverters of battery plants control reactive power"
    )
    """Whether its inverter keeps the power factor at the meter; else reactive power stays as without it."""
    smooth_s: float = quantity(
        60.0, mark="assumed", source="several iterations long, so that their mean is followed", gt=0
    )
    """Time constant of the low-pass that the metered power follows. [s]"""
    charge_efficiency: float = quantity(0.98, mark="quoted", source=_COST_DATA, gt=0, le=1)
    """Share of the charging power that is stored."""
    discharge_efficiency: float = quantity(0.98, mark="quoted", source=_COST_DATA, gt=0, le=1)
    """Share of the energy taken out that reaches the terminals."""
    soc_start_pu: float = quantity(0.5, mark="assumed", source="half full, as far from both ends")
    """State of charge at the start. [pu of e_rated_mwh]"""
    soc_min_pu: float = quantity(0.1, mark="assumed", source="usual operating window of lithium-ion cells", ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_max_pu: float = quantity(0.9, mark="assumed", source="usual operating window of lithium-ion cells", gt=0, le=1)
    """Upper end of the window. [pu]"""
    recovery_s: float = quantity(600.0, mark="assumed", source="ten times smooth_s, so that it does not fight it", gt=0)
    """Time constant of the return to soc_start_pu. [s]"""

    @model_validator(mode="after")
    def _fits(self) -> Battery:
        if not self.soc_min_pu < self.soc_max_pu:
            cure = "soc_min_pu must lie below soc_max_pu."
            raise bad("the state-of-charge window is empty", f"{self.soc_min_pu} to {self.soc_max_pu} pu", cure)
        if not self.soc_min_pu <= self.soc_start_pu <= self.soc_max_pu:
            cure = f"Start within {self.soc_min_pu} to {self.soc_max_pu} pu."
            raise bad("the battery starts outside its window", f"soc_start_pu {self.soc_start_pu}", cure)
        return self

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Limit the ramp of each row."""
        runs = [ramp_limiting_battery(row, around.dt_s, self) for row in p_mw.reshape(-1, p_mw.shape[-1])]
        after, lost, stored, soc = (
            np.stack([getattr(r, name) for r in runs]).reshape(p_mw.shape)
            for name in ("p_mw", "lost_mw", "stored_mw", "soc_pu")
        )
        return Outcome(after, lost_mw=lost, stored_mw=stored, soc_pu=soc)


@dataclass(frozen=True)
class Buffered:
    """What a storage made of a power series; arrays of shape (time,), powers in MW."""

    p_mw: Float
    lost_mw: Float
    stored_mw: Float
    soc_pu: Float


def ramp_limiting_battery(p_mw: Float, dt_s: float, battery: Battery) -> Buffered:
    r"""Return the metered power behind a battery that limits its ramp.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power that is wanted, consumption positive. [MW]
    dt_s : float
        Step length. [s]
    battery : Battery
        Ratings, efficiencies and control.

    Returns
    -------
    Buffered
        Metered power, conversion losses and the rate of change of the stored energy [MW], and the state of
        charge at the end of each step [pu]; ``p + lost + stored`` is the metered power.

    Notes
    -----
    The metered power follows the low-passed wish, pulled so that the state of charge returns,
    and is limited in its slope:

    .. math:: g_k = g_{k-1} + \mathrm{clip}\bigl(\bar p_k + (s_0 - s_{k-1}) E / \tau_r - g_{k-1},
       \pm r \Delta t\bigr)

    The wish never turns a consumer into a source.  Power and energy limits of the battery cut in last: what it
    cannot give, the grid sees.  It looks at no sample later than ``k``.
    """
    step_h = dt_s / 3600.0
    alpha = 1.0 - float(np.exp(-dt_s / battery.smooth_s))
    slope = battery.ramp_mw_per_min * dt_s / 60.0
    pull = 3600.0 / battery.recovery_s
    full, empty = battery.soc_max_pu * battery.e_rated_mwh, battery.soc_min_pu * battery.e_rated_mwh
    rest = battery.soc_start_pu * battery.e_rated_mwh
    into, out, rated = battery.charge_efficiency, battery.discharge_efficiency, battery.p_rated_mw

    start = float(p_mw[0]) if p_mw.size else 0.0
    numbers = (start, rest, step_h, alpha, slope, pull, full, empty, into, out, rated)
    if p_mw.size < _LONG:
        metered, change, content = ([0.0] * p_mw.size for _ in range(3))
        _each_step(p_mw.tolist(), *numbers, metered, change, content)
        after, kept, energy = np.array(metered), np.array(change), np.array(content)
    else:
        after, kept, energy = (np.empty(p_mw.size) for _ in range(3))
        _compiled()(np.ascontiguousarray(p_mw, dtype=float), *numbers, after, kept, energy)
    return Buffered(after, after - p_mw - kept, kept, energy / battery.e_rated_mwh)


def _each_step(
    p_mw: Any, start: float, rest: float, step_h: float, alpha: float, slope: float, pull: float,
    full: float, empty: float, into: float, out: float, rated: float, metered: Any, change: Any, content: Any,
) -> None:  # fmt: skip
    """Go through the steps, each of which needs the one before it: lists in Python, arrays compiled, the same bits."""
    energy = rest
    smooth = grid = start
    for k in range(len(p_mw)):
        p = p_mw[k]
        smooth += alpha * (p - smooth)
        wish = max(smooth + (rest - energy) * pull, min(p, 0.0))  # it does not make the meter export
        grid += min(max(wish - grid, -slope), slope)
        b = min(max(grid - p, -rated), rated)
        stored = b * into if b > 0 else b / out
        ceiling, floor = (full - energy) / step_h, (empty - energy) / step_h
        if stored > ceiling:
            stored = max(ceiling, 0.0)
            b = stored / into
        elif stored < floor:
            stored = min(floor, 0.0)
            b = stored * out
        grid = p + b
        energy = min(max(energy + stored * step_h, empty), full)
        metered[k], change[k], content[k] = grid, stored, energy


@functools.lru_cache(maxsize=1)
def _compiled() -> Any:
    """Compile the steps, keeping the machine code on disk where something is writable."""
    import numba  # it takes a second

    # No fastmath: a fused multiply-add would round elsewhere.
    try:
        return numba.njit(cache=True, nogil=True)(_each_step)
    except RuntimeError:  # nowhere to keep it: compile in every process
        return numba.njit(nogil=True)(_each_step)
