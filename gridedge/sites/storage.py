"""Storage beside the load, at four levels: what it takes and gives, loses, and how full it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.measure.ramp import largest_ramp
from gridedge.sites.buffering import Buffered, buffer
from gridedge.sites.devices import (
    LAYERS,
    Device,
    SizedBattery,
    SizedCapacitor,
    accelerators,
    all_it_power_mw,
    psu_energy_j,
)
from gridedge.sites.laws import AnyLaw, Droop, LevelLaw, LowPass, RampLimit, droop_pu, late
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]
Parts = Mapping[str, tuple[Device, float, float]]
"""Stores by name: the device, its power in MW and its energy in MWh."""
_J_PER_MWH = 3.6e9
_TOGETHER = 1 << 17  # samples whose ramp is looked at together
_INVERTER = "inverters of battery plants control reactive power"
_GB300 = "quoted from a second source: 65 J per accelerator in the power shelf of GB300 NVL72"
_NOT_CHECKED = "part of the conversion losses of the facility"
_RESERVE = "what lies below stays for outages"


class _Lawful(Spec):
    """A step that follows a law; ``ramp_mw_per_min`` beside the device is short for the law ``ramp_limit``."""

    short_form: ClassVar[tuple[str, ...]] = ("ramp_mw_per_min", "smooth_s", "recovery_s")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        short = {key: data[key] for key in cls.short_form if key in data}
        rest = {key: value for key, value in data.items() if key not in short}
        if short and "law" in data:
            raise bad("two laws are given", f"law and {', '.join(short)}", "Write what belongs to the law into law:.")
        if short:
            return rest | {"law": {"law": "ramp_limit", **short}}
        strangers = set(rest) - set(cls.model_fields)
        if "law" not in data and cls.model_fields["law"].is_required() and not strangers:
            cure = "Add `law: {law: hold_mean}`, low_pass, ramp_limit or droop; or ramp_mw_per_min."
            raise bad("the storage has no control law", "", cure)
        return data


class Battery(SizedBattery, _Lawful):
    """A battery plant at the point of connection."""

    step: Literal["battery"]
    place: Literal["site"] = "site"
    """Where it acts: on the metered power."""
    law: AnyLaw
    """What it does."""
    holds_power_factor: bool = quantity(True, mark="assumed", source=_INVERTER)
    """Whether its inverter keeps the power factor at the meter; else reactive power stays as without it."""

    @model_validator(mode="after")
    def _reactive(self) -> Battery:
        if isinstance(self.law, Droop) and self.law.q_share_pu > 0 and self.holds_power_factor:
            cure = "Set holds_power_factor: false, or law.q_share_pu: 0."
            raise bad(
                "reactive power cannot both hold the power factor and answer the voltage",
                f"q_share_pu {self.law.q_share_pu:g}",
                cure,
            )
        return self

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape each row."""
        return shape(p_mw, around, self.parts(around), self.law)

    def parts(self, _: Around) -> Parts:
        """Return its one store with its size."""
        return {"battery": (self, self.p_rated_mw, self.e_rated_mwh)}


class Supercapacitor(SizedCapacitor, _Lawful):
    """A supercapacitor in the racks, or behind an inverter at the point of connection."""

    step: Literal["supercapacitor"]
    place: Literal["rack", "site"] = "rack"
    """Where it acts: on the IT power, or on the metered power."""
    law: LevelLaw
    """What it does."""
    holds_power_factor: bool = quantity(True, mark="assumed", source=_INVERTER)
    """At the site, whether its inverter keeps the power factor at the meter."""

    @model_validator(mode="after")
    def _inverter(self) -> Supercapacitor:
        if self.place == "site" and "delay_s" not in self.model_fields_set:
            cure = "Give delay_s, such as 0.02 (inverters: tens of ms)."
            raise bad("a supercapacitor at the site stands behind an inverter", "delay_s is not given", cure)
        return self

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape each row."""
        return shape(p_mw, around, self.parts(around), self.law)

    def parts(self, _: Around) -> Parts:
        """Return its one store with its size."""
        return {"supercapacitor": (self, self.p_rated_mw, self.e_rated_mwh)}


class PsuCapacitor(SizedCapacitor, _Lawful):
    """Capacitors in the power supplies of the racks."""

    step: Literal["psu_capacitor"]
    place: Literal["rack"] = "rack"
    """Where it acts: on the IT power, before the UPS."""
    energy_j_per_accelerator: float = quantity(65.0, mark="quoted", source=_GB300, gt=0)
    """Energy, where neither e_rated_mwh nor the catalogue says it. [J]"""
    e_rated_mwh: float | None = Field(None, gt=0)  # type: ignore[assignment]
    """Energy between empty and full; by accelerator unless given. [MWh]"""
    p_rated_mw: float | None = Field(None, gt=0)  # type: ignore[assignment]
    """Largest power; the nameplate of the servers unless given. [MW]"""
    soc_min_pu: float = quantity(0.0, mark="assumed", source="the energy is what can be used", ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_start_pu: float = quantity(0.5, mark="assumed", source="half full, as far from both ends")
    """State of charge at the start. [pu of its energy]"""
    law: LevelLaw = quantity(
        LowPass(tau_s=0.03, recovery_s=0.3),
        mark="assumed",
        source="65 J at a step of 1 kW last 65 ms; half of it each way",
    )
    """What it does."""

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape each row."""
        notes: tuple[str, ...] = ()
        given = {"energy_j_per_accelerator", "e_rated_mwh"} & self.model_fields_set
        if not given and psu_energy_j(around) is None:
            notes = (
                f"psu_capacitor: {self.energy_j_per_accelerator:g} J per accelerator are those of GB300 racks; "
                "nothing says that these servers have them.",
            )
        return shape(p_mw, around, self.parts(around), self.law, notes=notes)

    def parts(self, around: Around) -> Parts:
        """Return its one store with its size."""
        e_mwh = self.e_rated_mwh
        if e_mwh is None:
            known = None if "energy_j_per_accelerator" in self.model_fields_set else psu_energy_j(around)
            e_mwh = (known or self.energy_j_per_accelerator) * accelerators(around) / _J_PER_MWH
        return {"psu_capacitor": (self, all_it_power_mw(self.p_rated_mw, around), e_mwh)}


class _Backup(Device, _Lawful):
    """A store that is there for outages, and cycles only where that is stated."""

    p_rated_mw: float | None = Field(None, gt=0)
    """Largest power; the nameplate of the servers unless given. [MW]"""
    e_rated_mwh: float | None = Field(None, gt=0)
    """Energy between empty and full; rated power for backup_s unless given. [MWh]"""
    backup_s: float = quantity(300.0, mark="quoted", source=LAYERS, gt=0)
    """How long it carries its rated power. [s]"""
    may_cycle: bool = quantity(False, mark="assumed", source="its maker and its operator must allow it")
    """Whether it may be used outside outages."""
    standby_pu: float = quantity(0.0, mark="assumed", source=_NOT_CHECKED, ge=0, lt=1)
    """Power that it always draws, booked as lost. [pu of its rated power]"""
    soc_max_pu: float = quantity(1.0, mark="assumed", source="kept full for outages", gt=0, le=1)
    """Upper end of the window. [pu]"""
    law: LevelLaw
    """What it does."""
    step: Any

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape each row."""
        return shape(p_mw, around, self.parts(around), self.law)

    def parts(self, around: Around) -> Parts:
        """Return its one store with its size."""
        p_rated = all_it_power_mw(self.p_rated_mw, around)
        e_rated = self.e_rated_mwh if self.e_rated_mwh is not None else p_rated * self.backup_s / 3600.0
        return {str(self.step): (self, p_rated, e_rated)}


class Ups(_Backup):
    """The batteries of the uninterruptible power supply."""

    step: Literal["ups"]
    place: Literal["ups"] = "ups"
    """Where it acts: on the IT power, outside the racks."""
    chemistry: Literal["lead_acid", "lithium"] = quantity(
        "lead_acid", mark="assumed", source="the older and more frequent kind"
    )
    """What its cells are."""
    soc_min_pu: float = quantity(0.8, mark="assumed", source=_RESERVE, ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_start_pu: float = quantity(0.9, mark="assumed", source="the middle of its window")
    """State of charge at the start. [pu of its energy]"""

    @model_validator(mode="after")
    def _allowed(self) -> Ups:
        if self.chemistry == "lead_acid":
            cure = "Use a lithium UPS (chemistry: lithium, may_cycle: true), or storage in the rack or at the site."
            raise bad("a lead-acid UPS may not cycle", "chemistry lead_acid", cure)
        if not self.may_cycle:
            cure = "Set may_cycle: true if its maker and its operator allow it."
            raise bad("this UPS is for outages only", "may_cycle false", cure)
        return self


class RackBattery(_Backup):
    """Battery backup units in the racks."""

    step: Literal["rack_battery"]
    place: Literal["rack"] = "rack"
    """Where it acts: on the IT power, before the UPS."""
    backup_s: float = quantity(60.0, mark="quoted", source=LAYERS, gt=0)
    """How long it carries its rated power. [s]"""
    delay_s: float = quantity(0.001, mark="assumed", source="a DC converter on the rack's bus", ge=0)
    """Dead time of the converter. [s]"""
    soc_min_pu: float = quantity(0.5, mark="assumed", source=_RESERVE, ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_start_pu: float = quantity(0.75, mark="assumed", source="the middle of its window")
    """State of charge at the start. [pu of its energy]"""

    @model_validator(mode="after")
    def _allowed(self) -> RackBattery:
        if not self.may_cycle:
            cure = "Set may_cycle: true if its maker and its operator allow it, or use a supercapacitor."
            raise bad("a battery backup unit is for outages only", "may_cycle false", cure)
        return self


class Hybrid(_Lawful):
    """A battery and a supercapacitor that share the work: the slow part and the fast part."""

    step: Literal["hybrid"]
    place: Literal["site", "rack"] = "site"
    """Where both act."""
    battery: SizedBattery
    """Takes the low-pass of the work."""
    supercapacitor: SizedCapacitor
    """Takes what the battery leaves, its delay included."""
    split_s: float = quantity(5.0, mark="assumed", source="shorter than an iteration of some 10 s", gt=0)
    """Time constant of that low-pass; the supercapacitor returns to its start four times slower. [s]"""
    law: LevelLaw
    """What both do together."""
    holds_power_factor: bool = quantity(True, mark="assumed", source=_INVERTER)
    """At the site, whether their inverter keeps the power factor at the meter."""

    @model_validator(mode="after")
    def _inverter(self) -> Hybrid:
        if self.place == "site" and "delay_s" not in self.supercapacitor.model_fields_set:
            cure = "Give supercapacitor.delay_s, such as 0.02 (inverters: tens of ms), or 0 on the battery's DC bus."
            raise bad("a supercapacitor at the site stands behind an inverter", "delay_s is not given", cure)
        return self

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape each row."""
        return shape(p_mw, around, self.parts(around), self.law, split_s=self.split_s)

    def parts(self, _: Around) -> Parts:
        """Return its two stores with their sizes, the one that takes the slow part first."""
        return {
            "battery": (self.battery, self.battery.p_rated_mw, self.battery.e_rated_mwh),
            "supercapacitor": (self.supercapacitor, self.supercapacitor.p_rated_mw, self.supercapacitor.e_rated_mwh),
        }


AnyStorage = Battery | Supercapacitor | PsuCapacitor | Ups | RackBattery | Hybrid
STORAGE: dict[str, type[AnyStorage]] = {
    "battery": Battery,
    "supercapacitor": Supercapacitor,
    "psu_capacitor": PsuCapacitor,
    "ups": Ups,
    "rack_battery": RackBattery,
    "hybrid": Hybrid,
}


def shape(
    p_mw: Float,
    around: Around,
    parts: Parts,
    law: Any,
    *,
    split_s: float = 1.0,
    notes: Sequence[str] = (),
) -> Outcome:
    """Carry a power through storage that follows a law.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power before it, consumption positive. [MW]
    around : Around
        Step length, and for a droop the voltage.
    parts : mapping
        By name, each store with its power [MW] and energy [MWh]; of two, the first takes the slow part.
    law : RampLimit, LowPass, HoldMean or Droop
        What is done.
    split_s : float
        Time constant that divides the work of two stores. [s]
    notes : sequence of str
        What is known already.

    Returns
    -------
    Outcome
        Figures are those of the worst row: ``missed_mw``, the largest difference from what the law wanted;
        ``missed_mw_per_min``, by how much a ramp limit is passed, where the series can tell; and of each store
        ``power_limited_s``, ``energy_limited_s``, ``throughput_mwh`` (energy in and out, added up),
        ``full_equivalent_cycles`` (that over twice its energy), ``soc_lowest_pu`` and ``soc_highest_pu``.

    Raises
    ------
    InputError
        If a droop knows no voltage.
    """
    dt_s = around.dt_s
    rows = p_mw.reshape(-1, p_mw.shape[-1]) if p_mw.size else p_mw.reshape(0, p_mw.shape[-1])
    stores = [device.store(p, e) for device, p, e in parts.values()]
    standby_mw = sum(device.standby_pu * p for device, p, _ in parts.values())
    asked = q_mvar = None
    if isinstance(law, Droop):
        asked, share, s_mva = _asked(law, p_mw, around, next(iter(parts.values()))[1])
    run = buffer(rows, dt_s, stores, law.target()._replace(split_s=split_s), standby_mw=standby_mw, asked_mw=asked)
    after = run.p_mw.reshape(p_mw.shape)
    figures, remarks = _figures(rows, run, dt_s, parts, law)
    if isinstance(law, Droop) and law.q_share_pu > 0:
        device = next(iter(parts.values()))[0]
        acted = late(share, dt_s, delay_s=device.delay_s, lag_s=device.lag_s)
        acted *= law.q_share_pu * s_mva
        room = after - p_mw
        room -= standby_mw
        room *= room
        np.subtract(s_mva**2, room, out=room)
        np.sqrt(np.maximum(room, 0.0, out=room), out=room)
        q_mvar = np.minimum(acted, room)
        np.maximum(q_mvar, np.negative(room, out=room), out=q_mvar)
        figures.append(("q_limited_s", float(np.count_nonzero(q_mvar != acted, axis=-1).max(initial=0) * dt_s)))
    stored = run.stored_mw.reshape(p_mw.shape)
    sizes = [e for _, _, e in parts.values()]
    # Fresh memory costs more than the loop: a lone store's energy becomes its state of charge where it lies.
    whole = None
    if len(sizes) > 1:
        whole = np.add(run.energy_mwh[:, 0], run.energy_mwh[:, 1]).reshape(p_mw.shape)
        whole /= sum(sizes)
    soc = [np.divide(run.energy_mwh[:, j], e, out=run.energy_mwh[:, j]) for j, e in enumerate(sizes)]
    soc = [one.reshape(p_mw.shape) for one in soc]
    return Outcome(
        after,
        lost_mw=run.lost_mw.reshape(p_mw.shape),
        stored_mw=stored,
        soc_pu=soc[0] if whole is None else whole,
        part_soc_pu=tuple(zip(parts, soc, strict=True)) if len(soc) > 1 else (),
        q_mvar=q_mvar,
        notes=(*notes, *remarks),
        figures=tuple(figures),
    )


def _asked(law: Droop, p_mw: Float, around: Around, p_rated_mw: float) -> tuple[Float, Float, float]:
    """Return the active power that the voltage asks for [MW], the share of full output, and the rating [MVA]."""
    if around.vm_pu is None:
        cure = 'Add the voltage at the point of connection: load["vm_pu"] over time, from gridedge.solve.'
        raise bad("a droop needs the voltage, and the load has none", "vm_pu is missing", cure)
    if np.shape(around.vm_pu)[-1] != p_mw.shape[-1]:
        cure = "Give one voltage for each sample of the power."
        raise bad("the voltage is not as long as the power", f"{np.shape(around.vm_pu)[-1]} samples", cure)
    if not np.isfinite(around.vm_pu).all():
        raise bad("the voltage is not a number", f"{int((~np.isfinite(around.vm_pu)).sum())} samples", "Fill the gap.")
    share = droop_pu(around.vm_pu, v_ref_pu=law.v_ref_pu, deadband_pu=law.deadband_pu, full_pu=law.full_pu)
    share = np.broadcast_to(share, p_mw.shape)
    s_mva = law.s_rated_mva if law.s_rated_mva is not None else p_rated_mw
    asked = (law.p_share_pu * p_rated_mw * share).reshape(-1, p_mw.shape[-1])
    return asked, share, s_mva


def _figures(
    before: Float, run: Buffered, dt_s: float, parts: Parts, law: Any
) -> tuple[list[tuple[str, float]], list[str]]:
    """Return what the worst row shows, and in words where it fell short."""
    if not run.p_mw.size:
        return [], []
    label = "hybrid" if len(parts) > 1 else next(iter(parts))
    missed = float(run.missed_mw.max())
    figures: list[tuple[str, float]] = [("missed_mw", missed)]
    scale = max(1.0, float(before.max()), -float(before.min()))
    short = missed > 1e-6 * scale
    words = f"up to {missed:.3g} MW"
    if isinstance(law, RampLimit):
        ramps = [_ramp(row, dt_s) for row in run.p_mw]
        if np.isfinite(ramps).all():
            over = max(0.0, max(ramps) - law.ramp_mw_per_min)
            over = over if over > 1e-9 * law.ramp_mw_per_min else 0.0
            figures.append(("missed_mw_per_min", over))
            words += f" ({over:.3g} MW/min over its {law.ramp_mw_per_min:g})" if over else ""
    causes = []
    for j, (name, (device, _, e_mwh)) in enumerate(parts.items()):
        p_s, e_s = float(run.power_limited_s[:, j].max()), float(run.energy_limited_s[:, j].max())
        own = {
            "power_limited_s": p_s,
            "energy_limited_s": e_s,
            "throughput_mwh": float(run.throughput_mwh[:, j].max()),
            "full_equivalent_cycles": float(run.throughput_mwh[:, j].max()) / (2.0 * e_mwh),
            "soc_lowest_pu": float(run.lowest_mwh[:, j].min()) / e_mwh,
            "soc_highest_pu": float(run.highest_mwh[:, j].max()) / e_mwh,
        }
        figures += [(f"{name}_{key}" if len(parts) > 1 else key, value) for key, value in own.items()]
        who = f"the {name} " if len(parts) > 1 else "it "
        causes += [f"{who}stood {p_s:.3g} s at its power limit"] if p_s else []
        causes += [f"{who}stood {e_s:.3g} s at an end of its window"] if e_s else []
        causes += [f"{who}acts {device.delay_s:g} s late"] if device.delay_s else []
    remarks = [f"{label} missed what its law wanted by {words}: {', '.join(causes) or 'by its lag'}."] if short else []
    lowest = float(run.p_mw.min())
    if lowest < -1e-9 * scale and lowest < float(before.min()):
        remarks.append(f"{label}: the power behind it turns negative, down to {lowest:.3g} MW, until it reacts.")
    return figures, remarks


def _ramp(p_mw: Float, dt_s: float) -> float:
    """Return the largest ramp, looking at a part at a time; NaN where the series cannot tell."""
    ahead = int(60.0 / dt_s) + 1
    parts = range(0, max(1, p_mw.size - ahead), _TOGETHER)
    return float(np.max([largest_ramp(p_mw[first : first + _TOGETHER + ahead], dt_s).value for first in parts]))
