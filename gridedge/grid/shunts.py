"""Shunts that switch with the season: how much of each is in at which load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]


@dataclass(frozen=True)
class ShuntRule:
    """When capacitors and reactors are in.

    Parameters
    ----------
    slope : float
        How much faster than the load of its area the capacitors of an area go: with ``r`` the load over that of the
        net as it stands, the share ``1 - slope (1 - r)`` of them is in, between 0 and 1.  1 is plain proportion.
    steps : int
        Equal steps in which each bank switches, to the nearest; 0 switches nothing.
    reactors_below_pu : float, optional
        Load of its area below which a reactor is in; without it, reactors stay as the net has them. [pu]

    Notes
    -----
    The rule is *chosen*: no file says how banks switch.  Lines draw reactive power with the square of the load and
    give a constant one, so that capacitors must leave faster than the load: on ``texas2000`` a slope of 1 leaves
    1.08 pu in the lightest hour, 1.7 brings it to 1.05 pu.  It knows no hysteresis, as hours are solved one by one.
    """

    slope: float = 1.7
    steps: int = 4
    reactors_below_pu: float | None = None

    def __post_init__(self) -> None:
        if not self.slope >= 0:
            raise bad("the slope of the shunts must not be negative", self.slope, "Give ShuntRule(slope=1.7).")
        if self.steps < 0 or int(self.steps) != self.steps:
            raise bad("shunts switch in whole steps", self.steps, "Give ShuntRule(steps=4), or 0 to switch nothing.")
        if self.reactors_below_pu is not None and not self.reactors_below_pu >= 0:
            raise bad("reactors_below_pu must not be negative", self.reactors_below_pu, "Give 0.5, or leave it out.")


def shares_in(load_pu: Float, q_mvar: Float, rule: ShuntRule) -> Float:
    """Return how much of each shunt is in.

    Parameters
    ----------
    load_pu : ndarray, shape (time, shunt)
        Load of the shunt's area over that of the net as it stands. [pu]
    q_mvar : ndarray, shape (shunt,)
        Reactive power drawn at 1 pu: capacitors are negative. [Mvar]
    rule : ShuntRule
        When they switch.

    Returns
    -------
    ndarray, shape (time, shunt)
        0 is out, 1 is as in the net as it stands.
    """
    if rule.steps == 0:
        return np.ones(load_pu.shape)
    wanted = np.clip(1.0 - rule.slope * (1.0 - load_pu), 0.0, 1.0)
    share = np.where(q_mvar < 0, np.round(wanted * rule.steps) / rule.steps, 1.0)
    if rule.reactors_below_pu is not None:
        share = np.where(q_mvar > 0, np.where(load_pu < rule.reactors_below_pu, 1.0, 0.0), share)
    return np.asarray(share)


def admittance_pu(net: Any, base_mva: float) -> NDArray[np.complex128]:
    """Return the admittance of each shunt in service, on the base of its bus, as pandapower's ``runpp`` takes it.

    Parameters
    ----------
    net : pandapowerNet
        The net; its table ``shunt`` states the power drawn at the rated voltage of the shunt.
    base_mva : float
        Base power. [MVA]

    Returns
    -------
    ndarray, shape (shunt,)
        0 for a shunt that is out of service. [pu]
    """
    frame = net.shunt
    vn_kv = net.bus["vn_kv"].reindex(frame["bus"]).to_numpy(float)
    ratio = (vn_kv / frame["vn_kv"].to_numpy(float)) ** 2 * frame["step"].to_numpy(float)
    drawn = frame["p_mw"].to_numpy(float) + 1j * frame["q_mvar"].to_numpy(float)
    return np.asarray(np.conj(drawn) * ratio * frame["in_service"].to_numpy(bool) / base_mva)
