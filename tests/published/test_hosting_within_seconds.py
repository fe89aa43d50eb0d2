"""Limits within seconds on two buses behind a source of known strength: the step and the flicker in closed form.

Step: with E behind Zs + Z, V2² of the closed form in docs/hosting.md; tripping, E = V1 + Zs I stays.  Flicker: Table 5
of IEC 61000-4-15 gives the rectangular change at which Pst is 1.
"""

import numpy as np
import pytest
from scipy.optimize import brentq

import gridedge
from gridedge.grid.emf import behind_impedance

pp = pytest.importorskip("pandapower")

BASE_MVA, S_SC_MVA, RX = 100.0, 400.0, 0.2
R_PU, X_PU = 0.05, 0.10
ZS = BASE_MVA / S_SC_MVA * complex(RX, 1.0) / np.hypot(RX, 1.0)
SOURCES = {"s_sc_mva": S_SC_MVA, "rx": RX}


def two_buses(**more):
    net = pp.create_empty_network(sn_mva=BASE_MVA, **more)
    a, b = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, a)
    base_ohm = 20.0**2 / BASE_MVA
    pp.create_line_from_parameters(net, a, b, 1.0, R_PU * base_ohm, X_PU * base_ohm, 0.0, 10.0)
    return net, b


def received_pu(p, q, v1, z):
    """Upper root of V1² = V2² + 2 (R P + X Q) + (R² + X²) (P² + Q²) / V2²."""
    b = v1**2 - 2 * (z.real * p + z.imag * q)
    return np.sqrt((b + np.sqrt(b**2 - 4 * abs(z) ** 2 * (p**2 + q**2))) / 2)


def largest_step(p, q):
    z = complex(R_PU, X_PU)
    start = 1.0 - received_pu(p, q, 1.0, ZS + z)
    settled = received_pu(p, q, 1.0, z)
    # With V2 as the reference, I = (P - jQ) / V2 and E = V2 + (Z + Zs) I.
    trip = abs(settled + (z + ZS) * complex(p, -q) / settled) - settled
    return max(start, trip)


@pytest.mark.parametrize(("percent", "power_factor"), [(3.0, 1.0), (3.0, 0.9), (5.0, 0.98), (2.0, -0.99)])
def test_the_step_when_a_site_starts_or_trips(percent, power_factor):
    net, bus = two_buses()
    tan = np.copysign(np.tan(np.arccos(abs(power_factor))), power_factor)
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=power_factor, limits={"voltage_step_percent": percent}, tol_mw=1e-4,
        sources=SOURCES,
    )  # fmt: skip
    exact_pu = brentq(lambda p: largest_step(p, tan * p) - percent / 100, 1e-6, 0.5)
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(exact_pu, abs=1e-5)
    assert found.data["kind"].values.tolist() == ["step"]
    assert not any("lower bounds" in r for r in found.remarks)


def test_the_step_of_a_site_at_the_source_itself():
    """Behind Zs alone, with E = 1 before it starts, and E = 1 + Zs I before it trips."""
    net, _ = two_buses()
    found = gridedge.hosting_capacity(
        net, buses=0, power_factor=1.0, limits={"voltage_step_percent": 3.0}, tol_mw=1e-3, sources=SOURCES
    )

    def step(p):
        return max(1.0 - received_pu(p, 0.0, 1.0, ZS), abs(1.0 + ZS * p) - 1.0)

    exact_mw = BASE_MVA * brentq(lambda p: step(p) - 0.03, 1e-6, 1.0)
    assert float(found.capacity_mw[0]) == pytest.approx(exact_mw, abs=2e-3)


def test_the_curve_has_the_room_to_the_step_and_a_wish_counts_no_steps_of_it():
    net, bus = two_buses()
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=1.0, limits={"vm_pu": [0.9, 1.1], "voltage_step_percent": 3.0}, sources=SOURCES,
        curve=True, requested_mw=20.0,
    )  # fmt: skip
    ds = found.data.isel(bus=0)
    size_pu = ds["curve_mw"].values[:8] / BASE_MVA
    room = np.array([0.03 - largest_step(p, 0.0) for p in size_pu])
    assert ds["room_step_pu"].values[:8] == pytest.approx(room, abs=1e-7)
    assert room[-1] < 0
    assert ds["worst_step"].values[7] == f"bus {bus}"
    assert (ds["room_step_pu"].values >= -1e-9)[ds["curve_mw"].values <= float(ds["capacity_mw"])].all()
    assert np.isnan(float(ds["beyond_steps"].sel(kind_of_limit="step")))  # it is judged at stated hours alone
    assert float(ds["beyond_steps"].sel(kind_of_limit="low")) == 0


# Table 5, 230 V / 50 Hz and 120 V / 60 Hz, 39 changes per minute
@pytest.mark.parametrize(("f_hz", "percent"), [(50.0, 0.894), (60.0, 1.040)])
def test_a_rectangular_load_of_table_5_flickers_by_one_where_the_impedance_says(f_hz, percent):
    net, bus = two_buses(f_hz=f_hz)
    dt_s = 0.01
    t = np.arange(round(660 / dt_s)) * dt_s
    wave = 0.5 + 0.5 * (np.floor(t * 39 / 60 + 0.25) % 2)  # half power and full, by turns
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=1.0, limits={"pst": 1.0}, waveform=(wave, dt_s), sources=SOURCES, tol_mw=1e-3
    )
    p = float(found.capacity_mw[0]) / BASE_MVA

    # The EMF of the state at three quarters of the power; relative change between half and full power.
    mean_pu = received_pu(0.75 * p, 0.0, 1.0, complex(R_PU, X_PU))
    e = abs(mean_pu + (complex(R_PU, X_PU) + ZS) * 0.75 * p / mean_pu)
    high, low = (received_pu(share * p, 0.0, e, complex(R_PU, X_PU) + ZS) for share in (0.5, 1.0))
    assert 100 * 2 * (high - low) / (high + low) == pytest.approx(percent, rel=0.02)
    assert found.data["kind"].values.tolist() == ["flicker"]


def test_at_the_capacity_a_flicker_limit_holds_and_above_it_is_broken():
    """Judged without any of it: runpp on a net with EMFs, sample by sample level, and the meter."""
    net, bus = two_buses()
    dt_s = 0.01
    rng = np.random.default_rng(3)
    levels = np.array([0.3, 0.55, 0.8, 1.0])
    order = np.repeat(rng.integers(0, 4, 1320), 50)  # a level for half a second
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=0.95, limits={"pst": 0.9}, waveform=(levels[order], dt_s), sources=SOURCES
    )
    tan = np.tan(np.arccos(0.95))

    def pst(p_mw):
        own, site = two_buses()
        mean = float(levels[order].mean()) * p_mw
        i = pp.create_sgen(own, site, -mean, -mean * tan)
        behind_impedance(own, **SOURCES)
        vm = []
        for level in levels:
            own.sgen.loc[i, ["p_mw", "q_mvar"]] = [-level * p_mw, -level * p_mw * tan]
            pp.runpp(own, tolerance_mva=1e-10)
            vm.append(own.res_bus.vm_pu[site])
        return gridedge.flicker(np.array(vm)[order], dt_s).pst_max

    p_mw = float(found.capacity_mw[0])
    assert pst(p_mw) <= 0.9 * (1 + 1e-6)
    assert pst(p_mw + 0.02) > 0.9
    assert found.data["limit"].values.tolist() == ["Pst: Pst"]
