"""How far buses are from each other: parallel lines, switches, transformers; and what several sites break, by steps."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import xarray as xr

from gridedge.grid.distance import X_OHM_PER_KM, distances
from gridedge.planning.fitting import Together
from gridedge.planning.placement import place_sites

pp = pytest.importorskip("pandapower")


def row(km=(1.0, 2.0, 3.0, 4.0, 1.0), max_i_ka=(1.0,) * 5, load_mw=0.1):
    """A source and five buses behind it, 20 kV."""
    net = pp.create_empty_network(sn_mva=1.0)
    before = pp.create_bus(net, 20.0, name="SOURCE 0")
    pp.create_ext_grid(net, before)
    for k, (length, most) in enumerate(zip(km, max_i_ka, strict=True)):
        bus = pp.create_bus(net, 20.0, name=f"{'SEA' if k < 3 else 'HILL'} {k}")
        pp.create_line_from_parameters(net, before, bus, length, 0.02, 0.1, 0.0, max_i_ka=most)
        pp.create_load(net, bus, load_mw)
        before = bus
    return net


def test_the_shortest_of_parallel_ways_counts():
    net = row()
    assert distances(net).km(0, [1, 2, 5]) == pytest.approx([1, 3, 11], abs=1e-4)
    pp.create_line_from_parameters(net, 1, 2, 0.5, 0.02, 0.1, 0.0, max_i_ka=1.0)
    pp.create_line_from_parameters(net, 1, 2, 9.0, 0.02, 0.1, 0.0, max_i_ka=1.0)
    assert distances(net).km(2, [0])[0] == pytest.approx(1.5, abs=1e-4)
    net.line["length_km"] = 1.0
    net.line.loc[0, "parallel"] = 2  # half the reactance, and no shorter
    assert distances(net).by == "reactance"
    assert distances(net).km(0, [1])[0] == pytest.approx(0.05 / X_OHM_PER_KM, abs=1e-5)


def test_what_is_open_leads_nowhere():
    net = row()
    pp.create_switch(net, 2, 2, et="l", closed=False)
    assert distances(net).km(0, [2, 3]) == pytest.approx([3.0, np.inf], abs=1e-4)
    far = pp.create_bus(net, 20.0)
    tie = pp.create_switch(net, 1, far, et="b", closed=False)
    assert np.isinf(distances(net).km(0, [far])[0])
    net.switch.loc[tie, "closed"] = True
    assert distances(net).km(0, [far])[0] == pytest.approx(1.0, abs=1e-4)
    low = pp.create_bus(net, 0.4)
    pp.create_transformer(net, 1, low, "0.63 MVA 20/0.4 kV")
    assert distances(net).km(0, [low])[0] == pytest.approx(1.0, abs=1e-4)
    pp.create_switch(net, 1, 0, et="t", closed=False)
    assert np.isinf(distances(net).km(0, [low])[0])


def drawn(net, bus, mw, q_per_p):
    own = copy.deepcopy(net)
    pp.create_load(own, bus, mw, mw * q_per_p)
    pp.runpp(own, tolerance_mva=1e-10)
    return own


@pytest.mark.parametrize(("percent", "kind"), [(0.6, "low"), (3.0, "loading")])
def test_the_worst_break_is_that_of_the_largest_share(percent, kind):
    own = drawn(row(max_i_ka=(0.3,) * 5), 5, 9.0, np.tan(np.arccos(0.9)))
    vm, loading = own.res_bus.vm_pu.min(), own.res_line.loading_percent.max()
    limits = {"vm_pu": (vm + 0.01, 1.2), "loading_percent": loading - percent}
    both = Together(row(max_i_ka=(0.3,) * 5), [5], power_factor=0.9, limits=limits)
    found = both.breaches(both.power([[5]], [9.0]))[0]
    assert found.kind == kind
    assert found.beyond == pytest.approx({"low": 0.01, "loading": percent}[kind], rel=1e-3)


def test_a_leading_site_lifts_the_voltage():
    leading = Together(row(), [5], power_factor=-0.9, limits={"loading_percent": 100})
    assert leading.q_per_p == pytest.approx(-np.tan(np.arccos(0.9)))
    own = drawn(row(), 5, 1.0, leading.q_per_p)
    assert leading.trial.full(leading._states(leading.power([[5]], [1.0])))[0].max() == pytest.approx(
        own.res_bus.vm_pu.max(), abs=1e-8
    )
    site = place_sites(row(), 1, 1.0, how="named", where=[5], power_factor=-0.9, limits={"loading_percent": 100})
    assert float(site.load()["q_mvar"][0, 0]) == pytest.approx(-np.tan(np.arccos(0.9)))


def test_each_set_of_sites_meets_every_step_by_itself():
    """At noon the sun at the end feeds 2 MW, at night nothing: the last line, 1.7 MVA, is full at night alone."""
    net = row(max_i_ka=(0.15, 1.0, 1.0, 1.0, 0.05))
    p_mw = np.array([[0.1, 0.1, 0.1, 0.1, -2.0], [0.1] * 5, [0.1, 0.1, 5.0, 0.1, -2.0]])
    data = {"p_mw": (("time", "load"), p_mw), "q_mvar": (("time", "load"), 0 * p_mw)}
    background = xr.Dataset(data, {"time": 3600.0 * np.arange(3), "load": net.load.index.to_numpy()})
    both = Together(net, [2, 5], background={"load": background}, limits={"loading_percent": 100})
    sets = both.power([[], [5], [2], [5, 5], [2, 5]], [1.9, 1.6])
    assert sets.sum(axis=1).tolist() == pytest.approx([0, 1.9, 1.9, 3.5, 3.5])
    found = [str(b) for b in both.breaches(sets)]
    assert found == [str(both.breaches(one[None])[0]) for one in sets]
    assert found[0] == "None"
    assert found[1].startswith("loading of line:4")  # at night
    assert found[2].startswith("loading of line:0")  # in the third hour


def test_the_bus_with_the_most_load_counts_as_it_is_scaled():
    net = row()
    net.load.loc[1, ["p_mw", "scaling"]] = [0.15, 0.5]
    limits = {"loading_percent": 100}
    found = place_sites(net, 3, 0.1, how="town", where="SEA", limits=limits)
    assert [s.bus for s in found.sites] == [1, 3, 2]
    near = place_sites(row(), 1, 0.1, how="best", most_buses=1, limits=limits)
    assert [s.bus for s in near.sites] == [1]  # behind the least impedance
