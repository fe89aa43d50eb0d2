"""The verb mitigate: what comes first, what a cap makes of a job, members, places, and the books behind connect."""

import json

import numpy as np
import pytest

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.measure.spectrum import amplitude_spectrum

JOB = {
    "kind": "training",
    "server": "8xB200",
    "servers": 1000,
    "period_s": 4.0,
    "compute_pu": 0.7,
    "communication_pu": 0.3,
    "compute_share": 0.75,
    "rise_s": 0.1,
    "fall_s": 0.1,
}
CLUSTER = {
    "kind": "cluster",
    "server": "8xB200",
    "servers": 1000,
    "jobs": [{"share_pu": 0.5, "job": JOB}, {"share_pu": 0.5, "job": JOB}],
}
CAP = {"step": "power_cap", "cap_pu": 0.55}
FLOOR = {"step": "power_floor", "preset": "firmus-50"}
DUMMY = {"step": "dummy_load", "floor_pu": 0.5}
BATTERY = {"step": "battery", "p_rated_mw": 5, "e_rated_mwh": 1, "ramp_mw_per_min": 5}


def job(duration_s=48.0, dt_s=0.05, **changes):
    members = changes.pop("members", None)
    return gridedge.generate({**JOB, **changes}, duration_s=duration_s, dt_s=dt_s, seed=3, members=members)


def series(p_mw, dt_s=1.0, nameplate_mw=14.3):
    attrs = {"nameplate_mw": nameplate_mw, "server": "8xB200", "servers": 1000}
    return schema.power_dataset(np.asarray(p_mw, float), dt_s, power="IT", attrs=attrs)


def books_close(ds):
    left = ds["p_before_mw"] - ds["delayed_mw"] + ds["wasted_mw"] + ds["lost_mw"] + ds["stored_mw"]
    np.testing.assert_allclose((left + ds.get("overhead_mw", 0.0)).values, ds["p_mw"].values, rtol=0, atol=1e-9)


def period_s(p_mw, dt_s):
    """Return the period of the largest line of the spectrum below 0.35 Hz, where the fundamental lies."""
    frequency = np.fft.rfftfreq(p_mw.size, dt_s)
    amplitude = np.where(frequency < 0.35, np.abs(np.fft.rfft(p_mw - p_mw.mean())), 0.0)
    return 1.0 / frequency[np.argmax(amplitude)]


def test_a_cap_on_a_generated_load_moves_its_period_and_delays_work():
    """f = sqrt((cap - idle) / (compute - idle)); the compute phase grows by s / f + 1 - s."""
    load = job(duration_s=960.0)
    ds = gridedge.mitigate(load, [CAP])
    idle = 2.7 / 14.3
    f = np.sqrt((0.55 - idle) / (0.7 - idle))
    longer = 4.0 + 3.0 * 0.8 * (1 / f - 1)
    assert period_s(load["p_mw"].values, 0.05) == pytest.approx(4.0, rel=1e-3)
    assert period_s(ds["p_mw"].values, 0.05) == pytest.approx(longer, rel=5e-3)
    assert float(ds["p_mw"].max()) <= 0.55 * 14.3 * (1 + 1e-9)
    assert ds.attrs["figures"]["0:power_cap"]["slowdown_pu"] == pytest.approx(longer / 4.0 - 1)
    np.testing.assert_array_equal(ds["p_before_mw"], load["p_mw"])
    books_close(ds)
    assert any(f"takes {100 * (longer / 4.0 - 1):.3g} % longer" in note for note in ds.attrs["notes"])
    again = gridedge.generate(json.loads(ds.attrs["profile_json"]), duration_s=960.0, dt_s=0.05, seed=3)
    np.testing.assert_allclose(again["p_mw"], ds["p_mw"], rtol=1e-9)


def test_a_cut_of_a_load_is_capped_as_the_whole():
    load = job()
    whole = gridedge.mitigate(load, [CAP])
    part = gridedge.mitigate(load.isel(time=slice(300, 700)), [CAP])
    np.testing.assert_allclose(part["p_mw"], whole["p_mw"][300:700], rtol=1e-9)
    np.testing.assert_array_equal(part["time"], load["time"][300:700])


def test_members_stay_the_same_jobs_under_a_cap():
    """Each member draws its own figures first and is capped then."""
    profile = {"profile": "h100-at-scale", "servers": 100}
    load = gridedge.generate(profile, duration_s=40, dt_s=0.1, seed=2, members=3)
    free = gridedge.mitigate(load, [{"step": "frequency_cap", "frequency_pu": 1.0}])
    np.testing.assert_allclose(free["p_mw"], load["p_mw"], atol=1e-9)
    capped = gridedge.mitigate(load, [{"step": "frequency_cap", "frequency_pu": 0.8}])
    assert capped["p_mw"].dims == ("member", "time")
    assert float(capped["p_mw"].mean()) < float(load["p_mw"].mean())
    books_close(capped)


def test_a_load_that_is_not_its_profile_is_not_made_anew():
    load = job()
    load["p_mw"] = load["p_mw"] * 1.01
    with pytest.raises(InputError, match="not what its profile makes"):
        gridedge.mitigate(load, [CAP])


def test_a_cap_on_a_series_clips_books_the_delay_and_says_so():
    p = np.tile([10.0, 10, 4, 4], 10)
    ds = gridedge.mitigate(series(p), [{"step": "power_cap", "cap_pu": 0.5}])
    np.testing.assert_array_equal(ds["p_mw"], np.minimum(p, 7.15))
    np.testing.assert_allclose(ds["delayed_mw"], np.maximum(p - 7.15, 0))
    mwh = 20 * 2.85 / 3600
    assert ds.attrs["figures"]["0:power_cap"]["delayed_mwh"] == pytest.approx(mwh)
    assert any("cannot be stretched" in note and f"{mwh:.3g} MWh" in note for note in ds.attrs["notes"])


def test_a_frequency_cap_on_a_series_lowers_the_power_above_idle():
    ds = gridedge.mitigate(series([10.0, 2.7, 2.0]), [{"step": "frequency_cap", "frequency_pu": 0.8}])
    np.testing.assert_allclose(ds["p_mw"], [2.7 + 7.3 * 0.64, 2.7, 2.0])
    books_close(ds)


def test_staggered_jobs_cancel_their_common_harmonic():
    load = gridedge.generate(CLUSTER, duration_s=400, dt_s=0.05, seed=1)
    ds = gridedge.mitigate(load, [{"step": "stagger"}])
    found = {}
    for name, p in (("before", load["p_mw"]), ("after", ds["p_mw"])):
        frequency, amplitude = amplitude_spectrum(p.values[1600:], 0.05)[:2]
        found[name] = amplitude[np.argmin(np.abs(frequency - 0.25))]
    assert found["after"] < 0.02 * found["before"]
    books_close(ds)


def test_stagger_needs_jobs():
    with pytest.raises(InputError, match="this load is one job"):
        gridedge.mitigate(job(), [{"step": "stagger"}])
    with pytest.raises(InputError, match="jobs cannot be shifted within a series"):
        gridedge.mitigate(series([5.0, 6.0]), [{"step": "stagger"}])


def test_a_ramp_up_spreads_the_start():
    load = job()
    ds = gridedge.mitigate(load, [{"step": "ramp_up", "ramp_s": 40.0}])
    swing = [float(np.ptp(ds["p_mw"].values[k : k + 80])) for k in (80, 880)]
    assert swing[0] < 0.3 * swing[1]
    held = gridedge.mitigate(series(np.r_[1.0, np.full(9, 10.0)]), [{"step": "ramp_up", "ramp_s": 14.3}])
    np.testing.assert_allclose(held["p_mw"], np.minimum(np.r_[1.0, np.full(9, 10.0)], 1.0 + np.arange(10)))
    assert any("rises by the nameplate in 14.3 s" in note for note in held.attrs["notes"])


def test_a_floor_above_the_cap_is_one_message_that_names_both():
    given = [{"step": "power_cap", "cap_pu": 0.35}, {"step": "power_floor", "percent_tmp_floor": 80}]
    with pytest.raises(InputError, match=r"power_floor 7.98 MW > power_cap 5.005 MW") as caught:
        gridedge.mitigate(job(), given)
    assert len(caught.value.problems) == 1
    with pytest.raises(InputError, match=r"dummy_load 7.15 MW > power_cap 5.005 MW"):
        gridedge.mitigate(job(), [given[0], {"step": "dummy_load", "floor_pu": 0.5}])


def test_what_shapes_the_work_comes_first():
    with pytest.raises(InputError, match=r"power_cap comes too late \(got after dummy_load\)"):
        gridedge.mitigate(job(), [DUMMY, CAP])
    with pytest.raises(InputError, match=r"power_cap comes too late \(got after 0:dummy_load\)"):
        gridedge.mitigate(gridedge.mitigate(job(), [DUMMY]), [CAP])
    with pytest.raises(InputError, match="steps must be a list"):
        gridedge.mitigate(job(), CAP)
    with pytest.raises(InputError, match="Did you mean 'power_floor'"):
        gridedge.mitigate(job(), [{"step": "power_flor"}])


def test_members_are_mitigated_each_by_itself_and_carried_to_the_meter():
    load = job(members=3, period_jitter_pu=0.05)
    steps = [{**FLOOR, "ramp_down_hysteresis_ms": 300}, DUMMY]
    after = gridedge.mitigate(gridedge.connect(gridedge.mitigate(load, steps), {}, bus=1), [BATTERY])
    assert after["p_mw"].dims == ("member", "time", "site")
    assert after["soc_pu"].dims == ("storage", "member", "time", "site")
    books_close(after)
    for k in range(3):
        one = gridedge.mitigate(load.isel(member=k), steps)
        one = gridedge.mitigate(gridedge.connect(one, {}, bus=1), [BATTERY])
        np.testing.assert_allclose(after["p_mw"][k], one["p_mw"], rtol=1e-12)
        np.testing.assert_allclose(after["wasted_mw"][k], one["wasted_mw"], rtol=1e-12, atol=1e-12)


def test_connect_carries_what_was_done_behind_it():
    inner = gridedge.mitigate(job(), [FLOOR, DUMMY])
    metered = gridedge.connect(inner, {}, bus=1)
    bare = gridedge.connect(job(), {}, bus=1)
    np.testing.assert_allclose(metered["p_before_mw"], bare["p_mw"], rtol=1e-12)
    np.testing.assert_array_equal(metered["wasted_mw"][:, 0], inner["wasted_mw"])
    np.testing.assert_array_equal(metered["p_it_before_mw"], inner["p_before_mw"])
    assert metered.attrs["notes"] == inner.attrs["notes"]
    assert list(metered.attrs["figures"]) == ["0:power_floor", "1:dummy_load"]
    books_close(metered)
    # Waste of the computers passes the conversion losses at once and the cooling through its lag.
    extra = inner["p_mw"].values - inner["p_before_mw"].values
    assert float(metered["overhead_mw"].sum()) > (1 / 0.96 - 1) * extra.sum()
    after = gridedge.mitigate(metered, [BATTERY])
    assert list(after.attrs["steps"]) == ["0:power_floor", "1:dummy_load", "2:battery"]
    assert after["storage"].values.tolist() == ["2:battery"]
    books_close(after)


def test_the_power_at_each_place_is_kept():
    load = job()
    inner = gridedge.mitigate(load, [DUMMY])
    assert inner["place"].values.tolist() == ["chip", "rack", "ups"]
    for place in ("chip", "rack", "ups"):
        np.testing.assert_array_equal(inner["p_at_mw"].sel(place=place), inner["p_mw"])
    metered = gridedge.connect(inner, {}, bus=1)
    after = gridedge.mitigate(metered, [BATTERY])
    np.testing.assert_array_equal(after["p_at_mw"].sel(place="ups")[:, 0], inner["p_mw"])
    np.testing.assert_array_equal(after["p_at_mw"].sel(place="site"), after["p_mw"])
    unshaped = gridedge.mitigate(gridedge.connect(load, {}, bus=1), [])
    np.testing.assert_array_equal(unshaped["p_at_mw"].sel(place="chip")[:, 0], load["p_mw"])


def test_a_share_beyond_one_is_refused():
    with pytest.raises(InputError, match="active_pu is not a share"):
        gridedge.mitigate(series([5.0, 5.0]).assign(active_pu=("time", [1.0, 1.2])), [DUMMY])


def test_a_server_of_ones_own_has_its_own_floor():
    own = {"base": "8xB200", "rated_kw": 12.0}
    ds = gridedge.mitigate(job(server=own), [FLOOR])
    assert ds.attrs["figures"]["0:power_floor"]["floor_mw"] == pytest.approx(1.58 + 8 * 0.5)


def test_steps_stand_from_the_chip_outwards():
    capacitor = {"step": "psu_capacitor", "energy_j_per_accelerator": 65}
    with pytest.raises(InputError, match=r"psu_capacitor at rack, then dummy_load at chip"):
        gridedge.mitigate(job(), [capacitor, DUMMY])
    with pytest.raises(InputError, match=r"0:psu_capacitor at rack, then dummy_load at chip"):
        gridedge.mitigate(gridedge.mitigate(job(), [capacitor]), [DUMMY])
    with pytest.raises(InputError, match="battery acts at the meter, and this is IT power"):
        gridedge.mitigate(job(), [BATTERY])


def test_a_store_in_the_rack_is_seen_behind_the_rack_and_kept_through_connect():
    ds = gridedge.mitigate(job(dt_s=0.01), [DUMMY, {"step": "psu_capacitor", "energy_j_per_accelerator": 65}])
    chip, rack, ups = (ds["p_at_mw"].sel(place=place).values for place in ("chip", "rack", "ups"))
    assert np.abs(rack - chip).max() > 0.1
    np.testing.assert_array_equal(rack, ups)
    np.testing.assert_array_equal(ups, ds["p_mw"])
    books_close(ds)
    metered = gridedge.connect(ds, {}, bus=1)
    books_close(metered)
    np.testing.assert_array_equal(metered["soc_pu"][..., 0], ds["soc_pu"])


def test_a_droop_follows_the_voltage_that_the_load_carries():
    metered = gridedge.connect(series(np.full(200, 5.0), dt_s=0.1), {}, bus=1)
    battery = {"step": "battery", "p_rated_mw": 2, "e_rated_mwh": 1, "holds_power_factor": False}
    droop = {**battery, "law": {"law": "droop", "q_share_pu": 1.0}}
    with pytest.raises(InputError, match="vm_pu"):
        gridedge.mitigate(metered, [droop])
    low = gridedge.mitigate(metered.assign(vm_pu=("time", np.full(200, 0.95))), [droop])
    assert float(low["p_mw"][-1, 0]) < float(metered["p_mw"][-1, 0])
    assert float(low["q_mvar"][-1, 0]) < float(metered["q_mvar"][-1, 0])
    books_close(low)
    with pytest.raises(InputError, match=r"vm_pu is no voltage per unit \(got 20 to 20\). Give it in pu"):
        gridedge.mitigate(metered.assign(vm_pu=("time", np.full(200, 20.0))), [droop])
    with pytest.raises(InputError, match=r"vm_pu holds no numbers \(got <U4\)"):
        gridedge.mitigate(metered.assign(vm_pu=("time", ["20kV"] * 200)), [droop])
    wide = metered.assign(vm_pu=(("time", "bus"), np.ones((200, 2))))
    with pytest.raises(InputError, match="a load has one voltage"):
        gridedge.mitigate(wide, [droop])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"step": "power_cap", "cap_pu": 0}, r"cap_pu cannot be used \(got 0\)"),
        (
            {"step": "power_cap", "cap_pu": 0.2},
            r"cap does not lie above communication and idle power \(got cap_pu 0.2\)",
        ),
        ({"step": "frequency_cap", "frequency_pu": 1.1}, r"frequency_pu cannot be used \(got 1.1\)"),
        ({"step": "ramp_up", "ramp_s": -5}, r"ramp_s cannot be used \(got -5\)"),
        ({**DUMMY, "floor_pu": True}, "floor_pu is a switch, not a value"),
        ({"step": "psu_capacitor", "charge_efficiency": -0.9}, r"charge_efficiency cannot be used \(got -0.9\)"),
    ],
)
def test_a_value_that_cannot_be_is_named(given, message):
    with pytest.raises(InputError, match=message):
        gridedge.mitigate(job(), [given])
