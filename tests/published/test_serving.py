"""A served model against what was measured: power and token times by load, and power by batch size.

NLR (arXiv 2604.07345, 2026): Llama-3-70B on four H100, power of the node by request rate; 150 output tokens and a batch
limit of 256 are assumed, and 80 prompt tokens.  ML.ENERGY Benchmark v3 (arXiv 2601.22076, 2026): power by batch size.
"""

import numpy as np
import pytest

from gridedge.profiles.inference.curve import CHAT, leave_one_out, measured_curves
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.inference.run import requests_of, serve_exactly


def served(per_s, seconds=900):
    rng = np.random.default_rng(7)
    at = np.sort(rng.uniform(0, seconds, int(per_s * seconds)))
    node = rates(Replica(host_kw=0.44))
    return serve_exactly(requests_of(at, 80, 150), node, duration_s=seconds, drain=False)


@pytest.mark.parametrize(("per_s", "kw"), [(1, 2.07), (10, 2.21), (20, 2.51), (30, 2.77), (60, 2.84)])
def test_power_of_a_node_by_its_load(per_s, kw):
    assert served(per_s).power_w[60:].mean() / 1e3 == pytest.approx(kw, rel=0.06)


def test_idle_power_of_the_node():
    assert rates(Replica(host_kw=0.44)).idle_w / 1e3 == pytest.approx(0.73, rel=0.06)


def test_time_between_tokens():
    assert np.nanmedian(served(10).between_tokens_s) == pytest.approx(0.020, rel=0.25)


@pytest.mark.parametrize(("accelerator", "most"), [("H100", 0.02), ("B200", 0.05)])
def test_power_between_the_measured_batch_sizes(accelerator, most):
    tasks = (CHAT, "gpqa", "sourcegraph-fim")
    curves = [c for task in tasks for c in measured_curves(task).values() if c.accelerator == accelerator]
    errors = np.concatenate([leave_one_out(c) for c in curves if c.batch.size > 2])
    assert errors.size > 100
    assert errors.mean() < most
