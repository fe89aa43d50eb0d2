"""The whole curve of a bus: how near each kind of limit is at every size."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr

from gridedge.grid.trial import Trial
from gridedge.planning.hosting.bounds import Base, Group
from gridedge.planning.hosting.losses import Held
from gridedge.planning.hosting.result import Answer
from gridedge.planning.hosting.rooms import ALL_KINDS, UNITS, rooms_at
from gridedge.planning.hosting.waveform import AtHours

LEVELS = 24
"""Sizes of a curve between zero and its end; the capacity itself is one more."""
_BEYOND = 1.25  # how far a curve goes behind the last limit known


def add_curve(
    ds: xr.Dataset, trial: Trial, groups: list[Group], held: list[Held], base: Base, answers: Sequence[Answer]
) -> None:
    """Add to the answers how near each limit is at sizes from zero to behind the limits.

    Parameters
    ----------
    ds : Dataset
        As of :class:`gridedge.planning.hosting.result.HostingResult`; changed in place.  It receives, per ``(bus,
        level)``: ``curve_mw`` [MW]; of each kind of limit that holds, ``room_low_pu``, ``room_high_pu``,
        ``room_step_pu`` [pu], ``room_loading_percent`` [% of the rating] and ``room_losses_mw`` [MW], positive while it
        holds; ``worst_low``, ... the bus or branch, and ``worst_low_time_s``, ... the step that has it [s];
        and ``curve_unsolved``, the number of steps without solution, of which no room is known.
    trial, groups, held, base
        What was searched.
    answers : sequence of Answer
        One per bus: where the curves end, 1.25 times the last limit known, or the capacity where nothing binds.
    """
    shape = (len(answers), LEVELS + 1)
    sizes = np.zeros(shape)
    room = np.full((len(ALL_KINDS), *shape), np.nan)
    time_s = np.full(room.shape, np.nan)
    worst = np.full(room.shape, "", dtype=object)
    unsolved = np.zeros(shape, dtype=int)
    done: dict[tuple[int, float], int] = {}
    for i, (k, answer) in enumerate(zip(trial.which.tolist(), answers, strict=True)):
        last = max([answer.capacity_mw, *(s.p_mw for s in answer.stops)])
        top = _BEYOND * last if answer.stops else last
        top = top if top > 0 else 1.0  # a bus that takes nothing shows its first megawatt
        sizes[i] = np.sort(np.r_[np.linspace(0.0, top, LEVELS), answer.capacity_mw])
        twin = done.setdefault((k, answer.capacity_mw), i)
        if twin != i:  # buses behind closed switches are one
            for table in (room, time_s, worst):
                table[:, i] = table[:, twin]
            unsolved[i] = unsolved[twin]
            continue
        for j, p_mw in enumerate(sizes[i]):
            found = rooms_at(trial, groups, held, base, k, float(p_mw))
            unsolved[i, j] = found.unsolved
            if found.unsolved:
                continue
            known = np.isfinite(found.room)
            room[known, i, j] = found.room[known]
            time_s[known, i, j] = trial.time_s[found.step[known]]
            worst[known, i, j] = np.array(found.element, dtype=object)[known]
    ds["curve_mw"] = (("bus", "level"), sizes, {"units": "MW"})
    ds["curve_unsolved"] = (("bus", "level"), unsolved, {"units": "1"})
    for n, kind in enumerate(ALL_KINDS):
        if np.isnan(room[n]).all():
            continue
        name = room_name(kind)
        ds[name] = (("bus", "level"), room[n], {"units": UNITS[kind], "long_name": f"room to the limit, {kind}"})
        ds[f"worst_{kind}"] = (("bus", "level"), worst[n].astype(str))
        ds[f"worst_{kind}_time_s"] = (("bus", "level"), time_s[n], {"units": "s"})


def add_step_curve(ds: xr.Dataset, within: AtHours) -> None:
    """Add the room to limits of voltage steps behind EMFs, which are judged at stated hours and not in every step.

    Parameters
    ----------
    ds : Dataset
        With ``curve_mw``; changed in place.  It receives ``room_step_pu`` [pu], ``worst_step`` and
        ``worst_step_time_s`` [s] as in :func:`add_curve`; without a room where a state has no solution.
    within : AtHours
        The hours, their swings, and the limits.
    """
    if not within.steps:
        return
    sizes = ds["curve_mw"].values
    limit_pu = min(limit.voltage_step_percent for limit in within.steps) / 100.0
    room, time_s = np.full(sizes.shape, np.nan), np.full(sizes.shape, np.nan)
    worst = np.full(sizes.shape, "", dtype=object)
    index = within.trial.model.readout.bus_index
    for (i, j), p_mw in np.ndenumerate(sizes):
        found = [swing.step_pu(int(within.trial.which[i]), float(p_mw)) for swing in within.swings]
        n = int(np.argmax([change for change, _ in found]))
        change_pu, at = found[n]
        if np.isfinite(change_pu):
            room[i, j], worst[i, j] = limit_pu - change_pu, f"bus {index[at]}"
            time_s[i, j] = within.trial.time_s[within.chosen[n]]
    words = {"units": "pu", "long_name": "room to the limit, step"}
    ds[room_name("step")] = (("bus", "level"), room, words)
    ds["worst_step"] = (("bus", "level"), worst.astype(str))
    ds["worst_step_time_s"] = (("bus", "level"), time_s, {"units": "s"})


def room_name(kind: str) -> str:
    """Return the variable that holds the room to a kind of limit, its unit in its name."""
    return f"room_{kind}_" + {"pu": "pu", "%": "percent", "MW": "mw"}[UNITS[kind]]
