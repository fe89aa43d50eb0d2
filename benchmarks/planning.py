"""Comparing and sizing: how long, against what was asked.

Run ``python benchmarks/planning.py``; it takes about a minute on two cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import gridedge

DT_S = 0.01
FACILITY: dict[str, float] = {}


def timed(what: str, goal: str, work: Callable[[], object]) -> None:
    """Run once to compile, then print the time of a second run."""
    work()
    began = time.perf_counter()
    found = work()
    print(f"{what:<64} {time.perf_counter() - began:6.2f} s   goal {goal:<8} {found}")


def grid(step: str, **values: list[float]) -> dict[str, list[float]]:
    """Return what a strategy varies."""
    return {f"{step}.{key.replace('__', '.')}": given for key, given in values.items()}


def strategies() -> dict[str, object]:
    """Return five strategies with twenty choices of their parameters each."""
    battery = {"step": "battery", "p_rated_mw": 40, "e_rated_mwh": 5, "law": {"law": "low_pass", "tau_s": 10}}
    floor = {"step": "power_floor", "percent_tmp_floor": 75}
    powers, taus = [10.0, 20.0, 30.0, 40.0], [2.0, 5.0, 10.0, 30.0, 100.0]
    return {
        "power floor": {
            "steps": [floor],
            "vary": grid("power_floor", percent_tmp_floor=[50.0, 60.0, 70.0, 80.0, 90.0],
                         ramp_down_hysteresis_ms=[500.0, 1000.0, 3000.0, 5000.0]),
        },
        "dummy workload": {
            "steps": [{"step": "dummy_load", "floor_pu": 0.6}],
            "vary": grid("dummy_load", floor_pu=[0.4, 0.5, 0.6, 0.7, 0.8], reaction_s=[0.05, 0.1, 0.2, 0.5]),
        },
        "power cap": {
            "steps": [{"step": "power_cap", "cap_pu": 0.6}],
            "vary": grid("power_cap", cap_pu=[0.40 + 0.02 * k for k in range(20)]),
        },
        "battery": {"steps": [battery], "vary": grid("battery", p_rated_mw=powers, law__tau_s=taus)},
        "floor and battery": {
            "steps": [{**floor, "percent_tmp_floor": 60}, battery],
            "vary": grid("battery", p_rated_mw=powers, law__tau_s=taus),
        },
    }  # fmt: skip


def main() -> None:
    """Print each time with its goal."""
    load = gridedge.generate("gb300-campus", duration_s=600, dt_s=DT_S, seed=1)

    def whole() -> str:
        found = gridedge.compare(load, strategies(), target={"ramp_mw_per_min": 20}, facility=FACILITY)
        return f"{len(found.table)} variants, {int(found.table['pareto'].sum())} on the front"

    def size() -> str:
        found = gridedge.size_battery(gridedge.connect(load, FACILITY), target={"ramp_mw_per_min": 20})
        return f"{found.p_rated_mw:.3g} MW, {found.e_rated_mwh:.3g} MWh"

    timed("compare: 5 strategies x 20 parameters, 10 min at 10 ms", "30 s", whole)
    timed("size_battery: 20 MW/min, 10 min at 10 ms", "none", size)


if __name__ == "__main__":
    main()
