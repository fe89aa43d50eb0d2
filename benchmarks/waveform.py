"""Speed and memory of the training waveform.

    python benchmarks/waveform.py            # the goals
    python benchmarks/waveform.py --compare  # also make the day whole, and compare its bits (needs 1.5 GB)

Each measurement runs in a process of its own, so that its memory is its own.  The comparison digests the bits of the
day read in blocks of two sizes; ``--compare`` adds the day made in one piece.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import time

from pinned import peak_mb

import gridedge

LOAD = {"profile": "h100-at-scale", "servers": 12_500}  # 100,000 accelerators
DAY_S = 86_400.0


def ten_minutes() -> None:
    """Print the seconds of ten minutes at 1 ms: best of three, the first one apart."""
    generate = gridedge.generate  # imports what it needs; benchmarks/startup.py times that
    taken = []
    for _ in range(4):
        began = time.perf_counter()
        generate(LOAD, duration_s=600, dt_s=0.001, seed=1)
        taken.append(time.perf_counter() - began)
    print(f"{taken[0]:.3f} {min(taken[1:]):.3f}")


def day(block: int) -> None:
    """Print the seconds, the peak memory and the digest of a day at 1 ms, read in blocks."""
    began = time.perf_counter()
    ds = gridedge.generate(LOAD, duration_s=DAY_S, dt_s=0.001, seed=1)
    steps = ds.sizes["time"]
    digest = hashlib.blake2b()
    energy_mwh = 0.0
    for first in range(0, steps, block):
        part = ds["p_mw"].isel(time=slice(first, min(first + block, steps))).values
        energy_mwh += float(part.sum()) / 3.6e6
        digest.update(part)
    taken = time.perf_counter() - began
    print(f"{taken:.2f} {peak_mb() / 1e3:.2f} {energy_mwh:.3f} {digest.hexdigest()[:32]}")


def whole() -> None:
    """Print the same for a day made in one piece."""
    ds = gridedge.generate(LOAD, duration_s=DAY_S, dt_s=0.001, seed=1)
    values = ds["p_mw"].values
    digest = hashlib.blake2b(values)
    print(f"{peak_mb() / 1e3:.2f} {digest.hexdigest()[:32]}")


def _ask(*arguments: str) -> list[str]:
    done = subprocess.run([sys.executable, __file__, *arguments], capture_output=True, text=True, check=True)
    return done.stdout.split()


def _line(what: str, found: float, goal: float, unit: str) -> bool:
    print(f"{what:<58} {found:8.2f} {unit:<3} goal < {goal:g} {unit:<3} {'met' if found < goal else 'MISSED'}")
    return found < goal


def main(compare: bool) -> int:
    """Print every figure beside its goal; return 1 if one is missed."""
    first, again = map(float, _ask("--one", "minutes"))
    taken, memory, energy, digest = _ask("--one", "day", "--block", str(1 << 20))
    _, _, _, other = _ask("--one", "day", "--block", "777777")
    # The first call of a process also reads two YAML files and lets xarray look for dask.
    print(f"{'100,000 accelerators, 10 min at 1 ms, first call':<58} {first:8.2f} s")
    met = [
        _line("100,000 accelerators, 10 min at 1 ms, later calls", again, 0.5, "s"),
        _line("24 h at 1 ms, streamed in blocks of 2^20", float(taken), 20, "s"),
        _line("24 h at 1 ms, streamed, peak memory", float(memory), 2, "GB"),
    ]
    print(f"energy of the day: {float(energy):.1f} MWh")
    same = [digest == other]
    print(f"{'bits in blocks of 2^20 and of 777,777 samples':<58} {'identical' if same[0] else 'DIFFERENT'}")
    if compare:
        memory, piece = _ask("--one", "whole")
        same.append(piece == digest)
        print(
            f"{'bits of the day in one piece (peak ' + memory + ' GB)':<58} {'identical' if same[1] else 'DIFFERENT'}"
        )
    return 0 if all(met) and all(same) else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--compare", action="store_true", help="also make the day in one piece")
    parser.add_argument("--one", choices=["minutes", "day", "whole"], help=argparse.SUPPRESS)
    parser.add_argument("--block", type=int, default=1 << 20, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one == "minutes":
        ten_minutes()
    elif given.one == "day":
        day(given.block)
    elif given.one == "whole":
        whole()
    else:
        sys.exit(main(given.compare))
