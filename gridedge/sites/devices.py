"""Stores: how much power and energy they have, what they lose, and how late they act."""

from __future__ import annotations

from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites.buffering import Store
from gridedge.sites.step import Around
from gridedge.spec import Spec, quantity

COST_DATA = "PyPSA technology-data, EUR 2020: battery inverter, DC round trip 0.96; one way is its root, 0.98"
LAYERS = "quoted from a second source: UPS about 5 min, battery backup unit 30 to 90 s, inverters tens of ms"
CAPACITOR = "round trip of 0.95 of a supercapacitor, from memory; one way is its root"


class Device(Spec):
    """A store of energy behind its converter; defaults are those of a lithium-ion battery plant."""

    charge_efficiency: float = quantity(0.98, mark="quoted", source=COST_DATA, gt=0, le=1)
    """Share of the charging power that is stored."""
    discharge_efficiency: float = quantity(0.98, mark="quoted", source=COST_DATA, gt=0, le=1)
    """Share of the energy taken out that reaches the terminals."""
    standby_pu: float = quantity(0.005, mark="assumed", source="its cooling and control; none verified", ge=0, lt=1)
    """Power that it always draws, booked as lost. [pu of its rated power]"""
    delay_s: float = quantity(0.02, mark="quoted", source=LAYERS, ge=0)
    """Dead time of the converter: a command takes effect so much later. [s]"""
    lag_s: float = quantity(0.0, mark="assumed", source="the dead time stands for measuring and acting together", ge=0)
    """Time constant of a first-order lag behind the dead time; 0 for none. [s]"""
    soc_start_pu: float = quantity(0.5, mark="assumed", source="half full, as far from both ends")
    """State of charge at the start. [pu of its energy]"""
    soc_min_pu: float = quantity(0.1, mark="assumed", source="usual operating window of lithium-ion cells", ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_max_pu: float = quantity(0.9, mark="assumed", source="usual operating window of lithium-ion cells", gt=0, le=1)
    """Upper end of the window. [pu]"""

    @model_validator(mode="after")
    def _window(self) -> Device:
        if not self.soc_min_pu < self.soc_max_pu:
            cure = "soc_min_pu must lie below soc_max_pu."
            raise bad("the state-of-charge window is empty", f"{self.soc_min_pu} to {self.soc_max_pu} pu", cure)
        if not self.soc_min_pu <= self.soc_start_pu <= self.soc_max_pu:
            cure = f"Start within {self.soc_min_pu} to {self.soc_max_pu} pu."
            raise bad("the storage starts outside its window", f"soc_start_pu {self.soc_start_pu}", cure)
        return self

    def store(self, p_rated_mw: float, e_rated_mwh: float) -> Store:
        """Return it as the loop knows it."""
        return Store(
            p_rated_mw,
            self.soc_max_pu * e_rated_mwh,
            self.soc_min_pu * e_rated_mwh,
            self.soc_start_pu * e_rated_mwh,
            self.charge_efficiency,
            self.discharge_efficiency,
            self.delay_s,
            self.lag_s,
        )


class SizedBattery(Device):
    """A battery of a stated size."""

    p_rated_mw: float = Field(gt=0)
    """Largest charging and discharging power at its terminals. [MW]"""
    e_rated_mwh: float = Field(gt=0)
    """Energy between empty and full. [MWh]"""


class SizedCapacitor(SizedBattery):
    """A supercapacitor of a stated size."""

    charge_efficiency: float = quantity(0.975, mark="assumed", source=CAPACITOR, gt=0, le=1)
    """Share of the charging power that is stored."""
    discharge_efficiency: float = quantity(0.975, mark="assumed", source=CAPACITOR, gt=0, le=1)
    """Share of the energy taken out that reaches the terminals."""
    standby_pu: float = quantity(0.0, mark="assumed", source="leakage is far below the rated power", ge=0, lt=1)
    """Power that it always draws, booked as lost. [pu of its rated power]"""
    delay_s: float = quantity(0.0, mark="assumed", source="on a DC bus, it acts by itself", ge=0)
    """Dead time of the converter. [s]"""
    soc_min_pu: float = quantity(0.25, mark="assumed", source="half its voltage is a quarter of its energy", ge=0, lt=1)
    """Lower end of the window. [pu]"""
    soc_max_pu: float = quantity(1.0, mark="assumed", source="rated voltage", gt=0, le=1)
    """Upper end of the window. [pu]"""
    soc_start_pu: float = quantity(0.625, mark="assumed", source="the middle of its window")
    """State of charge at the start. [pu of its energy]"""


def all_it_power_mw(p_rated_mw: float | None, around: Around) -> float:
    """Return a stated power, or the nameplate of the servers behind the store."""
    if p_rated_mw is not None:
        return p_rated_mw
    if around.nameplate_mw is None:
        cure = 'Give p_rated_mw, or set load.attrs["nameplate_mw"] to the nameplate of the servers in MW.'
        raise bad("the storage does not know its power", "p_rated_mw is not given", cure)
    return around.nameplate_mw


def accelerators(around: Around) -> int:
    """Return the number of accelerators of the load."""
    if around.server is None or around.servers is None:
        cure = "Give e_rated_mwh, or generate the load with servers of the catalogue."
        raise bad("the load does not say how many accelerators it has", "", cure)
    return around.servers * server(around.server).accelerators


def psu_energy_j(around: Around) -> float | None:
    """Return the energy [J] in the power supply of one accelerator, where the catalogue knows of it."""
    return None if around.server is None else accelerator(server(around.server).accelerator).psu_energy_j
