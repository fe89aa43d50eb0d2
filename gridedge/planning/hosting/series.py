"""The limits that hold in every step of the net's own series: what each bus takes, and what stops it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import LimitSet
from gridedge.planning.hosting.bounds import KINDS, Base, Group, groups_of
from gridedge.planning.hosting.result import Answer, Stop
from gridedge.planning.hosting.search import COLLAPSE, Asked, Asking, Break, Look, Scan, Search

_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading", "step": "voltage step"}
_HELD_OUT = 4  # buses whose answer is solved by runpp again
_BLOCK = 4096  # steps of the net without a site that are solved at once
_STATES, _MVAR = 256, 0.1  # answers looked at together; what counts as beyond a reactive limit
_BEFORE_NOSE = 0.99  # at the nose itself a voltage follows the square root of what a solver leaves over


@dataclass(frozen=True)
class SeriesFound:
    """What the series answers.

    Parameters
    ----------
    answers : list of Answer
        One per bus of the trial.
    groups : list of Group
        What every element was held to.
    base : Base
        The net without a site.
    error_vm_pu : float
        Largest difference from ``runpp`` of the answers that it solved again. [pu]
    remarks : list of str
        What a reader must know.
    """

    answers: list[Answer]
    groups: list[Group]
    base: Base
    error_vm_pu: float
    remarks: list[str]

    def thermal(self, trial: Trial) -> str:
        """Say whether thermal limits are known."""
        if not any(s.kind == "loading" for g in self.groups for s in g.limits):
            return "not asked for"
        if not trial.real_ratings:
            return "not known"
        return "known" if trial.rating_known.all() else "partly known"


def in_every_step(trial: Trial, limits: LimitSet, no_worse: bool, tol_mw: float, max_mw: float | None) -> SeriesFound:
    """Find what each bus takes while the limits hold in all steps.

    Parameters
    ----------
    trial : Trial
        The net, its series and the buses.
    limits : LimitSet
        What must hold.
    no_worse : bool
        Whether an element that breaks a limit already is held to its own worst value instead.
    tol_mw : float
        How near to the break an answer is. [MW]
    max_mw : float, optional
        Highest size of interest. [MW]

    Raises
    ------
    RunError
        If an answer is not decided, or differs from ``runpp``.
    """
    parts = []
    for first in range(0, trial.steps, _BLOCK):  # a year at once would hold every intermediate of it
        steps = np.arange(first, min(first + _BLOCK, trial.steps))
        parts.append(trial.full(trial.states(0, np.zeros(steps.size), steps))[:2])
    base = Base(np.concatenate([vm for vm, _ in parts]), np.concatenate([loading for _, loading in parts]))
    groups, remarks = groups_of(trial, limits, base, no_worse)
    search = Search(trial, groups, base, tol_mw, max_mw)
    zero = search.look(0, np.zeros(1), search.every, settle=True)
    rows = search.together(_at(search, k, zero) for k in range(trial.rows.size))
    apart = _judge(trial, rows)
    slack = trial.at_slack()
    answers = []
    for k, bus in zip(trial.which, trial.buses, strict=True):
        row = rows[k]
        stops = [_told(trial, groups, one, bus, slack) for one in (row.binding, row.next) if one is not None]
        answers.append(Answer(row.capacity_mw, tuple(stops), tuple(row.ranges)))
    if any(s.kind == "step" for g in groups for s in g.limits):
        remarks.append("Voltage steps are lower bounds: sources hold their set-point, their own impedance is left out.")
    remarks += _unlimited(trial, rows)
    return SeriesFound(answers, groups, base, apart, remarks)


@dataclass(frozen=True)
class _Row:
    """What is found at one row of the solver."""

    capacity_mw: float
    binding: Break | None
    next: Break | None
    ranges: list[tuple[float, float]]


def _at(search: Search, k: int, zero: Look) -> Asking[_Row]:
    scan = Scan(search, k, zero)
    yield from scan.begin()
    first = yield from scan.first(None)
    if first is None:
        return _Row(float(scan.levels[-1]), None, None, [])
    good, bound, sure = yield from _break(search, scan, k, first, None, 0.0, None)
    behind = None
    if bound.group != COLLAPSE:
        after = yield from scan.first(bound.lifted, first)
        if after is not None:
            behind = (yield from _break(search, scan, k, after, bound.lifted, good, sure))[1]
    ranges = yield from _ranges(search, scan, k, first)
    return _Row(good, bound, behind, ranges)


def _break(
    search: Search, scan: Scan, k: int, i: int, lifted: Any, least_mw: float, at_least: Look | None
) -> Asking[tuple[float, Break, Look]]:
    """Ask for the size up to which limits hold below a broken level; return it, what breaks then, and all its steps.

    The size is ``least_mw`` at least, of which ``at_least`` are all steps where they are known already.
    """
    look = yield from scan.at(i)
    if i == 0:  # without a site already
        return 0.0, search.binding(0.0, 0.0, look, look, lifted), look
    good = max(float(scan.levels[i - 1]), least_mw)
    at = None
    if not good > least_mw:
        at = at_least if at_least is not None else (yield Asked(k, np.array([good]), search.every, True))
    if at is None or not at.broken(search.groups, lifted)[0]:
        good, over, sure, at = yield from search.refine(k, good, float(scan.levels[i]), look, lifted)
        return good, search.binding(good, over, sure, at, lifted), sure
    return good, search.binding(good, good, at, at, lifted), at


def _ranges(search: Search, scan: Scan, k: int, first: int) -> Asking[list[tuple[float, float]]]:
    """Ask for, and return, the later sizes at which all limits hold again, both ends refined."""
    found = []
    for start, stop in (yield from scan.later(first + 1)):
        look = yield from scan.at(start - 1)
        low = (yield from search.refine(k, float(scan.levels[start]), float(scan.levels[start - 1]), look, None))[0]
        high = float(scan.levels[stop])
        if stop + 1 < scan.levels.size and (yield from scan.broken(stop + 1, None)):
            look = yield from scan.at(stop + 1)
            high = (yield from search.refine(k, high, float(scan.levels[stop + 1]), look, None))[0]
        found.append((low, high))
    return found


def _judge(trial: Trial, answers: list[_Row]) -> float:
    """Solve some of the answers by ``runpp``; return the largest difference in voltage, in pu."""
    chosen = np.unique(np.linspace(0, len(answers) - 1, _HELD_OUT).astype(int))
    worst = 0.0
    for k in chosen.tolist():
        found = answers[k].binding
        step, p_mw = (0, answers[k].capacity_mw) if found is None else (found.step, answers[k].capacity_mw)
        if found is not None and found.group == COLLAPSE:
            p_mw *= _BEFORE_NOSE
        worst = max(worst, trial.apart_from_runpp(k, p_mw, step))
    return worst


def _unlimited(trial: Trial, rows: list[_Row]) -> list[str]:
    """Say how far units pass their reactive limits at the answers, where these are not enforced."""
    if trial.within is None:
        return []
    step = np.array([0 if row.binding is None else row.binding.step for row in rows], dtype=np.intp)
    p_mw = np.array([row.capacity_mw for row in rows])
    every = np.arange(len(rows), dtype=np.intp)
    before = trial.beyond_mvar(np.zeros(1, dtype=np.intp), np.zeros(1), np.zeros(1, dtype=np.intp))[0][:, 0]
    worst, states = np.zeros(before.size), 0
    for first in range(0, every.size, _STATES):
        here = every[first : first + _STATES]
        beyond, _ = trial.beyond_mvar(here, p_mw[here], step[here])
        states += int((beyond > before[:, None] + _MVAR).any(axis=0).sum())
        worst = np.maximum(worst, beyond.max(axis=1, initial=0.0))
    text = "Reactive limits of units are not enforced: "
    if not states:
        return [text + "no unit passes its own further than without a site."]
    out, units = trial.model.readout, trial.within.units
    at, beyond_buses = int(worst.argmax()), int((worst > before + _MVAR).sum())
    bus = int(out.bus_index[out.bus_row == units.bus_row[at]][0])
    return [
        f"{text}at {states} of {every.size} capacities units pass theirs further than without a site, "
        f"at {beyond_buses} buses in all, by up to {worst[at]:.0f} Mvar (bus {bus})."
    ]


def _told(trial: Trial, groups: list[Group], found: Break, bus: int, slack: Any) -> Stop:
    """Return a break in words."""
    time_s = float(trial.time_s[found.step])
    if found.group == COLLAPSE:
        if trial.within is not None:
            return Stop(found.p_mw, "supply: the headroom of the units, or the collapse", "supply", "", time_s)
        return Stop(found.p_mw, "collapse of the voltage", "collapse", f"bus {bus}", time_s)
    out, kind = trial.model.readout, KINDS[found.kind]
    if kind == "loading":
        source = groups[found.group].source(kind, out.element[found.element])
        where, near = out.labels[found.element], bool(slack[found.element])
    else:
        source = groups[found.group].source(kind, "")
        where, near = f"bus {out.bus_index[found.element]}", False
    return Stop(found.p_mw, f"{source.limit.name}: {_WORDS[kind]}", kind, where, time_s, at_slack=near)
