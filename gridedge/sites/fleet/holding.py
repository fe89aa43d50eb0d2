"""Sites that hold back: a share of a site's accelerators rests for a while, and its requests go elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad, is_number, nearest

Float = NDArray[np.float64]


@dataclass(frozen=True)
class HoldBack:
    """A site that holds back a share of its accelerators.

    Parameters
    ----------
    site : str
        Which.
    from_s, to_s : float
        When the whole share rests. [s]
    hold_pu : float
        Share of its accelerators that takes no work. [pu]
    ramp_s, recovery_s : float
        Time before and after in which the share grows and falls evenly. [s]
    """

    site: str
    from_s: float
    to_s: float
    hold_pu: float
    ramp_s: float = 0.0
    recovery_s: float = 0.0

    def __post_init__(self) -> None:
        if not (is_number(self.hold_pu) and 0 <= self.hold_pu <= 1):
            raise bad(f"{self.site}: hold_pu is no share", self.hold_pu, "Give 0 to 1.")
        if not (is_number(self.from_s) and is_number(self.to_s) and self.from_s < self.to_s):
            value = f"{self.from_s:g} to {self.to_s:g} s"
            raise bad(f"{self.site}: it holds back for no time", value, "Give to_s above from_s.")
        if not (is_number(self.ramp_s) and is_number(self.recovery_s) and min(self.ramp_s, self.recovery_s) >= 0):
            value = f"ramp_s {self.ramp_s:g}, recovery_s {self.recovery_s:g}"
            raise bad(f"{self.site}: a ramp has a negative length", value, "Give 0 or more.")


def most_at_work(calls: Sequence[HoldBack], sites: Sequence[str], steps: int, dt_s: float) -> Float | None:
    """Return the share of each site's accelerators that may work, mean of every step; None where nobody holds back.

    Parameters
    ----------
    calls : sequence of HoldBack
        Calls of one site that overlap hold back the larger share.
    sites : sequence of str
        All sites.
    steps : int
        Length of the clock, from 0 s on.
    dt_s : float
        Step. [s]

    Returns
    -------
    ndarray, shape (site, time), or None
        [pu]

    Raises
    ------
    InputError
        If a site is unknown, or a call lies outside the clock.
    """
    if not calls:
        return None
    edges = dt_s * np.arange(steps + 1, dtype=np.float64)
    most = np.ones((len(sites), steps))
    for one in calls:
        if one.site not in sites:
            raise bad("unknown site", one.site, nearest(one.site, sites))
        if one.from_s - one.ramp_s < 0 or one.to_s + one.recovery_s > edges[-1]:
            value = f"{one.site}: {one.from_s - one.ramp_s:g} to {one.to_s + one.recovery_s:g} s of {edges[-1]:g} s"
            raise bad("a site is called outside the clock", value, "Lengthen the clock, or move the call.")
        held = one.hold_pu * np.diff(_integral(edges, one)) / dt_s
        row = sites.index(one.site)
        most[row] = np.minimum(most[row], np.clip(1.0 - held, 0.0, 1.0))
    return most


def _integral(t: Float, one: HoldBack) -> Float:
    """Return the integral of the share (1 when all of it rests) up to each time, in s."""

    def rising(begin: float, length: float) -> Float:
        """Return the integral of a ramp from 0 to 1 that stays there."""
        if length == 0:
            return np.maximum(t - begin, 0.0)
        x = np.clip((t - begin) / length, 0.0, 1.0)
        return np.asarray(length * x**2 / 2.0 + np.maximum(t - begin - length, 0.0))

    return np.asarray(rising(one.from_s - one.ramp_s, one.ramp_s) - rising(one.to_s, one.recovery_s))
