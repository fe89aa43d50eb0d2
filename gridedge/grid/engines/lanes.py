"""The inner loops of the batch engine: many states side by side in SIMD lanes, threads over tiles of states.

Voltages are held as (block, row, lane): the states of a block lie side by side.  A tile is what one thread
works off alone; it is the same number of states however many threads there are.
"""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

import numpy as np

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.simd import (
    any_above,
    larger,
    largest_keeping_nan,
    load,
    magnitude,
    narrow,
    rows,
    smaller,
    splat,
    store,
    widen,
)

TILE = 8 * LANES


@compiled
def side_by_side(x, first, live, out):
    """Turn rows of states into rows of lanes; lanes without a state repeat the first."""
    for w in range(LANES):
        state = first + w if w < live else first
        for e in range(x.shape[1]):
            out[e, w] = x[state, e]


@compiled
def gathered(x, when, first, live, out):
    """Do the same with the rows ``when`` (state,) of ``x``; where it is empty, with all of them in turn."""
    if not when.size:
        side_by_side(x, first, live, out)
        return
    for w in range(LANES):
        state = when[first + w] if w < live else when[first]
        for e in range(x.shape[1]):
            out[e, w] = x[state, e]


@compiled
def draw(site, drawn_re, drawn_im, first, live, s_re, s_im):
    """Subtract what the site of each state draws at its row, in place; a negative row draws nothing."""
    if site.size:
        for w in range(live):
            k = site[first + w]
            if k >= 0:
                s_re[k, w] -= drawn_re[first + w]
                s_im[k, w] -= drawn_im[first + w]


@compiled
def weighted(base, ptr, col, val, i, x):
    """Return a constant plus a sparse row of weights times what moves."""
    total = splat(base)
    for e in range(ptr[i], ptr[i + 1]):
        total = total + val[e] * load(x, col[e])
    return total


@compiled
def settled(step, before, tolerance, done, live):
    """Note the lanes whose error is below the tolerance; return how many are still open.

    What is left after a step of a contraction is step * r / (1 - r), r being the ratio of the last two steps;
    it is taken as 0.05 at least, for one lucky step proves no rate.
    ``done`` is 1 for settled, 2 for lost; a lost lane stays lost.
    """
    still_open = 0
    for w in range(live):
        s = step[0, w]
        if not s < 1e3:
            done[w] = 2
        if done[w] == 2:
            continue
        r = min(max(s / before[0, w], 0.05), 0.9) if before[0, w] > 0 else 0.9
        done[w] = 1 if s * r / (1.0 - r) < tolerance else 0
        still_open += 1 - done[w]
    return still_open


@compiled
def fixed_point(
    tiles, x, when, site, drawn_re, drawn_im, states, all_rows,
    still_re, still_im, p_ptr, p_col, p_val, q_ptr, q_col, q_val, lower, upper,
    l_re, l_im, u_re, u_im, d_re, d_im, idle_re, idle_im, start_re, start_im, row,
    fixed_row, fixed_re, fixed_im, low2, high2, v_re, v_im, tolerance, most, passes,
):  # fmt: skip
    """Solve the power flow of states of a net without voltage-controlled buses: V = V_idle + Z conj(S / V).

    Rows are in the order of the factors, ``row`` being their place in the net.  ``x`` (state, element) is what
    moves; ``still`` plus the sparse weights times ``x`` are the injections.  With ``when`` (state,) the values are the
    rows ``when`` of ``x``; a site, where there is one, draws ``drawn`` (state,) [pu] at its place ``site`` (state,)
    among the rows of the factors.  Voltages go to ``v_re`` and ``v_im`` (block * row, lane).
    ``passes`` (state,) is 0 for a state that did not converge or left the band ``low2`` to ``high2`` of squared
    magnitudes.
    """
    n = row.size
    l_ptr, l_row = lower
    u_ptr, u_row = upper
    for tile in range(*tiles):
        xt = rows(x.shape[1], still_re)
        s_re, s_im, vr, vi = rows(n, still_re), rows(n, still_re), rows(n, still_re), rows(n, still_re)
        ir, ii = rows(n, still_re), rows(n, still_re)
        step, before = rows(1, still_re), rows(1, still_re)
        done = np.empty(LANES, np.int64)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first = block * LANES
            live = min(LANES, states - first)
            gathered(x, when, first, live, xt)
            for k in range(n):
                store(s_re, k, weighted(still_re[k], p_ptr, p_col, p_val, k, xt))
                store(s_im, k, weighted(still_im[k], q_ptr, q_col, q_val, k, xt))
                store(vr, k, splat(start_re[k]))
                store(vi, k, splat(start_im[k]))
            draw(site, drawn_re, drawn_im, first, live, s_re, s_im)
            done[:] = 0
            before[0, :] = 0.0
            taken = 0
            for iteration in range(1, most + 1):
                for k in range(n):
                    a, b, p, q = load(vr, k), load(vi, k), load(s_re, k), load(s_im, k)
                    over = 1.0 / (a * a + b * b)
                    store(ir, k, (p * a + q * b) * over)
                    store(ii, k, (p * b - q * a) * over)
                for j in range(n):
                    a, b = load(ir, j), load(ii, j)
                    for e in range(l_ptr[j], l_ptr[j + 1]):
                        r, g, h = l_row[e], l_re[e], l_im[e]
                        store(ir, r, load(ir, r) - g * a + h * b)
                        store(ii, r, load(ii, r) - g * b - h * a)
                worst = splat(0.0)
                for j in range(n - 1, -1, -1):
                    c, d = load(ir, j), load(ii, j)
                    a = d_re[j] * c - d_im[j] * d
                    b = d_re[j] * d + d_im[j] * c
                    for e in range(u_ptr[j], u_ptr[j + 1]):
                        r, g, h = u_row[e], u_re[e], u_im[e]
                        store(ir, r, load(ir, r) - g * a + h * b)
                        store(ii, r, load(ii, r) - g * b - h * a)
                    a = a + idle_re[j]
                    b = b + idle_im[j]
                    c = a - load(vr, j)
                    d = b - load(vi, j)
                    worst = largest_keeping_nan(worst, c * c + d * d)
                    store(vr, j, a)
                    store(vi, j, b)
                store(step, 0, worst)
                for w in range(LANES):
                    step[0, w] = np.sqrt(step[0, w])
                taken = iteration
                if settled(step, before, tolerance, done, live) == 0:
                    break
                before[0, :] = step[0, :]
            for w in range(live):
                passes[first + w] = taken if done[w] == 1 else 0
            for k in range(n):
                a, b = load(vr, k), load(vi, k)
                size = a * a + b * b
                if any_above(size, splat(high2[k])) or any_above(splat(low2[k]), size):
                    for w in range(live):
                        if not low2[k] <= vr[k, w] ** 2 + vi[k, w] ** 2 <= high2[k]:
                            passes[first + w] = 0
                store(v_re, block * all_rows + row[k], a)
                store(v_im, block * all_rows + row[k], b)
            for k in range(fixed_row.size):
                store(v_re, block * all_rows + fixed_row[k], splat(fixed_re[k]))
                store(v_im, block * all_rows + fixed_row[k], splat(fixed_im[k]))


@compiled
def turn(angle):
    """Return cosine and sine of small angles, by their series; exact to rounding up to 1 rad."""
    z = angle * angle
    c = splat(-1.0 / 6402373705728000.0)
    c = c * z + 1.0 / 20922789888000.0
    c = c * z - 1.0 / 87178291200.0
    c = c * z + 1.0 / 479001600.0
    c = c * z - 1.0 / 3628800.0
    c = c * z + 1.0 / 40320.0
    c = c * z - 1.0 / 720.0
    c = c * z + 1.0 / 24.0
    c = c * z - 0.5
    c = c * z + 1.0
    s = splat(1.0 / 355687428096000.0)
    s = s * z - 1.0 / 1307674368000.0
    s = s * z + 1.0 / 6227020800.0
    s = s * z - 1.0 / 39916800.0
    s = s * z + 1.0 / 362880.0
    s = s * z - 1.0 / 5040.0
    s = s * z + 1.0 / 120.0
    s = s * z - 1.0 / 6.0
    s = s * z * angle + angle
    return c, s


@compiled
def chord(
    tiles, x, when, site, drawn_re, drawn_im, states, all_rows,
    still_re, still_im, p_ptr, p_col, p_val, q_ptr, q_col, q_val, lower, upper,
    l_val, u_val, d_val, y_ptr, y_col, y_re, y_im, angle_to, magnitude_to, angle_from, magnitude_from,
    vm0, v0_re, v0_im, share_row, share, change_from, change, low, high, v_re, v_im, tolerance, most, passes,
):  # fmt: skip
    """Solve the power flow of states with one factorised Jacobian, in polar coordinates.

    The mismatch is taken in double precision, the correction solved for in single: each pass reduces the error by
    the contraction of the chord, which single precision does not spoil.  ``angle_to`` and ``magnitude_to`` (row,)
    say where the mismatch of a row goes, ``angle_from`` and ``magnitude_from`` where its correction stands, -1 where
    it has none.  The rest is as in :func:`fixed_point`, with rows in the order of the net and the band in pu.

    Where units share, ``share`` are their parts, by row, of one change of generation, an unknown of its own whose
    correction stands at ``change_from``; its equation is the active power of the reference bus, which has an
    ``angle_to`` for it.  ``change`` (state,) [pu] is what it comes to.
    """
    n = vm0.size
    m = d_val.size
    l_ptr, l_row = lower
    u_ptr, u_row = upper
    for tile in range(*tiles):
        xt = rows(x.shape[1], still_re)
        s_re, s_im, vr, vi, vm = (
            rows(n, still_re), rows(n, still_re), rows(n, still_re), rows(n, still_re), rows(n, still_re)
        )  # fmt: skip
        f = rows(m, l_val)
        step, before, total = rows(1, still_re), rows(1, still_re), rows(1, still_re)
        done = np.empty(LANES, np.int64)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first = block * LANES
            live = min(LANES, states - first)
            gathered(x, when, first, live, xt)
            for i in range(n):
                store(s_re, i, weighted(still_re[i], p_ptr, p_col, p_val, i, xt))
                store(s_im, i, weighted(still_im[i], q_ptr, q_col, q_val, i, xt))
                store(vr, i, splat(v0_re[i]))
                store(vi, i, splat(v0_im[i]))
                store(vm, i, splat(vm0[i]))
            draw(site, drawn_re, drawn_im, first, live, s_re, s_im)
            total[0, :] = 0.0
            done[:] = 0
            before[0, :] = 0.0
            taken = 0
            for iteration in range(1, most + 1):
                for i in range(n):
                    if angle_to[i] < 0:
                        continue
                    c, d = splat(0.0), splat(0.0)
                    for e in range(y_ptr[i], y_ptr[i + 1]):
                        j, g, h = y_col[e], y_re[e], y_im[e]
                        a, b = load(vr, j), load(vi, j)
                        c = c + g * a - h * b
                        d = d + g * b + h * a
                    a, b = load(vr, i), load(vi, i)
                    store(f, angle_to[i], narrow(a * c + b * d - load(s_re, i)))
                    if magnitude_to[i] >= 0:
                        store(f, magnitude_to[i], narrow(b * c - a * d - load(s_im, i)))
                for j in range(m):
                    t = load(f, j)
                    for e in range(l_ptr[j], l_ptr[j + 1]):
                        store(f, l_row[e], load(f, l_row[e]) - l_val[e] * t)
                for j in range(m - 1, -1, -1):
                    t = load(f, j) * d_val[j]
                    store(f, j, t)
                    for e in range(u_ptr[j], u_ptr[j + 1]):
                        store(f, u_row[e], load(f, u_row[e]) - u_val[e] * t)
                worst = splat(0.0)
                for i in range(n):
                    if angle_from[i] < 0:
                        continue
                    t = widen(load(f, angle_from[i]))
                    worst = largest_keeping_nan(worst, magnitude(t))
                    c, d = turn(smaller(larger(t, splat(-1.0)), splat(1.0)))
                    a, b = load(vr, i), load(vi, i)
                    if magnitude_from[i] >= 0:
                        t = widen(load(f, magnitude_from[i]))
                        worst = largest_keeping_nan(worst, magnitude(t))
                        size = load(vm, i)
                        over = (size - t) / size
                        store(vm, i, size - t)
                        c = c * over
                        d = d * over
                    store(vr, i, a * c + b * d)
                    store(vi, i, b * c - a * d)
                if change_from >= 0:
                    t = widen(load(f, change_from))
                    store(total, 0, load(total, 0) - t)
                    for k in range(share_row.size):
                        store(s_re, share_row[k], load(s_re, share_row[k]) - share[k] * t)
                store(step, 0, worst)
                taken = iteration
                if settled(step, before, tolerance, done, live) == 0:
                    break
                before[0, :] = step[0, :]
            for w in range(live):
                passes[first + w] = taken if done[w] == 1 else 0
                if change_from >= 0:
                    change[first + w] = total[0, w]
            for i in range(n):
                size = load(vm, i)
                if any_above(size, splat(high[i])) or any_above(splat(low[i]), size):
                    for w in range(live):
                        if not low[i] <= vm[i, w] <= high[i]:
                            passes[first + w] = 0
                store(v_re, block * all_rows + i, load(vr, i))
                store(v_im, block * all_rows + i, load(vi, i))
