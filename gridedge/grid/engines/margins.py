"""The inner loop from voltages to margins: how near each state is to every kind of limit, and where."""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.lanes import TILE
from gridedge.grid.engines.outputs import at_branch
from gridedge.grid.engines.simd import any_above, load, magnitude, root, rows, splat, store

KINDS = ("low", "high", "loading", "step")
SECOND = 4  # the row behind the kinds: the smallest margin of a loading but for that in its own row


@compiled
def _note(spare, row, value, element, room, at):
    """Keep in each lane the smaller value, and whose it is."""
    store(spare, 0, value)
    for w in range(LANES):
        if spare[0, w] < room[row, w]:
            room[row, w] = spare[0, w]
            at[row, w] = element


@compiled
def _note_two(spare, value, element, room, at):
    """Keep in each lane the two smallest values of a loading's margin, and whose they are."""
    store(spare, 0, value)
    for w in range(LANES):
        x = spare[0, w]
        if x < room[2, w]:
            room[4, w], at[4, w] = room[2, w], at[2, w]
            room[2, w], at[2, w] = x, element
        elif x < room[4, w]:
            room[4, w], at[4, w] = x, element


@compiled
def keep_margins(
    tiles, v_re, v_im, states, all_rows, bus_row, branches_flat, low, high, full, step, before, when, margin, where
):  # fmt: skip
    """Write the smallest margin of every kind, arrays (kind, state), and the element that has it.

    ``low``, ``high`` and ``step`` (bus,) [pu] and ``full`` (branch,) [%] are the limits, infinite where there is none;
    ``before`` (step, bus) [pu] are the voltages without the site and ``when`` (state,) the step of each state.
    Kinds are as in :data:`KINDS`, then the second smallest margin of a loading; negative is beyond the limit.
    """
    branches = branches_flat[0].size - 1
    for tile in range(*tiles):
        spare, room = rows(2, v_re), rows(5, v_re)
        at = np.empty((5, LANES), np.int64)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first, start = block * LANES, block * all_rows
            room[:] = np.inf
            at[:] = -1
            for b in range(bus_row.size):
                if bus_row[b] < 0:
                    continue
                p, q = load(v_re, start + bus_row[b]), load(v_im, start + bus_row[b])
                size = root(p * p + q * q)
                # Nearly always the smallest so far stays: one test for all lanes.
                if low[b] > -np.inf and any_above(load(room, 0), size - splat(low[b])):
                    _note(spare, 0, size - splat(low[b]), b, room, at)
                if high[b] < np.inf and any_above(load(room, 1), splat(high[b]) - size):
                    _note(spare, 1, splat(high[b]) - size, b, room, at)
                if step[b] < np.inf:
                    for w in range(LANES):
                        spare[1, w] = before[when[min(first + w, states - 1)], b]
                    left = splat(step[b]) - magnitude(size - load(spare, 1))
                    if any_above(load(room, 3), left):
                        _note(spare, 3, left, b, room, at)
            for k in range(branches):
                if full[k] < np.inf:
                    loading, _ = at_branch(v_re, v_im, start, k, *branches_flat)
                    left = splat(full[k]) - loading
                    if any_above(load(room, 4), left):
                        _note_two(spare, left, k, room, at)
            for w in range(min(LANES, states - first)):
                for kind in range(5):
                    margin[kind, first + w] = room[kind, w]
                    where[kind, first + w] = at[kind, w]


@compiled
def _means(value, steps, window, sign, limit, solved, start, element, row, margin, where):
    """Keep of one element the margin of every mean of so many steps, at the place of its first step."""
    total, lost = 0.0, 0
    for t in range(steps):
        if solved[start + t]:
            total += value[t // LANES, t % LANES]
        else:
            lost += 1
        if t >= window:
            if solved[start + t - window]:
                total -= value[(t - window) // LANES, (t - window) % LANES]
            else:
                lost -= 1
        if t < window - 1 or lost:
            continue
        at = start + t - window + 1
        x = sign * (total / window - limit)
        if x < margin[row, at]:
            if row == 2:
                margin[4, at], where[4, at] = margin[2, at], where[2, at]
            margin[row, at], where[row, at] = x, element
        elif row == 2 and x < margin[4, at]:
            margin[4, at], where[4, at] = x, element


@compiled
def keep_mean_margins(
    levels, v_re, v_im, steps, all_rows, bus_row, branches_flat, low, high, full, window, solved, margin, where
):  # fmt: skip
    """Do the same as :func:`keep_margins` for moving means over ``window`` steps of voltages and loadings.

    The states are all ``steps`` of one level after another, each level beginning at a row of lanes.  ``solved``
    (state,) says which count; a mean with one that does not is left out (infinite), and so are those at the end of a
    level that are not whole.
    """
    blocks = (steps + LANES - 1) // LANES
    branches = branches_flat[0].size - 1
    for level in range(*levels):
        value = rows(blocks, v_re)
        start = level * blocks * LANES
        margin[:, start : start + blocks * LANES] = np.inf
        where[:, start : start + blocks * LANES] = -1
        for b in range(bus_row.size):
            if bus_row[b] < 0 or not (low[b] > -np.inf or high[b] < np.inf):
                continue
            for block in range(blocks):
                at = (level * blocks + block) * all_rows + bus_row[b]
                p, q = load(v_re, at), load(v_im, at)
                store(value, block, root(p * p + q * q))
            if low[b] > -np.inf:
                _means(value, steps, window, 1.0, low[b], solved, start, b, 0, margin, where)
            if high[b] < np.inf:
                _means(value, steps, window, -1.0, high[b], solved, start, b, 1, margin, where)
        for k in range(branches):
            if full[k] < np.inf:
                for block in range(blocks):
                    loading, _ = at_branch(v_re, v_im, (level * blocks + block) * all_rows, k, *branches_flat)
                    store(value, block, loading)
                _means(value, steps, window, -1.0, full[k], solved, start, k, 2, margin, where)
