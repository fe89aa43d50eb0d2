"""What is kept of solved states: every state, or a reduction that holds no series."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad, nearest
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.threads import on_threads
from gridedge.grid.results import Readout

Float = NDArray[np.float64]
QUANTITIES = (("vm_pu", "bus"), ("va_degree", "bus"), ("loading_percent", "branch"), ("pl_mw", "branch"))
_PLAIN = ("min", "max", "mean")
_TILE = 128


@dataclass(frozen=True)
class Plan:
    """What to keep.

    Parameters
    ----------
    names : tuple of str, optional
        Reductions in the order asked for; None keeps every state.
    low, high : ndarray, shape (quantity,)
        Limits beyond which states are counted for ``beyond``; infinite where there is none.  Quantities are the
        magnitudes and angles of the buses, then the loadings and losses of the branches.
    at : ndarray
        Positions of the buses whose series is kept beside a reduction.
    """

    names: tuple[str, ...] | None
    low: Float
    high: Float
    at: NDArray[np.intp]

    @property
    def quantiles(self) -> tuple[str, ...]:
        """The quantiles asked for, by name."""
        return tuple(n for n in self.names or () if n.startswith("q"))


def check_names(reduce: Any) -> tuple[str, ...] | None:
    """Return the reductions asked for.

    Raises
    ------
    InputError
        If there is none, or one is unknown.
    """
    if reduce is None:
        return None
    if isinstance(reduce, str):
        raise bad("reduce must be a list", repr(reduce), f"Write reduce=[{reduce!r}].")
    for name in reduce:
        if name in (*_PLAIN, "beyond") or _is_quantile(name):
            continue
        quantile = str(name).startswith("q")
        cure = "Write a quantile as q0.95, from q0 to q1." if quantile else nearest(str(name), (*_PLAIN, "beyond"))
        raise bad("unknown reduction", str(name), cure)
    if not len(reduce):
        raise bad("reduce is empty", "[]", 'Give reduce=["min", "max"], or leave it out.')
    return tuple(dict.fromkeys(reduce))


def _is_quantile(name: Any) -> bool:
    try:
        return str(name)[0] == "q" and 0.0 <= float(str(name)[1:]) <= 1.0
    except (IndexError, ValueError):
        return False


@dataclass
class Part:
    """What is kept of a block of states.

    Parameters
    ----------
    solved : ndarray of bool, shape (state,)
        Which states are solved.
    series : dict of ndarray, optional
        Every state, by quantity: (state, bus) and (state, branch).
    lowest, highest, total, beyond : ndarray, shape (quantity,)
        Over the solved states.
    bins : Bins, optional
        Counts from which quantiles are read.
    at : ndarray, shape (state, bus), optional
        Voltages of chosen buses. [pu]
    extra : dict of ndarray
        What else the engine found, (state, ...).
    said : Counter
        Why states are not solved, as far as the engine tells.
    """

    solved: NDArray[np.bool_]
    series: dict[str, Float] = field(default_factory=dict)
    lowest: Float = field(default_factory=lambda: np.empty(0))
    highest: Float = field(default_factory=lambda: np.empty(0))
    total: Float = field(default_factory=lambda: np.empty(0))
    beyond: Float = field(default_factory=lambda: np.empty(0))
    bins: Any = None
    at: Float | None = None
    extra: dict[str, Float] = field(default_factory=dict)
    said: Counter[str] = field(default_factory=Counter)


class Keeper:
    """Makes the parts of a result from voltages; its buffers are used again for every block."""

    def __init__(self, plan: Plan, out: Readout):
        self.plan, self.out, self.flat = plan, out, out.flat()
        self._room: dict[str, Float] = {}

    def part(self, v: Lanes, solved: NDArray[np.bool_]) -> Part:
        """Return what is kept of a block; a series is overwritten by the next block."""
        found = Part(solved)
        if self.plan.names is None or self.plan.quantiles:
            found.series = self._series(v, solved.size)
            if not solved.all():  # a branch out of service has no voltage that tells it
                for values in found.series.values():
                    values[~solved] = np.nan
        if self.plan.names is None:
            return found
        from gridedge.grid.engines.outputs import keep_reduced

        parts = np.empty((4, -(-solved.size // _TILE), self.plan.low.size))
        on_threads(
            keep_reduced,
            parts.shape[1],
            v.re,
            v.im,
            solved.size,
            v.rows,
            *self.flat,
            self.plan.low,
            self.plan.high,
            *parts,
        )
        found.lowest, found.highest = parts[0].min(axis=0), parts[1].max(axis=0)
        found.total, found.beyond = parts[2].sum(axis=0), parts[3].sum(axis=0)
        if self.plan.at.size:
            found.at = np.abs(v.take(np.arange(solved.size), self.out.bus_row[self.plan.at])).T
        if self.plan.quantiles:
            from gridedge.grid.quantiles import Bins

            found.bins = Bins.of([found.series[name] for name, _ in QUANTITIES])
            found.series = {}
        return found

    def every(self, v: Lanes, states: int) -> Float:
        """Return all quantities of every state side by side, shape (state, quantity)."""
        return np.concatenate(list(self._series(v, states).values()), axis=1)

    def _series(self, v: Lanes, states: int) -> dict[str, Float]:
        from gridedge.grid.engines.outputs import keep_series

        sizes = {"bus": self.out.bus_index.size, "branch": len(self.out.labels)}
        for name, dim in QUANTITIES:
            if name not in self._room or self._room[name].shape[0] < states:
                self._room[name] = np.empty((states, sizes[dim]))
        parts = {name: self._room[name][:states] for name, _ in QUANTITIES}
        on_threads(keep_series, -(-states // _TILE), v.re, v.im, states, v.rows, *self.flat, *parts.values())
        if self.out.dead.size:
            parts["loading_percent"][:, self.out.dead] = np.nan
        return parts
