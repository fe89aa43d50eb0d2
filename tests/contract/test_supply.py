"""Reactive limits and dispatch by headroom against a loop of plain ``runpp`` that switches buses and shares itself."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.grid.engines import dispatch, reference, supply
from gridedge.grid.engines.model import extract
from gridedge.grid.engines.supply import within_limits
from gridedge.grid.engines.units import read_units
from gridedge.grid.extras import missing_packages

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

CLOSE_MVAR = 1e-6


class Bench:
    """A net, its arrays, and states made by loads in it."""

    def __init__(self, net, **options):
        self.net = net
        assert reference.run_once(net)
        self.model = extract(net)
        self.units = read_units(net, self.model, **options)
        row_of = dict(zip(self.model.readout.bus_index, self.model.readout.bus_row, strict=True))
        self.load_row = np.array([row_of[b] for b in net.load.bus])
        self.base = net.load.p_mw.to_numpy(float), net.load.q_mvar.to_numpy(float)

    def injections(self, p_mw, q_mvar):
        """Return s (row, state) for loads (state, load)."""
        s = np.repeat(self.model.s0[:, None], len(p_mw), axis=1)
        alive = (self.net.load.in_service * self.net.load.scaling).to_numpy(float)[:, None]
        more = (p_mw - self.base[0]).T + 1j * (q_mvar - self.base[1]).T
        np.add.at(s, self.load_row, -alive * more / self.model.base_mva)
        return s

    def states(self, count, spread, seed, site_mw=0.0):
        """Return loads that vary by a factor each and all together, with a site at one of them."""
        rng = np.random.default_rng(seed)
        factor = rng.uniform(1 - spread, 1 + spread, (count, len(self.net.load)))
        factor *= rng.uniform(1 - spread, 1 + spread, (count, 1))
        p, q = self.base[0] * factor, self.base[1] * factor
        p[np.arange(count), rng.integers(0, p.shape[1], count)] += rng.uniform(0, site_mw, count)
        return p, q


def by_hand(bench, p_mw, q_mvar, *, q_limits, headroom):
    """Solve one state by runpp, a gen at its limit being replaced by an sgen; one unit per bus."""
    net = copy.deepcopy(bench.net)
    net.load["p_mw"], net.load["q_mvar"] = p_mw, q_mvar
    gens, base_mw = net.gen.index[net.gen.in_service], net.gen.p_mw.copy()
    slack_mw = bench.net.res_ext_grid.p_mw.iloc[0]
    twin = {g: pp.create_sgen(net, net.gen.bus[g], 0.0, in_service=False) for g in gens}
    mode, change, options = dict.fromkeys(gens, 0), 0.0, {"calculate_voltage_angles": True, "tolerance_mva": 1e-10}
    for _ in range(60):
        up = change >= 0
        room = (net.gen.max_p_mw - base_mw if up else base_mw - net.gen.min_p_mw)[gens].clip(lower=0)
        of_slack = net.ext_grid.max_p_mw[0] - slack_mw if up else slack_mw - net.ext_grid.min_p_mw[0]
        of_slack = max(of_slack, 0.0)
        total = room.sum() + of_slack
        if headroom:
            net.gen.loc[gens, "p_mw"] = base_mw[gens] + change * room / total
        for g in gens:
            held = mode[g] != 0
            net.gen.at[g, "in_service"], net.sgen.at[twin[g], "in_service"] = not held, held
            if held:
                limit = net.gen.max_q_mvar[g] if mode[g] > 0 else net.gen.min_q_mvar[g]
                net.sgen.loc[twin[g], ["p_mw", "q_mvar"]] = net.gen.p_mw[g], limit
        pp.runpp(net, **options)
        options["init"] = "results"
        off_mw = net.res_ext_grid.p_mw.iloc[0] - slack_mw - change * of_slack / total if headroom else 0.0
        change += off_mw
        switched = False
        for g in gens if q_limits else ():
            old, q = mode[g], net.res_gen.q_mvar[g]
            off_pu = net.res_bus.vm_pu[net.gen.bus[g]] - net.gen.vm_pu[g]
            if old == 0:
                mode[g] = int(q > net.gen.max_q_mvar[g] + 1e-7) - int(q < net.gen.min_q_mvar[g] - 1e-7)
            elif old * off_pu > 1e-9:
                mode[g] = 0
            switched |= mode[g] != old
        if not switched and abs(off_mw) < 1e-7:
            return net, mode
    raise AssertionError("the loop of the test does not end")


def assert_same(bench, done, k, net, mode):
    """Compare one state with a solved net: voltages, loadings, units."""
    assert done.converged[k]
    assert done.why[k] == ""
    vm, va = bench.model.readout.voltages(done.v[:, [k]])
    np.testing.assert_allclose(vm[0], net.res_bus.vm_pu, rtol=0, atol=1e-8)
    np.testing.assert_allclose(va[0], net.res_bus.va_degree, rtol=0, atol=1e-6)
    loading = bench.model.readout.branches(done.v[:, [k]])[0][0]
    for table in ("line", "trafo"):
        here = np.array([e == table for e in bench.model.readout.element])
        if here.any():
            np.testing.assert_allclose(loading[here], net[f"res_{table}"].loading_percent, rtol=0, atol=1e-3)
    place = {row: i for i, row in enumerate(bench.units.bus_row)}
    for i, (table, index) in enumerate(zip(bench.units.table, bench.units.index, strict=True)):
        if table == "ext_grid":
            assert done.p_mw[i, k] == pytest.approx(net.res_ext_grid.p_mw[index], abs=1e-6)
            continue
        assert done.p_mw[i, k] == pytest.approx(net.gen.p_mw[index], abs=1e-6)
        assert done.at_limit[place[bench.units.row[i]], k] == mode[index]


def assert_within(bench, done, *, headroom):
    """No limit is broken; a unit that was beyond its limit has not gone further."""
    free = ~np.isin(bench.units.bus_row, bench.model.ref)
    assert np.nanmax(done.beyond_mvar[free]) < CLOSE_MVAR
    if headroom:
        assert_within_p(bench, done, slice(None))


def assert_within_p(bench, done, states):
    """A unit is as far beyond its active limits as it is in the base state, or less."""
    u = bench.units
    already = np.fmax(np.fmax(u.p_mw - u.max_p_mw, u.min_p_mw - u.p_mw), 0)
    assert (already + 1e-6 >= done.beyond_mw[:, states].T).all()


@pytest.fixture(scope="module")
def case39():
    return Bench(nw.case39())


@pytest.fixture(scope="module")
def case118():
    return Bench(nw.case118())


@pytest.mark.parametrize(("q_limits", "headroom"), [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("name", ["case39", "case118"])
def test_equal_to_a_loop_of_runpp(name, q_limits, headroom, request):
    bench = request.getfixturevalue(name)
    p, q = bench.states(6, 0.08, seed=7, site_mw=300.0)
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=q_limits, headroom=headroom)
    assert done.converged.all()
    if q_limits:
        assert_within(bench, done, headroom=headroom)
    # States in which the load rises and in which it falls, at least one of each.
    total = p.sum(axis=1) - bench.base[0].sum()
    assert total.min() < 0 < total.max()
    for k in (int(total.argmin()), int(total.argmax()), 2):
        net, mode = by_hand(bench, p[k], q[k], q_limits=q_limits, headroom=headroom)
        assert_same(bench, done, k, net, mode)


@pytest.mark.skipif(bool(missing_packages("texas")), reason="texas2000 is not installed")
def test_texas_with_added_load_breaks_no_limit_and_equals_the_loop():
    from gridedge.grid.texas import texas_net

    bench = Bench(texas_net())
    p, q = bench.states(4, 0.02, seed=6, site_mw=200.0)
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=True)
    assert done.converged.all()
    assert_within(bench, done, headroom=True)
    k = int(p.sum(axis=1).argmax())
    assert p[k].sum() > bench.base[0].sum()
    net, mode = by_hand(bench, p[k], q[k], q_limits=True, headroom=True)
    assert np.abs(list(mode.values())).sum() > 50
    assert_same(bench, done, k, net, mode)


def test_many_states_need_no_more_than_their_own_limits(case118):
    p, q = case118.states(200, 0.15, seed=1, site_mw=200.0)
    s = case118.injections(p, q)
    done = within_limits(case118.model, case118.units, s, q_limits=True, headroom=True)
    assert done.converged.all()
    assert_within(case118, done, headroom=True)
    assert np.unique(done.at_limit, axis=1).shape[1] > 50
    alone = within_limits(case118.model, case118.units, s[:, [17]], q_limits=True, headroom=True)
    np.testing.assert_allclose(alone.v[:, 0], done.v[:, 17], rtol=0, atol=1e-10)
    # Each unit has the same part of its room: the change of generation in that of all.
    u = case118.units
    moved = done.p_mw - u.p_mw[:, None]
    room = np.where(moved.sum(axis=0) > 0, (u.max_p_mw - u.p_mw)[:, None], (u.p_mw - u.min_p_mw)[:, None])
    np.testing.assert_allclose(moved, room * moved.sum(axis=0) / room.sum(axis=0), rtol=0, atol=1e-6)


def test_the_base_state_is_its_own_dispatch_and_no_number_is_no_solution(case118):
    s = np.repeat(case118.model.s0[:, None], 3, axis=1)
    s[5, 1] = np.nan
    done = within_limits(case118.model, case118.units, s, q_limits=False, headroom=True)
    assert done.converged.tolist() == [True, False, True]
    assert done.why[1] == supply.NO_NUMBER
    np.testing.assert_allclose(done.v[:, 0], case118.model.v0, rtol=0, atol=1e-9)
    np.testing.assert_allclose(done.p_mw[:, 0], case118.units.p_mw, rtol=0, atol=1e-6)
    assert np.isnan(done.v[:, 1]).all()
    assert np.isnan(done.p_mw[:, 1]).all()


def test_more_load_than_headroom_is_masked_with_the_reason(case39):
    room = np.fmax(case39.units.max_p_mw - case39.units.p_mw, 0).sum()
    foot = (case39.units.p_mw - case39.units.min_p_mw).sum()
    factor = np.array([1.0, 1 + 0.95 * room / case39.base[0].sum(), 1 + 1.05 * room / case39.base[0].sum(), -0.2])
    p, q = case39.base[0] * factor[:, None], np.repeat(case39.base[1][None], 4, axis=0)
    assert -(factor[3] - 1) * case39.base[0].sum() > foot
    done = within_limits(case39.model, case39.units, case39.injections(p, q), q_limits=False, headroom=True)
    assert done.converged.tolist()[2:] == [False, False]
    assert done.converged[0]
    assert done.why.tolist()[2:] == [dispatch.NO_HEADROOM, dispatch.NO_FOOTROOM]
    assert np.isnan(done.p_mw[:, 2:]).all()
    # 95 % of the headroom as load, and the losses of it: just possible, and nobody is beyond.
    assert done.converged[1]
    used = (done.p_mw[:, 1] - case39.units.p_mw).sum() / room
    assert 0.95 < used < 1.0
    assert_within_p(case39, done, 1)


def test_a_bus_returns_to_its_set_point_where_pandapower_leaves_it_at_the_limit(case118):
    p, q = case118.states(12, 0.3, seed=3)
    done = within_limits(case118.model, case118.units, case118.injections(p, q), q_limits=True, headroom=False)
    vm = case118.model.readout.voltages(done.v)[0]
    gens = case118.net.gen
    place = np.searchsorted(case118.units.bus_row, case118.units.row)
    at = {i: done.at_limit[place[k]] for k, i in enumerate(case118.units.index) if case118.units.table[k] == "gen"}
    odd = same = 0
    for k in range(12):
        net = copy.deepcopy(case118.net)
        net.load["p_mw"], net.load["q_mvar"] = p[k], q[k]
        pp.runpp(net, enforce_q_lims=True, tolerance_mva=1e-10, calculate_voltage_angles=True)
        off = net.res_bus.vm_pu[gens.bus].to_numpy() - gens.vm_pu.to_numpy()
        above = (off > 1e-6) & (net.res_gen.q_mvar > gens.max_q_mvar - 1e-6).to_numpy()
        below = (off < -1e-6) & (net.res_gen.q_mvar < gens.min_q_mvar + 1e-6).to_numpy()
        mine = vm[k, case118.net.bus.index.get_indexer(gens.bus)] - gens.vm_pu.to_numpy()
        side = np.array([at[i][k] for i in gens.index])
        assert (side * mine < 1e-8).all()
        if (above | below).any():
            odd += 1
        else:
            same += 1
            np.testing.assert_allclose(vm[k], net.res_bus.vm_pu, rtol=0, atol=1e-8)
    assert odd
    assert same


def test_limits_that_do_not_settle_are_masked_and_one_at_a_time_ends_the_same(case118, monkeypatch):
    p, q = case118.states(20, 0.1, seed=4)
    s = case118.injections(p, q)
    done = within_limits(case118.model, case118.units, s, q_limits=True, headroom=True)
    monkeypatch.setattr(supply, "_TOGETHER", 0)
    slow = within_limits(case118.model, case118.units, s, q_limits=True, headroom=True)
    np.testing.assert_allclose(slow.v, done.v, rtol=0, atol=1e-9)
    real = supply._switch

    def restless(case, work, states, lone, first):
        return real(case, work, states, lone, first) | (states == 3)

    monkeypatch.setattr(supply, "_switch", restless)
    cut = within_limits(case118.model, case118.units, s, q_limits=True, headroom=True)
    assert np.flatnonzero(~cut.converged).tolist() == [3]
    assert cut.why[3] == supply.NO_SET
    assert np.isnan(cut.v[:, 3]).all()


def test_a_state_is_found_where_switching_all_buses_together_leaves_no_solution():
    bench = Bench(nw.case300())
    p, q = bench.states(8, 0.1, seed=2)
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=False)
    assert_within(bench, done, headroom=False)
    place = np.searchsorted(bench.units.bus_row, bench.units.row)
    side = {i: done.at_limit[place[k]] for k, i in enumerate(bench.units.index) if bench.units.table[k] == "gen"}
    gained = 0
    for k in np.flatnonzero(done.converged)[:4]:
        net = copy.deepcopy(bench.net)
        net.load["p_mw"], net.load["q_mvar"] = p[k], q[k]
        try:
            pp.runpp(net, enforce_q_lims=True, calculate_voltage_angles=True)
        except pp.LoadflowNotConverged:
            gained += 1
        held = [g for g in net.gen.index if side[g][k]]
        for g in held:
            limit = net.gen.max_q_mvar[g] if side[g][k] > 0 else net.gen.min_q_mvar[g]
            pp.create_sgen(net, net.gen.bus[g], net.gen.p_mw[g], limit)
        net.gen.loc[held, "in_service"] = False
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
        np.testing.assert_allclose(bench.model.readout.voltages(done.v[:, [k]])[0][0], net.res_bus.vm_pu, atol=1e-8)
        off = net.res_bus.vm_pu[net.gen.bus].to_numpy() - net.gen.vm_pu.to_numpy()
        assert all(side[g][k] * o < 1e-8 for g, o in zip(net.gen.index, off, strict=True))
    assert gained


def small_net():
    """Return a source, and behind lines two gens at one bus, another gen and a load."""
    net = pp.create_empty_network()
    a, b, c = (pp.create_bus(net, 110.0) for _ in range(3))
    pp.create_ext_grid(net, a, min_p_mw=0.0, max_p_mw=200.0)
    for ends in ((a, b), (b, c), (a, c)):
        pp.create_line(net, *ends, 40.0, "149-AL1/24-ST1A 110.0")
    pp.create_load(net, c, 60.0, 20.0)
    pp.create_gen(net, b, 10.0, vm_pu=1.02, min_p_mw=0.0, max_p_mw=20.0, min_q_mvar=-3.0, max_q_mvar=3.0)
    pp.create_gen(net, b, 5.0, vm_pu=1.02, min_p_mw=5.0, max_p_mw=45.0, min_q_mvar=-1.0, max_q_mvar=4.0)
    pp.create_gen(net, c, 10.0, vm_pu=1.01, min_q_mvar=-50.0, max_q_mvar=50.0)
    return net


def test_two_units_at_a_bus_reach_their_limits_together_and_who_shares():
    net = small_net()
    pp.create_gen(net, 2, 7.0, vm_pu=1.01, max_p_mw=90.0, in_service=False)
    pp.create_gen(net, 2, 4.0, vm_pu=1.01, max_p_mw=90.0, min_p_mw=0.0, controllable=False)
    bench = Bench(net)
    p = np.array([[60.0], [90.0], [40.0]])
    q = np.array([[20.0], [60.0], [-10.0]])
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=True)
    assert done.converged.all()
    assert bench.units.table == ("ext_grid", "gen", "gen", "gen", "gen")
    rises = done.p_mw[:, 1] - bench.units.p_mw
    room = np.array([200.0 - bench.units.p_mw[0], 10.0, 40.0, 0.0, 0.0])
    np.testing.assert_allclose(rises, rises.sum() * room / room.sum(), atol=1e-6)
    falls = done.p_mw[:, 2] - bench.units.p_mw
    foot = np.array([bench.units.p_mw[0], 10.0, 0.0, 0.0, 0.0])
    np.testing.assert_allclose(falls, falls.sum() * foot / foot.sum(), atol=1e-6)
    # With the powers found, pandapower's own limits must end at the same voltages: nothing returns here.
    for k in range(3):
        own = copy.deepcopy(net)
        own.load["p_mw"], own.load["q_mvar"] = p[k], q[k]
        own.gen.loc[[0, 1, 2, 4], "p_mw"] = done.p_mw[1:, k]
        pp.runpp(own, enforce_q_lims=True, tolerance_mva=1e-10, calculate_voltage_angles=True)
        np.testing.assert_allclose(bench.model.readout.voltages(done.v[:, [k]])[0][0], own.res_bus.vm_pu, atol=1e-8)
        assert done.p_mw[0, k] == pytest.approx(own.res_ext_grid.p_mw[0], abs=1e-6)
        assert done.q_mvar[1, k] == pytest.approx(own.res_gen.q_mvar[:2].sum(), abs=1e-6)
    assert done.at_limit[1].tolist() != [0, 0, 0]


def test_the_ends_of_a_dc_line_keep_their_reactive_limits_and_their_power():
    net = small_net()
    far = pp.create_bus(net, 110.0)
    pp.create_line(net, 2, far, 30.0, "149-AL1/24-ST1A 110.0")
    pp.create_load(net, far, 30.0, 15.0)
    limits = {"min_q_from_mvar": -5.0, "max_q_from_mvar": 5.0, "min_q_to_mvar": -2.0, "max_q_to_mvar": 6.0}
    pp.create_dcline(net, 0, far, 12.0, 2.0, 0.5, 1.0, 1.01, **limits)
    bench = Bench(net)
    assert bench.units.table[-2:] == ("dcline", "dcline")
    np.testing.assert_allclose(bench.units.p_mw[-2:], [-12.0, 12.0 * 0.98 - 0.5])
    p, q = np.array([[60.0, 30.0], [70.0, 45.0]]), np.array([[20.0, 15.0], [25.0, 40.0]])
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=False)
    for k in range(2):
        own = copy.deepcopy(net)
        own.load["p_mw"], own.load["q_mvar"] = p[k], q[k]
        pp.runpp(own, enforce_q_lims=True, tolerance_mva=1e-10, calculate_voltage_angles=True)
        np.testing.assert_allclose(bench.model.readout.voltages(done.v[:, [k]])[0][0], own.res_bus.vm_pu, atol=1e-8)
    to = np.searchsorted(bench.units.bus_row, bench.units.row[-1])
    assert done.at_limit[to, 1] == 1
    shared = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=True)
    np.testing.assert_array_equal(shared.p_mw[-2:], np.repeat(bench.units.p_mw[-2:, None], 2, axis=1))


def test_a_load_at_the_reference_bus_is_shared_too_and_a_schedule_moves_with_its_units(case39):
    model, units = case39.model, case39.units
    s = np.repeat(model.s0[:, None], 2, axis=1)
    s[model.ref[0], 0] -= 100.0 / model.base_mva
    # In the second state a gen delivers 50 MW more, as a background would have it.
    schedule = np.repeat(units.p_mw[:, None], 2, axis=1)
    schedule[3, 1] += 50.0
    s[units.row[3], 1] += 50.0 / model.base_mva
    done = within_limits(model, units, s, q_limits=False, headroom=True, p_mw=schedule)
    moved = done.p_mw - schedule
    assert moved[:, 0].sum() == pytest.approx(100.0, abs=5.0)
    assert moved[units.reference, 0] == 0.0  # it is beyond its limit already
    assert moved[:, 1].sum() == pytest.approx(-50.0, abs=5.0)
    foot = np.fmax(schedule[:, 1] - units.min_p_mw, 0)
    np.testing.assert_allclose(moved[:, 1], moved[:, 1].sum() * foot / foot.sum(), atol=1e-6)
    loss_mw = (done.v * np.conj(model.y @ done.v)).real.sum(axis=0) * model.base_mva
    load_mw = -units.other.real.sum() * model.base_mva + np.array([100.0, 0.0])
    np.testing.assert_allclose(done.p_mw.sum(axis=0), load_mw + loss_mw, atol=1e-6)


def test_reference_units_at_one_bus_split_its_power_as_pandapower_does():
    net = small_net()
    pp.create_ext_grid(net, 0, max_p_mw=500.0)
    pp.create_gen(net, 0, 6.0, vm_pu=1.0, min_p_mw=0.0, max_p_mw=8.0)
    bench = Bench(net)
    np.testing.assert_allclose(bench.units.p_mw[:2], net.res_ext_grid.p_mw, atol=1e-7)
    np.testing.assert_allclose(bench.units.p_mw[2:], net.res_gen.p_mw, atol=1e-7)
    unequal = copy.deepcopy(net)
    unequal.ext_grid["slack_weight"] = [1.0, 3.0]
    p_mw = Bench(unequal).units.p_mw
    assert p_mw[1] == pytest.approx(3 * p_mw[0])
    assert p_mw[:2].sum() == pytest.approx(unequal.res_ext_grid.p_mw.sum(), abs=1e-7)
    p, q = np.array([[75.0]]), np.array([[20.0]])
    done = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=False)
    net.load["p_mw"] = 75.0
    pp.runpp(net, enforce_q_lims=True, tolerance_mva=1e-10, calculate_voltage_angles=True)
    np.testing.assert_allclose(done.p_mw[:2, 0], net.res_ext_grid.p_mw, atol=1e-6)
    np.testing.assert_allclose(done.p_mw[2:, 0], net.res_gen.p_mw, atol=1e-6)
    shared = within_limits(bench.model, bench.units, bench.injections(p, q), q_limits=True, headroom=True)
    rises = shared.p_mw[:, 0] - bench.units.p_mw
    room = np.nan_to_num(bench.units.max_p_mw - bench.units.p_mw)
    np.testing.assert_allclose(rises, rises.sum() * room / room.sum(), atol=1e-6)


def test_islands_share_their_own_load():
    from pandapower.toolbox import merge_nets

    whole, alone = Bench(merge_nets(small_net(), small_net(), validate=False)), Bench(small_net())
    done = within_limits(
        whole.model, whole.units, whole.injections(np.array([[75.0, 60.0]]), np.array([[20.0, 20.0]])),
        q_limits=True, headroom=True,
    )  # fmt: skip
    one = within_limits(
        alone.model, alone.units, alone.injections(np.array([[75.0]]), np.array([[20.0]])), q_limits=True, headroom=True
    )
    first = np.isin(whole.units.row, whole.model.readout.bus_row[:3])
    assert first.sum() == 4
    np.testing.assert_allclose(done.p_mw[first, 0], one.p_mw[:, 0], atol=1e-6)
    np.testing.assert_allclose(done.p_mw[~first, 0], whole.units.p_mw[~first], atol=1.0)


def test_what_cannot_be_meant_is_refused_by_name():
    net = small_net()
    net.gen.at[0, "scaling"] = 0.5
    net.gen.at[1, "min_q_mvar"] = 9.0
    with pytest.raises(InputError, match=r"gen 1 has min_q_mvar above max_q_mvar(.|\n)*gen 0 has a scaling"):
        Bench(net)
    net.gen.at[1, "min_q_mvar"] = -9.0
    Bench(net, headroom=False)
    net = small_net()
    pp.create_ext_grid(net, 1, vm_pu=1.02)
    bench = Bench(net)
    s = bench.model.s0[:, None]
    assert within_limits(bench.model, bench.units, s, q_limits=True, headroom=False).converged.all()
    with pytest.raises(InputError, match=r"several reference buses are connected .*\[0, 1\]"):
        within_limits(bench.model, bench.units, s, q_limits=True, headroom=True)
    net = small_net()
    net["q_capability_characteristic"] = None
    net.gen["reactive_capability_curve"] = [True, False, False]
    with pytest.raises(InputError, match="gen 0 has limits that depend on its power"):
        Bench(net)


def test_solve_keeps_limits_and_shares_load_and_is_held_against_runpp():
    net = nw.case118()
    p_mw = np.linspace(0.0, 200.0, 24)
    load = xr.Dataset(
        {"p_mw": (("time", "site"), p_mw[:, None]), "q_mvar": (("time", "site"), 0.2 * p_mw[:, None])},
        coords={"time": 60.0 * np.arange(24), "site": ["campus"], "bus": ("site", [20])},
    )
    plain = gridedge.solve(net, load, engine="batch")
    kept = gridedge.solve(net, load, enforce_q_lims=True)
    both = gridedge.solve(net, load, enforce_q_lims=True, supply="headroom")
    assert max(kept.attrs["error_vm_pu"], both.attrs["error_vm_pu"]) < 1e-8
    assert kept["converged"].values.all()
    assert (kept["at_limit"].values != 0).any()
    assert float(abs(plain["vm_pu"] - kept["vm_pu"]).max()) > 1e-4
    limit_mvar = net.gen.groupby("bus").max_q_mvar.sum()
    got = kept["q_unit_mvar"].sel(unit_bus=limit_mvar.index.to_numpy())
    assert (got <= limit_mvar.to_numpy() + 1e-6).all()
    slack = both["p_unit_mw"].sel(unit="ext_grid:0").values
    assert slack[-1] - slack[0] < 200 * 0.5  # the others take their share
    with pytest.raises(InputError, match=r"knows no limits of units.*batch"):
        gridedge.solve(net, load, enforce_q_lims=True, engine="reference")
