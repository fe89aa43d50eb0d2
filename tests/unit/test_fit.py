"""A profile is made, fitted and found again; what cannot be fitted is refused or said."""

import json

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.profiles.generate import load_profile
from gridedge.profiles.noisefit import fit_noise
from gridedge.profiles.shapefit import Shape, box_mean

BASE = {
    "kind": "training",
    "servers": 10,
    "period_s": 16.9,
    "compute_pu": 0.84,
    "communication_pu": 0.25,
    "compute_share": 0.788,
    "rise_s": 0.227,
    "fall_s": 0.057,
}
NOISY = {"period_jitter_pu": 0.01, "noise_pu": 0.02, "noise_octaves": 3}


def fit(spec, dt_s, duration_s=900, seed=1, **settings):
    ds = gridedge.generate(spec, duration_s=duration_s, dt_s=dt_s, seed=seed)
    return gridedge.fit_training(ds, **settings)


@pytest.mark.parametrize("dt_s", [0.1, 1.0, 2.0])
@pytest.mark.parametrize("noise", [{}, NOISY], ids=["calm", "noisy"])
def test_two_levels_are_found_again(dt_s, noise):
    """Tolerances: period 0.5 %, levels 0.01 pu, share 0.01; the jitter of 50 iterations is known to a third."""
    found = fit({**BASE, **noise}, dt_s)
    p = found.profile
    assert p.period_s == pytest.approx(16.9, rel=0.005)
    assert p.compute_pu == pytest.approx(0.84, abs=0.01)
    assert p.communication_pu == pytest.approx(0.25, abs=0.01)
    assert p.overlap_pu == 0
    assert p.compute_share == pytest.approx(0.788, abs=0.01)
    assert p.period_jitter_pu == pytest.approx(noise.get("period_jitter_pu", 0.0), abs=0.0035)
    for name in ("mean_pu", "std_pu", "p50_pu", "p95_pu"):
        assert abs(found.error(name)) < 0.01, name
    assert found.figures["peak1_s"][1] == pytest.approx(16.9, rel=0.03)


def test_edges_finer_than_the_step_are_assumed_and_said():
    fine, coarse = fit(BASE, 0.1), fit(BASE, 1.0)
    assert fine.profile.rise_s == pytest.approx(0.227, abs=0.03)
    assert "rise_s" in fine.profile.origins
    assert fine.profile.origins["rise_s"].mark == "measured"
    assert (coarse.profile.rise_s, coarse.profile.fall_s, coarse.edge_bound_s) == (0.25, 0.05, 1.0)
    assert coarse.profile.origins["fall_s"].mark == "assumed"
    assert any("cannot show edges this short" in note for note in coarse.notes)


def test_structure_is_found_again_at_a_fine_step():
    """Overshoot, inner dip and both tapers: levels to 0.02 pu, times to 0.1 s."""
    inner = {
        "overshoot_pu": 0.92, "dip_pu": 0.31, "taper_s": 2.0, "taper_pu": 0.77, "residual_s": 1.0, "residual_pu": 0.3,
    }  # fmt: skip
    p = fit({**BASE, **inner, "noise_pu": 0.01}, 0.1).profile
    for name in ("overshoot_pu", "dip_pu", "taper_pu", "residual_pu"):
        assert getattr(p, name) == pytest.approx(inner[name], abs=0.02), name
    assert p.dip_at_s == pytest.approx(3.0, abs=0.1)
    assert p.dip_recovery_s == pytest.approx(0.7, abs=0.1)
    assert p.taper_s == pytest.approx(2.0, abs=0.1)


@pytest.mark.parametrize("dt_s", [0.1, 1.0])
def test_checkpoints_and_overlap_are_found_again(dt_s):
    spec = {**BASE, **NOISY, "overlap_pu": 0.5, "checkpoint_interval_s": 150.0}
    p = fit(spec, dt_s).profile
    assert p.overlap_pu == pytest.approx(0.5, abs=0.02)
    assert p.communication_pu == 0.25
    assert p.origins["communication_pu"].mark == "assumed"
    # The ninth iteration is the first to end after 150 s: 9 x 16.9 s of training.
    assert p.checkpoint_interval_s == pytest.approx(9 * 16.9, rel=0.01)
    assert p.checkpoint_s == pytest.approx(20, abs=0.5)
    assert p.checkpoint_pu == pytest.approx(0.2, abs=0.01)
    assert p.evaluation_interval_s is None


def test_evaluations_are_found_again():
    spec = {**BASE, "overlap_pu": 0.7, "rise_s": 2.0, "fall_s": 1.5, "noise_pu": 0.005, "noise_octaves": 4}
    p = fit({**spec, "evaluation_interval_s": 120.0, "evaluation_pu": 0.6}, 0.5).profile
    assert p.evaluation_interval_s == pytest.approx(7 * 16.9, rel=0.02)  # the seventh iteration ends at 118.3 s: 8
    assert p.evaluation_s == pytest.approx(13.1, abs=0.7)
    assert p.evaluation_pu == pytest.approx(0.6, abs=0.01)
    assert p.checkpoint_interval_s is None
    assert p.rise_s == pytest.approx(2.0, abs=0.3)


@pytest.mark.parametrize("dt_s", [0.1, 1.0])
def test_noise_is_found_again(dt_s):
    """As it is at the trace's step; finer knots than that do not show."""
    spec = load_profile({**BASE, "noise_pu": 0.02, "noise_step_s": 1.0, "noise_octaves": 4})
    p = fit(spec, dt_s, duration_s=1800).profile
    calm = spec.model_copy(update={"overlap_pu": 1.0})
    made = p.model_copy(update={"overlap_pu": 1.0, "period_jitter_pu": 0.0})
    wanted, got = (gridedge.generate(s, duration_s=1800, dt_s=dt_s)["p_mw"].values.std() for s in (calm, made))
    assert got == pytest.approx(wanted, rel=0.15)


def test_noise_of_one_octave_has_its_closed_form():
    """Straight lines between white knots, sampled at their distance as means: variance 1/2, next neighbours 1/4."""
    knots = np.random.default_rng(3).standard_normal(20_001) * 0.03
    found = fit_noise(0.5 * (knots[1:] + knots[:-1]), 1.0)
    # Over all phases of the knots the mean over one step has 11/20 of their variance, at the knots' own phase 1/2.
    assert found.noise_pu == pytest.approx(0.03 * np.sqrt(0.5 / 0.55), rel=0.05)
    assert found.octaves <= 2


def test_box_mean_of_a_square_wave_is_exact():
    shape = Shape(10.0, 0.8, 0.2, 6.0, 1e-9, 1e-9)
    at = np.array([3.0, 6.0, 8.0, 10.0])
    np.testing.assert_allclose(box_mean(shape.corners(), at, 1.0), [0.8, 0.5, 0.2, 0.5], atol=1e-8)


def test_a_flat_trace_is_a_fully_overlapped_job():
    rng = np.random.default_rng(0)
    p_mw = 0.08 * (1 + 0.004 * rng.standard_normal(2000))
    ds = schema.power_dataset(p_mw, 1.0, power="IT", attrs={"servers": 10, "server": "8xH100"})
    found = gridedge.fit_training(ds)
    assert found.profile.overlap_pu == 1
    assert found.profile.compute_pu == pytest.approx(0.08 / 0.102, abs=0.001)
    assert found.profile.origins["period_s"].mark == "assumed"
    assert any("The trace is flat" in note for note in found.notes)
    assert abs(found.error("std_pu")) < 0.2 * found.figures["std_pu"][0]
    assert gridedge.fit_training(ds, period_s=5.0).profile.period_s == 5


def test_an_init_phase_is_kept():
    spec = {**BASE, "begin_s": 0.0, "init_s": 100.0, "init_pu": 0.3}
    found = fit(spec, 0.5)
    assert found.profile.init_s == pytest.approx(100, abs=4)
    assert found.profile.init_pu == pytest.approx(0.3, abs=0.01)
    assert found.profile.begin_s is None
    assert found.profile.period_s == pytest.approx(16.9, rel=0.005)


def test_the_result_round_trips_and_generates(tmp_path):
    found = fit(BASE, 1.0, duration_s=300)
    assert load_profile(json.loads(json.dumps(found.to_dict()))["profile"]) == found.profile
    text = found.to_yaml()
    assert "period_s" in text
    assert "watchdog_s" not in text  # a default that was not fitted keeps its own origin
    assert "std_pu" in str(found)
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    assert load_profile(tmp_path / "mine.yaml") == found.profile
    gridedge.generate(tmp_path / "mine.yaml", duration_s=60, dt_s=0.5)


def test_an_own_server_is_carried_along():
    found = fit(
        {**BASE, "server": {"base": "8xH100", "rated_kw": 11}},
        1.0,
        duration_s=300,
        server={"base": "8xH100", "rated_kw": 11},
    )
    assert found.profile.server.rated_kw == 11
    assert found.profile.compute_pu == pytest.approx(0.84, abs=0.01)


def _dataset(p_mw, **attrs):
    return schema.power_dataset(np.asarray(p_mw), 1.0, power="IT", attrs={"servers": 10, "server": "8xH100", **attrs})


def test_missing_samples_are_refused():
    p_mw = np.full(200, 0.08)
    p_mw[7] = np.nan
    with pytest.raises(InputError, match=r"the trace: p_mw is not a number \(got 1 samples, first at step 7\)\. Fill"):
        gridedge.fit_training(_dataset(p_mw))


def test_fewer_than_three_iterations_are_refused():
    ds = gridedge.generate(BASE, duration_s=40, dt_s=0.5)
    with pytest.raises(
        InputError, match=r"the trace swings and shows no iteration \(got .*\)\. Record three iterations"
    ):
        gridedge.fit_training(ds)


@pytest.mark.parametrize(
    ("trace", "settings", "words"),
    [
        (_dataset(np.full(50, 8.0)), {}, r"does not fit its servers \(got peak 8000 kW, 78.4 of 10 x 10.2 kW\)"),
        (_dataset(np.full(5, 0.08)), {}, r"the trace is too short \(got 5 samples\)"),
        (_dataset(np.full(50, 0.08)), {"servers": 0}, r"servers must be a whole number"),
        (_dataset(np.full(50, 0.08)), {"period_s": 40.0}, r"period_s does not fit the trace \(got 40.0 s\)"),
        (_dataset(np.full(50, 0.08)), {"period_s": "10 s"}, r"period_s must be a number \(got '10 s'\)"),
        (_dataset(np.full(50, 0.08)), {"unhidden_pu": 2}, r"unhidden_pu is no level \(got 2\)"),
        (_dataset(np.full((2, 50), 0.08)), {}, r"the trace is not one series \(got member, time\)"),
        (xr.Dataset(), {}, r"the trace has no p_mw"),
        (7, {}, r"cannot read a trace from this \(got int\)"),
        (schema.power_dataset(np.full(50, 0.08), 1.0, power="IT"), {}, r"the number of servers is not stated"),
    ],
)  # fmt: skip
def test_what_cannot_be_fitted_is_named(trace, settings, words):
    with pytest.raises(InputError, match=words):
        gridedge.fit_training(trace, **settings)
