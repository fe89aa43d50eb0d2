"""``solve`` against plain ``runpp``, on every feeder of the catalogue and on nets with every kind of branch."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import sources
from gridedge.errors import InputError, RunError
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background, to_pandapower

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402
from pandapower.toolbox import nets_equal  # noqa: E402

NETS = {
    "example_multivoltage": nw.example_multivoltage,
    "cigre_lv": nw.create_cigre_network_lv,
    "cigre_hv": nw.create_cigre_network_hv,
    "case9": nw.case9,
    "case14": nw.case14,
    "case30": nw.case30,
    "case57": nw.case57,
    "case300": nw.case300,
    "case1354pegase": nw.case1354pegase,
    "case2869pegase": nw.case2869pegase,
    "kerber": nw.create_kerber_vorstadtnetz_kabel_1,
}
VM_PU, VA_DEGREE, LOADING_PERCENT = 1e-8, 1e-6, 1e-3  # accuracy that the design asks of an exact engine


def site(bus, p_mw, dt_s=0.05):
    """Return a connected load of one site."""
    p = np.asarray(p_mw, dtype=float)[:, None]
    return xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)},
        coords={"time": dt_s * np.arange(p.size), "site": ["campus"], "bus": ("site", [bus])},
        attrs={"dt_s": dt_s},
    )


def judge(net):
    """Solve a net in place; where rounding leaves more than 1e-10 MVA, at pandapower's own default."""
    try:
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged:
        pp.runpp(net, calculate_voltage_angles=True)


def equal_to_runpp(result, step, net):
    """Compare one step of a result with a net that ``runpp`` has solved."""
    at = result.isel(time=step)
    assert bool(at["converged"])
    np.testing.assert_allclose(at["vm_pu"], net.res_bus.vm_pu, rtol=0, atol=VM_PU)
    np.testing.assert_allclose(at["va_degree"], net.res_bus.va_degree, rtol=0, atol=VA_DEGREE)
    for table in ("line", "trafo", "trafo3w"):
        if len(net[table]):
            here = at["element"].values == table
            res = net[f"res_{table}"]
            np.testing.assert_allclose(
                at["loading_percent"][here], res.loading_percent, rtol=1e-9, atol=LOADING_PERCENT
            )
            np.testing.assert_allclose(at["pl_mw"][here], res.pl_mw, rtol=1e-7, atol=1e-7)
    if len(net.impedance):
        here = at["element"].values == "impedance"
        res, table = net.res_impedance, net.impedance
        ends = []
        for end, current in (("from_bus", res.i_from_ka), ("to_bus", res.i_to_ka)):
            vn_kv = net.bus.vn_kv.loc[table[end]].to_numpy()
            ends.append(100 * current.to_numpy() * np.sqrt(3) * vn_kv / table.sn_mva.to_numpy())
        np.testing.assert_allclose(at["loading_percent"][here], np.maximum(*ends), rtol=1e-9, atol=LOADING_PERCENT)
        np.testing.assert_allclose(at["pl_mw"][here], res.pl_mw, rtol=1e-7, atol=1e-6)


def moved(net, seed):
    """Return a background of three states, and the site that goes with it."""
    rng = np.random.default_rng(seed)
    time = 900.0 * np.arange(3)
    factors = rng.uniform(0.9, 1.02, (3, len(net.load)))
    ds = xr.Dataset(
        {
            "p_mw": (("time", "load"), factors * net.load.p_mw.to_numpy()),
            "q_mvar": (("time", "load"), factors * net.load.q_mvar.to_numpy()),
        },
        coords={"time": time, "load": net.load.index.to_numpy()},
    )
    bus = int(net.load.bus.iloc[0])
    scale = 0.01 * float(np.abs(net.load.p_mw * net.load.scaling).sum())
    return {"load": ds}, site(bus, scale * rng.uniform(0, 1, 3), dt_s=900.0)


def check_net(net, seed=0, engines=("reference", "batch")):
    background, load = moved(net, seed)
    before = copy.deepcopy(net)
    results = [gridedge.solve(net, load, background=background, engine=engine) for engine in engines]
    assert nets_equal(net, before)
    assert [r.attrs["engine"] for r in results] == list(engines)
    for step in range(3):
        own = copy.deepcopy(net)
        if len(own.controller):
            own.controller.drop(own.controller.index, inplace=True)
        own.load["p_mw"] = background["load"]["p_mw"].values[step]
        own.load["q_mvar"] = background["load"]["q_mvar"].values[step]
        at = load.isel(time=step)
        pp.create_load(own, int(load["bus"][0]), at["p_mw"].item(), at["q_mvar"].item())
        judge(own)
        for result in results:
            equal_to_runpp(result, step, own)


@pytest.mark.parametrize("name", sources.names("feeders"))
def test_every_feeder_equals_runpp(name):
    try:
        feeder = load_feeder(name)
    except InputError as error:
        pytest.skip(str(error))
    check_net(feeder.net)


@pytest.mark.parametrize("name", NETS)
def test_every_kind_of_branch_equals_runpp(name):
    check_net(NETS[name](), seed=3)


def test_out_of_service_and_open_switches():
    net = nw.create_cigre_network_mv(with_der="all")
    net.line.loc[net.line.index[3], "in_service"] = False
    check_net(net, seed=5)
    net = nw.mv_oberrhein()
    net.load.loc[net.load.index[:5], "in_service"] = False
    check_net(net, seed=6)


def test_ten_sampled_steps_of_a_waveform_equal_a_plain_loop(oberrhein):
    rng = np.random.default_rng(7)
    load = site(118, rng.uniform(1, 5, 200))
    result = gridedge.solve(oberrhein, load)
    for step in rng.choice(200, 10, replace=False):
        own = copy.deepcopy(oberrhein)
        at = load.isel(time=step)
        pp.create_load(own, 118, at["p_mw"].item(), at["q_mvar"].item())
        judge(own)
        equal_to_runpp(result, step, own)


def test_scaling_and_in_service_still_apply(oberrhein):
    """mv_oberrhein has scaling 0.6: 61.9 MW nominal are 37.1 MW in the power flow."""
    time = np.array([0.0, 900.0])
    background = scaled_background(oberrhein, "load", np.array([1.0, 0.5]), time)
    assert float(background["p_mw"].isel(time=0).sum()) == pytest.approx(61.86, abs=0.005)
    result = gridedge.solve(oberrhein, background=background)
    own = copy.deepcopy(oberrhein)
    judge(own)
    assert own.res_load.p_mw.sum() == pytest.approx(37.116, abs=1e-6)
    equal_to_runpp(result, 0, own)
    own.load["p_mw"] *= 0.5
    own.load["q_mvar"] *= 0.5
    judge(own)
    equal_to_runpp(result, 1, own)


def test_generators_and_static_generators_move():
    net = nw.case9()
    pp.create_sgen(net, 4, p_mw=10, q_mvar=1)
    time = np.array([0.0, 60.0])
    gen = xr.Dataset({"p_mw": (("time", "gen"), [[163.0, 85.0], [120.0, 95.0]])}, {"time": time, "gen": [0, 1]})
    sgen = xr.Dataset({"p_mw": (("time", "sgen"), [[10.0], [30.0]])}, {"time": time, "sgen": [0]})
    result = gridedge.solve(net, background={"gen": gen, "sgen": sgen})
    net.gen["p_mw"], net.sgen["p_mw"] = [120.0, 95.0], [30.0]
    judge(net)
    equal_to_runpp(result, 1, net)


def test_a_coarse_background_is_held_and_its_end_is_an_error(oberrhein):
    background = scaled_background(oberrhein, "load", np.array([1.0, 0.3]), np.array([0.0, 10.0]))
    load = site(118, np.full(20, 2.0), dt_s=1.0)
    vm = gridedge.solve(oberrhein, load, background=background)["vm_pu"].sel(bus=118).values
    assert np.ptp(vm[:10]) < 1e-9
    assert np.ptp(vm[10:]) < 1e-9
    assert vm[10] > vm[9] + 0.005
    late = site(118, np.full(21, 2.0), dt_s=1.0)
    with pytest.raises(InputError, match="outside the background"):
        gridedge.solve(oberrhein, late, background=background)


def test_what_diverges_is_masked_and_the_rest_is_right(oberrhein):
    p = np.full(9, 2.0)
    p[4] = 500.0
    result = gridedge.solve(oberrhein, site(118, p))
    assert result["converged"].values.tolist() == [True] * 4 + [False] + [True] * 4
    for name in ("vm_pu", "va_degree", "loading_percent", "pl_mw"):
        assert result[name].isel(time=4).isnull().all()
        assert result[name].isel(time=[0, 3, 5, 8]).notnull().all()
    alone = gridedge.solve(oberrhein, site(118, p[:1]))
    np.testing.assert_allclose(result["vm_pu"][8], alone["vm_pu"][0], rtol=0, atol=VM_PU)
    assert result.attrs["steps_not_converged"] == 1


def test_nothing_converges_is_an_error_that_names_the_power(oberrhein):
    with pytest.raises(RunError, match=r"up to 800 MW at the meter; connect less"):
        gridedge.solve(oberrhein, site(118, [800.0, 700.0]))


def test_reduce_keeps_min_max_and_mean(oberrhein):
    load = site(118, np.linspace(0, 5, 30))
    full = gridedge.solve(oberrhein, load)
    kept = gridedge.solve(oberrhein, load, reduce=["min", "max", "mean"])
    assert kept["vm_pu"].dims == ("reduction", "bus")
    for how in ("min", "max", "mean"):
        for name in ("vm_pu", "loading_percent", "pl_mw"):
            expected = getattr(full[name], how)("time")
            np.testing.assert_allclose(kept[name].sel(reduction=how), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"engine": "referense"}, "Did you mean 'reference'"),
        ({"reduce": ["q1.5"]}, "from q0 to q1"),
        ({"reduce": ["maxx"]}, "Did you mean 'max'"),
        ({"tol_vm_pu": 0}, "must be positive"),
    ],
)
def test_what_is_not_there_is_refused_by_name(oberrhein, kwargs, message):
    with pytest.raises(InputError, match=message):
        gridedge.solve(oberrhein, site(118, [1.0, 2.0]), **kwargs)


def test_a_step_whose_input_is_no_number_is_masked_and_said(oberrhein):
    ds = gridedge.solve(oberrhein, site(118, [1.0, np.nan]))
    assert ds["converged"].values.tolist() == [True, False]
    assert ds["vm_pu"][1].isnull().all()
    assert ds.attrs["remarks"] == ["1 steps have an input that is no number; they are not solved."]


def test_bad_injections_are_refused(oberrhein):
    it = gridedge.generate("h100-at-scale", duration_s=2, dt_s=0.5)
    with pytest.raises(InputError, match=r"not connected to a bus yet \(got p_mw\('time',\)\). Pass it through"):
        gridedge.solve(oberrhein, it)
    with pytest.raises(InputError, match="99999"):
        gridedge.solve(oberrhein, site(99999, [1.0, 2.0]))
    with pytest.raises(InputError, match="no bus"):
        gridedge.solve(oberrhein, site(118, [1.0, 2.0]).drop_vars("bus"))
    background = xr.Dataset({"p_mw": (("time", "load"), [[1.0]])}, {"time": [0.0], "load": [99999]}, {"dt_s": 1e4})
    with pytest.raises(InputError, match="99999"):
        gridedge.solve(oberrhein, site(118, [1.0, 2.0]), background=background)


def test_splitting_a_site_in_two_changes_nothing(oberrhein):
    whole = site(118, [4.0, 3.0])
    half = xr.concat([whole * 0.5, whole * 0.5], dim="site").assign_coords(site=["a", "b"], bus=("site", [118, 118]))
    one, two = gridedge.solve(oberrhein, whole), gridedge.solve(oberrhein, half.assign_attrs(dt_s=0.05))
    np.testing.assert_allclose(one["vm_pu"], two["vm_pu"], rtol=0, atol=VM_PU)


def test_permuting_time_permutes_the_result(oberrhein):
    load = site(118, [4.0, 1.0, 3.0, 2.0])
    order = [2, 0, 3, 1]
    mixed = load.isel(time=order).assign_coords(time=load["time"])
    a, b = gridedge.solve(oberrhein, load), gridedge.solve(oberrhein, mixed)
    np.testing.assert_array_equal(a["vm_pu"].values[order], b["vm_pu"].values)


def test_to_pandapower_runs_in_pandapowers_own_time_series(oberrhein):
    from pandapower.timeseries import OutputWriter, run_timeseries

    load = site("Bus 73", [1.0, 4.0, 2.5])
    ready = to_pandapower(load, oberrhein)
    assert len(oberrhein.load) == 147
    assert len(ready.load) == 148
    writer = OutputWriter(ready, range(3), log_variables=[("res_bus", "vm_pu")])
    run_timeseries(ready, range(3), verbose=False, tolerance_mva=1e-10)
    theirs = writer.output["res_bus.vm_pu"].to_numpy()
    ours = gridedge.solve(oberrhein, load)["vm_pu"].values
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=VM_PU)


def two_sites(buses, p_mw):
    p = np.asarray(p_mw, dtype=float)
    coords = {"time": np.arange(len(p), dtype=float), "site": ["a", "b"], "bus": ("site", buses)}
    return xr.Dataset({"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.3 * p)}, coords)


@pytest.mark.parametrize("engine", ["reference", "batch"])
def test_states_of_equal_total_and_different_places_keep_the_upper_root(engine):
    net, high = nw.case14(), 100.0
    x = high / 2 - high / 2 * np.cos(np.pi * 5.5 / 10)
    total = np.r_[0.0, x - 1e-4, x + 1e-4, np.linspace(x + 1, high, 42)]
    first = (np.arange(45) % 2 == 0) * 1.0
    load = two_sites([13, 4], np.c_[total * first, total * (1 - first)])
    result = gridedge.solve(net, load, engine=engine)
    assert bool(result["converged"].all())
    for step in range(0, 45, 4):
        own = copy.deepcopy(net)
        for k, bus in enumerate((13, 4)):
            p = float(load["p_mw"][step, k])
            pp.create_load(own, bus, p, 0.3 * p)
        judge(own)
        equal_to_runpp(result, step, own)


def test_a_site_without_supply_is_refused():
    net = nw.case14()
    bus = pp.create_bus(net, float(net.bus.vn_kv.at[13]))
    for engine in ("reference", "batch"):
        with pytest.raises(InputError, match="without supply"):
            gridedge.solve(net, site(bus, [1.0, 2.0]), engine=engine)


def test_a_site_does_not_change_the_loads_beside_it():
    net = nw.case14()
    net.load["const_z_p_percent"] = net.load["const_z_q_percent"] = 100.0
    alone = gridedge.solve(net)["vm_pu"].values[0]
    nothing = gridedge.solve(net, site(13, [0.0, 0.0]))["vm_pu"].values
    np.testing.assert_allclose(nothing, [alone, alone], rtol=0, atol=1e-9)
    with pytest.raises(InputError, match="depend on the voltage"):
        to_pandapower(site(13, [1.0, 2.0]), net)


def test_a_net_that_asks_for_reactive_limits_is_refused():
    net = nw.case30()
    pp.set_user_pf_options(net, enforce_q_lims=True)
    with pytest.raises(InputError, match="reactive limits"):
        gridedge.solve(net, site(7, [0.0, 1.0]))


@pytest.mark.parametrize("engine", ["reference", "batch"])
def test_a_dc_line_is_solved_as_runpp_does(engine):
    net = nw.case14()
    pp.create_dcline(net, 3, 9, 5.0, 1.0, 0.1, 1.0, 1.0)
    load = site(3, [0.0, 5.0, 9.0])
    result = gridedge.solve(net, load, engine=engine)
    pp.create_load(net, 3, 9.0, 1.8)
    judge(net)
    equal_to_runpp(result, 2, net)


def test_backgrounds_that_would_be_guessed_at_are_refused(oberrhein):
    load = site(118, np.full(5, 1.0), dt_s=2.0)
    fine = scaled_background(oberrhein, "load", np.ones(10), np.arange(10.0))
    with pytest.raises(InputError, match=r"finer than the step.*1 s < 2 s"):
        gridedge.solve(oberrhein, load, background=fine)
    good = scaled_background(oberrhein, "load", np.ones(5), 2.0 * np.arange(5.0))
    with pytest.raises(InputError, match="twice"):
        gridedge.solve(oberrhein, load, background=xr.concat([good, good.isel(load=[3])], dim="load"))
    with pytest.raises(InputError, match="no labels"):
        gridedge.solve(oberrhein, load, background={"load": good.drop_vars("load")})


def test_what_has_no_effect_is_said(oberrhein):
    from pandapower.control import DiscreteTapControl

    net = copy.deepcopy(oberrhein)
    index = int(net.load.index[4])
    net.load.loc[index, "in_service"] = False
    DiscreteTapControl(net, int(net.trafo.index[0]), 0.98, 1.02)
    result = gridedge.solve(
        net, site(118, [1.0, 2.0]), background=scaled_background(net, "load", np.ones(2), 0.05 * np.arange(2))
    )
    said = " ".join(result.attrs["remarks"])
    assert "1 controllers of the net are not run" in said
    assert "1 of table load that are out of service" in said
