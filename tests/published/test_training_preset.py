"""Shipped profiles against the figures they quote."""

import numpy as np
import pytest

import gridedge
from gridedge import sources
from gridedge.profiles.catalogue import read_profile
from gridedge.profiles.shape import ShapeProfile
from gridedge.profiles.training import TrainingProfile

PROFILES = {name: read_profile(sources.find("profiles", name)) for name in sources.names("profiles")}
TRAINING = [n for n, p in PROFILES.items() if isinstance(p, TrainingProfile)]
SHAPES = [n for n, p in PROFILES.items() if isinstance(p, ShapeProfile)]


def one_iteration(spec):
    """Return one undisturbed iteration in pu of nameplate, at 1 ms."""
    calm = spec.model_copy(update={"period_jitter_pu": 0.0, "noise_pu": 0.0, "checkpoint_interval_s": None})
    ds = gridedge.generate(calm, duration_s=2 * calm.period_s, dt_s=1e-3)
    return ds["p_mw"].values[: round(calm.period_s * 1000)] / ds.attrs["nameplate_mw"]


def steepest(p, rising):
    """Return the steepest slope over 20 ms, inside the edge. [pu/s]"""
    slope = (p[20:] - p[:-20]) / 0.02
    return slope.max() if rising else -slope.min()


@pytest.mark.parametrize("name", TRAINING)
def test_a_training_profile_shows_what_it_expects(name):
    spec = PROFILES[name]
    p = one_iteration(spec)
    shown = {
        "iteration_mean_pu": p.mean(),
        "plateau_pu": np.median(p),
        "floor_pu": p.min(),
        "rise_pu_per_s": steepest(p, rising=True),
        "fall_pu_per_s": steepest(p, rising=False),
    }
    assert set(spec.expected) == set(shown)
    for key, (value, tolerance) in spec.expected.items():
        assert shown[key] == pytest.approx(value, abs=tolerance), key


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_shows_what_it_expects(name):
    spec = PROFILES[name]
    day = spec.factor(len(spec.values))
    hour = spec.step_s / 3600
    shown = {
        "mean_pu": day.mean(),
        "min_pu": day.min(),
        "peak_hour": day.argmax() * hour,
        "lightest_hour": day.argmin() * hour,
    }
    assert set(spec.expected) == set(shown)
    for key, (value, tolerance) in spec.expected.items():
        assert shown[key] == pytest.approx(value, abs=tolerance), key


def test_the_household_day_holds_a_kilowatt_hour_share_of_the_year():
    """BDEW scales H0 to 1000 kWh a year: a winter working day without its dynamic factor lies near 1000/365 kWh."""
    spec = PROFILES["bdew-h0-winter-workday"]
    assert sum(spec.values) * spec.step_s / 3600 == pytest.approx(1000 / 365, rel=0.15)


def test_checkpoints_come_at_their_interval_and_dip_as_measured():
    """8xH100 with synchronous saves: dips of 16 to 29 s, 565 to 151 W per accelerator."""
    spec = PROFILES["h100-at-scale"].model_copy(update={"noise_pu": 0.0})
    ds = gridedge.generate(spec, duration_s=1800, dt_s=0.1, seed=3)
    pu = ds["p_mw"].values / ds.attrs["nameplate_mw"]
    down = pu < 0.22
    starts = np.flatnonzero(np.diff(down.astype(int)) == 1) * 0.1
    assert len(starts) == 5
    np.testing.assert_allclose(np.diff(starts), 300 + 20, atol=1.1 * spec.period_s)
    lengths = down.sum() * 0.1 / len(starts)
    assert 16 <= lengths <= 29
    assert pu.min() == pytest.approx(0.2, abs=1e-6)


def test_every_profile_names_its_sources():
    for name, spec in PROFILES.items():
        assert spec.source, name
        assert spec.licence, name
        for assumption in spec.assumptions():
            if assumption.name in type(spec).model_fields and not assumption.name.startswith("expected"):
                assert assumption.source, f"{name}: {assumption.name}"
