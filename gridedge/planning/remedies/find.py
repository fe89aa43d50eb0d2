"""The verb ``remedies``: what lets a bus take a wished size, with its MVA and a dated price."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from gridedge.errors import bad, is_number
from gridedge.grid.inject import Background, private_copy
from gridedge.measure.limit_sets import Given, load_limits
from gridedge.planning.hosting.bounds import NOISE
from gridedge.planning.hosting.capacity import hosting_capacity
from gridedge.planning.hosting.hours import Hours
from gridedge.planning.remedies.bench import SURE, Bench, Broken, Measure, State
from gridedge.planning.remedies.prices import PriceList, load_prices
from gridedge.planning.remedies.result import Plan, RemedyResult, Single
from gridedge.planning.remedies.thermal import completed, stronger
from gridedge.planning.remedies.voltage import capacitor, parallel_lines, support_of, tap_positions, var_support
from gridedge.sites.facility import tan_phi

_VOLTAGES = ("low", "high", "step", "losses")  # what taps, reactive power or stronger lines may mend
_SHOWN = 5  # plans that are kept
_BRANCHES = 12  # overloaded branches whose measures are tried one by one


def remedies(
    net: Any,
    bus: int | str,
    wanted_mw: float,
    *,
    power_factor: float = 0.98,
    limits: Given = ("en50160", "ratings"),
    existing: Literal["absolute", "no_worse"] = "absolute",
    shape: Any = None,
    background: Background = None,
    n_minus_1: bool = False,
    supply: Literal["auto", "slack", "headroom"] = "auto",
    taps: Literal["held"] = "held",
    tol_mw: float = 0.01,
    hours: Hours = "all",
    prices: Any = None,
) -> RemedyResult:
    """Find what lets a bus take a wished size: every limit that binds, what lifts each, and the cheapest proven set.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    bus : int or str
        Where the site stands.
    wanted_mw : float
        Its wished size at the meter. [MW]
    power_factor, limits, existing, shape, background, supply, tol_mw, hours
        As for :func:`gridedge.hosting_capacity`.
    taps : {"held"}
        Tap changers stay where the net or a measure has them.
    n_minus_1 : bool
        Remedies are proven for the whole net alone; True is refused.
    prices : str, path or dict, optional
        A price list of one's own (:class:`gridedge.planning.remedies.prices.PriceList`); without, the shipped one.

    Returns
    -------
    RemedyResult

    Raises
    ------
    InputError
        If an argument cannot be used, as for :func:`gridedge.hosting_capacity`.
    RunError
        If the net has no solution without the site.

    Notes
    -----
    Measures are a larger line of the net's own standard types or one more beside it, a larger transformer (next
    preferred rating) or one more beside it, tap positions of the transformers that feed the site, a fixed capacitor at
    the site or at the lowest bus, var support at the site, and doubled lines along its path.  Each is applied to a copy
    of the net, and every limit is checked by exact power flows in every step at sizes from zero to the wished one.

    Sets are searched so: stronger branches are added greedily, the cheapest at each; then every measure against
    voltages, alone; then, if none is enough, every pair of them; each completed by stronger branches and rid of what it
    does not need.  So a set is proven, and the cheapest of those that were tried, not of all there are.  Of the
    cheapest the capacity is searched anew: it is not below the wished size.

    References
    ----------
    .. [1] Two buses: V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2; see docs/remedies.md.
    """
    if not is_number(wanted_mw) or not wanted_mw > 0:
        raise bad("wanted_mw must be positive", wanted_mw, "Give megawatts at the meter.")
    if taps != "held":
        raise bad("remedies hold the taps where the net or a measure has them", f"taps={taps!r}", 'Give taps="held".')
    if n_minus_1:
        raise bad("remedies are proven for the whole net alone", "n_minus_1=True", "Leave it out.")
    whole, price_list = load_limits(limits), load_prices(prices)
    asked: dict[str, Any] = {
        "limits": whole, "existing": existing, "shape": shape, "background": background, "supply": supply,
        "tol_mw": tol_mw, "hours": hours,
    }  # fmt: skip
    own, said = private_copy(net)
    now = hosting_capacity(own, buses=[bus], power_factor=power_factor, **asked)
    capacity = float(now.capacity_mw[0])
    place, name = int(now.data["bus"][0]), str(now.data["bus_name"][0].values)
    currency = price_list.prices[0].currency if price_list.prices else ""
    if wanted_mw <= capacity:
        return RemedyResult(place, name, wanted_mw, capacity, remarks=(*said, *now.remarks), currency=currency)
    q_per_p = tan_phi(power_factor)
    bench = Bench(own, place, wanted_mw, q_per_p, whole, existing == "no_worse", background, shape, supply, hours)
    before = bench.look((), SURE)
    broken = before.broken or _between(now)
    singles = _singles(bench, price_list, before)
    plans, reasons = _plans(bench, price_list)
    proven = _proven(bench, plans, asked)
    remarks = [*said, *now.remarks, *_said(before, proven, existing)]
    if plans and not proven:
        reasons = ["the sets that hold at the sizes tried break a limit between them"]
    return RemedyResult(
        place, name, wanted_mw,
        capacity, tuple(broken), tuple(singles), tuple(proven), tuple(reasons), tuple(dict.fromkeys(remarks)), currency,
        bench.looks,
    )  # fmt: skip


def _between(now: Any) -> tuple[Broken, ...]:
    """Return what binds between two of the sizes that were looked at, from the search itself."""
    row = now.data.isel(bus=0)
    p_mw, time_s = float(row["capacity_mw"]), float(row["time_s"])
    return (Broken(str(row["kind"].values), str(row["element"].values), math.nan, math.nan, p_mw, time_s),)


def _singles(bench: Bench, prices: PriceList, before: State) -> list[Single]:
    """Try each measure alone."""
    tried: list[tuple[Sequence[Measure], str]] = []
    for label, ratio in sorted(before.ratio.items(), key=lambda pair: -pair[1])[:_BRANCHES]:
        tried += [((m,), f"loading at {label}") for m in stronger(bench, prices, label, ratio, ())]
    voltages = [b for b in before.broken if b.kind in _VOLTAGES]
    if voltages and not before.unsolved:
        worst = " and ".join(b.name for b in voltages)
        tried += [(m, worst) for m in _against_voltage(bench, prices, (), before)]
    found = []
    for measures, _ in tried:
        after = bench.look(measures)
        left = {b.name for b in after.broken}
        kinds = {b.kind for b in after.broken}
        new = [b.name for b in after.broken if b.kind not in {o.kind for o in before.broken}]
        for b in before.broken:
            aims = b.element == measures[0].element if b.kind == "loading" else measures[0].kind not in _THERMAL
            aims = aims or (b.kind in _VOLTAGES and len(measures) > 1)
            if not aims or b.kind == "no solution" or (b.kind == "loading" and measures[0].kind not in _THERMAL):
                continue
            lifts = (b.name not in left if b.kind == "loading" else b.kind not in kinds) and not after.unsolved
            note = f"breaks {new[0]}" if new else ("" if lifts else "not enough")
            if lifts or b.kind in _VOLTAGES or b.kind == "loading":
                found += (
                    [Single(b.name, m, lifts, note) for m in measures[:1]]
                    if len(measures) == 1
                    else [Single(b.name, _together(measures), lifts, note)]
                )
    return found


_THERMAL = ("larger line", "parallel line", "larger transformer", "parallel transformer", "larger impedance")


def _together(measures: Sequence[Measure]) -> Measure:
    """Return several lines as one entry of a table."""
    from gridedge.planning.remedies.prices import Cost

    costs = [m.cost for m in measures if m.cost]
    cost = None
    if len(costs) == len(measures):
        first = costs[0]
        cost = Cost(
            sum(c.low for c in costs), sum(c.high for c in costs), first.currency, first.date, first.source, first.known
        )
    words = f"1 more beside each of {len(measures)} lines: {', '.join(m.element for m in measures[:4])}"
    words += ", ..." if len(measures) > 4 else ""
    return Measure("parallel line", "the path", words, float(len(measures)), "lines", cost=cost)


def _against_voltage(
    bench: Bench, prices: PriceList, given: Sequence[Measure], state: State
) -> list[tuple[Measure, ...]]:
    """Return what may mend the voltages of a state, each sized to be enough or to be the most there is."""
    short = [k for k in _VOLTAGES if state.room_of(k) < -NOISE]
    found: list[tuple[Measure, ...]] = []
    if "low" in short or "high" in short:
        found += [(m,) for m, _ in tap_positions(bench, given, prices)]
    low = [k for k in short if k in ("low", "step", "losses")]
    if state.unsolved and "low" not in low:
        low.append("low")
    if "low" in low:
        lowest = next((int(b.element.split()[-1]) for b in state.broken if b.kind == "low"), bench.bus)
        for bus in dict.fromkeys((bench.bus, lowest)):
            sized = capacitor(bench, given, prices, bus)
            found += [(sized[0],)] if sized else []
    if low:
        helped = var_support(bench, given, prices, low)
        found += [(helped[0],)] if helped else []
        doubled = parallel_lines(bench, given, prices, low)
        found += [tuple(doubled[0])] if doubled else []
    return found


def _plans(bench: Bench, prices: PriceList) -> tuple[list[Plan], list[str]]:
    """Return sets that lift everything, the cheapest first, and why there is none."""
    strong, state = completed(bench, prices, ())
    plans = _kept(bench, [strong] if state.holds else [])
    drawn = bench.q_per_p * bench.wanted_mw
    if drawn > 0:  # less current everywhere: a branch may then be strong enough
        unity = support_of(bench, prices, drawn)
        mine, after = completed(bench, prices, (unity,))
        plans += _kept(bench, [mine] if after.holds else [])
    if not state.holds and not state.ratio:
        seeds = _against_voltage(bench, prices, strong, state)
        done = [completed(bench, prices, [*strong, *seed]) for seed in seeds]
        plans += _kept(bench, [m for m, s in done if s.holds])
        if not plans:
            for seed, (mine, half) in zip(seeds, done, strict=True):
                if half.unsolved or half.ratio:
                    continue
                for other in _against_voltage(bench, prices, mine, half):
                    if other[0].kind == seed[0].kind and other[0].element == seed[0].element:
                        continue
                    both, after = completed(bench, prices, [*mine, *other])
                    plans += _kept(bench, [both] if after.holds else [])
    plans.sort(key=lambda p: p.rank)
    unique = list({tuple((m.kind, m.element, m.size) for m in p.measures): p for p in reversed(plans)}.values())
    unique.sort(key=lambda p: p.rank)
    return unique[:_SHOWN], ([] if unique else _why(bench, prices, state))


def _kept(bench: Bench, sets: Iterable[Sequence[Measure]]) -> list[Plan]:
    """Prove sets at many sizes, and drop from each what it does not need, the dearest first."""
    found = []
    for measures in sets:
        if not bench.look(measures, SURE).holds:
            continue
        mine = list(measures)
        for m in sorted(measures, key=lambda m: -(m.cost.middle if m.cost else math.inf)):
            fewer = [other for other in mine if other is not m]
            if len(mine) > 1 and bench.look(fewer).holds and bench.look(fewer, SURE).holds:
                mine = fewer
        found.append(Plan(tuple(mine)))
    return found


def _why(bench: Bench, prices: PriceList, state: State) -> list[str]:
    """Say of each limit that is still broken why nothing lifts it."""
    said = []
    for b in state.broken:
        if b.kind == "no solution":
            said.append(
                f"{b.name}: the power flow has no solution at {b.p_mw:.4g} MW with the branches as strong as proposed; "
                "the site needs a stronger source or another bus"
            )
        elif b.kind == "loading" and not stronger(bench, prices, b.element, state.ratio.get(b.element, 1.0), ()):
            said.append(f"{b.name}: it needs {b.needed_mva:.4g} MVA, beyond any standard size or 8 in parallel")
        elif b.kind == "losses":
            said.append(
                f"{b.name}: {b.value:.4g} MW against {b.limit:.4g} MW; no measure, nor a pair of them, is enough"
            )
        else:
            said.append(f"{b.name}: {b.value:.4g} against {b.limit:.4g}; no measure, nor a pair of them, is enough")
    return said


def _proven(bench: Bench, plans: Sequence[Plan], asked: dict[str, Any]) -> list[Plan]:
    """Search the capacity of the net with the cheapest plan anew; a plan that does not reach the wish is dropped."""
    if asked["existing"] == "no_worse":
        return list(plans)  # the verb would compare with the net that has the measures, and forgive what they break
    left = list(plans)
    while left:
        tangent = bench.tangent(left[0].measures)
        factor = float(np.copysign(np.cos(np.arctan(tangent)), tangent if tangent else 1.0))
        found = hosting_capacity(bench.net(left[0].measures), buses=[bench.bus], power_factor=factor, **asked)
        capacity = float(found.capacity_mw[0])
        if capacity >= bench.wanted_mw - asked["tol_mw"]:
            return [Plan(left[0].measures, capacity), *left[1:]]
        left = left[1:]
    return []


def _said(before: State, plans: Sequence[Plan], existing: str) -> list[str]:
    said = []
    kinds = {m.kind for p in plans for m in p.measures}
    if plans:
        said.append("Prices are ranges of their own dates, not brought to one year, without studies and land.")
    if "capacitor" in kinds:
        said.append(
            "Capacitors are fixed: checked in the lightest step too, with the site off; resonance is not studied."
        )
    if "var support" in kinds:
        said.append("Var support follows the site's power at a constant power factor: it costs nothing where the "
                    "site's own converters have the room.")  # fmt: skip
    if any(p.measures and m.cost is None for p in plans for m in p.measures):
        said.append("A measure without a price comes last.")
    if existing == "no_worse":
        said.append("With no_worse a set is proven up to the wished size, no further.")
    if before.unsolved:
        solved = f"{before.p_solved_mw:.4g} MW"
        said.append(f"At the wished size there is no solution: what the site adds at {solved} is scaled up to it.")
    return said
