"""Requested against served: what is asked for at each bus, what fits, and what stops the rest."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridedge.errors import bad
from gridedge.grid.feeders import find_bus
from gridedge.grid.trial import Float, Trial
from gridedge.planning.hosting.bounds import Base, Group
from gridedge.planning.hosting.losses import Held
from gridedge.planning.hosting.result import Answer
from gridedge.planning.hosting.rooms import ALL_KINDS, rooms_at

SERVED, PARTLY, REFUSED = "served", "partly served", "not served"
AGAIN, UNKNOWN = "fits, but a smaller site does not", "cannot tell"


def requested(trial: Trial, wanted_mw: Any, max_mw: float | None) -> Float:
    """Return what is asked for [MW] at every bus of a trial, NaN where nothing is.

    Parameters
    ----------
    trial : Trial
        Its buses.
    wanted_mw : float, mapping or Series
        The same at every bus, or by bus (index or name).
    max_mw : float, optional
        Highest size that is looked at.

    Raises
    ------
    InputError
        If a size is not positive, lies above ``max_mw``, or is given at a bus that is not looked at.
    """
    out = np.full(len(trial.buses), np.nan)
    if hasattr(wanted_mw, "items"):
        items = wanted_mw.items() if isinstance(wanted_mw, Mapping) else wanted_mw.to_dict().items()
        place = {bus: i for i, bus in enumerate(trial.buses)}
        for given, value in items:
            bus = int(find_bus(trial.own, given)[0])
            if bus not in place:
                raise bad("requested_mw names a bus that is not looked at", str(given), "Add it to buses=.")
            out[place[bus]] = _size(value, max_mw)
    else:
        out[:] = _size(wanted_mw, max_mw)
    return out


def _size(value: Any, max_mw: float | None) -> float:
    try:
        size = np.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError):
        size = np.nan
    if not 0 < size < np.inf:
        raise bad("requested_mw must be positive", str(value), "Give megawatts at the meter, by bus or one for all.")
    if max_mw is not None and size > max_mw:
        raise bad("requested_mw lies above max_mw", f"{size:g} > {max_mw:g}", "Raise max_mw, or leave it out.")
    return size


def add_request(
    ds: xr.Dataset, trial: Trial, groups: list[Group], held: list[Held], base: Base, answers: Sequence[Answer],
    asked: Float, every_step: bool, uncounted: Collection[str] = (),
) -> None:  # fmt: skip
    """Add what was asked for, what fits, a verdict, and how long each limit is broken at the wished size.

    Parameters
    ----------
    ds : Dataset
        Changed in place.  It receives per bus ``requested_mw``, ``served_mw`` (the smaller of request and
        capacity) [MW], ``verdict`` and ``stops_request``, what stops the request and where.  Where all steps are judged
        also, per ``(bus, kind_of_limit)``, ``beyond_steps``, the steps (or moving means) in which a limit of that kind
        is broken at the requested size, and in a series of more than one step ``beyond_h`` [h].  The kind "collapse"
        counts steps without solution; such a step is counted there alone.
    trial, groups, held, base, answers
        What was searched and found.
    asked : ndarray, shape (bus,)
        As of :func:`requested`. [MW]
    every_step : bool
        Whether the trial holds all steps: of some, nothing can be counted.
    uncounted : collection of str
        Kinds with limits that are not judged in every step, as voltage steps behind EMFs: NaN.
    """
    verdict, why = [], []
    for p_mw, answer in zip(asked, answers, strict=True):
        said, reason = _verdict(float(p_mw), answer)
        verdict.append(said)
        why.append(reason)
    capacity = np.array([a.capacity_mw for a in answers])
    ds["requested_mw"] = ("bus", asked, {"units": "MW"})
    ds["served_mw"] = ("bus", np.where(np.isnan(asked), np.nan, np.fmin(asked, capacity)), {"units": "MW"})
    ds["verdict"], ds["stops_request"] = ("bus", verdict), ("bus", why)
    if not every_step:
        return
    kinds = [*ALL_KINDS, "collapse"]
    steps = np.full((asked.size, len(kinds)), np.nan)
    for i, (k, p_mw) in enumerate(zip(trial.which.tolist(), asked, strict=True)):
        if np.isfinite(p_mw):
            found = rooms_at(trial, groups, held, base, k, float(p_mw))
            steps[i, :-1], steps[i, -1] = found.broken, found.unsolved
    steps[:, [kind in uncounted for kind in kinds]] = np.nan
    ds.coords["kind_of_limit"] = kinds
    ds["beyond_steps"] = (("bus", "kind_of_limit"), steps, {"units": "1"})
    if trial.steps > 1 and trial.dt_s > 0:
        ds["beyond_h"] = (("bus", "kind_of_limit"), steps * trial.dt_s / 3600.0, {"units": "h"})


def _verdict(p_mw: float, answer: Answer) -> tuple[str, str]:
    if np.isnan(p_mw):
        return "", ""
    if p_mw <= answer.capacity_mw:
        return SERVED, ""
    if not answer.stops:
        return UNKNOWN, f"nothing binds up to {answer.capacity_mw:g} MW, more was not looked at"
    stop = answer.stops[0]
    reason = f"{stop.limit} at {stop.element}" if stop.element else stop.limit
    if any(low <= p_mw <= high for low, high in answer.ranges_mw):
        return AGAIN, reason
    return (PARTLY if answer.capacity_mw > 0 else REFUSED), reason
