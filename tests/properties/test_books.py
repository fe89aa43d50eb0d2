"""What must hold for every load and every mitigation, whatever the numbers."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gridedge
from gridedge import schema
from gridedge.measure.ramp import largest_change, largest_ramp
from gridedge.sites.facility import Facility, lag, metered_power
from gridedge.sites.smoothing import dummy_load
from gridedge.sites.storage import Battery, ramp_limiting_battery
from gridedge.timebase import coarsen

NAMEPLATE_MW = 10.0
SERIES = hnp.arrays(float, st.integers(1, 80), elements=st.floats(0, NAMEPLATE_MW, width=32))
STEP_S = st.sampled_from([0.05, 0.5, 2.0, 900.0])


@st.composite
def batteries(draw):
    low = draw(st.floats(0, 0.4))
    high = draw(st.floats(0.6, 1))
    return Battery(
        step="battery",
        p_rated_mw=draw(st.floats(0.1, 20)),
        e_rated_mwh=draw(st.floats(0.001, 5)),
        ramp_mw_per_min=draw(st.floats(0.1, 100)),
        smooth_s=draw(st.floats(0.1, 600)),
        charge_efficiency=draw(st.floats(0.5, 1)),
        discharge_efficiency=draw(st.floats(0.5, 1)),
        soc_start_pu=draw(st.floats(low, high)),
        soc_min_pu=low,
        soc_max_pu=high,
        recovery_s=draw(st.floats(1, 5000)),
    )


@st.composite
def steps_at_chip(draw):
    return {"step": "dummy_load", "floor_pu": draw(st.floats(0.01, 1)), "reaction_s": draw(st.floats(0, 10))}


def load(p_mw, dt_s):
    return schema.power_dataset(p_mw, dt_s, power="IT", attrs={"nameplate_mw": NAMEPLATE_MW})


def books_close(ds):
    left = ds["p_before_mw"] - ds["delayed_mw"] + ds["wasted_mw"] + ds["lost_mw"] + ds["stored_mw"]
    scale = max(1.0, float(np.abs(ds["p_mw"]).max()), float(np.abs(ds["stored_mw"]).max()))
    np.testing.assert_allclose(left.values, ds["p_mw"].values, rtol=0, atol=1e-9 * scale)


@given(SERIES, STEP_S, steps_at_chip(), batteries())
def test_books_close_through_the_whole_chain(p, dt_s, dummy, battery):
    shaped = gridedge.mitigate(load(p, dt_s), [dummy])
    books_close(shaped)
    metered = gridedge.connect(shaped, {}, bus=1)
    after = gridedge.mitigate(metered, [battery])
    books_close(after)
    assert (after["wasted_mw"] >= 0).all()
    assert (after["lost_mw"] >= -1e-12).all()


@given(SERIES, STEP_S, batteries())
def test_a_battery_keeps_its_ratings_and_its_window(p, dt_s, battery):
    run = ramp_limiting_battery(p, dt_s, battery)
    assert (np.abs(run.p_mw - p) <= battery.p_rated_mw * (1 + 1e-12) + 1e-12).all()
    assert (run.soc_pu >= battery.soc_min_pu - 1e-12).all()
    assert (run.soc_pu <= battery.soc_max_pu + 1e-12).all()
    energy = battery.e_rated_mwh * np.concatenate(([battery.soc_start_pu], run.soc_pu))
    rate = np.diff(energy) * 3600 / dt_s
    # A state of charge is a small difference of large numbers where steps are short.
    np.testing.assert_allclose(run.stored_mw, rate, rtol=1e-9, atol=1e-11 * battery.e_rated_mwh * 3600 / dt_s)


@given(SERIES, STEP_S, batteries(), st.integers(0, 79))
def test_a_battery_does_not_look_ahead(p, dt_s, battery, cut):
    cut = min(cut, p.size)
    whole, part = ramp_limiting_battery(p, dt_s, battery), ramp_limiting_battery(p[:cut], dt_s, battery)
    np.testing.assert_array_equal(whole.p_mw[:cut], part.p_mw)
    np.testing.assert_array_equal(whole.soc_pu[:cut], part.soc_pu)


@given(SERIES, STEP_S, st.floats(0.01, 1), st.floats(0, 5), st.integers(1, 79))
def test_a_dummy_workload_does_not_look_ahead_and_keeps_the_limit(p, dt_s, floor_pu, reaction_s, cut):
    kwargs = {"floor_mw": floor_pu * NAMEPLATE_MW, "reaction_s": reaction_s, "most_mw": NAMEPLATE_MW}
    whole = dummy_load(p, dt_s, **kwargs)
    part = dummy_load(p[:cut], dt_s, **kwargs)
    np.testing.assert_array_equal(whole[: part.size], part)
    assert (whole >= 0).all()
    assert (p + whole <= NAMEPLATE_MW * (1 + 1e-12)).all()


@given(SERIES, STEP_S, st.floats(0.01, 1))
def test_a_dummy_workload_without_delay_holds_its_floor(p, dt_s, floor_pu):
    floor = floor_pu * NAMEPLATE_MW
    after = p + dummy_load(p, dt_s, floor_mw=floor, reaction_s=0.0, most_mw=NAMEPLATE_MW)
    np.testing.assert_allclose(after, np.maximum(p, floor), rtol=1e-12, atol=1e-12)


@given(SERIES, STEP_S, st.integers(1, 79))
def test_the_facility_does_not_look_ahead_and_cools_late(p, dt_s, cut):
    spec = Facility()
    whole = metered_power(p, dt_s, spec, nameplate_mw=NAMEPLATE_MW)
    np.testing.assert_array_equal(whole[:cut], metered_power(p[:cut], dt_s, spec, nameplate_mw=NAMEPLATE_MW))
    followed = lag(p, dt_s, tau_s=spec.cooling_lag_s)
    assert followed[0] == pytest.approx(p[0])
    assert (followed >= p.min() - 1e-9).all()
    assert (followed <= p.max() + 1e-9).all()


@given(SERIES, STEP_S, batteries())
def test_no_storage_energy_is_made(p, dt_s, battery):
    run = ramp_limiting_battery(p, dt_s, battery)
    hours = dt_s / 3600
    taken = (run.p_mw - p).sum() * hours
    gained = (run.soc_pu[-1] - battery.soc_start_pu) * battery.e_rated_mwh
    assert taken >= gained - 1e-9 * max(1.0, abs(gained), float(np.abs(run.p_mw - p).sum()) * hours)


@given(SERIES, st.integers(1, 20))
def test_ramp_and_change_do_not_depend_on_the_direction_of_time_or_an_offset(p, window):
    for measure in (largest_change, largest_ramp):
        there = measure(p, 1.0, window_s=float(window))
        back = measure(p[::-1].copy(), 1.0, window_s=float(window))
        up = measure(p + 5.0, 1.0, window_s=float(window))
        np.testing.assert_allclose(there.value, back.value, atol=1e-12)
        np.testing.assert_allclose(there.value, up.value, atol=1e-12)


@given(SERIES, st.integers(1, 20))
def test_the_largest_change_is_that_of_every_window_written_out(p, window):
    found = largest_change(p, 1.0, window_s=float(window))
    if p.size <= window:
        assert np.isnan(found.value)
        return
    spans = [np.ptp(p[k : k + window + 1]) for k in range(p.size - window)]
    assert found.value == max(spans)
    assert spans[int(found.when_s)] == found.value


@given(st.integers(0, 1000), st.sampled_from([0.05, 0.1, 0.4]), st.integers(2, 20))
def test_a_coarse_waveform_is_the_mean_of_the_fine_one(seed, dt_s, factor):
    spec = {"profile": "h100-at-scale", "checkpoint_interval_s": 30, "checkpoint_s": 8}
    coarse = gridedge.generate(spec, duration_s=60 * dt_s * factor, dt_s=dt_s * factor, seed=seed)
    fine = gridedge.generate(spec, duration_s=60 * dt_s * factor, dt_s=dt_s, seed=seed)
    np.testing.assert_allclose(coarse["p_mw"], coarsen(fine["p_mw"].values, factor, "mean"), rtol=1e-9)


@given(st.integers(0, 50), st.integers(0, 400), st.integers(1, 200))
def test_a_block_has_the_same_bits_as_the_whole(seed, start, length):
    from gridedge.profiles.generate import load_profile
    from gridedge.profiles.training import training_power_mw

    spec = load_profile("h100-at-scale")
    whole = training_power_mw(spec, 0.5, 0, 800, seed=seed)
    block = training_power_mw(spec, 0.5, start, start + length, seed=seed)
    np.testing.assert_array_equal(block, whole[start : start + length])


@given(st.integers(0, 5), st.integers(1, 4))
def test_a_member_does_not_depend_on_how_many_there_are(seed, members):
    few = gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5, seed=seed, members=members)
    many = gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5, seed=seed, members=5)
    assert few["p_mw"].dims == ("member", "time")
    np.testing.assert_array_equal(few["p_mw"], many["p_mw"][:members])
    one = gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5, seed=seed)
    np.testing.assert_array_equal(one["p_mw"], many["p_mw"][0])


def test_servers_scale_the_load():
    one = gridedge.generate({"profile": "h100-at-scale", "servers": 1}, duration_s=60, dt_s=0.5, seed=4)
    many = gridedge.generate({"profile": "h100-at-scale", "servers": 700}, duration_s=60, dt_s=0.5, seed=4)
    xr.testing.assert_allclose(one["p_mw"] * 700, many["p_mw"])
    assert many.attrs["nameplate_mw"] == pytest.approx(7.14)
