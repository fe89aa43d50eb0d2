"""The limits that hold after every outage: what each bus takes then, and which outage stops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gridedge.grid.outage_states import Sites
from gridedge.grid.trial import Trial
from gridedge.grid.trial_outages import TrialOutages
from gridedge.measure.limit_sets import LimitSet
from gridedge.planning.hosting.bounds import KINDS, Base, Group, groups_of
from gridedge.planning.hosting.outage_limits import held_after, limits_after
from gridedge.planning.hosting.outage_list import read_outages
from gridedge.planning.hosting.outage_search import SUPPLY, Found, OutageSearch
from gridedge.planning.hosting.result import Answer, CutOff, Stop

_HELD_OUT = 4  # answers that are solved by runpp again
_BEFORE_NOSE = 0.99  # at the nose itself a voltage follows the square root of what a solver leaves over
_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading"}


@dataclass(frozen=True)
class OutagesFound:
    """What outages add to the answers.

    Parameters
    ----------
    stops : list of list of Stop
        Per bus: what stops it, and what would stop it next.
    cut_off : tuple of CutOff
        Outages that leave buses without supply.
    cut_off_by : list of str
        Per bus, the outages that leave it without supply.
    limits : LimitSet
        What holds after an outage.
    count : int
        How many outages were looked at.
    error_vm_pu : float
        Largest difference from ``runpp`` of the answers that it solved again. [pu]
    remarks : list of str
        What a reader must know.
    """

    stops: list[list[Stop]]
    cut_off: tuple[CutOff, ...]
    cut_off_by: list[str]
    limits: LimitSet
    count: int
    error_vm_pu: float
    remarks: list[str]


def after_every_outage(
    trial: Trial,
    given: Any,
    limits: LimitSet,
    answers: Sequence[Answer],
    *,
    no_worse: bool,
    tol_mw: float,
    emergency_percent: float | str | None,
    post_outage_vm_pu: Sequence[float] | None,
) -> OutagesFound:
    """Find what each bus takes while the limits hold after every outage.

    Parameters
    ----------
    trial : Trial
        The net, its series and the buses.
    given : True, "substation", list or file
        The outages; see :func:`gridedge.planning.hosting.outage_list.read_outages`.
    limits : LimitSet
        What holds in the whole net.
    answers : sequence of Answer
        What each bus takes there; nothing above it is looked at, but for the next limit.
    no_worse : bool
        Whether an element that breaks a limit in an outage without the site is held to its own value in that outage.
    tol_mw : float
        How near to the break an answer is. [MW]
    emergency_percent : float or str, optional
        Highest loading after an outage, of the normal rating; or the column of the branch tables that holds it. [%]
    post_outage_vm_pu : (float, float), optional
        Voltage band after an outage. [pu]

    Raises
    ------
    InputError
        If an outage is unknown, or a limit cannot be used.
    RunError
        If an answer is not decided, or differs from ``runpp``.
    """
    chosen = read_outages(trial, given)
    wanted, remarks = limits_after(limits, emergency_percent, post_outage_vm_pu)
    outages = TrialOutages(trial, chosen)
    base = Base(np.empty((0, 0)), np.empty((0, 0)))
    groups, _ = groups_of(trial, wanted, base, no_worse=False)
    group = groups[0] if groups else None
    held, more = held_after(trial, group, emergency_percent, no_worse)
    search = OutageSearch(outages, held, tol_mw)
    remarks += more + search.existing(no_worse)
    rows = [answers[int(np.flatnonzero(trial.which == k)[0])] for k in range(trial.rows.size)]
    found = search.all_rows(rows)
    apart = _judge(search, found)
    slack = trial.at_slack()
    stops = [
        [_told(search, group, one, bus, slack) for one in found[k]]
        for k, bus in zip(trial.which, trial.buses, strict=True)
    ]
    cut_off, by = _cut_off(outages)
    remarks += _said(search, cut_off)
    return OutagesFound(stops, cut_off, by, wanted, len(chosen), apart, remarks)


def _judge(search: OutageSearch, found: list[list[Found]]) -> float:
    """Solve some of the answers by ``runpp``; return the largest difference in voltage, in pu."""
    bound = [(k, one[0]) for k, one in enumerate(found) if one]
    worst = 0.0
    for i in np.unique(np.linspace(0, len(bound) - 1, _HELD_OUT).astype(int)).tolist() if bound else []:
        k, one = bound[i]
        p_mw = one.good * (_BEFORE_NOSE if one.kind < 0 else 1.0)
        site = Sites(np.array([k]), np.array([p_mw]), np.array([one.step]))
        worst = max(worst, search.outages.apart_from_runpp(one.outage, site, search.held))
    return worst


def _told(search: OutageSearch, group: Group | None, found: Found, bus: int, slack: Any) -> Stop:
    """Return a break in words."""
    trial, outage = search.trial, search.outages.labels[found.outage]
    time_s = float(trial.time_s[found.step])
    if found.kind == SUPPLY:
        return Stop(found.good, "supply: the headroom of the units that remain", "supply", "", time_s, outage)
    if found.kind < 0:
        return Stop(found.good, "collapse of the voltage", "collapse", f"bus {bus}", time_s, outage)
    out, kind = trial.model.readout, KINDS[found.kind]
    if kind == "loading":
        table = out.element[found.element]
        known = group is not None and any(s.kind == kind and s.element == table for s in group.limits)
        name = group.source(kind, table).limit.name if known and group is not None else "emergency rating"
        where, near = out.labels[found.element], bool(slack[found.element])
    else:
        assert group is not None  # a voltage is held by a limit only
        name, where, near = group.source(kind, "").limit.name, f"bus {out.bus_index[found.element]}", False
    return Stop(found.good, f"{name}: {_WORDS[kind]}", kind, where, time_s, outage, near)


def _cut_off(outages: TrialOutages) -> tuple[tuple[CutOff, ...], list[str]]:
    lost = outages.lost_mw()
    trial = outages.trial
    cut, names = [], [list[str]() for _ in trial.rows]
    for c, change in enumerate(outages.changes):
        if change.dark.size:
            buses = tuple(int(b) for b in outages.dark_buses(c))
            if buses:
                cut.append(CutOff(outages.labels[c], buses, float(lost[c])))
            for row in np.flatnonzero(np.isin(trial.rows, change.dark)).tolist():
                names[row].append(outages.labels[c])
    return tuple(cut), [", ".join(names[k]) for k in trial.which]


def _said(search: OutageSearch, cut_off: tuple[CutOff, ...]) -> list[str]:
    below, beyond = search.levels
    shared = search.trial.within is not None
    who = "shared by the units that remain, in proportion to their headroom" if shared else "for the reference"
    said = [
        f"Outages: {len(search.outages.cases)} looked at; what an outage changes is {who}. "
        f"{below} levels up to the capacity of the whole net, {beyond} beyond."
    ]
    if cut_off:
        most = max(cut_off, key=lambda c: c.lost_mw)
        said.append(
            f"{len(cut_off)} outages cut buses off: lost supply, no broken limit; the most is {most.lost_mw:.1f} MW "
            f"by {most.outage}."
        )
    return said
