"""Threads over tiles of states: what each tile holds never depends on how many there are."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

_MOST = "GRIDEDGE_THREADS"  # the environment's word on how many threads there may be
_PARTS = 4  # stretches per thread: one that is held up leaves its rest to the others
_local = threading.local()
_pools: dict[tuple[int, int], ThreadPoolExecutor] = {}


def threads() -> int:
    """Return how many threads the inner loops use: every processor that this process may use, unless told otherwise."""
    told = getattr(_local, "count", None) or os.environ.get(_MOST) or os.environ.get("NUMBA_NUM_THREADS")
    if told:
        return max(1, int(told))
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


@contextmanager
def limited(count: int) -> Iterator[None]:
    """Use no more than some threads, in this thread."""
    before = getattr(_local, "count", None)
    _local.count = count
    try:
        yield
    finally:
        _local.count = before


def spread(loop: Callable[..., None], tiles: int, *arguments: Any) -> None:
    """Call a compiled loop over stretches of tiles, ``loop((first, stop), *arguments)``, on all threads.

    Compiled loops let the interpreter go while they run.
    """
    count = min(threads(), tiles)
    if count <= 1:
        loop((0, tiles), *arguments)
        return
    size = max(1, -(-tiles // (count * _PARTS)))
    pool = _pool(count)
    first, *rest = [(k, min(k + size, tiles)) for k in range(0, tiles, size)]
    if not getattr(loop, "signatures", True):  # compile once, not in every thread
        loop(first, *arguments)
    else:
        rest = [first, *rest]
    for waiting in [pool.submit(loop, part, *arguments) for part in rest]:
        waiting.result()


def _pool(count: int) -> ThreadPoolExecutor:
    key = (os.getpid(), count)  # a forked process has none of its parent's threads
    if key not in _pools:
        _pools[key] = ThreadPoolExecutor(count, thread_name_prefix="gridedge")
    return _pools[key]
