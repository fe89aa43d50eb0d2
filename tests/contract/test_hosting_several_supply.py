"""Several sites where the units of the net share in what they draw."""

import numpy as np
import pytest

import gridedge

pytest.importorskip("pandapower")
from pandapower import networks as nw


def test_units_that_share_by_headroom_end_where_it_ends():
    net = nw.case9()
    net.gen["max_p_mw"] = net.gen["p_mw"] + 20.0
    net.ext_grid["max_p_mw"] = 120.0
    found = gridedge.hosting_pairs(net, [4], limits=(), supply="headroom", power_factor=1.0, tol_mw=0.5)
    assert found.data.attrs["supply"] == "headroom"
    assert set(found.data["kind"].values.ravel()) == {"supply"}
    single = gridedge.hosting_capacity(net, buses=[4], limits=(), supply="headroom", power_factor=1.0, tol_mw=0.5)
    assert np.diag(found.capacity_mw.values) * 2 == pytest.approx(single.capacity_mw.values, abs=1.5)
