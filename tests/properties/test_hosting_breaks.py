"""Hosting capacity of random radial nets, judged by plain runpp just below and just above the answer."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridedge

pp = pytest.importorskip("pandapower")


@st.composite
def feeders(draw):
    """A small radial net with loads, some of them far apart."""
    net = pp.create_empty_network(sn_mva=1.0)
    first = pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first, vm_pu=draw(st.sampled_from([1.0, 1.02])))
    for k in range(draw(st.integers(2, 5))):
        parent = draw(st.integers(0, k))
        bus = pp.create_bus(net, 20.0)
        pp.create_line_from_parameters(
            net, parent, bus, length_km=draw(st.floats(0.5, 8.0)), r_ohm_per_km=draw(st.floats(0.1, 0.6)),
            x_ohm_per_km=draw(st.floats(0.1, 0.4)), c_nf_per_km=200.0, max_i_ka=draw(st.floats(0.1, 0.4)),
        )  # fmt: skip
        pp.create_load(net, bus, p_mw=draw(st.floats(0.0, 0.4)), q_mvar=0.05)
    return net


def broken(net, bus, p_mw, q_mvar, low, high, full):
    """Return what plain runpp finds broken, as the result names it."""
    own = copy.deepcopy(net)
    pp.create_load(own, bus, p_mw, q_mvar)
    try:
        pp.runpp(own, tolerance_mva=1e-10)
    except pp.LoadflowNotConverged:
        return {"collapse"}
    vm, loading = own.res_bus.vm_pu, own.res_line.loading_percent
    found = {f"bus {b}" for b in vm.index[(vm < low - 1e-7) | (vm > high + 1e-7)]}
    return found | {f"line:{k}" for k in loading.index[loading > full + 1e-5]}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(net=feeders(), low=st.floats(0.9, 0.97), full=st.floats(40.0, 120.0), pf=st.sampled_from([1.0, 0.95, -0.95]))
def test_limits_hold_at_the_capacity_and_the_one_reported_breaks_just_above(net, low, full, pf):
    bus = int(net.bus.index[-1])
    q_per_p = np.copysign(np.tan(np.arccos(abs(pf))), pf)
    limits = {"vm_pu": [low, 1.1], "loading_percent": full}
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=pf, limits=limits)
    capacity, element = float(found.capacity_mw[0]), str(found.data["element"].values[0])
    if capacity > 0:
        assert not broken(net, bus, capacity, q_per_p * capacity, low, 1.1, full)
    above = broken(net, bus, capacity + 0.02, q_per_p * (capacity + 0.02), low, 1.1, full)
    assert element in above or "collapse" in above
    following = float(found.data["next_mw"][0])
    assert not following < capacity

    # A tighter limit never raises it.
    for tighter in ({"vm_pu": [low + 0.01, 1.1], "loading_percent": full}, {**limits, "loading_percent": 0.8 * full}):
        less = gridedge.hosting_capacity(net, buses=bus, power_factor=pf, limits=tighter)
        assert float(less.capacity_mw[0]) <= capacity + 0.01
