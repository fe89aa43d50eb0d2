"""Dummy workload in software: work that is done only to draw power."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.sites.chip import Chips, active, chips
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]


class DummyLoad(Spec):
    """A dummy workload in software that holds a floor under the IT power while its job runs."""

    step: Literal["dummy_load"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the accelerators, so that cooling and conversion carry it too."""
    floor_pu: float = Field(gt=0, le=1)
    """Floor that it holds. [pu of IT nameplate]"""
    trigger: Literal["reactive", "announced"] = "reactive"
    """Whether it reacts to telemetry, or the framework announces each phase to it."""
    reaction_s: float = quantity(
        0.1,
        mark="quoted",
        source="power telemetry of accelerators comes at least 100 ms late (Choukse et al. 2025)",
        ge=0,
    )
    """Reactive: how late the telemetry shows the power. [s]"""
    sampling_s: float = quantity(
        0.1, mark="quoted", source="NVML updates about every 100 ms (arXiv 2312.02741, by a second source)", ge=0
    )
    """Reactive: interval at which the telemetry is read. [s]"""
    launch_s: float = quantity(
        0.02, mark="assumed", source="start of a kernel on every rank and end of the one that runs; none measured", ge=0
    )
    """Announced: delay with which the filling starts, and with which it ends. [s]"""
    steals_pu: float = quantity(
        0.0, mark="assumed", source="no published overhead could be verified; set it from a test", ge=0, lt=1
    )
    """Share of the real work's power that the filling takes from it while both run. [pu]"""

    def held_mw(self, around: Around) -> float:
        """Return the IT power in MW that the floor holds."""
        return self.floor_pu * self._nameplate_mw(around)

    def _nameplate_mw(self, around: Around) -> float:
        if around.nameplate_mw is None:
            cure = 'Set load.attrs["nameplate_mw"] to the nameplate of the servers in MW.'
            raise bad("the load does not say its nameplate", "", cure)
        return around.nameplate_mw

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Fill up to the floor."""
        floor_mw = self.held_mw(around)
        unit: Chips | None = None
        most_mw = self._nameplate_mw(around)
        if around.server is not None and around.servers is not None:
            unit = chips(around, asked_by="dummy_load")
            most_mw = unit.of_all_mw(unit.kind.edp_pu * unit.kind.tdp_w)
            if floor_mw > (ceiling := unit.of_all_mw(unit.kind.tdp_w)):
                cure = f"Give floor_pu at most {ceiling / self._nameplate_mw(around):.3g}."
                raise bad(
                    f"the floor lies above the ceiling of {unit.kind.name}", f"{floor_mw:g} MW > {ceiling:g} MW", cure
                )
        share = active(p_mw, around)
        idle_mw = 0.0 if unit is None else unit.of_all_mw(unit.idle_w)
        runs = share > 1e-9
        # The power as if every server ran this job: the filling of one server, times those that run.
        work = np.where(runs, (p_mw - (1.0 - share) * idle_mw) / np.where(runs, share, 1.0), np.inf)
        reactive = self.trigger == "reactive"
        # A load that has shown more than the catalogue's limit has a higher one.
        shown = np.maximum.accumulate(np.where(runs, work, 0.0), axis=-1)
        filled = dummy_load(
            work,
            around.dt_s,
            floor_mw=floor_mw,
            reaction_s=self.reaction_s if reactive else self.launch_s,
            sampling_s=self.sampling_s if reactive else 0.0,
            most_mw=np.maximum(most_mw, shown) if unit else most_mw,
            steals_pu=self.steals_pu,
        )
        stolen = np.where(filled > 0, self.steals_pu * np.where(runs, work, 0.0), 0.0)
        wasted, delayed = filled * share, stolen * share
        after = p_mw - delayed + wasted
        held = share * floor_mw + (1.0 - share) * idle_mw
        figures = {
            "floor_mw": floor_mw,
            "missed_floor_mw": max(0.0, float(np.max(held - after, initial=0.0, where=runs))),
            "overshoot_mw": max(0.0, float(np.max(after - np.maximum(p_mw, held), initial=0.0))),
        }
        notes = []
        if figures["missed_floor_mw"] > 1e-9 * floor_mw:
            notes.append(
                f"dummy_load: the floor of {floor_mw:.4g} MW is missed by up to {figures['missed_floor_mw']:.3g} MW, "
                f"and power overshoots by up to {figures['overshoot_mw']:.3g} MW: the filling is late both ways."
            )
        without = ("launch_s",) if reactive else ("reaction_s", "sampling_s")
        for name in without:
            value = getattr(self, name)
            if value != type(self).model_fields[name].default:
                notes.append(f"dummy_load: {name} {value:g} has no effect with trigger {self.trigger}.")
        if self.steals_pu == 0.0:
            notes.append(
                "dummy_load: what the filling takes from the real work is not known and is left out (steals_pu)."
            )
        return Outcome(
            after,
            wasted_mw=wasted,
            delayed_mw=delayed if self.steals_pu else None,
            notes=tuple(notes),
            figures=tuple(figures.items()),
        )


def dummy_load(
    p_mw: Float,
    dt_s: float,
    *,
    floor_mw: float,
    reaction_s: float,
    most_mw: float | Float,
    sampling_s: float = 0.0,
    steals_pu: float = 0.0,
) -> Float:
    r"""Return what a dummy workload draws on top of the real work.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power of the real work; infinite where there is no job to fill. [MW]
    dt_s : float
        Step length. [s]
    floor_mw : float
        Floor that is held. [MW]
    reaction_s : float
        Delay between the power and the reaction to it; within a step, its share of the step. [s]
    most_mw : float or ndarray
        The accelerators' own peak limit, which real and dummy work share. [MW]
    sampling_s : float
        Interval at which the power is read and held; within a step, half of it is added to the delay. [s]
    steals_pu : float
        Share of the real work's power that is taken from it while the filling runs; the filling makes up for it. [pu]

    Returns
    -------
    ndarray, shape (..., time)
        Dummy power, never negative. [MW]

    Raises
    ------
    InputError
        If the floor lies above the limit, or a delay is negative.

    Notes
    -----
    .. math:: d_k = \min\bigl((1-\varphi) m_{k-n} + \varphi\, m_{k-n-1},\ \max(M - (1 - s) p_k, 0)\bigr),
       \quad m_k = \max(F - p_k, 0) + s\,p_k [p_k < F], \quad n + \varphi = t_r / \Delta t

    It is late both ways: an edge passes before the filling starts, and real work that returns
    adds to filling that has not stopped yet, up to the limit :math:`M`.  Telemetry that is read every
    :math:`t_s \ge \Delta t` shows the power of the last reading, :math:`t_r` old.
    """
    if not 0 < floor_mw <= (least := float(np.min(most_mw, initial=np.inf))):
        raise bad("the floor lies above the accelerators' limit", f"{floor_mw:g} MW > {least:g} MW", "Lower floor_pu.")
    for name, value in (("reaction_s", reaction_s), ("sampling_s", sampling_s)):
        if value < 0:
            raise bad(f"{name} is negative", value, "It cannot act before it sees; give 0 or more.")
    below = p_mw < floor_mw
    real = np.where(np.isfinite(p_mw), p_mw, 0.0)
    missing = np.where(below, floor_mw - (1.0 - steals_pu) * real, 0.0)
    if sampling_s > dt_s * (1 + 1e-9):
        wanted = _read(missing, dt_s, late_s=reaction_s, every_s=sampling_s)
    else:
        delay = (reaction_s + 0.5 * sampling_s) / dt_s
        late = int(delay + 1e-9)
        part = max(delay - late, 0.0)
        wanted = (1.0 - part) * _delayed(missing, late) + part * _delayed(missing, late + 1)
    rest = np.maximum(most_mw - (1.0 - steals_pu) * real, 0.0)
    return np.where(np.isfinite(p_mw), np.minimum(wanted, rest), 0.0)


def _delayed(values: Float, steps: int) -> Float:
    """Return a series some steps late; it starts with its first value."""
    if not steps:
        return values
    first = np.repeat(values[..., :1], min(steps, values.shape[-1]), axis=-1)
    return np.concatenate((first, values[..., :-steps]), axis=-1)[..., : values.shape[-1]]


def _read(values: Float, dt_s: float, *, late_s: float, every_s: float) -> Float:
    """Return what telemetry shows: read at whole multiples of an interval, and late; it starts with its first value."""
    seen_s = np.arange(values.shape[-1]) * dt_s - late_s
    read_s = np.floor(seen_s / every_s + 1e-9) * every_s
    index = np.maximum(np.floor(read_s / dt_s + 1e-6), 0).astype(np.intp)
    return np.asarray(values[..., index])
