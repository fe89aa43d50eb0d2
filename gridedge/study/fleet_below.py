"""A medium-voltage feeder between a site and the net of a fleet study: what the net sees, and what the feeder bears."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad
from gridedge.study.fleet_model import FleetStudySpec

Float = NDArray[np.float64]
_LEVELS = 33  # powers that are solved; between them a line, whose error is measured and kept


@dataclass(frozen=True, eq=False)
class Below:
    """What a feeder hands up of one site.

    Parameters
    ----------
    feeder : str
        Its name.
    bus_name : str
        Where the site is: the bus that takes most.
    p_mw : ndarray, shape (level,)
        Power of the site. [MW]
    above_mw, above_mvar : ndarray, shape (level,)
        What the bus above sees of it, the feeder's added losses among it. [MW], [Mvar]
    loading_percent, vm_pu_min : ndarray, shape (level,)
        Highest loading of the feeder, and its lowest voltage. [%], [pu]
    worst : str
        Branch with the highest loading.
    error_mva : float
        Largest error of the line between two levels, of active and reactive power, half-way where it was solved. [MVA]
    breaks : str
        What a site of its full size breaks on the feeder; empty where all limits hold.
    """

    feeder: str
    bus_name: str
    p_mw: Float
    above_mw: Float
    above_mvar: Float
    loading_percent: Float
    vm_pu_min: Float
    worst: str
    error_mva: float
    breaks: str

    def above(self, p_mw: Float) -> tuple[Float, Float]:
        """Return active and reactive power that the bus above sees of a site that draws this. [MW], [Mvar]."""
        return np.interp(p_mw, self.p_mw, self.above_mw), np.interp(p_mw, self.p_mw, self.above_mvar)

    def at(self, p_mw: float) -> tuple[float, float]:
        """Return highest loading [%] and lowest voltage [pu] of the feeder where the site draws this."""
        return float(np.interp(p_mw, self.p_mw, self.loading_percent)), float(
            np.interp(p_mw, self.p_mw, self.vm_pu_min)
        )


def below_of(spec: FleetStudySpec, label: str, base: Path) -> Below | None:
    """Return the feeder under the sites of a layout, solved for every power that a site may have.

    Returns
    -------
    Below or None
        None where the sites connect to the net itself.

    Raises
    ------
    InputError
        If the feeder cannot be used, or does not carry a site of this size at all.
    """
    from gridedge.grid.solve import solve
    from gridedge.planning.nesting import nest
    from gridedge.planning.placement import place_sites

    one = spec.layouts[label]
    if one.under is None:
        return None
    where = str(base / one.under) if (base / one.under).is_file() else one.under
    placed = place_sites(where, 1, one.mw_each, how="best", if_full="note", limits=spec.kept_limits())
    level = np.linspace(0.0, one.mw_each, 2 * _LEVELS - 1)  # every second one judges the line
    full = placed.load()
    ratio = float(full["q_mvar"].values[0, 0] / full["p_mw"].values[0, 0])
    load = xr.Dataset(
        {"p_mw": (("time", "site"), level[:, None]), "q_mvar": (("time", "site"), ratio * level[:, None])},
        coords={"time": np.arange(level.size, dtype=float), "site": full["site"].values, "bus": full["bus"]},
        attrs={"dt_s": 1.0},
    )
    seen = solve(where, load, enforce_q_lims=True)
    if not bool(seen["converged"].all()):
        most = float(level[int(np.argmin(seen["converged"].values))])
        cure = "Take a stronger feeder, or smaller sites."
        raise bad(f"layouts.{label}.under: the feeder does not carry its site", f"{where} at {most:g} MW", cure)
    up = nest(where, schema.describe(load), bus=0)
    above_mw, above_mvar = up["p_mw"].values[:, 0], up["q_mvar"].values[:, 0]
    kept = slice(None, None, 2)
    between = [np.interp(level[1::2], level[kept], a[kept]) - a[1::2] for a in (above_mw, above_mvar)]
    loading: Any = seen["loading_percent"].fillna(0.0).values
    return Below(
        feeder=one.under, bus_name=placed.sites[0].bus_name, p_mw=level[kept], above_mw=above_mw[kept],
        above_mvar=above_mvar[kept], loading_percent=loading[kept].max(axis=1),
        vm_pu_min=seen["vm_pu"].min("bus").values[kept], worst=str(up.attrs["feeder_worst"]),
        error_mva=float(np.hypot(*between).max()), breaks=placed.breaks,
    )  # fmt: skip


def through(steps: xr.Dataset, below: Below | None) -> xr.Dataset:
    """Return what the net sees of sites that draw this: themselves, or themselves through their feeders."""
    if below is None:
        return steps
    p_mw, q_mvar = below.above(steps["p_mw"].values)
    return steps.assign(p_mw=(("time", "site"), p_mw), q_mvar=(("time", "site"), q_mvar))
