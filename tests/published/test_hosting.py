"""Hosting capacity against closed forms, and against plain runpp just below and just above the answer."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

R_PU, X_PU, BASE_MVA = 0.05, 0.10, 10.0


def two_buses():
    net = pp.create_empty_network(sn_mva=1.0)
    first, second = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first, vm_pu=1.0)
    pp.create_impedance(net, first, second, rft_pu=R_PU, xft_pu=X_PU, sn_mva=BASE_MVA)
    return net, second


def closed_form_pu(low, q_per_p):
    """V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2, solved for P at V2 = low."""
    a = (R_PU**2 + X_PU**2) * (1 + q_per_p**2) / low**2
    b = 2 * (R_PU + X_PU * q_per_p)
    c = low**2 - 1.0
    return (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)


def test_two_buses_at_095_pu_and_unity_power_factor():
    net, bus = two_buses()
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits={"vm_pu": [0.95, 1.05]}, tol_mw=1e-4)
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(0.870134, abs=1e-5)
    assert found.data["kind"].values.tolist() == ["low"]
    assert found.data["element"].values.tolist() == [f"bus {bus}"]
    # The next limit is the nose of the curve: P = V^2 / (2 (|Z| + R)).
    nose_pu = 1.0 / (2 * (np.hypot(R_PU, X_PU) + R_PU))
    assert float(found.data["next_mw"][0]) / BASE_MVA == pytest.approx(nose_pu, abs=2e-5)


@pytest.mark.parametrize(("low", "power_factor"), [(0.9, 0.98), (0.95, 0.9), (0.97, 1.0), (0.92, -0.999)])
def test_two_buses_at_other_limits_and_power_factors(low, power_factor):
    net, bus = two_buses()
    q_per_p = np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor)
    found = gridedge.hosting_capacity(
        net, buses=[bus], power_factor=power_factor, limits={"vm_pu": [low, 1.1]}, tol_mw=1e-4
    )
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(closed_form_pu(low, q_per_p), abs=1e-5)


def test_a_voltage_step_is_the_drop_that_the_site_makes():
    net, bus = two_buses()
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=1.0, limits={"voltage_step_percent": 3}, tol_mw=1e-4, sources="held"
    )
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(closed_form_pu(0.97, 0.0), abs=1e-5)
    assert found.data["kind"].values.tolist() == ["step"]
    assert any("lower bounds" in r for r in found.remarks)


def test_without_limits_it_ends_at_the_collapse():
    net, bus = two_buses()
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits=(), tol_mw=1e-3)
    nose_pu = 1.0 / (2 * (np.hypot(R_PU, X_PU) + R_PU))
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(nose_pu, abs=2e-4)
    assert found.data["kind"].values.tolist() == ["collapse"]
    few = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits=(), max_mw=5.0)
    assert few.data["limit"].values.tolist() == ["not bound"]
    assert float(few.capacity_mw[0]) == 5.0


def test_a_size_at_which_the_limits_hold_again_is_listed():
    """A feeder that feeds back is above its limit with too little load, and below it with too much."""
    net, bus = two_buses()
    pp.create_sgen(net, bus, p_mw=12.0)
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits={"vm_pu": [0.95, 1.03]}, tol_mw=1e-3)
    assert float(found.capacity_mw[0]) == 0.0
    assert found.data["kind"].values.tolist() == ["high"]
    # V2 = 1.03 from below: P is negative there.
    edges = [12.0 + BASE_MVA * closed_form_pu(v, 0.0) for v in (1.03, 0.95)]
    assert float(found.data["range_low_mw"][0, 0]) == pytest.approx(edges[0], abs=2e-3)
    assert float(found.data["range_high_mw"][0, 0]) == pytest.approx(edges[1], abs=2e-3)
    assert found.to_dict()["buses"][0]["later_ranges_mw"][0][0] == pytest.approx(edges[0], abs=2e-3)


def test_a_series_is_bound_in_its_worst_hour_as_a_loop_of_runpp_says():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    factors = np.array([0.3, 0.5, 0.8, 0.6])
    background = xr.Dataset(
        {
            "p_mw": (("time", "load"), np.outer(factors, net.load.p_mw)),
            "q_mvar": (("time", "load"), np.outer(factors, net.load.q_mvar)),
        },
        coords={"time": 3600.0 * np.arange(4), "load": net.load.index},
    )
    shape = np.array([0.2, 1.0, 0.9, 0.1])
    bus = 7
    limits = {"vm_pu": [0.92, 1.05], "loading_percent": 100}
    found = gridedge.hosting_capacity(net, buses=bus, background=background, shape=shape, limits=limits)
    capacity, q_per_p = float(found.capacity_mw[0]), np.tan(np.arccos(0.98))

    def bad_hours(p_mw):
        hours = []
        for k, factor in enumerate(factors):
            own = copy.deepcopy(net)
            own.load[["p_mw", "q_mvar"]] *= factor
            pp.create_load(own, bus, shape[k] * p_mw, q_per_p * shape[k] * p_mw)
            pp.runpp(own, tolerance_mva=1e-10)
            loading = max(own.res_line.loading_percent.max(), own.res_trafo.loading_percent.max())
            if own.res_bus.vm_pu.min() < 0.92 - 1e-7 or own.res_bus.vm_pu.max() > 1.05 + 1e-7 or loading > 100.00001:
                hours.append(3600.0 * k)
        return hours

    assert capacity > 0
    assert not bad_hours(capacity)
    assert float(found.data["time_s"][0]) in bad_hours(capacity + 0.02)


def test_cigre_mv_reports_its_own_violations():
    net = nw.create_cigre_network_mv(with_der=False)  # 0.923 pu and 101 % before anything is connected
    held = gridedge.hosting_capacity(net, buses=[3, 9], limits={"vm_pu": [0.95, 1.05], "loading_percent": 100})
    assert held.capacity_mw.values.tolist() == [0.0, 0.0]
    assert any("below 0.95 pu" in r for r in held.remarks)
    assert any("overloaded in the base case" in r for r in held.remarks)
    loose = gridedge.hosting_capacity(
        net, buses=9, limits={"vm_pu": [0.95, 1.05], "loading_percent": 100}, existing="no_worse"
    )
    assert 0 < float(loose.capacity_mw[0]) < 0.2  # what 0.0005 pu and 0.1 % leave


def test_case118_has_no_ratings_that_could_bind():
    found = gridedge.hosting_capacity(nw.case118(), buses=[52, 117], supply="slack", max_mw=50.0)
    assert found.data.attrs["thermal"] == "not known"
    assert any("not known" in r and "upper bound" in r for r in found.remarks)
    assert "loading" not in found.data["kind"].values.tolist()
    assert any("placeholders" in r for r in found.remarks)
