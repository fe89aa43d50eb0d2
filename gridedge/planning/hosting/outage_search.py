"""The search for the first outage that breaks a limit: levels with all outages, then ever finer on those that decide.

What is found is confirmed with all outages; where another breaks earlier, the search goes on with that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError
from gridedge.grid.engines.secured import Held
from gridedge.grid.outage_states import Sites
from gridedge.grid.trial import Float, Index
from gridedge.grid.trial_outages import Seen, TrialOutages
from gridedge.planning.hosting.bounds import KINDS, NOISE
from gridedge.planning.hosting.result import Answer

_FINE, _COARSE = (12, 4), (6, 2)  # levels up to the capacity of the whole net, and from there to its next limit
_LARGE = 2_000_000  # outages times rows of the solver from which on the coarse levels are taken
_LOOK_PU = 1e-6  # error of a voltage where levels only say where to look closer
_INSIDE = 16  # sizes tried at once between two
_ROUNDS = 20  # of refinement and confirmation before a bus is given up
COLLAPSE, SUPPLY = -1, -2  # kinds of a break without an element
_KEPT = 4_000_000  # margins of outages and states that are held at once

Lifted = tuple[int, int] | None
Narrow = tuple[float, float, Index]


@dataclass(frozen=True)
class Found:
    """What stops one row: sizes that keep and break it, and the outage, kind, element and step that do.

    The kind is that of ``bounds.KINDS``, or ``COLLAPSE``, or ``SUPPLY``.
    """

    good: float
    bad: float
    outage: int
    kind: int
    element: int
    step: int

    @property
    def lifted(self) -> Lifted:
        """What to leave out in order to see the next one; None behind a collapse or what cannot be supplied."""
        return None if self.kind < 0 else (self.kind, self.element)


class OutageSearch:
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
        return Sites(
            np.full(count, row, dtype=np.intp), np.repeat(p_mw, self.steps.size), np.tile(self.steps, p_mw.size)
        )

    def existing(self, no_worse: bool) -> list[str]:
        """Say which outages break a limit without any site."""
        broken = (self.zero.zero[:, :3] < -NOISE).any(axis=(1, 2))
        said = []
        if broken.any():
            a = int(np.flatnonzero(broken)[0])
            worst = self.zero.zero[:, 2].min(axis=1)
            which = int(worst.argmin()) if worst.min() < -NOISE else a
            how = "each element is held to its own value in that outage" if no_worse else "so every capacity is 0"
            text = f"{int(broken.sum())} of {len(self.outages.cases)} outages break a limit without a site, {how}; "
            text += "the worst"
            if worst.min() < -NOISE:
                branch = int(self.zero.zero_where[which, 2, int(self.zero.zero[which, 2].argmin())])
                over = float(self.held.full[branch] - worst[which])
                text += f" loading is {over:.0f} % at {self.trial.model.readout.labels[branch]}"
            said.append(f"{text} in {self.outages.labels[int(self.zero.which[which])]}.")
        lost = self.outages.unsolvable
        short = self.outages.unsupplied
        for what, mine in (
            ("have no solution without a site either", [c for c in lost if c not in short]),
            ("take more than the remaining units can deliver, without a site either", [c for c in lost if c in short]),
        ):
            if mine:
                names = ", ".join(self.outages.labels[c] for c in mine[:5])
                said.append(f"{len(mine)} of {len(self.outages.cases)} outages {what}, and are left out: {names}.")
        return said

    def all_rows(self, answers: Sequence[Answer]) -> list[list[Found]]:
        """Return what stops every row, and what would stop it next."""
        already = self._without_site()
        count, steps = sum(self.levels), self.steps.size
        together = max(1, _KEPT // (len(self.outages.cases) * count * steps))
        found: list[list[Found]] = []
        for first in range(0, len(answers), together):
            found += self._rows(range(first, min(first + together, len(answers))), answers, already)
        return found

    def _without_site(self) -> Found | None:
        """Return what an outage breaks without a site, where that counts."""
        if self.held.loosen:
            return None
        room = self.zero.zero[:, :3]
        if not room.size or not (room < -NOISE).any():
            return None
        relative = room / np.array([0.01, 0.01, 1.0])[None, :, None]  # a percent of voltage as one of loading
        a, kind, t = np.unravel_index(int(relative.argmin()), room.shape)
        return Found(0.0, 0.0, int(self.zero.which[a]), int(kind), int(self.zero.zero_where[a, kind, t]), int(t))

    def _rows(self, rows: range, answers: Sequence[Answer], already: Found | None) -> list[list[Found]]:
        sizes = [self._sizes(answers[k]) for k in rows]
        parts = [self._sites(k, p) for k, p in zip(rows, sizes, strict=True)]
        every = Sites(*(np.concatenate([getattr(p, n) for p in parts]) for n in ("row", "p_mw", "step")))
        seen = self.outages.see(every, self.held, error_pu=_LOOK_PU)
        ends = np.cumsum([0, *(p.p_mw.size for p in parts)])
        looks = [
            Look(self, _cut(seen, slice(int(a), int(b))), part, p)
            for a, b, part, p in zip(ends[:-1], ends[1:], parts, sizes, strict=True)
        ]
        breaks: list[Narrow | None] = []
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

    def _first(self, k: int, look: Look, lifted: Lifted, start: int, least_mw: float) -> Narrow | None:
        """Return the first break from a level on: sizes that keep and break it, and the outages that do."""
        for j in range(start, look.sizes.size):
            if look.sizes[j] <= least_mw or not look.broken(j, lifted):
                continue
            good = max(float(look.sizes[j - 1]) if j else 0.0, least_mw)
            refined = self._refine(k, good, float(look.sizes[j]), look.breaking(j, lifted), lifted)
            if refined is not None:
                return refined
        return None

    def _refine(self, k: int, good: float, bad_mw: float, which: Index, lifted: Lifted) -> Narrow | None:
        """Narrow the sizes between which some outages break a limit; None where they break none."""
        sure = False
        while bad_mw - good > self.tol_mw or not sure:
            sizes = np.linspace(good, bad_mw, _INSIDE + 1)[1:]
            sites = self._sites(k, sizes)
            look = Look(self, self.outages.see(sites, self.held, which), sites, sizes)
            first = next((j for j in range(sizes.size) if look.broken(j, lifted)), None)
            if first is None:
                return None
            which = look.breaking(first, lifted)
            good, bad_mw, sure = good if first == 0 else float(sizes[first - 1]), float(sizes[first]), True
        return good, bad_mw, which

    def _confirm(
        self,
        rows: range,
        looks: list[Look],
        breaks: list[tuple[float, float, Index] | None],
        answers: Sequence[Answer],
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
                look = Look(self, _cut(seen, span), parts[n], np.array([p]))
                if p <= 0 or not look.broken(0, None):
                    continue
                below = looks[i].sizes[looks[i].sizes < p - self.tol_mw]
                start = float(below[-1]) if below.size else 0.0
                refined = self._refine(rows[i], start, p, look.breaking(0, None), None)
                if refined is None:
                    raise RunError(
                        f"The capacity of bus {self._bus(rows[i])} under outages is not decided near {p:.6g} MW."
                    )
                breaks[i] = refined
                again.append(i)
            open_rows = again
        raise RunError("The capacities under outages are not decided: choose a larger tol_mw.")

    def _bus(self, row: int) -> int:
        return int(self.trial.buses[int(np.flatnonzero(self.trial.which == row)[0])])

    def _binding(self, k: int, good: float, bad_mw: float, which: Index, lifted: Lifted) -> Found:
        """Return what breaks first between two sizes."""
        sites = self._sites(k, np.array([good, bad_mw]))
        look = Look(self, self.outages.see(sites, self.held, which), sites, np.array([good, bad_mw]))
        for j in (0, 1):
            look.settle(j, all_of_them=True)
        before, _ = look.rooms(0, lifted)
        after, where = look.rooms(1, lifted)
        best: tuple[float, Found] | None = None
        for a, kind, t in np.argwhere((after < -NOISE) & look.solved(1)[:, None, :]).tolist():
            start = max(float(before[a, kind, t]), 0.0)
            share = start / (start - float(after[a, kind, t]))
            if best is None or share < best[0]:
                number = int(look.seen.which[a])
                best = share, Found(good, bad_mw, number, kind, int(where[a, kind, t]), t)
        if best is not None:
            return best[1]
        a, t = np.argwhere(~look.solved(1))[0].tolist()
        outage = int(look.seen.which[a])
        short = self.outages.one.lacks_supply(outage, Sites(np.array([k]), np.array([bad_mw]), np.array([t])))
        return Found(good, bad_mw, outage, SUPPLY if short else COLLAPSE, -1, t)


class Look:
    """Some sizes at one row, in some outages and all steps."""

    def __init__(self, search: OutageSearch, seen: Seen, sites: Sites, sizes: Float):
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
