"""Sources as EMFs behind impedance: the base state stays, every bus floats, and the swing is the closed form's."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError, RunError
from gridedge.grid.emf import at_mean, behind_impedance
from gridedge.grid.engines.moving import Moving

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

NETS = {
    "mv_oberrhein": None,  # the fixture: reading it takes long
    "cigre_mv with DER": lambda: nw.create_cigre_network_mv(with_der="pv_wind"),
    "cigre_hv": nw.create_cigre_network_hv,
    "example_multivoltage": nw.example_multivoltage,
    "case39": nw.case39,
    "case118": nw.case118,
}
X_PU, X_SOURCE_PU = 0.1, 0.05  # line and source of the two buses, 1 MVA base


def judge(net):
    """Solve a net in place; where rounding leaves more than 1e-10 MVA, at pandapower's own default."""
    try:
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
    except pp.LoadflowNotConverged:
        pp.runpp(net, calculate_voltage_angles=True)
    return net


def stays(net, **data):
    """Put the sources behind impedance, and hold the state against ``runpp`` on the net as it was."""
    held = judge(copy.deepcopy(net))
    behind = behind_impedance(net, **data)
    judge(net)
    old = held.bus.index
    np.testing.assert_allclose(net.res_bus.vm_pu[old], held.res_bus.vm_pu, rtol=0, atol=1e-9)
    np.testing.assert_allclose(net.res_bus.va_degree[old], held.res_bus.va_degree, rtol=0, atol=1e-7)
    for table in ("line", "trafo", "trafo3w"):
        if len(net[table]):
            ours, theirs = (n[f"res_{table}"].loading_percent.to_numpy() for n in (net, held))
            np.testing.assert_allclose(ours, theirs, rtol=1e-7, atol=1e-5)
    return behind


def two_buses(p_mw=1.0, vm_pu=1.02):
    """Return a source and a load at unity power factor behind a reactance, 1 MVA base."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a, vm_pu=vm_pu)
    pp.create_impedance(net, a, b, rft_pu=0.0, xft_pu=X_PU, sn_mva=1.0)
    pp.create_load(net, b, p_mw)
    return net


def at_load(e_pu, x_pu, p_pu):
    """Return V of a load P behind X at unity power factor: V⁴ - E² V² + (P X)² = 0, the upper root."""
    return np.sqrt(0.5 * (e_pu**2 + np.sqrt(e_pu**4 - 4 * (p_pu * x_pu) ** 2)))


@pytest.mark.parametrize("name", NETS)
def test_the_base_state_stays_and_no_bus_is_held(name, oberrhein):
    make = NETS[name]
    net = make() if make else copy.deepcopy(oberrhein)
    old = net.bus.index
    live = {t: net[t].index[net[t].in_service].tolist() for t in ("ext_grid", "gen")}
    behind = stays(net)
    assert [(s.element, s.index) for s in behind.sources] == [(t, i) for t in live for i in live[t]]
    assert not net.gen.in_service.any()
    holding = net.ext_grid[net.ext_grid.in_service]
    assert sorted(holding.bus) == sorted(behind.added_buses)
    assert sorted(holding.index) == sorted(s.ext_grid for s in behind.sources)
    assert not set(holding.bus) & set(old)
    assert behind.added_branches == [f"impedance:{s.impedance}" for s in behind.sources]
    # What is left in the solver's own lists of held buses are EMFs and the inner buses of extended wards.
    assert net._ppc["internal"]["pv"].size == net.xward.in_service.sum()


def test_two_buses_swing_as_the_closed_form_says():
    net = two_buses(p_mw=1.0)
    behind = stays(net, s_sc_mva=1 / X_SOURCE_PU, rx=0.0)
    v2 = at_load(1.02, X_PU, 1.0)
    e_pu = np.hypot(v2, (X_PU + X_SOURCE_PU) / v2)  # E = V2 + j X I, I = P / V2
    assert behind.sources[0].vm_pu == pytest.approx(e_pu, abs=1e-9)
    for p_pu in (0.0, 0.4, 1.0, 2.0, 3.2):
        net.load["p_mw"] = p_pu
        judge(net)
        v2 = at_load(e_pu, X_PU + X_SOURCE_PU, p_pu)
        v1 = np.hypot(v2, X_PU * p_pu / v2)
        np.testing.assert_allclose(net.res_bus.vm_pu[:2], [v1, v2], rtol=0, atol=1e-9)


def test_the_bus_of_the_source_swings_where_a_held_one_cannot():
    held, net = two_buses(p_mw=2.0), two_buses(p_mw=2.0)
    behind_impedance(net, s_sc_mva=1 / X_SOURCE_PU, rx=0.0)
    swing = {}
    for kind, n in (("held", held), ("emf", net)):
        v = []
        for p_mw in (1.0, 3.0):
            n.load["p_mw"] = p_mw
            v.append(judge(n).res_bus.vm_pu[0])
        swing[kind] = v[0] - v[1]
    assert swing["held"] == 0.0
    v2 = at_load(1.02, X_PU, 2.0)
    e_pu = np.hypot(v2, 2.0 * (X_PU + X_SOURCE_PU) / v2)
    closed = []
    for p_pu in (1.0, 3.0):
        v2 = at_load(e_pu, X_PU + X_SOURCE_PU, p_pu)
        closed.append(np.hypot(v2, X_PU * p_pu / v2))
    assert swing["emf"] == pytest.approx(closed[0] - closed[1], abs=1e-9)
    assert swing["emf"] > 0.05


def test_an_endlessly_stiff_source_is_a_held_one(oberrhein):
    held = copy.deepcopy(oberrhein)
    pp.create_load(held, 118, 4.0, 1.0)
    judge(held)
    old = held.bus.index
    off = []
    for s_sc_mva in (1e3, 1e5, 1e7):
        net = copy.deepcopy(oberrhein)
        behind_impedance(net, s_sc_mva=s_sc_mva)
        pp.create_load(net, 118, 4.0, 1.0)
        off.append(np.abs(judge(net).res_bus.vm_pu[old] - held.res_bus.vm_pu).max())
    assert 1e-4 < off[0] < 1e-2
    np.testing.assert_allclose(off[1:], [off[0] / 1e2, off[0] / 1e4], rtol=0.1)


def test_every_current_of_a_changed_state_is_that_of_its_emf():
    """I = (E - V) / jX in kA and ohm, with x'd on the machine's own rating and voltage."""
    net = nw.case39()
    net.gen["sn_mva"] = np.linspace(700, 1100, len(net.gen))
    net.gen["vn_kv"] = 0.95 * net.bus.vn_kv[net.gen.bus].to_numpy()
    x_pu = dict(zip(net.gen.index, np.linspace(0.15, 0.4, len(net.gen)), strict=True))
    behind = stays(net, s_sc_mva=3000.0, rx=0.05, xd_transient_pu=x_pu)
    net.load.loc[3, "p_mw"] += 300.0
    judge(net)
    moved = 0.0
    for s in behind.sources:
        vn_kv = net.bus.vn_kv[s.bus]
        if s.element == "gen":
            z_ohm = 1j * x_pu[s.index] * net.gen.vn_kv[s.index] ** 2 / net.gen.sn_mva[s.index]
        else:
            z_ohm = vn_kv**2 / 3000.0 * (0.05 + 1j) / np.hypot(0.05, 1)
        res = net.res_bus.loc[s.bus]
        v_kv = res.vm_pu * vn_kv * np.exp(1j * np.radians(res.va_degree))
        e_kv = s.vm_pu * vn_kv * np.exp(1j * np.radians(s.va_degree))
        s_mva = v_kv * np.conj((e_kv - v_kv) / z_ohm)
        flow = net.res_impedance.loc[s.impedance]
        assert -complex(flow.p_to_mw, flow.q_to_mvar) == pytest.approx(s_mva, abs=1e-6)
        moved += abs(res.vm_pu - getattr(net, s.element).vm_pu[s.index])
    assert moved > 1e-3


def four_sources():
    """Return two joined bus bars with two external grids, one more that is off, machines of all kinds, an island."""
    net = pp.create_empty_network(sn_mva=100.0)
    a, b, c, d, e, f = (pp.create_bus(net, 110.0) for _ in range(6))
    pp.create_switch(net, a, b, "b")
    for bus in (a, b):
        pp.create_ext_grid(net, bus, vm_pu=1.01)
    pp.create_ext_grid(net, c, vm_pu=0.9, in_service=False)
    kind = {"r_ohm_per_km": 0.1, "x_ohm_per_km": 0.4, "c_nf_per_km": 9.0, "max_i_ka": 0.6}
    for u, v in ((a, c), (c, d), (e, f)):
        pp.create_line_from_parameters(net, u, v, 20.0, **kind)
    pp.create_gen(net, a, 20.0, vm_pu=1.01, sn_mva=40.0)  # at the external grid's bus
    pp.create_gen(net, d, 30.0, vm_pu=1.02, sn_mva=50.0)
    pp.create_gen(net, d, 10.0, vm_pu=1.02, sn_mva=20.0, xdss_pu=0.18)
    pp.create_gen(net, d, 10.0, vm_pu=1.02, in_service=False)
    pp.create_gen(net, e, 5.0)  # an island without supply
    pp.create_load(net, c, 60.0, 15.0)
    pp.create_load(net, f, 1.0)
    return net


def test_sources_that_share_a_bus_or_are_off():
    net = four_sources()
    behind = stays(net, s_sc_mva=2000.0)
    assert [(s.element, s.index) for s in behind.sources] == [("ext_grid", 0), ("ext_grid", 1)] + [
        ("gen", k) for k in (0, 1, 2)
    ]
    assert [s.stiffness.s_base_mva for s in behind.sources] == [1000.0, 1000.0, 40.0, 50.0, 20.0]
    assert bool(net.gen.in_service[4])  # it feeds nobody, and stays as it was
    assert np.isnan(net.res_bus.vm_pu[4])
    assert any("2 sources share it" in r for r in behind.remarks)
    one = four_sources()
    one.ext_grid.loc[1, "in_service"] = False
    stays(one, s_sc_mva=2000.0)
    for n in (net, one):  # one source of 2000 MVA is two of 1000 MVA
        n.load.loc[0, "p_mw"] = 90.0
        judge(n)
    np.testing.assert_allclose(net.res_bus.vm_pu[:4], one.res_bus.vm_pu[:4], rtol=0, atol=1e-9)


def test_a_slack_generator_and_a_distributed_slack():
    net = nw.case9()
    net.ext_grid["in_service"] = False
    pp.create_gen(net, 0, 70.0, vm_pu=1.0, slack=True, sn_mva=250.0)
    stays(net)
    net = nw.case9()
    net.gen["slack_weight"], net.ext_grid["slack_weight"] = 1.0, 2.0
    pp.set_user_pf_options(net, distributed_slack=True)
    behind = stays(net)
    assert any("distributed" in r for r in behind.remarks)


def test_a_dc_line_keeps_its_power_and_holds_no_voltage():
    net = nw.case9()
    pp.create_dcline(net, 4, 7, p_mw=30.0, loss_percent=2.0, loss_mw=0.5, vm_from_pu=1.0, vm_to_pu=1.01)
    pp.create_dcline(net, 5, 8, 10.0, 1.0, 0.1, 1.0, 1.0, in_service=False)
    behind = stays(net)
    assert net._ppc["internal"]["pv"].size == 0
    assert behind.remarks[-1].startswith("dcline 0: keeps the active and reactive power")


def test_the_data_are_stated_with_their_origin():
    """One net that knows nothing, one that knows all, one whose user says so."""
    text = " ".join(stays(nw.case39()).remarks)
    for part in (
        "EMF behind its impedance",
        "ext_grid 0: short-circuit power 10000 MVA (assumed for 345 kV",
        "R/X 0.1 (assumed; set rx)",
        "gen 0, 1, 2 and 6 more: transient reactance 0.3 pu (assumed, typical",
        "on max_p_mw / 0.9, assumed, 564.4 to 1222 MVA",
    ):
        assert part in text
    net = nw.case39()
    net.ext_grid[["s_sc_min_mva", "s_sc_max_mva", "rx_min"]] = 8000.0, 9000.0, 0.2
    net.gen["sn_mva"] = 1200.0
    net.gen["xdss_pu"] = 0.2
    net.gen["xd_transient_pu"] = [0.25] * 5 + [np.nan] * 4
    text = " ".join(behind_impedance(net).remarks)
    for part in (
        "8000 MVA (the net's s_sc_min_mva), R/X 0.2 (the net's rx_min)",
        "gen 0, 1, 2 and 2 more: transient reactance 0.25 pu (the net's xd_transient_pu) on the net's sn_mva",
        "gen 5, 6, 7 and 1 more: transient reactance 0.3 pu (1.5 times the net's xdss_pu, typical",
    ):
        assert part in text
    net = nw.case39()
    net.ext_grid["rx_max"] = 0.07
    text = " ".join(behind_impedance(net, s_sc_mva={0: 7000.0}, xd_transient_pu={8: 0.22}).remarks)
    assert "7000 MVA (given by the user), R/X 0.07 (the net's rx_max)" in text
    assert "gen 8: transient reactance 0.22 pu (given by the user)" in text


def test_the_largest_short_circuit_power_carries_its_voltage_factor():
    """As pandapower's short-circuit calculation has it: Z = 1.1 Un² / S."""
    from pandapower.shortcircuit import calc_sc

    net = two_buses()
    net.ext_grid[["s_sc_max_mva", "rx_max"]] = 50.0, 0.1
    s = behind_impedance(copy.deepcopy(net)).sources[0].stiffness
    assert abs(complex(s.r_pu, s.x_pu)) / s.s_base_mva == pytest.approx(1.1 / 50.0)
    calc_sc(net, bus=0, case="max")
    z_ohm = complex(net.res_bus_sc.rk_ohm[0], net.res_bus_sc.xk_ohm[0])
    assert complex(s.r_pu, s.x_pu) * 20.0**2 / s.s_base_mva == pytest.approx(z_ohm, abs=1e-6)


def test_a_slack_that_carries_a_power_station_is_one():
    """The 13.8 kV slack of case300 delivers 485 MVA: 100 MVA of short-circuit power could not."""
    net = judge(nw.case300())
    s_mva = np.hypot(*net.res_ext_grid.loc[0, ["p_mw", "q_mvar"]])
    behind = behind_impedance(net)
    assert behind.sources[0].stiffness.s_base_mva == pytest.approx(s_mva / 0.9 / 0.3)
    assert "a machine of 0.3 pu that carries its power" in behind.remarks[1]


def test_a_machine_beyond_its_rating_is_named():
    net = nw.case9()
    net.gen["sn_mva"] = [100.0, 20.0]
    said = [r for r in stays(net).remarks if "times its rating" in r]
    assert len(said) == 1
    assert said[0].startswith("gen 0, 1: delivers more than 1.5 times its rating, gen 1 85")
    assert not any("times its rating" in r for r in behind_impedance(nw.case9()).remarks)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"s_sc_mva": -5.0}, "short-circuit power of ext_grid 0 must be positive"),
        ({"s_sc_mva": np.inf}, "short-circuit power of ext_grid 0 must be positive"),
        ({"s_sc_mva": np.nan}, "short-circuit power of ext_grid 0 must be positive"),
        ({"s_sc_mva": 1e9}, "short-circuit power of ext_grid 0 is beyond any grid"),
        ({"s_sc_mva": {3: 100.0}}, r"s_sc_mva names what the net has not \(got \[3\]\)"),
        ({"s_sc_mva": 50.0}, "ext_grid 0 delivers more than its short-circuit power"),
        ({"rx": -0.1}, "R/X of ext_grid 0"),
        ({"rx": {9: 0.1}}, "rx names what the net has not"),
        ({"xd_transient_pu": 0.0}, "transient reactance of gen 0 must be positive"),
        ({"xd_transient_pu": {7: 0.3}}, "xd_transient_pu names what the net has not"),
    ],
)
def test_numbers_that_cannot_be_are_refused(data, says):
    with pytest.raises(InputError, match=says):
        behind_impedance(nw.case9(), **data)


@pytest.mark.parametrize("table", ["svc", "tcsc", "ssc", "vsc"])
def test_a_device_with_a_control_of_its_own_is_refused(table):
    net = nw.case9()
    if table == "svc":
        pp.create_svc(net, 5, x_l_ohm=1, x_cvar_ohm=-10, set_vm_pu=1.0, thyristor_firing_angle_degree=145)
    elif table == "ssc":
        pp.create_ssc(net, 5, r_ohm=0, x_ohm=5, set_vm_pu=1.0)
    elif table == "tcsc":
        pp.create_tcsc(net, 4, 5, 1, -10, 80, 140)
    else:
        dc = pp.create_bus_dc(net, 200.0)
        pp.create_vsc(net, 5, dc, 0.1, 5, 1.0)
    with pytest.raises(InputError, match=f"a device of table {table} is no EMF"):
        behind_impedance(net)
    net[table]["in_service"] = False
    behind_impedance(net)


def test_a_machine_of_unknown_size_is_refused():
    net = nw.case9()
    vm_pu = float(judge(copy.deepcopy(net)).res_bus.vm_pu[5])
    pp.create_gen(net, 5, 0.0, vm_pu=vm_pu, max_q_mvar=40.0, min_q_mvar=-20.0)  # a condenser at rest
    assert behind_impedance(copy.deepcopy(net)).sources[-1].stiffness.s_base_mva == 40.0
    net.gen.loc[2, ["max_q_mvar", "min_q_mvar"]] = np.nan
    with pytest.raises(InputError, match="nothing tells how large gen 2 is"):
        behind_impedance(net)


def test_the_mean_is_the_state_that_the_emfs_are_taken_for():
    net = two_buses(p_mw=0.0)
    values = np.array([[0.5], [1.5], [np.nan], [1.0]])
    at_mean(net, [Moving("load", "p_mw", np.array([0]), values)])
    assert net.load.p_mw[0] == 1.0
    assert behind_impedance(net, s_sc_mva=20.0, rx=0.0).sources[0].vm_pu == pytest.approx(
        behind_impedance(two_buses(1.0), s_sc_mva=20.0, rx=0.0).sources[0].vm_pu, abs=1e-10
    )
    with pytest.raises(InputError, match="moves generators"):
        at_mean(nw.case9(), [Moving("gen", "p_mw", np.array([0]), values)])
    with pytest.raises(RunError, match="no number at any step"):
        at_mean(net, [Moving("load", "p_mw", np.array([0]), np.full((3, 1), np.nan))])
    with pytest.raises(RunError, match="does not converge in the state"):
        behind_impedance(two_buses(p_mw=50.0))


def test_the_batch_engine_solves_what_floats():
    net = nw.case39()
    behind = behind_impedance(net)
    p = np.linspace(-100.0, 300.0, 5)[:, None]
    load = xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)},
        coords={"time": 0.001 * np.arange(5), "site": ["campus"], "bus": ("site", [7])},
        attrs={"dt_s": 0.001},
    )
    ds = gridedge.solve(net, load, engine="batch").drop_sel(bus=behind.added_buses, branch=behind.added_branches)
    assert ds["bus"].values.tolist() == nw.case39().bus.index.tolist()
    pp.create_load(net, 7, 300.0, 60.0)
    judge(net)
    np.testing.assert_allclose(ds["vm_pu"][-1], net.res_bus.vm_pu[ds["bus"].values], rtol=0, atol=1e-8)
    np.testing.assert_allclose(ds["va_degree"][-1], net.res_bus.va_degree[ds["bus"].values], rtol=0, atol=1e-6)
    assert bool((ds["vm_pu"].max("time") - ds["vm_pu"].min("time") > 1e-4).all())
