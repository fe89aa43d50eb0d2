"""Clusters, long series and reshaped jobs."""

from __future__ import annotations

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles import generate as verb
from gridedge.profiles.cluster import ClusterProfile
from gridedge.profiles.generate import load_profile
from gridedge.profiles.reshape import cap_frequency, cap_power, ramp_up, stagger

SQUARE = {
    "kind": "training",
    "period_s": 10.0,
    "compute_pu": 0.8,
    "communication_pu": 0.3,
    "compute_share": 0.5,
    "rise_s": 1e-3,
    "fall_s": 1e-3,
}


def cluster(**changed):
    base = {"kind": "cluster", "servers": 100, "idle_pu": 0.2, "jobs": [{"job": SQUARE, "share_pu": 0.5}]}
    return ClusterProfile(**base | changed)


def power(spec, until_s=40, dt_s=0.1, **kwargs):
    ds = gridedge.generate(spec, duration_s=until_s, dt_s=dt_s, **kwargs)
    return ds["p_mw"].values / ds.attrs["nameplate_mw"]


def test_jobs_and_idle_machines_add_up():
    np.testing.assert_allclose(power(cluster()), 0.5 * power(SQUARE) + 0.5 * 0.2, rtol=1e-12)
    active = gridedge.generate(cluster(), duration_s=10, dt_s=0.1)["active_pu"]
    assert active.values == pytest.approx(0.5)


def test_machines_beside_the_jobs_vary_slowly_around_their_level():
    part = {"what": "serving", "share_pu": 0.5, "level_pu": 0.4, "variation_pu": 0.05, "variation_step_s": 20}
    spec = cluster(beside=[part])
    beside = (power(spec, 20_000, 1.0, seed=1) - 0.5 * power(SQUARE, 20_000, 1.0)) / 0.5
    # Six octaves reach 640 s: some thirty independent values.
    assert beside.mean() == pytest.approx(0.4, abs=0.03)
    assert 0.02 < beside.std() < 0.06
    assert np.abs(np.diff(beside)).max() < 0.05


@pytest.mark.parametrize("offset_s", [0.0, 2.5, 13.0])
def test_an_offset_makes_a_job_later(offset_s):
    late = power(cluster(jobs=[{"job": SQUARE, "share_pu": 1.0, "offset_s": offset_s}]))
    np.testing.assert_allclose(
        late[150:], power(SQUARE, 60)[150 - round(offset_s * 10) :][: late.size - 150], rtol=1e-9
    )


def test_two_square_jobs_half_a_period_apart_are_flat():
    """A square wave of half duty and its copy half a period later sum to a constant."""
    both = cluster(jobs=[{"job": SQUARE, "share_pu": 0.5}, {"job": SQUARE, "share_pu": 0.5}])
    assert np.ptp(power(both)) == pytest.approx(0.5, abs=1e-6)
    apart = stagger(both)
    assert [part.offset_s for part in apart.jobs] == [0.0, 5.0]
    assert power(apart).mean() == pytest.approx(power(both).mean())
    assert np.ptp(power(apart)) < 1e-9


def test_stagger_takes_offsets():
    both = cluster(jobs=[{"job": SQUARE, "share_pu": 0.5}, {"job": SQUARE, "share_pu": 0.5}])
    assert [part.offset_s for part in stagger(both, [1, 2]).jobs] == [1, 2]
    with pytest.raises(InputError, match="offsets_s has not one value per job"):
        stagger(both, [1])
    with pytest.raises(InputError, match="one job cannot be staggered"):
        stagger(cluster())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"jobs": [{"job": SQUARE, "share_pu": 0.7}, {"job": SQUARE, "share_pu": 0.6}]}, ("sums to 1.3", "Lower")),
        ({"jobs": [{"job": SQUARE | {"server": "8xB200"}, "share_pu": 0.5}]}, ("8xB200", "server: 8xH100")),
        ({"jobs": [{"job": SQUARE, "share_pu": 0.001}]}, ("no whole server", "0.001", "more servers")),
        ({"jobs": [{"job": "h100-at-scal", "share_pu": 0.5}]}, ("h100-at-scal", "Did you mean 'h100-at-scale'?")),
    ],
)
def test_a_mistake_in_a_cluster_names_its_cure(changed, words):
    given = {"kind": "cluster", "servers": 100, "jobs": [{"job": SQUARE, "share_pu": 0.5}]} | changed
    with pytest.raises(InputError) as caught:
        gridedge.generate(given, duration_s=20, dt_s=0.1)
    for word in words:
        assert word in str(caught.value)


def test_a_cluster_made_too_small_later_says_so():
    small = cluster(jobs=[{"job": SQUARE, "share_pu": 0.02}]).model_copy(update={"servers": 10})
    with pytest.raises(
        InputError, match=r"no whole server \(got share_pu 0.02 of 10 servers\). Give at least 50 servers"
    ):
        gridedge.generate(small, duration_s=20, dt_s=0.1)


@pytest.mark.parametrize("name", ["h100-at-scale", "mixed-campus"])
@pytest.mark.parametrize("members", [None, 3])
def test_a_lazy_series_holds_the_same_bits(monkeypatch, name, members):
    settings = {"duration_s": 300, "dt_s": 0.001, "seed": 4, "members": members}
    held = gridedge.generate(name, **settings)
    monkeypatch.setattr(verb, "_HELD", 1000)
    lazy = gridedge.generate(name, **settings)
    assert not lazy["p_mw"].variable._in_memory
    assert lazy["p_mw"].dims == held["p_mw"].dims
    np.testing.assert_allclose(lazy["time"].values, held["time"].values, rtol=0, atol=1e-9)
    for variable in held.data_vars:
        np.testing.assert_array_equal(lazy[variable].values, held[variable].values)
    cuts = [0, 1, 65_535, 65_537, 131_072, 200_001, 300_000]
    for first, last in itertools.pairwise(cuts):
        part = lazy["p_mw"].isel(time=slice(first, last)).values
        np.testing.assert_array_equal(part, held["p_mw"].values[..., first:last])
    np.testing.assert_array_equal(lazy["p_mw"].isel(time=slice(5, None, 7777)), held["p_mw"][..., 5::7777])
    some = [3, 70_000, 299_999, 12]
    np.testing.assert_array_equal(lazy["p_mw"].isel(time=some), held["p_mw"].values[..., some])
    assert float(lazy["p_mw"].isel(time=70_000).sum()) == float(held["p_mw"].isel(time=70_000).sum())


def test_threads_read_the_same_bits(monkeypatch):
    monkeypatch.setattr(verb, "_HELD", 1000)
    lazy = gridedge.generate("mixed-campus", duration_s=200, dt_s=0.001, seed=4)["p_mw"]
    cuts = [(first, first + 10_007) for first in range(0, 190_000, 10_007)]
    alone = [lazy.isel(time=slice(*cut)).values for cut in cuts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda cut: lazy.isel(time=slice(*cut)).values, cuts))
    for one, other in zip(alone, together, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_day_at_a_millisecond_is_not_made_at_once():
    ds = gridedge.generate("h100-at-scale", duration_s=86_400, dt_s=0.001)
    assert ds.sizes["time"] == 86_400_000
    assert ds["p_mw"].attrs["units"] == "MW"
    late = ds["p_mw"].isel(time=slice(86_399_000, None)).values
    assert late.size == 1000
    assert (late > 0).all()


def test_a_frequency_cap_stretches_the_compute_phase():
    spec = load_profile(SQUARE | {"idle_pu": 0.2, "checkpoint_interval_s": 100})
    slow, figures = cap_frequency(spec, 0.8, exponent=2, compute_bound_pu=0.5)
    assert slow.compute_pu == pytest.approx(0.2 + 0.6 * 0.64)
    assert slow.communication_pu == pytest.approx(0.2 + 0.1 * 0.64)
    assert slow.period_s == pytest.approx(5 + 5 * (0.5 / 0.8 + 0.5))
    assert (1 - slow.compute_share) * slow.period_s == pytest.approx(5)
    assert figures["slowdown_pu"] == pytest.approx(slow.period_s / 10 - 1)
    assert figures["delayed_pu"] == pytest.approx(1 - 10 / slow.period_s)
    assert slow.checkpoint_interval_s == pytest.approx(10 * slow.period_s)


def test_a_power_cap_holds_and_keeps_what_lies_below():
    spec = load_profile({"profile": "h100-at-scale", "noise_pu": 0.0})
    capped, figures = cap_power(spec, 0.7)
    p = power(capped, 170, 0.01)
    assert p.max() == pytest.approx(0.7)
    assert p.min() == pytest.approx(power(spec, 170, 0.01).min())
    idle = spec.idle_level_pu
    assert figures["frequency_pu"] == pytest.approx(((0.7 - idle) / (0.84 - idle)) ** 0.5)
    assert capped.period_s > spec.period_s
    same, figures = cap_power(spec, 1.0)
    assert (same, figures["slowdown_pu"]) == (spec, 0.0)


def test_a_cap_moves_the_spectral_line():
    spec = load_profile(SQUARE)
    slow, _ = cap_frequency(spec, 0.7)
    p = power(slow, 20 * slow.period_s, slow.period_s / 100)
    amplitude = np.abs(np.fft.rfft(p - p.mean()))
    assert np.argmax(amplitude) == 20


def test_what_is_no_profile_is_not_reshaped():
    with pytest.raises(InputError, match=r"reshaping takes a TrainingProfile .* \(got 'h100-at-scale'\)"):
        cap_power("h100-at-scale", 0.7)
    with pytest.raises(InputError, match=r"cap_pu must be a number \(got '0.7'\)"):
        cap_power(load_profile("h100-at-scale"), "0.7")
    with pytest.raises(InputError, match=r"ramp_s must be a number \(got '70'\)"):
        ramp_up(load_profile("h100-at-scale"), "70")
    with pytest.raises(InputError, match=r"offsets_s must be a number \(got 'a'\)"):
        stagger(load_profile("mixed-campus"), ["a", 1, 2])
    with pytest.raises(InputError, match=r"reshaping takes a ClusterProfile \(got TrainingProfile\)"):
        stagger(load_profile("h100-at-scale"))


def test_caps_that_cannot_be_are_refused():
    spec = load_profile(SQUARE)
    with pytest.raises(InputError, match="the cap does not lie above communication and idle power"):
        cap_power(spec, 0.3)
    with pytest.raises(InputError, match="frequency_pu cannot be held"):
        cap_frequency(spec, 1.1)
    with pytest.raises(InputError, match="law of power and speed"):
        cap_frequency(spec, 0.9, exponent=0)


def test_a_ramp_up_delays_and_grows():
    slow, figures = ramp_up(load_profile(SQUARE | {"init_s": 0.0, "idle_pu": 0.2}), 100)
    p = power(slow, 200, 0.1)
    tops = p.reshape(-1, 100).max(axis=1)
    assert (np.diff(tops[:10]) > 0).all()
    assert tops[10:] == pytest.approx(0.8, abs=1e-3)
    assert figures["delayed_s"] == 50
    both = cluster(jobs=[{"job": SQUARE, "share_pu": 0.5}, {"job": SQUARE, "share_pu": 0.5}])
    started, figures = ramp_up(both, 100, begin_s=7)
    assert [part.job.begin_s for part in started.jobs] == [7, 57]
    assert figures["delayed_s"] == pytest.approx(0.5 * 25 + 0.5 * 75)
    with pytest.raises(InputError, match="ramp cannot be held"):
        ramp_up(both, 0)
