"""A training campus that comes to serve, over years."""

from __future__ import annotations

from typing import Self

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from pydantic import Field, model_validator

from gridedge.errors import bad
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]


class Repurpose(Spec):
    """What share of a campus trains in each year; the rest serves."""

    nameplate_mw: float = Field(gt=0)
    """IT nameplate of the campus. [MW]"""
    years: tuple[int, ...] = Field(min_length=1)
    """Calendar years, rising."""
    trains_pu: tuple[float, ...] = Field(min_length=1)
    """Share of the nameplate that trains, at the start of each year. [pu]"""
    training_pu: float = quantity(
        0.776,
        mark="quoted",
        source="median over rated power of Llama training (arXiv 2412.08602, second source)",
        gt=0,
        le=1,
    )
    """Mean power of what trains. [pu of its nameplate]"""
    swing_pu: float = quantity(
        0.67, mark="measured", source="largest change in 5 s on the digitised H100 cycle (arXiv 2508.14318)", ge=0, le=1
    )
    """Largest change in 5 s of a synchronous job. [pu of its nameplate]"""
    busy_pu: float = quantity(
        0.6, mark="assumed", source="mean load that serving aims at, below its peak hour", low=0.4, high=0.8, gt=0, le=1
    )
    """Mean power of what serves, over a week. [pu of its nameplate]"""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if len(self.years) != len(self.trains_pu):
            value = f"{len(self.years)} years, {len(self.trains_pu)} shares"
            raise bad("years and trains_pu do not fit together", value, "Give one share for each year.")
        if any(b <= a for a, b in zip(self.years, self.years[1:], strict=False)):
            raise bad("the years do not rise", str(self.years), "Sort them, without repeats.")
        if not all(0 <= s <= 1 for s in self.trains_pu):
            raise bad("a share that trains is none", str(self.trains_pu), "Give values from 0 to 1.")
        return self

    def share_at(self, year: ArrayLike) -> Float:
        """Return the share that trains at moments in years, linear between the years.

        Raises
        ------
        InputError
            If a moment lies outside them.
        """
        y = np.asarray(year, dtype=float)
        if (y < self.years[0]).any() or (y > self.years[-1]).any():
            value = f"{y.min():g} to {y.max():g}"
            raise bad("a year outside the plan", value, f"Ask for {self.years[0]} to {self.years[-1]}.")
        return np.asarray(np.interp(y, self.years, self.trains_pu))


def repurposed(plan: Repurpose, serving_shape: ArrayLike, *, dt_s: float) -> xr.Dataset:
    """Return the IT power of the campus over a week, or any other stretch, of each year.

    Parameters
    ----------
    plan : Repurpose
        The shares.
    serving_shape : array-like, shape (time,)
        Power of serving over its mean; any scale.
    dt_s : float
        Step. [s]

    Returns
    -------
    Dataset
        ``p_mw(year, time)``; by ``year``: ``trains_pu``, ``mean_mw``, ``peak_mw``, ``lowest_mw``, ``energy_mwh`` of the
        stretch, and ``change_5s_mw``, what its training jobs swing by if they are one synchronous job.

    Raises
    ------
    InputError
        If the shape is none, or serving would exceed the nameplate of its share.
    """
    shape = np.asarray(serving_shape, dtype=float)
    if shape.ndim != 1 or not np.isfinite(shape).all() or (shape < 0).any() or not shape.sum() > 0:
        raise bad(
            "the shape of serving is none", "negative, NaN or all 0", "Give one value of 0 or more for each step."
        )
    level = plan.busy_pu * shape / shape.mean()
    if level.max() > 1 + 1e-9 and min(plan.trains_pu) < 1:
        value = f"busy_pu {plan.busy_pu:g} with a peak of {shape.max() / shape.mean():.3g} times the mean"
        cure = f"Lower busy_pu to {shape.mean() / shape.max():.3g}."
        raise bad("serving exceeds the nameplate of its share", value, cure)
    trains = np.asarray(plan.trains_pu)[:, None]
    p = plan.nameplate_mw * (trains * plan.training_pu + (1.0 - trains) * level)
    by_year = {
        "trains_pu": np.asarray(plan.trains_pu),
        "mean_mw": p.mean(axis=1),
        "peak_mw": p.max(axis=1),
        "lowest_mw": p.min(axis=1),
        "energy_mwh": p.sum(axis=1) * dt_s / 3600.0,
        "change_5s_mw": plan.nameplate_mw * plan.swing_pu * np.asarray(plan.trains_pu),
    }
    units = {"trains_pu": "1", "energy_mwh": "MWh"}
    data = {name: ("year", values, {"units": units.get(name, "MW")}) for name, values in by_year.items()}
    coords = {"year": list(plan.years), "time": ("time", np.arange(shape.size) * dt_s, {"units": "s"})}
    out = xr.Dataset({"p_mw": (("year", "time"), p, {"units": "MW"}), **data}, coords=coords)
    out.attrs = {"power": "IT", "dt_s": dt_s, "nameplate_mw": plan.nameplate_mw}
    return out
