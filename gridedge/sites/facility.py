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
BOOKS = ("wasted_mw", "lost_mw", "delayed_mw", "stored_mw")
"""What mitigation books beside the power before and after it."""
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


def metered_power(
    p_it_mw: Float, dt_s: float, facility: Facility, *, nameplate_mw: float, cooling_factor: float | Float = 1.0
) -> Float:
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
    cooling_factor : float or ndarray, shape (time,)
        What the weather makes of the cooling that follows the IT power; 1 where the facility's figures hold.

    Returns
    -------
    ndarray, shape (..., time)
        Power at the meter. [MW]
    """
    cooling = cooling_factor * facility.cooling_proportional_pu * lag(p_it_mw, dt_s, tau_s=facility.cooling_lag_s)
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
        ``p_mw(time)`` or ``p_mw(member, time)``: IT power, with ``attrs["nameplate_mw"]``.
    facility : Facility or dict
        Conversion, cooling, power factor, own transformer.
    bus : int or str, optional
        Where the site connects: an integer is the bus's index, a string its name.
    site : str
        Name of the site.

    Returns
    -------
    Dataset
        ``p_mw(time, site)`` and ``q_mvar(time, site)`` at the meter, or ``(member, time, site)``, consumption and
        lagging positive, ``p_it_mw(time)``, and the coordinates ``bus(site)`` and ``power_factor(site)``.
        A load that was mitigated keeps its notes, figures and states of charge, and its books: ``wasted_mw``,
        ``lost_mw``, ``delayed_mw`` and ``stored_mw`` as they are behind the UPS, ``p_before_mw`` at the meter
        without mitigation, ``p_it_before_mw``, and ``overhead_mw``: the conversion losses and cooling of what
        mitigation changed.  They close:
        before - delayed + wasted + lost + stored + overhead = after.

    Raises
    ------
    InputError
        If the load is connected already, or a value cannot be used.
    """
    schema.require(load, ["p_mw"], thing="the load")
    dims = load["p_mw"].dims
    if dims not in (("time",), ("member", "time")):
        cure = "Give IT power p_mw(time) or p_mw(member, time), as gridedge.generate makes it."
        raise bad("connect takes the IT power of one site", f"p_mw{dims}", cure)
    if "nameplate_mw" not in load.attrs:
        raise bad("the load does not say its nameplate", "", 'Set load.attrs["nameplate_mw"].')
    spec = take(Facility, facility)
    p_it = load["p_mw"].values.astype(float)
    if (p_it < 0).any():
        k = np.unravel_index(int(np.argmax(p_it < 0)), p_it.shape)
        cure = "Consumption is positive; check the sign."
        raise bad("IT power is negative", f"{p_it[k]:g} MW at step {k[-1]}", cure)
    p = _at_meter(p_it, load, spec)
    q = p * tan_phi(spec.power_factor)
    wide = (*dims, "site")
    out = xr.Dataset(
        {"p_mw": (wide, p[..., None]), "q_mvar": (wide, q[..., None]), "p_it_mw": (dims, p_it)},
        coords={"time": load["time"].values, "site": [site], "power_factor": ("site", [spec.power_factor])},
        attrs={**load.attrs, "power": "at the meter"},
    )
    if "member" in load.coords:
        out = out.assign_coords(member=load["member"].values)
    if "p_before_mw" in load:
        out = _carry_books(out, load, spec)
    for name in ("active_pu", "vm_pu"):
        if name in load:
            out[name] = load[name].copy()
    if bus is not None:
        out = out.assign_coords(bus=("site", np.asarray([bus], dtype=object if isinstance(bus, str) else int)))
    return schema.describe(out)


def _at_meter(p_it_mw: Float, load: xr.Dataset, spec: Facility) -> Float:
    p = metered_power(p_it_mw, schema.clock(load), spec, nameplate_mw=float(load.attrs["nameplate_mw"]))
    return p if spec.transformer is None else high_side(p, spec.transformer, power_factor=spec.power_factor)


def _carry_books(out: xr.Dataset, load: xr.Dataset, spec: Facility) -> xr.Dataset:
    """Carry the books of steps behind the UPS to the meter, where the facility adds its losses to what they changed."""
    dims = out["p_mw"].dims
    before_it = load["p_before_mw"].transpose(*dims[:-1]).values.astype(float)
    before = _at_meter(before_it, load, spec)
    changed_it = load["p_mw"].transpose(*dims[:-1]).values - before_it
    out["p_before_mw"] = (dims, before[..., None])
    out["p_it_before_mw"] = (dims[:-1], before_it)
    out["overhead_mw"] = (dims, (out["p_mw"].values[..., 0] - before - changed_it)[..., None])
    for name in BOOKS:
        out[name] = (dims, load[name].transpose(*dims[:-1]).values[..., None])
    for name, label in (("soc_pu", "storage"), ("p_at_mw", "place")):
        if name in load:
            inner = load[name].transpose(label, *dims[:-1]).values[..., None]
            out = out.assign({name: ((label, *dims), inner)}).assign_coords({label: load[label].values})
    return out
