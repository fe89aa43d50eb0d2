"""What must hold for every trace that a profile is fitted to."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridedge
from gridedge import schema
from gridedge.profiles.gpulog import Readings, even
from gridedge.profiles.shapefit import Shape, box_mean

LEVELS = st.floats(0.3, 0.9)


@given(high=LEVELS, depth=st.floats(0.05, 0.9), busy=st.floats(0.2, 0.8), width_s=st.floats(0.01, 7.0))
def test_box_means_keep_the_mean_and_the_range(high, depth, busy, width_s):
    shape = Shape(10.0, high, high * (1 - depth), 10 * busy, 0.5, 0.3)
    at = np.arange(1000) * 0.01
    means = box_mean(shape.corners(), at, width_s)
    time, level = shape.corners()
    assert means.mean() == pytest.approx(np.trapezoid(level, time) / 10, abs=1e-9)
    assert means.max() <= high + 1e-9
    assert means.min() >= high * (1 - depth) - 1e-9


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 0.4))
def test_uneven_readings_keep_their_energy_on_an_even_clock(seed, wander):
    rng = np.random.default_rng(seed)
    time_s = np.arange(60) + wander * rng.uniform(0, 1, 60)
    time_s -= time_s[0]
    p_w = rng.uniform(50, 700, 60)
    readings = Readings(("0",), (time_s,), (p_w,), (np.arange(60),), ())
    clock_s, p_kw, _, _, problems = even(readings, "log")
    dt_s = clock_s[1] - clock_s[0]
    assert not problems
    end_s = clock_s[-1] + dt_s
    lasts = np.clip(np.append(time_s[1:], np.inf), None, end_s) - np.minimum(time_s, end_s)
    assert p_kw.sum() * dt_s == pytest.approx(float((p_w * lasts).sum()) / 1e3, rel=1e-9)
    assert p_kw.min() >= 0.05
    assert p_kw.max() <= 0.7


@settings(max_examples=8)
@given(
    period_s=st.floats(8.0, 30.0),
    high=st.floats(0.6, 0.9),
    low=st.floats(0.25, 0.45),
    share=st.floats(0.4, 0.85),
    servers=st.integers(1, 10_000),
)
def test_a_two_level_job_is_found_again_whatever_its_size(period_s, high, low, share, servers):
    """Tolerances: period 0.5 %, levels 0.015 pu, share 0.015 and statistics 0.015 pu, at 30 samples or more."""
    spec = {
        "kind": "training", "servers": servers, "period_s": period_s, "compute_pu": high, "communication_pu": low,
        "compute_share": share, "rise_s": 0.3, "fall_s": 0.3, "noise_pu": 0.01,
    }  # fmt: skip
    ds = gridedge.generate(spec, duration_s=600, dt_s=0.25, seed=2)
    found = gridedge.fit_training(ds, unhidden_pu=low)
    assert found.profile.period_s == pytest.approx(period_s, rel=0.005)
    assert found.profile.compute_pu == pytest.approx(high, abs=0.015)
    assert found.profile.compute_share == pytest.approx(share, abs=0.015)
    seen = high - (1 - found.profile.overlap_pu) * (found.profile.compute_pu - found.profile.communication_pu)
    assert seen == pytest.approx(low, abs=0.015)
    assert abs(found.error("std_pu")) < 0.015
    assert found.profile.servers == servers


@settings(max_examples=8)
@given(st.floats(0.3, 0.95), st.integers(0, 1000))
def test_a_flat_trace_never_swings(level, seed):
    p_mw = 0.102 * level * (1 + 0.003 * np.random.default_rng(seed).standard_normal(400))
    ds = schema.power_dataset(p_mw, 1.0, power="IT", attrs={"servers": 10, "server": "8xH100"})
    found = gridedge.fit_training(ds)
    assert found.profile.overlap_pu == 1
    assert found.profile.compute_pu == pytest.approx(level, abs=0.002)
    assert found.figures["change_60s_pu"][1] < 0.05
