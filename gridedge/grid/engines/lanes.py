"""The inner loops of the batch engine: many states side by side in SIMD lanes, threads over blocks."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

LANES = 16


def _compiled(function: Any) -> Any:
    """Compile, keeping the machine code on disk where something is writable."""
    options: Any = {"nogil": True, "fastmath": {"contract", "arcp"}, "error_model": "numpy", "parallel": True}
    try:
        return numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it: compile in every process
        return numba.njit(**options)(function)


@_compiled
def chord(  # type: ignore[no-untyped-def]  # numba types it
    y_ptr, y_col, y_re, y_im, l_ptr, l_row, l_val, u_ptr, u_row, u_val, row_to, col_from,
    angle_row, magnitude_row, vm0, va0, p, q, tolerance, most, vr_out, vi_out, iterations,
):  # fmt: skip
    """Solve the power flow of many states with one factorised Jacobian.

    ``p`` and ``q`` (row, state) are injections in pu; ``angle_row`` and ``magnitude_row`` list the rows whose
    angle and magnitude are unknown, in the order of the Jacobian.  ``iterations`` is 0 for a state that did not
    converge.  A lane that is done or lost goes on unharmed: its result is taken once, when it converges.
    """
    n, states = p.shape
    na, m = angle_row.size, angle_row.size + magnitude_row.size
    blocks = (states + LANES - 1) // LANES
    for block in numba.prange(blocks):
        first = block * LANES
        live = min(LANES, states - first)
        vm, va = np.empty((n, LANES)), np.empty((n, LANES))
        vr, vi = np.empty((n, LANES)), np.empty((n, LANES))
        f = np.empty((m, LANES))
        cr, ci = np.empty(LANES), np.empty(LANES)
        step, bad = np.empty(LANES), np.zeros(LANES, dtype=np.int64)
        taken = np.zeros(LANES, dtype=np.int64)
        for i in range(n):
            c, s = np.cos(va0[i]) * vm0[i], np.sin(va0[i]) * vm0[i]
            for w in range(LANES):
                vm[i, w], va[i, w], vr[i, w], vi[i, w] = vm0[i], va0[i], c, s
        for iteration in range(1, most + 1):
            # Mismatch: the injection that the voltages make, less the wanted one.
            for k in range(m):
                i = angle_row[k] if k < na else magnitude_row[k - na]
                for w in range(LANES):
                    cr[w], ci[w] = 0.0, 0.0
                for e in range(y_ptr[i], y_ptr[i + 1]):
                    j, g, b = y_col[e], y_re[e], y_im[e]
                    for w in range(LANES):
                        cr[w] += g * vr[j, w] - b * vi[j, w]
                        ci[w] += g * vi[j, w] + b * vr[j, w]
                t = row_to[k]
                if k < na:
                    for w in range(LANES):
                        f[t, w] = vr[i, w] * cr[w] + vi[i, w] * ci[w]
                    for w in range(live):
                        f[t, w] -= p[i, first + w]
                else:
                    for w in range(LANES):
                        f[t, w] = vi[i, w] * cr[w] - vr[i, w] * ci[w]
                    for w in range(live):
                        f[t, w] -= q[i, first + w]
            # L then U, column by column.
            for j in range(m):
                for e in range(l_ptr[j], l_ptr[j + 1]):
                    r, x = l_row[e], l_val[e]
                    if r != j:
                        for w in range(LANES):
                            f[r, w] -= x * f[j, w]
            for j in range(m - 1, -1, -1):
                d = 1.0 / u_val[u_ptr[j + 1] - 1]
                for w in range(LANES):
                    f[j, w] *= d
                for e in range(u_ptr[j], u_ptr[j + 1] - 1):
                    r, x = u_row[e], u_val[e]
                    for w in range(LANES):
                        f[r, w] -= x * f[j, w]
            for w in range(LANES):
                step[w] = 0.0
            for k in range(m):
                c = col_from[k]
                if k < na:
                    i = angle_row[k]
                    for w in range(LANES):
                        va[i, w] -= f[c, w]
                else:
                    i = magnitude_row[k - na]
                    for w in range(LANES):
                        vm[i, w] -= f[c, w]
                for w in range(LANES):
                    size = abs(f[c, w])
                    # Written so that a NaN is kept: a comparison with it is false.
                    step[w] = size if not size <= step[w] else step[w]
            for k in range(na):
                i = angle_row[k]
                for w in range(LANES):
                    vr[i, w] = vm[i, w] * np.cos(va[i, w])
                    vi[i, w] = vm[i, w] * np.sin(va[i, w])
            open_lanes = 0
            for w in range(live):
                if taken[w] == 0 and bad[w] == 0:
                    if step[w] < tolerance:
                        taken[w] = iteration
                        for i in range(n):
                            vr_out[i, first + w], vi_out[i, first + w] = vr[i, w], vi[i, w]
                    elif not step[w] < 1e3:
                        bad[w] = 1
                    else:
                        open_lanes += 1
            if open_lanes == 0:
                break
        for w in range(live):
            iterations[first + w] = taken[w]
