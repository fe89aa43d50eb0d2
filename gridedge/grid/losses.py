"""Losses of a whole net, and the power that it delivers, in many states at once."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.trial import Float, Trial

_TOGETHER = 2048  # states whose complex voltages are held at once


def feeder_losses(trial: Trial, x: Float) -> tuple[Float, Float, NDArray[np.bool_]]:
    """Return losses and delivered power of states.

    Parameters
    ----------
    trial : Trial
        The net.
    x : ndarray, shape (state, moving)
        As :meth:`gridedge.grid.trial.Trial.states` makes them.

    Returns
    -------
    losses_mw : ndarray, shape (state,)
        Of all lines, transformers and impedances, iron included: the sum of ``pl_mw`` of ``runpp``. [MW]
    delivered_mw : ndarray, shape (state,)
        What the buses draw from the branches: at each bus load less generation, where that is positive; not at a
        reference bus, whose load no branch carries. [MW]
    solved : ndarray of bool, shape (state,)
        Where there is a solution; elsewhere both are NaN.
    """
    states = x.shape[0]
    losses, delivered = np.full(states, np.nan), np.full(states, np.nan)
    solved = np.zeros(states, dtype=bool)
    model = trial.model
    # All that flows into branches at their ends, v^H (E' Y_end) v summed over the ends, is what they lose.
    lost = sp.csr_matrix(model.y.shape, dtype=complex)
    for side in model.readout.sides:
        ends = sp.csr_matrix(
            (np.ones(side.bus.size), (side.bus, np.arange(side.bus.size))), (model.v0.size, side.bus.size)
        )
        lost = lost + ends @ side.admittance
    fed = np.ones(model.v0.size, dtype=bool)
    fed[model.ref] = False
    for first in range(0, states, _TOGETHER):
        here = slice(first, min(first + _TOGETHER, states))
        lanes = Lanes(model.v0.size, here.stop - first)
        solved[here] = trial.solve(x[here], lanes)
        v = lanes.take(np.arange(here.stop - first))
        losses[here] = np.einsum("rs,rs->s", v.conj(), lost @ v).real * model.base_mva
        drawn = -(v * (model.y @ v).conj()).real[fed] * model.base_mva
        delivered[here] = np.maximum(drawn, 0.0).sum(axis=0)
    losses[~solved] = delivered[~solved] = np.nan
    return losses, delivered, solved
