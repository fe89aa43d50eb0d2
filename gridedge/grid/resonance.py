"""Where the impedance of a net has its peaks and valleys over the harmonic order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

_PROMINENCE = 1.1  # a peak stands out by this factor of what separates it from its neighbours; chosen
_ORDER_TOL = 1e-6
_SLOPE_STEP = 1e-5  # of the order; the phase of a resonance of Q 1000 turns by 0.02 rad over it


@dataclass(frozen=True)
class Resonance:
    """A peak or a valley of the impedance.

    Parameters
    ----------
    kind : {"parallel", "series"}
        A peak, where a small current makes a large voltage; or a valley, where the bus draws the currents of others.
    order : float
        Harmonic order. [1]
    z_ohm : float
        Impedance there. [ohm]
    q : float
        Its sharpness: half the order times the slope of the phase. [1]
    """

    kind: Literal["parallel", "series"]
    order: float
    z_ohm: float
    q: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a plain dict."""
        return asdict(self)


def find_resonances(
    order: NDArray[np.float64], z_ohm: NDArray[np.complex128], at: Callable[[float], complex]
) -> list[Resonance]:
    r"""Find the resonances of an impedance, each refined between its neighbours.

    Parameters
    ----------
    order : ndarray, shape (order,)
        Rising harmonic orders. [1]
    z_ohm : complex ndarray, shape (order,)
        Impedance at them. [ohm]
    at : callable
        The impedance at any order. [ohm]

    Returns
    -------
    list of Resonance
        In rising order; what stands out by less than a tenth, or lies at an end, is none.

    Notes
    -----
    Of a parallel circuit of R, L and C the phase is -arctan(Q (h/h_r - h_r/h)), so that

    .. math:: Q = \frac{h_r}{2} \left| \frac{d\varphi}{dh} \right|_{h_r}

    which needs no half-power points: a neighbour may hide them.  Two resonances closer than the step of ``order``
    are seen as one.

    References
    ----------
    .. [1] Arrillaga, Watson, Power System Harmonics, 2nd ed., 2003 (from memory).
    """
    from scipy.optimize import minimize_scalar
    from scipy.signal import find_peaks

    if order.size < 3:
        return []
    size = np.log(np.maximum(np.abs(z_ohm), 1e-300))
    found = []
    for kind, sign in (("parallel", 1.0), ("series", -1.0)):
        peaks, _ = find_peaks(sign * size, prominence=np.log(_PROMINENCE))
        for k in peaks:
            best = minimize_scalar(
                lambda h, s=sign: -s * np.log(max(abs(at(float(h))), 1e-300)),
                bounds=(float(order[k - 1]), float(order[k + 1])),
                method="bounded",
                options={"xatol": _ORDER_TOL * float(order[k])},
            )
            h = float(best.x)
            step = _SLOPE_STEP * h
            turn = float(np.angle(at(h + step) / at(h - step)))
            found.append(Resonance(kind, h, float(abs(at(h))), h / 2 * abs(turn) / (2 * step)))  # type: ignore[arg-type]
    return sorted(found, key=lambda r: r.order)
