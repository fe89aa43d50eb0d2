"""The power floor in the accelerator: a circuit that burns what the work does not draw."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.profiles.catalog import Accelerator
from gridedge.sites.chip import Chips, active, chips
from gridedge.sites.compiled import loop
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Origin, Spec, quantity

Float = NDArray[np.float64]
_FIRMUS = "an operator's own preset, not NVIDIA's (Firmus module), quoted by a second source"
_MANUAL = "nvidia-smi manual, Power Smoothing"
PRESETS: dict[str, dict[str, float]] = {
    f"firmus-{percent:g}": {
        "percent_tmp_floor": percent,
        "ramp_up_w_per_s": ramp,
        "ramp_down_w_per_s": ramp,
        "ramp_down_hysteresis_ms": hold_ms,
    }
    for percent, ramp, hold_ms in ((90.0, 70.0, 5e3), (80.0, 150.0, 3e3), (70.0, 200.0, 2e3), (50.0, 500.0, 1e3))
}
"""Floor [% of the ceiling], ramps [W/s] and hysteresis [ms]; one ramp rate is published, used both ways (assumed)."""


class PowerFloor(Spec):
    """A power floor held by the accelerators themselves, with the parameters that NVML names.

    What each parameter does is that of the nvidia-smi manual ("Power Smoothing"), field by field:
    the primary floor is a share of the accelerator's ceiling (TMP); the hysteresis is honoured before the
    floor lets go, unless the ramp-down is immediate; with an activation window the secondary floor holds
    while the moving average of the power stays above secondary floor plus offset, and the primary floor
    below that; with a target window the moving average of the power is the primary floor.
    """

    step: Literal["power_floor"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the accelerators, so that cooling and conversion carry it too."""
    preset: Literal["firmus-90", "firmus-80", "firmus-70", "firmus-50"] | None = None
    """Starts from an operator's own preset; a value given beside it overrides that value."""
    percent_tmp_floor: float = Field(gt=0, le=100)
    """Primary floor. [% of the accelerator's ceiling]"""
    activation_percent: float | None = Field(None, gt=0, le=100)
    """Power from which work counts as running; half way from idle to the floor if left out (assumed). [% of ceiling]"""
    ramp_up_w_per_s: float = quantity(150.0, mark="quoted", source=f"80 % preset: {_FIRMUS}", gt=0)
    """Rise of the floor, and of the work while the floor is below its target. [W/s per accelerator]"""
    ramp_down_w_per_s: float = quantity(150.0, mark="quoted", source=f"80 % preset: {_FIRMUS}", gt=0)
    """Fall of the floor once it lets go. [W/s per accelerator]"""
    ramp_down_hysteresis_ms: float = quantity(3000.0, mark="quoted", source=f"80 % preset: {_FIRMUS}", ge=0)
    """How long the work must stay below the activation before the floor lets go. [ms]"""
    immediate_ramp_down: bool = False
    """Whether the floor lets go without waiting for the hysteresis; the fall keeps its ramp."""
    secondary_power_floor_w: float = quantity(0.0, mark="assumed", source="off; it is set for a workload", ge=0)
    """Floor while the work is active; only with an activation window. [W per accelerator]"""
    primary_floor_act_win_mult: float = quantity(0.0, mark="assumed", source=f"0 is off: {_MANUAL}", ge=0)
    """Length of the moving average that switches between the floors; 0 keeps the primary floor. [window_unit_ms]"""
    primary_floor_tar_win_mult: float = quantity(0.0, mark="assumed", source=f"0 is off: {_MANUAL}", ge=0)
    """Length of the moving average that is the primary floor; 0 takes percent_tmp_floor. [window_unit_ms]"""
    primary_floor_act_offset_w: float = quantity(0.0, mark="assumed", source="set with the secondary floor", ge=0)
    """Above the secondary floor, where the moving average switches to the primary one. [W per accelerator]"""
    min_activation_point_w: float = quantity(
        0.0, mark="assumed", source="a static field of the driver, not published", ge=0
    )
    """Least value of that switching point. [W per accelerator]"""
    window_unit_ms: float = quantity(10.0, mark="assumed", source="a static field of the driver, not published", gt=0)
    """Unit of the two windows. [ms]"""
    peak_limit: bool = quantity(
        False, mark="assumed", source="the load holds already what the accelerators' own limit let through"
    )
    """Whether work above the ceiling is held back: up to the accelerator's edp_pu for edp_ms, then to the ceiling."""
    edp_ms: float = quantity(
        50.0,
        mark="quoted",
        source="about 50 ms at 1.1 of the ceiling (arXiv 2508.14318, 2025), by second sources",
        gt=0,
    )
    """How long the peak limit lets work pass above the ceiling. [ms]"""
    lifetime_h: float = quantity(
        43_800.0, mark="assumed", source="five years of holding; the circuit wears, and no figure is published", gt=0
    )
    """Hours that the circuit can burn. [h]"""
    origins: dict[str, Origin] = {}
    """Where the preset's figures come from, by key."""

    @model_validator(mode="before")
    @classmethod
    def _from_preset(cls, data: Any) -> Any:
        if not isinstance(data, Mapping) or data.get("preset") not in PRESETS:
            return data
        taken = {k: v for k, v in PRESETS[data["preset"]].items() if k not in data}
        origin = {"mark": "quoted", "source": f"{data['preset']}: {_FIRMUS}"}
        return {**taken, **data, "origins": {**dict.fromkeys(taken, origin), **data.get("origins", {})}}

    @model_validator(mode="after")
    def _fits(self) -> PowerFloor:
        if self.activation_percent is not None and self.activation_percent > self.percent_tmp_floor:
            value = f"activation_percent {self.activation_percent:g} > percent_tmp_floor {self.percent_tmp_floor:g}"
            raise bad("the floor starts only above itself", value, "Lower activation_percent to the floor or below.")
        if self.secondary_power_floor_w > 0 and not self.primary_floor_act_win_mult:
            cure = "Set primary_floor_act_win_mult above 0, or leave the secondary floor out."
            raise bad(
                "the secondary floor is never used", f"secondary_power_floor_w {self.secondary_power_floor_w:g}", cure
            )
        return self

    def held_mw(self, around: Around) -> float:
        """Return the IT power in MW while the primary floor holds in every accelerator."""
        unit = self._chips(around)
        return unit.of_all_mw(self.percent_tmp_floor / 100.0 * unit.kind.tdp_w)

    def _chips(self, around: Around) -> Chips:
        unit = chips(around, asked_by="power_floor")
        kind = unit.kind
        if not kind.power_floor:
            cure = "Use a dummy workload instead: {step: dummy_load, floor_pu: ...}."
            raise bad(f"the accelerators of {unit.server_name} have no power floor", kind.name, cure)
        most = 100.0 * kind.floor_max_pu
        if self.percent_tmp_floor > most * (1 + 1e-12):
            value = f"percent_tmp_floor {self.percent_tmp_floor:g} > {most:g}"
            raise bad(f"the floor lies above what {kind.name} can hold", value, f"Give at most {most:g}.")
        primary_w = self.percent_tmp_floor / 100.0 * kind.tdp_w
        if self.secondary_power_floor_w > primary_w:
            value = f"secondary_power_floor_w {self.secondary_power_floor_w:g} > {primary_w:g} W"
            raise bad("the secondary floor lies above the primary one", value, "Lower it.")
        if primary_w <= kind.idle_w:
            value = f"{primary_w:g} W <= {kind.idle_w:g} W"
            raise bad(f"the floor lies below the idle power of {kind.name}", value, "Raise percent_tmp_floor.")
        return unit

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Hold the floor under each row."""
        unit = self._chips(around)
        share = active(p_mw, around)
        work_w = unit.of_one_w(p_mw, share)
        held = hold_floor(work_w, share, around.dt_s, self, unit.kind)
        scale = unit.count / 1e6
        wasted, delayed = held.burnt_w * scale, held.held_back_w * scale
        primary_w = self.percent_tmp_floor / 100.0 * unit.kind.tdp_w
        short_w = (primary_w - held.drawn_w) * share
        hours = p_mw.shape[-1] * around.dt_s / 3600.0
        burning_h = float(held.circuit_pu.mean()) * hours if p_mw.size else 0.0
        figures = {
            "floor_mw": unit.of_all_mw(primary_w),
            "missed_floor_mw": max(0.0, float(short_w.max(initial=0.0)) * scale),
            "circuit_active_h": burning_h,
            "lifetime_used_percent": 100.0 * burning_h / self.lifetime_h,
        }
        if burning_h > 0:
            figures["lifetime_years"] = self.lifetime_h / (burning_h / hours) / 8760.0
        notes = self._notes(unit, work_w, share, around, figures)
        return Outcome(
            p_mw - delayed + wasted, wasted_mw=wasted, delayed_mw=delayed, notes=notes, figures=tuple(figures.items())
        )

    def _notes(
        self, unit: Chips, work_w: Float, share: Float, around: Around, figures: Mapping[str, float]
    ) -> tuple[str, ...]:
        notes = []
        if figures["missed_floor_mw"] > 1e-9 * figures["floor_mw"]:
            notes.append(
                f"power_floor: the floor of {figures['floor_mw']:.4g} MW is missed by up to "
                f"{figures['missed_floor_mw']:.3g} MW (hysteresis, ramps or the secondary floor)."
            )
        lowest = float(np.min(work_w, initial=unit.idle_w, where=share > 0))
        if lowest < 0:
            notes.append(
                f"power_floor: the load falls to {lowest:.0f} W per accelerator: less than the power that "
                f"{unit.server_name} draws beside its accelerators, which is taken as constant."
            )
        highest = float(np.max(work_w, initial=0.0))
        limit = unit.kind.edp_pu * unit.kind.tdp_w
        if highest > limit and not self.peak_limit:
            notes.append(
                f"power_floor: the load asks {unit.kind.name} for up to {highest:.0f} W; "
                f"its peak limit is {limit:.0f} W."
            )
        if 0 < self.ramp_down_hysteresis_ms < 1e3 * around.dt_s:
            notes.append(
                f"power_floor: the hysteresis of {self.ramp_down_hysteresis_ms:g} ms is shorter than a step of "
                f"{1e3 * around.dt_s:g} ms and is not seen."
            )
        return tuple(notes)


class Held(NamedTuple):
    """What the floor made of the work; per accelerator of the whole load, shape (..., time).

    ``burnt_w`` and ``held_back_w`` are powers [W]; ``circuit_pu`` is the share of the accelerators whose circuit burns;
    ``drawn_w`` is the power of an accelerator whose job runs [W].
    """

    burnt_w: Float
    held_back_w: Float
    circuit_pu: Float
    drawn_w: Float


def hold_floor(work_w: Float, active_pu: Float, dt_s: float, floor: PowerFloor, kind: Accelerator) -> Held:
    r"""Hold a floor under the power of accelerators.

    Parameters
    ----------
    work_w : ndarray, shape (..., time)
        Power that the work draws in an accelerator whose job runs. [W]
    active_pu : ndarray, shape (..., time)
        Share of the accelerators whose job runs. [pu]
    dt_s : float
        Step length. [s]
    floor : PowerFloor
        The parameters.
    kind : Accelerator
        Ceiling and idle power.

    Returns
    -------
    Held
        Power burnt and work held back.

    Notes
    -----
    The level :math:`L` is what the circuit holds, the target :math:`T` the floor in force. While the work
    has been above the activation within the hysteresis,
    :math:`L_k = L_{k-1} + \mathrm{clip}(T_k - L_{k-1}, -d\,\Delta t, u\,\Delta t)`; else :math:`L` moves with the
    same ramps to the work's own power. The accelerator draws :math:`\max(x_k, L_k)`; while :math:`L_k < T_k` it
    draws no more than :math:`L_k`, which is the ramp-up: work beyond is held back.

    The circuit is hardware: accelerators whose job stops keep their level for the hysteresis and ramp down to idle.
    Those that stop within one another's ramp are taken together at their mean level.  The series starts
    with the floor holding wherever a job runs.  No sample depends on a later one.

    The moving averages are those of the work's power, because the circuit's own would hold the primary floor
    forever (assumed).

    References
    ----------
    .. [1] NVIDIA, "nvidia-smi" manual, section Power Smoothing (2026): meaning of the parameters.
    .. [2] NVIDIA, "NVML API Reference Guide", Power Smoothing Information (2026): their names and units.
    .. [3] Choukse et al., "Power Stabilization for AI Training Datacenters", arXiv:2508.14318 (2025).
    """
    primary_w = floor.percent_tmp_floor / 100.0 * kind.tdp_w
    target_w = np.full_like(work_w, primary_w)
    if floor.primary_floor_tar_win_mult:
        window_s = floor.primary_floor_tar_win_mult * floor.window_unit_ms / 1e3
        least = max(floor.secondary_power_floor_w, kind.idle_w)
        target_w = np.clip(moving_mean(work_w, dt_s, window_s=window_s), least, kind.floor_max_pu * kind.tdp_w)
    if floor.primary_floor_act_win_mult:
        window_s = floor.primary_floor_act_win_mult * floor.window_unit_ms / 1e3
        point = max(floor.secondary_power_floor_w + floor.primary_floor_act_offset_w, floor.min_activation_point_w)
        quiet = moving_mean(work_w, dt_s, window_s=window_s) < point
        target_w = np.where(quiet, target_w, max(floor.secondary_power_floor_w, kind.idle_w))
    start_w = (
        0.5 * (kind.idle_w + primary_w)
        if floor.activation_percent is None
        else floor.activation_percent / 100.0 * kind.tdp_w
    )
    hold_s = 0.0 if floor.immediate_ramp_down else floor.ramp_down_hysteresis_ms / 1e3
    edp_s = floor.edp_ms / 1e3 if floor.peak_limit else np.inf
    numbers = (
        dt_s, start_w, floor.ramp_up_w_per_s * dt_s, floor.ramp_down_w_per_s * dt_s, hold_s, kind.idle_w,
        kind.tdp_w, (kind.edp_pu - 1.0) * kind.tdp_w, edp_s,
    )  # fmt: skip
    shape = work_w.shape
    found = Held(*(np.zeros(shape) for _ in range(4)))
    run = loop(_each_step, work_w.size)
    flat = [np.ascontiguousarray(a, dtype=float).reshape(-1, shape[-1]) for a in (work_w, active_pu, target_w)]
    rows = [a.reshape(-1, shape[-1]) for a in found]
    for k in range(rows[0].shape[0]):
        run(*(a[k] for a in flat), *numbers, *(a[k] for a in rows))
    return found


def moving_mean(values: Float, dt_s: float, *, window_s: float) -> Float:
    """Return the mean of the samples within a window that ends with each sample; shorter at the start.

    Parameters
    ----------
    values : ndarray, shape (..., time)
        A series.
    dt_s, window_s : float
        Step length, and length of the window: whole steps, at least one. [s]
    """
    steps = max(1, round(window_s / dt_s))
    total = np.concatenate((np.zeros((*values.shape[:-1], 1)), np.cumsum(values, axis=-1)), axis=-1)
    k = np.arange(values.shape[-1])
    first = np.maximum(k + 1 - steps, 0)
    return np.asarray((total[..., k + 1] - total[..., first]) / (k + 1 - first))


def _each_step(
    work_w: Any, active: Any, target_w: Any, dt_s: float, start_w: float, up_w: float, down_w: float, hold_s: float,
    idle_w: float, ceiling_w: float, above_w: float, edp_s: float, burnt: Any, held: Any, circuit: Any, runs_at: Any,
) -> None:  # fmt: skip
    """Go through the steps, each of which needs the one before it."""
    tiny = 1e-9
    before = active[0] if work_w.size else 0.0
    level = target_w[0] if before > tiny else idle_w
    drawn = level
    on = before > tiny
    quiet_s = 0.0
    tail, tail_w, tail_s = 0.0, idle_w, 0.0  # share, level and time since the job stopped
    budget_s = edp_s
    for k in range(work_w.size):
        share, work, target = active[k], work_w[k], target_w[k]
        if share < before:
            gone = before - share
            tail_w = (tail * tail_w + gone * drawn) / (tail + gone)
            tail_s = tail * tail_s / (tail + gone)
            tail += gone
        elif share > before:
            new = share - before
            back = min(new, tail)
            tail -= back
            level = (before * level + back * tail_w + (new - back) * idle_w) / share
            if before <= tiny:
                on = False
        before = share
        if tail > 0.0:
            tail_s += dt_s
            if tail_s > hold_s + 1e-9 * dt_s:
                tail_w = max(tail_w - down_w, idle_w)
            if tail_w <= idle_w:
                tail = 0.0
        out = back_w = burning = 0.0
        if share > tiny:
            if work >= start_w:
                on = True
                quiet_s = 0.0
            else:
                quiet_s += dt_s
                if quiet_s > hold_s + 1e-9 * dt_s:
                    on = False
            wish = target if on else min(max(work, idle_w), target)
            level = min(level + up_w, wish) if level < wish else max(level - down_w, wish)
            if not on and level == wish:
                drawn = work  # let go: the work is its own level
            elif level < target:
                drawn = level  # the ramp-up, in which work beyond is held back
            else:
                drawn = max(work, level)
            if budget_s != np.inf:
                drawn = min(drawn, ceiling_w + above_w * min(budget_s, dt_s) / dt_s)
                budget_s = max(budget_s - dt_s, 0.0) if work > ceiling_w else edp_s
            if drawn > work:
                out, burning = (drawn - work) * share, share
            else:
                back_w = (work - drawn) * share
        else:
            level = drawn = idle_w
            on = False
        burnt[k] = out + tail * (tail_w - idle_w)
        held[k] = back_w
        circuit[k] = burning + tail
        runs_at[k] = drawn
