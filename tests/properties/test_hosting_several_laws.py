"""Several sites on random radial nets, judged by plain runpp just below and just above each answer."""

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridedge

pp = pytest.importorskip("pandapower")

Q_PER_P = np.tan(np.arccos(0.95))


def feeder(seed):
    """A small radial net with loads."""
    rng = np.random.default_rng(seed)
    net = pp.create_empty_network(sn_mva=1.0)
    pp.create_ext_grid(net, pp.create_bus(net, 20.0), vm_pu=rng.choice([1.0, 1.02]))
    for k in range(rng.integers(3, 6)):
        bus = pp.create_bus(net, 20.0)
        pp.create_line_from_parameters(
            net, int(rng.integers(0, k + 1)), bus, length_km=rng.uniform(0.5, 8.0), r_ohm_per_km=rng.uniform(0.1, 0.6),
            x_ohm_per_km=rng.uniform(0.1, 0.4), c_nf_per_km=200.0, max_i_ka=rng.uniform(0.1, 0.4),
        )  # fmt: skip
        pp.create_load(net, bus, p_mw=rng.uniform(0.0, 0.4), q_mvar=0.05)
    return net


def broken(net, sites, low, full):
    """Return what plain runpp finds broken with sites (bus, MW), as the results name it."""
    own = copy.deepcopy(net)
    for bus, p_mw in sites:
        pp.create_load(own, int(bus), float(p_mw), Q_PER_P * float(p_mw))
    try:
        pp.runpp(own, tolerance_mva=1e-10)
    except pp.LoadflowNotConverged:
        return {"collapse"}
    vm, loading = own.res_bus.vm_pu, own.res_line.loading_percent
    found = {f"bus {b}" for b in vm.index[(vm < low - 1e-7) | (vm > 1.1 + 1e-7)]}
    return found | {f"line:{k}" for k in loading.index[loading > full + 1e-5]}


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), low=st.floats(0.9, 0.97), full=st.floats(40.0, 120.0))
def test_pairs_hold_at_their_entry_and_break_just_above(seed, low, full):
    net = feeder(seed)
    buses = net.bus.index[-2:].tolist()
    limits = {"vm_pu": [low, 1.1], "loading_percent": full}
    found = gridedge.hosting_pairs(net, buses, power_factor=0.95, limits=limits)
    mw, single = found.capacity_mw.values, found.data["single_mw"].values
    assert (mw == mw.T).all()
    assert (mw <= np.minimum(single[:, None], single[None, :]) + 0.01).all()
    assert np.diag(mw) == pytest.approx(single / 2, abs=0.011)
    for i, a in enumerate(buses):
        for j, b in enumerate(buses):
            element = str(found.data["element"].values[i, j])
            if mw[i, j] > 0:
                assert not broken(net, [(a, mw[i, j]), (b, mw[i, j])], low, full)
            above = broken(net, [(a, mw[i, j] + 0.02), (b, mw[i, j] + 0.02)], low, full)
            assert element in above or "collapse" in above
    beside = gridedge.hosting_pairs(net, buses, power_factor=0.95, limits=limits, given_mw=float(single.min()) / 2)
    assert (beside.capacity_mw.values <= single[None, :] + 0.01).all()
    tighter = gridedge.hosting_pairs(net, buses, power_factor=0.95, limits={**limits, "loading_percent": 0.8 * full})
    assert (tighter.capacity_mw.values <= mw + 0.01).all()


@settings(max_examples=4, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), low=st.floats(0.9, 0.97), full=st.floats(40.0, 120.0))
def test_at_every_plan_all_limits_hold_and_the_largest_total_is_the_largest(seed, low, full):
    net = feeder(seed)
    buses = net.bus.index[1:].tolist()
    limits = {"vm_pu": [low, 1.1], "loading_percent": full}
    found = gridedge.hosting_together(
        net, buses, power_factor=0.95, limits=limits, weights=np.arange(1, len(buses) + 1)
    )
    total = found.total_mw
    if float(total.sel(plan="largest")) == 0.0:
        assert broken(net, [], low, full)
        return
    for plan in found.data["plan"].values:
        assert not broken(net, zip(buses, found.data["p_mw"].sel(plan=plan).values, strict=True), low, full)
    assert float(total.sel(plan="fair")) >= float(total.sel(plan="proportional"))
    assert float(total.sel(plan="largest")) >= float(total.max())
    # No move of a little power from one site to another, or from nowhere, is better.
    best = found.data["p_mw"].sel(plan="largest").values
    for k in range(len(buses)):
        more = best.copy()
        more[k] += 0.05
        assert broken(net, zip(buses, more, strict=True), low, full)
    p_mw = found.data["p_mw"].sel(plan="proportional").values
    assert p_mw / p_mw[0] == pytest.approx(np.arange(1, len(buses) + 1))


@settings(max_examples=3, deadline=None, derandomize=True)
@given(seed=st.integers(0, 1000), low=st.floats(0.9, 0.97), full=st.floats(40.0, 120.0))
def test_every_deployment_holds_at_its_total_and_breaks_just_above(seed, low, full):
    net = feeder(seed)
    limits = {"vm_pu": [low, 1.1], "loading_percent": full}
    found = gridedge.hosting_deployments(net, 2, draws=8, seed=seed, power_factor=0.95, limits=limits, sizes=[1, 2, 5])
    for k in range(8):
        draw = found.data.isel(draw=k)
        bus, p_mw, total = draw["bus"].values, draw["p_mw"].values, float(draw["total_mw"])
        assert len(set(bus.tolist())) == 2
        assert p_mw.sum() == pytest.approx(total)
        if total > 0:
            assert not broken(net, zip(bus, p_mw, strict=True), low, full)
            above = broken(net, zip(bus, p_mw * (1 + 0.02 / total), strict=True), low, full)
            assert str(draw["element"].item()) in above or "collapse" in above
    tighter = {"vm_pu": [low + 0.01, 1.1], "loading_percent": full}
    less = gridedge.hosting_deployments(net, 2, draws=8, seed=seed, power_factor=0.95, limits=tighter, sizes=[1, 2, 5])
    assert (less.data["bus"] == found.data["bus"]).all()
    assert (less.total_mw <= found.total_mw + 0.01).all()
