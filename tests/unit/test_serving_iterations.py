"""The exact run against a plain loop that knows nothing of runs: every iteration of every replica by itself."""

from dataclasses import replace

import numpy as np
import pytest

from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.inference.run import requests_of, serve_exactly


def one_by_one(at, read, write, rates, replicas):
    """Return first and last token of each request, and the energy until the last."""
    first, done, energy, busy = np.full(at.size, np.nan), np.full(at.size, np.nan), 0.0, 0.0
    until, batch, fresh = [np.inf] * replicas, [{} for _ in range(replicas)], [[] for _ in range(replicas)]
    queue, coming, now = [], 0, 0.0
    while True:
        i = int(np.argmin(until))
        arrival = at[coming] if coming < at.size else np.inf
        if min(arrival, until[i]) == np.inf:
            return first, done, energy + (replicas * now - busy) * rates.idle_w
        now = min(arrival, until[i])
        if arrival < until[i]:
            queue.append(coming)
            coming += 1
            idle = [k for k in range(replicas) if not batch[k]]
            if not idle:
                continue
            i = idle[0]
        else:
            first[fresh[i]] = now
            batch[i] = {j: left - 1 for j, left in batch[i].items()}
            done[[j for j, left in batch[i].items() if left == 0]] = now
            batch[i] = {j: left for j, left in batch[i].items() if left}
        tokens, fresh[i], until[i] = 0, [], np.inf
        while queue and len(batch[i]) < rates.max_batch:
            j = queue[0]
            held = sum(int(read[k] + write[k]) for k in batch[i])
            if batch[i] and held + read[j] + write[j] > rates.context_tokens:
                break
            if fresh[i] and tokens + read[j] > rates.prompt_tokens:
                break
            tokens += read[j]
            batch[i][queue.pop(0)] = write[j]
            fresh[i].append(j)
        if batch[i]:
            b, reads_s = len(batch[i]), tokens * rates.prefill_s_per_token
            until[i] = now + reads_s + rates.token_s[b]
            energy += reads_s * rates.prefill_w + rates.token_s[b] * rates.power_w[b]
            busy += reads_s + rates.token_s[b]


@pytest.mark.parametrize(
    ("per_s", "replicas", "context", "batch"), [(3, 1, 290_000, 256), (20, 2, 6_000, 256), (30, 3, 290_000, 8)]
)
def test_every_token_comes_when_the_plain_loop_says(per_s, replicas, context, batch):
    machine = replace(rates(Replica(max_batch=batch)), context_tokens=context)
    rng = np.random.default_rng(per_s)
    at = np.cumsum(rng.gamma(0.3, 1 / 0.3, 300)) / per_s
    read, write = (np.clip(rng.lognormal(m, 1.0, 300).astype(int), 1, 2500) for m in (6.6, 4.0))
    first, done, energy = one_by_one(at, read, write, machine, replicas)
    run = serve_exactly(requests_of(at, read, write), machine, replicas=replicas, duration_s=np.ceil(done.max()))
    assert run.first_s == pytest.approx(first, abs=1e-8)
    assert run.done_s == pytest.approx(done, abs=1e-8)
    behind = (run.duration_s - done.max()) * replicas * machine.idle_w
    assert run.energy_j - behind == pytest.approx(energy, rel=1e-10)
