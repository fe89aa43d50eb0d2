"""From a study to what its site draws: sizing, strategies, and the stretch that is measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.ndimage import maximum_filter1d, minimum_filter1d

from gridedge import schema
from gridedge.errors import InputError, bad
from gridedge.measure.finding import Finding
from gridedge.profiles.catalog import server
from gridedge.profiles.generate import generate
from gridedge.profiles.inference.profile import InferenceProfile
from gridedge.profiles.measured import MeasuredProfile
from gridedge.sites.equipment import check_equipment
from gridedge.sites.facility import connect
from gridedge.sites.site import at_meter
from gridedge.study.model import Site, StudySpec

_NEARLY = 0.95  # share of the widest range: lets a window hold edges beside its deepest dip


@dataclass(frozen=True)
class Campus:
    """The sized site.

    Parameters
    ----------
    servers : int
        Number of servers.
    nameplate_mw : float
        Their nameplate. [MW]
    server_name : str
        What one server is.
    p_it_peak_mw, p_meter_peak_mw : float
        Highest IT power and highest power at the meter on the measured stretch, without mitigation. [MW]
    window_start_s : float
        Where the stretch that goes through the power flow begins, within the measured one. [s]
    strategies : dict
        By name, the waveform dataset of the measured stretch.
    equipment : dict
        By name, what racks, UPS, transformer and storage see on it.
    notes : tuple of str
        What was found in a trace.
    """

    servers: int
    nameplate_mw: float
    server_name: str
    p_it_peak_mw: float
    p_meter_peak_mw: float
    window_start_s: float
    strategies: dict[str, xr.Dataset]
    equipment: dict[str, list[Finding]]
    notes: tuple[str, ...]


def build_campus(spec: StudySpec, base: Path, bus: int) -> Campus:
    """Size the site and run every strategy on the waveform's clock."""
    servers = servers_of(spec, base)
    load = it_power(spec, base, servers)
    bare = _measured_stretch(spec, _at_meter(spec, load, bus))
    strategies, equipment = {}, {}
    for name, steps in spec.strategies.items():
        after = at_meter(load, spec.site.facility, steps, bus=bus, site=spec.site.name)
        seen = _measured_stretch(spec, after)
        equipment[name] = check_equipment(seen, spec.site.ratings)
        strategies[name] = seen.drop_dims("place")
    p_bare = bare["p_mw"].values[:, 0]
    return Campus(
        servers,
        float(load.attrs["nameplate_mw"]),
        "measured server" if isinstance(spec.load, MeasuredProfile) else server(spec.load.server).name,
        float(bare["p_it_mw"].max()),
        float(p_bare.max()),
        _window_start(spec, p_bare),
        strategies,
        equipment,
        tuple(load.attrs["notes"]),
    )


def it_power(spec: StudySpec, base: Path, servers: int, dt_s: float | None = None) -> xr.Dataset:
    """Return the IT power from the start of the run-in on, at the waveform's step unless another is given."""
    wave = spec.waveform
    profile = spec.load
    if isinstance(profile, MeasuredProfile):
        trace = None if profile.trace is None else str(base / profile.trace)
        profile = profile.model_copy(update={"trace": trace, "nodes": servers})
    elif isinstance(profile, InferenceProfile):
        profile = profile.sized(servers)
    else:
        profile = profile.model_copy(update={"servers": servers})
    return generate(profile, duration_s=wave.run_in_s + wave.measure_s, dt_s=dt_s or wave.dt_s, seed=spec.seed)


def _at_meter(spec: StudySpec, load: xr.Dataset, bus: int) -> xr.Dataset:
    return connect(load, spec.site.facility, bus=bus, site=spec.site.name)


def servers_of(spec: StudySpec, base: Path) -> int:
    """Return how many servers the site has, from whichever size the study gives."""
    size = spec.site.size
    if size.servers is not None:
        return size.servers
    rated_kw = spec.load.node_rated_kw if isinstance(spec.load, MeasuredProfile) else server(spec.load.server).rated_kw
    if size.nameplate_mw is not None:
        return _at_least_one(size.nameplate_mw * 1e3 / rated_kw, f"{size.nameplate_mw:g} MW nameplate", rated_kw)
    assert size.meter_peak_mw is not None  # Size holds exactly one
    # Servers come whole: the largest number whose metered peak stays within the size.  Without an own transformer the
    # peak is proportional to their number, but for noise of their own and shares of a cluster that are rounded to whole
    # servers; the transformer's losses only lower the number.
    bare = spec.model_copy(update={"site": _without_transformer(spec.site)})
    guess = 1000
    wanted = f"{size.meter_peak_mw:g} MW at the meter"
    most = _at_least_one(size.meter_peak_mw / _peak_mw(bare, base, guess) * guess, wanted, rated_kw)
    if spec.site.facility.transformer is None:
        while most > 1 and _peak_mw(spec, base, most) > size.meter_peak_mw * (1 + 1e-9):
            most -= 1
        return most
    least = 0  # holds; most + 1 does not
    beyond = most + 1
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if _fits(spec, base, middle, size.meter_peak_mw) else (least, middle)
    return _at_least_one(least, wanted, rated_kw)


def _without_transformer(site: Site) -> Site:
    return site.model_copy(update={"facility": site.facility.model_copy(update={"transformer": None})})


def _fits(spec: StudySpec, base: Path, servers: int, meter_peak_mw: float) -> bool:
    try:
        return _peak_mw(spec, base, servers) <= meter_peak_mw
    except InputError:  # more than the transformer can pass at all
        return False


def _at_least_one(count: float, size: str, rated_kw: float) -> int:
    whole = int(np.floor(count + 1e-9))
    if whole < 1:
        raise bad("the site is smaller than one server", size, f"One server has a nameplate of {rated_kw:g} kW.")
    return whole


def _peak_mw(spec: StudySpec, base: Path, servers: int) -> float:
    metered = _at_meter(spec, it_power(spec, base, servers), 0)
    return float(_measured_stretch(spec, metered)["p_mw"].max())


def _measured_stretch(spec: StudySpec, load: xr.Dataset) -> xr.Dataset:
    first = round(spec.waveform.run_in_s / spec.waveform.dt_s)
    cut = load.isel(time=slice(first, None)).copy(deep=True)  # a view would keep the run-in in memory
    time = cut["time"].values - cut["time"].values[0]
    return schema.describe(cut.assign_coords(time=np.round(time / spec.waveform.dt_s) * spec.waveform.dt_s))


def _window_start(spec: StudySpec, p_mw: np.ndarray) -> float:
    """Choose the window: among those that span nearly the whole range of the power, the one that moves most."""
    wave = spec.waveform
    steps = round(wave.window_s / wave.dt_s)
    # Running extremes cost the same whatever the window; `origin` lets it begin at its sample.
    ahead = {"size": steps, "origin": -(steps // 2), "mode": "nearest"}
    span = (maximum_filter1d(p_mw, **ahead) - minimum_filter1d(p_mw, **ahead))[: p_mw.size - steps + 1]
    moved = np.concatenate(([0.0], np.cumsum(np.abs(np.diff(p_mw)))))
    travel = moved[steps - 1 :] - moved[: p_mw.size - steps + 1]
    wide = span >= _NEARLY * span.max()
    return float(np.argmax(np.where(wide, travel, -1.0))) * wave.dt_s
