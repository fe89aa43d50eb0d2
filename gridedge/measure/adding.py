"""How the fluctuations of many sites add up: with N in step, with its root alone, and by a stated law in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import InputError, bad, is_number
from gridedge.measure.coherence import together
from gridedge.measure.ramp import largest_change
from gridedge.measure.spectrum import band_energy
from gridedge.timebase import as_numbers, check_step, step_of

Float = NDArray[np.float64]
WINDOWS_S = (5.0, 60.0, 600.0)
"""Windows of the largest changes: the 5 s of proposed rules, a minute, and ten minutes. [s]"""
BANDS_HZ = ((1 / 3600, 1 / 600), (1 / 600, 1 / 60), (1 / 60, 0.1), (0.1, 1.0), (1.0, 5.0))
"""Bands of the swings; between 0.1 and 1 Hz lie inter-area modes (from memory). [Hz]"""
_FLAT = 1e-12


def sd_of_equal_mw(sites: int, sd_mw: float, rho: float) -> float:
    r"""Return the standard deviation of N equal sites together.

    Parameters
    ----------
    sites : int
        How many, N.
    sd_mw : float
        Standard deviation of one, s. [MW]
    rho : float
        Correlation between any two.

    Returns
    -------
    float
        :math:`\sqrt{N s^2 (1 + (N - 1) \rho)}`: root of N times s where they have nothing in common, N times s where
        they are in step. [MW]

    Raises
    ------
    InputError
        If so many sites cannot all have this correlation with each other: it is at least -1 / (N - 1), at most 1.

    References
    ----------
    .. [1] Variance of a sum of equally correlated parts; used for computing loads in arXiv:2606.13853.
    """
    if isinstance(sites, bool) or not isinstance(sites, int | np.integer) or sites < 1:
        raise bad("sites must be a whole number, 1 or more", sites, "Give 100.")
    if not (is_number(sd_mw) and sd_mw >= 0):
        raise bad("a standard deviation is 0 or more", sd_mw, "Give megawatts.")
    least = -1.0 / (sites - 1) if sites > 1 else -1.0
    if not (is_number(rho) and least - 1e-12 <= rho <= 1):
        raise bad(f"{sites} sites cannot all have this correlation", rho, f"Give {least:.3g} to 1.")
    return float(float(sd_mw) * np.sqrt(max(sites * (1.0 + (sites - 1) * rho), 0.0)))


def sd_of_sum_mw(sd_mw: ArrayLike, rho: float) -> float:
    r"""Return the standard deviation of unequal sites together, any two of them correlated alike.

    Parameters
    ----------
    sd_mw : array_like, shape (site,)
        Standard deviation of each. [MW]
    rho : float
        Correlation between any two.

    Returns
    -------
    float
        :math:`\sqrt{\sum s_i^2 + \rho [(\sum s_i)^2 - \sum s_i^2]}` [MW]
    """
    sd = as_numbers(sd_mw)
    squares = float((sd**2).sum())
    variance = squares + rho * (float(sd.sum()) ** 2 - squares)
    if variance < -1e-9 * max(squares, 1e-300):
        raise bad(f"{sd.size} sites cannot all have this correlation", rho, "Give one nearer to 0.")
    return float(np.sqrt(max(variance, 0.0)))


def about_moving_mean(p_mw: Float, dt_s: float, *, about_s: float) -> Float:
    """Take off every site's own moving mean, and so the daily shape.

    Parameters
    ----------
    p_mw : ndarray, shape (site, time)
        Power. [MW]
    dt_s : float
        Step. [s]
    about_s : float
        Length of the mean, centred on each sample. [s]

    Returns
    -------
    ndarray, shape (site, time less the length of the mean)
        What is left where the whole mean lies inside the series. [MW]

    Notes
    -----
    The mean is that of an odd number of samples, so that it shifts nothing and leaves no trace of a straight rise. It
    is linear and the same for all sites: the sum of what is left is what is left of the sum, and the law of variances
    holds exactly. What is slower than about its length is gone, whether common or not.
    """
    check_step(dt_s)
    if not (is_number(about_s) and about_s >= 2 * dt_s):
        raise bad("the moving mean is too short", f"{about_s} s at a step of {dt_s:g} s", "Give two steps or more.")
    size = 2 * round(about_s / dt_s / 2) + 1
    length = p_mw.shape[-1]
    if length < 2 * size:
        cure = "Give a longer series, a shorter about_s, or about_s=None for the mean of the whole series."
        raise bad("the series is too short for its moving mean", f"{length} samples, the mean takes {size}", cure)
    level = p_mw.mean(axis=-1, keepdims=True)  # so that a running sum loses no digits
    total = np.concatenate([np.zeros((*p_mw.shape[:-1], 1)), np.cumsum(p_mw - level, axis=-1)], axis=-1)
    mean = (total[..., size:] - total[..., :-size]) / size + level
    half = size // 2
    return np.asarray(p_mw[..., half : length - half] - mean)


def about_common(p_mw: Float, common: ArrayLike) -> Float:
    """Take off what every site has of a known common shape, by least squares.

    Parameters
    ----------
    p_mw : ndarray, shape (site, time)
        Power. [MW]
    common : array_like, shape (time,)
        The shape, in any unit: for instance the expected rate of requests.

    Returns
    -------
    ndarray, shape (site, time)
        What is left about ``a + b common``. [MW]
    """
    shape = as_numbers(common)
    if shape.shape != p_mw.shape[-1:]:
        raise bad("the common shape does not fit the series", f"{shape.shape} for {p_mw.shape}", "Give one per step.")
    c = shape - shape.mean()
    size = float(c @ c)
    if not np.isfinite(size) or size <= _FLAT * float(shape @ shape):
        raise bad("the common shape is flat or holds no number", str(size), "Leave it out.")
    left = p_mw - p_mw.mean(axis=-1, keepdims=True)
    return np.asarray(left - np.outer(left @ c / size, c))


@dataclass(frozen=True)
class Fluctuation:
    """How a fleet's power fluctuates, and what its sites have in common.

    Parameters
    ----------
    sites : int
        How many.
    mean_mw : float
        Mean of all together. [MW]
    about : str
        What was taken off before anything is called a fluctuation.
    sd_site_mw : float
        Standard deviation of a site, root of the mean square over sites. [MW]
    rho : float
        Correlation between any two, weighed by their deviations; NaN for one site.
    sd_mw : float
        Standard deviation of all together, as it is. [MW]
    sd_predicted_mw : float
        What the law says: each site's deviation, and the correlation found among every other site alone; NaN where
        that is too negative for all sites to have it. [MW]
    predicted_from : int
        How many sites that correlation was found among.
    sd_slow_mw : float
        Standard deviation of what was taken off the sum. [MW]
    change_mw : dict
        Largest change of the sum in any closed window, by its length in s, nothing taken off; NaN where the series
        cannot tell. [MW]
    band_mw : dict
        Root mean square of the sum's swings in a band, by its edges in Hz; NaN where the step is too long. [MW]
    """

    sites: int
    mean_mw: float
    about: str
    sd_site_mw: float
    rho: float
    sd_mw: float
    sd_predicted_mw: float
    predicted_from: int
    sd_slow_mw: float
    change_mw: dict[float, float]
    band_mw: dict[tuple[float, float], float]

    @property
    def sd_independent_mw(self) -> float:
        """What N equal sites would make with nothing in common, in MW."""
        return float(self.sd_site_mw * np.sqrt(self.sites))

    @property
    def sd_in_step_mw(self) -> float:
        """What N equal sites would make in step, in MW."""
        return self.sd_site_mw * self.sites

    def row(self) -> dict[str, float]:
        """Return one row of a table."""
        row = {"mean_mw": self.mean_mw, "sd_mw": self.sd_mw, "rho": self.rho}
        row |= {f"change_{w:g}s_mw": v for w, v in self.change_mw.items()}
        return row | {f"band_{a:.2g}_{b:.2g}hz_mw": v for (a, b), v in self.band_mw.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        plain = asdict(self)
        plain["change_mw"] = {f"{w:g}": v for w, v in self.change_mw.items()}
        plain["band_mw"] = {f"{a:.6g}-{b:.6g}": v for (a, b), v in self.band_mw.items()}
        return plain


def fluctuation(
    p_mw: ArrayLike | xr.DataArray | xr.Dataset,
    dt_s: float | None = None,
    *,
    about_s: float | None = 3600.0,
    common: ArrayLike | None = None,
    windows_s: Sequence[float] = WINDOWS_S,
    bands_hz: Sequence[tuple[float, float]] = BANDS_HZ,
) -> Fluctuation:
    """Measure how a fleet fluctuates about its common shape.

    Parameters
    ----------
    p_mw : array_like, shape (site, time) or (time,), or DataArray or Dataset with ``p_mw`` over ``time`` and ``site``
        Power, consumption positive. [MW]
    dt_s : float, optional
        Step; read from ``time`` where there is one. [s]
    about_s : float, optional
        Length of the moving mean that is taken off every site, which removes the common daily shape; an hour is
        assumed.  None takes off the mean of the whole series only. [s]
    common : array_like, shape (time,), optional
        The common shape, where it is known: then this is taken off, and no moving mean.
    windows_s : sequence of float
        Windows of the largest change. [s]
    bands_hz : sequence of (float, float)
        Bands of the swings. [Hz]

    Returns
    -------
    Fluctuation

    Raises
    ------
    InputError
        If a sample is no number, the step is not known, or the series is too short for the moving mean.

    Notes
    -----
    The correlation between all pairs gives the deviation of the sum by identity.  So that the law is tested and not
    repeated, ``sd_predicted_mw`` knows the correlation of every other site only (of all where there are fewer than 4).

    References
    ----------
    .. [1] arXiv:2606.13853: Var = N s^2 [1 + (N - 1) rho] for computing loads.
    """
    p, step = _read(p_mw, dt_s)
    if common is not None:
        left, about = about_common(p, common), "the common shape that was given, by least squares"
    elif about_s is None:
        left, about = p - p.mean(axis=-1, keepdims=True), "the mean of the whole series"
    else:
        left, about = about_moving_mean(p, step, about_s=about_s), f"each site's moving mean of {about_s:g} s"
    cut = (p.shape[-1] - left.shape[-1]) // 2
    whole, sum_left = p.sum(axis=0), left.sum(axis=0)
    sd = left.std(axis=-1)
    rho, predicted, asked = np.nan, float(sd.sum()), p.shape[0]
    if _swinging(p, sd) >= 2:
        rho = together(left).correlation
        half = slice(None, None, 2) if p.shape[0] >= 4 and _swinging(p[::2], sd[::2]) >= 2 else slice(None)
        asked = sd[half].size
        predicted = _foretold(sd, together(left[half]).correlation)
    return Fluctuation(
        sites=p.shape[0],
        mean_mw=float(whole.mean()),
        about=about,
        sd_site_mw=float(np.sqrt((sd**2).mean())),
        rho=float(rho),
        sd_mw=float(sum_left.std()),
        sd_predicted_mw=predicted,
        predicted_from=asked,
        sd_slow_mw=float((whole[cut : cut + sum_left.size] - sum_left).std()),
        change_mw={float(w): float(largest_change(whole, step, window_s=w).value) for w in windows_s},
        band_mw={(float(a), float(b)): _band(whole, step, (a, b)) for a, b in bands_hz},
    )


def compare_fluctuations(cases: dict[str, Any], dt_s: float | None = None, **how: Any) -> xr.Dataset:
    """Put several loads side by side.

    Parameters
    ----------
    cases : dict
        Loads as :func:`fluctuation` takes them, by name: N sites, the same in one campus, a training job.
    dt_s : float, optional
        Their step. [s]
    **how
        As :func:`fluctuation` takes it, the same for all.

    Returns
    -------
    Dataset
        The columns of :meth:`Fluctuation.row` over ``load``; ``records`` in the attributes holds the records.
    """
    if not cases:
        raise bad("there is nothing to compare", "{}", "Give loads by name.")
    records = {name: fluctuation(load, dt_s, **how) for name, load in cases.items()}
    rows = [r.row() for r in records.values()]
    columns = {name: ("load", [row[name] for row in rows]) for name in rows[0]}
    ds = xr.Dataset(columns, coords={"load": list(records)}, attrs={"records": records})
    for name in columns:
        ds[name].attrs["units"] = "MW" if name.endswith("_mw") else "1"
    return ds


def _foretold(sd_mw: Float, rho: float) -> float:
    try:
        return sd_of_sum_mw(sd_mw, rho)
    except InputError:  # few sites may make up for each other as many cannot
        return float("nan")


def _band(p_mw: Float, dt_s: float, band_hz: tuple[float, float]) -> float:
    """Return the root mean square in a band, NaN where the series cannot show all of it."""
    low, high = band_hz
    if high > 0.5 / dt_s * (1 + 1e-9) or low < 1 / (p_mw.size * dt_s):
        return float("nan")
    return float(np.sqrt(band_energy(p_mw, dt_s, (low, high))[0]))


def _swinging(p_mw: Float, sd_mw: Float) -> int:
    return int((sd_mw > _FLAT * np.abs(p_mw).max(axis=-1)).sum())


def _read(p_mw: Any, dt_s: float | None) -> tuple[Float, float]:
    """Return power (site, time) and its step."""
    if isinstance(p_mw, xr.Dataset):
        if "p_mw" not in p_mw:
            raise bad("the load has no p_mw", ", ".join(map(str, p_mw.data_vars)) or "nothing", "Add p_mw(time, site).")
        dt_s = p_mw.attrs.get("dt_s") if dt_s is None else dt_s
        p_mw = p_mw["p_mw"]
    if isinstance(p_mw, xr.DataArray):
        if "time" not in p_mw.dims or p_mw.ndim > 2:
            raise bad("the load is no series of sites", str(p_mw.dims), "Give p_mw(time) or p_mw(time, site).")
        if dt_s is None and "time" in p_mw.coords:
            dt_s = step_of(np.asarray(p_mw["time"].values, dtype=float))
        p_mw = p_mw.transpose(..., "time").values
    p = np.atleast_2d(as_numbers(p_mw))
    if dt_s is None:
        raise bad("the step of the series is not known", "dt_s=None", "Give dt_s, or a DataArray with `time` in s.")
    check_step(dt_s)
    if p.ndim != 2 or p.shape[0] < 1 or p.shape[1] < 2:
        raise bad("the load is no series of sites", f"shape {p.shape}", "Give (site, time), two samples at least.")
    if not np.isfinite(p).all():
        raise bad("samples that are NaN or infinite", int((~np.isfinite(p)).sum()), "Cut the series to a part without.")
    return p, float(dt_s)
