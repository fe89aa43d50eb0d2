"""Smoothing by the computers themselves: work that is done only to draw power."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from gridedge.errors import bad
from gridedge.sites.step import Around, Outcome
from gridedge.spec import Spec, quantity

Float = NDArray[np.float64]


class DummyLoad(Spec):
    """A dummy workload in software that holds a floor under the IT power."""

    step: Literal["dummy_load"]
    place: Literal["chip"] = "chip"
    """Where it acts: in the accelerators, so that cooling and conversion carry it too."""
    floor_pu: float = Field(gt=0, le=1)
    """Floor that it holds. [pu of IT nameplate]"""
    reaction_s: float = quantity(
        0.1,
        mark="quoted",
        source="power telemetry of accelerators comes at least 100 ms late (Choukse et al. 2025)",
        ge=0,
    )
    """How late it sees the power that it fills up. [s]"""

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Fill up to the floor."""
        if around.nameplate_mw is None:
            cure = 'Set load.attrs["nameplate_mw"] to the nameplate of the servers in MW.'
            raise bad("the load does not say its nameplate", "", cure)
        floor_mw, most_mw = self.floor_pu * around.nameplate_mw, around.nameplate_mw
        filled = dummy_load(p_mw, around.dt_s, floor_mw=floor_mw, reaction_s=self.reaction_s, most_mw=most_mw)
        return Outcome(p_mw + filled, wasted_mw=filled)


def dummy_load(p_mw: Float, dt_s: float, *, floor_mw: float, reaction_s: float, most_mw: float) -> Float:
    r"""Return what a reactive dummy workload draws on top of the real work.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power of the real work. [MW]
    dt_s : float
        Step length. [s]
    floor_mw : float
        Floor that is held. [MW]
    reaction_s : float
        Delay between the power and the reaction to it; within a step, its share of the step. [s]
    most_mw : float
        The accelerators' own limit, which real and dummy work share. [MW]

    Returns
    -------
    ndarray, shape (..., time)
        Dummy power, never negative. [MW]

    Raises
    ------
    ValueError
        If the floor lies above the limit, or a value is negative.

    Notes
    -----
    .. math:: d_k = \min\bigl((1-\varphi) m_{k-n} + \varphi\, m_{k-n-1},\ \max(M - p_k, 0)\bigr),
       \quad m_k = \max(F - p_k, 0), \quad n + \varphi = t_r / \Delta t

    It is late both ways: an edge passes before the filling starts, and real work that returns
    adds to filling that has not stopped yet, up to the limit :math:`M`.
    """
    if not 0 < floor_mw <= most_mw:
        raise bad(
            "the floor lies above the accelerators' limit", f"{floor_mw:g} MW > {most_mw:g} MW", "Lower floor_pu."
        )
    if reaction_s < 0:
        raise bad("reaction_s is negative", reaction_s, "It cannot act before it sees; give 0 or more.")
    late = int(reaction_s / dt_s + 1e-9)
    part = max(reaction_s / dt_s - late, 0.0)
    missing = np.maximum(floor_mw - p_mw, 0.0)
    wanted = (1.0 - part) * _delayed(missing, late) + part * _delayed(missing, late + 1)
    return np.minimum(wanted, np.maximum(most_mw - p_mw, 0.0))


def _delayed(values: Float, steps: int) -> Float:
    """Return a series some steps late; it starts with its first value."""
    if not steps:
        return values
    first = np.repeat(values[..., :1], min(steps, values.shape[-1]), axis=-1)
    return np.concatenate((first, values[..., :-steps]), axis=-1)[..., : values.shape[-1]]
