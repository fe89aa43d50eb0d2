"""Noise on the power of a job: octaves of counted knots, common to all servers or each server's own.

The sum over N servers whose noise has the deviation s each and the correlation rho in pairs has the variance
``N s^2 [1 + (N - 1) rho]`` (arXiv 2606.13853): with rho > 0 its deviation grows with N, not with the root of N.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.chance import counted_normal
from gridedge.profiles.job import NOISE_SIGMAS, TrainingProfile

Float = NDArray[np.float64]
COMMON, REST, OWN = 32, 64, 1024  # first streams: of all servers, of the sum of the others, of single servers
_STREAMS = 32  # per kind: at most 24 octaves


def shares(profile: TrainingProfile, servers: int) -> tuple[float, float]:
    """Return the deviations, over that of one server, of the common noise and of the mean of the servers' own."""
    rho = profile.node_correlation
    return float(np.sqrt(rho)), float(np.sqrt((1.0 - rho) / servers))


@dataclass(frozen=True)
class Octaves:
    """How a noise is spread over frequency.

    Parameters
    ----------
    step_s : float
        Distance of the finest knots. [s]
    count : int
        Octaves; each has knots twice as far apart as the one before.
    slope : float
        Deviation of an octave over that of the next finer one.
    band : bool
        Whether an octave's power lies in a band around 0.35 over the distance of its knots, instead of below.
    """

    step_s: float
    count: int
    slope: float
    band: bool = False


def noise_knots(
    octaves: Octaves, from_s: float, to_s: float, *, seed: int, member: int, stream: int
) -> tuple[Float, Float]:
    """Return the knots of a noise of unit deviation around a stretch of time.

    Parameters
    ----------
    octaves : Octaves
        Its knots and their weights.
    from_s, to_s : float
        The stretch. [s]
    seed, member, stream : int
        Which random numbers; one stream per octave, from ``stream`` on.

    Returns
    -------
    time_s, level : ndarray, shape (knot,)
        Straight lines run between; nothing depends on the stretch.

    Notes
    -----
    Octave j has its knots at multiples of 2^j steps and runs straight between them, so that the sum of all
    is a line on the finest knots.  Weights w_j ~ slope^j have the square sum 1: the deviation is 1 where all octaves
    have a knot, and down to the root of 2/3 of a coarse octave's between its knots.
    """
    step = octaves.step_s
    # Knots before time 0 have numbers below 0: an offset keeps them countable.
    first, last = int(np.floor(from_s / step)) - 1, int(np.ceil(to_s / step)) + 1
    at = np.arange(first, last + 1)
    weights = octaves.slope ** np.arange(octaves.count)
    weights = weights / np.sqrt((weights**2).sum())
    level: Float = np.zeros(at.size)
    for octave, weight in enumerate(weights.tolist()):
        size = 1 << octave
        number, within = np.divmod(at + (_BEFORE << octave), size)
        drawn = counted_normal(seed, member, stream + octave, int(number[0]) - 1, int(number[-1]) + 2)
        # Differences of neighbours have no power at low frequencies: 2 sin^2(pi f h) times that of the numbers.
        drawn = (drawn[1:] - drawn[:-1]) / np.sqrt(2.0) if octaves.band else drawn[1:]
        number -= number[0]
        part: Float = within.astype(float) / size
        level += weight * ((1.0 - part) * drawn[number] + part * drawn[number + 1])
    time_s: Float = np.asarray(at * step, dtype=float)
    return time_s, np.clip(level, -NOISE_SIGMAS, NOISE_SIGMAS)


_BEFORE = 1 << 24  # knots that there may be before time 0, per octave: clocks of recorders may run ahead


def node_stream(node: int) -> int:
    """Return the first stream of a single server's own noise."""
    return OWN + _STREAMS * node
