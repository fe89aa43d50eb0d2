"""The inner loop of the surface engine: polynomials of many states side by side."""

# numba types the functions below; mypy cannot.
# mypy: disable-error-code="no-untyped-def, no-untyped-call"

from __future__ import annotations

from gridedge.grid.engines.buffers import LANES
from gridedge.grid.engines.compiled import compiled
from gridedge.grid.engines.lanes import TILE, side_by_side
from gridedge.grid.engines.simd import load, rows, splat, store


@compiled
def evaluate(tiles, x, states, all_rows, slope, offset, degree, w_re, w_im, v_re, v_im):
    """Evaluate products of Chebyshev polynomials, voltages to ``v_re`` and ``v_im`` (block * row, lane).

    ``slope`` (column, axis) and ``offset`` (axis,) turn values ``x`` (state, column) into coordinates between -1
    and 1; ``degree`` (term, axis) are the degrees of each term, ``w_re`` and ``w_im`` (row, term) its coefficients.
    """
    terms, dims = degree.shape
    most = degree.max() + 1
    for tile in range(*tiles):
        xt, t, phi = rows(x.shape[1], w_re), rows(dims * max(most, 2), w_re), rows(terms, w_re)
        for block in range(tile * (TILE // LANES), min((tile + 1) * (TILE // LANES), (states + LANES - 1) // LANES)):
            first = block * LANES
            side_by_side(x, first, min(LANES, states - first), xt)
            for a in range(dims):
                z = splat(offset[a])
                for c in range(x.shape[1]):
                    z = z + slope[c, a] * load(xt, c)
                store(t, a * most, splat(1.0))
                if most > 1:
                    store(t, a * most + 1, z)
                for k in range(2, most):
                    store(t, a * most + k, 2.0 * z * load(t, a * most + k - 1) - load(t, a * most + k - 2))
            for k in range(terms):
                product = load(t, degree[k, 0])
                for a in range(1, dims):
                    if degree[k, a] > 0:
                        product = product * load(t, a * most + degree[k, a])
                store(phi, k, product)
            for i in range(all_rows):
                re, im = splat(0.0), splat(0.0)
                for k in range(terms):
                    p = load(phi, k)
                    re = re + w_re[i, k] * p
                    im = im + w_im[i, k] * p
                store(v_re, block * all_rows + i, re)
                store(v_im, block * all_rows + i, im)
