"""The loop of a voltage droop through the grid, against a power flow at each step with the same droop."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from scipy.optimize import brentq

import gridedge
from gridedge.errors import InputError, RunError
from gridedge.grid.feeders import load_feeder
from gridedge.planning.droop import close_loop

DT_S = 3.0
P_MW, E_MWH, STANDBY_PU, EFFICIENCY = 3.0, 2.0, 0.005, 0.98
V_REF, DEADBAND, FULL, Q_SHARE, RECOVERY_S = 1.0, 0.002, 0.02, 0.6, 60.0
LAW = {
    "law": "droop", "v_ref_pu": V_REF, "deadband_pu": DEADBAND, "full_pu": FULL, "q_share_pu": Q_SHARE,
    "recovery_s": RECOVERY_S,
}  # fmt: skip
BATTERY = {
    "step": "battery", "p_rated_mw": P_MW, "e_rated_mwh": E_MWH, "law": LAW, "delay_s": 0.0, "standby_pu": STANDBY_PU,
    "charge_efficiency": EFFICIENCY, "discharge_efficiency": EFFICIENCY, "holds_power_factor": False,
}  # fmt: skip
BUS = "Bus 73"


@pytest.fixture(scope="module")
def net():
    return load_feeder("mv_oberrhein").net


@pytest.fixture(scope="module")
def metered():
    load = gridedge.generate("h100-at-scale", duration_s=24, dt_s=DT_S, seed=1)
    return gridedge.connect(load, {}, bus=BUS)


def answered(v, p_mw, q_mvar, stored_mwh):
    """Return the power at the meter and the rate of charge, by the definition of the droop."""
    away = v - V_REF
    share = np.sign(away) * min(1.0, max(abs(away) - DEADBAND, 0.0) / (FULL - DEADBAND))
    wanted = share * P_MW + (0.5 * E_MWH - stored_mwh) * 3600.0 / RECOVERY_S
    b = float(np.clip(max(wanted, -(p_mw + STANDBY_PU * P_MW)), -P_MW, P_MW))
    room = np.sqrt(P_MW**2 - b**2)
    q = float(np.clip(share * Q_SHARE * P_MW, -room, room))
    return p_mw + STANDBY_PU * P_MW + b, q_mvar + q, b * EFFICIENCY if b > 0 else b / EFFICIENCY


def test_the_loop_is_what_a_power_flow_at_each_step_gives(net, metered):
    import pandapower as pp

    found = close_loop(net, metered, [BATTERY])
    assert found.residual_vm_pu <= 1e-6
    own = copy.deepcopy(net)
    bus = int(own.bus.index[own.bus["name"] == BUS][0])
    load = pp.create_load(own, bus, p_mw=0.0)
    stored_mwh = 0.5 * E_MWH
    volts, powers, reactive, charge = [], [], [], []
    for p_mw, q_mvar in zip(metered["p_mw"].values[:, 0], metered["q_mvar"].values[:, 0], strict=True):

        def gap(v, p_mw=p_mw, q_mvar=q_mvar, stored_mwh=stored_mwh):
            own.load.loc[load, ["p_mw", "q_mvar"]] = answered(v, p_mw, q_mvar, stored_mwh)[:2]
            pp.runpp(own)
            return own.res_bus.at[bus, "vm_pu"] - v

        v = brentq(gap, 0.95, 1.05, xtol=1e-10)
        p, q, rate_mw = answered(v, p_mw, q_mvar, stored_mwh)
        stored_mwh += rate_mw * DT_S / 3600.0
        for series, value in ((volts, v), (powers, p), (reactive, q), (charge, stored_mwh / E_MWH)):
            series.append(value)
    after = found.load
    away = np.abs(np.asarray(volts) - V_REF)
    assert ((away > DEADBAND) & (away < FULL)).any()  # the slope is used, not an end
    np.testing.assert_allclose(after["vm_pu"].values, volts, rtol=0, atol=1e-6)
    # 1e-6 pu on the slope of 3 MW in 0.018 pu
    np.testing.assert_allclose(after["p_mw"].values[:, 0], powers, rtol=0, atol=2e-4)
    np.testing.assert_allclose(after["q_mvar"].values[:, 0], reactive, rtol=0, atol=2e-4)
    np.testing.assert_allclose(after["soc_pu"].values.ravel(), charge, rtol=0, atol=1e-6)


def test_a_droop_too_steep_for_its_bus_raises(net, metered):
    steep = {**BATTERY, "p_rated_mw": 20.0, "e_rated_mwh": 20.0, "law": {**LAW, "full_pu": DEADBAND + 1e-6}}
    with pytest.raises(RunError, match=r"did not settle in 40 rounds.*Flatten the droop"):
        close_loop(net, metered.isel(time=slice(0, 4)), [steep])


def test_the_loop_is_closed_for_one_site_on_a_bus(net, metered):
    with pytest.raises(InputError, match="one site on a bus"):
        close_loop(net, metered.drop_vars("bus"), [BATTERY])
