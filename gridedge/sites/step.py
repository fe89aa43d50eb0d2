"""What a step of mitigation is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Place = Literal["chip", "rack", "ups", "site"]
PLACES: tuple[Place, ...] = ("chip", "rack", "ups", "site")
"""From the accelerator outwards; a step acts on what those further in have left of the load."""


@dataclass(frozen=True)
class Around:
    """What a step may know beside the power that it shapes.

    Parameters
    ----------
    dt_s : float
        Step length. [s]
    nameplate_mw : float or None
        Nameplate of the servers. [MW]
    server : str, mapping or None
        Server type, as the catalogue names it, or its description.
    servers : int or None
        Their number.
    active_pu : ndarray, shape (..., time), or None
        Share of the servers whose job runs; None where all run all the time.
    vm_pu : ndarray, shape (time,), or None
        Voltage at the point of connection. [pu]
    measured : bool
        Whether the load is a measured series, whose work cannot be stretched.
    """

    dt_s: float
    nameplate_mw: float | None = None
    server: str | Mapping[str, Any] | None = None
    servers: int | None = None
    active_pu: Float | None = None
    vm_pu: Float | None = None
    measured: bool = False


@dataclass(frozen=True)
class Outcome:
    """What a step made of a power; arrays of the power's shape, in MW, consumption positive.

    ``before - delayed + wasted + lost + stored = p`` holds at every sample.

    Parameters
    ----------
    p_mw : ndarray, shape (..., time)
        Power after the step. [MW]
    wasted_mw, lost_mw, delayed_mw, stored_mw : ndarray or None
        Its books; None is zero throughout. [MW]
    soc_pu : ndarray or None
        State of charge at the end of each sample, for what stores energy. [pu]
    part_soc_pu : tuple of (str, ndarray)
        The same of each store by name, where a step has several; ``soc_pu`` then is that of all together.
    q_mvar : ndarray or None
        Reactive power that the step adds, lagging positive. [Mvar]
    notes : tuple of str
        What a reader must know, in sentences: what was clipped, and what could not be held, by how much.
    figures : tuple of (str, float)
        Scalars to report, each with its unit in its name.
    """

    p_mw: Float
    wasted_mw: Float | None = None
    lost_mw: Float | None = None
    delayed_mw: Float | None = None
    stored_mw: Float | None = None
    soc_pu: Float | None = None
    part_soc_pu: tuple[tuple[str, Float], ...] = ()
    q_mvar: Float | None = None
    notes: tuple[str, ...] = ()
    figures: tuple[tuple[str, float], ...] = ()


class Step(Protocol):
    """A spec that shapes a power."""

    step: Any
    place: Any

    def act(self, p_mw: Float, around: Around) -> Outcome:
        """Shape a power of shape (..., time); no sample may depend on a later one."""
