"""Making a load anew from a reshaped profile, so that its period and its spectrum move."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import bad
from gridedge.profiles.generate import generate, load_profile

_COMPARED = 4096  # samples of the load that are held against its profile


class Reshaping(Protocol):
    """A step that shapes the work, not the series."""

    def reshaped(self, profile: Any) -> tuple[Any, Mapping[str, float]]:
        """Return the profile that the step makes, and its figures."""


def regenerate(load: xr.Dataset, steps: Sequence[Reshaping]) -> tuple[xr.Dataset, list[dict[str, float]]]:
    """Make a generated load again, from the profile that some steps make of its own.

    Parameters
    ----------
    load : Dataset
        IT power of :func:`gridedge.generate`, whole or cut, with ``attrs["profile_json"]`` and ``attrs["seed"]``.
    steps : sequence of steps
        In order; each turns the profile that the one before made.

    Returns
    -------
    made : Dataset
        The load on the same clock and of the same members.
    figures : list of dict
        What each step says of itself.

    Raises
    ------
    InputError
        If the load is not what its profile makes, or a step cannot shape the profile.
    """
    profile = load_profile(json.loads(load.attrs["profile_json"]))
    _check_same(load, profile)
    figures = []
    for step in steps:
        profile, found = step.reshaped(profile)
        figures.append({str(k): float(v) for k, v in found.items()})
    made = _again(load, profile, load.sizes["time"])
    for name in ("nameplate_mw", "servers"):
        if name in load.attrs and made.attrs.get(name) != load.attrs[name]:
            value = f"{name}: {load.attrs[name]} before, {made.attrs.get(name)} after"
            raise bad("reshaping changed the size of the load", value, "A cap moves work in time, not servers.")
    return made, figures


def _again(load: xr.Dataset, profile: Any, steps: int) -> xr.Dataset:
    """Return the first steps of a load's clock and members, made from a profile."""
    dt_s = schema.clock(load)
    first = round(float(load["time"][0]) / dt_s)
    members = load.sizes.get("member")
    made = generate(
        profile, duration_s=(first + steps) * dt_s, dt_s=dt_s, seed=int(load.attrs.get("seed", 0)), members=members
    )
    cut = made.isel(time=slice(first, first + steps))
    return cut.assign_coords(time=load["time"].values[:steps])


def _check_same(load: xr.Dataset, profile: Any) -> None:
    """Check that the load is what its profile makes: only then may the profile stand for it."""
    steps = min(_COMPARED, load.sizes["time"])
    there = load["p_mw"].isel(time=slice(steps)).transpose(..., "time").values
    here = _again(load, profile, steps)["p_mw"].transpose(..., "time").values
    if here.shape != there.shape or not np.allclose(here, there, rtol=1e-6, atol=1e-9):
        k = (
            int(np.argmax(np.abs(here - there).max(axis=tuple(range(here.ndim - 1)))))
            if here.shape == there.shape
            else 0
        )
        cure = "Pass the load as gridedge.generate gave it, or delete attrs['profile_json'] to have the series cut."
        raise bad("the load is not what its profile makes", f"they part at step {k}", cure)
