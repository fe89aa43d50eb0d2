"""Print how long the command line and the import take, in fresh processes; the median of several.

Run: ``python benchmarks/startup.py``
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

RUNS = 9
CASES = {
    "gridedge --help": (["-m", "gridedge", "--help"], 0.3),
    "import gridedge": (["-c", "import gridedge"], 0.5),
    "python, doing nothing": (["-c", "pass"], None),
    "import pandapower": (["-c", "import pandapower"], None),
}


def seconds(arguments: list[str], runs: int) -> list[float]:
    """Return the wall times of fresh processes in seconds, after one that warms the disk."""
    times = []
    for _ in range(runs + 1):
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - began)
    return times[1:]


def main() -> None:
    """Print the table."""
    print(f"{'what':<24}{'median s':>10}{'min s':>10}{'max s':>10}{'goal s':>10}")
    for name, (arguments, goal) in CASES.items():
        times = seconds(arguments, 3 if goal is None else RUNS)
        shown = "" if goal is None else f"{goal:.2f}"
        print(f"{name:<24}{statistics.median(times):>10.3f}{min(times):>10.3f}{max(times):>10.3f}{shown:>10}")


if __name__ == "__main__":
    main()
