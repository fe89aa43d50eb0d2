"""One long input through ``solve`` in a process of its own; prints wall time and peak memory as one line of JSON.

``engines.py`` starts it.  By hand: ``python benchmarks/long.py site --net mv_oberrhein --steps 1000000``
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from pinned import peak_mb, pin

REDUCE = ["min", "max", "mean"]
SITES = {"mv_oberrhein": (0.001, 1.0), "case33bw": (0.001, 0.3)}  # step [s], peak of the site [MW]
SIMBENCH = "1-MV-urban--0-sw"


def site_net(name: str) -> tuple[Any, int]:
    """Return a net and the bus of its site: that of the load in the middle of the table."""
    from pandapower import networks

    net = getattr(networks, name)()
    return net, int(net.load.bus.iloc[len(net.load) // 2])


def site_input(name: str, steps: int, source: str, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return a net and what one site draws there."""
    import lazy

    net, bus = site_net(name)
    dt_s, peak_mw = SITES[name]
    if source == "memory":
        return net, {"injections": lazy.site(0, steps, dt_s, peak_mw, bus)}
    return net, {"injections": lazy.make_lazy_site(folder, steps, dt_s, peak_mw, bus)}


def loads_input(steps: int, source: str) -> tuple[Any, dict[str, Any]]:
    """Return the SimBench net and its profiles at 1 s."""
    import lazy
    from states import simbench_year

    year = simbench_year(SIMBENCH)
    background = lazy.make_lazy_background(year, steps, 1.0)
    if source == "memory":
        background = {table: ds.load() for table, ds in background.items()}
    return year.net, {"background": background}


def difference(net: Any, given: dict[str, Any], steps: int, engine: str, result: Any) -> list[float]:
    """Return how far four states are from ``runpp`` [pu, degree, %], solved by the same engine among 64.

    They also have to lie within the smallest and largest value that the long run found.
    """
    import numpy as np
    import pandapower as pp
    from measure import within
    from states import States, apart, truth

    import gridedge

    which = np.unique(np.linspace(0, steps - 1, 64).astype(int))
    columns: dict[tuple[str, str], Any] = {}
    sample: dict[str, Any] = {}
    own = net
    if "injections" in given:
        few = given["injections"].isel(time=which).load()
        sample["injections"] = few.drop_vars("time").assign_coords(time=np.arange(which.size, dtype=float))
        own = pp.from_json_string(pp.to_json(net))
        pp.create_load(own, int(few["bus"].values[0]), 0.0, 0.0)
        for column in ("p_mw", "q_mvar"):
            values = np.repeat(own.load[column].to_numpy(float)[None], which.size, axis=0)
            values[:, -1] = few[column].values[:, 0]
            columns["load", column] = values
    else:
        sample["background"] = {}
        for table, ds in given["background"].items():
            few = ds.isel(time=which).load()
            sample["background"][table] = few.drop_vars("time").assign_coords(time=np.arange(which.size, dtype=float))
            columns |= {(table, str(c)): few[c].values.astype(float) for c in few.data_vars}
    states = States(own, columns)
    found = gridedge.solve(net, **sample, engine=engine)
    picks = (0, which.size // 3, which.size // 2, which.size - 1)
    worst = np.max([apart(found, k, truth(states, k)) for k in picks], axis=0)
    if not within(result, found):
        worst[0] = np.inf
    return [float(x) for x in worst]


def main() -> None:
    """Solve once and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["site", "loads"])
    parser.add_argument("--net", choices=list(SITES), default="mv_oberrhein", help="for site")
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--input", choices=["memory", "lazy"], default="lazy")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    pin(options.threads)
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Solve a short stretch to compile, then all of it, and print what the second took."""
    import gridedge

    def given(steps: int, source: str) -> tuple[Any, dict[str, Any]]:
        if options.what == "site":
            return site_input(options.net, steps, source, folder)
        return loads_input(steps, source)

    net, short = given(min(options.steps, 1800), "memory")
    gridedge.solve(net, **short, reduce=REDUCE)
    net, whole = given(options.steps, options.input)
    before_mb = peak_mb()
    began = time.perf_counter()
    result = gridedge.solve(net, **whole, reduce=REDUCE)
    wall_s = time.perf_counter() - began
    out = {
        "steps": options.steps,
        "wall_s": wall_s,
        "before_mb": before_mb,
        "peak_mb": peak_mb(),
        "engine": result.attrs["engine"],
        "not_converged": result.attrs["steps_not_converged"],
        "difference": difference(net, whole, options.steps, result.attrs["engine"], result),
    }
    print(json.dumps(out))


if __name__ == "__main__":
    main()
