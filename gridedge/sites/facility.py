"""The facility around the computers: conversion, cooling, power factor, own transformer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from pydantic import Field, model_validator
from scipy.signal import lfilter

from gridedge import schema
from gridedge.errors import bad
from gridedge.spec import Spec, quantity, take

Float = NDArray[np.float64]
_PUE = "no measured fit of PUE against load is published; with the conversion losses this gives 1.20 at nameplate"


class Transformer(Spec):
    """The site's own transformer between meter and facility."""

    sn_mva: float = Field(gt=0)
    """Rated power. [MVA]"""
    vk_percent: float = quantity(
        6.0, mark="assumed", source="usual short-circuit voltage of a distribution transformer", gt=0
    )
    """Short-circuit voltage. [%]"""
    vkr_percent: float = quantity(0.6, mark="assumed", source="usual copper losses of a distribution transformer", ge=0)
    """Its resistive part: copper losses at rated power. [%]"""
    pfe_kw: float = quantity(0.0, mark="assumed", source="set it from the data sheet", ge=0)
    """Iron losses. [kW]"""


class Facility(Spec):
    """From IT power to the meter."""

    conversion_efficiency: float = quantity(
        0.96, mark="quoted", source="rectifier stage of the ExaDigiT/RAPS model of Frontier", gt=0, le=1
    )
    """IT power over the power that the UPS and distribution draw for it."""
    cooling_proportional_pu: float = quantity(0.10, mark="assumed", source=_PUE, ge=0)
    """Cooling power that follows the IT power. [pu of IT power]"""
    cooling_fixed_pu: float = quantity(0.06, mark="assumed", source=_PUE, ge=0)
    """Power that pumps, fans and offices always draw. [pu of IT nameplate]"""
    cooling_lag_s: float = quantity(
        120.0, mark="assumed", source="liquid loop 30 to 120 s, air 2 to 10 min; none verified", gt=0
    )
    """Time constant with which cooling follows the IT power. [s]"""
    power_factor: float = quantity(0.98, mark="assumed", source="planning default for electronic load, lagging")
    """At the meter; lagging, or leading where negative."""
    transformer: Transformer | None = None
    """Own transformer; the power factor is met on its high side."""

    @model_validator(mode="after")
    def _fits(self) -> Facility:
        if not 0 < abs(self.power_factor) <= 1:
            raise bad(
                "power_factor is not possible", self.power_factor, "Give 0 < power_factor <= 1, negative for leading."
            )
        return self


def lag(p_mw: Float, dt_s: float, *, tau_s: float) -> Float:
    r"""Follow a series through a first-order lag that starts settled at its first sample.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        The series. [MW]
    dt_s, tau_s : float
        Step length and time constant. [s]

    Returns
    -------
    ndarray, shape (..., time)
        :math:`y_k = y_{k-1} + (1 - e^{-\Delta t/\tau})(x_k - y_{k-1})`, exact for steps. [MW]
    """
    if p_mw.shape[-1] == 0:
        return p_mw.copy()
    a = float(np.exp(-dt_s / tau_s))
    start = a * p_mw[..., :1]
    followed, _ = lfilter([1.0 - a], [1.0, -a], p_mw, axis=-1, zi=start)
    return np.asarray(followed)


def metered_power(p_it_mw: Float, dt_s: float, facility: Facility, *, nameplate_mw: float) -> Float:
    """Return the power at the meter, without an own transformer.

    Conversion losses follow at once; cooling follows through its lag, so that a fast swing
    is never multiplied by the PUE.

    Parameters
    ----------
    p_it_mw : ndarray, shape (..., time)
        IT power. [MW]
    dt_s : float
        Step length. [s]
    facility : Facility
        Losses and cooling.
    nameplate_mw : float
        Nameplate of the servers. [MW]

    Returns
    -------
    ndarray, shape (..., time)
        Power at the meter. [MW]
    """
    cooling = facility.cooling_proportional_pu * lag(p_it_mw, dt_s, tau_s=facility.cooling_lag_s)
    return p_it_mw / facility.conversion_efficiency + cooling + facility.cooling_fixed_pu * nameplate_mw


def high_side(p_mw: Float, transformer: Transformer, *, power_factor: float) -> Float:
    r"""Return the active power on the high side of a transformer at a given power factor there.

    Iron losses are constant; copper losses go with the square of the apparent power, at rated
    voltage: :math:`P_1 = P_2 + P_{fe} + P_k (P_1 / (S_n \cos\varphi))^2`, solved for its smaller root.

    Raises
    ------
    InputError
        If the load is beyond what the transformer can pass.
    """
    copper_mw = transformer.vkr_percent / 100.0 * transformer.sn_mva
    c = copper_mw / (transformer.sn_mva * abs(power_factor)) ** 2
    wanted = p_mw + transformer.pfe_kw / 1e3
    inside = 1.0 - 4.0 * c * wanted
    if (inside < 0).any() or (wanted > 2.0 * transformer.sn_mva * abs(power_factor)).any():
        cure = "Enlarge transformer.sn_mva."
        raise bad(
            "the site's transformer is overloaded beyond 200 %",
            f"{wanted.max():g} MW on {transformer.sn_mva:g} MVA",
            cure,
        )
    # The root in the form that does not subtract nearly equal numbers.
    return np.asarray(2.0 * wanted / (1.0 + np.sqrt(inside)))


def tan_phi(power_factor: float) -> float:
    """Return reactive over active power at a power factor, negative where it leads."""
    return float(np.tan(np.arccos(abs(power_factor))) * np.sign(power_factor))


def connect(
    load: xr.Dataset, facility: Facility | Mapping[str, Any], *, bus: int | str | None = None, site: str = "site"
) -> xr.Dataset:
    """Carry IT power to the point of connection.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time)``: IT power, with ``attrs["nameplate_mw"]``.
    facility : Facility or dict
        Conversion, cooling, power factor, own transformer.
    bus : int or str, optional
        Where the site connects: an integer is the bus's index, a string its name.
    site : str
        Name of the site.

    Returns
    -------
    Dataset
        ``p_mw(time, site)`` and ``q_mvar(time, site)`` at the meter, consumption and lagging positive,
        ``p_it_mw(time)``, and the coordinates ``bus(site)`` and ``power_factor(site)``.

    Raises
    ------
    InputError
        If the load is connected already, has members, or a value cannot be used.
    """
    schema.require(load, ["p_mw"], thing="the load")
    if load["p_mw"].dims != ("time",):
        cure = "Give IT power p_mw(time); choose one member with load.isel(member=0)."
        raise bad("connect takes the IT power of one job", f"p_mw{load['p_mw'].dims}", cure)
    if "nameplate_mw" not in load.attrs:
        raise bad("the load does not say its nameplate", "", 'Set load.attrs["nameplate_mw"].')
    spec = take(Facility, facility)
    p_it = load["p_mw"].values.astype(float)
    if (p_it < 0).any():
        k = int(np.argmax(p_it < 0))
        raise bad("IT power is negative", f"{p_it[k]:g} MW at step {k}", "Consumption is positive; check the sign.")
    p = metered_power(p_it, schema.clock(load), spec, nameplate_mw=float(load.attrs["nameplate_mw"]))
    if spec.transformer is not None:
        p = high_side(p, spec.transformer, power_factor=spec.power_factor)
    q = p * tan_phi(spec.power_factor)
    out = xr.Dataset(
        {"p_mw": (("time", "site"), p[:, None]), "q_mvar": (("time", "site"), q[:, None]), "p_it_mw": ("time", p_it)},
        coords={"time": load["time"].values, "site": [site], "power_factor": ("site", [spec.power_factor])},
        attrs={**load.attrs, "power": "at the meter"},
    )
    if bus is not None:
        out = out.assign_coords(bus=("site", np.asarray([bus], dtype=object if isinstance(bus, str) else int)))
    return schema.describe(out)
