"""Replicas that are parked: by hand, nothing lost, books closed, and the same policy on a fluid of requests."""

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles.inference.fluid import carry_parked
from gridedge.profiles.inference.replica import Rates, Replica, rates
from gridedge.profiles.inference.run import requests_of, serve_exactly
from gridedge.profiles.inference.scaling import Scaling, follow


def tables(batch=1):
    power = np.r_[100.0, np.full(batch, 200.0)]
    return Rates(np.full(batch + 1, 1.0), power, 0.0, 200.0, 10**6, 8192, weights_gb=20.0)


QUICK = Scaling(
    target_load_pu=1.0, look_back_s=10.0, decide_s=5.0, keep_s=10.0, load_gb_per_s=10.0, boot_s=1.0, parked_pu=0.1
)


def test_a_start_by_hand():
    # The first 10 s ask for 4 s of work: one works. At 15 s the look-back holds 20 s of work: two are wanted; the
    # second takes 1 s and 20 GB over 10 GB/s, and serves from 18 s on. At 25 s one is enough, 10 s later one is parked.
    ask = requests_of([0.5, 12.0, 16.0], 0, [4, 20, 5])
    run = serve_exactly(ask, tables(), replicas=2, duration_s=60.0, dt_s=1.0, scaling=QUICK)
    assert run.first_s.tolist() == pytest.approx([1.5, 13.0, 19.0])
    assert run.done_s.tolist() == pytest.approx([4.5, 32.0, 23.0])
    assert run.working.tolist() == pytest.approx([1.0] * 15 + [2.0] * 20 + [1.0] * 25)
    idle, busy, _, parked, starting = run.pools[0].spent_s
    assert (busy, starting, parked) == pytest.approx((29.0, 3.0, 15.0 + 25.0))
    assert run.energy_j == pytest.approx(29 * 200 + 3 * 100 + 40 * 10 + idle * 100)
    assert run.pools[0].energy_j == pytest.approx(run.energy_j, rel=1e-12)


def test_parked_power_and_a_start():
    # Nothing comes for 100 s: the one that is not needed stays parked at a tenth of 100 W.
    run = serve_exactly(requests_of([100.0], 0, 1), tables(), replicas=3, duration_s=100.0, dt_s=1.0, scaling=QUICK)
    assert run.power_w[:100] == pytest.approx(np.full(100, 120.0))


@pytest.mark.parametrize("drain", [True, False])
@pytest.mark.parametrize("minimum", [1, 3])
def test_nothing_is_lost_and_energy_closes(minimum, drain):
    rng = np.random.default_rng(4)
    at = np.sort(np.r_[rng.uniform(0, 1800, 3000), rng.uniform(900, 960, 2000)])
    ask = requests_of(at, rng.integers(10, 2000, at.size), rng.integers(1, 300, at.size))
    node = rates(Replica())
    policy = Scaling(minimum=minimum, keep_s=60.0)
    run = serve_exactly(ask, node, replicas=6, duration_s=1800.0, scaling=policy, drain=drain)
    full = serve_exactly(ask, node, replicas=6, duration_s=1800.0, drain=drain)
    books = run.books
    assert books["offered"] == books["served"] + books["in_system"] + books["refused"] + books["after_end"]
    assert books["served"] + books["in_system"] == 5000
    assert run.pools[0].energy_j == pytest.approx(run.energy_j, rel=1e-9)
    assert run.pools[0].spent_s.sum() == pytest.approx(6 * max(1800.0, run.ended_s), rel=1e-3)
    assert run.energy_j < 0.9 * full.energy_j
    assert minimum == pytest.approx(run.working.min(), abs=1e-9)
    assert run.working.max() == pytest.approx(6.0)
    if drain:
        assert run.little == pytest.approx(1.0, abs=1e-9)


def test_a_minimum_of_all_is_no_policy():
    rng = np.random.default_rng(8)
    ask = requests_of(np.sort(rng.uniform(0, 300, 900)), 100, rng.integers(1, 200, 900))
    node = rates(Replica())
    one = serve_exactly(ask, node, replicas=4, duration_s=300.0, scaling=Scaling(minimum=4))
    other = serve_exactly(ask, node, replicas=4, duration_s=300.0)
    assert np.array_equal(one.done_s, other.done_s)
    assert one.power_w == pytest.approx(other.power_w, rel=1e-12)


def test_the_verb_says_what_it_saves_and_what_is_late():
    rng = np.random.default_rng(4)
    at = np.sort(np.r_[rng.uniform(0, 1800, 1500), rng.uniform(900, 930, 3000)])
    ask = requests_of(at, 500, 200)
    made = gridedge.serve(ask, replicas=4, scaling={"keep_s": 60}, first_token_s=2.0, token_s=0.1)
    without = gridedge.serve(ask, replicas=4, first_token_s=2.0, token_s=0.1)
    assert made.saved.energy_mwh == pytest.approx(without.energy_mwh - made.energy_mwh, rel=1e-9)
    assert made.saved.more_late == made.books["late"] - without.books["late"] > 0
    assert made.energy_error < 1e-9


def test_a_fluid_follows_as_the_exact_run_does():
    node = tables(4)
    per_s = 4 / 10.0  # answers of ten tokens
    rate = np.r_[np.full(20, 0.4), np.full(20, 2.0), np.full(20, 0.4)][None, :]
    policy = QUICK.model_copy(update={"target_load_pu": 0.5, "look_back_s": 60.0, "keep_s": 120.0})
    working, starting = follow(rate, 60.0, policy, node, per_s=per_s, replicas=16)
    assert working[0, 5] == 2  # one replica's work, at half load
    # The minute that rose left 3 replica minutes waiting: 5 and 3 are asked for, at half load all 16; 3 s a start.
    assert starting[0, 21] == pytest.approx((16 - 2) * 3.0 / 60.0)
    assert working[0, 21] + starting[0, 21] == pytest.approx(16)
    assert working[0, 30] == 10
    assert working[0, 42] == 10  # kept for two minutes
    assert working[0, 44] == 2
    number = np.round(rate[0] * 60).astype(int)
    at = np.concatenate([60.0 * (k + (np.arange(n) + 0.5) / n) for k, n in enumerate(number)])
    run = serve_exactly(requests_of(at, 0, 10), node, replicas=16, duration_s=3600.0, dt_s=60.0, scaling=policy)
    assert run.working[[5, 30, 55]] == pytest.approx(working[0, [5, 30, 55]])
    # The exact run decides every 5 s and needs no more than it sees; the fluid once a minute.
    assert run.working.mean() == pytest.approx(working.mean(), rel=0.1)


def test_messages():
    with pytest.raises(InputError, match="more replicas are always to work"):
        serve_exactly(requests_of([0.0], 0, 1), tables(), replicas=2, duration_s=1.0, scaling=Scaling(minimum=3))
    with pytest.raises(InputError, match="nobody serves"):
        serve_exactly(requests_of([0.0], 0, 1), tables(), replicas=0, duration_s=1.0)


def test_parking_in_a_fluid_closes_its_books_and_is_near_the_exact_run():
    def draw(per_s, duration_s, stream):
        rng = np.random.default_rng(stream)
        return requests_of(np.sort(rng.uniform(0, duration_s, rng.poisson(per_s * duration_s))), 80, 150)

    node = rates(Replica())
    curve = gridedge.load_curve(node, draw, minutes=20, most_requests=40_000)
    hours = np.array([10.0, 60.0, 140.0, 80.0, 15.0])
    rate = np.repeat(hours, 60)[None, :]
    policy = Scaling()
    fluid = carry_parked(rate, 60.0, curve, node, policy, 8)
    result = fluid.result
    asked = float(rate.sum() * 60.0)
    assert float(result.served.sum() + result.refused.sum() + result.waiting[0, -1]) == pytest.approx(asked, rel=1e-9)
    assert (fluid.working + fluid.starting <= 8 + 1e-9).all()
    assert fluid.saved_j[0] > 0
    parts = [draw(per_s, 3600.0, 100 + k).at_s + 3600.0 * k for k, per_s in enumerate(hours)]
    ask = requests_of(np.concatenate(parts), 80, 150)
    exact = serve_exactly(ask, node, replicas=8, duration_s=5 * 3600.0, dt_s=60.0, scaling=policy, drain=False)
    plain = serve_exactly(ask, node, replicas=8, duration_s=5 * 3600.0, dt_s=60.0, drain=False)
    assert result.power_w.sum() == pytest.approx(exact.power_w.sum(), rel=0.05)
    assert fluid.saved_j[0] == pytest.approx(plain.energy_j - exact.energy_j, rel=0.15)
