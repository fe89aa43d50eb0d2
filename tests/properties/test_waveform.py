"""What holds for every training job."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from gridedge.profiles.iteration import iteration_corners
from gridedge.profiles.job import NOISE_SIGMAS, TrainingProfile
from gridedge.profiles.training import Job, training_power_mw


@st.composite
def jobs(draw):
    """Return any job with pauses, failures, noise, start and stop."""
    low = draw(st.floats(0.15, 0.5))
    high = low + draw(st.floats(0.05, 0.4))
    edge = sorted(draw(st.tuples(st.floats(low, high), st.floats(low, high))))
    begins = draw(st.booleans())
    return TrainingProfile(
        kind="training",
        servers=draw(st.integers(1, 5000)),
        period_s=draw(st.floats(4, 20)),
        period_jitter_pu=draw(st.sampled_from([0.0, 0.02, 0.15])),
        compute_pu=high,
        communication_pu=low,
        compute_share=draw(st.floats(0.5, 0.8)),
        overlap_pu=draw(st.floats(0, 1)),
        rise_s=0.2,
        fall_s=0.05,
        overshoot_pu=draw(st.one_of(st.none(), st.floats(high, 1.0))),
        taper_s=draw(st.floats(0, 0.5)),
        taper_pu=edge[1],
        residual_s=draw(st.floats(0, 0.5)),
        residual_pu=edge[0],
        micro_batches=draw(st.integers(1, 9)),
        notch_pu=draw(st.floats(0, 0.05)),
        evaluation_interval_s=draw(st.one_of(st.none(), st.just(30.0))),
        checkpoint_interval_s=draw(st.one_of(st.none(), st.just(40.0))),
        checkpoint_mode=draw(st.sampled_from(["synchronous", "asynchronous"])),
        checkpoint_s=10,
        failures_per_accelerator_h=draw(st.sampled_from([0.0, 1e-3, 1e-2])),
        restart_s=15,
        watchdog_s=20,
        begin_s=draw(st.floats(0, 20)) if begins else None,
        end_s=draw(st.one_of(st.none(), st.floats(60, 200))),
        init_s=draw(st.floats(0, 10)),
        warm_up_s=draw(st.floats(0, 30)),
        idle_pu=0.2,
        noise_pu=draw(st.floats(0, 0.04)),
        noise_kind=draw(st.sampled_from(["low", "band"])),
        noise_octaves=draw(st.integers(1, 8)),
        node_correlation=draw(st.floats(0, 1)),
    )


@given(jobs(), st.integers(0, 100))
def test_power_stays_between_its_levels(spec, seed):
    p = training_power_mw(spec, 0.1, 0, 3000, seed=seed) / spec.nameplate_mw
    levels = [*iteration_corners(spec)[1], spec.idle_level_pu, spec.checkpoint_pu, spec.communication_pu]
    reach = 2 * NOISE_SIGMAS * spec.noise_pu  # common noise and the others', each cut
    assert p.min() >= min(levels) - reach - 1e-9
    assert p.max() <= max(levels) + reach + 1e-9


@given(jobs(), st.integers(0, 100), st.integers(2, 20))
def test_a_coarse_sample_is_the_mean_of_the_fine_ones(spec, seed, factor):
    fine = training_power_mw(spec, 0.05, 0, 100 * factor, seed=seed)
    coarse = training_power_mw(spec, 0.05 * factor, 0, 100, seed=seed)
    np.testing.assert_allclose(coarse, fine.reshape(-1, factor).mean(axis=1), rtol=1e-9)


@given(jobs(), st.integers(0, 100), st.integers(60_000, 70_000), st.integers(1, 5000))
def test_a_block_has_the_bits_of_the_whole_across_tiles(spec, seed, start, length):
    job = Job(spec, 80.0, seed=seed)
    whole = job.power_pu(0.001, 0, 76_000)
    np.testing.assert_array_equal(job.power_pu(0.001, start, start + length), whole[start : start + length])
    # A shorter timeline begins with the same job.
    shorter = Job(spec, (start + length) * 0.001, seed=seed)
    np.testing.assert_array_equal(shorter.power_pu(0.001, start, start + length), whole[start : start + length])
    active = job.active_pu(0.001, 0, 76_000)
    np.testing.assert_array_equal(job.active_pu(0.001, start, start + length), active[start : start + length])
    assert ((active >= -1e-9) & (active <= 1 + 1e-9)).all()


@given(jobs())
def test_more_overlap_never_deepens_an_iteration(spec):
    depths = []
    for overlap in (0.0, 0.5, 1.0):
        _, level = iteration_corners(spec.model_copy(update={"overlap_pu": overlap}))
        depths.append(np.ptp(level))
    assert depths[0] >= depths[1] >= depths[2]
    assert depths[2] < 1e-12


@given(jobs(), st.integers(0, 100))
def test_an_idle_job_draws_idle_power(spec, seed):
    job = Job(spec, 300.0, seed=seed)
    p, active = job.quiet_pu(0.1, 0, 3000), job.active_pu(0.1, 0, 3000)
    stops = sum(r.end == "stop" for r in job.runs)
    down = active == 0
    falling = 0
    if stops:
        (end_s,) = [r.stop_s for r in job.runs if r.end == "stop"]
        falling = slice(int(end_s * 10), int((end_s + spec.stop_s) * 10) + 2)
        down[falling] = False
    np.testing.assert_allclose(p[down], 0.2, atol=1e-9)


def test_a_block_that_ends_before_a_failure_has_the_bits_of_the_whole():
    # The failure cuts a piece of the line in which the block ends: the piece is the same whether it is seen or not.
    spec = TrainingProfile(
        **{
            "kind": "training",
            "servers": 3402,
            "period_s": 4.0,
            "compute_pu": 0.625,
            "communication_pu": 0.375,
            "compute_share": 0.5,
            "rise_s": 0.2,
            "fall_s": 0.05,
            "taper_pu": 0.5,
        },
        **{
            "residual_pu": 0.5,
            "checkpoint_s": 10.0,
            "failures_per_accelerator_h": 0.01,
            "watchdog_s": 20.0,
            "restart_s": 15.0,
            "idle_pu": 0.2,
            "init_s": 3.0,
            "warm_up_s": 15.5,
            "node_correlation": 0.0,
        },
    )
    job = Job(spec, 80.0, seed=1)
    whole = job.power_pu(0.001, 0, 76_000)
    for stop in (72_300, 72_558, 73_000, 73_360):
        np.testing.assert_array_equal(job.power_pu(0.001, 67_558, stop), whole[67_558:stop])
