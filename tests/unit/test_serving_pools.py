"""Prefill and decode apart: by hand, Little's law of every stage, and books of requests and energy."""

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.inference.pools import serve_apart
from gridedge.profiles.inference.replica import Rates
from gridedge.profiles.inference.run import requests_of, serve_exactly
from gridedge.profiles.inference.scaling import Scaling


def tables(batch=4, token_s=1.0, prefill_s=0.01, context=10**6):
    power = np.r_[100.0, 200.0 + 10.0 * np.arange(1, batch + 1)]
    return Rates(np.full(batch + 1, token_s), power, prefill_s, 400.0, context, 150, context_bytes=1e7)


def apart(ask, *, link=1.0, prefill=None, **more):
    made = {"prefill_replicas": 1, "decode_replicas": 1, "duration_s": 20.0} | more
    return serve_apart(ask, prefill or tables(token_s=0.1), tables(), link_gb_per_s=link, **made)


def test_three_requests_by_hand():
    # Prompts of 100 tokens take 1 s each: 200 are more than the budget of 150. A context of 1 GB takes 1 s on the link.
    run = apart(requests_of([0.0, 0.0, 0.0], 100, [3, 1, 2]))
    assert run.first_s.tolist() == pytest.approx([1.0, 2.0, 3.0])
    # On the link from 1 to 2 and from 3 to 4; then two iterations alone, and one. The second wrote one token only.
    assert run.done_s.tolist() == pytest.approx([4.0, 2.0, 5.0])
    prefill, link, decode = run.pools
    assert (prefill.entered, link.entered, decode.entered) == (3, 2, 2)
    assert prefill.in_system_s == pytest.approx(1 + 2 + 3)
    assert link.in_system_s == pytest.approx(2.0)
    assert decode.in_system_s == pytest.approx(2.0 + 1.0)
    assert prefill.longest_queue == 2
    energy = (3 * 400 + 17 * 100) + (3 * 210 + 17 * 100)
    assert run.energy_j == pytest.approx(energy)


def test_contexts_queue_on_a_slow_link():
    # Prompts of 50 tokens take 0.5 s each, their contexts of 0.5 GB go one after the other, 5 s each.
    run = apart(requests_of([0.0, 0.0], 50, 2), link=0.1)
    assert run.first_s.tolist() == pytest.approx([0.5, 1.0])
    assert run.done_s.tolist() == pytest.approx([6.5, 11.5])


def test_a_short_prompt_takes_one_reading_of_the_weights():
    run = apart(requests_of([0.0], 1, 1), prefill=tables(token_s=0.5))
    assert run.done_s.tolist() == pytest.approx([0.5])


@pytest.mark.parametrize("scaling", [None, Scaling(boot_s=1.0, keep_s=5.0, decide_s=1.0, look_back_s=5.0)])
@pytest.mark.parametrize("drain", [True, False])
def test_books_of_requests_and_energy_close(drain, scaling):
    rng = np.random.default_rng(2)
    at = np.sort(rng.uniform(0, 100, 2000))
    ask = requests_of(at, rng.integers(1, 400, at.size), rng.integers(1, 60, at.size))
    run = serve_apart(
        ask, tables(token_s=0.02, prefill_s=1e-4), tables(16, 0.02), prefill_replicas=2, decode_replicas=4,
        link_gb_per_s=200.0, duration_s=100.0, drain=drain, scaling=scaling,
    )  # fmt: skip
    books = run.books
    assert books["offered"] == 2000 == books["served"] + books["in_system"] + books["refused"] + books["after_end"]
    assert (books["in_system"] > 0) is not drain
    assert sum(p.energy_j for p in run.pools) == pytest.approx(run.energy_j, rel=1e-9)
    if drain:
        assert run.little == pytest.approx(1.0, abs=1e-9)
        spent = np.nansum(run.first_s - at)
        assert run.pools[0].in_system_s == pytest.approx(spent, rel=1e-9)
    stages = run.pools
    assert stages[1].entered <= stages[0].left <= stages[0].entered


def test_without_prompts_the_decode_pool_is_the_exact_run():
    rng = np.random.default_rng(5)
    at = np.sort(rng.uniform(0, 50, 300))
    tokens = rng.integers(2, 80, at.size)
    made = tables(16, 0.02)
    run = serve_apart(
        requests_of(at, 0, tokens), tables(token_s=1e-12, prefill_s=0.0), made, prefill_replicas=1, decode_replicas=2,
        link_gb_per_s=50.0, duration_s=100.0,
    )  # fmt: skip
    alone = serve_exactly(requests_of(at, 0, tokens - 1), made, replicas=2, duration_s=100.0)
    assert run.done_s == pytest.approx(alone.done_s, abs=1e-6)


def test_a_prefill_pool_that_is_too_small_is_a_queue_without_bound():
    at = np.linspace(0, 100, 400)
    run = apart(requests_of(at, 100, 2), link=100.0, duration_s=100.0, drain=False)
    assert run.capacity_per_s == pytest.approx(1.0)
    assert run.unbounded.startswith("a queue without bound: 3.99 requests/s are asked, 0.98 are done")


def test_messages():
    ask = requests_of([0.0], 10, 2)
    with pytest.raises(InputError, match="a link needs a speed"):
        apart(ask, link=0.0)
    with pytest.raises(InputError, match="a pool has no replicas"):
        apart(ask, prefill_replicas=0)
    with pytest.raises(InputError, match="memory of a replica"):
        apart(requests_of([0.0], 10**6, 2))
