"""Speed of serving requests one by one, and of the fluid that stands in for them.

    python benchmarks/inference.py

A million requests through one replica (Llama-3.1-70B-Instruct on four H100, 80 and 150 tokens, 25 requests/s) must take
less than 1 s.  The first run compiles, and is printed apart.
"""

from __future__ import annotations

import time

import numpy as np

import gridedge
from gridedge.profiles.generate import load_profile
from gridedge.profiles.inference.pools import serve_apart
from gridedge.profiles.inference.produce import curve_of
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.inference.run import requests_of, serve_exactly
from gridedge.profiles.inference.scaling import Scaling

COUNT = 1_000_000


def best(function, times: int = 3) -> tuple[float, float]:
    """Return the seconds of the first call, and of the best of those after it."""
    taken = []
    for _ in range(times + 1):
        began = time.perf_counter()
        function()
        taken.append(time.perf_counter() - began)
    return taken[0], min(taken[1:])


def main() -> None:
    """Print seconds."""
    node = rates(Replica())
    rng = np.random.default_rng(0)
    at = np.sort(rng.uniform(0, COUNT / 25, COUNT))
    ask = requests_of(at, 80, 150)
    span = COUNT / 25
    first, taken = best(lambda: serve_exactly(ask, node, duration_s=span, dt_s=60.0))
    print(f"{COUNT:,} requests through one replica: {taken:.2f} s (first {first:.2f} s; goal 1 s)")
    first, taken = best(lambda: serve_exactly(ask, node, replicas=8, duration_s=span, dt_s=60.0, scaling=Scaling()))
    print(f"the same through 8 that are parked when they idle: {taken:.2f} s (first {first:.2f} s)")
    first, taken = best(
        lambda: serve_apart(
            ask, node, node, prefill_replicas=1, decode_replicas=2, link_gb_per_s=50.0, duration_s=span, dt_s=60.0
        )
    )
    print(f"the same with prefill apart: {taken:.2f} s (first {first:.2f} s)")
    began = time.perf_counter()
    curve_of(load_profile("inference-chat-70b"))
    print(f"the load curve of inference-chat-70b: {time.perf_counter() - began:.2f} s")
    first, taken = best(lambda: gridedge.generate("inference-chat-70b", duration_s=365 * 86_400, dt_s=60, seed=1))
    print(f"its year at 60 s, the curve kept: {taken:.2f} s")


if __name__ == "__main__":
    main()
