"""A fair process: the same number of threads for every library, a clock, and how much memory was used at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# Pools that spin while they wait take the cores from the one that works: OpenBLAS, OpenMP and numba are all here.
_POOLS = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
REPEATS = 3


def environment(threads: int) -> dict[str, str]:
    """Return the environment in which every library has this many threads."""
    return os.environ | dict.fromkeys(_POOLS, str(threads)) | {"OMP_WAIT_POLICY": "passive"}


def pin(threads: int) -> None:
    """Run this very command again with that many threads, unless it runs with them already.

    Most libraries read their number of threads when they are imported, so it has to stand before Python starts.
    """
    wanted = environment(threads)
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        raise SystemExit(subprocess.call([sys.executable, *sys.argv], env=wanted))


def best_s(call: Callable[[], Any], repeats: int = REPEATS, before: Callable[[], Any] = int) -> float:
    """Return the shortest wall time of a call in seconds; what comes before each call is not timed."""
    best = float("inf")
    for _ in range(repeats):
        before()
        began = time.perf_counter()
        call()
        best = min(best, time.perf_counter() - began)
    return best


def peak_mb() -> float:
    """Return the most memory that this process has held so far, in MB.

    On Linux it is read from the kernel's own mark: ``ru_maxrss`` would carry over what the parent held.
    """
    status = Path("/proc/self/status")
    if status.exists():
        line = next(x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return float(line.split()[1]) / 1024
    import psutil

    info = psutil.Process().memory_info()
    if hasattr(info, "peak_wset"):
        return float(info.peak_wset) / 2**20
    import resource

    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) / 2**20
