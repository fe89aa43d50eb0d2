"""Continuous batching, request by request: the one loop behind every exact run.

A replica works in iterations. In each, every sequence in its batch gets one token, and the prompts of the
requests that it has just admitted are read. Requests wait in one queue, first come, first served.
Between two events nothing changes, so that a run of equal iterations is one step of the loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
FAR = 1e300
"""Later than anything. [s]"""


def serve(
    at_s: Float, tokens_in: NDArray[np.int64], tokens_out: NDArray[np.int64], replicas: int, token_s: Float,
    power_w: Float, idle_w: float, prefill_s_per_token: float, prefill_w: float, context_tokens: int,
    prompt_tokens: int, queue_limit: int, pack: bool, end_s: float, work_s: Float, scale: Float, bin_s: float,
    energy_j: Float, busy: Float, up: Float, spent_s: Float, first_s: Float, done_s: Float, state: NDArray[np.int8],
    totals: Float,
) -> None:  # fmt: skip
    """Serve requests on equal replicas with one queue.

    Parameters
    ----------
    at_s : ndarray, shape (request,)
        Arrival, rising. [s]
    tokens_in, tokens_out : ndarray of int, shape (request,)
        Length of the prompt, and of the answer, at least 1.
    replicas : int
        How many.
    token_s, power_w : ndarray, shape (batch + 1,)
        Length of an iteration [s] and power of the replica [W] by batch size; entry 0 is not used.
    idle_w : float
        Power of a replica without work. [W]
    prefill_s_per_token, prefill_w : float
        What an iteration is longer by for each token of a prompt [s], and the power in that time. [W]
    context_tokens : int
        Tokens of context that a replica holds; a request takes those of prompt and answer while it runs.
    prompt_tokens : int
        Tokens of prompts that one iteration reads at most; a longer prompt is read alone.
    queue_limit : int
        Requests that may wait; one that finds as many is refused.
    pack : bool
        Whether a replica that has room takes a request before one that idles is woken.
    end_s : float
        When the run ends, done or not. [s]
    work_s : ndarray, shape (request + 1,)
        Work of all requests before each, in order of arrival. [replica s]
    scale : ndarray, shape (9,)
        How replicas are started and parked: seconds between two decisions (0: never), look-back [s], seconds for which
        one must be too many, load that is aimed at [pu], least, how many work at the start, seconds that a start takes,
        power while starting and parked [W].
    bin_s : float
        Length of a bin of ``energy_j``, ``busy`` and ``up``. [s]
    energy_j : ndarray, shape (bin,)
        Energy of all replicas, added to. [J]
    busy : ndarray, shape (bin,)
        Time that sequences spend in batches, summed over them, added to. [s]
    up : ndarray, shape (bin,)
        Time that replicas are not parked, summed over them, added to; only where they are parked. [s]
    spent_s : ndarray, shape (batch + 4,)
        Time of all replicas, added to: idle, at each batch size, reading prompts, parked, starting. [s]
    first_s, done_s : ndarray, shape (request,)
        When the first and the last token came; NaN where they did not. [s]
    state : ndarray, shape (request,)
        0 never came, 1 waits, 2 runs, 3 done, 4 refused.
    totals : ndarray, shape (4,)
        Integral of the number in the system [request s]; last event [s]; largest queue; energy behind the bins [J].
    """
    count = at_s.size
    most = token_s.size - 1
    end_bins = energy_j.size * bin_s
    queue = np.empty(count, dtype=np.int64)
    head, tail, coming = 0, 0, 0
    heap_at = np.empty((replicas, most), dtype=np.int64)  # iteration after which a sequence is done
    heap_id = np.empty((replicas, most), dtype=np.int64)
    batch = np.zeros(replicas, dtype=np.int64)
    turn = np.zeros(replicas, dtype=np.int64)  # iterations done
    held = np.zeros(replicas, dtype=np.int64)  # tokens of context
    since = np.zeros(replicas)  # start of the run under way
    until = np.full(replicas, FAR)  # its end
    extra = np.zeros(replicas)  # what its first iteration is longer by
    fresh = np.zeros(replicas, dtype=np.int64)  # admitted with it: their first token comes at its end
    newest = np.empty((replicas, most), dtype=np.int64)
    inside, last, area, largest, behind = 0, 0.0, 0.0, 0, 0.0
    mode = np.zeros(replicas, dtype=np.int64)  # 0 works, 1 parked, 2 starts, 3 takes no more and will be parked
    scaled = scale[0] > 0.0
    decide = scale[0] if scaled else FAR
    past, queued, too_many, needed = 0, 0.0, FAR, 0
    if scaled:
        mode[int(scale[5]) :] = 1

    while True:
        r = 0
        for i in range(1, replicas):
            if until[i] < until[r]:
                r = i
        arrival = at_s[coming] if coming < count else FAR
        if inside == 0 and coming == count and decide >= end_bins:
            decide = FAR
        now = min(arrival, until[r], decide)
        if now >= end_s or now >= FAR:
            break
        area += inside * (now - last)
        last = now
        if decide <= min(arrival, until[r]):
            # How many are wanted: what came in the look-back, and what waits, over the load that is aimed at.
            decide += scale[0]
            while past < coming and at_s[past] <= now - scale[1]:
                past += 1
            demand = (work_s[coming] - work_s[past] + queued) / min(now, scale[1]) / scale[3]
            wanted = int(min(max(np.ceil(demand - 1e-9), scale[4]), replicas))
            on = 0
            for i in range(replicas):
                on += mode[i] == 0 or mode[i] == 2
            if wanted >= on:
                too_many = FAR
            elif too_many == FAR:
                too_many, needed = now, wanted
            else:
                needed = max(needed, wanted)
            for i in range(replicas):  # first those that still work, then those that must start
                if on < wanted and mode[i] == 3:
                    mode[i] = 0
                    on += 1
                    if extra[i] == 0.0 and head < tail:
                        one = token_s[batch[i]]
                        until[i] = min(until[i], max(now, since[i] + np.ceil((now - since[i]) / one - 1e-9) * one))
            for i in range(replicas):
                if on < wanted and mode[i] == 1:
                    behind += _add(energy_j, bin_s, since[i], now, scale[8])
                    spent_s[most + 2] += now - since[i]
                    mode[i], since[i], until[i] = 2, now, now + scale[6]
                    on += 1
            if now - too_many >= scale[2]:
                while on > needed:
                    pick = -1  # one that starts, else one that idles, else the one with the least to do
                    for i in range(replicas):
                        may = mode[i] == 2 or (mode[i] == 0 and (pick < 0 or mode[pick] == 0))
                        if may and (pick < 0 or mode[i] == 2 or batch[i] < batch[pick]):
                            pick = i
                    on -= 1
                    if batch[pick] > 0:
                        mode[pick] = 3
                        continue
                    starts = mode[pick] == 2
                    behind += _add(energy_j, bin_s, since[pick], now, scale[7] if starts else idle_w)
                    _add(up, bin_s, since[pick], now, 1.0)
                    spent_s[most + 3 if starts else 0] += now - since[pick]
                    mode[pick], since[pick], until[pick] = 1, now, FAR
                too_many = FAR
            continue
        if arrival < until[r]:
            if tail - head >= queue_limit:
                state[coming] = 4
                coming += 1
                continue
            queue[tail] = coming
            tail += 1
            state[coming] = 1
            queued += work_s[coming + 1] - work_s[coming]
            inside += 1
            largest = max(largest, tail - head)
            coming += 1
            # Who takes it: the one that idles, or the first that has room at the end of an iteration.
            need = tokens_in[queue[tail - 1]] + tokens_out[queue[tail - 1]]
            free, best, soon = -1, -1, FAR
            for i in range(replicas):
                if mode[i] != 0:
                    continue
                if batch[i] == 0:
                    free = i if free < 0 else free
                elif batch[i] < most and held[i] + need <= context_tokens:
                    at = until[i]
                    if extra[i] == 0.0:
                        one = token_s[batch[i]]
                        at = min(at, since[i] + np.ceil((now - since[i]) / one - 1e-9) * one)
                    if at < soon:
                        best, soon = i, at
            if free >= 0 and (best < 0 or not pack):
                r = free
                behind += _add(energy_j, bin_s, since[r], now, idle_w)
                if scaled:
                    _add(up, bin_s, since[r], now, 1.0)
                spent_s[0] += now - since[r]
                since[r] = until[r] = now
            elif best >= 0:
                if extra[best] == 0.0:
                    until[best] = max(soon, now)
                continue
            else:
                continue
        else:
            # The end of a run: what it drew, and who is done.
            if scaled:
                _add(up, bin_s, since[r], now, 1.0)
            if batch[r] > 0:
                steps = 1
                if extra[r] > 0.0:
                    behind += _add(energy_j, bin_s, since[r], since[r] + extra[r], prefill_w)
                    spent_s[most + 1] += extra[r]
                else:
                    steps = int(np.round((until[r] - since[r]) / token_s[batch[r]]))
                behind += _add(energy_j, bin_s, since[r] + extra[r], now, power_w[batch[r]])
                spent_s[batch[r]] += now - (since[r] + extra[r])
                _add(busy, bin_s, since[r], now, float(batch[r]))
                turn[r] += steps
                for j in range(fresh[r]):
                    first_s[newest[r, j]] = now
                fresh[r] = 0
                while batch[r] > 0 and heap_at[r, 0] <= turn[r]:
                    one_done = heap_id[r, 0]
                    done_s[one_done] = now
                    state[one_done] = 3
                    inside -= 1
                    held[r] -= tokens_in[one_done] + tokens_out[one_done]
                    batch[r] -= 1
                    _sink(heap_at[r], heap_id[r], batch[r])
            elif mode[r] == 2:  # its weights are loaded
                behind += _add(energy_j, bin_s, since[r], now, scale[7])
                spent_s[most + 3] += now - since[r]
                mode[r] = 0
            since[r] = now
            extra[r] = 0.0
        # Admit what fits, and begin the next run.
        read = 0
        while head < tail and batch[r] < most and mode[r] == 0:
            one_new = queue[head]
            need = tokens_in[one_new] + tokens_out[one_new]
            if batch[r] > 0 and held[r] + need > context_tokens:
                break
            if read > 0 and read + tokens_in[one_new] > prompt_tokens:
                break
            head += 1
            queued -= work_s[one_new + 1] - work_s[one_new]
            state[one_new] = 2
            read += tokens_in[one_new]
            held[r] += need
            newest[r, fresh[r]] = one_new
            fresh[r] += 1
            _rise(heap_at[r], heap_id[r], batch[r], turn[r] + tokens_out[one_new], one_new)
            batch[r] += 1
        if fresh[r] > 0 and head < tail:
            # Another request is the first in the queue: it may fit where the one before it did not.
            need = tokens_in[queue[head]] + tokens_out[queue[head]]
            for i in range(replicas):
                fits = 0 < batch[i] < most and held[i] + need <= context_tokens
                if fits and i != r and mode[i] == 0 and extra[i] == 0.0:
                    one = token_s[batch[i]]
                    soon = since[i] + np.ceil((now - since[i]) / one - 1e-9) * one
                    until[i] = min(until[i], max(now, soon))
        if batch[r] == 0:
            until[r] = FAR
            if mode[r] == 3:
                mode[r] = 1
            continue
        extra[r] = read * prefill_s_per_token
        steps = 1 if fresh[r] > 0 else heap_at[r, 0] - turn[r]
        until[r] = now + extra[r] + steps * token_s[batch[r]]
        if fresh[r] > 0 and extra[r] == 0.0:
            extra[r] = 1e-300  # a first iteration is never cut
    stop = end_s if end_s < FAR else last
    area += inside * (stop - last)
    for i in range(replicas):
        till = stop if batch[i] > 0 else max(stop, end_bins)
        if batch[i] > 0:
            middle = min(since[i] + extra[i], stop)
            behind += _add(energy_j, bin_s, since[i], middle, prefill_w)
            behind += _add(energy_j, bin_s, middle, stop, power_w[batch[i]])
            spent_s[most + 1] += middle - since[i]
            spent_s[batch[i]] += stop - middle
            _add(busy, bin_s, since[i], stop, float(batch[i]))
        else:
            which = 0 if mode[i] == 0 else (most + 2 if mode[i] == 1 else most + 3)
            rate = idle_w if mode[i] == 0 else (scale[8] if mode[i] == 1 else scale[7])
            behind += _add(energy_j, bin_s, since[i], till, rate)
            spent_s[which] += till - since[i]
        if scaled and mode[i] != 1:
            _add(up, bin_s, since[i], till, 1.0)
    totals[0], totals[1], totals[2], totals[3] = area, stop, largest, behind


def _add(into: Float, bin_s: float, start: float, stop: float, rate: float) -> float:
    """Add a constant rate from ``start`` to ``stop`` into bins; return what lies behind them."""
    if stop <= start:
        return 0.0
    end = into.size * bin_s
    behind = 0.0
    if stop > end:
        behind = (stop - max(start, end)) * rate
        stop = end
    if stop <= start:
        return behind
    k = min(int(start / bin_s), into.size - 1)
    last = min(int(stop / bin_s), into.size - 1)
    if k == last:
        into[k] += (stop - start) * rate
        return behind
    into[k] += ((k + 1) * bin_s - start) * rate
    for j in range(k + 1, last):
        into[j] += bin_s * rate
    into[last] += (stop - last * bin_s) * rate
    return behind


def _rise(key: Any, item: Any, size: int, new_key: int, new_item: int) -> None:
    """Put an entry into a heap of ``size`` entries, the smallest first."""
    i = size
    while i > 0:
        up = (i - 1) // 2
        if key[up] <= new_key:
            break
        key[i], item[i] = key[up], item[up]
        i = up
    key[i], item[i] = new_key, new_item


def _sink(key: Any, item: Any, size: int) -> None:
    """Take the first entry out of a heap that has ``size`` entries without it."""
    moved_key, moved_item = key[size], item[size]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and key[down + 1] < key[down]:
            down += 1
        if key[down] >= moved_key:
            break
        key[i], item[i] = key[down], item[down]
        i = down
    key[i], item[i] = moved_key, moved_item
