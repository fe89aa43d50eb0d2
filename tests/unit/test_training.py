"""The training waveform against closed forms, and its messages."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles.catalog import server
from gridedge.profiles.generate import load_profile
from gridedge.profiles.iteration import iteration_corners
from gridedge.profiles.job import TrainingProfile
from gridedge.profiles.timeline import timeline
from gridedge.profiles.training import Job, node_power_kw, training_power_mw

PLAIN = {
    "kind": "training",
    "period_s": 10.0,
    "compute_pu": 0.8,
    "communication_pu": 0.3,
    "compute_share": 0.7,
    "rise_s": 0.5,
    "fall_s": 0.25,
}


def job(**changed):
    return TrainingProfile(**PLAIN | changed)


def power(spec, dt_s=0.01, until_s=10.0, **kwargs):
    """Return IT power in pu of nameplate."""
    return training_power_mw(spec, dt_s, 0, round(until_s / dt_s), **kwargs) / spec.nameplate_mw


def message(**changed):
    with pytest.raises(InputError) as caught:
        gridedge.generate(PLAIN | changed, duration_s=20, dt_s=0.1)
    return str(caught.value)


def test_mean_of_one_iteration_is_its_closed_form():
    # 7 s high less half the rise, plus half the fall, over the floor of 0.3.
    assert power(job()).mean() == pytest.approx(0.3 + 0.5 * (7.0 - 0.25 + 0.125) / 10, rel=1e-12)


@pytest.mark.parametrize("dt_s", [0.001, 0.1, 1.0, 2.5])
def test_a_sample_is_the_mean_over_its_step(dt_s):
    spec = job(overshoot_pu=0.9, taper_s=1, taper_pu=0.7, residual_s=1, residual_pu=0.5, dip_pu=0.4, micro_batches=3)
    fine = power(spec, 0.0005, 20.0)
    step = round(dt_s / 0.0005)
    np.testing.assert_allclose(power(spec, dt_s, 20.0), fine.reshape(-1, step).mean(axis=1), rtol=1e-9)


@pytest.mark.parametrize("overlap", [0.0, 0.3, 1.0])
def test_overlap_scales_the_depth_and_no_length(overlap):
    inner = {"overshoot_pu": 0.9, "dip_pu": 0.4, "micro_batches": 3, "notch_pu": 0.1}
    full, some = power(job(**inner)), power(job(**inner, overlap_pu=overlap))
    np.testing.assert_allclose(some, 0.8 + (1 - overlap) * (full - 0.8), rtol=1e-12)


def test_notches_leave_the_dip_alone_and_keep_their_depth():
    share, level = iteration_corners(job(micro_batches=6, notch_pu=0.2, notch_s=0.4, dip_pu=0.35, dip_at_s=3.0))
    assert (np.diff(share) >= 0).all()
    assert level.min() == pytest.approx(0.3)
    notches = np.isclose(level, 0.6).sum()
    assert notches == 4  # five boundaries, one of which lies at the dip


def test_evaluations_and_checkpoints_come_after_the_iteration_under_way():
    spec = job(evaluation_interval_s=25, evaluation_s=4, evaluation_pu=0.6, checkpoint_interval_s=45, checkpoint_s=6)
    (run,) = timeline(spec, 120)
    # Iterations end at 30 (25 is passed), 50 + 4 (both 45 and 50 are passed): the evaluation comes first.
    assert np.flatnonzero(run.evaluated[:6]).tolist() == [2, 4]
    assert np.flatnonzero(run.saved[:6]).tolist() == [4]
    p = power(spec, 0.1, 70)
    assert p[315:325] == pytest.approx(0.6)  # 30 to 34 s
    assert p[600:620] == pytest.approx(0.2)  # 58 to 64 s, after the evaluation of 54 to 58 s


def test_an_asynchronous_checkpoint_stops_the_job_for_its_snapshot_only():
    base = {"checkpoint_interval_s": 20, "checkpoint_s": 8, "checkpoint_edge_s": 0.5}
    spec = job(**base, checkpoint_mode="asynchronous", checkpoint_snapshot_s=2, checkpoint_write_pu=0.05)
    (run,) = timeline(spec, 60)
    assert run.start_s[2] == pytest.approx(22.0)
    extra = power(spec, 0.1, 40) - power(spec.model_copy(update={"checkpoint_write_pu": 0.0}), 0.1, 40)
    assert extra[220:300] == pytest.approx(0.05)
    assert extra[:219] == pytest.approx(0.0, abs=1e-12)
    assert extra.sum() * 0.1 == pytest.approx(0.05 * 8)


def test_start_and_stop_take_the_stated_time():
    spec = job(begin_s=5, init_s=10, init_pu=0.4, warm_up_s=0, end_s=40, stop_s=8, idle_pu=0.2)
    p = power(spec, 0.1, 60)
    assert p[:50] == pytest.approx(0.2)
    assert p[50:150] == pytest.approx(0.4)
    assert p[480:] == pytest.approx(0.2)
    falling = p[400:480]
    assert falling[0] == pytest.approx(0.8, abs=0.01)
    assert np.diff(falling) == pytest.approx(np.full(79, -0.6 / 80), abs=1e-9)
    assert Job(spec, 60).active_pu(1.0, 0, 60).tolist() == [0.0] * 15 + [1.0] * 25 + [0.0] * 20


def test_a_warm_up_grows_from_init_to_the_full_swing():
    spec = job(begin_s=0, init_s=0, warm_up_s=30, idle_pu=0.2)
    p, full = power(spec, 0.1, 60), power(job(), 0.1, 60)
    np.testing.assert_allclose(p[300:], full[300:], rtol=1e-9)
    tops = [p[k : k + 100].max() for k in (0, 100, 200)]
    assert tops[0] < tops[1] < tops[2] < 0.8


def failing(**changed):
    return job(
        servers=100, failures_per_accelerator_h=0.05, checkpoint_interval_s=50, init_s=20, idle_pu=0.2, **changed
    )


def test_a_crash_drops_the_job_at_once_and_idles():
    spec = failing(hang_share=0, restart_s=30)
    run = timeline(spec, 4000, seed=2)[0]
    assert run.end == "crash"
    p = power(spec, 0.01, run.stop_s + 60, seed=2)
    k = int(np.ceil(run.stop_s / 0.01)) + 1
    assert p[k : k + 2900] == pytest.approx(0.2)
    assert p[k - 3] > 0.25


def test_a_hang_spins_until_the_watchdog():
    spec = failing(hang_share=1, hang_pu=0.55, watchdog_s=100, restart_s=30)
    run = timeline(spec, 4000, seed=2)[0]
    assert run.end == "hang"
    assert run.idle_s == pytest.approx(run.stop_s + 100)
    first, last = int(run.stop_s) + 1, int(run.idle_s)
    p = power(spec, 1.0, last + 30, seed=2)
    assert p[first:last] == pytest.approx(0.55)
    assert p[last + 1 : last + 29] == pytest.approx(0.2)


def test_failures_come_at_their_rate_and_replay_what_was_not_saved():
    spec = failing(restart_s=30)
    runs = timeline(spec, 400_000, seed=1)
    ended = [r for r in runs if r.end in {"crash", "hang"}]
    running_s = sum(r.stop_s - max(r.begin_s, 0.0) for r in ended)
    expected = 0.05 * 800 / 3600
    assert len(ended) / running_s == pytest.approx(expected, rel=4 / np.sqrt(len(ended)))
    trained = [r.end == "hang" for r in ended if r.stop_s > r.steps_s]  # before the first step nothing hangs
    assert np.mean(trained) == pytest.approx(0.3, abs=4 * np.sqrt(0.21 / len(trained)))
    assert not any(r.end == "hang" for r in ended if r.stop_s <= r.steps_s)
    for run in ended:
        trained_s = np.clip(run.stop_s - run.start_s, 0, run.length_s).sum()
        assert -1e-9 <= run.replay_s <= trained_s + 1e-9
        assert run.replay_s <= 50 + spec.period_s + spec.checkpoint_s


def test_failures_are_told_in_the_notes():
    ds = gridedge.generate(failing(restart_s=30), duration_s=2000, dt_s=0.5, seed=2)
    (note,) = ds.attrs["notes"]
    assert "stop" in note
    assert "done again" in note
    assert ds["active_pu"].min() == 0


@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_the_sum_has_the_variance_that_correlation_gives(rho):
    """Var(sum) = N s^2 [1 + (N - 1) rho] (arXiv 2606.13853), within four deviations of the estimate."""
    count = 16
    spec = job(servers=count, noise_pu=0.03, noise_step_s=1, node_correlation=rho, overlap_pu=1.0)
    kw = node_power_kw(spec, 0.01, 0, 400_000, nodes=range(count), seed=3)[:, ::100]  # near the knots
    total = training_power_mw(spec, 0.01, 0, 400_000, seed=3)[::100] * 1e3
    one = (0.03 * server("8xH100").rated_kw) ** 2 * 0.973  # variance of a normal cut at three deviations
    wanted = count * one * (1 + (count - 1) * rho)
    for series in (kw.sum(axis=0), total):
        assert series.var() == pytest.approx(wanted, rel=4 * np.sqrt(2 / 4000) + 0.02)
    assert kw.mean() == pytest.approx(0.8 * server("8xH100").rated_kw, rel=2e-3)


def test_a_recorder_s_clock_is_off_by_its_own_constant():
    spec = job(servers=4, node_clock_s=2.0)
    kw = node_power_kw(spec, 0.1, 0, 1000, nodes=range(4), seed=1)
    nominal = training_power_mw(spec, 0.1, 0, 1000, seed=1) * 1e3 / 4
    shifts = []
    for row in kw:
        best = [np.abs(np.roll(row, k) - nominal)[50:-50].max() for k in range(-25, 26)]
        shifts.append((np.argmin(best) - 25) * 0.1)
    assert len(set(shifts)) > 1
    assert max(map(abs, shifts)) <= 2.1


def test_members_vary_what_is_assumed_and_list_it():
    ds = gridedge.generate("h100-overlapped", duration_s=40, dt_s=0.1, members=3, seed=5)
    assert ds["p_mw"].dims == ("member", "time")
    assert any(item.startswith("rise_s = 0.6, drawn from 0.25 to 1 (assumed") for item in ds.attrs["varied"])
    alone = gridedge.generate("h100-overlapped", duration_s=40, dt_s=0.1, seed=5)
    np.testing.assert_array_equal(ds["p_mw"].values[0], alone["p_mw"].values)
    more = gridedge.generate("h100-overlapped", duration_s=40, dt_s=0.1, members=5, seed=5)
    np.testing.assert_array_equal(more["p_mw"].values[:3], ds["p_mw"].values)


def test_what_a_user_sets_is_not_varied():
    ds = gridedge.generate({"profile": "h100-overlapped", "rise_s": 0.5}, duration_s=20, dt_s=0.1, members=2)
    assert not any(item.startswith("rise_s") for item in ds.attrs["varied"])


def test_the_profile_can_be_built_again_from_the_attributes():
    for name in ("h100-at-scale", "mixed-campus"):
        ds = gridedge.generate(name, duration_s=20, dt_s=0.1, members=2, seed=1)
        again = gridedge.generate(json.loads(ds.attrs["profile_json"]), duration_s=20, dt_s=0.1, members=2, seed=1)
        np.testing.assert_array_equal(again["p_mw"].values, ds["p_mw"].values)
        assert again.attrs["spec_sha256"] == ds.attrs["spec_sha256"]


def test_what_a_load_says_of_itself():
    attrs = gridedge.generate({"profile": "h100-at-scale", "servers": 10}, duration_s=1, dt_s=0.1).attrs
    assert (attrs["server"], attrs["servers"], attrs["accelerators"]) == ("8xH100", 10, 80)
    assert attrs["nameplate_mw"] == pytest.approx(0.102)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"overlap_pu": 1.2}, ("overlap_pu", "1.2", "less than or equal to 1")),
        ({"communication_pu": 0.8}, ("communication_pu is not below compute_pu", "0.8 pu", "lower level")),
        ({"rise_s": 8}, ("do not fit into the compute phase", "8 s in 7 s", "Lengthen period_s")),
        ({"fall_s": 4}, ("do not fit into the communication phase", "4 s in 3 s", "compute_share")),
        ({"overshoot_pu": 0.7}, ("overshoot_pu lies below compute_pu", "0.7", "Leave overshoot_pu out")),
        ({"taper_pu": 0.2}, ("levels of the fall do not go down", "taper 0.2", "compute_pu >= taper_pu")),
        ({"dip_pu": 0.4, "dip_at_s": 6.5}, ("the dip does not fit", "6.5 to 7.6 s", "between 0.5 and 7 s")),
        ({"micro_batches": 10, "notch_pu": 0.1, "notch_s": 2}, ("notch_s is longer", "2.0 s > 0.65 s", "Shorten")),
        ({"checkpoint_interval_s": 5}, ("checkpoint_interval_s is shorter", "5.0 s", "period_s is 10")),
        ({"evaluation_interval_s": 20, "evaluation_s": 0.5}, ("evaluation is shorter", "0.5 s", "evaluation_edge_s")),
        ({"noise_pu": 0.15}, ("noise would make the power negative", "0.15", "a third")),
        ({"begin_s": 10, "end_s": 5}, ("ends before it begins", "end_s 5", "Give end_s above begin_s")),
        ({"begin_s": 1, "running_s": 5}, ("has not been running", "5.0", "Leave running_s out")),
        ({"failures_per_accelerator_h": -1}, ("failures_per_accelerator_h", "-1", "greater than or equal to 0")),
        ({"origins": {"perod_s": {"mark": "assumed", "source": "x"}}}, ("origins names a key", "perod_s", "own keys")),
    ],
)
def test_a_mistake_names_the_key_the_value_and_the_cure(changed, words):
    text = message(**changed)
    for word in words:
        assert word in text


def test_an_iteration_shorter_than_two_steps_is_refused():
    with pytest.raises(
        InputError, match=r"shorter than two steps \(got period_s 10, dt_s 6\). Use dt_s of 5 s or less"
    ):
        gridedge.generate(PLAIN, duration_s=60, dt_s=6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"members": 0}, r"members must be a whole number of 1 or more \(got 0\)"),
        ({"members": True}, r"members must be a whole number of 1 or more \(got True\)"),
        ({"members": 2.5}, r"members must be a whole number of 1 or more \(got 2.5\)"),
        ({"seed": "1"}, r"seed must be a whole number of 0 or more \(got '1'\)"),
        ({"seed": -1}, r"seed must be a whole number of 0 or more \(got -1\)"),
    ],
)
def test_seed_and_members_are_whole_numbers(given, message):
    with pytest.raises(InputError, match=message):
        gridedge.generate(PLAIN, duration_s=20, dt_s=0.1, **given)


def test_whole_numbers_of_numpy_will_do():
    ds = gridedge.generate(PLAIN, duration_s=20, dt_s=0.1, seed=np.int64(3), members=np.int32(2))
    assert ds.sizes["member"] == 2
    assert type(ds.attrs["seed"]) is int


def test_a_mistake_over_a_preset_has_no_line_of_the_preset():
    """What stands in the user's own dict is not to be looked for in a shipped file."""
    for wrong in ({"servers": 0}, {"overlap": 0.2}, {"taper_s": 20}):
        with pytest.raises(InputError) as caught:
            gridedge.generate({"profile": "h100-at-scale", **wrong}, duration_s=20, dt_s=0.1)
        assert "profile.yaml" not in str(caught.value)


def test_servers_are_told_apart_in_one_job_only():
    for wrong, shown in (("h100-overlapped", "'h100-overlapped'"), (load_profile("mixed-campus"), "ClusterProfile")):
        with pytest.raises(InputError, match=rf"servers are told apart in one job only \(got {shown}\)"):
            node_power_kw(wrong, 2.0, 0, 10, nodes=[0])


def test_a_range_needs_both_ends():
    text = message(origins={"rise_s": {"mark": "assumed", "source": "x", "low": 0.1}})
    assert "a range has one end only" in text


def test_members_whose_values_do_not_fit_say_so():
    origins = {"rise_s": {"mark": "assumed", "source": "x", "low": 6.9, "high": 8.0}}
    with pytest.raises(InputError, match="the values drawn for member"):
        gridedge.generate(PLAIN | {"origins": origins}, duration_s=20, dt_s=0.1, members=20)


def test_there_are_only_so_many_servers():
    with pytest.raises(InputError, match=r"there is no such server \(got 4\). Give numbers from 0 to 3"):
        node_power_kw(job(servers=4), 0.1, 0, 10, nodes=[4])


def test_a_name_s_preset_can_be_loaded_and_changed():
    spec = load_profile({"profile": "h100-at-scale", "servers": 3})
    assert spec.servers == 3
    assert "servers" not in spec.origins


def test_a_sample_edge_on_a_rounding_error_between_iterations():
    """End of a pause and start of the next iteration differ in the last bit, and a sample begins there."""
    spec = TrainingProfile(
        kind="training", period_s=11.83, compute_pu=0.8, communication_pu=0.3, compute_share=0.6, rise_s=0.1,
        fall_s=0.1, checkpoint_interval_s=106.46989353, checkpoint_s=11.73,
    )  # fmt: skip
    p_mw = training_power_mw(spec, 0.5, 0, 1419)
    assert np.isfinite(p_mw).all()
    fine = training_power_mw(spec, 0.1, 0, 1419 * 5)
    np.testing.assert_allclose(p_mw, fine.reshape(-1, 5).mean(axis=1), rtol=1e-9)
