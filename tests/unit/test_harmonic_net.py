"""The admittances of a net at harmonic orders against closed forms, plain `runpp`, a chain of pis and IEC 60909."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pandapower.shortcircuit as sc
import pytest

from gridedge.errors import InputError
from gridedge.grid.emf import behind_impedance
from gridedge.grid.harmonic import admittance, harmonic_net, impedances, short_circuit_mva
from gridedge.grid.resonance import find_resonances

UN_KV = 20.0


def stiff(**grid):
    net = pp.create_empty_network(f_hz=50.0)
    bus = pp.create_bus(net, UN_KV)
    pp.create_ext_grid(net, bus, **grid)
    line(net, bus, 0.1, c_nf_per_km=0.0)  # pandapower leaves no model of a net that is one bus
    return net, bus


def line(net, start, km, **values):
    bus = pp.create_bus(net, UN_KV)
    given = {"r_ohm_per_km": 0.3, "x_ohm_per_km": 0.35, "c_nf_per_km": 300.0, "max_i_ka": 0.4} | values
    pp.create_line_from_parameters(net, start, bus, km, **given)
    return bus


def test_a_capacitor_resonates_where_the_closed_form_says():
    """Parallel R-L against C: Z = 1 / (1 / (R + jhX) + jhB), and h_r = sqrt(S_sc / Q_c) without resistance."""
    net, bus = stiff()
    pp.create_shunt(net, bus, q_mvar=-4.0)
    grid = harmonic_net(net, s_sc_mva=200.0, rx=0.02)
    order = np.arange(1.0, 20.01, 0.1)
    z = impedances(grid, bus, order)[grid.row(bus)] * grid.base_ohm(grid.row(bus))
    size = UN_KV**2 / 200.0
    x = size / np.hypot(1, 0.02)
    b = 4.0 / UN_KV**2
    np.testing.assert_allclose(z, 1 / (1 / (0.02 * x + 1j * order * x) + 1j * order * b), rtol=1e-12)

    def at(h):
        return impedances(grid, bus, [h])[grid.row(bus), 0] * grid.base_ohm(grid.row(bus))

    (found,) = find_resonances(order, z, at)
    assert found.kind == "parallel"
    assert found.order == pytest.approx(np.sqrt(200.0 / 4.0), rel=2e-3)  # R/X of 0.02 moves it by (R/hX)²
    assert found.q == pytest.approx(found.order * x / (0.02 * x), rel=0.01)  # Q of the coil, h X / R
    assert not grid.assumed


def test_the_sharpness_is_that_of_a_parallel_circuit():
    """Z = R / (1 + jQ (h/h_r - h_r/h)): order, height and Q come back."""
    for order, q in ((7.03, 4.0), (11.0, 60.0), (23.456, 300.0)):

        def at(h, order=order, q=q):
            return 50.0 / (1 + 1j * q * (h / order - order / h))

        scan = np.arange(1.0, 50.0, 0.1)
        (found,) = find_resonances(scan, np.array([at(h) for h in scan]), at)
        assert found.order == pytest.approx(order, rel=1e-5)
        assert found.q == pytest.approx(q, rel=1e-3)
        assert found.z_ohm == pytest.approx(50.0, rel=1e-4)


def test_a_valley_is_a_series_resonance():
    """A coil and a capacitor in series beside the grid draw its currents where h² X = X_c."""
    net, bus = stiff()
    far = line(net, bus, 1.0, r_ohm_per_km=0.05, x_ohm_per_km=1.0, c_nf_per_km=0.0)
    pp.create_shunt(net, far, q_mvar=-4.0)
    grid = harmonic_net(net, s_sc_mva=200.0)
    order = np.arange(1.0, 20.01, 0.1)
    ohm = grid.base_ohm(grid.row(bus))
    z = impedances(grid, bus, order)[grid.row(bus)] * ohm
    kinds = find_resonances(order, z, lambda h: impedances(grid, bus, [h])[grid.row(bus), 0] * ohm)
    assert [f.kind for f in kinds] == ["parallel", "series"]
    assert kinds[1].order == pytest.approx(np.sqrt((UN_KV**2 / 4.0) / 1.0), rel=1e-3)


@pytest.mark.parametrize("build", [pn.mv_oberrhein, pn.example_multivoltage, pn.case39])
def test_the_fundamental_is_that_of_runpp(build):
    """At order 1 the matrix is pandapower's own: taps, three windings, shunts, switches."""
    net = build()
    grid = harmonic_net(net)
    own = copy.deepcopy(net)
    own.controller.drop(own.controller.index, inplace=True)
    behind_impedance(own, subtransient=True)
    theirs = own._ppc["internal"]["Ybus"]
    ours = admittance(grid, 1.0, long_lines=False)
    assert abs(ours - theirs).max() < 1e-9 * abs(theirs).max()


def test_a_long_line_is_a_chain_of_many_short_ones():
    """100 km overhead at order 20 (1 kHz): 400 pis of 250 m come to the distributed line; one pi does not."""
    values = {"r_ohm_per_km": 0.1, "x_ohm_per_km": 0.4, "c_nf_per_km": 10.0}
    whole, start = stiff()
    end = line(whole, start, 100.0, **values)
    chain, bus = stiff()
    for _ in range(400):
        bus = line(chain, bus, 0.25, **values)
    at = [5.0, 20.0, 37.5]
    one, many = harmonic_net(whole, s_sc_mva=500.0), harmonic_net(chain, s_sc_mva=500.0)
    z = impedances(one, end, at)[one.row(end)]
    np.testing.assert_allclose(z, impedances(many, bus, at)[many.row(bus)], rtol=2e-4)
    pi = impedances(one, end, at, long_lines=False)[one.row(end)]
    assert abs(pi[1] / z[1] - 1) > 0.05


def test_the_short_circuit_power_is_that_of_iec_60909():
    """c times ours, since IEC 60909 puts c Un behind the impedance; calc_sc of pandapower is the judge."""
    net, start = stiff(s_sc_max_mva=1000.0, rx_max=0.1)
    end = line(net, start, 8.0, c_nf_per_km=0.0)
    sc.calc_sc(net, case="max", ip=False, ith=False)
    grid = harmonic_net(net)
    for bus in (start, end):
        theirs = np.sqrt(3) * UN_KV * net.res_bus_sc.at[bus, "ikss_ka"]
        assert 1.1 * short_circuit_mva(grid, bus) == pytest.approx(theirs, rel=1e-6)


@pytest.mark.parametrize(
    ("q_mvar", "model", "ohm"),
    [
        (0.6, "parallel", lambda h: 1 / (1 / 400.0 + 1 / (1j * h * 400 / 0.6))),
        (-0.6, "parallel", lambda h: 1 / (1 / 400.0 + 1j * h * 0.6 / 400)),
        (0.6, "cigre", lambda h: 1 / (1 / (400 * (1 + 0.073j * h)) + (6.7 * 0.6 - 0.74) / (1j * h * 400))),
        (0.05, "cigre", lambda h: 400 * (1 + 0.073j * h)),  # 6.7 tan phi < 0.74: nothing beside
    ],
)
def test_a_load_is_its_model(q_mvar, model, ohm):
    net, bus = stiff()
    pp.create_load(net, bus, 2.0, 2 * q_mvar, scaling=0.5)
    grid = harmonic_net(net, s_sc_mva=200.0)
    for h in (5.0, 11.0):
        added = admittance(grid, h, loads=model) - admittance(grid, h)
        assert added[grid.row(bus), grid.row(bus)] * grid.base_mva / UN_KV**2 == pytest.approx(1 / ohm(h), rel=1e-12)


def test_skin_effect_grows_with_the_root():
    net, start = stiff()
    end = line(net, start, 5.0, c_nf_per_km=0.0)
    grid = harmonic_net(net, s_sc_mva=200.0)
    ohm = grid.base_ohm(grid.row(end))
    plain = impedances(grid, end, [9.0])[grid.row(end), 0] * ohm
    skin = impedances(grid, end, [9.0], resistance="sqrt")[grid.row(end), 0] * ohm
    assert skin.real == pytest.approx(3 * plain.real, rel=1e-12)
    assert skin.imag == pytest.approx(plain.imag, rel=1e-12)


def test_capacitor_and_reactor_at_one_bus_stay_apart():
    net, bus = stiff()
    pp.create_shunt(net, bus, q_mvar=-4.0)
    pp.create_shunt(net, bus, q_mvar=3.0)
    grid = harmonic_net(net, s_sc_mva=200.0)
    bare = harmonic_net(stiff()[0], s_sc_mva=200.0)
    for h in (1.0, 5.0):
        added = (admittance(grid, h) - admittance(bare, h))[grid.row(bus), grid.row(bus)] * grid.base_mva
        assert added == pytest.approx(1j * (4 * h - 3 / h), rel=1e-9)


def test_what_is_assumed_is_known_to_be():
    net, _ = stiff()
    assert harmonic_net(net).assumed
    assert not harmonic_net(stiff(s_sc_min_mva=100.0)[0]).assumed
    pp.create_gen(net, line(net, 0, 1.0), 1.0, vm_pu=1.0, sn_mva=5.0)
    assert harmonic_net(net, s_sc_mva=200.0).assumed  # x''d
    found = harmonic_net(net, s_sc_mva=200.0, xd_subtransient_pu=0.15)
    assert not found.assumed
    assert any("subtransient reactance 0.15 pu (given by the user)" in r for r in found.remarks)


def test_the_net_is_not_changed():
    net = pn.mv_oberrhein()
    before = copy.deepcopy(net)
    harmonic_net(net)
    assert pp.toolbox.nets_equal(net, before, check_only_results=False)


def test_a_bus_without_supply_and_an_order_of_zero_are_refused():
    net, bus = stiff()
    alone = pp.create_bus(net, UN_KV)
    grid = harmonic_net(net, s_sc_mva=200.0)
    with pytest.raises(InputError, match=f"bus {alone} has no supply"):
        impedances(grid, alone, [5.0])
    with pytest.raises(InputError, match="a harmonic order must be positive"):
        impedances(grid, bus, [0.0])


def test_a_magnetising_branch_is_a_reactor():
    """What the whole net draws at equal voltages is its shunts: conductance stays, susceptance falls with the order."""
    net, hv = stiff()
    lv = pp.create_bus(net, 0.4)
    pp.create_transformer_from_parameters(
        net, hv, lv, sn_mva=0.63, vn_hv_kv=UN_KV, vn_lv_kv=0.4, vkr_percent=1.0, vk_percent=6.0, pfe_kw=1.0,
        i0_percent=0.3,
    )  # fmt: skip
    grid = harmonic_net(net, s_sc_mva=200.0)
    first, fifth = (admittance(grid, h).sum() for h in (1.0, 5.0))
    assert first.real == pytest.approx(1e-3 / grid.base_mva, rel=1e-2)
    assert fifth.real == pytest.approx(first.real, rel=1e-6)
    assert first.imag < 0
    assert fifth.imag == pytest.approx(first.imag / 5, rel=1e-6)
