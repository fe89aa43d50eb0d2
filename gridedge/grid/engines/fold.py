"""Many states along one axis, reduced without solving each: sorted into narrow cells by their coordinate.

Of every cell the lowest, the highest and the mean coordinate are kept, and the voltages evaluated there.  Extremes are
those of states that occurred; a mean over a cell differs from the value at the cell's mean by its curvature, which a
range cut into 4096 cells leaves below 1e-8 of what it does over the whole range.
"""

# numba types the loop below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.surface import Surface
from gridedge.grid.engines.threads import on_threads
from gridedge.grid.keep import Keeper, Part, Plan

CELLS = 4096
_STATES = 1 << 19  # states that are read together
_SPANS = 8  # stretches of them that threads sort side by side, whatever the number of threads


def foldable(solver: object, plan: Plan) -> bool:
    """Say whether states may be sorted into cells for what is kept of them."""
    return (
        isinstance(solver, Surface)
        and solver.axes.low.size == 1
        and all(leaf.degree.size for leaf in solver.leaves)
        and plan.names is not None
        and set(plan.names) <= {"min", "max", "mean"}
        and not plan.at.size
    )


def fold(surface: Surface, moving: list[Moving], states: int, keeper: Keeper) -> Part:
    """Reduce all states of a segment.

    Parameters
    ----------
    surface : Surface
        With one axis.
    moving : list of Moving
        What moves over these states.
    states : int
        How many there are.
    keeper : Keeper
        Makes results of voltages.

    Returns
    -------
    Part
        With ``solved`` for every state.
    """
    axes = surface.axes
    fast = [m for m in moving if m.held is None]
    low, width = float(axes.low[0]), float(axes.high[0] - axes.low[0])
    scale = CELLS / width if width > 0 else 0.0
    cells = np.empty((_SPANS, CELLS, 4))
    cells[..., 0], cells[..., 1], cells[..., 2:] = np.inf, -np.inf, 0.0
    solved = np.empty(states, dtype=bool)
    for first in range(0, states, _STATES):
        here = slice(first, min(first + _STATES, states))
        x = np.concatenate([m.at(here) for m in fast], axis=1)
        on_threads(
            sort_into,
            _SPANS,
            x,
            axes.middle,
            np.ascontiguousarray(axes.direction[:, 0]),
            low,
            scale,
            cells,
            solved[here],
        )
    least, most = cells[..., 0].min(axis=0), cells[..., 1].max(axis=0)
    count, total = cells[..., 2].sum(axis=0), cells[..., 3].sum(axis=0)
    seen = count > 0
    if not seen.any():  # no state with an input that is a number
        v = Lanes(surface.rows, 1)
        v.blank(np.zeros(1, dtype=bool))
        nothing = keeper.part(v, np.zeros(1, dtype=bool))
        nothing.solved = solved
        return nothing
    middle = total[seen] / count[seen]
    slow = np.concatenate([m.at(slice(0, 1)) for m in moving], axis=1)[0]
    z = np.concatenate((least[seen], most[seen], middle))
    x = np.repeat(slow[None, :], z.size, axis=0)
    x[:, axes.columns] = axes.values(z[:, None])
    v = Lanes(surface.rows, z.size)
    surface.solve(moving, x, v)
    v.blank(np.ones(z.size, dtype=bool))
    ends = keeper.part(v, np.ones(z.size, dtype=bool))
    ends.total = count[seen] @ keeper.every(v, z.size)[2 * middle.size :]
    ends.solved = solved
    return ends


@compiled
def sort_into(parts, x, middle, direction, low, scale, cells, solved):
    """Sort values (state, column) into cells: lowest and highest coordinate, number and sum."""
    states = x.shape[0]
    span = (states + cells.shape[0] - 1) // cells.shape[0]
    for part in range(*parts):
        for t in range(part * span, min(states, (part + 1) * span)):
            z = 0.0
            for c in range(x.shape[1]):
                z += (x[t, c] - middle[c]) * direction[c]
            solved[t] = abs(z) < np.inf
            if not solved[t]:
                continue
            k = min(max(int((z - low) * scale), 0), cells.shape[1] - 1)
            cells[part, k, 0] = min(cells[part, k, 0], z)
            cells[part, k, 1] = max(cells[part, k, 1], z)
            cells[part, k, 2] += 1.0
            cells[part, k, 3] += z
