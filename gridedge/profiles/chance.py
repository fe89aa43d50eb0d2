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
    first, last = start // _BLOCK, max(start, stop - 1) // _BLOCK
    blocks = [
        np.random.Generator(
            np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(member, stream, block)))
        ).standard_normal(_BLOCK)
        for block in range(first, last + 1)
    ]
    return np.concatenate(blocks)[start - first * _BLOCK : stop - first * _BLOCK]
