"""What must hold for every storage, whatever its law and its load."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gridedge.sites.ageing import ageing, count_cycles
from gridedge.sites.need import needed
from gridedge.sites.step import Around
from gridedge.sites.storage import Battery, Hybrid
from gridedge.spec import build

SERIES = hnp.arrays(float, st.integers(1, 80), elements=st.floats(0, 10, width=32))
STEP_S = st.sampled_from([0.05, 0.5, 2.0, 900.0])
RECOVERY_S = st.sampled_from([0.0, 1.0, 600.0])


@st.composite
def laws(draw, *, droop=True):
    given = {"recovery_s": draw(RECOVERY_S)}
    kind = draw(st.sampled_from(["ramp_limit", "low_pass", "hold_mean", "follow", *["droop"] * droop]))
    if kind == "ramp_limit":
        given |= {"ramp_mw_per_min": draw(st.floats(0.1, 1000)), "smooth_s": draw(st.sampled_from([0.0, 5.0, 600.0]))}
    if kind == "low_pass":
        given |= {"tau_s": draw(st.floats(0.01, 600))}
    if kind == "hold_mean":
        given |= {"mean_mw": draw(st.floats(0, 10))}
    if kind == "follow":
        given |= {"average_s": draw(st.floats(0.1, 1000))}
    if kind == "droop":
        given |= {"deadband_pu": draw(st.floats(0, 0.02)), "q_share_pu": draw(st.sampled_from([0.0, 1.0]))}
    return {"law": "hold_mean" if kind == "follow" else kind, **given}


@st.composite
def devices(draw):
    low, high = draw(st.floats(0, 0.4)), draw(st.floats(0.6, 1))
    return {
        "p_rated_mw": draw(st.floats(0.1, 20)),
        "e_rated_mwh": draw(st.floats(0.001, 5)),
        "charge_efficiency": draw(st.floats(0.5, 1)),
        "discharge_efficiency": draw(st.floats(0.5, 1)),
        "standby_pu": draw(st.sampled_from([0.0, 0.01])),
        "delay_s": draw(st.sampled_from([0.0, 0.02, 1.3])),
        "lag_s": draw(st.sampled_from([0.0, 0.1])),
        "soc_min_pu": low,
        "soc_max_pu": high,
        "soc_start_pu": draw(st.floats(low, high)),
    }


@st.composite
def storages(draw):
    if draw(st.booleans()):
        given = {"step": "battery", "law": draw(laws()), "holds_power_factor": False}
        return build(Battery, {**given, **draw(devices())})
    given = {"step": "hybrid", "law": draw(laws(droop=False)), "split_s": draw(st.floats(0.1, 60))}
    return build(Hybrid, {**given, "battery": draw(devices()), "supercapacitor": draw(devices())})


def parts(storage):
    return [storage] if isinstance(storage, Battery) else [storage.battery, storage.supercapacitor]


def act(storage, p, dt_s, seed=0):
    v = 1 + 0.1 * (np.random.default_rng(seed).random(100) - 0.5)
    return storage.act(p, Around(dt_s, vm_pu=v[: p.size]))


@given(SERIES, STEP_S, storages())
def test_the_books_close(p, dt_s, storage):
    run = act(storage, p, dt_s)
    scale = max(1.0, float(np.abs(run.p_mw).max()))
    np.testing.assert_allclose(p + run.lost_mw + run.stored_mw, run.p_mw, rtol=0, atol=1e-9 * scale)
    assert (run.lost_mw >= -1e-9 * scale).all()
    wholes = sum(d.e_rated_mwh for d in parts(storage))
    start = sum(d.e_rated_mwh * d.soc_start_pu for d in parts(storage))
    rate = np.diff(np.concatenate(([start], run.soc_pu * wholes))) * 3600 / dt_s
    np.testing.assert_allclose(run.stored_mw, rate, rtol=1e-9, atol=1e-11 * wholes * 3600 / dt_s + 1e-12)


@given(SERIES, STEP_S, storages())
def test_ratings_and_windows_are_kept(p, dt_s, storage):
    run = act(storage, p, dt_s)
    most = sum(d.p_rated_mw for d in parts(storage))
    standby = sum(d.p_rated_mw * d.standby_pu for d in parts(storage))
    assert (np.abs(run.p_mw - p - standby) <= most * (1 + 1e-12) + 1e-12).all()
    charges = [soc for _, soc in run.part_soc_pu] or [run.soc_pu]
    for device, soc in zip(parts(storage), charges, strict=True):
        assert (soc >= device.soc_min_pu - 1e-12).all()
        assert (soc <= device.soc_max_pu + 1e-12).all()
    if run.q_mvar is not None:
        apparent = np.hypot(run.p_mw - p - standby, run.q_mvar)
        assert (apparent <= storage.p_rated_mw * (1 + 1e-9)).all()


@given(SERIES, STEP_S, storages(), st.integers(1, 79))
def test_no_sample_depends_on_a_later_one(p, dt_s, storage, cut):
    whole, part = act(storage, p, dt_s), act(storage, p[:cut], dt_s)
    np.testing.assert_array_equal(whole.p_mw[:cut], part.p_mw)
    np.testing.assert_array_equal(whole.soc_pu[:cut], part.soc_pu)
    if whole.q_mvar is not None:
        np.testing.assert_array_equal(whole.q_mvar[:cut], part.q_mvar)


@given(SERIES, STEP_S, storages())
def test_no_energy_is_made(p, dt_s, storage):
    run = act(storage, p, dt_s)
    hours = dt_s / 3600
    taken = (run.p_mw - p).sum() * hours
    wholes = sum(d.e_rated_mwh for d in parts(storage))
    gained = run.soc_pu[-1] * wholes - sum(d.e_rated_mwh * d.soc_start_pu for d in parts(storage))
    assert taken >= gained - 1e-9 * max(1.0, abs(gained), float(np.abs(run.p_mw - p).sum()) * hours)


@given(SERIES, STEP_S, laws(droop=False))
def test_an_instant_storage_that_is_large_enough_misses_nothing_and_needed_says_how_large(p, dt_s, law):
    ideal = {"charge_efficiency": 1, "discharge_efficiency": 1, "standby_pu": 0, "delay_s": 0}
    size = {"p_rated_mw": 1e3, "e_rated_mwh": 1e3, "soc_min_pu": 0, "soc_max_pu": 1}
    law |= {"recovery_s": 0}
    run = build(Battery, {"step": "battery", "law": law, **ideal, **size}).act(p, Around(dt_s))
    figures = dict(run.figures)
    assert figures["missed_mw"] <= 1e-9
    power, energy = needed(p, run.p_mw, dt_s)
    assert power <= 20
    np.testing.assert_allclose(energy, (figures["soc_highest_pu"] - figures["soc_lowest_pu"]) * 1e3, atol=1e-9)
    # A storage of just that size, started where that takes, does the same.
    if energy > 1e-6 and power > 1e-6:
        lowest = min(0.0, float((np.cumsum(run.p_mw - p) * dt_s / 3600).min()))
        size = {"p_rated_mw": power * (1 + 1e-9), "e_rated_mwh": energy * (1 + 1e-6), "soc_min_pu": 0, "soc_max_pu": 1}
        start = {"soc_start_pu": min(max(-lowest / (energy * (1 + 1e-6)), 0.0), 1.0)}
        same = build(Battery, {"step": "battery", "law": law, **ideal, **size, **start}).act(p, Around(dt_s))
        np.testing.assert_allclose(same.p_mw, run.p_mw, rtol=0, atol=2e-5 * max(1.0, energy * 3600 / dt_s))


@given(hnp.arrays(float, st.integers(1, 60), elements=st.integers(0, 20).map(float)))
def test_cycles_do_not_depend_on_how_often_the_clock_looks(values):
    once, thrice = count_cycles(values), count_cycles(np.repeat(values, 3))
    np.testing.assert_array_equal(once.depth_pu, thrice.depth_pu)
    np.testing.assert_array_equal(once.count, thrice.count)
    # Half of all movement, up and down, is in the cycles.
    np.testing.assert_allclose((once.depth_pu * once.count).sum(), np.abs(np.diff(values)).sum() / 2, atol=1e-12)
    soc = values / 20
    used = ageing(soc, 1.0).cycle_life_used_per_year
    assert used >= 0
    if np.ptp(soc) > 0:
        assert ageing(0.5 * soc, 1.0).cycle_life_used_per_year < used
