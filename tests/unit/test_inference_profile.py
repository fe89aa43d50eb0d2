"""Inference as a profile: the same requests whatever the clock, saturation said, and what cannot be is refused."""

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles.generate import load_profile
from gridedge.profiles.inference.curve import measured_curve
from gridedge.profiles.inference.estimate import estimated_curve
from gridedge.profiles.inference.fluid import LoadCurve, carry
from gridedge.profiles.inference.models import Model, model
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.inference.run import requests_of
from gridedge.profiles.traffic.arrivals import lengths
from gridedge.profiles.traffic.classes import request_class
from gridedge.spec import build


def small(per_s=3.0, **more):
    return {
        "kind": "inference",
        "replicas": 2,
        "traffic": {"classes": {"conversation": {"requests_per_s": per_s}}},
        **more,
    }


def test_the_step_and_the_length_change_nothing():
    one, longer, finer = (
        gridedge.generate(small(), duration_s=d, dt_s=dt, seed=3) for d, dt in ((120, 1.0), (180, 1.0), (120, 0.1))
    )
    assert one["p_mw"].values[:-1] == pytest.approx(longer["p_mw"].values[:119], rel=1e-12)
    assert one["p_mw"].values == pytest.approx(finer["p_mw"].values.reshape(-1, 10).mean(axis=1), rel=1e-9)


def test_it_has_been_serving():
    ds = gridedge.generate(small(), duration_s=120, dt_s=1.0, seed=3)
    idle = load_profile(small()).idle_mw
    assert ds["p_mw"].values[:5].min() > 1.5 * idle
    counted = [ds.attrs[f"requests_{n}"] for n in ("offered", "served", "refused", "in_system")]
    assert counted[0] == sum(counted[1:])


def test_members_are_others_and_a_seed_is_one():
    ds = gridedge.generate(small(), duration_s=60, dt_s=1.0, seed=3, members=2)
    again = gridedge.generate(small(), duration_s=60, dt_s=1.0, seed=3)
    assert np.array_equal(ds["p_mw"].values[0], again["p_mw"].values)
    assert not np.array_equal(ds["p_mw"].values[0], ds["p_mw"].values[1])


@pytest.mark.parametrize("method", ["exact", "fluid"])
def test_above_saturation_it_says_a_queue_without_bound(method):
    ds = gridedge.generate(small(40.0, method=method), duration_s=1200, dt_s=60.0, seed=1)
    assert len(ds.attrs["notes"]) == 1
    assert ds.attrs["notes"][0].startswith("a queue without bound: ")
    assert ds.attrs["requests_in_system"] > 10_000
    calm = gridedge.generate(small(3.0, method=method), duration_s=1200, dt_s=60.0, seed=1)
    assert calm.attrs["notes"] == []


def test_pools_and_parking_go_into_a_profile():
    spec = small(pools={"prefill_replicas": 1}, scaling={"keep_s": 30})
    ds = gridedge.generate(spec, duration_s=300, dt_s=1.0, seed=3)
    assert ds.attrs["accelerators"] == 12
    plain = gridedge.generate(small(pools={"prefill_replicas": 1}), duration_s=300, dt_s=1.0, seed=3)
    assert ds["p_mw"].mean() < plain["p_mw"].mean()


def test_a_site_is_sized_with_its_requests():
    spec = load_profile(small())
    twice = spec.sized(2 * spec.servers)
    assert (twice.replicas, twice.traffic.classes["conversation"].requests_per_s) == (4, 6.0)
    with pytest.raises(InputError, match="hold no replica"):
        load_profile(small(replica={"accelerators": 16, "model": "Llama-3.1-70B-Instruct"})).sized(1)


def test_it_goes_through_the_other_verbs():
    load = gridedge.generate(small(), duration_s=600, dt_s=1.0, seed=3)
    metered = gridedge.connect(load, {"power_factor": 0.98}, bus="x")
    smooth = gridedge.mitigate(
        metered, [{"step": "battery", "p_rated_mw": 0.01, "e_rated_mwh": 0.01, "ramp_mw_per_min": 0.001}]
    )
    assert smooth["p_mw"].sizes["time"] == 600
    with pytest.raises(InputError, match="a site that serves has no work that could be stretched"):
        gridedge.mitigate(load, [{"step": "power_cap", "cap_pu": 0.3}])


def test_an_unmeasured_model_stands_on_the_nearest():
    chips = rates(Replica(model="Llama-3.3-70B-Instruct", accelerator="H200", accelerators=4))
    known = rates(Replica(model="Llama-3.3-70B-Instruct", accelerator="H100", accelerators=4))
    assert chips.source.startswith("assumed: scaled by a roofline from Llama-3.3-70B-Instruct on 4 x H100")
    # The same arithmetic and ceiling, more bandwidth: the same power, and the time of reading weights scaled.
    assert chips.token_s[1:] == pytest.approx(known.token_s[1:] * 3350 / 4800)
    assert chips.power_w[1:] == pytest.approx(known.power_w[1:])
    # On what was measured the rule gives the measurement back.
    own = estimated_curve(model("Llama-3.1-70B-Instruct"), "H100", 4)
    measured = measured_curve("Llama-3.1-70B-Instruct", "H100", 4)
    assert own.power_w == pytest.approx(measured.power_w)
    assert own.token_s == pytest.approx(measured.token_s)


def test_a_replica_on_several_servers_is_slower_by_the_share():
    one = Replica(model="Llama-3.1-405B-Instruct", accelerators=16, linked=72)
    other = Replica(model="Llama-3.1-405B-Instruct", accelerators=16, across_pu=0.5)
    assert rates(other).token_s == pytest.approx(2 * rates(one).token_s)
    assert rates(other).power_w == pytest.approx(rates(one).power_w)


def test_a_load_curve_rises_and_ends_at_saturation():
    def draw(per_s, duration_s, stream):
        rng = np.random.default_rng(stream)
        return requests_of(np.sort(rng.uniform(0, duration_s, rng.poisson(per_s * duration_s))), 80, 150)

    node = rates(Replica(host_kw=0.44))
    curve = gridedge.load_curve(node, draw, minutes=20, most_requests=40_000)
    assert (np.diff(curve.power_w) > 0).all()
    assert curve.capacity_per_s == pytest.approx(node.capacity_per_s(80, 150), rel=0.05)
    assert curve.late_pu[-1] == 1.0
    with pytest.raises(InputError, match="power at work does not lie above the idle power"):
        gridedge.load_curve(node, draw, minutes=10, most_requests=20_000, idle_w=5000.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"capacity_mw": 0.001}, "capacity_mw lies under the idle load"),
        ({"replica": {"model": "Llama-3.1-405B-Instruct"}}, "the model does not fit"),
        ({"replica": {"max_batch": 0}}, "max_batch"),
        ({"replica": {"model": "Llama-4"}}, "unknown model"),
        ({"replica": {"model": "gpt-oss-20b", "accelerators": 2, "curve": "measured"}}, "no measured curve"),
        ({"most_tokens": 400_000}, "does not fit into the memory of a replica"),
        ({"scaling": {"minimum": 3}}, "more than a group has"),
        ({"replicas": 17}, "do not fill their groups alike"),
        ({"origins": {"replcas": {"mark": "chosen", "source": "x"}}}, "origins names a key"),
        ({"trafic": 17}, "Did you mean 'traffic'"),
    ],
)
def test_messages(change, words):
    with pytest.raises(InputError, match=words):
        gridedge.generate({**small(), **change}, duration_s=60, dt_s=1.0)


def test_too_fine_or_too_long():
    with pytest.raises(InputError, match="steps of whole minutes"):
        gridedge.generate(small(method="fluid"), duration_s=60, dt_s=1.0)
    with pytest.raises(InputError, match="too many requests to be served one by one"):
        gridedge.generate(small(3000.0), duration_s=86_400, dt_s=10.0)


def test_a_model_of_ones_own():
    own = build(
        Model,
        {"name": "mine", "weights_b": 30, "active_b": 30, "bytes_per_weight": 2, "context_bytes": 2e5, "quality": 2},
    )
    made = rates(Replica(model=own, accelerator="B300", accelerators=1))
    assert made.source.startswith("assumed")
    assert made.idle_w < made.power_w[1] < made.peak_w


def test_a_load_curve_does_not_hang_on_chance():
    agents = request_class("agents")

    def measured(seed):
        def draw(per_s, duration_s, stream):
            rng = np.random.default_rng([seed, stream])
            at = np.sort(rng.uniform(0.0, duration_s, rng.poisson(per_s * duration_s)))
            return requests_of(at, *(lengths(at.size, law, rng, most=32_768) for law in laws))

        laws = agents.tokens_in, agents.tokens_out
        return gridedge.load_curve(rates(Replica()), draw)

    one, other = measured(1), measured(2)
    # 600 s of a replica that serves 0.75 requests/s, and 30 minutes at a hundredth of it, gave 4 % and 9 %.
    assert one.capacity_per_s == pytest.approx(other.capacity_per_s, rel=0.01)
    assert one.power_w == pytest.approx(other.power_w, rel=0.015)


@pytest.mark.parametrize("rate", [-1.0, np.nan, np.inf])
def test_a_fluid_takes_no_rate_that_is_none(rate):
    zero = np.zeros((3, 2))
    curve = LoadCurve(np.array([0.0, 1.0]), np.array([1.0, 4.0]), zero[0], zero, zero, 2.0, zero[0])
    with pytest.raises(InputError, match="a rate of requests is negative or NaN"):
        carry(np.array([[1.0, rate]]), 60.0, curve, np.ones(1))
