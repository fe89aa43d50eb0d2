"""Several sites against closed forms of two and three buses."""

import numpy as np
import pytest
from scipy.optimize import brentq

import gridedge

pp = pytest.importorskip("pandapower")

R_PU, X_PU, BASE_MVA = 0.05, 0.10, 10.0
LIMITS = {"vm_pu": [0.95, 1.05]}
GIVEN = {"power_factor": 1.0, "limits": LIMITS, "tol_mw": 1e-4}
ALONE_MW = 8.70134  # V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2 at V2 = 0.95


def a_net(*impedances):
    """Buses behind impedances (from, R, X) each, from the reference on; returns the net and the buses."""
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [pp.create_bus(net, 20.0)]
    pp.create_ext_grid(net, buses[0], vm_pu=1.0)
    for begin, r, x in impedances:
        buses.append(pp.create_bus(net, 20.0))
        pp.create_impedance(net, buses[begin], buses[-1], rft_pu=r, xft_pu=x, sn_mva=BASE_MVA)
    return net, buses[1:]


def fits_pu(r, x, low, sent=1.0, q=0.0):
    """Solve V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2 for P at V2 = low."""
    a = (r**2 + x**2) / low**2
    b, c = 2 * r, low**2 - sent**2 + 2 * x * q + a * q**2
    return (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)


def test_two_sites_at_one_bus_are_half_of_one():
    net, buses = a_net((0, R_PU, X_PU))
    found = gridedge.hosting_pairs(net, buses, **GIVEN)
    assert float(found.data["single_mw"][0]) == pytest.approx(ALONE_MW, abs=2e-4)
    assert float(found.capacity_mw[0, 0]) == pytest.approx(ALONE_MW / 2, abs=2e-4)
    assert found.data["kind"].values.tolist() == [["low"]]
    assert found.data["element"].values.tolist() == [[f"bus {buses[0]}"]]


@pytest.mark.parametrize("coincidence", [0.0, 0.4, 1.0])
def test_of_two_sites_at_one_bus_one_is_at_its_peak(coincidence):
    net, buses = a_net((0, R_PU, X_PU))
    found = gridedge.hosting_pairs(net, buses, coincidence=coincidence, **GIVEN)
    assert float(found.capacity_mw[0, 0]) == pytest.approx(ALONE_MW / (1 + coincidence), abs=2e-4)


def test_sites_that_share_nothing_take_what_each_takes_alone():
    net, buses = a_net((0, R_PU, X_PU), (0, 2 * R_PU, X_PU))
    single = BASE_MVA * np.array([fits_pu(R_PU, X_PU, 0.95), fits_pu(2 * R_PU, X_PU, 0.95)])
    pairs = gridedge.hosting_pairs(net, buses, **GIVEN)
    assert pairs.data["single_mw"].values == pytest.approx(single, abs=2e-4)
    assert float(pairs.capacity_mw[0, 1]) == pytest.approx(single.min(), abs=2e-4)
    given = gridedge.hosting_pairs(net, buses, given_mw="single", **GIVEN)
    assert float(given.capacity_mw[0, 1]) == pytest.approx(single[1], abs=2e-4)
    assert float(given.capacity_mw[0, 0]) == pytest.approx(0.0, abs=2e-4)
    batch = gridedge.hosting_together(net, buses, **GIVEN)
    assert batch.data["p_mw"].sel(plan="proportional").values == pytest.approx([single.min()] * 2, abs=2e-4)
    assert batch.data["p_mw"].sel(plan="fair").values == pytest.approx(single, abs=2e-3)
    assert batch.data["p_mw"].sel(plan="largest").values == pytest.approx(single, abs=4e-4)
    assert set(batch.data["binding"].sel(plan="largest").item().split(", ")) == {f"bus {b} (low)" for b in buses}


@pytest.mark.parametrize("far_mw", [0.0, 1.0, 3.0])
def test_two_sites_in_a_row_by_the_closed_form(far_mw):
    """The far site stands at ``far_mw``: how much does the near one take until the far voltage is at its limit?"""
    r, x = R_PU / 2, X_PU / 2
    net, (near, far) = a_net((0, r, x), (1, r, x))
    low, p = 0.95, far_mw / BASE_MVA
    middle = np.sqrt(low**2 + 2 * r * p + (r**2 + x**2) * p**2 / low**2)
    lost = (p / low) ** 2  # the current's square
    p_near = fits_pu(r, x, middle, q=x * lost) - p - r * lost
    given = gridedge.hosting_pairs(net, [near, far], given_mw={near: 0.0, far: far_mw}, **GIVEN)
    assert float(given.capacity_mw.sel(bus_a=far, bus_b=near)) == pytest.approx(BASE_MVA * p_near, abs=2e-4)


def test_the_largest_total_goes_to_the_near_site():
    r, x = R_PU / 2, X_PU / 2
    net, (near, far) = a_net((0, r, x), (1, r, x))
    batch = gridedge.hosting_together(net, [far, near], **GIVEN)
    most = BASE_MVA * fits_pu(r, x, 0.95)
    assert batch.data["p_mw"].sel(plan="largest").values == pytest.approx([0.0, most], abs=5e-3)
    assert float(batch.total_mw.sel(plan="largest")) == pytest.approx(most, abs=1e-3)
    assert batch.data.attrs["left_mw"] < 1e-3
    assert float(batch.total_mw.sel(plan="proportional")) < most - 1


def test_the_largest_total_of_two_sites_brings_both_to_their_limit():
    """Behind one impedance, each with one of its own: both ends at 0.97 pu, by the closed form of each of the three."""
    shared, own, low = (0.01, 0.02), ((0.05, 0.05), (0.10, 0.05)), 0.97
    net, buses = a_net((0, *shared), (1, *own[0]), (1, *own[1]))

    def beyond(middle):
        """Return both powers, and by how much the source would be above 1 pu."""
        p = np.array([fits_pu(r, x, low, sent=middle) for r, x in own])
        lost = (p / low) ** 2
        total, q = np.array([p.sum(), 0.0]) + lost @ np.array(own)
        r, x = shared
        return p, middle**2 + 2 * (r * total + x * q) + (r**2 + x**2) * (total**2 + q**2) / middle**2 - 1

    middle = brentq(lambda v: beyond(v)[1], low, 1.0)
    batch = gridedge.hosting_together(net, buses[1:], power_factor=1.0, limits={"vm_pu": [low, 1.05]}, tol_mw=1e-3)
    assert batch.data["p_mw"].sel(plan="largest").values == pytest.approx(BASE_MVA * beyond(middle)[0], abs=3e-3)
    assert set(batch.data["binding"].sel(plan="largest").item().split(", ")) == {f"bus {b} (low)" for b in buses[1:]}


def test_sites_that_draw_at_other_times_do_not_meet():
    net, (first,) = a_net((0, R_PU, X_PU))
    second = pp.create_bus(net, 20.0)
    pp.create_switch(net, first, second, "b")
    turns = np.array([[1.0, 0.2], [0.2, 1.0]])
    batch = gridedge.hosting_together(net, [first, second], shape=turns, **GIVEN)
    assert batch.data["p_mw"].sel(plan="proportional").values == pytest.approx([ALONE_MW / 1.2] * 2, abs=2e-4)
    same = gridedge.hosting_together(net, [first, second], shape=turns[0], **GIVEN)
    assert same.data["p_mw"].sel(plan="proportional").values == pytest.approx([ALONE_MW / 2] * 2, abs=2e-4)


def test_without_limits_several_sites_end_at_the_collapse():
    net, buses = a_net((0, R_PU, X_PU))
    found = gridedge.hosting_pairs(net, buses, power_factor=1.0, limits=(), tol_mw=1e-3)
    nose_pu = 1.0 / (2 * (np.hypot(R_PU, X_PU) + R_PU))
    assert float(found.capacity_mw[0, 0]) == pytest.approx(BASE_MVA * nose_pu / 2, abs=2e-3)
    assert found.data["kind"].values.tolist() == [["collapse"]]
    few = gridedge.hosting_pairs(net, buses, power_factor=1.0, limits=(), max_mw=2.0)
    assert few.data["limit"].values.tolist() == [["not bound"]]
    assert float(few.capacity_mw[0, 0]) == 2.0
