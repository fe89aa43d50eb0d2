"""Storage: closed forms of devices and laws, which level may cycle, and messages."""

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.sites import buffering
from gridedge.sites.laws import droop_pu, late
from gridedge.sites.need import needed
from gridedge.sites.step import Around
from gridedge.sites.storage import Battery, Hybrid, PsuCapacitor, RackBattery, Supercapacitor, Ups
from gridedge.spec import build

LOSSLESS = {
    "charge_efficiency": 1.0,
    "discharge_efficiency": 1.0,
    "standby_pu": 0.0,
    "delay_s": 0.0,
    "soc_min_pu": 0.0,
    "soc_max_pu": 1.0,
}
HOLD = {"law": "hold_mean", "mean_mw": 5.0, "recovery_s": 0}


def battery(law=None, **changes):
    return battery_with({"law": "ramp_limit", "ramp_mw_per_min": 1e9} | (law or {}), **changes)


def battery_with(law, **changes):
    size = {"p_rated_mw": 100.0, "e_rated_mwh": 1000.0}
    return build(Battery, {"step": "battery", **size, "law": law, **LOSSLESS, **changes})


def act(step, p, dt_s=1.0, **around):
    return step.act(np.asarray(p, dtype=float), Around(dt_s, **around))


def load(p, **attrs):
    return schema.power_dataset(np.asarray(p, float), 1.0, power="IT", attrs={"nameplate_mw": 10.0, **attrs})


def test_the_short_form_is_the_ramp_limit():
    size = {"step": "battery", "p_rated_mw": 3.0, "e_rated_mwh": 1.0}
    short = build(Battery, {**size, "ramp_mw_per_min": 2.0, "smooth_s": 30, "recovery_s": None})
    law = {"law": "ramp_limit", "ramp_mw_per_min": 2.0, "smooth_s": 30, "recovery_s": 0}
    assert short == build(Battery, {**size, "law": law})
    assert build(Battery, short.to_dict()).hash() == short.hash()
    with pytest.raises(InputError, match=r"two laws are given \(got law and ramp_mw_per_min\)"):
        build(Battery, {**size, "law": law, "ramp_mw_per_min": 2})
    with pytest.raises(InputError, match=r"no control law\. Add `law:"):
        build(Battery, size)
    with pytest.raises(InputError, match="Did you mean 'ramp_mw_per_min'"):
        build(Battery, {**size, "ramp_mw_per_mn": 2})
    with pytest.raises(InputError, match=r"law.law is unknown \(got hold\). Did you mean 'hold_mean'"):
        build(Battery, {**size, "law": {"law": "hold"}})
    with pytest.raises(InputError, match=r"unknown key in law \(got mean\). Did you mean 'mean_mw'"):
        build(Battery, {**size, "law": {"law": "hold_mean", "mean": 5}})


def test_the_default_law_of_a_capacitor_keeps_its_origin():
    marks = {a.name: a.mark for a in build(PsuCapacitor, {"step": "psu_capacitor"}).assumptions()}
    assert marks["law.tau_s"] == "assumed"
    assert marks["energy_j_per_accelerator"] == "quoted"
    chosen = build(PsuCapacitor, {"step": "psu_capacitor", "law": {"law": "low_pass", "tau_s": 0.1}})
    assert {a.name: a.mark for a in chosen.assumptions()}["law.tau_s"] == "chosen"


def test_an_empty_battery_lets_the_grid_see_the_load():
    p = np.concatenate((np.zeros(10), np.full(5000, 10.0)))
    run = act(battery({"smooth_s": 1e4, "recovery_s": 0}, e_rated_mwh=0.1), p)
    assert run.soc_pu[-1] == 0.0
    assert run.p_mw[-1] == 10.0
    assert run.stored_mw[-1] == 0.0
    figures = dict(run.figures)
    assert figures["missed_mw"] > 5.0
    assert figures["energy_limited_s"] == pytest.approx(5000 - 0.05 * 3600 / 10, abs=5)
    assert "at an end of its window" in run.notes[0]
    assert "missed what its law wanted by up to" in run.notes[0]


def test_a_small_inverter_says_by_how_much_it_misses():
    p = np.tile(np.r_[np.full(50, 9.0), np.full(50, 1.0)], 3)
    run = act(battery_with(HOLD, p_rated_mw=3.0), p)
    figures = dict(run.figures)
    assert figures["missed_mw"] == pytest.approx(1.0)
    assert figures["power_limited_s"] == 300.0
    assert np.abs(run.p_mw - p).max() == 3.0
    slow = act(battery({"ramp_mw_per_min": 2.0, "smooth_s": 0, "recovery_s": 0}, p_rated_mw=3.0), p)
    assert dict(slow.figures)["missed_mw_per_min"] == pytest.approx(np.ptp(slow.p_mw) - 2.0, rel=0.5)
    assert "MW/min over its 2" in slow.notes[0]
    calm = act(battery({"ramp_mw_per_min": 2.0, "smooth_s": 0, "recovery_s": 0}), p)
    assert dict(calm.figures)["missed_mw_per_min"] == 0.0
    assert not calm.notes


def test_losses_are_those_of_one_way_efficiencies_and_of_standby():
    b = battery({"smooth_s": 50.0, "recovery_s": 0}, charge_efficiency=0.9, discharge_efficiency=0.8, standby_pu=0.002)
    p = np.concatenate((np.full(10, 5.0), np.full(2000, 0.0), np.full(2000, 5.0)))
    run = act(b, p)
    flow = run.p_mw - p - 0.2
    expected = np.where(flow > 0, 0.1 * flow, (1 / 0.8 - 1) * -flow) + 0.2
    np.testing.assert_allclose(run.lost_mw, expected, atol=1e-12)
    np.testing.assert_allclose(run.p_mw, p + run.lost_mw + run.stored_mw, atol=1e-12)


def test_the_state_of_charge_returns():
    p = np.concatenate((np.full(10, 5.0), np.full(200, 0.0), np.full(20_000, 5.0)))
    run = act(battery(e_rated_mwh=1.0), p)
    assert run.soc_pu.max() > 0.55
    assert run.soc_pu[-1] == pytest.approx(0.5, abs=1e-3)


def test_holding_a_followed_mean_is_a_low_pass_of_the_load():
    p = np.tile(np.r_[np.full(20, 9.0), np.full(20, 1.0)], 10)
    followed = act(battery_with({"law": "hold_mean", "average_s": 90.0, "recovery_s": 0}), p)
    low = act(battery_with({"law": "low_pass", "tau_s": 90.0, "recovery_s": 0}), p)
    np.testing.assert_array_equal(followed.p_mw, low.p_mw)


def test_a_dead_time_passes_the_edge_and_then_acts():
    p = np.r_[np.full(5, 2.0), np.full(20, 8.0)]
    law = {"ramp_mw_per_min": 6.0, "smooth_s": 0, "recovery_s": 0}
    exact = act(battery(law), p)
    slow = act(battery(law, delay_s=3.0), p)
    command = exact.p_mw - p
    np.testing.assert_allclose(slow.p_mw - p, np.r_[np.zeros(3), command[:-3]], atol=1e-12)
    assert slow.p_mw[5:8].tolist() == [8.0, 8.0, 8.0]
    assert dict(slow.figures)["missed_mw"] == pytest.approx(5.9)
    assert "acts 3 s late" in slow.notes[0]


def test_a_dead_time_within_a_step_is_its_share_of_the_step():
    rng = np.random.default_rng(3)
    p = np.repeat(5 + rng.random(40), 10)
    law = {"law": "hold_mean", "mean_mw": 5.5, "recovery_s": 0}
    fine = act(battery_with(law, delay_s=0.3), p, 0.1)
    coarse = act(battery_with(law, delay_s=0.3), p[::10], 1.0)
    np.testing.assert_allclose(coarse.p_mw, fine.p_mw.reshape(-1, 10).mean(axis=1), atol=1e-12)


def test_the_lag_of_a_converter_is_the_mean_of_an_exponential():
    """A step of 4 MW at rest: mean over each second of 4 (1 - exp(-t / 2))."""
    p = np.r_[5.0, np.full(30, 1.0)]
    run = act(battery_with(HOLD, lag_s=2.0), p)
    k = np.arange(30.0)
    mean = 4 - 4 * 2 * (np.exp(-k / 2) - np.exp(-(k + 1) / 2))
    np.testing.assert_allclose(run.p_mw[1:] - 1.0, mean, atol=1e-12)
    wanted = 5.0 - p
    np.testing.assert_allclose(late(wanted, 1.0, delay_s=0.0, lag_s=2.0), run.p_mw - p, atol=1e-12)
    np.testing.assert_allclose(late(wanted, 1.0, delay_s=1.25, lag_s=0.0)[:5], [0, 0, 3, 4, 4])


def test_the_battery_never_makes_the_meter_export_unless_it_is_late():
    p = np.concatenate((np.full(600, 10.0), np.zeros(3000)))
    law = {"ramp_mw_per_min": 10.0}
    assert act(battery(law, p_rated_mw=20, e_rated_mwh=5), p).p_mw.min() >= 0
    p = np.concatenate((np.zeros(60), np.full(600, 10.0), np.zeros(60)))
    run = act(battery({"smooth_s": 1e4, "ramp_mw_per_min": 10.0}, p_rated_mw=20, e_rated_mwh=5, delay_s=2.0), p)
    assert run.p_mw.min() < -1
    assert any("turns negative, down to -" in note for note in run.notes)


def test_a_long_series_has_the_bits_of_a_short_one(monkeypatch):
    """Long series run compiled, short ones as Python."""
    rng = np.random.default_rng(5)
    p = np.repeat(8 * rng.random(60) - 0.5, 100)
    parts = {"battery": {"p_rated_mw": 3, "e_rated_mwh": 0.01}, "law": {"law": "hold_mean", "average_s": 9}}
    steps = [
        battery({"ramp_mw_per_min": 2.0}, p_rated_mw=3.0, e_rated_mwh=1.0, charge_efficiency=0.97, delay_s=0.0123),
        battery({"ramp_mw_per_min": 500.0}, p_rated_mw=0.5, e_rated_mwh=1e-3, charge_efficiency=0.97, lag_s=0.02),
        Hybrid(step="hybrid", supercapacitor={"p_rated_mw": 4, "e_rated_mwh": 1e-4, "delay_s": 0.001}, **parts),
    ]
    for step in steps:
        runs = []
        for short in (p.size + 1, 1):
            monkeypatch.setattr(buffering, "_SHORT", short)
            runs.append(act(step, p, 0.001))
        for name in ("p_mw", "lost_mw", "stored_mw", "soc_pu"):
            python, compiled = (getattr(r, name) for r in runs)
            assert python.tobytes() == compiled.tobytes()
        assert runs[0].figures == runs[1].figures


def test_each_row_is_a_storage_of_its_own():
    rng = np.random.default_rng(1)
    p = 5 + rng.random((2, 3, 50))
    b = battery_with(HOLD, e_rated_mwh=0.001)
    run = act(b, p)
    assert run.p_mw.shape == run.soc_pu.shape == (2, 3, 50)
    one = act(b, p[1, 2])
    np.testing.assert_array_equal(run.p_mw[1, 2], one.p_mw)
    worst = max(dict(act(b, p[i, j]).figures)["missed_mw"] for i in range(2) for j in range(3))
    assert dict(run.figures)["missed_mw"] == worst


def test_the_droop_is_signed_and_saturates():
    law = {"v_ref_pu": 1.0, "deadband_pu": 0.01, "full_pu": 0.05}
    v = np.array([0.90, 0.95, 0.97, 0.99, 1.0, 1.005, 1.03, 1.05, 1.2])
    np.testing.assert_allclose(droop_pu(v, **law), [-1, -1, -0.5, 0, 0, 0, 0.5, 1, 1], atol=1e-12)


def test_a_droop_draws_when_the_voltage_is_high_and_gives_when_it_is_low():
    law = {"law": "droop", "deadband_pu": 0.0, "recovery_s": 0, "q_share_pu": 1.0, "s_rated_mva": 5.0}
    b = battery_with(law, p_rated_mw=4.0, holds_power_factor=False)
    v = np.array([1.0, 1.05, 0.95, 1.025, 0.9])
    run = act(b, np.full(5, 10.0), vm_pu=v)
    np.testing.assert_allclose(run.p_mw - 10, [0, 4, -4, 2, -4], atol=1e-12)
    # Active power first: sqrt(5^2 - 4^2) = 3 Mvar are left at full output.
    np.testing.assert_allclose(run.q_mvar, [0, 3, -3, 2.5, -3], atol=1e-12)
    assert dict(run.figures)["q_limited_s"] == 3.0
    with pytest.raises(InputError, match="a droop needs the voltage"):
        act(b, np.full(5, 10.0))
    with pytest.raises(InputError, match=r"as long as the power \(got 4 samples\)"):
        act(b, np.full(5, 10.0), vm_pu=v[:4])
    with pytest.raises(InputError, match="cannot both hold the power factor"):
        battery_with(law, p_rated_mw=4.0)
    with pytest.raises(InputError, match="the droop has no slope"):
        battery_with({"law": "droop", "deadband_pu": 0.05})


def test_a_droop_through_mitigate_takes_the_voltage_of_the_load():
    metered = gridedge.connect(load(np.full(10, 5.0)), {}, bus=1)
    b = {"step": "battery", "p_rated_mw": 2, "e_rated_mwh": 9, "law": {"law": "droop", "recovery_s": 0}, **LOSSLESS}
    with pytest.raises(InputError, match="vm_pu is missing"):
        gridedge.mitigate(metered, [b])
    after = gridedge.mitigate(metered.assign(vm_pu=("time", np.full(10, 0.9))), [b])
    np.testing.assert_allclose(metered["p_mw"] - after["p_mw"], 2.0)


def hybrid(**changes):
    lossless = {"charge_efficiency": 1, "discharge_efficiency": 1, "standby_pu": 0}
    given = {
        "step": "hybrid",
        "battery": {"p_rated_mw": 20, "e_rated_mwh": 5, **lossless},
        "supercapacitor": {"p_rated_mw": 20, "e_rated_mwh": 0.5, "delay_s": 0, **lossless},
        "split_s": 5.0,
        "law": {"law": "hold_mean", "mean_mw": 5.0, "recovery_s": 0},
    }
    return build(Hybrid, {**given, **changes})


def test_the_parts_of_a_hybrid_add_up_to_the_whole_and_are_slow_and_fast():
    t = 0.01 * np.arange(60_000)
    p = 5 + 2 * np.sin(2 * np.pi * t / 100) + 2 * np.sin(2 * np.pi * t / 0.5)
    run = act(hybrid(), p, 0.01)
    np.testing.assert_allclose(run.p_mw, 5.0, atol=1e-9)  # the delay of the battery is the supercapacitor's work
    (_, slow), (_, fast) = run.part_soc_pu
    flows = [np.diff(soc, prepend=soc[0]) * e * 3600 / 0.01 for soc, e in ((slow, 5.0), (fast, 0.5))]
    np.testing.assert_allclose(sum(flows)[1:], (run.p_mw - p)[1:], atol=1e-6)
    # The low-pass of 5 s, and the supercapacitor's return in 20 s through the battery:
    # H = (1 + 5 s tau) / ((1 + s tau)(1 + 4 s tau)) for the battery, 1 - H for the other.
    last = slice(40_000, 60_000)
    for period_s in (100.0, 0.5):
        s = 2j * np.pi / period_s * 5.0
        part = (1 + 5 * s) / ((1 + s) * (1 + 4 * s))
        angle = np.exp(-2j * np.pi * t[last] / period_s)
        for flow, share in zip(flows, (part, 1 - part), strict=True):
            assert 2 * abs((flow[last] * angle).mean()) == pytest.approx(2 * abs(share), rel=0.02, abs=1e-3)
    figures = dict(run.figures)
    assert figures["supercapacitor_full_equivalent_cycles"] > 5 * figures["battery_full_equivalent_cycles"]


def test_a_hybrid_shows_both_stores():
    metered = gridedge.connect(load([5.0, 9.0] * 20), {}, bus=1)
    after = gridedge.mitigate(metered, [hybrid()])
    assert after["storage"].values.tolist() == ["0:hybrid.battery", "0:hybrid.supercapacitor"]
    after = gridedge.mitigate(after, [hybrid()])
    assert after.sizes["storage"] == 4


def test_capacitors_of_the_power_supplies_hold_joules_per_accelerator():
    cap = build(PsuCapacitor, {"step": "psu_capacitor"})
    run = act(cap, np.full(20, 5.0), 0.01, nameplate_mw=10.2, server="8xH100", servers=1000)
    assert any("nothing says that these servers have them" in n for n in run.notes)
    rack = act(cap, np.full(20, 5.0), 0.01, nameplate_mw=10.2, server="GB300-NVL72", servers=70)
    assert not any("nothing says" in n for n in rack.notes)
    law = {"law": "hold_mean", "mean_mw": 5.0, "recovery_s": 0}
    lossless = {"charge_efficiency": 1, "discharge_efficiency": 1}
    cap = build(PsuCapacitor, {"step": "psu_capacitor", "energy_j_per_accelerator": 65, "law": law, **lossless})
    p = np.full(200, 13.0)
    run = act(cap, p, 0.001, nameplate_mw=10.2, server="8xH100", servers=1000)
    # 8000 x 65 J, half of them, at 8 MW: 32.5 ms.
    assert np.flatnonzero(run.soc_pu == 0)[0] * 0.001 == pytest.approx(0.0325, abs=1e-3)
    with pytest.raises(InputError, match="does not say how many accelerators"):
        act(cap, p, 0.001, nameplate_mw=10.2)
    sized = build(PsuCapacitor, {"step": "psu_capacitor", "e_rated_mwh": 1e-4})
    with pytest.raises(InputError, match=r"does not know its power \(got p_rated_mw is not given\)"):
        act(sized, p, 0.001)


def test_what_is_there_for_outages_may_not_cycle():
    law = {"law": "hold_mean"}
    with pytest.raises(InputError, match=r"a lead-acid UPS may not cycle \(got chemistry lead_acid\). Use a lithium"):
        build(Ups, {"step": "ups", "law": law})
    with pytest.raises(InputError, match="a lead-acid UPS may not cycle"):
        build(Ups, {"step": "ups", "may_cycle": True, "law": law})
    with pytest.raises(InputError, match=r"for outages only \(got may_cycle false\). Set may_cycle: true"):
        build(Ups, {"step": "ups", "chemistry": "lithium", "law": law})
    with pytest.raises(InputError, match="a battery backup unit is for outages only"):
        build(RackBattery, {"step": "rack_battery", "law": law})
    ups = build(Ups, {"step": "ups", "chemistry": "lithium", "may_cycle": True, "law": HOLD, "delay_s": 0})
    run = act(ups, np.full(1200, 8.0), nameplate_mw=10.0)
    # 10 MW for 300 s, of which a tenth may be taken: 300 MJ / 10 at 3 MW and 0.98.
    assert np.flatnonzero(run.soc_pu == 0.8)[0] == pytest.approx(3000e6 * 0.1 * 0.98 / 3e6, abs=1.5)
    rack = build(RackBattery, {"step": "rack_battery", "may_cycle": True, "law": HOLD})
    assert act(rack, np.full(5, 8.0), nameplate_mw=10.0).soc_pu[0] < 0.75


def test_a_capacitor_at_the_site_stands_behind_an_inverter():
    size = {"p_rated_mw": 3, "e_rated_mwh": 0.01}
    rack = build(Supercapacitor, {"step": "supercapacitor", **size, "law": {"law": "hold_mean"}})
    assert (rack.place, rack.delay_s) == ("rack", 0.0)
    with pytest.raises(InputError, match="at the site stands behind an inverter"):
        build(Supercapacitor, {"step": "supercapacitor", "place": "site", **size, "law": {"law": "hold_mean"}})
    with pytest.raises(InputError, match="at the site stands behind an inverter"):
        hybrid(supercapacitor=size)
    with pytest.raises(InputError, match="acts on IT power, and this is the metered power"):
        gridedge.mitigate(gridedge.connect(load([1, 2, 3]), {}, bus=1), [rack])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"soc_start_pu": 0.95, "soc_max_pu": 0.9}, "starts outside its window.*0.95.*Start within 0.1 to 0.9"),
        ({"soc_min_pu": 0.8, "soc_max_pu": 0.3}, "window is empty.*0.8 to 0.3"),
        ({"p_rated_mw": 0}, r"p_rated_mw cannot be used \(got 0\)"),
        ({"p_rated_mw": -0.5}, r"p_rated_mw cannot be used \(got -0.5\)"),
        ({"charge_efficiency": -0.5}, r"charge_efficiency cannot be used \(got -0.5\)"),
        ({"discharge_efficiency": 1.2}, r"discharge_efficiency cannot be used \(got 1.2\)"),
        ({"delay_s": -1}, r"delay_s cannot be used \(got -1\)"),
        ({"standby_pu": -1}, r"standby_pu cannot be used \(got -1\)"),
        ({"ramp_mw_per_min": -2}, r"ramp_mw_per_min cannot be used \(got -2\)"),
    ],
)
def test_an_impossible_battery_is_refused_by_name(changes, message):
    given = {"step": "battery", "p_rated_mw": 1, "e_rated_mwh": 1, "ramp_mw_per_min": 1, **changes}
    with pytest.raises(InputError, match=message):
        gridedge.mitigate(gridedge.connect(load([1, 2, 3]), {}, bus=1), [given])


def test_a_battery_without_power_is_refused():
    with pytest.raises(InputError, match="p_rated_mw is missing"):
        build(Battery, {"step": "battery", "e_rated_mwh": 1, "ramp_mw_per_min": 1})
    with pytest.raises(InputError, match="two means are given"):
        battery_with({"law": "hold_mean", "mean_mw": 3, "average_s": 60})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"p_after_mw": np.ones(4)}, "do not match"),
        ({"dt_s": 0.0}, "dt_s is not positive"),
        ({"charge_efficiency": -0.5}, "charge_efficiency is not possible"),
        ({"soc_min_pu": 0.9, "soc_max_pu": 0.1}, "window is empty"),
        ({"soc_start_pu": 0.05, "soc_min_pu": 0.1}, "starts outside its window"),
        ({"p_before_mw": np.array([1, np.nan, 1])}, "not finite"),
    ],
)
def test_what_is_needed_refuses_the_impossible(changes, message):
    with pytest.raises(InputError, match=message):
        needed(**{"p_before_mw": np.ones(3), "p_after_mw": np.ones(3), "dt_s": 1.0, **changes})


def test_a_droop_is_late_in_both_powers():
    law = {"law": "droop", "deadband_pu": 0.0, "recovery_s": 0, "q_share_pu": 1.0, "s_rated_mva": 9.0}
    b = battery_with(law, p_rated_mw=4.0, holds_power_factor=False, delay_s=2.0)
    run = act(b, np.full(5, 10.0), vm_pu=np.array([1.0, 1.05, 0.95, 1.05, 1.0]))
    np.testing.assert_allclose(run.p_mw - 10, [0, 0, 0, 4, -4], atol=1e-12)
    room = np.sqrt(9.0**2 - 4.0**2)
    np.testing.assert_allclose(run.q_mvar, [0, 0, 0, room, -room], atol=1e-12)
