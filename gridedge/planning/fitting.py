"""Many sites on one net at once: what single buses take, and which of a row of sites no longer fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.inject import Background
from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import Given, load_limits
from gridedge.planning.hosting.bounds import KINDS, NOISE, Base, groups_of

Float = NDArray[np.float64]
_STATES = 512  # states side by side: some tens of MB of a net of 2000 buses
_LEVELS = 12  # sizes between 0 and the largest, then twice more between the two that enclose the break
_ROUNDS = 3
_WORDS = {"low": "lowest voltage", "high": "highest voltage", "loading": "loading", "step": "voltage step"}


@dataclass(frozen=True)
class Breach:
    """What a set of sites breaks.

    Parameters
    ----------
    element : str
        Branch (``line:12``) or bus; empty where there is no solution.
    kind : str
        ``loading``, ``low``, ``high``, ``step``, or ``supply`` where there is no solution.
    beyond : float
        How far beyond its limit. [% or pu]
    """

    element: str
    kind: str
    beyond: float

    def __str__(self) -> str:
        if self.kind == "supply":
            return "no solution: the units' headroom is used up, or the voltage collapses"
        unit = "%" if self.kind == "loading" else "pu"
        return f"{_WORDS[self.kind]} of {self.element} {self.beyond:.3g} {unit} beyond its limit"


class Together:
    """A net on which any number of sites draws at once.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : sequence of int
        Where sites may stand.
    power_factor : float
        Of every site at the meter: lagging, or leading where negative.
    limits, existing, background, supply
        As for :func:`gridedge.hosting_capacity`.  A background's steps must all hold.
    """

    def __init__(
        self,
        net: Any,
        buses: Sequence[int],
        *,
        power_factor: float = 0.98,
        limits: Given = ("en50160", "ratings"),
        existing: Literal["absolute", "no_worse"] = "no_worse",
        background: Background = None,
        supply: Literal["auto", "slack", "headroom"] = "auto",
    ):
        if isinstance(power_factor, bool) or not 0 < abs(power_factor) <= 1:
            raise bad("a power factor must be above 0 and at most 1 in size", power_factor, "Give 0.98.")
        if existing not in ("absolute", "no_worse"):
            raise bad("unknown existing", str(existing), 'Give "absolute" or "no_worse".')
        q_per_p = float(np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor))
        self.trial = trial = Trial(net, list(buses), q_per_p, background, None, supply)
        self.q_per_p = q_per_p
        none = np.zeros((1, trial.rows.size))
        vm, loading, solved = trial.full(self._states(none))
        if not solved.all():
            raise RunError("The net has no solution without any site.")
        self.base = Base(vm, loading)
        self.limits = load_limits(limits)
        groups, self.remarks = groups_of(trial, self.limits, self.base, existing == "no_worse")
        refused = [g for g in groups if not g.plain]
        if refused:
            cure = "Use limits that hold in every step, such as en50160 and ratings."
            raise bad("limits with durations are not judged for several sites at once", str(limits), cure)
        self.groups = groups
        self.column = {bus: int(k) for bus, k in zip(trial.buses, trial.which, strict=True)}

    def _states(self, p_mw: Float) -> Float:
        """Return what moves, all steps of each set of sites after the other; ``p_mw`` is (set, row)."""
        steps = self.trial.steps
        drawn = np.repeat(p_mw, steps, axis=0)
        return np.hstack([np.tile(self.trial.base, (p_mw.shape[0], 1)), drawn])

    def breaches(self, p_mw: Float) -> list[Breach | None]:
        """Return what each set of sites breaks first, of all steps; None where all limits hold.

        Parameters
        ----------
        p_mw : ndarray, shape (set, row)
            Power at each row of the trial. [MW]
        """
        found: list[Breach | None] = []
        steps = self.trial.steps
        every = max(1, _STATES // steps)
        for first in range(0, p_mw.shape[0], every):
            part = p_mw[first : first + every]
            found += self._of(part, np.tile(np.arange(steps), part.shape[0]))
        return found

    def _of(self, p_mw: Float, when: NDArray[np.intp]) -> list[Breach | None]:
        x, sets = self._states(p_mw), p_mw.shape[0]
        worst: list[Breach | None] = [None] * sets
        share = np.zeros(sets)  # of its limit, so that percent and pu compare
        for group in self.groups:
            margin, where, solved = self.trial.margins(x, when, group.bounds, self.base.vm_pu)
            for kind, name in enumerate(KINDS):
                each = margin[kind].reshape(sets, -1)
                at = each.argmin(axis=1)
                for s in np.flatnonzero(each.min(axis=1) < -NOISE):
                    k = s * self.trial.steps + at[s]
                    if not solved[k]:
                        worst[s], share[s] = Breach("", "supply", np.inf), np.inf
                        continue
                    size = -float(each[s, at[s]]) * (0.01 if name == "loading" else 1.0)
                    if size > share[s]:
                        worst[s], share[s] = Breach(self._name(name, int(where[kind, k])), name, -each[s, at[s]]), size
        return worst

    def _name(self, kind: str, element: int) -> str:
        out = self.trial.model.readout
        return str(out.labels[element]) if kind == "loading" else f"bus {out.bus_index[element]}"

    def power(self, sites: Sequence[Sequence[int]], mw: Sequence[float]) -> Float:
        """Return the power (set, row) of sets of sites, each a sequence of buses, in MW."""
        p = np.zeros((len(sites), self.trial.rows.size))
        for k, chosen in enumerate(sites):
            for bus, size in zip(chosen, mw, strict=False):
                p[k, self.column[bus]] += size
        return p

    def row_of_sites(self, buses: Sequence[int], mw: Sequence[float], held: int = 0) -> list[Breach | None]:
        """Return what the first ``held + 1``, ``held + 2``, ... of a row of sites break together."""
        return self.breaches(self.power([buses[:k] for k in range(held + 1, len(buses) + 1)], mw))

    def single(self, buses: Sequence[int], most_mw: float) -> Float:
        """Return how much one site can draw at each bus, up to ``most_mw``, others absent, in MW.

        Notes
        -----
        The first break counted from zero, among 12 sizes evenly apart and then twice between the two that enclose it:
        0.93 % of ``most_mw`` in all, never too large.  :func:`gridedge.hosting_capacity` refines further, and says what
        binds; a break that heals between two sizes is not seen.
        """
        rows = np.array([self.column[b] for b in buses])
        low, high = np.zeros(rows.size), np.full(rows.size, float(most_mw))
        for turn in range(_ROUNDS):
            count = _LEVELS if turn == 0 else 3
            part = np.linspace(0.0, 1.0, count + 1)[1:]
            sizes = low[:, None] + (high - low)[:, None] * part
            p = np.zeros((rows.size, count, self.trial.rows.size))
            p[np.arange(rows.size)[:, None], np.arange(count), rows[:, None]] = sizes
            broken = [b is not None for b in self.breaches(p.reshape(-1, self.trial.rows.size))]
            wrong = np.array(broken).reshape(rows.size, count)
            first = np.where(wrong.any(axis=1), wrong.argmax(axis=1), count)
            edges = np.hstack([low[:, None], sizes])
            low = edges[np.arange(rows.size), first]
            high = edges[np.arange(rows.size), np.minimum(first + 1, count)]
        return low
