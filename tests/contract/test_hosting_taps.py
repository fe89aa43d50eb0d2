"""Capacities with settled taps, judged by plain ``runpp`` with pandapower's ``DiscreteTapControl``."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.grid.tap_data import TapControl

pytest.importorskip("pandapower")
import pandapower as pp
from pandapower import networks as nw
from pandapower.control import DiscreteTapControl

STEPS = 3
BAND = (1.008, 1.032)
SOURCES = {"s_sc_mva": 1500.0, "rx": 0.2}
TAPS = {"vm_set_pu": 1.02, "deadband_pu": 0.012}


def day(net):
    factors = np.linspace(0.4, 1.1, STEPS)
    ds = xr.Dataset(
        {c: (("time", "load"), np.outer(factors, net.load[c])) for c in ("p_mw", "q_mvar")},
        coords={"time": 900.0 * np.arange(STEPS), "load": net.load.index},
    )
    return ds.assign_attrs(dt_s=900.0)


def run(net, controlled):
    pp.runpp(net, run_control=controlled, tolerance_mva=1e-10, calculate_voltage_angles=True)
    return net.res_bus.vm_pu.to_numpy().copy()


def emf_net(net):
    """Return the net, solved before, with an EMF E = V + Z I behind the impedance of each external grid."""
    own = copy.deepcopy(net)
    z = 1.0 / SOURCES["s_sc_mva"] * complex(SOURCES["rx"], 1.0) / np.hypot(SOURCES["rx"], 1.0)  # on 1 MVA
    for index, grid in net.ext_grid.iterrows():
        at, delivered = net.res_bus.loc[grid.bus], net.res_ext_grid.loc[index]
        v = at.vm_pu * np.exp(1j * np.radians(at.va_degree))
        e = v + z * np.conj(complex(delivered.p_mw, delivered.q_mvar) / v)
        emf = pp.create_bus(own, net.bus.vn_kv[grid.bus])
        pp.create_impedance(own, emf, grid.bus, z.real, z.imag, 1.0)
        own.ext_grid.loc[index, ["bus", "vm_pu", "va_degree"]] = emf, abs(e), np.degrees(np.angle(e))
    return own


def judged(net, background, bus, p_mw, steps):
    """Return lowest and highest voltage settled, the largest step with the taps of before, and the highest loading."""
    own = copy.deepcopy(net)
    for index in own.trafo.index:
        DiscreteTapControl(own, index, *BAND)
    low, high, step, loading = np.inf, -np.inf, 0.0, 0.0
    for k in range(STEPS):
        for c in ("p_mw", "q_mvar"):
            own.load[c] = background[c].values[k]
        settled = run(own, True)  # from where the step before left them
        after = copy.deepcopy(own)
        site = pp.create_load(after, bus, p_mw, p_mw * np.tan(np.arccos(0.98)))
        for begins in (True, False) if steps else ():  # the site starts, or trips
            before = copy.deepcopy(after)
            before.load.loc[site, "in_service"] = not begins
            held = run(before, False)
            assert not begins or np.abs(held - settled).max() < 1e-9
            swings = emf_net(before)
            swings.load.loc[site, "in_service"] = begins
            step = max(step, np.abs(run(swings, False)[: held.size] - held).max())
        seen = run(after, True)
        low, high = min(low, seen.min()), max(high, seen.max())
        loading = max(loading, after.res_line.loading_percent.max(), after.res_trafo.loading_percent.max())
    return low, high, 100 * step, loading


@pytest.mark.parametrize(
    ("bus", "limits", "kind"),
    [
        (194, {"vm_pu": [0.965, 1.045]}, "low"),
        (35, {"vm_pu": [0.9, 1.1], "voltage_step_percent": 2.0}, "step"),
        (81, {"vm_pu": [0.9, 1.1], "loading_percent": 100}, "loading"),
    ],
)
def test_at_the_capacity_all_holds_and_just_above_it_breaks(oberrhein, bus, limits, kind):
    background = day(oberrhein)
    found = gridedge.hosting_capacity(
        oberrhein, buses=bus, background=background, limits=limits, taps=TAPS, sources=SOURCES
    )
    mw = float(found.capacity_mw[0])
    assert mw > 0.5
    assert found.data["kind"].item() == kind

    def kept(p_mw):
        low, high, step, loading = judged(oberrhein, background, bus, p_mw, kind == "step")
        fine = [limits["vm_pu"][0] - 1e-7 <= low, high <= limits["vm_pu"][1] + 1e-7]
        fine.append(step <= limits.get("voltage_step_percent", np.inf) + 1e-5)
        fine.append(loading <= limits.get("loading_percent", np.inf) + 1e-5)
        return fine

    assert all(kept(mw))
    above = kept(mw + 0.02)
    assert not above[{"low": 0, "high": 1, "step": 2, "loading": 3}[kind]]
    assert found.data.attrs["taps"] == "settled"
    assert found.data.attrs["error_vm_pu"] < 1e-8


def test_voltage_steps_do_not_see_the_taps_move_and_voltages_do(oberrhein):
    step = {"limits": {"voltage_step_percent": 2.0}, "buses": [194]}
    low = {"limits": {"vm_pu": [0.95, 1.1]}, "buses": [194]}
    taps = TapControl(deadband_pu=0.0086)

    def found(what, taps):
        return gridedge.hosting_capacity(oberrhein, taps=taps, **what).capacity_mw.values

    np.testing.assert_allclose(found(step, taps), found(step, "held"), rtol=0, atol=0.01)  # tol_mw
    assert (found(low, taps) > found(low, "held") + 0.5).all()


def test_what_settled_taps_cannot_do_is_refused(oberrhein):
    with pytest.raises(gridedge.InputError, match="only where the slack delivers"):
        gridedge.hosting_capacity(nw.case24_ieee_rts(), buses=3, taps={"trafos": ("trafo:0",)}, supply="headroom")
    fast = day(oberrhein).assign_coords(time=np.arange(STEPS) * 30.0).assign_attrs(dt_s=30.0)
    with pytest.raises(gridedge.InputError, match="shorter than the delay"):
        gridedge.hosting_capacity(oberrhein, buses=35, background=fast, taps="settled")


def test_where_taps_hunt_every_position_is_judged(oberrhein):
    # Two transformers side by side, each with half the effect of both: a band between the two never lets them rest.
    net = pp.create_empty_network(sn_mva=10.0)
    hv, lv = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, hv)
    for _ in range(2):
        pp.create_transformer(net, hv, lv, "25 MVA 110/20 kV", tap_pos=0)
    pp.create_load(net, lv, 5.0, 1.0)
    half, least = 0.00755, 0.97  # below the band: only while taps hunt
    taps = {"vm_set_pu": 0.98, "deadband_pu": half}
    found = gridedge.hosting_capacity(net, buses=lv, limits={"vm_pu": [least, 1.1]}, taps=taps)
    assert any("hunt" in text for text in found.remarks)

    def lowest(p_mw):
        own = copy.deepcopy(net)
        pp.create_load(own, lv, p_mw, p_mw * np.tan(np.arccos(0.98)))
        seen = []
        for _ in range(16):
            pp.runpp(own, tolerance_mva=1e-10)
            seen.append(own.res_bus.vm_pu.at[lv])
            own.trafo["tap_pos"] += (seen[-1] > 0.98 + half) * 1 - (seen[-1] < 0.98 - half) * 1
        return min(seen[-4:]), max(seen[-4:])

    mw = found.capacity_mw.item()
    assert lowest(mw)[0] >= least - 1e-7
    low, high = lowest(mw + 0.02)
    assert low < least < high  # to and fro for ever
