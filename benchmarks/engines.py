"""Print what a power flow costs here, and in the other libraries, in one process and with the same number of threads.

Run: ``python benchmarks/engines.py [--quick] [--threads N] [WORK ...]``

Ours is the public verb ``solve``: every step's voltages, angles, loadings and losses.  The whole call reads the net,
solves its base state by ``runpp`` and checks itself against ``runpp`` at four steps, which takes some 0.1 s however
many steps there are; a further step is what remains when these are many.  ``run_timeseries`` is warm, recycles its
model and writes voltages alone; the libraries get the injections and return voltages alone.  Each is the best of three
after a first call that does not count.  A rival that is off by more than 1e-8 pu, or leaves a state, is named and not
compared.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pinned import environment, pin

SIMBENCH = "1-MV-urban--0-sw"
LIBRARY = "best library"
REDUCE = ["min", "max", "mean"]
Goals = dict[str, str]


@dataclass(frozen=True)
class Options:
    """How much is solved, and by how many threads."""

    quick: bool
    threads: int

    def size(self, full: int, quick: int) -> int:
        """Return one of two sizes."""
        return quick if self.quick else full


@dataclass(frozen=True)
class Row:
    """A line of the table: ours beside one rival.

    Parameters
    ----------
    work, rival : str
        What was solved, and by whom else.
    ours_s, rival_s : float
        Per step, of the whole call; NaN where there is none. [s]
    goal : str
        Ratio to reach, and the one to aim for.
    ours_off, rival_off : str
        Differences from ``runpp``.
    further_s : float
        What one more step takes ours: a call on the steps several times over less one on them. [s]
    """

    work: str
    ours_s: float
    rival: str
    rival_s: float
    goal: str
    ours_off: str
    rival_off: str
    further_s: float = float("nan")


def beside(work: str, states: Any, few: tuple[int, int, int], variants: dict[str, Any], options: Options,
           given: Any = None) -> Iterator[Row]:  # fmt: skip
    """Measure ``solve`` on all states, and each rival on as many of them as it can do in a while.

    Parameters
    ----------
    work : str
        Its name.
    states : States
        All of them, for ours.
    few : tuple of int
        States for ``run_timeseries``, ``runpp`` and the libraries.
    variants : dict
        Name to (what ``solve`` keeps, goals by rival).
    options : Options
        Quick or not; threads.
    given : callable, optional
        Turns states into a net and the arguments of ``solve``; else they are its background.
    """
    import measure
    import numpy as np

    def spread(count: int) -> Any:
        return states.some(np.linspace(0, states.count - 1, min(count, states.count)).astype(int))

    found = [
        measure.time_series(spread(options.size(few[0], 20))),
        measure.plain(spread(options.size(few[1], 3))),
        *measure.libraries(spread(options.size(few[2], min(256, few[2]))), options.threads),
    ]
    fit = [m for m in found[2:] if m.right]
    best = min(fit, key=lambda m: m.step_s) if fit else None
    for variant, (reduce, goals) in variants.items():
        mine = measure.ours(states, reduce, given or measure.as_background)
        for m in found:
            goal = goals.get(LIBRARY if m is best else m.name, "")
            name = f"{m.name} *" if m is best else m.name
            rival_s = m.step_s if m.right else float("nan")
            yield Row(f"{work}, {variant}", mine.step_s, name, rival_s, goal, mine.note, m.verdict, mine.further_s)


def year(options: Options) -> Iterator[Row]:
    """SimBench MV, a leap year of quarter hours with its own profiles."""
    from states import simbench_year

    states = simbench_year(SIMBENCH)
    best = {LIBRARY: "x8, aim x18"}
    variants = {
        "streaming": (REDUCE, {"run_timeseries": "x600, aim x1200", **best}),
        "full Dataset": (None, {"run_timeseries": "x200, aim x300", **best}),
    }
    yield from beside("year", states.some(slice(0, options.size(35_136, 2048))), (300, 30, 4096), variants, options)


def feeder(name: str, make: Callable[[], Any], goal: str) -> Callable[[Options], Iterator[Row]]:
    """Return the work on one distribution net: loads and static generators move."""

    def work(options: Options) -> Iterator[Row]:
        from states import scaled

        states = scaled(make(), options.size(35_136, 2048), ("load", "sgen"))
        variants = {"streaming": (REDUCE, {"run_timeseries": goal})}
        yield from beside(name, states, (300, 30, 4096), variants, options)

    return work


def transmission(
    name: str, counts: tuple[int, int], few: tuple[int, int, int], goals: Goals
) -> Callable[[Options], Iterator[Row]]:
    """Return the work on one transmission net: loads and generators move together."""

    def work(options: Options) -> Iterator[Row]:
        from states import scaled

        states = scaled(network(name)(), options.size(*counts), ("load", "gen"))
        yield from beside(name, states, few, {"streaming": (REDUCE, goals)}, options)

    return work


def site(options: Options) -> Iterator[Row]:
    """One site in SimBench MV: 100,000 steps of 100 ms at constant power factor."""
    import lazy
    import numpy as np
    import pandapower as pp
    import xarray as xr
    from states import States, simbench_year

    net = simbench_year(SIMBENCH).net
    bus = int(net.load.bus.iloc[len(net.load) // 2])
    count = options.size(100_000, 4096)
    load = lazy.site(0, count, 0.1, 1.8, bus)
    with_site = pp.from_json_string(pp.to_json(net))  # for the others it is one more load
    pp.create_load(with_site, bus, 1.8, 0.0, name="site")
    columns = {}
    for column in ("p_mw", "q_mvar"):
        values = np.repeat(with_site.load[column].to_numpy(float)[None], count, axis=0)
        values[:, -1] = load[column].values[:, 0]
        columns["load", column] = values

    def given(some: States) -> tuple[Any, dict[str, Any]]:
        moving = {c: (("time", "site"), some.columns["load", c][:, -1:]) for c in ("p_mw", "q_mvar")}
        here = {"time": 0.1 * np.arange(some.count), "site": ["site"], "bus": ("site", [bus])}
        return net, {"injections": xr.Dataset(moving, coords=here)}

    variants = {
        "all buses": (None, {"run_timeseries": "x1000, aim x2000"}),
        "reduced": (REDUCE, {"run_timeseries": "x10,000, aim x50,000"}),
    }
    yield from beside("site", States(with_site, columns, 0.1), (300, 30, 4096), variants, options, given)


def child(options: Options, *arguments: str) -> dict[str, Any]:
    """Run ``long.py`` in a process of its own and return what it found."""
    script = Path(__file__).with_name("long.py")
    command = [sys.executable, str(script), *arguments, "--threads", str(options.threads)]
    done = subprocess.run(command, env=environment(options.threads), capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise RuntimeError(f"{' '.join(arguments)} ended with code {done.returncode}: {last}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def long_row(work: str, found: dict[str, Any], goal: str) -> Row:
    """Turn what a child found into a line."""
    off = "{:.0e} pu {:.0e} deg {:.0e} %".format(*found["difference"]) + f" by {found['engine']}"
    if found["not_converged"]:
        off += f", {found['not_converged']} NOT CONVERGED"
    took = f"{found['steps']:,} steps: {found['wall_s']:.1f} s, {found['peak_mb']:,.0f} MB at most"
    return Row(work, found["wall_s"] / found["steps"], took, float("nan"), goal, off, "")


def day(options: Options) -> Iterator[Row]:
    """One site in mv_oberrhein: 24 h at 1 ms from a Zarr store, reduced."""
    steps = options.size(86_400_000, 50_000)
    found = child(options, "site", "--net", "mv_oberrhein", "--steps", str(steps))
    yield long_row("day at 1 ms", found, "60 s, 2000 MB")


def seconds(options: Options) -> Iterator[Row]:
    """SimBench MV: a year at 1 s, every load moves, computed block by block, reduced."""
    found = child(options, "loads", "--steps", str(options.size(31_536_000, 20_000)))
    yield long_row("year at 1 s", found, "180 s, 2000 MB")


def memory(options: Options) -> Iterator[Row]:
    """One site in case33bw, reduced: how the memory grows from a million steps to ten."""
    small, large = (options.size(n, n // 50) for n in (1_000_000, 10_000_000))
    found = [child(options, "site", "--net", "case33bw", "--steps", str(n)) for n in (small, large)]
    for part in found:
        yield long_row("memory", part, "")
    growth = found[1]["peak_mb"] - found[0]["peak_mb"]
    text = f"{small:,} to {large:,} steps: {growth:+.0f} MB"
    yield Row("memory, growth", float("nan"), text, float("nan"), "100 MB", "", "")


def scan(options: Options) -> Iterator[Row]:
    """SimBench MV: every bus x 20 levels x 96 steps with limit checks, at the price of ``runpp``."""
    import measure
    import numpy as np
    import scan as every
    from states import simbench_year

    year_ = simbench_year(SIMBENCH)
    day_ = year_.some(slice(0, every.STEPS))
    net = year_.net
    buses = net.bus.index[(net.bus.vn_kv < 30) & net.bus.in_service].to_numpy()
    buses = buses[: options.size(buses.size, 4)]
    price = measure.plain(day_.some(slice(0, options.size(30, 3))))
    every.scan(day_, buses[:1], 8.0)  # compiles
    began = time.perf_counter()
    ds, found = every.scan(day_, buses, 8.0)
    step_s = (time.perf_counter() - began) / found["states"]
    middle = float(np.median(ds["capacity_mw"]))
    note = f"{every.off_pu(day_, found['spots']):.0e} pu by {found['engine']}"
    note += f", {found['states']:,} states, {found['left']} not converged, median capacity {middle:.1f} MW"
    yield Row("scan", step_s, price.name, price.step_s, "x5000", note, price.verdict)


def network(name: str, **kwargs: Any) -> Callable[[], Any]:
    """Return a function that makes a net of pandapower's; it is imported only then."""

    def make() -> Any:
        from pandapower import networks

        return getattr(networks, name)(**kwargs)

    return make


WORKS: dict[str, Callable[[Options], Iterator[Row]]] = {
    "year": year,
    "mv_oberrhein": feeder("mv_oberrhein", network("mv_oberrhein"), "x900"),
    "case33bw": feeder("case33bw", network("case33bw"), "x1500"),
    "cigre_mv": feeder("cigre_mv", network("create_cigre_network_mv", with_der="all"), "x3000"),
    "case118": transmission(
        "case118", (16_384, 1024), (300, 30, 4096), {"run_timeseries": "x150, aim x450", LIBRARY: "x2.2, aim x6"}
    ),
    "case1354pegase": transmission(
        "case1354pegase", (4096, 256), (100, 10, 1024), {"run_timeseries": "x35, aim x80", LIBRARY: "x2.5, aim x6"}
    ),
    "case2869pegase": transmission(
        "case2869pegase", (2048, 128), (50, 10, 512), {"run_timeseries": "x27, aim x60", LIBRARY: "x2.8, aim x6"}
    ),
    "case9241pegase": transmission(
        "case9241pegase", (512, 64), (20, 5, 128), {"run_timeseries": "x10, aim x20"}
    ),
    "site": site,
    "day": day,
    "seconds": seconds,
    "scan": scan,
    "memory": memory,
}  # fmt: skip


def line(row: Row) -> str:
    """Return a row of the table as text."""
    known = row.rival_s == row.rival_s and row.ours_s == row.ours_s
    ratio = f"x{row.rival_s / row.ours_s:,.3g}" if known else ""
    theirs = f"{row.rival_s * 1e6:,.4g}" if known else ""
    mine = f"{row.ours_s * 1e6:,.4g}" if row.ours_s == row.ours_s else ""
    more = f"{row.further_s * 1e6:,.4g}" if row.further_s == row.further_s else ""
    further = f"x{row.rival_s / row.further_s:,.3g}" if more and row.rival_s == row.rival_s else ""
    cells = (row.work, mine, more, row.rival, theirs, ratio, further, row.goal, row.rival_off, row.ours_off)
    return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table; a work that fails is said, and the others go on."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("works", nargs="*", default=list(WORKS), metavar="WORK", help=f"from: {', '.join(WORKS)}")
    parser.add_argument("--quick", action="store_true", help="few states, to see that it runs: no figures to quote")
    parser.add_argument("--threads", type=int, default=2, help="for ours and every library (default 2)")
    given = parser.parse_args()
    for name in given.works:
        if name not in WORKS:
            parser.error(f"unknown work {name!r}; there are {', '.join(WORKS)}")
    pin(given.threads)
    psutil = importlib.import_module("psutil") if importlib.util.find_spec("psutil") else None
    import rivals

    busy = f"; before the start the processors were {psutil.cpu_percent(2.0):.0f} % busy" if psutil else ""
    print(f"{given.threads} threads; {rivals.versions()}; * is the best library that solves it{busy}")
    print(
        "| work | ours, whole call, us/step | a further step, us | rival | us/step | ratio, whole | ratio, further |"
        " goal | rival off runpp | ours off runpp |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|")
    failed = False
    for name in given.works:
        try:
            for row in WORKS[name](Options(given.quick, given.threads)):
                print(line(row), flush=True)
        except Exception as error:  # one work must not cost the others their hours
            failed = True
            print(f"| {name} | FAILED: {type(error).__name__}: {str(error)[:300]} |", flush=True)
    if failed:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
