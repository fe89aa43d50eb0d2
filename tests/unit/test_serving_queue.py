"""The exact run against queueing theory and by hand: Erlang's formula, Little's law, and what becomes of a request."""

import math

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.inference.replica import Rates
from gridedge.profiles.inference.run import requests_of, serve_exactly


def tables(batch, token_s=1e-3, prefill_s=0.0, context=10**9):
    power = np.r_[100.0, 200.0 + 10.0 * np.arange(1, batch + 1)]
    return Rates(np.full(batch + 1, token_s), power, prefill_s, 400.0, context, 8192)


def erlang_c(servers, load):
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) * servers / (servers - load)
    return last / (sum(terms) + last)


@pytest.mark.parametrize(("servers", "load"), [(1, 0.7), (4, 3.0)])
def test_without_batching_it_is_the_queue_of_erlang(servers, load):
    rng = np.random.default_rng(3)
    waits = []
    for _ in range(30):
        count, mean_s = 20_000, 2.0
        at = np.cumsum(rng.exponential(mean_s / load, count))
        tokens = np.maximum(1, np.round(rng.exponential(mean_s / 1e-3, count))).astype(int)
        run = serve_exactly(requests_of(at, 0, tokens), tables(1), replicas=servers, duration_s=at[-1], dt_s=60.0)
        waits.append(np.mean(run.done_s - at - tokens * 1e-3))
    expected = erlang_c(servers, load) * mean_s / (servers - load)
    error = np.std(waits, ddof=1) / math.sqrt(len(waits))
    assert abs(np.mean(waits) - expected) < 2.76 * error  # 99 % of Student's t with 29 degrees of freedom
    assert error < 0.05 * expected


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("replicas", [1, 5])
def test_littles_law_and_the_books_from_empty_to_empty(replicas, pack):
    rng = np.random.default_rng(1)
    at = np.sort(rng.uniform(0, 100, 3000))
    ask = requests_of(at, rng.integers(1, 500, at.size), rng.integers(1, 300, at.size))
    made = tables(16, 0.02, 1e-4)
    run = serve_exactly(ask, made, replicas=replicas, duration_s=100.0, dt_s=0.5, pack=pack)
    assert run.books["served"] == run.books["offered"] == 3000
    assert run.little == pytest.approx(1.0, abs=1e-9)
    # Each token takes an iteration: the busy time is that of all iterations, and energy follows from it.
    assert (run.first_s > at).all()
    assert (run.done_s >= run.first_s).all()


def test_energy_by_hand():
    # Two requests in one batch: 10 prompt tokens each read at once (0.2 s at 400 W), then iterations of 1 s.
    run = serve_exactly(requests_of([0.0, 0.0], 10, [2, 4]), tables(4, 1.0, 0.01), duration_s=10.0, dt_s=1.0)
    # The first comes alone (0.1 + 1 s), the second waits for it; then both: 1 iteration with its prompt, 2 alone.
    assert run.first_s.tolist() == pytest.approx([1.1, 2.2])
    assert run.done_s.tolist() == pytest.approx([2.2, 5.2])
    energy = 0.1 * 400 + 1.0 * 210 + 0.1 * 400 + 1.0 * 220 + 3 * 210 + 4.8 * 100
    assert run.power_w.sum() * 1.0 == pytest.approx(energy)


def test_a_full_queue_refuses():
    run = serve_exactly(requests_of(np.zeros(10), 0, 5), tables(2, 1.0), duration_s=6.5, queue_limit=3, drain=False)
    assert run.books == {"offered": 10, "served": 2, "refused": 6, "in_system": 2, "after_end": 0}


def test_memory_limits_the_batch():
    run = serve_exactly(requests_of(np.zeros(4), 0, 10), tables(8, 1.0, context=20), duration_s=5.0)
    assert sorted(run.done_s.tolist()) == [10.0, 11.0, 20.0, 21.0]
    assert run.batch.max() <= 2.0


def test_messages():
    with pytest.raises(InputError, match="request 2 at 1 s after 2 s"):
        requests_of([0.0, 2.0, 1.0], 1, 1)
    with pytest.raises(InputError, match="memory of a replica"):
        serve_exactly(requests_of([0.0], 50, 1), tables(2, context=20), duration_s=1.0)
