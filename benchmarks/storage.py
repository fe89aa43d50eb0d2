"""How fast storage goes through a series: samples per second of each law, and a hundred parameter sets in a row.

    python benchmarks/storage.py

Ten million samples of 10 ms in float64, one thread; best of three, the compiler loaded before.  The time to copy as
many arrays as come out stands beside it, so that machines can be compared.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from pinned import best_s, pin

from gridedge.sites.ageing import ageing
from gridedge.sites.step import Around
from gridedge.sites.storage import Battery, Hybrid
from gridedge.spec import build

SAMPLES = 10_000_000
DT_S = 0.01
SETS, SET_SAMPLES = 100, 60_000
_SIZE = {"p_rated_mw": 30.0, "e_rated_mwh": 5.0}
_LAWS: dict[str, dict[str, Any]] = {
    "ramp_limit": {"law": "ramp_limit", "ramp_mw_per_min": 20.0},
    "low_pass": {"law": "low_pass", "tau_s": 60.0},
    "hold_mean": {"law": "hold_mean", "mean_mw": 75.0},
    "droop": {"law": "droop", "q_share_pu": 1.0},
}


def waveform(samples: int) -> np.ndarray:
    """Return the power [MW] of a job of 100 MW: iterations of 16.9 s, with noise."""
    t = DT_S * np.arange(samples)
    rng = np.random.default_rng(1)
    return np.asarray(np.where(t % 16.9 < 13.0, 84.0, 25.0) + rng.normal(0.0, 1.0, samples))


def steps() -> dict[str, Battery | Hybrid]:
    """Return one storage of each law, and the hybrid."""
    plain = {"step": "battery", "holds_power_factor": False, **_SIZE}
    found: dict[str, Battery | Hybrid] = {name: build(Battery, {**plain, "law": law}) for name, law in _LAWS.items()}
    parts = {"battery": _SIZE, "supercapacitor": {"p_rated_mw": 60.0, "e_rated_mwh": 0.2, "delay_s": 0.02}}
    found["split (hybrid)"] = build(Hybrid, {"step": "hybrid", **parts, "law": _LAWS["hold_mean"]})
    return found


def main() -> None:
    """Print the table."""
    p = waveform(SAMPLES)
    v = 1.0 + 0.03 * np.sin(0.01 * np.arange(SAMPLES))
    around = Around(DT_S, vm_pu=v)
    out = [np.empty_like(p) for _ in range(4)]  # power, stored, lost, state of charge
    copying_s = best_s(lambda: [np.copyto(o, p) for o in out])
    began = time.perf_counter()
    steps()["ramp_limit"].act(p[:SET_SAMPLES], Around(DT_S))
    print(f"first call, with loading or compiling: {time.perf_counter() - began:.2f} s")
    print(f"copying 4 arrays of the same length: {copying_s:.3f} s")
    for name, step in steps().items():
        seconds = best_s(lambda step=step: step.act(p, around))  # type: ignore[misc]
        print(f"{name:15s} {SAMPLES / seconds / 1e6:6.1f} million samples/s, {seconds / copying_s:5.1f} x copying")
    short = p[:SET_SAMPLES]
    for name, step in steps().items():
        cut = Around(DT_S, vm_pu=v[:SET_SAMPLES])
        seconds = best_s(lambda step=step, cut=cut: [step.act(short, cut) for _ in range(SETS)])  # type: ignore[misc]
        print(f"{name:15s} {SETS} sets of {SET_SAMPLES:,} samples in {seconds:.2f} s")
    soc = steps()["hold_mean"].act(p[: 6 * SET_SAMPLES], Around(DT_S)).soc_pu
    assert soc is not None
    print(f"ageing of an hour at 10 ms, {soc.size:,} samples: {best_s(lambda: ageing(soc, DT_S)):.3f} s")


if __name__ == "__main__":
    pin(1)
    main()
