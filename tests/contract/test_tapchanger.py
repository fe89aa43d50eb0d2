"""Tap changers against pandapower's own ``DiscreteTapControl``, run step after step, and ``run_timeseries``."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.grid.tap_data import TapControl

pytest.importorskip("pandapower")
import pandapower as pp
from pandapower import networks as nw
from pandapower.control import ConstControl, DiscreteTapControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries

STEPS = 16


def season(net, seed=0, dt_s=900.0, low=0.1, high=1.3):
    rng = np.random.default_rng(seed)
    factor = np.linspace(low, high, STEPS) * rng.uniform(0.8, 1.2, STEPS)
    load = {c: (("time", "load"), np.outer(factor, net.load[c])) for c in ("p_mw", "q_mvar")}
    return xr.Dataset(load, coords={"time": dt_s * np.arange(STEPS), "load": net.load.index}, attrs={"dt_s": dt_s})


def played(net, background, controls):
    """Return positions (step, control) and voltages (step, bus) of runpp with pandapower's controllers."""
    own = copy.deepcopy(net)
    own.controller.drop(own.controller.index, inplace=True)
    for table, index, side, low, high in controls:
        DiscreteTapControl(own, index, low, high, side=side, element=table)
    taps, vm_pu = [], []
    for k in range(STEPS):
        for c in ("p_mw", "q_mvar"):
            own.load[c] = background[c].values[k]
        pp.runpp(own, run_control=True, tolerance_mva=1e-10, calculate_voltage_angles=True)
        taps.append([own[table].at[index, "tap_pos"] for table, index, *_ in controls])
        vm_pu.append(own.res_bus.vm_pu.to_numpy().copy())
    return np.array(taps), np.array(vm_pu)


def controls_of(result):
    at = result.coords
    labels = [label.split(":") for label in at["changer"].values]
    return [
        (table, int(i), "mv" if table == "trafo3w" else "lv", float(low), float(high))
        for (table, i), low, high in zip(labels, at["vm_low_pu"].values, at["vm_high_pu"].values, strict=True)
    ]


@pytest.mark.parametrize("feeder", ["mv_oberrhein", "cigre_mv", "example_multivoltage"])
def test_the_same_positions_as_discrete_tap_control(feeder, oberrhein):
    if feeder == "mv_oberrhein":
        net, taps = oberrhein, {"vm_set_pu": 1.02}
    elif feeder == "cigre_mv":  # tap on the hv side of two transformers, one of them turned to regulate upwards
        net = nw.create_cigre_network_mv()
        net.trafo[["tap_side", "tap_neutral", "tap_min", "tap_max", "tap_step_percent", "tap_pos"]] = (
            "hv", 0.0, -8.0, 8.0, 1.25, 0.0,
        )  # fmt: skip
        net.trafo.loc[1, "tap_side"] = "lv"
        net.trafo["tap_changer_type"] = "Ratio"
        taps = {"vm_set_pu": {"trafo:0": 1.0, "trafo:1": 1.01}, "deadband_pu": 0.009}
    else:
        net, taps = nw.example_multivoltage(), {"trafos": ("trafo3w:0", "trafo:1"), "deadband_pu": 0.02}
        net.load["p_mw"] *= 0.5
    background = season(net, high=1.1 if feeder == "example_multivoltage" else 1.3)
    result = gridedge.settle_taps(net, background=background, taps=taps)
    assert result.attrs["engine"] == "batch"
    expected, vm_pu = played(net, background, controls_of(result))
    np.testing.assert_array_equal(result["tap_pos"].values, expected)
    np.testing.assert_allclose(result["vm_pu"].values, vm_pu, rtol=0, atol=1e-8)
    moved = np.abs(np.diff(expected, axis=0))
    assert (result["tap_moves"].values[1:] >= moved).all()
    assert (result["tap_moves"].values[1:] % 2 == moved % 2).all()
    assert result["operations"].values.sum() > 3
    assert result["resting"].values.all()
    assert not result["hunting"].values.any()


def test_the_same_as_run_timeseries(oberrhein):
    background = season(oberrhein, seed=4)
    result = gridedge.settle_taps(oberrhein, background=background, taps={"vm_set_pu": 1.01, "delay_s": 30})
    own = copy.deepcopy(oberrhein)
    import pandas as pd

    for c in ("p_mw", "q_mvar"):
        source = DFData(pd.DataFrame(background[c].values, columns=own.load.index))
        ConstControl(own, "load", c, own.load.index, profile_name=own.load.index, data_source=source, level=0)
    for table, index, side, low, high in controls_of(result):
        DiscreteTapControl(own, index, low, high, side=side, element=table, level=1)
    writer = OutputWriter(own, range(STEPS), log_variables=[("res_bus", "vm_pu"), ("trafo", "tap_pos")])
    run_timeseries(own, range(STEPS), verbose=False, tolerance_mva=1e-10, calculate_voltage_angles=True)
    np.testing.assert_array_equal(result["tap_pos"].values, writer.output["trafo.tap_pos"].to_numpy(float))
    np.testing.assert_allclose(result["vm_pu"].values, writer.output["res_bus.vm_pu"].to_numpy(), rtol=0, atol=1e-7)


def test_a_site_is_followed_and_a_net_that_the_batch_engine_refuses_too(oberrhein):
    net = nw.create_cigre_network_mv()
    net.trafo[["tap_side", "tap_neutral", "tap_min", "tap_max", "tap_step_percent", "tap_pos", "tap_changer_type"]] = (
        "hv", 0.0, -8.0, 8.0, 1.25, 0.0, "Ratio",
    )  # fmt: skip
    net.load["const_z_p_percent"] = 30.0  # only runpp does this
    p = np.linspace(0.0, 8.0, 6)[:, None]
    site = xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)},
        coords={"time": 900.0 * np.arange(6), "site": ["site"], "bus": ("site", [8])}, attrs={"dt_s": 900.0},
    )  # fmt: skip
    result = gridedge.settle_taps(net, site, taps=TapControl(vm_set_pu=1.0, trafos=(0,)))
    assert result.attrs["engine"] == "reference"
    assert result["operations"].item() >= 2
    own = copy.deepcopy(net)
    pp.create_sgen(own, 8, 0.0, 0.0)
    DiscreteTapControl(own, 0, float(result["vm_low_pu"][0]), float(result["vm_high_pu"][0]))
    for k in range(6):
        own.sgen.loc[own.sgen.index[-1], ["p_mw", "q_mvar"]] = -p[k, 0], -0.2 * p[k, 0]
        pp.runpp(own, run_control=True, tolerance_mva=1e-10, max_iteration=50, calculate_voltage_angles=True)
        assert own.trafo.tap_pos.at[0] == result["tap_pos"].values[k, 0]
        np.testing.assert_allclose(result["vm_pu"].values[k], own.res_bus.vm_pu, rtol=0, atol=1e-8)


def test_delays_leave_the_rest_of_the_moves_to_the_next_step(oberrhein):
    # Both changers stand 5 positions away. In a step of 150 s and with 60 s they move twice; the timer goes on, so that
    # the next moves come after 30 and 90 s; the last would come at the very end, which is the next step's.
    net = copy.deepcopy(oberrhein)
    net.trafo["tap_pos"] += 5
    t = 150.0 * np.arange(4)
    still = xr.Dataset(
        {"p_mw": (("time", "load"), np.tile(net.load.p_mw, (4, 1)))}, coords={"time": t, "load": net.load.index}
    )
    result = gridedge.settle_taps(net, background=still, taps={"vm_set_pu": {"trafo:114": 1.0146, "trafo:142": 1.0288}})
    np.testing.assert_array_equal(result["tap_moves"].values[:, 0], [2, 2, 1, 0])
    np.testing.assert_array_equal(result["resting"].values, [False, False, True, True])
    assert (result["tap_pos"].values[-1] == oberrhein.trafo.tap_pos.to_numpy()).all()
    assert result["vm_held_pu"].values[0, 0] < result["vm_low_pu"].values[0]


def test_what_cannot_be_is_refused(oberrhein):
    background = season(oberrhein)
    for taps, words in (
        ({"trafos": ("trafo:9999",)}, "no such transformer"),
        ({"deadband_pu": 0.007}, "too narrow"),
        ({"delay_s": 0}, "must be positive"),
        ({"delay_s": 901}, "shorter than the delay"),
        ({"side": "hv"}, "no tap changer of the net moves its bus"),
        ({"trafos": (114,), "side": "hv"}, "does not move the bus"),
        ({"vm_set_pu": {"trafo:1": 1.0}}, "names what is no tap changer"),
        ({"tap_max": -3}, "outside its range"),
        ({"vm_set": 1.0}, "unknown key"),
    ):
        with pytest.raises(gridedge.InputError, match=words):
            gridedge.settle_taps(oberrhein, background=background, taps=taps)
    with pytest.raises(gridedge.InputError, match="no transformer at a reference bus"):
        gridedge.settle_taps(nw.case9())


def test_the_net_is_not_changed_and_one_state_settles(oberrhein):
    before = oberrhein.trafo.tap_pos.copy()
    result = gridedge.settle_taps(oberrhein, taps={"vm_set_pu": 1.05})
    assert (oberrhein.trafo.tap_pos == before).all()
    assert result["operations"].values.min() >= 1
    at = result["vm_pu"].sel(bus=result["regulated_bus"]).values[0]
    assert ((at >= result["vm_low_pu"].values) & (at <= result["vm_high_pu"].values)).all()
    assert any("end of each step" in text for text in result.attrs["remarks"])
