"""How fast a load becomes a file, and what it takes: an hour at 1 ms, made as it is read.

``python benchmarks/files.py [--quick]``.  Each format is written in a process of its own; the memory is the largest that
the process held, less what it held after a file of ten samples.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

NAMES = ("load.csv", "load.parquet", "load.nc", "load.dss", "load.cfg")


def measure(name: str, seconds: int) -> None:
    """Write one format and print what it took."""
    import numpy as np
    import psutil

    import gridedge
    from gridedge import finer, schema

    coarse = schema.power_dataset(np.random.default_rng(1).random(seconds) * 100.0, 1.0, power="IT")
    load = finer.interpolate(coarse, 1e-3)
    process = psutil.Process()
    with tempfile.TemporaryDirectory() as folder:
        where = {"start": "2027-01-01T00:00", "tz": "America/Chicago"}
        gridedge.export(load.isel(time=slice(0, 10)), Path(folder) / f"first{Path(name).suffix}", **where)
        before, most, done = process.memory_info().rss, [0], threading.Event()

        def watch() -> None:
            while not done.wait(0.01):
                most[0] = max(most[0], process.memory_info().rss)

        watcher = threading.Thread(target=watch)
        watcher.start()
        began = time.perf_counter()
        written = gridedge.export(load, Path(folder) / name, **where)
        took_s = time.perf_counter() - began
        done.set()
        watcher.join()
        size_mb = sum(file.stat().st_size for file in written.files) / 1e6
    more_mb = max(0, most[0] - before) / 1e6
    rate = written.samples / took_s / 1e6
    print(
        f"{written.format:<9} {took_s:6.2f} s  {rate:5.2f} million samples/s  {size_mb:6.0f} MB  +{more_mb:.0f} MB held"
    )


def main() -> None:
    """Measure each format in a process of its own."""
    if "--one" in sys.argv:
        measure(sys.argv[-2], int(sys.argv[-1]))
        return
    seconds = 60 if "--quick" in sys.argv else 3600
    print(f"{seconds * 1000:,} samples of 1 ms, interpolated as they are read")
    for name in NAMES:
        subprocess.run([sys.executable, __file__, "--one", name, str(seconds)], check=True)


if __name__ == "__main__":
    main()
