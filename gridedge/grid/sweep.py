"""Every bus, every level, every step: how near each state is to the net's limits, none left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.grid.clock import clock_of
from gridedge.grid.engines import reference
from gridedge.grid.engines.batch import Batch
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.inputs import inputs
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.solver import side_by_side
from gridedge.grid.engines.threads import on_threads
from gridedge.grid.feeders import find_bus
from gridedge.grid.inject import Background, moving_background, private_copy

Float = NDArray[np.float64]
_TILE = 128


def sweep(
    net: Any,
    buses: Sequence[int | str],
    p_mw: Sequence[float],
    *,
    q_per_p: float = 0.0,
    background: Background = None,
    limits: Mapping[str, Any],
    no_worse: bool = False,
) -> xr.Dataset:
    """Try a site of every size at every bus in every step, one site at a time.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    buses : sequence of int or str
        Where the site is tried.
    p_mw : sequence of float
        Sizes, consumption positive. [MW]
    q_per_p : float
        Reactive power per active power, lagging positive.
    background : Dataset or dict of Datasets, optional
        How the net's own elements move, as for :func:`gridedge.solve`; without, one step.
    limits : mapping
        ``vm_pu`` (low, high) [pu] and ``loading_percent`` [%]; one that is absent does not apply.
    no_worse : bool
        Whether an element that breaks its limit without a site is held to its own worst value of all steps instead.

    Returns
    -------
    Dataset
        ``vm_room_pu(bus, p_mw, time)`` [pu] and ``loading_room_percent(bus, p_mw, time)`` [%]: the smallest distance
        from a limit over all buses and branches, negative beyond; ``converged``.  NaN where there is no solution.

    Raises
    ------
    InputError
        If a bus is unknown, or the net has what the batch engine cannot do exactly.
    """
    own, remarks = private_copy(net)
    clock = clock_of(None, background)
    moving, idle = moving_background(own, background, clock)
    reference.base_state(own)
    reasons = covers(own)
    model = extract(own) if not reasons else None
    if model is None:
        raise bad("the net cannot be swept exactly", ", ".join(reasons) or "its model", "Use gridedge.solve.")
    what = inputs(own, model, moving)
    place = [find_bus(own, b)[0] for b in buses]
    row_of = dict(zip(model.readout.bus_index.tolist(), model.readout.bus_row.tolist(), strict=True))
    rows = np.array([row_of[b] for b in place], dtype=np.intp)
    if (rows < 0).any():
        dead = [b for b, r in zip(place, rows, strict=True) if r < 0]
        raise bad("a bus has no supply", str(dead[:5]), "Leave it out, or close the switches towards it.")

    # One more column per bus: what the site draws there.
    count = sum(m.rows.size for m in moving)
    draw = sp.csr_matrix((np.full(rows.size, -1.0 / model.base_mva), (rows, np.arange(rows.size))),
                         shape=(model.v0.size, rows.size))  # fmt: skip
    p = sp.csr_matrix(sp.hstack([what.p, draw]))
    q = sp.csr_matrix(sp.hstack([what.q, q_per_p * draw]))
    base = side_by_side(moving, slice(0, clock.steps)) if moving else np.zeros((clock.steps, 0))
    mean = np.r_[base.mean(axis=0), np.zeros(rows.size)]
    batch = Batch(model, what.still, p, q, what.still + p @ mean + 1j * (q @ mean))

    levels = np.asarray(p_mw, dtype=float)
    states = levels.size * clock.steps
    flat = model.readout.flat()
    bounds = _bounds(model.readout, limits)
    x = np.zeros((states, count + rows.size))
    v = Lanes(model.v0.size, states)
    if no_worse:
        x[: clock.steps, :count] = base
        bounds = _loosened(batch, flat, model.readout, bounds, x[: clock.steps], v)
    x[:, :count] = np.tile(base, (levels.size, 1))
    drawn = np.repeat(levels, clock.steps)
    shape = (rows.size, levels.size, clock.steps)
    vm_room, loading_room, converged = np.empty(shape), np.empty(shape), np.empty(shape, dtype=bool)
    for k in range(rows.size):
        x[:, count:] = 0.0
        x[:, count + k] = drawn
        solved = batch.solve(moving, x, v)
        room = np.empty((2, states))
        tiles = -(-states // _TILE)
        on_threads(_extremes(), tiles, v.re, v.im, states, v.rows, flat[0][0], flat[1], *bounds, room[0], room[1])
        room[:, ~solved] = np.nan
        vm_room[k], loading_room[k] = room.reshape(2, *shape[1:])
        converged[k] = solved.reshape(shape[1:])
    dims = ("bus", "p_mw", "time")
    ds = xr.Dataset(
        {"vm_room_pu": (dims, vm_room), "loading_room_percent": (dims, loading_room), "converged": (dims, converged)},
        coords={"bus": place, "p_mw": levels},
    ).assign_coords(clock.coordinate())
    ds.attrs = {"engine": "batch", "engine_detail": batch.method, "remarks": remarks + idle}
    return ds


def _extremes() -> Any:
    from gridedge.grid.engines.outputs import keep_extremes

    return keep_extremes


def _bounds(out: Any, limits: Mapping[str, Any]) -> tuple[Float, Float, Float]:
    low, high = limits.get("vm_pu") or (-np.inf, np.inf)
    full = float(limits.get("loading_percent") or np.inf)
    buses = out.bus_index.size
    alive = np.full(len(out.labels), full)
    alive[out.dead] = np.inf
    return np.full(buses, float(low)), np.full(buses, float(high)), alive


def _loosened(
    batch: Batch, flat: Any, out: Any, bounds: tuple[Float, Float, Float], x: Float, v: Lanes
) -> tuple[Float, Float, Float]:
    """Return the limits, moved to where each element is at its worst without a site."""
    from gridedge.grid.engines.outputs import keep_reduced

    solved = batch.solve([], x, v)
    v.blank(solved)
    low, high, full = bounds
    size = 2 * (out.bus_index.size + len(out.labels))
    parts = np.empty((4, -(-solved.size // _TILE), size))
    never = np.full(size, np.inf)
    on_threads(keep_reduced, parts.shape[1], v.re, v.im, solved.size, v.rows, *flat, -never, never, *parts)
    least, most = parts[0].min(axis=0), parts[1].max(axis=0)
    buses = out.bus_index.size
    loading = most[2 * buses : 2 * buses + full.size]
    return np.fmin(low, least[:buses]), np.fmax(high, most[:buses]), np.fmax(full, np.where(loading < 0, full, loading))
