"""Carbon and water beside energy: of a fleet over time, and of one request in the cloud, at the edge, on a device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gridedge import schema
from gridedge.errors import bad, is_number
from gridedge.sites.fleet.factors import COOLING_L_PER_KWH, FootprintFactors, carbon_intensity
from gridedge.spec import Assumption, build
from gridedge.timebase import hold, step_of

if TYPE_CHECKING:
    import pandas as pd

Float = NDArray[np.float64]
_HOUR_S, _YEAR_S = 3600.0, 365.25 * 86400.0


@dataclass(frozen=True)
class Footprint:
    """Energy, carbon and water of a fleet.

    Parameters
    ----------
    data : Dataset
        By ``site``: ``energy_mwh`` at the meter, ``it_mwh``, ``carbon_t`` of the electricity, ``embodied_t`` of the
        hardware for the time of the series, ``water_site_m3``, ``water_generation_m3``; with requests ``requests``
        and, for each, ``wh_per_request``, ``g_per_request`` (both kinds of carbon), ``ml_per_request``.  By ``time``:
        ``carbon_kg`` of each step, all sites.
    assumptions : tuple of Assumption
        Every figure it stands on, with its origin.
    """

    data: xr.Dataset
    assumptions: tuple[Assumption, ...]

    def table(self) -> pd.DataFrame:
        """Return one row per site and one for all."""
        frame = self.data.drop_dims("time").to_dataframe()
        whole = frame.sum()
        if "requests" in frame:
            total = whole["requests"]
            whole["wh_per_request"] = whole["energy_mwh"] * 1e6 / total if total else np.nan
            whole["g_per_request"] = (whole["carbon_t"] + whole["embodied_t"]) * 1e6 / total if total else np.nan
            water = whole["water_site_m3"] + whole["water_generation_m3"]
            whole["ml_per_request"] = water * 1e6 / total if total else np.nan
        frame.loc["all"] = whole
        return frame

    def to_dict(self) -> dict[str, Any]:
        """Return plain data: the table by rows, and where its figures come from."""
        return {"table": self.table().to_dict("index"), "assumptions": [a.to_dict() for a in self.assumptions]}


def footprint(
    load: xr.Dataset,
    *,
    pue: ArrayLike,
    cooling: str | Sequence[str] = "mixed",
    carbon: xr.DataArray | None = None,
    accelerators: ArrayLike | None = None,
    requests: ArrayLike | None = None,
    start_hour: float = 0.0,
    factors: FootprintFactors | Mapping[str, Any] | None = None,
) -> Footprint:
    r"""Add carbon and water to what a fleet draws.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time, site)`` or ``p_mw(time)`` at the meter, consumption positive. [MW]
    pue : array_like, shape () or (site,)
        Energy at the meter over IT energy, which water on site is counted by.
    cooling : str or sequence of str, shape (site,)
        tower, evaporative, mixed, adiabatic or dry; see ``COOLING_L_PER_KWH``.
    carbon : DataArray, optional
        Carbon intensity over ``time``, in seconds of the load's clock, held from each label on. [g/kWh]  Without, the
        dated mean of ``factors`` with its daily shape.
    accelerators : array_like, shape () or (site,), optional
        How many are installed; without, no carbon is embodied, and the table says 0.
    requests : array_like, shape () or (site,), optional
        Requests that were served in the time of the load.
    start_hour : float
        Hour of the day, local, at which the load's time is 0; for the default ``carbon`` only.
    factors : FootprintFactors or dict, optional
        What differs from the defaults.

    Returns
    -------
    Footprint

    Raises
    ------
    InputError
        If a power is negative or no number, a PUE is below 1, or the carbon series does not cover the load or is finer.

    Notes
    -----
    .. math:: m = \sum_k P_k \Delta t\, c_k, \qquad W = E / \mathrm{PUE} \cdot w_{site} + E\, w_{gen}, \qquad
              m_{emb} = N m_{acc}\, T / T_{life}

    with E the energy at the meter.  The carbon is that of the average mix, not of the unit that answers one more
    megawatt.

    References
    ----------
    .. [1] P. Li, J. Yang, M. A. Islam, S. Ren, "Making AI less thirsty", arXiv:2304.03271 (water on site by IT energy,
           of generation by energy at the meter).
    """
    f = factors if isinstance(factors, FootprintFactors) else build(FootprintFactors, factors or {})
    schema.require(load, ["p_mw"], thing="the load")
    power = load["p_mw"] if "site" in load["p_mw"].dims else load["p_mw"].expand_dims(site=["site"])
    if set(power.dims) != {"time", "site"}:
        raise bad("the load is no series of sites", str(power.dims), "Give p_mw(time, site).")
    p = power.transpose("site", "time").values.astype(float)
    if (p < 0).any():
        cure = "Give consumption positive; what a site feeds in has no footprint here."
        raise bad("a site draws negative power", f"{float(p.min()):g} MW", cure)
    names = [str(s) for s in power["site"].values] if "site" in power.coords else [f"{k}" for k in range(p.shape[0])]
    dt_s = schema.clock(load)
    time_s = np.asarray(load["time"].values, dtype=float)
    shares = _each(pue, names, "pue", least=1.0)
    intensity = _intensity(carbon, f, time_s, dt_s, start_hour)
    energy = p * (dt_s / _HOUR_S)  # MWh, and MWh times g/kWh is kg
    whole = energy.sum(axis=1)
    ways = [cooling] * len(names) if isinstance(cooling, str) else list(cooling)
    if len(ways) != len(names):
        raise bad("cooling does not fit the sites", f"{len(ways)} for {len(names)}", "Give one, or one per site.")
    count = np.zeros(len(names)) if accelerators is None else _each(accelerators, names, "accelerators")
    life_s = f.accelerator_life_years * _YEAR_S
    columns: dict[str, tuple[Float, str]] = {
        "energy_mwh": (whole, "MWh"),
        "it_mwh": (whole / shares, "MWh"),
        "carbon_t": ((energy * intensity).sum(axis=1) / 1e3, "t"),
        "embodied_t": (count * f.accelerator_kg * (p.shape[1] * dt_s / life_s) / 1e3, "t"),
        "water_site_m3": (whole / shares * np.array([f.water_site(w) for w in ways]), "m3"),
        "water_generation_m3": (whole * f.water_generation_l_per_kwh, "m3"),
    }
    if requests is not None:
        asked = _each(requests, names, "requests")
        with np.errstate(invalid="ignore", divide="ignore"):
            each = np.where(asked > 0, 1e6 / asked, np.nan)
        carbon_t = columns["carbon_t"][0] + columns["embodied_t"][0]
        water_m3 = columns["water_site_m3"][0] + columns["water_generation_m3"][0]
        columns |= {
            "requests": (asked, "1"),
            "wh_per_request": (whole * each, "Wh"),
            "g_per_request": (carbon_t * each, "g"),
            "ml_per_request": (water_m3 * each, "ml"),
        }
    data = xr.Dataset(
        {name: ("site", values, {"units": unit}) for name, (values, unit) in columns.items()},
        coords={"site": names, "time": ("time", time_s, {"units": "s"})},
        attrs={"dt_s": dt_s},
    )
    data["carbon_kg"] = ("time", (energy * intensity).sum(axis=0), {"units": "kg"})
    return Footprint(data, _origins(f, set(ways), carbon is None))


@dataclass(frozen=True)
class TierUse:
    """What one request takes in a tier.

    Parameters
    ----------
    it_wh : float
        Energy of the accelerators and their share of the server; of the device's chip for a device. [Wh]
    busy_s : float
        Time that it occupies accelerators, summed over them, shared with no other request. [s]
    pue : float
        Energy at the meter over IT energy; 1 for a device, whose charger is counted by itself.
    cooling : str
        As for :func:`footprint`; "dry" for a device.
    use_pu : float
        Share of its life in which the hardware serves requests: what is embodied is carried by that time alone.
    device : bool
        Whether it is a device in the hand.
    """

    it_wh: float
    busy_s: float
    pue: float = 1.0
    cooling: str = "dry"
    use_pu: float = 1.0
    device: bool = False


def per_request(
    tiers: Mapping[str, TierUse],
    *,
    carbon_g_per_kwh: float | None = None,
    factors: FootprintFactors | Mapping[str, Any] | None = None,
) -> xr.Dataset:
    """Put one request in the cloud, at the edge and on a device side by side.

    Parameters
    ----------
    tiers : mapping
        What a request takes, by tier.
    carbon_g_per_kwh : float, optional
        Carbon intensity, the same for all; the mean of ``factors`` if left out. [g/kWh]
    factors : FootprintFactors or dict, optional
        What differs from the defaults.

    Returns
    -------
    Dataset
        By ``tier``: ``meter_wh`` [Wh], ``carbon_g`` of the electricity, ``embodied_g``, ``total_g`` [g],
        ``water_site_ml``, ``water_generation_ml`` [ml].

    Notes
    -----
    All else equal, energy and carbon of two tiers are as their PUEs.
    """
    f = factors if isinstance(factors, FootprintFactors) else build(FootprintFactors, factors or {})
    intensity = f.carbon_g_per_kwh if carbon_g_per_kwh is None else carbon_g_per_kwh
    if not tiers:
        raise bad("there is no tier", "{}", "Give TierUse by name.")
    rows = {}
    for name, use in tiers.items():
        for key, least in (("it_wh", 0.0), ("busy_s", 0.0), ("pue", 1.0)):
            if not (is_number(getattr(use, key)) and getattr(use, key) >= least):
                raise bad(f"{name}: {key} is too small", getattr(use, key), f"Give {least:g} or more.")
        if not 0 < use.use_pu <= 1:
            raise bad(f"{name}: use_pu is no share", use.use_pu, "Give above 0, at most 1.")
        meter_wh = use.it_wh * use.pue / (f.charger_pu if use.device else 1.0)
        kg, years = (f.device_kg, f.device_life_years) if use.device else (f.accelerator_kg, f.accelerator_life_years)
        carbon, embodied = meter_wh / 1e3 * intensity, 1e3 * kg * use.busy_s / (years * _YEAR_S * use.use_pu)
        rows[name] = (
            meter_wh, carbon, embodied, carbon + embodied, use.it_wh * f.water_site(use.cooling),
            meter_wh * f.water_generation_l_per_kwh,
        )  # fmt: skip
    columns = ("meter_wh", "carbon_g", "embodied_g", "total_g", "water_site_ml", "water_generation_ml")
    values = np.array(list(rows.values()))
    data = {
        c: ("tier", values[:, k], {"units": c.rsplit("_", 1)[1].replace("wh", "Wh")}) for k, c in enumerate(columns)
    }
    shown = [a.to_dict() for a in _origins(f, {u.cooling for u in tiers.values()}, carbon_g_per_kwh is None)]
    uses = {name: asdict(use) for name, use in tiers.items()}
    return xr.Dataset(data, coords={"tier": list(rows)}, attrs={"assumptions": shown, "uses": uses})


def _intensity(
    carbon: xr.DataArray | None, f: FootprintFactors, time_s: Float, dt_s: float, start_hour: float
) -> Float:
    if carbon is None:
        first = np.floor(time_s[0] / _HOUR_S)
        hours = int(np.ceil((time_s[-1] + dt_s) / _HOUR_S - 1e-9) - first)
        carbon = carbon_intensity(max(hours, 1), f, start_hour=start_hour + first)
        carbon = carbon.assign_coords(time=carbon["time"] + first * _HOUR_S)
        if dt_s > _HOUR_S:  # the mean over longer steps, not the value at their beginning
            at = [np.arange(t, t + dt_s, _HOUR_S) for t in time_s]
            label = carbon["time"].values
            return np.array([carbon.values[hold(a, label, _HOUR_S)].mean() for a in at])
    if carbon.dims != ("time",) or "time" not in carbon.coords:
        raise bad("the carbon series has no clock", str(carbon.dims), "Give a DataArray over `time`, in seconds.")
    values = np.asarray(carbon.values, dtype=float)
    if not np.isfinite(values).all() or (values < 0).any():
        raise bad("a carbon intensity is negative or no number", "carbon", "Give g/kWh, 0 or more, without gaps.")
    label = np.asarray(carbon["time"].values, dtype=float)
    step = step_of(label) if label.size > 1 else max(float(time_s[-1] + dt_s - label[0]), dt_s)
    if step < dt_s * (1 - 1e-6):
        raise bad("the carbon series is finer than the load", f"{step:g} s < {dt_s:g} s", "Take its means first.")
    if time_s[0] < label[0] - 1e-6 * step or time_s[-1] >= label[-1] + step * (1 - 1e-6):
        value = f"{label[0]:g} to {label[-1] + step:g} s, the load {time_s[0]:g} to {time_s[-1] + dt_s:g} s"
        raise bad("the carbon series does not cover the load", value, "Lengthen it, or shorten the load.")
    return np.asarray(values[hold(time_s, label, step)])


def _each(value: ArrayLike, names: Sequence[str], name: str, *, least: float = 0.0) -> Float:
    each = np.asarray(value, dtype=float)
    if each.shape not in ((), (len(names),)):
        raise bad(
            f"{name} does not fit the sites", f"shape {each.shape} for {len(names)}", "Give one, or one per site."
        )
    if not np.isfinite(each).all() or (each < least).any():
        raise bad(f"{name} is below {least:g} or no number", str(float(each.min())), f"Give {least:g} or more.")
    return np.broadcast_to(each, (len(names),)).astype(float)


def _origins(f: FootprintFactors, ways: set[str], plain: bool) -> tuple[Assumption, ...]:
    said = [a for a in f.assumptions() if plain or not a.name.startswith("carbon_")]
    for way in sorted(ways):
        if way in f.cooling_l_per_kwh:
            said.append(Assumption(f"cooling.{way}_l_per_kwh", f"{f.cooling_l_per_kwh[way]:g}", "chosen", "given"))
        else:
            value, mark, source = COOLING_L_PER_KWH[way]
            said.append(Assumption(f"cooling.{way}_l_per_kwh", f"{value:g}", mark, source))  # type: ignore[arg-type]
    return tuple(said)
