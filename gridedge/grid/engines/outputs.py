"""The inner loops from voltages to results: magnitudes, angles, loadings and losses, kept or reduced at once."""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.lanes import TILE
from gridedge.grid.engines.simd import (
    any_above,
    larger,
    load,
    magnitude,
    number_or_zero,
    one_where_above,
    root,
    rows,
    smaller,
    splat,
    store,
)

_SMALL = 0.2  # tangent up to which the series of the arc tangent below is exact to rounding


@compiled
def small_arctan(t):
    """Return the arc tangent of lanes within 0.2, by its series."""
    z = t * t
    s = splat(1.0 / 21.0)
    s = s * z - 1.0 / 19.0
    s = s * z + 1.0 / 17.0
    s = s * z - 1.0 / 15.0
    s = s * z + 1.0 / 13.0
    s = s * z - 1.0 / 11.0
    s = s * z + 1.0 / 9.0
    s = s * z - 1.0 / 7.0
    s = s * z + 1.0 / 5.0
    s = s * z - 1.0 / 3.0
    return s * z * t + t


@compiled
def angle(re, im, size, spare):
    """Return the angles [rad] of lanes of complex numbers of given magnitude."""
    t = im / re
    if not (any_above(magnitude(t), splat(_SMALL)) or any_above(splat(0.0), re)):
        return small_arctan(t)
    # tan(a/2) = im / (re + size), then tan(a/4): within 0.2 for angles up to 45 degrees.
    t = im / (re + size)
    t = t / (1.0 + root(1.0 + t * t))
    if not any_above(magnitude(t), splat(_SMALL)):
        return 4.0 * small_arctan(t)
    store(spare, 0, re)
    store(spare, 1, im)
    for w in range(LANES):
        spare[0, w] = np.arctan2(spare[1, w], spare[0, w])
    return load(spare, 0)


@compiled
def at_bus(v_re, v_im, first, b, bus_row, turn_re, turn_im, turn_degree, spare):
    """Return magnitude [pu] and angle [degree] at a bus."""
    if bus_row[b] < 0:
        return splat(np.nan), splat(np.nan)
    p, q = load(v_re, first + bus_row[b]), load(v_im, first + bus_row[b])
    size = root(p * p + q * q)
    # Against the angle of the base state, which leaves little to compute.
    re = p * turn_re[b] + q * turn_im[b]
    im = q * turn_re[b] - p * turn_im[b]
    return size, turn_degree[b] + (180.0 / np.pi) * angle(re, im, size, spare)


@compiled
def at_branch(v_re, v_im, first, k, side_ptr, side_row, side_full2, y_ptr, y_col, y_re, y_im, base_mva):
    """Return loading [%] and losses [MW] of a branch."""
    worst, loss = splat(0.0), splat(0.0)
    for s in range(side_ptr[k], side_ptr[k + 1]):
        c, d = splat(0.0), splat(0.0)
        for e in range(y_ptr[s], y_ptr[s + 1]):
            p, q = load(v_re, first + y_col[e]), load(v_im, first + y_col[e])
            g, h = y_re[e], y_im[e]
            c = c + g * p - h * q
            d = d + g * q + h * p
        p, q = load(v_re, first + side_row[s]), load(v_im, first + side_row[s])
        loss = loss + p * c + q * d
        worst = larger((c * c + d * d) * side_full2[s], worst)
    # Where nothing is a number, the comparison above kept zero; the losses know better.
    return 100.0 * root(worst) + (loss - loss), base_mva * loss


@compiled
def keep_series(tiles, v_re, v_im, states, all_rows, buses_flat, branches_flat, vm, va, loading, pl):
    """Write the results of every state, arrays (state, bus) and (state, branch)."""
    buses, branches = vm.shape[1], loading.shape[1]
    for tile in range(*tiles):
        one, two, spare = rows(max(buses, branches), v_re), rows(max(buses, branches), v_re), rows(2, v_re)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first, at = block * LANES, block * all_rows
            for b in range(buses):
                a, c = at_bus(v_re, v_im, at, b, *buses_flat, spare)
                store(one, b, a)
                store(two, b, c)
            for w in range(min(LANES, states - first)):
                for b in range(buses):
                    vm[first + w, b] = one[b, w]
                for b in range(buses):
                    va[first + w, b] = two[b, w]
            for k in range(branches):
                a, c = at_branch(v_re, v_im, at, k, *branches_flat)
                store(one, k, a)
                store(two, k, c)
            for w in range(min(LANES, states - first)):
                for k in range(branches):
                    loading[first + w, k] = one[k, w]
                for k in range(branches):
                    pl[first + w, k] = two[k, w]


@compiled
def write_reduced(spare, tile, k, a, b, c, d, lowest, highest, total, beyond):
    """Reduce lanes to one number each: smallest, largest, sum and count."""
    store(spare, 0, a)
    store(spare, 1, b)
    store(spare, 2, c)
    store(spare, 3, d)
    least, most, added, outside = spare[0, 0], spare[1, 0], 0.0, 0.0
    for w in range(LANES):
        least, most = min(least, spare[0, w]), max(most, spare[1, w])
        added += spare[2, w]
        outside += spare[3, w]
    lowest[tile, k], highest[tile, k], total[tile, k], beyond[tile, k] = least, most, added, outside


@compiled
def keep_reduced(
    tiles, v_re, v_im, states, all_rows, buses_flat, branches_flat, low, high, lowest, highest, total, beyond
):
    """Reduce the results of every tile, arrays (tile, quantity); what is no number counts for nothing.

    Quantities are magnitudes and angles of the buses, then loadings and losses of the branches.  ``low`` and ``high``
    (quantity,) are the limits beyond which magnitudes and loadings are counted in ``beyond``.
    """
    buses = buses_flat[0].size
    branches = branches_flat[0].size - 1
    for tile in range(*tiles):
        spare = rows(4, v_re)
        blocks = range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES))
        for b in range(buses + branches):
            j = b if b < buses else b + buses
            k = j + (buses if b < buses else branches)
            a1, a2, b1, b2 = splat(np.inf), splat(np.inf), splat(-np.inf), splat(-np.inf)
            c1, c2, d1 = splat(0.0), splat(0.0), splat(0.0)
            counted = high[j] < np.inf or low[j] > -np.inf
            for block in blocks:
                if b < buses:
                    x, y = at_bus(v_re, v_im, block * all_rows, b, *buses_flat, spare)
                else:
                    x, y = at_branch(v_re, v_im, block * all_rows, b - buses, *branches_flat)
                a1, a2, b1, b2 = smaller(x, a1), smaller(y, a2), larger(x, b1), larger(y, b2)
                c1, c2 = c1 + number_or_zero(x), c2 + number_or_zero(y)
                if counted:
                    d1 = d1 + one_where_above(x, splat(high[j])) + one_where_above(splat(low[j]), x)
            write_reduced(spare, tile, j, a1, b1, c1, d1, lowest, highest, total, beyond)
            write_reduced(spare, tile, k, a2, b2, c2, splat(0.0), lowest, highest, total, beyond)


@compiled
def keep_extremes(
    tiles, v_re, v_im, states, all_rows, bus_row, branches_flat, low, high, full, vm_room, loading_room
):  # fmt: skip
    """Reduce every state to how near it is to its limits, arrays (state,).

    ``low`` and ``high`` (bus,) [pu] and ``full`` (branch,) [%] are the limits, infinite where there is none;
    ``vm_room`` is the smallest distance of a voltage from its limits [pu], negative beyond, and ``loading_room`` that
    of a loading [%].
    """
    branches = branches_flat[0].size - 1
    for tile in range(*tiles):
        spare = rows(2, v_re)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first, at = block * LANES, block * all_rows
            room = splat(np.inf)
            for b in range(bus_row.size):
                if bus_row[b] < 0 or not (low[b] > -np.inf or high[b] < np.inf):
                    continue
                p, q = load(v_re, at + bus_row[b]), load(v_im, at + bus_row[b])
                size = root(p * p + q * q)
                room = smaller(smaller(size - splat(low[b]), splat(high[b]) - size), room)
            store(spare, 0, room)
            room = splat(np.inf)
            for k in range(branches):
                if full[k] < np.inf:
                    loading, _ = at_branch(v_re, v_im, at, k, *branches_flat)
                    room = smaller(splat(full[k]) - loading, room)
            store(spare, 1, room)
            for w in range(min(LANES, states - first)):
                vm_room[first + w], loading_room[first + w] = spare[0, w], spare[1, w]
