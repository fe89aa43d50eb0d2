"""Stronger branches: what each overloaded line or transformer needs, and the sizes that there are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from gridedge.grid.reinforce import BranchFacts, Change, larger_types, next_rating
from gridedge.planning.remedies.bench import Bench, Measure, State
from gridedge.planning.remedies.prices import PriceList, cost_of

ROUNDS = 8
"""How often branches are strengthened anew: in a mesh a stronger branch draws current from others."""
_MOST_PARALLEL = 8  # lines or transformers side by side, beyond which nothing is proposed (chosen)


def stronger(bench: Bench, prices: PriceList, label: str, ratio: float, given: Sequence[Measure]) -> list[Measure]:
    """Return what lets a branch carry ``ratio`` times its limit: a larger one and one in parallel, the cheapest first.

    Parameters
    ----------
    bench : Bench
        The net.
    prices : PriceList
        What it costs; a measure without a price comes last.
    label : str
        The branch.
    ratio : float
        Flow over what is allowed, both in the net with ``given``.
    given : sequence of Measure
        What is done already; what is returned replaces those at the same branch.
    """
    now = bench.facts(label, given)
    before = bench.facts(label)
    found = [m for m in (_larger(bench, prices, before, now, ratio), _parallel(prices, before, now, ratio)) if m]
    return sorted(found, key=lambda m: math.inf if m.cost is None else m.cost.middle)


def _larger(bench: Bench, prices: PriceList, before: BranchFacts, now: BranchFacts, ratio: float) -> Measure | None:
    label = f"{now.table}:{now.index}"
    if now.table == "line":
        # The needed rating of each of those in parallel, as the net stood.
        needed_ka = now.rating_ka * ratio
        each = needed_ka / before.parallel
        df = before.rating_ka / before.parallel / float(bench.own.line.max_i_ka.at[now.index])
        types = [(n, i) for n, i in larger_types(bench.own, now.index) if i * df >= each * (1 - 1e-9)]
        if not types:
            return None
        name, rated = types[0]
        size = rated * df * before.parallel
        cost = cost_of(
            prices,
            "larger line",
            count=before.parallel,
            length_km=now.length_km,
            vn_kv=now.vn_kv,
            overhead=now.overhead,
        )
        mva = math.sqrt(3.0) * now.vn_kv * size
        words = f"{before.parallel} x {now.length_km:.2f} km of {name}"
        return Measure(
            "larger line", label, words, size, "kA", mva, needed_ka, Change("type", "line", now.index, name), cost=cost
        )
    per_unit = before.parallel if now.table == "trafo" else 1
    needed = now.rating_mva * ratio
    column = "sn_hv_mva" if now.table == "trafo3w" else "sn_mva"
    df = before.rating_mva / per_unit / float(bench.own[now.table].at[now.index, column])
    size = next_rating(needed / per_unit / df)
    kind = "larger impedance" if now.table == "impedance" else "larger transformer"
    cost = None if now.table == "impedance" else cost_of(prices, "transformer", count=per_unit, mva=size)
    many = f"{per_unit} of {size:g} MVA" if per_unit > 1 else f"{size:g} MVA"
    mva = size * df * per_unit
    words = f"{many} instead of {before.rating_mva:g} MVA"
    return Measure(kind, label, words, mva, "MVA", mva, needed, Change("rating", now.table, now.index, size), cost=cost)


def _parallel(prices: PriceList, before: BranchFacts, now: BranchFacts, ratio: float) -> Measure | None:
    if now.table not in ("line", "trafo"):
        return None
    one_mva = before.rating_mva / before.parallel
    count = math.ceil(now.rating_mva * ratio / one_mva - 1e-9)
    added = count - before.parallel
    if added < 1 or added > _MOST_PARALLEL:
        return None
    label = f"{now.table}:{now.index}"
    change = Change("parallel", now.table, now.index, count)
    mva = one_mva * count
    if now.table == "line":
        one_ka = before.rating_ka / before.parallel
        cost = cost_of(
            prices, "parallel line", count=added, length_km=now.length_km, vn_kv=now.vn_kv, overhead=now.overhead
        )
        words = f"{added} more of the same line beside it{_length(now)}"
        return Measure(
            "parallel line", label, words, one_ka * count, "kA", mva, now.rating_ka * ratio, change, cost=cost
        )
    cost = cost_of(prices, "transformer", count=added, mva=one_mva)
    words = f"{added} more of {one_mva:g} MVA beside it"
    return Measure("parallel transformer", label, words, mva, "MVA", mva, now.rating_mva * ratio, change, cost=cost)


def _length(facts: BranchFacts) -> str:
    return ", of unknown length" if math.isnan(facts.length_km) else f", {facts.length_km:.2f} km each"


def completed(bench: Bench, prices: PriceList, measures: Sequence[Measure]) -> tuple[list[Measure], State]:
    """Add stronger branches to measures until no branch is overloaded, or nothing helps; the cheapest at each branch.

    Greedy: every overloaded branch is given the cheapest size that would carry its flow as it is now, and the net is
    solved again, up to :data:`ROUNDS` times.
    """
    mine = list(measures)
    state = bench.look(mine)
    for _ in range(ROUNDS):
        if not state.ratio:
            break
        changed = False
        for label, ratio in state.ratio.items():
            options = stronger(bench, prices, label, ratio, mine)
            if options:
                mine = [m for m in mine if m.element != label or m.kind == "tap"] + [options[0]]
                changed = True
        if not changed:
            break
        state = bench.look(mine)
    return mine, state


def along_the_path(bench: Bench, prices: PriceList, given: Sequence[Measure], state: State) -> list[Measure]:
    """Return one more line beside each line that the site's current loads, the largest voltage drop first."""
    drops = []
    for n, label in enumerate(state.labels):
        if not label.startswith("line:"):
            continue
        facts = bench.facts(label, given) if given else bench.facts(label)
        added_ka = (state.loading[1, n] - state.loading[0, n]) / 100.0 * facts.rating_ka
        if added_ka > 0 and np.isfinite(facts.z_ohm):
            drops.append((added_ka * facts.z_ohm / facts.vn_kv, label, facts))
    drops.sort(key=lambda d: -d[0])
    total = sum(d[0] for d in drops)
    found: list[Measure] = []
    covered = 0.0
    for drop, label, facts in drops:
        if total <= 0 or covered > 0.98 * total or any(m.element == label for m in given):
            continue
        covered += drop
        cost = cost_of(prices, "parallel line", length_km=facts.length_km, vn_kv=facts.vn_kv, overhead=facts.overhead)
        count = facts.parallel + 1
        share = count / facts.parallel
        found.append(
            Measure(
                "parallel line", label, f"1 more of the same line beside it{_length(facts)}",
                facts.rating_ka * share, "kA", facts.rating_mva * share, np.nan,
                Change("parallel", "line", facts.index, count), cost=cost,
            )
        )  # fmt: skip
    return found
