"""How fast each mitigation by the computers goes through a series.

    python benchmarks/mitigation.py [SAMPLES]

Each kernel is timed alone, and through ``gridedge.mitigate``, on 600,000 samples (ten minutes at 1 ms).  The
ratio is to reading the array once (its sum): it says how far a kernel is from what memory allows, and
depends less on the machine than seconds do.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import gridedge
from gridedge import schema
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites.dummy import dummy_load
from gridedge.sites.equipment import check_equipment, count_cycles
from gridedge.sites.facility import Facility, metered_power
from gridedge.sites.floor import PowerFloor, hold_floor, moving_mean

DT_S = 0.001
BOX = server("8xB200")
CHIP = accelerator(BOX.accelerator)


def best(run: Callable[[], Any]) -> float:
    """Return the seconds of the shortest of five runs, after one that compiles."""
    times = []
    for _ in range(6):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times[1:])


def main(samples: int) -> None:
    """Time everything and print a table."""
    rng = np.random.default_rng(1)
    busy = np.arange(samples) * DT_S % 4.0 < 3.0
    work_w = np.where(busy, 900.0, 250.0) + rng.normal(0, 20, samples)
    share = np.ones(samples)
    servers = 1000
    p_mw = servers * (BOX.host_kw + BOX.accelerators * work_w / 1e3) / 1e3
    size = {"nameplate_mw": servers * BOX.rated_kw / 1e3, "servers": servers, "server": "8xB200"}
    load = schema.power_dataset(p_mw, DT_S, power="IT", attrs=size)
    floor = {"step": "power_floor", "preset": "firmus-80"}
    delayed = {**floor, "secondary_power_floor_w": 300, "primary_floor_act_win_mult": 100}
    specs = {name: PowerFloor.model_validate(given) for name, given in (("floor", floor), ("delayed", delayed))}
    shaped = gridedge.mitigate(load, [floor])
    most = {"floor_mw": 7.0, "most_mw": 10.0}
    rows: dict[str, Callable[[], Any]] = {
        "kernel: power floor": lambda: hold_floor(work_w, share, DT_S, specs["floor"], CHIP),
        "kernel: power floor, secondary": lambda: hold_floor(work_w, share, DT_S, specs["delayed"], CHIP),
        "kernel: moving mean": lambda: moving_mean(work_w, DT_S, window_s=1.0),
        "kernel: dummy work, late": lambda: dummy_load(p_mw, DT_S, reaction_s=0.1, **most),
        "kernel: dummy work, sampled": lambda: dummy_load(p_mw, DT_S, reaction_s=0.1, sampling_s=0.1, **most),
        "kernel: facility": lambda: metered_power(p_mw, DT_S, Facility(), nameplate_mw=14.3),
        "kernel: cycles of the power": lambda: count_cycles(p_mw, depth=1.0),
        "verb: power floor": lambda: gridedge.mitigate(load, [floor]),
        "verb: dummy work": lambda: gridedge.mitigate(load, [{"step": "dummy_load", "floor_pu": 0.5}]),
        "verb: power cap on a series": lambda: gridedge.mitigate(load, [{"step": "power_cap", "cap_pu": 0.6}]),
        "verb: connect, with books": lambda: gridedge.connect(shaped, {}, bus=1),
        "equipment: rack and UPS": lambda: check_equipment(shaped),
    }
    read_s = best(lambda: float(p_mw.sum()))
    print(f"{samples} samples; reading them once: {1e3 * read_s:.2f} ms\n")
    print(f"{'':34}{'ms':>9}{'Msamples/s':>12}{'x reading':>11}")
    for name, run in rows.items():
        took_s = best(run)
        print(f"{name:34}{1e3 * took_s:9.1f}{samples / took_s / 1e6:12.1f}{took_s / read_s:11.0f}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 600_000)
