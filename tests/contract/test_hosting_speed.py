"""What makes hosting capacity fast changes no answer: sharing in lanes, compiled means, rows side by side."""

import numpy as np
import pytest

pytest.importorskip("pandapower")
from pandapower import networks as nw

import gridedge
from gridedge.grid.engines.batch import Drawn
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.factors import jacobian, jacobian_of
from gridedge.grid.inject import scaled_background
from gridedge.grid.trial import Bounds, Trial
from gridedge.planning.hosting.bounds import Group, moving_mean, of_means

STEPS = 21


def series(net, low=0.5, high=1.2):
    wave = low + (high - low) * np.sin(1.7 * np.arange(STEPS)) ** 2
    return scaled_background(net, "load", wave, 900.0 * np.arange(STEPS))


def test_sharing_in_lanes_finds_what_the_switching_solver_finds():
    """Loads fall below and rise above the schedule, so units share by footroom and by headroom."""
    net = nw.case118()
    trial = Trial(net, [11, 50, 75], 0.2, series(net), None, "headroom")
    assert not trial.dear
    k, p_mw = np.repeat([0, 1, 2], STEPS), np.repeat([0.0, 90.0, 200.0], STEPS)
    when = np.tile(np.arange(STEPS), 3)
    drawn = trial.drawn(k, p_mw, when)
    v = Lanes(trial.model.v0.size, k.size)
    solved = trial.solve(trial.base, v, True, drawn)
    x = np.concatenate([trial.states(i, p_mw[k == i], when[k == i]) for i in range(3)])
    told = trial.within.supplied(x)
    assert solved.all()
    assert told.converged.all()
    change_mw = told.p_mw.sum(axis=0) - trial.within.units.p_mw.sum()
    assert change_mw.min() < -10
    assert change_mw.max() > 10
    assert np.abs(v.take(np.arange(k.size)) - told.v).max() < 1e-8
    # The columns of all rows give the same as the rows themselves.
    wide = Lanes(trial.model.v0.size, k.size)
    assert trial.solve(x, wide).all()
    assert np.abs(v.take(np.arange(k.size)) - wide.take(np.arange(k.size))).max() < 1e-9


def test_more_than_the_headroom_has_no_solution():
    net = nw.case118()
    trial = Trial(net, [48], 0.0, None, None, "headroom")
    sizes = np.array([0.5, 1.05]) * trial.headroom_mw
    drawn = trial.drawn(np.zeros(2, dtype=int), sizes, np.zeros(2, dtype=int))
    v = Lanes(trial.model.v0.size, 2)
    _, short, change = trial.of_steps.solve(trial.base, v, drawn, 300, far=True)
    assert change[0] * trial.model.base_mva > sizes[0]  # losses come on top
    assert not short[0]
    assert not trial.solve(trial.base, v, True, drawn)[1]


def test_reactive_power_of_units_is_what_the_switching_solver_finds():
    net = nw.case118()
    trial = Trial(net, [11, 50], 0.3, None, None, "headroom")
    k, p_mw, when = np.array([0, 1]), np.array([150.0, 80.0]), np.zeros(2, dtype=int)
    beyond, solved = trial.beyond_mvar(k, p_mw, when)
    told = trial.within.supplied(np.concatenate([trial.states(i, p_mw[i : i + 1], when[:1]) for i in (0, 1)]))
    assert solved.all()
    assert beyond.max() > 1.0
    assert np.abs(beyond - told.beyond_mvar).max() < 1e-5
    found = gridedge.hosting_capacity(net, buses=[11, 50], limits={"vm_pu": [0.9, 1.1]}, max_mw=100.0)
    assert any("Reactive limits of units are not enforced" in r for r in found.remarks)


@pytest.mark.parametrize("net", [nw.case118(), nw.case33bw()], ids=["case118", "case33bw"])
def test_the_jacobian_laid_out_once_is_the_jacobian(net):
    import pandapower as pp

    from gridedge.grid.engines.model import extract

    pp.runpp(net)
    model = extract(net)
    rng = np.random.default_rng(2)
    v = model.v0 * (0.9 + 0.2 * rng.random(model.v0.size)) * np.exp(0.2j * rng.random(model.v0.size))
    want = jacobian(model, v)
    assert abs(want - jacobian_of(model)(v)).max() < 1e-12 * abs(want).max()


@pytest.mark.parametrize("window", [2, 5, STEPS])
def test_margins_of_means_are_those_of_all_voltages_and_loadings(window):
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    trial = Trial(net, [5, 9], 0.2, series(net), None, "slack")
    buses, branches = trial.model.readout.bus_index.size, len(trial.model.readout.labels)
    bounds = Bounds(np.full(buses, 0.95), np.full(buses, 1.02), np.full(branches, 80.0), np.full(buses, np.inf))
    sizes = [0.0, 1.5]
    k, p_mw, when = np.ones(2 * STEPS, dtype=int), np.repeat(sizes, STEPS), np.tile(np.arange(STEPS), 2)
    before = np.ones((STEPS, buses))
    margin, where, solved = trial.judge(k, p_mw, when, [bounds, bounds], before, True, [window, 1])
    assert solved.all()
    whole = STEPS - window + 1
    for j, size in enumerate(sizes):
        vm, loading, _ = trial.full(trial.states(1, np.full(STEPS, size), np.arange(STEPS)))
        for got, at, length in ((margin[0], where[0], window), (margin[1], where[1], 1)):
            mean, full = moving_mean(vm, length), moving_mean(loading, length)
            sides = [mean - bounds.low, bounds.high - mean, bounds.full - full]
            first = slice(j * STEPS, j * STEPS + mean.shape[0])
            for kind, side in enumerate(sides):
                side = np.where(np.isnan(side), np.inf, side)
                assert np.abs(got[kind, first] - side.min(axis=1)).max() < 1e-9
                assert np.abs(side[np.arange(side.shape[0]), at[kind, first]] - side.min(axis=1)).max() < 1e-9
            second = np.sort(np.where(np.isnan(sides[2]), np.inf, sides[2]), axis=1)[:, 1]
            assert np.abs(got[4, first] - second).max() < 1e-9
        slow = of_means(Group(bounds, window, 0, ()), vm, loading)
        assert np.abs(slow.margin[:3, 0] - margin[0][:3, j * STEPS : j * STEPS + whole]).max() < 1e-9
    assert np.isinf(margin[0][:, whole:STEPS]).all()


def test_rows_side_by_side_find_what_each_finds_alone():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    given = {"limits": {"vm_pu": [0.9, 1.05], "loading_percent": 120}, "background": series(net, 0.3, 0.8)}
    buses = [2, 4, 8, 13]
    together = gridedge.hosting_capacity(net, buses=buses, **given).table()
    alone = [gridedge.hosting_capacity(net, buses=b, **given).table().loc[b] for b in buses]
    assert (together["capacity_mw"] > 0).all()
    for bus, one in zip(buses, alone, strict=True):
        both = together.loc[bus]
        assert abs(both["capacity_mw"] - one["capacity_mw"]) < 0.01
        assert (both["limit"], both["element"]) == (one["limit"], one["element"])


def test_a_patient_iteration_ends_at_the_operating_root():
    """Two buses: V2^2 = (1 + sqrt(1 - 4 X^2 P^2)) / 2 at unity power factor behind X, up to P = 1 / (2 X)."""
    import pandapower as pp

    from gridedge.grid.engines.batch import Batch
    from gridedge.grid.engines.model import extract

    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    pp.create_impedance(net, a, b, rft_pu=0.0, xft_pu=0.1, sn_mva=1.0)
    pp.create_load(net, b, 0.0)
    pp.runpp(net)
    model = extract(net)
    none = model.y[:, :0].real
    batch = Batch(model, np.zeros(2, complex), none, none, np.zeros(2, complex))
    share = np.array([0.5, 0.9, 0.99, 1.001])
    row = np.full(4, int(model.readout.bus_row[1]))
    drawn = Drawn(np.zeros(4, dtype=np.int64), row, share * 5.0 + 0j)
    v = Lanes(2, 4)
    solved = batch.contracting(np.zeros((1, 0)), v, drawn, 600, far=True)
    assert solved.tolist() == [True, True, True, False]
    want = np.sqrt((1 + np.sqrt(1 - share[:3] ** 2)) / 2)
    assert np.abs(np.abs(v.take(np.arange(3))[row[0]]) - want).max() < 1e-8
