"""The study of one gigawatt in Dallas, as its command runs it: how long, against five minutes, and what it says.

Run ``python benchmarks/dallas.py``; it takes two to four minutes on two cores and needs the extra texas.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import gridedge

GOAL_S = 300.0


def main() -> None:
    """Run the shipped study, with what each part took."""
    began = last = time.perf_counter()
    worked = time.process_time()
    doing = "start"

    def tell(what: str) -> None:
        nonlocal last, doing
        now = time.perf_counter()
        print(f"{now - last:6.1f} s  {doing}", flush=True)
        last, doing = now, what

    with tempfile.TemporaryDirectory() as folder:
        made = gridedge.run_fleet("dallas-gigawatt", out=Path(folder) / "dallas", progress=tell)
        tell("end")
        size_mb = (Path(folder) / "dallas" / "report.html").stat().st_size / 1e6
    took, work = time.perf_counter() - began, time.process_time() - worked
    print(f"{took:6.1f} s in all ({work:.1f} s of a processor), goal {GOAL_S:g} s; report {size_mb:.1f} MB\n")
    print("\n\n".join(made.answer), "\n")
    print(made.table.T.to_string())
    print(f"\nbooks close to {made.manifest['books_gap']:.1e}, voltages to {made.manifest['error_vm_pu']:.1e} pu")


if __name__ == "__main__":
    main()
