"""How long a flickermeter takes: an hour at 400 Hz, and the map of all buses of a feeder.

Run: ``python benchmarks/flicker.py``.  The voltage is made up: a square wave of 1 s with noise.
"""

from __future__ import annotations

import numpy as np
from pinned import best_s, peak_mb

import gridedge
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.rapid import rapid_changes

GOAL_S = 1.0


def voltage(length_s: float, rate_hz: float) -> np.ndarray:
    """Return a voltage that swings by 0.3 % each second, in pu."""
    t = np.arange(round(length_s * rate_hz)) / rate_hz
    noise = np.random.default_rng(1).standard_normal(t.size)
    return np.asarray(1.0 + 0.0015 * np.sign(np.sin(2 * np.pi * t)) + 1e-4 * noise)


def main() -> None:
    """Print the times."""
    hour = voltage(3660.0, 400.0)
    gridedge.flicker(hour[:40_000], 1 / 400)  # imports
    print(f"{'work':<52} {'time':>8}   goal")
    took_s = best_s(lambda: gridedge.flicker(hour, 1 / 400))
    print(f"{'an hour at 400 Hz':<52} {took_s:6.2f} s   {GOAL_S:g} s")
    took_s = best_s(lambda: gridedge.flicker(hour, 1 / 400, rms_window_s=0.02))
    print(f"{'the same, a one-cycle RMS undone':<52} {took_s:6.2f} s")
    day = voltage(86460.0, 100.0)
    took_s = best_s(lambda: gridedge.flicker(day, 1 / 100))
    print(f"{'a day at 100 Hz':<52} {took_s:6.2f} s")
    took_s = best_s(lambda: rapid_changes(day, 1 / 100))
    print(f"{'its rapid voltage changes':<52} {took_s:6.2f} s")
    buses = np.repeat(hour[None, : 660 * 400], 179, axis=0)
    took_s = best_s(lambda: measure_blocks(buses, 1 / 400), repeats=1)
    print(f"{'a Pst of each of 179 buses at 400 Hz':<52} {took_s:6.2f} s")
    print(f"{'most memory held':<52} {peak_mb():6.0f} MB")


if __name__ == "__main__":
    main()
