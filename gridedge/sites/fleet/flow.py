"""Requests on their way through a fleet, step by step: the nearest site with room, and what happens when one fails.

Work is counted in replica-seconds: a request of a class takes one over the capacity of a replica. The router believes
that a site is there until it has found out that it is not, within a step if need be; what it sends there in the
meantime, and what was being served there, waits for that long, and begins again elsewhere.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridedge.profiles.inference.scaling import advance

Float = NDArray[np.float64]
Index = NDArray[np.int64]


def flow(
    rate_per_s: Float, asks: Float, dt_s: float, work_s: Float, replicas: Float, has: NDArray[np.bool_],
    first: Index, pair_place: Index, pair_site: Index, stays: NDArray[np.bool_], network_s: Float,
    slack_s: Float, patience_s: Float, stay_s: Float, again_s: Float, fails_s: Float,
    back_s: Float, detect_s: float, ready_s: Float, most_pu: Float, policy: Float, units: Float, start_s: Float,
    load: Float, queue: Float, taken: Float, late_t: Float, refused_t: Float, books: Float, by_site: Float,
    by_pair: Float, awake: Float, starting: Float,
) -> None:  # fmt: skip
    """Carry rates through sites.

    Parameters
    ----------
    rate_per_s : ndarray, shape (class, time)
        What is asked; classes in the order in which they are given room. [1/s]
    asks : ndarray, shape (class, place)
        Share of a class that each place asks.
    dt_s : float
        Step. [s]
    work_s : ndarray, shape (class,)
        Work of a request. [replica s]
    replicas : ndarray, shape (site,)
        Replicas of each site.
    has : ndarray of bool, shape (class, site)
        Whether the site holds the class's model.
    first : ndarray of int, shape (class + 1,)
        Where the pairs of each class begin and end.
    pair_place, pair_site : ndarray of int, shape (pair,)
        Of each class, every place that asks and every site that it may ask, nearest first.
    stays : ndarray of bool, shape (class,)
        Whether what was under way at a site that fails may not go to another, and is refused.
    network_s : ndarray, shape (pair,)
        There and back. [s]
    slack_s : ndarray, shape (class,)
        What a request may spend on the network and in a queue and still be in time. [s]
    patience_s : ndarray, shape (class,)
        A request that would wait longer is refused. [s]
    stay_s : ndarray, shape (class,)
        Time from first to last token: what is being served when a site fails. [s]
    again_s : ndarray, shape (class,)
        Work beyond a new request's of one that moves: its context is read again. [replica s]
    fails_s, back_s : ndarray, shape (site,)
        When a site fails, and when it is back; infinite for never. [s]
    detect_s : float
        From the failure to the first request that is sent elsewhere. [s]
    ready_s : ndarray, shape (class, site)
        From when on a site that has not the model can serve it, its weights loaded; infinite for never. [s]
    most_pu : ndarray, shape (site, time) or (site, 0)
        Share of each site's replicas that may work in a step; empty where none is held back.
    policy : ndarray, shape (5,)
        Whether replicas are parked; steps of look-back, and for which they must have been too many; the load that is
        aimed at, of all that a working replica can do over what is asked of it here; the fewest of a site.
    units : ndarray, shape (site,)
        In how many pieces a site is parked and started.
    start_s : ndarray, shape (site,)
        Length of a start. [s]
    load : ndarray, shape (site, time)
        Out: share of the replicas at work.
    queue : ndarray, shape (site, time)
        Out: requests that wait at the end of the step.
    taken : ndarray, shape (class, site, time)
        Out: requests per second that a site takes on. [1/s]
    late_t, refused_t : ndarray, shape (class, time)
        Out: requests of each step that turn out late, or are refused.
    books : ndarray, shape (class, 6)
        Out: offered, served in time, served late, refused, still in the system, network time of what was taken [s].
    by_site : ndarray, shape (class, site, 4)
        Out: taken on, served, handed over when it failed, still there.
    by_pair : ndarray, shape (pair,)
        Out: requests that went this way without waiting.
    awake, starting : ndarray, shape (site, time)
        Out, where replicas are parked: pieces that work and that start, mean of each step.

    Notes
    -----
    Where replicas are parked, a site has room for what its working ones can do in the step.  It decides at the
    beginning of a step, from the work that has come to it in the look-back and the work that waits, as
    :func:`gridedge.profiles.inference.scaling.follow` does; in its first step, and when it comes back, all work.
    """
    classes, steps = rate_per_s.shape
    places = asks.shape[1]
    sites = replicas.size
    ok = np.zeros((classes, sites))  # waiting, will be in time
    bad = np.zeros((classes, sites))  # waiting, will be late
    limbo = np.zeros((classes, sites))  # sent to a site that is not there
    moved = np.zeros(classes)  # to be sent again now
    down = np.zeros(sites, dtype=np.bool_)
    debt = np.zeros(sites)  # work of contexts that are to be read again
    room = np.zeros(sites)
    blind = np.ones(sites)  # part of the step in which the router believes that a site is there
    left = np.zeros(places)
    able = replicas.copy()  # what works of each site
    parks = policy[0] > 0.0
    held = most_pu.shape[1] > 0
    look_back, keep = int(policy[1]), int(policy[2])
    state = np.zeros((sites, 4))
    longest = int(start_s.max() / dt_s) if parks else 0
    coming = np.zeros((sites, steps + longest + 3)) if parks else np.zeros((sites, 1))
    came = np.zeros((sites, steps + 1)) if parks else np.zeros((sites, 1))  # work, summed up to each step
    begun = np.zeros(sites)
    since = np.zeros(sites, dtype=np.int64)  # step since which a site is there
    for k in range(steps):
        now = k * dt_s
        moved[:] = 0.0
        for s in range(sites):
            dead = fails_s[s] <= now < back_s[s]
            if dead and not down[s]:
                down[s] = True
                for c in range(classes):
                    # What is being served goes with what waits.
                    inside = taken[c, s, k - 1] * stay_s[c] if k > 0 else 0.0
                    inside = min(inside, by_site[c, s, 1])
                    by_site[c, s, 1] -= inside
                    gone = ok[c, s] + bad[c, s] + inside
                    # Those that had been counted as served are taken back, in time or late as they were.
                    total = books[c, 1] + books[c, 2]
                    if total > 0.0:
                        back = inside * books[c, 1] / total
                        books[c, 1] -= back
                        books[c, 2] -= inside - back
                    limbo[c, s] += gone
                    ok[c, s] = bad[c, s] = 0.0
            elif not dead and down[s]:
                down[s] = False
            if down[s] and now >= fails_s[s] + detect_s:
                for c in range(classes):
                    moved[c] += limbo[c, s]
                    by_site[c, s, 2] += limbo[c, s]
                    limbo[c, s] = 0.0
            if not dead:
                for c in range(classes):
                    if limbo[c, s] > 0.0:  # it came back before anybody had noticed
                        bad[c, s] += limbo[c, s]
                        limbo[c, s] = 0.0
            if dead:
                debt[s] = 0.0
            waits = debt[s]
            for c in range(classes):
                waits += (ok[c, s] + bad[c, s]) * work_s[c]
            blind[s] = 1.0
            if down[s]:
                blind[s] = min(max((fails_s[s] + detect_s - now) / dt_s, 0.0), 1.0)
            if parks and dead:
                since[s] = k + 1
                coming[s, :] = 0.0
                starting[s, k:] = 0.0
                able[s] = replicas[s]  # until somebody notices
            elif parks and k == since[s]:
                awake[s, k] = units[s]  # nobody knows yet how many are needed
                able[s] = replicas[s]
            elif parks:
                span = min(look_back, k - since[s])
                arrived = (came[s, k] - came[s, k - span]) / span
                demand = (arrived + waits / look_back) / (replicas[s] * dt_s) * units[s] / policy[3]
                begin = since[s] + 1
                awake[s, k] = advance(
                    k - begin, demand, dt_s, keep, policy[4], units[s], start_s[s], state[s], coming[s, begin:],
                    starting[s, begin:],
                )  # fmt: skip
                able[s] = replicas[s] * awake[s, k] / units[s]
            if held:
                most = replicas[s] * most_pu[s, k]
                able[s] = min(able[s], most) if parks else most
            begun[s] = waits
            room[s] = max(able[s] * dt_s * blind[s] - waits, 0.0)
        for c in range(classes):
            waiting = 0  # places that are not done
            for p in range(places):
                left[p] = rate_per_s[c, k] * asks[c, p] * dt_s
                books[c, 0] += left[p]
                if left[p] > 0.0:
                    waiting += 1
            # First what has to be moved: it has waited longest; late, where that took longer than it may.
            again = moved[c]
            if again > 0.0 and stays[c]:
                books[c, 3] += again
                refused_t[c, k] += again
            elif again > 0.0:
                for i in range(first[c], first[c + 1]):
                    s = pair_site[i]
                    if again <= 0.0:
                        break
                    if room[s] <= 0.0 or not (has[c, s] or now >= ready_s[c, s]) or down[s]:
                        continue
                    cost = work_s[c] + again_s[c]
                    x = min(again, room[s] / cost)
                    room[s] -= x * cost
                    again -= x
                    by_site[c, s, 0] += x
                    by_site[c, s, 1] += x
                    taken[c, s, k] += x / dt_s
                    load[s, k] += x * cost
                    slow = x * _far(c, s, slack_s[c] - detect_s, first, pair_place, pair_site, network_s, asks)
                    books[c, 1] += x - slow
                    books[c, 2] += slow
                    late_t[c, k] += slow
                if again > 0.0:  # nobody has room: it joins the queues
                    again = _join(
                        again, c, -1, now, first, pair_place, pair_site, network_s, asks, has, ready_s, down, able,
                        work_s, again_s[c], slack_s[c] - detect_s, patience_s[c], ok, bad, debt, by_site,
                    )  # fmt: skip
                    books[c, 3] += again
                    refused_t[c, k] += again
            for i in range(first[c], first[c + 1]):
                if waiting == 0:
                    break
                p, s = pair_place[i], pair_site[i]
                if left[p] <= 0.0 or room[s] <= 0.0 or not (has[c, s] or now >= ready_s[c, s]):
                    continue
                x = min(left[p] * blind[s], room[s] / work_s[c])
                room[s] -= x * work_s[c]
                left[p] -= x
                if left[p] <= 0.0:
                    waiting -= 1
                by_site[c, s, 0] += x
                books[c, 5] += x * network_s[i]
                by_pair[i] += x
                if down[s]:  # sent to where nobody is
                    limbo[c, s] += x
                    continue
                by_site[c, s, 1] += x
                taken[c, s, k] += x / dt_s
                load[s, k] += x * work_s[c]
                if network_s[i] > slack_s[c]:
                    books[c, 2] += x
                    late_t[c, k] += x
                else:
                    books[c, 1] += x
            for p in range(places):
                if left[p] > 0.0:
                    rest = _join(
                        left[p], c, p, now, first, pair_place, pair_site, network_s, asks, has, ready_s, down, able,
                        work_s, 0.0, slack_s[c], patience_s[c], ok, bad, debt, by_site,
                    )  # fmt: skip
                    books[c, 3] += rest
                    refused_t[c, k] += rest
        for s in range(sites):
            # What has waited is served with what is left of the step.
            if not down[s]:
                paid = min(debt[s], max(able[s] * dt_s - load[s, k], 0.0))
                debt[s] -= paid
                load[s, k] += paid
                waits = 0.0
                for c in range(classes):
                    waits += (ok[c, s] + bad[c, s]) * work_s[c]
                if waits > 0.0:
                    share = min(1.0, max(able[s] * dt_s - load[s, k], 0.0) / waits)
                    for c in range(classes):
                        x, y = share * ok[c, s], share * bad[c, s]
                        ok[c, s] -= x
                        bad[c, s] -= y
                        books[c, 1] += x
                        books[c, 2] += y
                        late_t[c, k] += y
                        by_site[c, s, 1] += x + y
                        taken[c, s, k] += (x + y) / dt_s
                    load[s, k] += share * waits
            if parks:
                ends = debt[s]
                for c in range(classes):
                    ends += (ok[c, s] + bad[c, s]) * work_s[c]
                came[s, k + 1] = came[s, k] + max(load[s, k] + ends - begun[s], 0.0)
            if replicas[s] > 0.0:
                load[s, k] /= replicas[s] * dt_s
            for c in range(classes):
                queue[s, k] += ok[c, s] + bad[c, s] + limbo[c, s]
    for c in range(classes):
        for s in range(sites):
            by_site[c, s, 3] = ok[c, s] + bad[c, s] + limbo[c, s]
            books[c, 4] += by_site[c, s, 3]


def _join(
    x: float, c: int, p: int, now: float, first: Index, pair_place: Index, pair_site: Index,
    network_s: Float, asks: Float, has: NDArray[np.bool_], ready_s: Float, down: NDArray[np.bool_],
    replicas: Float, work_s: Float, again_s: float, slack_s: float, patience_s: float, ok: Float, bad: Float,
    debt: Float, by_site: Float,
) -> float:  # fmt: skip
    """Let requests of a place (-1: any) queue where they wait least; return what is refused.

    ``again_s`` is their work beyond a new request's.
    """
    best, least = -1, np.inf
    for i in range(first[c], first[c + 1]):
        s = pair_site[i]
        if (p >= 0 and pair_place[i] != p) or down[s] or replicas[s] <= 0.0:
            continue
        if not (has[c, s] or now >= ready_s[c, s]):
            continue
        waits = debt[s]
        for j in range(ok.shape[0]):
            waits += (ok[j, s] + bad[j, s]) * work_s[j]
        wait = waits / replicas[s] + network_s[i]
        if wait < least:
            best, least = i, wait
    if best < 0:
        return x
    s = pair_site[best]
    # A queue of this class takes on what it can clear within its patience.
    fits = max((patience_s - least) * replicas[s] / work_s[c], 0.0)
    taken = min(x, fits)
    by_site[c, s, 0] += taken
    timely = 0.0
    if slack_s > least:
        timely = min(taken, (slack_s - least) * replicas[s] / work_s[c])
        if p < 0:
            timely *= 1.0 - _far(c, s, slack_s, first, pair_place, pair_site, network_s, asks)
    debt[s] += taken * again_s
    ok[c, s] += timely
    bad[c, s] += taken - timely
    return float(x - taken)


def _far(
    c: int, s: int, slack_s: float, first: Index, pair_place: Index, pair_site: Index, network_s: Float, asks: Float
) -> float:
    """Return the share of a class's askers who are too far from a site: what moves is not followed to its place."""
    far = 0.0
    for i in range(first[c], first[c + 1]):
        if pair_site[i] == s and network_s[i] > slack_s:
            far += asks[c, pair_place[i]]
    return min(far, 1.0)
