"""What the verb ``serve`` says of a run, and two policies of the exact loop, by hand."""

import numpy as np
import pytest

import gridedge
from gridedge.profiles.inference.replica import Rates, Replica
from gridedge.profiles.inference.run import requests_of, serve_exactly


def tables(batch=4, token_s=1.0, prefill_s=0.01, prompt_tokens=8192):
    power = np.r_[100.0, 200.0 + 10.0 * np.arange(1, batch + 1)]
    return Rates(np.full(batch + 1, token_s), power, prefill_s, 400.0, 10**6, prompt_tokens)


def test_who_is_late():
    run = serve_exactly(requests_of([0.0, 0.0], 10, [2, 4]), tables(), duration_s=10.0)
    assert run.first_token_s.tolist() == pytest.approx([1.1, 2.2])
    assert run.between_tokens_s.tolist() == pytest.approx([1.1, 1.0])
    assert [run.late(*bounds) for bounds in ((9, 9), (2, 9), (9, 1.05), (2, 1.05), (1, 0.9))] == [0, 1, 1, 2, 2]
    one = serve_exactly(requests_of([0.0], 10, 1), tables(), duration_s=10.0)
    assert np.isnan(one.between_tokens_s[0])  # an answer of one token has no time between
    assert one.late(2.0, 0.0) == 0


def test_prompts_beyond_the_budget_wait_for_the_next_iteration():
    ask = requests_of([0.0, 0.0, 0.0], 100, 9)
    run = serve_exactly(ask, tables(prompt_tokens=150), duration_s=30.0)
    assert run.first_s.tolist() == pytest.approx([2.0, 4.0, 6.0])  # 1 s of reading and 1 s of writing each
    both = serve_exactly(ask, tables(prompt_tokens=200), duration_s=30.0)
    assert both.first_s.tolist() == pytest.approx([2.0, 5.0, 5.0])


def test_packing_fills_one_that_works_before_another_is_woken():
    ask = requests_of([0.0, 0.5], 0, 9)
    packed, spread = (serve_exactly(ask, tables(), replicas=2, duration_s=20.0, pack=p) for p in (True, False))
    assert packed.first_s.tolist() == pytest.approx([1.0, 2.0])
    assert spread.first_s.tolist() == pytest.approx([1.0, 1.5])
    # 8 iterations of two and 2 of one, against 18 of one.
    assert packed.energy_j == pytest.approx(8 * 220 + 2 * 210 + (20 - 10 + 20) * 100)
    assert spread.energy_j == pytest.approx(18 * 210 + (40 - 18) * 100)


def test_what_parking_saves_is_of_what_would_be_drawn():
    ask = requests_of(np.arange(0.0, 1200.0, 5.0), 100, 20)
    made = gridedge.serve(ask, replicas=4, scaling={"keep_s": 30})
    assert made.saved.energy_pu == pytest.approx(made.saved.energy_mwh / (made.energy_mwh + made.saved.energy_mwh))
    assert 0.2 < made.saved.energy_pu < 0.9


def test_length_and_nameplate_of_the_series():
    made = gridedge.serve(requests_of([0.0, 60.0], 100, 20), replicas=2, pools={"prefill_replicas": 3})
    assert made.load.sizes["time"] == 120  # whole minutes, beyond the last arrival
    assert made.load.attrs["nameplate_mw"] == pytest.approx(5 * Replica().rated_kw / 1e3)
    assert [p.replicas for p in made.run.pools] == [3, 3, 2]
