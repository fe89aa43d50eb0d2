"""A distribution feeder under a transmission bus: what the bus sees of a site that connects far below it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import RunError, bad
from gridedge.grid.inject import Background
from gridedge.grid.solve import solve


def nest(
    feeder: Any,
    load: xr.Dataset,
    *,
    bus: int | str | Sequence[int | str],
    background: Background = None,
    whole: bool = False,
    names: Sequence[str] | None = None,
) -> xr.Dataset:
    """Carry sites on a distribution feeder up to the transmission bus that feeds it.

    Parameters
    ----------
    feeder : pandapowerNet, str or path
        The feeder (never changed); its external grids are what the transmission bus delivers.
    load : Dataset
        What the sites on the feeder draw: ``p_mw(time, site)``, ``q_mvar(time, site)``, ``bus(site)`` on the feeder.
    bus : int, str or sequence of these
        The transmission bus; or several, each with a feeder of its own that is like this one.
    background : Dataset or dict of Datasets, optional
        How the feeder's own elements move.
    whole : bool
        Hand up all that the feeder draws.  Without, only what the sites add to it, losses included: a transmission
        net's load at the bus holds the feeder already.
    names : sequence of str, optional
        One name for each transmission bus.

    Returns
    -------
    Dataset
        ``p_mw(time, site)``, ``q_mvar(time, site)``, ``bus(site)``, ready for :func:`gridedge.solve` on the net
        above, one site for each bus.  In the attributes ``feeder_vm_min_pu``, ``feeder_loading_max_percent``,
        ``feeder_worst`` (the branch), ``losses_added_mw`` (largest) and ``remarks``.

    Raises
    ------
    InputError
        If the feeder has no external grid, or names and buses do not fit.
    RunError
        If a step of the feeder has no solution.

    Notes
    -----
    One way: the feeder's external grid holds its set-point, as a transformer with a tap changer does; a change of the
    voltage above does not come back down.
    """
    places = [bus] if isinstance(bus, int | str | np.integer) else list(bus)
    labels = [f"feeder-{k + 1}" for k in range(len(places))] if names is None else [str(n) for n in names]
    if not places or len(labels) != len(places):
        raise bad("names do not fit the transmission buses", f"{len(labels)} for {len(places)}", "Give one for each.")
    if len(set(labels)) < len(labels):
        raise bad("two feeders have one name", str(labels[:5]), "Give each its own.")
    with_sites = solve(feeder, load, background=background, enforce_q_lims=True)
    zero = load.copy()
    for name in ("p_mw", "q_mvar"):
        zero[name] = xr.zeros_like(load[name])
    without = solve(feeder, zero, background=background, enforce_q_lims=True)
    for which, found in (("with", with_sites), ("without", without)):
        if not bool(found["converged"].all()):
            step = int(np.argmin(found["converged"].values))
            raise RunError(
                f"The feeder has no solution {which} its sites, first at step {step}. Make the sites smaller."
            )
    drawn = [_at_grid(ds) for ds in (with_sites, without)]
    p, q = (drawn[0][k] - (0.0 if whole else drawn[1][k]) for k in (0, 1))
    loading = with_sites["loading_percent"]
    worst = loading.max("time").fillna(-np.inf)
    added = (drawn[0][0] - drawn[1][0]) - load["p_mw"].sum("site").values
    count = len(places)
    ds = xr.Dataset(
        {"p_mw": (("time", "site"), np.repeat(p[:, None], count, axis=1)),
         "q_mvar": (("time", "site"), np.repeat(q[:, None], count, axis=1))},
        coords={"time": load["time"].values, "site": labels, "bus": ("site", places)},
    )  # fmt: skip
    ds.attrs = {
        "power": "at the meter",
        "dt_s": schema.clock(load),
        "feeder_vm_min_pu": float(with_sites["vm_pu"].min()),
        "feeder_loading_max_percent": float(worst.max()),
        "feeder_worst": str(worst["branch"].values[int(worst.argmax("branch"))]),
        "losses_added_mw": float(np.max(added)),
        "remarks": ["The feeder's external grid holds its set-point: a change of voltage above does not come down."],
    }
    return schema.describe(ds)


def _at_grid(found: xr.Dataset) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return what the external grids deliver, in MW and Mvar over time."""
    units = [str(u) for u in found["unit"].values]
    grids = [u for u in units if u.startswith("ext_grid:")]
    if not grids:
        raise bad("the feeder has no external grid", ", ".join(units[:5]), "Give a feeder that one feeds.")
    if len(grids) < len(units):
        raise bad("generators hold voltages on the feeder", ", ".join(units[:5]), "Give a feeder without; use sgen.")
    return found["p_unit_mw"].sum("unit").values, found["q_unit_mvar"].sum("unit_bus").values
