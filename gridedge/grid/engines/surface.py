"""The surface engine: the voltages as polynomials of the few powers that move freely.

While few injections move, every complex bus voltage is a smooth function of them.  It is solved for exactly at
Chebyshev nodes over the range that the data span, along the data's principal axes, and interpolated (J. P. Boyd,
Chebyshev and Fourier Spectral Methods, 2001, chapter 4); currents follow from the voltages.  With more axes than a
tensor grid can carry, a basis of bounded total degree is fitted by least squares.  The error is measured on exact
solutions that the fit has not seen: the corners of the range and random points.  Where it is not met, the range is
split; where a part of it holds states without a solution, the batch engine takes that part.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.batch import Batch, prepare
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.fitting import Axes, Leaf, fit, solve_at
from gridedge.grid.engines.inputs import Inputs
from gridedge.grid.engines.model import Float, Model
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.solver import Solver
from gridedge.grid.engines.threads import on_threads

_MOST_COLUMNS = 24  # columns that may move freely: beyond, no polynomial of them pays
_MOST_PARTS = 16  # parts that the range may be split into
_RUN = 64  # states in a row, and how many such runs, from which the axes of the data are found
_SEEN = 4096  # states that say where most of them lie
_FEW = 64  # a part with less than one of so many states is left to the batch engine
_WORTH = 2000  # states per surface below which the batch engine is as fast
_THIN_PU = 1e-13  # an axis whose whole range injects less is none
_READ = 1 << 20  # numbers that are read at once: a file is read in chunks, which should not be opened twice
_IDLE = 0.01  # of the tolerance: an axis that moves no voltage by more is left out
_SAFETY = 0.25  # of the tolerance, which the held-out states must meet: they are a sample


@dataclass(frozen=True)
class Plan:
    """The surfaces of all states, and why they were taken.

    Parameters
    ----------
    segments : tuple of (first, stop, solver)
        One surface per step of what moves slowly.
    why, detail : str
        In words.
    """

    segments: tuple[tuple[int, int, Solver], ...]
    why: str
    detail: str


@dataclass
class Surface:
    """A net under one state of what moves slowly, as polynomials of what moves freely."""

    batch: Batch
    axes: Axes
    leaves: list[Leaf]
    rows: int = field(init=False)

    def __post_init__(self) -> None:
        self.rows = self.batch.rows
        self._breaks = np.array([leaf.low[0] for leaf in self.leaves[1:]])
        self._parts = [
            (np.ascontiguousarray(leaf.weight.real), np.ascontiguousarray(leaf.weight.imag)) for leaf in self.leaves
        ]

    def solve(self, moving: list[Moving], x: Float, v: Lanes) -> NDArray[np.bool_]:
        """Solve a block of states; see :meth:`gridedge.grid.engines.batch.Batch.solve`."""
        free = np.ascontiguousarray(x[:, self.axes.columns])
        if len(self.leaves) == 1 and self.leaves[0].degree.size:
            self._evaluate(0, free, v)
            return np.asarray(np.isfinite(free).all(axis=1))
        part = np.searchsorted(self._breaks, self.axes.coordinates(free)[:, 0], side="right")
        part[~np.isfinite(free).all(axis=1)] = -1
        solved = np.zeros(x.shape[0], dtype=bool)
        for k, leaf in enumerate(self.leaves):
            here = np.flatnonzero(part == k)
            if not here.size:
                continue
            room = Lanes(self.rows, here.size)
            if leaf.degree.size:
                self._evaluate(k, free[here], room)
                solved[here] = True
            else:
                solved[here] = self.batch.solve(moving, np.ascontiguousarray(x[here]), room)
            v.put(here, room.take(np.arange(here.size)))
        return solved

    def _evaluate(self, k: int, free: Float, v: Lanes) -> None:
        from gridedge.grid.engines.lanes import TILE
        from gridedge.grid.engines.polynomial import evaluate

        leaf, axes = self.leaves[k], self.axes
        half = np.where(leaf.high > leaf.low, (leaf.high - leaf.low) / 2, 1.0)
        slope = np.ascontiguousarray(axes.direction / half)
        offset = -(axes.middle @ axes.direction + (leaf.high + leaf.low) / 2) / half
        tiles = -(-free.shape[0] // TILE)
        on_threads(
            evaluate, tiles, free, free.shape[0], self.rows, slope, offset, leaf.degree, *self._parts[k], v.re, v.im
        )


def prepare_surfaces(model: Model, what: Inputs, states: int, tol_vm_pu: float, *, must: bool) -> Plan | str:
    """Prepare the surfaces of all states.

    Parameters
    ----------
    model : Model
        The net.
    what : Inputs
        What moves.
    states : int
        How many states there are.
    tol_vm_pu : float
        Error of the voltages that is accepted. [pu]
    must : bool
        Whether surfaces are wanted even where they do not pay.

    Returns
    -------
    Plan or str
        The surfaces; or why there are none.
    """
    slow = [k for k, m in enumerate(what.moving) if m.held is not None]
    ends = np.cumsum([0, *(m.rows.size for m in what.moving)])
    free = np.concatenate(
        [np.arange(ends[k], ends[k + 1]) for k in range(len(what.moving)) if k not in slow] or [np.empty(0, int)]
    ).astype(np.intp)
    if not 0 < free.size <= _MOST_COLUMNS:
        return f"{free.size} columns move freely" if free.size else "nothing moves freely"
    cuts = _segments([what.moving[k] for k in slow], states)
    if not must and states < _WORTH * (len(cuts) - 1):
        return f"{states} states are few for {len(cuts) - 1} surfaces"
    found = _axes(what, free, states)
    if isinstance(found, str):
        return found
    axes, seen = found
    batch = prepare(model, what, states)
    axes, kept, left_out_pu = _that_matter(batch, axes, what.few(np.array([0]))[0], tol_vm_pu * _IDLE)
    along = seen[:, kept][:, 0]
    seen = np.sort(along[np.isfinite(along)])
    segments: list[tuple[int, int, Solver]] = []
    worst, degrees, parts = 0.0, 0, 0
    idle = np.ones(ends[-1], dtype=bool)
    idle[free] = False
    for first, stop in itertools.pairwise(cuts):
        still = what.few(np.array([first]))[0]
        if not np.isfinite(still[idle]).all():  # no surface stands on what is no number; the batch engine masks it
            segments.append((int(first), int(stop), batch))
            continue
        leaves = _leaves(batch, axes, seen, still, tol_vm_pu, must)
        if isinstance(leaves, str):
            return leaves
        segments.append((int(first), int(stop), Surface(batch, axes, leaves)))
        worst = max([worst, *(leaf.error_pu + left_out_pu for leaf in leaves)])
        degrees = max([degrees, *(leaf.degree.shape[0] for leaf in leaves)])
        parts = max(parts, len(leaves))
    split = f", range in up to {parts} parts" if parts > 1 else ""
    if not parts:
        return "no step of what moves slowly is a number"
    count = f"{len(segments)} surfaces" if len(segments) > 1 else "one surface"
    detail = (
        f"{count} of {axes.low.size} axes, up to {degrees} terms{split}; largest error at held-out exact solutions "
        f"{worst:.1e} pu"
    )
    return Plan(tuple(segments), f"{states} states in the range of {axes.low.size} axes", detail)


def _segments(slow: list[Moving], states: int) -> list[int]:
    """Return where what moves slowly changes, with both ends."""
    change = [np.flatnonzero(np.diff(m.held)) + 1 for m in slow if m.held is not None]
    return [0, *np.unique(np.concatenate([np.empty(0, dtype=np.intp), *change])).tolist(), states]


def _axes(what: Inputs, free: NDArray[np.intp], states: int) -> tuple[Axes, Float] | str:
    """Return the principal axes of what moves freely with the range of the data, and where a sample lies on them.

    Only states whose input is a number count.
    """
    windows = [m for m in what.moving if m.held is None]

    def read(first: int, stop: int) -> Float:
        return np.concatenate([m.at(slice(first, min(stop, states))) for m in windows], axis=1)

    # Runs of states, not single ones: what lies in a file is read in few pieces.
    starts = np.unique(np.linspace(0, max(states - _RUN, 0), _RUN).astype(int))
    sample = np.concatenate([read(k, k + _RUN) for k in starts.tolist()])
    sample = sample[np.isfinite(sample).all(axis=1)]
    middle, direction = np.zeros(free.size), np.eye(free.size)
    if sample.size:
        middle = sample.mean(axis=0)
        direction = np.linalg.svd(sample - middle, full_matrices=sample.shape[0] < free.size)[2].T
    size, every = max(1, _READ // free.size), -(-states // _SEEN)
    low, high, seen = *np.full((2, free.size), np.nan), []
    for first in range(0, states, size):
        with np.errstate(invalid="ignore"):
            z = (read(first, first + size) - middle) @ direction
        z[np.isinf(z)] = np.nan
        low, high = np.fmin(low, np.fmin.reduce(z, axis=0)), np.fmax(high, np.fmax.reduce(z, axis=0))
        seen.append(z[-first % every :: every].copy())  # a view would hold all of it
    if not np.isfinite(low).all():
        return "no state has an input that is a number"
    # What an axis can inject over its whole range, in pu.
    reach = np.abs(what.p[:, free] @ direction).max(axis=0) + np.abs(what.q[:, free] @ direction).max(axis=0)
    wide = (high - low) * reach > _THIN_PU
    if not wide.any():
        wide[0] = True
    kept = middle + ((low + high) / 2 * ~wide) @ direction.T
    return Axes(free, kept, direction[:, wide], low[wide], high[wide]), np.concatenate(seen)[:, wide]


def _that_matter(batch: Batch, axes: Axes, still: Float, least_pu: float) -> tuple[Axes, NDArray[np.bool_], float]:
    """Return the axes along which the voltages move, which they are, and how far those left out move them, in pu.

    A reactive power that follows the active one but for its rounding spans an axis, too; nothing depends on it.
    """
    middle, half = (axes.low + axes.high) / 2, (axes.high - axes.low) / 2
    ends = np.concatenate([middle + sign * np.diag(half) for sign in (-1.0, 1.0)])
    v = solve_at(batch, axes, still, ends)
    if v is None or middle.size == 1:
        return axes, np.ones(middle.size, dtype=bool), 0.0
    effect = np.abs(v[:, middle.size :] - v[:, : middle.size]).max(axis=0)
    idle = effect < least_pu
    idle[int(np.argmax(effect))] = False
    kept = Axes(
        axes.columns, axes.middle + (middle * idle) @ axes.direction.T, axes.direction[:, ~idle], axes.low[~idle],
        axes.high[~idle],
    )  # fmt: skip
    return kept, ~idle, float(effect[idle].sum())


def _leaves(batch: Batch, axes: Axes, seen: Float, still: Float, tol_vm_pu: float, must: bool) -> list[Leaf] | str:
    """Return the parts of the range with their polynomials, in order along the first axis; or why there are none.

    The part with most states comes first, and those with few are given up: one state far from all others must not
    take the surface from them.
    """

    def states(part: tuple[Float, Float]) -> int:
        return int(np.searchsorted(seen, part[1][0], "right") - np.searchsorted(seen, part[0][0], "left"))

    todo, done = [(axes.low, axes.high)], []
    while todo:
        todo.sort(key=states)
        low, high = todo.pop()
        many = states((low, high)) * _FEW >= seen.size
        found: Leaf | str = "few states"
        if many:
            found = fit(batch, axes, still, low, high, tol_vm_pu * _SAFETY)
        if isinstance(found, Leaf):
            if not must and not _pays(batch, found):
                return f"{found.degree.shape[0]} terms cost more than a solution"
            done.append(found)
        elif many and len(todo) + len(done) + 2 <= _MOST_PARTS:
            middle = (low[0] + high[0]) / 2
            upper_low, lower_high = low.copy(), high.copy()
            upper_low[0], lower_high[0] = middle, middle
            todo += [(upper_low, high), (low, lower_high)]
        else:
            done.append(Leaf(low, high, np.zeros((0, low.size), dtype=np.int64), np.zeros((batch.rows, 0), complex)))
    if not any(leaf.degree.size for leaf in done):
        return f"no polynomial meets {tol_vm_pu:g} pu"
    return sorted(done, key=lambda leaf: float(leaf.low[0]))


def _pays(batch: Batch, leaf: Leaf) -> bool:
    """Say whether evaluating a polynomial costs less than solving, in multiplications."""
    return bool(2 * leaf.degree.shape[0] * batch.rows < batch.effort)
