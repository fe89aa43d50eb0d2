"""The limits that hold after every outage: what each bus takes then, and which outage stops it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad, is_number
from gridedge.grid.engines.secured import Held
from gridedge.grid.trial import Float, Index, Trial
from gridedge.grid.trial_outages import Seen, Sites, TrialOutages
from gridedge.measure.limit_sets import GridLimit, LimitSet, LoadingLimit, VoltageLimit, load_limits
from gridedge.planning.hosting.bounds import KINDS, NO_WORSE_PERCENT, NO_WORSE_PU, NOISE, Base, Group, groups_of
from gridedge.planning.hosting.outage_list import read_outages
from gridedge.planning.hosting.result import Answer, CutOff, Stop

_FINE, _COARSE = (12, 4), (6, 2)  # levels up to the capacity of the whole net, and from there to its next limit
_LARGE = 2_000_000  # outages times rows of the solver from which on the coarse levels are taken
_LOOK_PU = 1e-6  # error of a voltage where levels only say where to look closer
_INSIDE = 16  # sizes tried at once between two
_ROUNDS = 20  # of refinement and confirmation before a bus is given up
_KEPT = 4_000_000  # margins of outages and states that are held at once
_HELD_OUT = 4  # answers that are solved by runpp again
_BEFORE_NOSE = 0.99
_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading"}
_TABLES = ("line", "trafo", "trafo3w", "impedance")

Lifted = tuple[int, int] | None


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


@dataclass(frozen=True)
class _Found:
    """What stops one row: sizes that keep and break it, and the outage, kind, element and step that do."""

    good: float
    bad: float
    outage: int
    kind: int
    element: int
    step: int

    @property
    def lifted(self) -> Lifted:
        return None if self.kind < 0 else (self.kind, self.element)


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
    held, more = _held(trial, group, emergency_percent, no_worse)
    search = _Search(outages, held, tol_mw)
    remarks += more + search.existing(no_worse)
    rows = [answers[int(np.flatnonzero(trial.which == k)[0])] for k in range(trial.rows.size)]
    found = search.all_rows(rows)
    apart = _judge(search, found)
    slack = trial.at_slack()
    stops = [
        [_told(search, group, one, bus, slack) for one in found[k]] for k, bus in zip(trial.which, trial.buses, strict=True)
    ]
    cut_off, by = _cut_off(outages)
    remarks += _said(search, cut_off)
    return OutagesFound(stops, cut_off, by, wanted, len(chosen), apart, remarks)


def limits_after(
    limits: LimitSet, emergency_percent: float | str | None, post_outage_vm_pu: Sequence[float] | None
) -> tuple[LimitSet, list[str]]:
    """Return what holds after an outage, and what has to be said about it.

    Parameters
    ----------
    limits : LimitSet
        What holds in the whole net.
    emergency_percent, post_outage_vm_pu
        As for :func:`after_every_outage`.

    Returns
    -------
    (LimitSet, list of str)
        Bands and loadings hold in every step: a mean or an allowance is for the whole net.  A limit of the step of
        voltage is about the site, not about an outage.
    """
    kept: list[GridLimit] = []
    said = []
    for limit in limits.limits:
        if isinstance(limit, VoltageLimit) and post_outage_vm_pu is not None:
            continue
        if isinstance(limit, LoadingLimit) and is_number(emergency_percent):
            continue
        if isinstance(limit, VoltageLimit | LoadingLimit):
            kept.append(limit.model_copy(update={"mean_s": None, "steps_allowed": None, "of_steps": None}))
            if limit.mean_s is not None or limit.steps_allowed is not None:
                said.append(f"{limit.name}: after an outage it holds in every step, means and allowances left out.")
    if post_outage_vm_pu is not None:
        band = [float(x) for x in post_outage_vm_pu]
        one = {"limit": "voltage", "name": "post-outage band", "vm_pu": band}
        kept += load_limits(one).limits
    if is_number(emergency_percent):
        two = {"limit": "loading", "name": "emergency rating", "loading_percent": float(emergency_percent)}  # type: ignore[arg-type]
        kept += load_limits(two).limits
    elif emergency_percent is None and any(isinstance(x, LoadingLimit) for x in kept):
        said.append("No emergency rating is given: after an outage the normal rating holds (assumed).")
    if post_outage_vm_pu is None and any(isinstance(x, VoltageLimit) for x in kept):
        said.append("No voltage band after an outage is given: that of the whole net holds (assumed).")
    return LimitSet(title="after an outage", limits=tuple(kept)), said


def check_outage_arguments(given: Any, emergency_percent: Any, post_outage_vm_pu: Any) -> bool:
    """Say whether outages are asked for; raise InputError where what belongs to them is given without, or is wrong."""
    if given is False or given is None:
        for name, value in (("emergency_percent", emergency_percent), ("post_outage_vm_pu", post_outage_vm_pu)):
            if value is not None:
                raise bad(f"{name} is about outages", repr(value), "Give n_minus_1=True, or leave it out.")
        return False
    if emergency_percent is not None and not isinstance(emergency_percent, str):
        if not is_number(emergency_percent) or emergency_percent <= 0:
            cure = "Give a percentage of the normal rating, such as 120, or a column of the net."
            raise bad("emergency_percent must be positive", repr(emergency_percent), cure)
    if post_outage_vm_pu is not None:
        pair = isinstance(post_outage_vm_pu, Sequence) and len(post_outage_vm_pu) == 2
        if not pair or not all(is_number(x) for x in post_outage_vm_pu):
            raise bad("post_outage_vm_pu is a band", repr(post_outage_vm_pu), "Give (0.90, 1.10).")
    return True


def _held(trial: Trial, group: Group | None, column: float | str | None, no_worse: bool) -> tuple[Held, list[str]]:
    """Return what every element is held to, the emergency ratings of the net's own column included."""
    out = trial.model.readout
    buses, branches = out.bus_index.size, len(out.labels)
    low, high, full = np.full(buses, -np.inf), np.full(buses, np.inf), np.full(branches, np.inf)
    if group is not None:
        low, high, full = group.bounds.low.copy(), group.bounds.high.copy(), group.bounds.full.copy()
    said = []
    if isinstance(column, str):
        tables = [t for t in _TABLES if len(trial.own[t]) and column in trial.own[t]]
        if not tables:
            known = sorted({str(c) for t in _TABLES if len(trial.own[t]) for c in trial.own[t].columns if "percent" in c})
            cure = f"Give a number, or write the column first. Columns in percent: {', '.join(known) or 'none'}."
            raise bad("no branch table has this column of emergency ratings", column, cure)
        missing = 0
        for k, (table, index) in enumerate(zip(out.element, out.index.tolist(), strict=True)):
            value = float(trial.own[table].at[index, column]) if table in tables else 0.0
            if not trial.rating_known[k]:
                continue
            if np.isfinite(value) and value > 0:
                full[k] = value
            else:
                missing += 1
        full[out.dead] = np.inf
        if missing:
            said.append(f"{missing} branches have no {column}: after an outage their normal rating holds (assumed).")
    return Held(low, high, full, no_worse, NO_WORSE_PU, NO_WORSE_PERCENT, NOISE), said


class _Search:
    """The search over outages, all rows of the trial together."""

    def __init__(self, outages: TrialOutages, held: Held, tol_mw: float):
        self.outages, self.held, self.tol_mw = outages, held, tol_mw
        self.trial = outages.trial
        self.steps = np.arange(self.trial.steps, dtype=np.intp)
        self.zero = outages.see(self._sites(0, np.empty(0)), held)
        work = len(outages.cases) * self.trial.model.v0.size
        self.levels = _COARSE if work >= _LARGE else _FINE

    def _sites(self, row: int, p_mw: Float) -> Sites:
        """Return the states (size, step) of some sizes at a row."""
        count = p_mw.size * self.steps.size
        return Sites(np.full(count, row, dtype=np.intp), np.repeat(p_mw, self.steps.size), np.tile(self.steps, p_mw.size))

    def existing(self, no_worse: bool) -> list[str]:
        """Say which outages break a limit without any site."""
        broken = (self.zero.zero[:, :3] < -NOISE).any(axis=(1, 2))
        said = []
        if broken.any():
            a = int(np.flatnonzero(broken)[0])
            worst = self.zero.zero[:, 2].min(axis=1)
            which = int(worst.argmin()) if worst.min() < -NOISE else a
            how = "each element is held to its own value in that outage" if no_worse else "so every capacity is 0"
            text = f"{int(broken.sum())} of {len(self.outages.cases)} outages break a limit without a site, {how}; the worst"
            if worst.min() < -NOISE:
                branch = int(self.zero.zero_where[which, 2, int(self.zero.zero[which, 2].argmin())])
                over = float(self.held.full[branch] - worst[which])
                text += f" loading is {over:.0f} % at {self.trial.model.readout.labels[branch]}"
            said.append(f"{text} in {self.outages.labels[int(self.zero.which[which])]}.")
        lost = self.outages.unsolvable
        if lost:
            names = ", ".join(self.outages.labels[c] for c in list(lost)[:5])
            said.append(f"{len(lost)} outages have no solution without a site either, and are left out: {names}.")
        return said

    def all_rows(self, answers: Sequence[Answer]) -> list[list[_Found]]:
        """Return what stops every row, and what would stop it next."""
        already = self._without_site()
        count, steps = sum(self.levels), self.steps.size
        together = max(1, _KEPT // (len(self.outages.cases) * count * steps))
        found: list[list[_Found]] = []
        for first in range(0, len(answers), together):
            found += self._rows(range(first, min(first + together, len(answers))), answers, already)
        return found

    def _without_site(self) -> _Found | None:
        """Return what an outage breaks without a site, where that counts."""
        if self.held.loosen:
            return None
        room = self.zero.zero[:, :3]
        if not room.size or not (room < -NOISE).any():
            return None
        relative = room / np.array([0.01, 0.01, 1.0])[None, :, None]  # a percent of voltage as one of loading
        a, kind, t = np.unravel_index(int(relative.argmin()), room.shape)
        return _Found(0.0, 0.0, int(self.zero.which[a]), int(kind), int(self.zero.zero_where[a, kind, t]), int(t))

    def _rows(self, rows: range, answers: Sequence[Answer], already: _Found | None) -> list[list[_Found]]:
        sizes = [self._sizes(answers[k]) for k in rows]
        parts = [self._sites(k, p) for k, p in zip(rows, sizes, strict=True)]
        every = Sites(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("row", "p_mw", "step")))
        seen = self.outages.see(every, self.held, error_pu=_LOOK_PU)
        ends = np.cumsum([0, *(p.p_mw.size for p in parts)])
        looks = [
            _Look(self, _cut(seen, slice(int(a), int(b))), part, p)
            for a, b, part, p in zip(ends[:-1], ends[1:], parts, sizes, strict=True)
        ]
        breaks: list[tuple[float, float, Index] | None] = []
        for k, look in zip(rows, looks, strict=True):
            breaks.append(None if already is not None else self._first(k, look, None, 0, 0.0))
        if already is None:
            self._confirm(rows, looks, breaks, answers)
        found = []
        for i, (k, look) in enumerate(zip(rows, looks, strict=True)):
            one = breaks[i]
            if already is not None:
                found.append([already])
                continue
            if one is None:
                found.append([])
                continue
            bound = self._binding(k, *one, None)
            mine = [bound]
            if bound.lifted is not None:
                start = int(np.searchsorted(look.sizes, bound.bad - 1e-12))
                behind = self._first(k, look, bound.lifted, start, bound.good)
                if behind is not None:
                    mine.append(self._binding(k, *behind, bound.lifted))
            found.append(mine)
        return found

    def _sizes(self, answer: Answer) -> Float:
        cap, (below, beyond) = answer.capacity_mw, self.levels
        sizes = np.linspace(0.0, cap, below + 1)[1:] if cap > 0 else np.empty(0)
        top = answer.stops[1].p_mw if len(answer.stops) > 1 else cap
        if top > cap + self.tol_mw:
            sizes = np.r_[sizes, np.linspace(cap, top, beyond + 1)[1:]]
        return sizes

    def _first(
        self, k: int, look: _Look, lifted: Lifted, start: int, least_mw: float
    ) -> tuple[float, float, Index] | None:
        """Return the first break from a level on: sizes that keep and break it, and the outages that do."""
        for j in range(start, look.sizes.size):
            if look.sizes[j] <= least_mw or not look.broken(j, lifted):
                continue
            good = max(float(look.sizes[j - 1]) if j else 0.0, least_mw)
            refined = self._refine(k, good, float(look.sizes[j]), look.breaking(j, lifted), lifted)
            if refined is not None:
                return refined
        return None

    def _refine(
        self, k: int, good: float, bad_mw: float, which: Index, lifted: Lifted
    ) -> tuple[float, float, Index] | None:
        """Narrow the sizes between which some outages break a limit; None where they break none."""
        sure = False
        while bad_mw - good > self.tol_mw or not sure:
            sizes = np.linspace(good, bad_mw, _INSIDE + 1)[1:]
            sites = self._sites(k, sizes)
            look = _Look(self, self.outages.see(sites, self.held, which), sites, sizes)
            first = next((j for j in range(sizes.size) if look.broken(j, lifted)), None)
            if first is None:
                return None
            which = look.breaking(first, lifted)
            good, bad_mw, sure = good if first == 0 else float(sizes[first - 1]), float(sizes[first]), True
        return good, bad_mw, which

    def _confirm(
        self, rows: range, looks: list[_Look], breaks: list[tuple[float, float, Index] | None], answers: Sequence[Answer]
    ) -> None:
        """Solve every answer with all outages; where another breaks earlier, look for that."""
        open_rows = [i for i, k in enumerate(rows) if answers[k].capacity_mw > 0]
        for _ in range(_ROUNDS):
            if not open_rows:
                return
            mine = []
            for i in open_rows:
                one = breaks[i]
                size = answers[rows[i]].capacity_mw if one is None else one[0]
                mine.append(min(size, answers[rows[i]].capacity_mw))
            parts = [self._sites(rows[i], np.array([p])) for i, p in zip(open_rows, mine, strict=True)]
            every = Sites(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("row", "p_mw", "step")))
            seen = self.outages.see(every, self.held)
            again = []
            for n, (i, p) in enumerate(zip(open_rows, mine, strict=True)):
                span = slice(n * self.steps.size, (n + 1) * self.steps.size)
                look = _Look(self, _cut(seen, span), parts[n], np.array([p]))
                if p <= 0 or not look.broken(0, None):
                    continue
                below = looks[i].sizes[looks[i].sizes < p - self.tol_mw]
                start = float(below[-1]) if below.size else 0.0
                refined = self._refine(rows[i], start, p, look.breaking(0, None), None)
                if refined is None:
                    raise RunError(f"The capacity of bus {self._bus(rows[i])} under outages is not decided near {p:.6g} MW.")
                breaks[i] = refined
                again.append(i)
            open_rows = again
        raise RunError("The capacities under outages are not decided: choose a larger tol_mw.")

    def _bus(self, row: int) -> int:
        return self.trial.buses[int(np.flatnonzero(self.trial.which == row)[0])]

    def _binding(self, k: int, good: float, bad_mw: float, which: Index, lifted: Lifted) -> _Found:
        """Return what breaks first between two sizes."""
        sites = self._sites(k, np.array([good, bad_mw]))
        look = _Look(self, self.outages.see(sites, self.held, which), sites, np.array([good, bad_mw]))
        for j in (0, 1):
            look.settle(j, all_of_them=True)
        before, _ = look.rooms(0, lifted)
        after, where = look.rooms(1, lifted)
        best: tuple[float, _Found] | None = None
        for a, kind, t in np.argwhere((after < -NOISE) & look.solved(1)[:, None, :]).tolist():
            start = max(float(before[a, kind, t]), 0.0)
            share = start / (start - float(after[a, kind, t]))
            if best is None or share < best[0]:
                number = int(look.seen.which[a])
                best = share, _Found(good, bad_mw, number, kind, int(where[a, kind, t]), t)
        if best is not None:
            return best[1]
        a, t = np.argwhere(~look.solved(1))[0].tolist()
        return _Found(good, bad_mw, int(look.seen.which[a]), -1, -1, t)


class _Look:
    """Some sizes at one row, in some outages and all steps."""

    def __init__(self, search: _Search, seen: Seen, sites: Sites, sizes: Float):
        self.search, self.seen, self.sites, self.sizes = search, seen, sites, sizes
        self.steps = search.steps.size
        self._final: set[int] = set()

    def _at(self, j: int) -> slice:
        return slice(j * self.steps, (j + 1) * self.steps)

    def solved(self, j: int) -> NDArray[np.bool_]:
        """Return which (outage, step) have a solution at a size."""
        return self.seen.solved[:, self._at(j)]

    def rooms(self, j: int, lifted: Lifted) -> tuple[Float, NDArray[np.int32]]:
        """Return margins and whose they are (outage, kind, step) at a size; a lifted limit is left out."""
        margin, where = self.seen.margin[:, :, self._at(j)], self.seen.where[:, :, self._at(j)]
        room, whose = margin[:, :3].copy(), where[:, :3].copy()
        if lifted is not None:
            kind, element = lifted
            if KINDS[kind] == "loading":
                mine = where[:, 2] == element
                room[:, 2] = np.where(mine, margin[:, 3], room[:, 2])
                whose[:, 2] = np.where(mine, where[:, 3], whose[:, 2])
            else:
                room[:, kind] = np.inf
        return room, whose

    def _over(self, j: int, lifted: Lifted) -> NDArray[np.bool_]:
        room, _ = self.rooms(j, lifted)
        return np.asarray(((room < -NOISE).any(axis=1) & self.solved(j)).any(axis=1))

    def broken(self, j: int, lifted: Lifted) -> bool:
        """Say whether a limit breaks at a size, or an outage has no solution there."""
        if self._over(j, lifted).any():
            return True
        self.settle(j)
        return bool(self._over(j, lifted).any() or not self.solved(j).all())

    def settle(self, j: int, *, all_of_them: bool = False) -> None:
        """Solve exactly what did not contract; one that has no solution is enough to know."""
        if j in self._final:
            return
        outages, held = self.search.outages, self.search.held
        for a, t in np.argwhere(~self.solved(j)).tolist():
            state = j * self.steps + t
            if not outages.settle(self.seen, a, state, self.sites, held) and not all_of_them:
                break
        self._final.add(j)

    def breaking(self, j: int, lifted: Lifted) -> Index:
        """Return the outages that break a limit at a size, or are not known to have a solution."""
        return np.asarray(self.seen.which[self._over(j, lifted) | ~self.solved(j).all(axis=1)], dtype=np.intp)


def _cut(seen: Seen, states: slice) -> Seen:
    """Return some states of what was seen."""
    return Seen(
        seen.which, seen.margin[:, :, states], seen.where[:, :, states], seen.solved[:, states],
        seen.zero, seen.zero_where, seen.zero_solved,
    )  # fmt: skip


def _judge(search: _Search, found: list[list[_Found]]) -> float:
    """Solve some of the answers by ``runpp``; return the largest difference in voltage, in pu."""
    bound = [(k, one[0]) for k, one in enumerate(found) if one]
    worst = 0.0
    for i in np.unique(np.linspace(0, len(bound) - 1, _HELD_OUT).astype(int)).tolist() if bound else []:
        k, one = bound[i]
        p_mw = one.good * (_BEFORE_NOSE if one.kind < 0 else 1.0)
        site = Sites(np.array([k]), np.array([p_mw]), np.array([one.step]))
        worst = max(worst, search.outages.apart_from_runpp(one.outage, site, search.held))
    return worst


def _told(search: _Search, group: Group | None, found: _Found, bus: int, slack: Any) -> Stop:
    """Return a break in words."""
    trial, outage = search.trial, search.outages.labels[found.outage]
    time_s = float(trial.time_s[found.step])
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


def _said(search: _Search, cut_off: tuple[CutOff, ...]) -> list[str]:
    below, beyond = search.levels
    said = [
        f"Outages: {len(search.outages.cases)} looked at; before an outage the site is supplied as stated, what an outage "
        f"changes is for the reference. {below} levels up to the capacity of the whole net, {beyond} beyond."
    ]
    if cut_off:
        most = max(cut_off, key=lambda c: c.lost_mw)
        said.append(
            f"{len(cut_off)} outages cut buses off: lost supply, no broken limit; the most is {most.lost_mw:.1f} MW "
            f"by {most.outage}."
        )
    return said
