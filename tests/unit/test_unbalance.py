"""Unbalance of voltages: symmetrical components, the European low-voltage feeder, and what cannot be studied."""

import copy

import numpy as np
import pandapower as pp
import pandapower.networks as pn
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.measure.unbalance import (
    UnbalanceLimit,
    judge_unbalance,
    power_unbalance_percent,
    sequences,
    unbalance_limit,
    voltage_unbalance_percent,
)

A = np.exp(2j * np.pi / 3)


@pytest.fixture(scope="module")
def european():
    return pn.ieee_european_lv_asymmetric()


def short_feeder(**trafo):
    """Give a transformer and one line with zero-sequence data; one phase loaded."""
    net = pp.create_empty_network(f_hz=50.0)
    hv, lv, end = (pp.create_bus(net, kv) for kv in (20.0, 0.4, 0.4))
    pp.create_ext_grid(net, hv, s_sc_max_mva=1e5, rx_max=0.1, r0x0_max=0.1, x0x_max=1.0)
    values = {
        "sn_mva": 0.4, "vn_hv_kv": 20.0, "vn_lv_kv": 0.4, "vkr_percent": 1.0, "vk_percent": 4.0, "pfe_kw": 0.0,
        "i0_percent": 0.0, "vector_group": "Dyn", "vk0_percent": 4.0, "vkr0_percent": 1.0, "mag0_percent": 100.0,
        "mag0_rx": 0.0, "si0_hv_partial": 0.9,
    }  # fmt: skip
    pp.create_transformer_from_parameters(net, hv, lv, **(values | trafo))
    pp.create_line_from_parameters(
        net, lv, end, 0.2, r_ohm_per_km=0.2, x_ohm_per_km=0.08, c_nf_per_km=0.0, max_i_ka=0.3,
        r0_ohm_per_km=0.8, x0_ohm_per_km=0.3, c0_nf_per_km=0.0,
    )  # fmt: skip
    return net, end


def test_symmetrical_components_come_back():
    zero, positive, negative = 0.03 * np.exp(0.3j), 1.02 * np.exp(-0.4j), 0.05 * np.exp(2.0j)
    phases = np.array(
        [zero + positive + negative, zero + A**2 * positive + A * negative, zero + A * positive + A**2 * negative]
    )
    np.testing.assert_allclose(sequences(phases), [zero, positive, negative], atol=1e-15)
    found = voltage_unbalance_percent(phases)
    np.testing.assert_allclose(found, [100 * 0.05 / 1.02, 100 * 0.03 / 1.02])


def test_the_line_voltages_tell_the_same():
    """IEC 61000-4-30 from the three sizes of the line voltages: sqrt((1 - sqrt(3 - 6b)) / (1 + sqrt(3 - 6b)))."""
    phases = np.array([0.97, 1.03 * np.exp(-2.15j), 1.0 * np.exp(2.05j)])
    lines = np.abs(phases - np.roll(phases, -1))
    beta = (lines**4).sum() / (lines**2).sum() ** 2
    root = np.sqrt(3 - 6 * beta)
    assert voltage_unbalance_percent(phases)[0] == pytest.approx(100 * np.sqrt((1 - root) / (1 + root)), rel=1e-9)


def test_the_european_feeder_is_that_of_runpp_3ph(european):
    """Our own components of its voltages; pandapower's own column is the second opinion."""
    found = gridedge.unbalance(european)
    pp.runpp_3ph(european, tolerance_mva=1e-10, calculate_voltage_angles=True)
    theirs = european.res_bus_3ph.unbalance_percent
    np.testing.assert_allclose(found.data["negative_percent"], theirs, atol=1e-9)
    voltage, power = found.findings
    assert voltage.verdict == "pass"
    assert voltage.measured == pytest.approx(theirs.max(), abs=1e-9)
    assert f"bus {theirs.idxmax()} " in voltage.where
    assert power.verdict == "not applicable"
    assert found.data.attrs["not_studied"] == []


def test_one_loaded_phase_in_closed_form():
    """A current I in one phase is I/3 in each sequence; U2 = Z2 I/3 of line and transformer."""
    net, end = short_feeder()
    found = gridedge.unbalance(net, end, (0.02, 0.0, 0.0), power_factor=1.0, limits=["en50160"])
    at = found.data.sel(bus=end)
    v = at["vm_pu"].values * np.exp(1j * np.radians(at["va_degree"].values))
    base_ohm = 0.4**2 / 1.0
    third = np.conj(0.02 / v[0])  # I/3 = S / (3 U), in pu of 1 MVA over all phases
    trafo = (0.01 + 1j * np.sqrt(0.04**2 - 0.01**2)) / 0.4
    line = 0.2 * (0.2 + 0.08j) / base_ohm
    negative = abs((trafo + line) * third)
    _, u1, u2 = np.abs(sequences(v))
    assert u2 == pytest.approx(negative, rel=1e-3)  # 1e5 MVA of the source is left out here
    assert float(at["negative_percent"]) == pytest.approx(100 * u2 / u1)
    (finding,) = found.findings
    assert dict(finding.figures)["without_site_percent"] == pytest.approx(0.0, abs=1e-6)


def test_a_balanced_site_has_no_unbalance_and_an_uneven_one_is_named():
    net, end = short_feeder()
    voltage, power = gridedge.unbalance(net, end, (0.03, 0.03, 0.03)).findings
    assert voltage.measured == pytest.approx(0.0, abs=1e-6)
    assert (voltage.verdict, power.verdict) == ("pass", "pass")
    voltage, power = gridedge.unbalance(net, end, (0.09, 0.0, 0.0)).findings
    assert (voltage.verdict, power.verdict) == ("fail", "fail")
    assert power.measured == 100.0


def test_what_a_net_lacks_is_named_and_nothing_is_said():
    found = gridedge.unbalance("mv_oberrhein", 81, (1.0, 1.0, 1.0))
    voltage, power = found.findings
    assert voltage.verdict == "cannot tell"
    assert voltage.measured is None
    assert "not studied: the net has no zero-sequence data (columns line: r0_ohm_per_km" in voltage.note
    assert "trafo: vector_group" in voltage.note
    assert power.verdict == "pass"
    assert np.isnan(found.data["negative_percent"]).all()
    assert found.data.attrs["not_studied"][0].startswith("not studied: ")


@pytest.mark.parametrize("group", ["Dy", "Yy", "Yd", "Dd", "Yyn"])
def test_a_vector_group_that_only_converges_is_not_studied(group):
    net, _ = short_feeder(vector_group=group)
    assert f"vector group {group}" in gridedge.unbalance(net).findings[0].note


def test_an_element_without_a_model_is_not_studied():
    net, end = short_feeder()
    pp.create_storage(net, end, 0.01, max_e_mwh=1.0)
    assert "no model of storage" in gridedge.unbalance(net).findings[0].note


def test_every_bus_obeys_kirchhoff(european):
    """The three-phase flow of pandapower itself, which this stands on: what enters a bus leaves it."""
    net = copy.deepcopy(european)
    pp.runpp_3ph(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
    place = {bus: k for k, bus in enumerate(net.bus.index)}
    left = np.zeros((3, len(net.bus)))
    for k, x in enumerate("abc"):
        for table, side in (("line", "from"), ("line", "to"), ("trafo", "hv"), ("trafo", "lv")):
            at = [place[b] for b in net[table][f"{side}_bus"]]
            np.add.at(left[k], at, net[f"res_{table}_3ph"][f"p_{x}_{side}_mw"].to_numpy())
        np.add.at(left[k], [place[b] for b in net.asymmetric_load.bus], net.res_asymmetric_load_3ph[f"p_{x}_mw"])
        np.add.at(left[k], [place[b] for b in net.ext_grid.bus], -net.res_ext_grid_3ph[f"p_{x}_mw"])
    assert np.abs(left).max() < 1e-6


def test_limits_with_a_range_and_of_ones_own():
    en = unbalance_limit("en50160")
    assert [judge_unbalance(x, en).verdict for x in (2.0, 2.5, 3.1, None)] == [
        "pass",
        "cannot tell",
        "fail",
        "cannot tell",
    ]
    own = UnbalanceLimit(name="own", of="power", percent=5)
    assert judge_unbalance(power_unbalance_percent((1.0, 0.95, 1.0)), own).verdict == "pass"
    assert judge_unbalance(power_unbalance_percent((1.0, 0.94, 1.0)), own).verdict == "fail"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ((81,), "a site needs a bus and its power"),
        ((81, (1.0, 2.0)), "three powers"),
        ((81, (1.0, -2.0, 0.0)), "three powers"),
        ((81, (0.0, 0.0, 0.0)), "three powers"),
        (("nowhere", (1.0, 1.0, 1.0)), "no bus has this name"),
    ],
)
def test_what_cannot_be_used_is_refused(args, message):
    with pytest.raises(InputError, match=message):
        gridedge.unbalance("mv_oberrhein", *args)
    with pytest.raises(InputError, match="unknown limit of unbalance"):
        gridedge.unbalance("mv_oberrhein", limits=["en50161"])
