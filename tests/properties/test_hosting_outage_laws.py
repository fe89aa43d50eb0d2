"""Laws of hosting capacity under outages: never above the whole net's, never raised by a tighter limit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridedge

pp = pytest.importorskip("pandapower")
NEAR_MW = 0.011  # twice the tolerance of an answer


@st.composite
def rings(draw):
    """A ring of four or five buses with a spur, so that some outages leave a way and one does not."""
    net = pp.create_empty_network(sn_mva=1.0)
    count = draw(st.integers(4, 5))
    for _ in range(count + 1):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    pairs = [*((k, (k + 1) % count) for k in range(count)), (1, count)]
    for a, b in pairs:
        pp.create_line_from_parameters(
            net, a, b, draw(st.floats(0.5, 3.0)), 0.3, 0.3, 200.0, max_i_ka=draw(st.floats(0.15, 0.4))
        )
    for bus in range(1, count + 1):
        pp.create_load(net, bus, draw(st.floats(0.0, 1.5)), 0.1)
    return net


@settings(max_examples=2, deadline=None, derandomize=True)
@given(net=rings(), low=st.floats(0.9, 0.96), full=st.floats(60.0, 130.0))
def test_never_above_the_whole_net_and_no_tighter_limit_raises_it(net, low, full):
    def capacity(low, full, outages, **more):
        limits = {"vm_pu": [low, 1.1], "loading_percent": full}
        found = gridedge.hosting_capacity(
            net, buses=[2, int(net.bus.index[-1])], limits=limits, tol_mw=0.005, n_minus_1=outages, **more
        )
        return found.capacity_mw.values

    secure = capacity(low, full, True)
    assert (secure <= capacity(low, full, False) + 1e-9).all()
    assert (secure <= capacity(low, full, ["line:0"]) + NEAR_MW).all()  # fewer outages, no less capacity
    assert (capacity(low, 0.9 * full, True) <= secure + NEAR_MW).all()
    assert (capacity(low + 0.01, full, True) <= secure + NEAR_MW).all()
    assert (capacity(low, full, True, emergency_percent=1.2 * full) >= secure - NEAR_MW).all()
    assert np.isfinite(secure).all()
