"""Ratings that follow the outdoor temperature: lines and transformers carry less on a hot day."""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]


def line_rating_pu(outdoor_c: ArrayLike, *, conductor_c: float = 80.0, rated_at_c: float = 35.0) -> Float:
    r"""Return the rating of an overhead line over its stated one, by the outdoor temperature.

    Parameters
    ----------
    outdoor_c : array-like
        Outdoor temperature. [degC]
    conductor_c : float
        Highest temperature of the conductor; 80 is assumed, usual for ACSR. [degC]
    rated_at_c : float
        Outdoor temperature for which the rating is stated; 35 is assumed, a summer rating. [degC]

    Returns
    -------
    ndarray
        :math:`\sqrt{(T_c - T_a) / (T_c - T_0)}`.

    Raises
    ------
    InputError
        If the air is as hot as the conductor may be.

    Notes
    -----
    Heat balance of IEEE 738 at steady state with losses linear in the difference of temperature, the same wind, and
    neither sun nor the resistance's own change (from memory of the standard).
    """
    t = np.asarray(outdoor_c, dtype=float)
    _check(t)
    if rated_at_c >= conductor_c or (t >= conductor_c).any():
        value = f"{max(float(t.max(initial=rated_at_c)), rated_at_c):g} degC, conductor {conductor_c:g} degC"
        raise bad("the air is as hot as the conductor may be", value, "Check the unit (degC), or raise conductor_c.")
    return np.asarray(np.sqrt((conductor_c - t) / (conductor_c - rated_at_c)))


def transformer_rating_pu(outdoor_c: ArrayLike, *, rated_at_c: float = 30.0, pu_per_k: float = 0.01) -> Float:
    """Return the rating of a transformer over its stated one, by the outdoor temperature.

    1 % for each kelvin from a mean of 30 degC: the middle of what IEEE C57.91 gives for its cooling classes (from
    memory).

    Parameters
    ----------
    outdoor_c : array-like
        Outdoor temperature. [degC]
    rated_at_c : float
        For which the rating is stated. [degC]
    pu_per_k : float
        Change for each kelvin. [1/K]
    """
    t = np.asarray(outdoor_c, dtype=float)
    _check(t)
    rating = 1.0 - pu_per_k * (t - rated_at_c)
    if (rating <= 0).any():
        raise bad("no rating is left", f"{float(t.max()):g} degC", "Check the unit (degC), or lower pu_per_k.")
    return np.asarray(rating)


def at_ambient(loading_percent: xr.DataArray, outdoor_c: xr.DataArray) -> xr.DataArray:
    """Return loadings of ratings that follow the weather.

    Parameters
    ----------
    loading_percent : DataArray, dims (time, branch)
        Of the stated ratings, as :func:`gridedge.solve` gives them; branches are named ``line:12``, ``trafo:0``.
    outdoor_c : DataArray, dims (time,)
        Outdoor temperature at the same times. [degC]

    Returns
    -------
    DataArray, dims (time, branch)
        Lines by :func:`line_rating_pu`, transformers by :func:`transformer_rating_pu`, anything else as it was.

    Raises
    ------
    InputError
        If the clocks differ.
    """
    if outdoor_c.sizes != {"time": loading_percent.sizes["time"]} or not np.array_equal(
        outdoor_c["time"].values, loading_percent["time"].values
    ):
        value = f"{outdoor_c.sizes.get('time', 0)} temperatures for {loading_percent.sizes['time']} steps"
        raise bad("the temperatures do not fit the clock", value, "Give one for each step, at its time.")
    names = loading_percent["branch"].values.astype(str)
    t = outdoor_c.values
    one = np.ones((t.size, names.size))
    one[:, np.char.startswith(names, "line:")] = line_rating_pu(t)[:, None]
    one[:, np.char.startswith(names, "trafo")] = transformer_rating_pu(t)[:, None]
    factor = xr.DataArray(one, dims=("time", "branch"), coords={"time": outdoor_c["time"], "branch": names})
    out = loading_percent / factor.assign_coords(branch=loading_percent["branch"])
    out = out.transpose(*loading_percent.dims)
    return out.rename("loading_percent").assign_attrs({**loading_percent.attrs, "ratings": "follow outdoor_c"})


def _check(outdoor_c: Float) -> None:
    if not np.isfinite(outdoor_c).all() or (np.abs(outdoor_c) > 90).any():
        raise bad(
            "an outdoor temperature is none", str(outdoor_c.ravel()[:3].tolist()), "Give degrees Celsius, no gaps."
        )
