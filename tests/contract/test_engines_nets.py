"""Every engine on every net: equal to plain ``runpp`` at random states, in all voltages, angles and loadings.

Loads, static generators and generators move, each by itself, and one or two sites move freely in active and reactive
power.  The judge is ``runpp`` at 1e-10 MVA; where rounding leaves more, at pandapower's own default of 1e-8 MVA
(case2869pegase, the Texas case), which still means less than 1e-9 pu.
"""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import xarray as xr
from oracle import VM_PU, Truth, equal, judge, series, sites, with_sites

import gridedge
from gridedge import sources
from gridedge.errors import InputError
from gridedge.grid.feeders import load_feeder

pytest.importorskip("pandapower")
from pandapower import networks as nw

OTHERS = {
    "cigre_lv": nw.create_cigre_network_lv,
    "cigre_hv": nw.create_cigre_network_hv,
    "example_multivoltage": nw.example_multivoltage,
    "kerber_vorstadtnetz_kabel_1": nw.create_kerber_vorstadtnetz_kabel_1,
    "case14": nw.case14,
    "case30": nw.case30,
    "case57": nw.case57,
    "case300": nw.case300,
    "case1354pegase": nw.case1354pegase,
    "case2869pegase": nw.case2869pegase,
    "simbench_hv_urban": lambda: load_feeder("simbench:1-HV-urban--0-sw").net,
}
NETS = (*sources.names("feeders"), *OTHERS)
STATES, HELD = 8, 25  # states judged; steps of the sites for each of them
LARGE = 1000  # buses from which one site moves, not two
BENT = ("cigre_hv",)  # two sites of a seventh of a load bend its voltages too much for one polynomial at 1e-8 pu


@dataclass(frozen=True)
class Case:
    """A net, its states, and what ``runpp`` says of eight of them."""

    net: Any
    load: xr.Dataset
    background: dict[str, xr.Dataset]
    judged: np.ndarray
    truth: list[Truth]


@functools.lru_cache(maxsize=2)  # the engines of one net come one after the other
def case(name: str) -> Case:
    try:
        net = OTHERS[name]() if name in OTHERS else load_feeder(name).net
    except InputError as error:
        pytest.skip(str(error))
    rng = np.random.default_rng(sum(name.encode()))
    common = rng.uniform(0.85, 1.02, (STATES, 1))
    background = {
        table: series(net, table, common * rng.uniform(0.97, 1.03, (STATES, len(net[table]))), float(HELD))
        for table in ("load", "sgen", "gen")
        if len(net[table])
    }
    on = net.load[net.load.in_service & net.bus.in_service.loc[net.load.bus].to_numpy()]
    at_bus = (on.p_mw * on.scaling).abs().groupby(on.bus).sum()
    buses = rng.choice(at_bus.index, 1 if len(net.bus) > LARGE or name in BENT else 2, replace=False)
    size = 0.15 * at_bus[buses].to_numpy()
    shape = (STATES * HELD, buses.size)
    load = sites(buses.tolist(), size * rng.uniform(0, 1, shape), 0.4 * size * rng.uniform(-1, 1, shape))
    judged = HELD * np.arange(STATES) + rng.integers(0, HELD, STATES)
    truth = []
    for state, step in enumerate(judged):
        own = with_sites(net, load, int(step))
        for table, ds in background.items():
            for column in ds:
                own[table].loc[ds[table].values, column] = ds[column].values[state]
        truth.append(judge(own))
    return Case(net, load, background, judged, truth)


@pytest.mark.parametrize("engine", ["reference", "batch", "surface"])
@pytest.mark.parametrize("name", NETS)
def test_every_engine_equals_runpp_on_every_net(name: str, engine: str) -> None:
    this = case(name)
    before = copy.deepcopy(this.net.load)
    load, background, judged = this.load, this.background, this.judged
    if engine == "reference":  # step by step: the judged states alone, on a clock of their own
        load = load.isel(time=judged).assign_coords(time=np.arange(STATES, dtype=float))
        background = {t: ds.assign_coords(time=load["time"]).assign_attrs(dt_s=1.0) for t, ds in background.items()}
        judged = np.arange(STATES)
    result = gridedge.solve(this.net, load, background=background, engine=engine, tol_vm_pu=VM_PU)
    assert result.attrs["engine"] == engine, result.attrs["engine_why"]
    assert result.attrs["error_vm_pu"] <= VM_PU
    assert bool(result["converged"].all())
    for step, truth in zip(judged, this.truth, strict=True):
        equal(result, int(step), truth)
    assert before.equals(this.net.load)
