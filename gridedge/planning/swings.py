"""Three loads of the same size: N inference sites, the same inference in one campus, one synchronous training job."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad, is_number
from gridedge.measure.adding import Fluctuation, compare_fluctuations
from gridedge.profiles.generate import generate, load_profile
from gridedge.profiles.inference.replica import Rates, Replica, rates
from gridedge.profiles.inference.run import requests_of, serve_exactly
from gridedge.profiles.traffic.arrivals import arrivals, lengths, minute_noise
from gridedge.profiles.traffic.classes import RequestClass, request_class
from gridedge.timebase import step_count

Float = NDArray[np.float64]
_SETTLE_S = 180.0
_AROUND = (0.4, 0.7, 0.85, 1.0, 1.15, 1.3, 1.6)  # loads, of the mean one, at which the exact run is made
_RUNS = 6  # replicas whose spectrum is averaged
_MOST_TOKENS = 32_768


@dataclass(frozen=True)
class Swings:
    """Three loads of the same mean, and how each fluctuates.

    Parameters
    ----------
    loads : dict
        ``sites``: Dataset with ``p_mw(time, site)``; ``campus`` and ``training``: with ``p_mw(time)``. IT power. [MW]
    table : Dataset
        How each fluctuates, over ``load``: see :func:`gridedge.measure.adding.compare_fluctuations`.
    records : dict
        The :class:`gridedge.measure.adding.Fluctuation` of each.
    replicas_each : int
        Replicas at a site.
    remarks : tuple of str
        What the loads are made of.
    """

    loads: dict[str, xr.Dataset]
    table: xr.Dataset
    records: dict[str, Fluctuation]
    replicas_each: int
    remarks: tuple[str, ...]


def three_ways(
    *,
    sites: int = 100,
    mw_each: float = 10.0,
    duration_s: float = 3600.0,
    dt_s: float = 1.0,
    asks: str | RequestClass = "conversation",
    replica: Replica | None = None,
    load_pu: float = 0.6,
    common_pu: float = 0.3,
    memory_s: float = 300.0,
    training: str = "h100-at-scale",
    seed: int = 0,
    about_s: float | None = None,
    bands_hz: Sequence[tuple[float, float]] = ((1 / 600, 1 / 60), (1 / 60, 0.1), (0.1, 0.5)),
) -> Swings:
    """Make N inference sites, the same inference in one campus, and a training job of the same mean power.

    Parameters
    ----------
    sites : int
        How many.
    mw_each : float
        Mean IT power of one site. [MW]
    duration_s, dt_s : float
        Length and step; about a constant rate, so less than some hours. [s]
    asks : str or RequestClass
        What is asked: its lengths, bursts, and the noise of its minutes.
    replica : Replica, optional
        What serves it; the default one (Llama 70B on 4 H100) if left out.
    load_pu : float
        Mean load of a replica, of its capacity.
    common_pu : float
        Correlation of the rates of two sites from minute to minute; assumed.
    memory_s : float
        Time in which a departure of the rate fades; assumed. [s]
    training : str
        Profile of the job; its number of servers is set so that the mean is that of all sites.
    seed : int
        Chance.
    about_s : float, optional
        Moving mean that is taken off, as :func:`gridedge.measure.adding.fluctuation` takes it; here there is no daily
        shape, and without it the mean of the whole series is.
    bands_hz : sequence of (float, float)
        Bands of the swings. [Hz]

    Returns
    -------
    Swings

    Raises
    ------
    InputError
        If a share is none, or the class cannot be served by the replica.

    Notes
    -----
    A site's power is the mean power of its replicas at the rate of the minute, from a parabola through exact runs at
    seven loads, and the fluctuation of single requests: Gaussian, with the power spectrum of one replica in exact runs,
    times the number of replicas, which share no request (a surrogate by random phases [1]_; the sum of thousands of
    replicas is Gaussian).  The campus serves the sum of all rates with all replicas; its requests are drawn anew.

    References
    ----------
    .. [1] J. Theiler et al., "Testing for nonlinearity in time series: the method of surrogate data", Physica D 58
           (1992) 77-94. :doi:`10.1016/0167-2789(92)90102-S`
    """
    _check(sites, mw_each, load_pu, common_pu)
    steps = step_count(duration_s, dt_s)
    one, machine = request_class(asks), rates(replica or Replica())
    rng = np.random.default_rng(np.random.SeedSequence(seed))
    per_s = load_pu * machine.capacity_per_s(*one.mean_tokens())
    level, mean_w = _curve(one, machine, per_s, rng)
    spectrum = _spectrum(one, machine, per_s, steps, dt_s, rng)
    at_mean = float(np.interp(1.0, level, mean_w))
    each = max(1, round(mw_each * 1e6 / at_mean))

    minutes = int(np.ceil(duration_s / 60.0)) + 1
    noise = minute_noise(minutes, sites, std_pu=one.noise_pu, common_pu=common_pu, memory_s=memory_s, rng=rng)
    clock = (np.arange(steps) + 0.5) * dt_s
    rate = np.stack([np.interp(clock, 60.0 * np.arange(minutes), f) for f in noise])
    apart = 1e-6 * each * np.interp(rate, level, mean_w) + 1e-6 * each**0.5 * _surrogates(spectrum, sites, steps, rng)
    count = sites * each
    campus = 1e-6 * count * np.interp(rate.mean(axis=0), level, mean_w)
    campus += 1e-6 * count**0.5 * _surrogates(spectrum, 1, steps, rng)[0]
    time = dt_s * np.arange(steps)
    sited = xr.Dataset(
        {"p_mw": (("time", "site"), apart.T)},
        coords={"time": time, "site": [f"site-{k + 1}" for k in range(sites)]},
        attrs={"power": "IT", "dt_s": dt_s},
    )
    job = _job(training, float(campus.mean()), duration_s, dt_s, seed)
    loads = {
        "sites": schema.describe(sited),
        "campus": schema.power_dataset(campus, dt_s, power="IT"),
        "training": job,
    }
    table = compare_fluctuations(loads, about_s=about_s, bands_hz=bands_hz)
    records = table.attrs.pop("records")
    outside = float(((rate < level[0]) | (rate > level[-1])).mean())
    remarks = [
        f"{sites} sites of {each} replicas at {load_pu:g} of their capacity, {per_s:.3g} requests/s each; "
        f"class {one.name}.",
        f"Rates of two sites correlate by {common_pu:g} and fade in {memory_s:g} s (both assumed); "
        f"their minutes deviate by {one.noise_pu:g}.",
    ]
    if outside:
        remarks.append(f"{outside:.2%} of the rates lie outside of the loads that were run: held at the last one.")
    return Swings(loads, table, records, each, tuple(remarks))


def _job(training: str, mean_mw: float, duration_s: float, dt_s: float, seed: int) -> xr.Dataset:
    spec: Any = load_profile(training)
    if not hasattr(spec, "servers"):
        raise bad("this profile is no job of a number of servers", training, "Name a training profile.")
    trial = float(generate(spec, duration_s=duration_s, dt_s=dt_s, seed=seed)["p_mw"].mean())
    servers = max(1, round(spec.servers * mean_mw / trial))
    return generate(spec.model_copy(update={"servers": servers}), duration_s=duration_s, dt_s=dt_s, seed=seed)


def _run(
    one: RequestClass, machine: Rates, per_s: float, span_s: float, dt_s: float, rng: np.random.Generator
) -> Float:
    """Return the power of one replica after it has settled, in W."""
    whole = span_s + _SETTLE_S
    at = arrivals(np.full(int(np.ceil(whole / 60.0)), per_s), 60.0, cv=one.cv, law=one.law, rng=rng)
    at = at[at < whole]
    tokens = [lengths(at.size, law, rng, most=_MOST_TOKENS) for law in (one.tokens_in, one.tokens_out)]
    served = serve_exactly(requests_of(at, *tokens), machine, duration_s=whole, dt_s=dt_s, drain=False)
    return served.power_w[round(_SETTLE_S / dt_s) :]


def _curve(one: RequestClass, machine: Rates, per_s: float, rng: np.random.Generator) -> tuple[Float, Float]:
    """Return rates, of the mean one, and the mean power of a replica at each.

    A parabola through the runs: straight pieces would take the chance of each run for a change of slope, and a campus,
    whose rate stays nearer to the mean, would ride on one slope alone.
    """
    ran = np.array([_run(one, machine, x * per_s, 1800.0, 10.0, rng).mean() for x in _AROUND])
    level = np.linspace(_AROUND[0], _AROUND[-1], 241)
    return level, np.asarray(np.polyval(np.polyfit(_AROUND, ran, 2), level), dtype=np.float64)


def _spectrum(
    one: RequestClass, machine: Rates, per_s: float, steps: int, dt_s: float, rng: np.random.Generator
) -> Float:
    """Return the mean square of each line of a replica's power, in W^2."""
    runs = np.stack([_run(one, machine, per_s, steps * dt_s, dt_s, rng)[:steps] for _ in range(_RUNS)])
    lines = np.abs(np.fft.rfft(runs - runs.mean(), axis=-1)) ** 2
    lines[:, 0] = 0.0
    return np.asarray(lines.mean(axis=0))


def _surrogates(spectrum: Float, count: int, steps: int, rng: np.random.Generator) -> Float:
    """Return Gaussian series (series, time) of a spectrum, mean 0."""
    phase = rng.standard_normal((count, spectrum.size)) + 1j * rng.standard_normal((count, spectrum.size))
    lines = phase * np.sqrt(spectrum / 2)
    if steps % 2 == 0:
        lines[:, -1] = lines[:, -1].real * np.sqrt(2)  # the Nyquist line is real
    return np.asarray(np.fft.irfft(lines, n=steps, axis=-1))


def _check(sites: int, mw_each: float, load_pu: float, common_pu: float) -> None:
    if isinstance(sites, bool) or sites < 2:
        raise bad("sites to compare with one campus", sites, "Give two or more.")
    if not (is_number(mw_each) and mw_each > 0):
        raise bad("a site has no size", mw_each, "Give megawatts above 0.")
    for name, value, high in (("load_pu", load_pu, 0.95), ("common_pu", common_pu, 1.0)):
        if not (is_number(value) and 0 <= value <= high) or (name == "load_pu" and value == 0):
            raise bad(f"{name} is out of its range", value, f"Give 0 to {high:g}.")
