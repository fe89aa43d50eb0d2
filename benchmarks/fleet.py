"""A fleet over a year: how long, against what was asked.

Run ``python benchmarks/fleet.py``; it takes about half a minute on two cores.
"""

from __future__ import annotations

import time

import numpy as np

from gridedge.sites.fleet.capacity import at_load
from gridedge.sites.fleet.fleet import fleet
from gridedge.sites.fleet.model import Fleet
from gridedge.sites.fleet.weather import Climate, usual_temperature
from gridedge.spec import build

DAYS = 365
DT_S = 300.0


def metro(count: int, places: int = 50, total_mw: float = 1000.0) -> Fleet:
    """Return so many equal sites and places within half a degree of each other."""
    rng = np.random.default_rng(1)

    def somewhere() -> dict[str, float]:
        return {"lat": float(rng.uniform(32.3, 33.3)), "lon": float(rng.uniform(-97.6, -96.3))}

    spec = {
        "traffic": {
            "zone": "America/Chicago",
            "start": "2025-01-01",
            "classes": {
                "conversation": {"requests_per_s": 3.0},
                "agents": {"requests_per_s": 0.3},
                "batch": {"requests_per_s": 0.2},
            },
        },
        "serve": {"batch": {"patience_s": 14_400.0}},
        "places": [{"name": f"p{k}", **somewhere(), "weight": float(rng.uniform(0.1, 1))} for k in range(places)],
        "sites": [{"name": f"s{k}", **somewhere(), "p_mw": total_mw / count} for k in range(count)],
    }
    return build(Fleet, spec)


def main() -> None:
    """Print the time of a year in 5-minute steps for 1, 10, 20 and 100 sites of 1 GW in all."""
    day = {"duration_s": 86_400.0, "dt_s": DT_S}
    fleet(at_load(metro(2), 0.7), **day)  # compiles
    for count in (1, 10, 20, 100):
        plan = at_load(metro(count), 0.7)
        year = {"duration_s": DAYS * 86_400.0, "dt_s": DT_S}
        weather = usual_temperature(Climate(), start="2025-01-01", **year)
        began, worked = time.perf_counter(), time.process_time()
        made = fleet(plan, **year, outdoor_c=weather)
        took, work = time.perf_counter() - began, time.process_time() - worked
        offered = sum(b["offered"] for b in made.flow.books.values())
        gap = max(
            abs(b["offered"] - b["in_time"] - b["late"] - b["refused"] - b["in_system"]) / b["offered"]
            for b in made.flow.books.values()
        )
        goal = "   goal 20 s" if count == 100 else ""
        gwh = float(made.load.p_mw.sum()) * DT_S / 3.6e6
        print(f"{count:>3} sites, {made.load.sizes['time']:,} steps  {took:6.2f} s, {work:6.2f} s of a processor{goal}")
        print(f"    {offered:.3g} requests, books within {gap:.0e}, {gwh:.0f} GWh")


if __name__ == "__main__":
    main()
