"""The inner loop over outages of many states: the states of one outage lie side by side in lanes.

All states of an outage have the same correction of the same Jacobian; so it is worked out once, and every pass of the
chord solves 16 states at once.  A tile is one outage.

References
----------
.. [1] O. Alsac, B. Stott, W. F. Tinney, "Sparsity-oriented compensation methods for modified network solutions", IEEE
   Transactions on Power Apparatus and Systems PAS-102(5), 1983, pp. 1050-1060. :doi:`10.1109/TPAS.1983.317819`
"""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.lanes import turn
from gridedge.grid.engines.outputs import at_branch
from gridedge.grid.engines.simd import (
    any_above,
    larger,
    largest_keeping_nan,
    load,
    magnitude,
    narrow,
    root,
    rows,
    smaller,
    splat,
    store,
    widen,
)

KINDS = ("low", "high", "loading")
SECOND = 3  # the row behind the kinds: the smallest margin of a loading but for that in its own row
MOST_RANK = LANES  # equations that an outage may change here: its correction fills a row of lanes


@compiled
def _solve(f, lower, upper, l_val, u_val, d_val):
    """Solve with the factors, in place and in single precision."""
    l_ptr, l_row = lower
    u_ptr, u_row = upper
    m = d_val.size
    for j in range(m):
        t = load(f, j)
        for e in range(l_ptr[j], l_ptr[j + 1]):
            store(f, l_row[e], load(f, l_row[e]) - l_val[e] * t)
    for j in range(m - 1, -1, -1):
        t = load(f, j) * d_val[j]
        store(f, j, t)
        for e in range(u_ptr[j], u_ptr[j + 1]):
            store(f, u_row[e], load(f, u_row[e]) - u_val[e] * t)


@compiled
def _settled(step, before, tolerance, done):
    """Note the lanes whose error is below the tolerance; return how many are still open.

    As :func:`gridedge.grid.engines.lanes.settled`, but up to rates of 0.99: near collapse an outage contracts slowly.
    """
    still_open = 0
    for w in range(LANES):
        s = step[0, w]
        if not s < 1e3:
            done[w] = 2
        if done[w] == 2:
            continue
        r = min(max(s / before[0, w], 0.05), 0.99) if before[0, w] > 0 else 0.9
        done[w] = 1 if s * r / (1.0 - r) < tolerance else 0
        still_open += 1 - done[w]
    return still_open


@compiled
def _note(spare, value, element, kind, room, at):
    """Keep in each lane the smaller margin, and whose it is."""
    store(spare, 0, value)
    for w in range(LANES):
        if spare[0, w] < room[kind, w]:
            room[kind, w] = spare[0, w]
            at[kind, w] = element


@compiled
def _note_two(spare, value, element, room, at):
    """Keep in each lane the two smallest margins of a loading, and whose they are."""
    store(spare, 0, value)
    for w in range(LANES):
        x = spare[0, w]
        if x < room[2, w]:
            room[3, w], at[3, w] = room[2, w], at[2, w]
            room[2, w], at[2, w] = x, element
        elif x < room[3, w]:
            room[3, w], at[3, w] = x, element


@compiled
def _correct(f, w_of, c_of, rank, reads, g0, r0, gain, read_from):
    """Turn a solution without outage into one with it, by Woodbury's identity, in place."""
    for e in range(rank):
        t = splat(0.0)
        for r in range(reads):
            t = t + gain[g0 + e * reads + r] * widen(load(f, read_from[r0 + r]))
        store(c_of, e, narrow(t))
    if rank:
        for j in range(w_of.shape[0]):
            u = load(f, j)
            for e in range(rank):
                u = u - w_of[j, e] * load(c_of, e)
            store(f, j, u)


@compiled
def _parts(of_row, of_lost, part, ref, none, dark, lost_row, lost_unit, first, stop):
    """Write the part of every row in a change of generation, and return the room of all that remain.

    As :meth:`gridedge.grid.engines.outage_shares.Rooms.left`.
    """
    for i in range(part.size):
        part[i] = 0.0 if dark[i] else of_row[i]
    for e in range(first, stop):
        if not dark[lost_row[e]]:
            part[lost_row[e]] -= of_lost[lost_unit[e]]
    room = part.sum()
    if room > none:
        for i in range(part.size):
            part[i] /= room
        return room
    part[:] = 0.0
    part[ref] = 1.0
    return max(room, 0.0)


@compiled
def outages_of_states(
    tiles, which, zero_blocks, blocks, all_rows, s_re, s_im, start_re, start_im, held, lower, upper, l_val, u_val,
    d_val, y_ptr, y_col, y_re, y_im, angle_to, magnitude_to, angle_from, magnitude_from, eq_ptr, eq_to, read_ptr,
    read_from, gain_ptr, gain, dy_ptr, dy_row, dyv_ptr, dyv_re, dyv_im, freed_ptr, freed_row, dark_ptr, dark_row,
    lost_ptr, lost_row, lost_unit, unit_re, unit_im, out_ptr, out_branch, terminals, bus_row, branches_flat, low, high,
    full, loosen, worse_pu, worse_percent, noise, ref, up_row, down_row, up_lost, down_lost, none, g_first, g_stop,
    g_at, g_val, change, tolerance, most, far, margin, where, solved,
):  # fmt: skip
    """Solve outages of blocks of states, and write how near each is to its limits.

    Parameters
    ----------
    which : ndarray
        The outages, by their number in the flat arrays; tile ``t`` writes row ``t`` of the results.
    zero_blocks, blocks : int
        Blocks of states without a site, which come first, and of all states.
    s_re, s_im : ndarray, shape (block * row, lane)
        Injections without outage; what stays at a controlled bus when its units go. [pu]
    start_re, start_im : ndarray, shape (block * row, lane)
        Voltages without outage. [pu]
    held : ndarray of bool, shape (row,)
        Whether a row's magnitude is controlled.
    eq_ptr, ..., out_branch
        Per outage: where the changed equations stand, what they read, the gain of Woodbury's identity, the change of
        admittances, freed and dark rows, lost units, branches out.
    unit_re, unit_im : ndarray, shape (unit, state)
        What each unit delivers. [pu]
    terminals : ndarray, shape (branch, 3)
        Rows of the ends of every branch; -1 where it has no such end.
    loosen : bool
        Whether what breaks a limit in an outage without the site is held to its own worst value there.
    ref : int
        Row of the reference bus where remaining units share what is not scheduled; -1 where it is for the reference.
    up_row, down_row, up_lost, down_lost
        Headroom and footroom by row, and of the units that may be lost. [pu]
    none : float
        A change of generation by less is none. [pu]
    g_first, g_stop : ndarray, shape (outage,)
        Where in ``g_at``, ``g_val`` it stands how the power of the reference bus depends on the unknowns.
    change : ndarray, shape (state,)
        Change of generation without outage. [pu]
    margin, where : ndarray, shape (outage, 4, state)
        Smallest margin of each of ``KINDS`` and the second of a loading, and whose it is; negative is beyond.  The
        states without a site are held to the limits as they stand.
    tolerance : float
        Error at which a state is solved. [pu]
    solved : ndarray of bool, shape (outage, state)
        Whether the state contracts, stays near the state without outage, and lies within the headroom of the units.

    Notes
    -----
    Where units share, the change of generation ``t`` is one more unknown, and the active power of the reference bus its
    equation: with ``y = J^-1 f``, ``z = J^-1 part`` and the gradient ``g`` of that power, the bordered system gives the
    step of ``t`` as ``(f_ref - g y) / (g z - part_ref)``, and that of the voltages as ``y + z`` times it.
    """
    n = held.size
    m = d_val.size
    branches = branches_flat[0].size - 1
    vr, vi, vm, back = rows(n, s_re), rows(n, s_re), rows(n, s_re), rows(MOST_RANK, s_re)
    f, w_of, c_of = rows(m, l_val), rows(m, l_val), rows(MOST_RANK, l_val)
    step, before, spare, room = rows(1, s_re), rows(1, s_re), rows(1, s_re), rows(4, s_re)
    total, rise, fall, off_ref = rows(1, s_re), rows(1, s_re), rows(1, s_re), rows(1, s_re)
    up, down, z_up, z_down = np.zeros(n), np.zeros(n), np.zeros(m, np.float32), np.zeros(m, np.float32)
    up_total, by_up, by_down = 0.0, -1.0, -1.0
    at = np.empty((4, LANES), np.int64)
    done = np.empty(LANES, np.int64)
    ahead_re, ahead_im = np.ones(n), np.zeros(n)
    # Marks of the outage in hand, taken off again behind it.
    touched = np.full(n, -1, np.int64)
    freed, dark, less = np.zeros(n, np.bool_), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    out = np.zeros(branches, np.bool_)
    low_c, high_c, full_c = low.copy(), high.copy(), full.copy()
    for tile in range(*tiles):
        k = which[tile]
        e0, e1, r0, r1 = eq_ptr[k], eq_ptr[k + 1], read_ptr[k], read_ptr[k + 1]
        y0, y1, v0 = dy_ptr[k], dy_ptr[k + 1], dyv_ptr[k]
        rank, reads, g0 = e1 - e0, r1 - r0, gain_ptr[k]
        for e in range(y0, y1):
            touched[dy_row[e]] = e - y0
        for e in range(freed_ptr[k], freed_ptr[k + 1]):
            freed[freed_row[e]] = True
        for e in range(dark_ptr[k], dark_ptr[k + 1]):
            dark[dark_row[e]] = True
        for e in range(lost_ptr[k], lost_ptr[k + 1]):
            less[lost_row[e]] = True
        for e in range(out_ptr[k], out_ptr[k + 1]):
            out[out_branch[e]] = True
        if dark_ptr[k + 1] > dark_ptr[k]:
            for b in range(branches):
                for side in range(3):
                    if terminals[b, side] >= 0 and dark[terminals[b, side]]:
                        out[b] = True
        # W = J^-1 E, its columns in the lanes.
        for j in range(m):
            store(w_of, j, splat(np.float32(0.0)))
        for e in range(rank):
            w_of[eq_to[e0 + e], e] = 1.0
        if rank:
            _solve(w_of, lower, upper, l_val, u_val, d_val)
        if ref >= 0:
            up_total = _parts(up_row, up_lost, up, ref, none, dark, lost_row, lost_unit, lost_ptr[k], lost_ptr[k + 1])
            _parts(down_row, down_lost, down, ref, none, dark, lost_row, lost_unit, lost_ptr[k], lost_ptr[k + 1])
            for j in range(m):
                store(f, j, splat(np.float32(0.0)))
            for i in range(n):
                if angle_to[i] >= 0:
                    f[angle_to[i], 0], f[angle_to[i], 1] = up[i], down[i]
            _solve(f, lower, upper, l_val, u_val, d_val)
            _correct(f, w_of, c_of, rank, reads, g0, r0, gain, read_from)
            by_up, by_down = -up[ref], -down[ref]
            for j in range(m):
                z_up[j], z_down[j] = f[j, 0], f[j, 1]
            for e in range(g_first[k], g_stop[k]):
                by_up += g_val[e] * z_up[g_at[e]]
                by_down += g_val[e] * z_down[g_at[e]]
        if loosen:
            low_c[:], high_c[:], full_c[:] = low, high, full
        ahead = False
        for block in range(blocks):
            base = block * all_rows
            first = block * LANES
            for i in range(n):
                a, b = load(start_re, base + i), load(start_im, base + i)
                if ahead:  # the outage moves a state with a site about as it moves the one without
                    c, d = a * ahead_re[i] - b * ahead_im[i], a * ahead_im[i] + b * ahead_re[i]
                    a, b = c, d
                store(vr, i, a)
                store(vi, i, b)
                store(vm, i, root(a * a + b * b))
            done[:] = 0
            before[0, :] = 0.0
            if ref >= 0:  # as if the outage changed no losses
                for w in range(LANES):
                    total[0, w] = change[first + w]
                    for e in range(lost_ptr[k], lost_ptr[k + 1]):
                        if not dark[lost_row[e]]:
                            total[0, w] += unit_re[lost_unit[e], first + w]
                for e in range(dark_ptr[k], dark_ptr[k + 1]):
                    store(total, 0, load(total, 0) + load(s_re, base + dark_row[e]))
            for _ in range(most):
                if ref >= 0:
                    store(rise, 0, larger(load(total, 0), splat(0.0)))
                    store(fall, 0, smaller(load(total, 0), splat(0.0)))
                for i in range(n):
                    if angle_to[i] < 0 and i != ref:
                        continue
                    if dark[i]:
                        store(f, angle_to[i], splat(np.float32(0.0)))
                        store(f, magnitude_to[i], splat(np.float32(0.0)))
                        continue
                    c, d = splat(0.0), splat(0.0)
                    for e in range(y_ptr[i], y_ptr[i + 1]):
                        g, h = y_re[e], y_im[e]
                        a, b = load(vr, y_col[e]), load(vi, y_col[e])
                        c = c + g * a - h * b
                        d = d + g * b + h * a
                    if touched[i] >= 0:
                        for e in range(y1 - y0):
                            g = dyv_re[v0 + touched[i] * (y1 - y0) + e]
                            h = dyv_im[v0 + touched[i] * (y1 - y0) + e]
                            a, b = load(vr, dy_row[y0 + e]), load(vi, dy_row[y0 + e])
                            c = c + g * a - h * b
                            d = d + g * b + h * a
                    a, b = load(vr, i), load(vi, i)
                    p = a * c + b * d - load(s_re, base + i)
                    q = b * c - a * d - load(s_im, base + i)
                    if less[i]:
                        for e in range(lost_ptr[k], lost_ptr[k + 1]):
                            if lost_row[e] == i:
                                for w in range(LANES):
                                    back[0, w] = unit_re[lost_unit[e], first + w]
                                    back[1, w] = unit_im[lost_unit[e], first + w]
                                p = p + load(back, 0)
                                q = q + load(back, 1)
                    if ref >= 0:
                        p = p - up[i] * load(rise, 0) - down[i] * load(fall, 0)
                        if i == ref:
                            store(off_ref, 0, p)
                            continue
                    store(f, angle_to[i], narrow(p))
                    if held[i] and not freed[i]:
                        store(f, magnitude_to[i], splat(np.float32(0.0)))
                    else:
                        store(f, magnitude_to[i], narrow(q))
                _solve(f, lower, upper, l_val, u_val, d_val)
                _correct(f, w_of, c_of, rank, reads, g0, r0, gain, read_from)
                if ref >= 0:
                    t = load(off_ref, 0)
                    for e in range(g_first[k], g_stop[k]):
                        t = t - g_val[e] * widen(load(f, g_at[e]))
                    store(off_ref, 0, t)
                    for w in range(LANES):
                        rises = total[0, w] >= 0
                        by = off_ref[0, w] / (by_up if rises else by_down)
                        total[0, w] -= by
                        rise[0, w], fall[0, w] = (by, 0.0) if rises else (0.0, by)
                    more, less_by = narrow(load(rise, 0)), narrow(load(fall, 0))
                    for j in range(m):
                        store(f, j, load(f, j) + z_up[j] * more + z_down[j] * less_by)
                worst = splat(0.0)
                for i in range(n):
                    if angle_from[i] < 0 or dark[i]:
                        continue
                    t = widen(load(f, angle_from[i]))
                    worst = largest_keeping_nan(worst, magnitude(t))
                    c, d = turn(smaller(larger(t, splat(-1.0)), splat(1.0)))
                    a, b = load(vr, i), load(vi, i)
                    if not held[i] or freed[i]:  # nothing would correct what rounding adds to a held one
                        t = widen(load(f, magnitude_from[i]))
                        worst = largest_keeping_nan(worst, magnitude(t))
                        size = load(vm, i)
                        over = (size - t) / size
                        store(vm, i, size - t)
                        c, d = c * over, d * over
                    store(vr, i, a * c + b * d)
                    store(vi, i, b * c - a * d)
                store(step, 0, worst)
                if _settled(step, before, tolerance, done) == 0:
                    break
                before[0, :] = step[0, :]
            # What is far from the state without outage may be another root; what is no number slows the rest.
            for i in range(n):
                if angle_to[i] < 0 or dark[i]:
                    continue
                a, b = load(start_re, base + i), load(start_im, base + i)
                size = root(a * a + b * b)
                if any_above(magnitude(load(vm, i) - size), splat(far)):
                    for w in range(LANES):
                        if not abs(vm[i, w] - np.sqrt(start_re[base + i, w] ** 2 + start_im[base + i, w] ** 2)) <= far:
                            done[w] = 2
            for w in range(LANES):
                if ref >= 0 and total[0, w] > up_total + none:  # more than the units that remain can deliver
                    done[w] = 2
                solved[tile, first + w] = done[w] == 1
                if done[w] != 1:
                    for i in range(n):
                        vr[i, w], vi[i, w] = start_re[base + i, w], start_im[base + i, w]
            if block == 0 and done[0] == 1:
                ahead = True
                for i in range(n):
                    a, b, c, d = vr[i, 0], vi[i, 0], start_re[i, 0], start_im[i, 0]
                    size = c * c + d * d
                    ahead_re[i], ahead_im[i] = (a * c + b * d) / size, (b * c - a * d) / size
            loosening = loosen and block < zero_blocks
            room[:] = np.inf
            at[:] = -1
            for b in range(bus_row.size):
                i = bus_row[b]
                if i < 0 or dark[i]:
                    continue
                p, q = load(vr, i), load(vi, i)
                size = root(p * p + q * q)
                if block < zero_blocks:
                    least, most_pu = low[b], high[b]
                else:
                    least, most_pu = low_c[b], high_c[b]
                if least > -np.inf and any_above(load(room, 0), size - splat(least)):
                    _note(spare, size - splat(least), b, 0, room, at)
                if most_pu < np.inf and any_above(load(room, 1), splat(most_pu) - size):
                    _note(spare, splat(most_pu) - size, b, 1, room, at)
                if loosening and (any_above(splat(least - noise), size) or any_above(size, splat(most_pu + noise))):
                    store(spare, 0, size)
                    for w in range(LANES):
                        if done[w] == 1 and spare[0, w] < least - noise:
                            low_c[b] = min(low_c[b], spare[0, w] - worse_pu)
                        if done[w] == 1 and spare[0, w] > most_pu + noise:
                            high_c[b] = max(high_c[b], spare[0, w] + worse_pu)
            for b in range(branches):
                if out[b] or not full[b] < np.inf:
                    continue
                loading, _ = at_branch(vr, vi, 0, b, *branches_flat)
                limit = full[b] if block < zero_blocks else full_c[b]
                left = splat(limit) - loading
                if any_above(load(room, 3), left):
                    _note_two(spare, left, b, room, at)
                if loosening and any_above(loading, splat(full[b] + noise)):
                    store(spare, 0, loading)
                    for w in range(LANES):
                        if done[w] == 1 and spare[0, w] > full[b] + noise:
                            full_c[b] = max(full_c[b], spare[0, w] + worse_percent)
            for kind in range(4):
                for w in range(LANES):
                    margin[tile, kind, first + w] = room[kind, w] if done[w] == 1 else -np.inf
                    where[tile, kind, first + w] = at[kind, w]
        for e in range(y0, y1):
            touched[dy_row[e]] = -1
        for e in range(freed_ptr[k], freed_ptr[k + 1]):
            freed[freed_row[e]] = False
        for e in range(dark_ptr[k], dark_ptr[k + 1]):
            dark[dark_row[e]] = False
        for e in range(lost_ptr[k], lost_ptr[k + 1]):
            less[lost_row[e]] = False
        out[:] = False
