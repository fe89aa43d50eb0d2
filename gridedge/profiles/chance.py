"""Random numbers that are counted, not drawn in turn.

Number ``k`` of a stream depends on the seed, the member, the stream and ``k`` alone, so
that blocks, threads and workers never change a bit of a result.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_BLOCK = 4096


def counted_normal(seed: int, member: int, stream: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return standard normal numbers ``start`` to ``stop - 1`` of a stream.

    Parameters
    ----------
    seed, member, stream : int
        Which sequence; none negative.
    start, stop : int
        Which numbers of it, ``0 <= start <= stop``.

    Returns
    -------
    ndarray, shape (stop - start,)
    """
    blocks = [generator.standard_normal(_BLOCK) for generator in _generators(seed, member, stream, start, stop)]
    first = start // _BLOCK
    return np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]


def counted_uniform(seed: int, member: int, stream: int, start: int, stop: int) -> NDArray[np.float64]:
    """Return numbers ``start`` to ``stop - 1`` of a stream, even between 0 (never met) and 1.

    Parameters and shape as for :func:`counted_normal`; a stream serves one kind of number.
    """
    blocks = [1.0 - generator.random(_BLOCK) for generator in _generators(seed, member, stream, start, stop)]
    first = start // _BLOCK
    return np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]


def _generators(seed: int, member: int, stream: int, start: int, stop: int) -> list[np.random.Generator]:
    """Return one generator for each block that is touched."""
    first, last = start // _BLOCK, max(start, stop - 1) // _BLOCK
    return [
        np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(member, stream, block))))
        for block in range(first, last + 1)
    ]
