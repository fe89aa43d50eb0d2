"""Remedies for voltages: taps, capacitors, and reactive power that the site gives or does not draw.

Sizes are found by exact power flows; the closed form behind them is that of two buses,
``V1^2 = V2^2 + 2 (R P + X Q) + (R^2 + X^2) (P^2 + Q^2) / V2^2``: what is missing at the bus is bought by Q over X.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence

import numpy as np

from gridedge.grid.reinforce import Change, tap_range
from gridedge.planning.hosting.bounds import NOISE
from gridedge.planning.remedies.bench import Bench, Measure, State
from gridedge.planning.remedies.prices import PriceList, cost_of
from gridedge.planning.remedies.thermal import along_the_path

STEP_MVAR = 0.3
"""Capacitors and var support are sized in multiples of this (chosen: three units of 100 kvar). [Mvar]"""
SWITCHING_PERCENT = 3.0
"""Change of voltage by one switching of a capacitor beyond which it is split into stages: the 3 % that utilities ask of
one event (Dominion, UK P28; quoted), or the voltage step among the limits. [%]"""
_LEADING = 0.9  # power factor beyond which a site is not asked to lead (chosen; 0.95 is what Ameren asks of a site)
_FINE_MVAR = 1e-4
_ROUNDS = 40


def tap_positions(bench: Bench, given: Sequence[Measure], prices: PriceList) -> list[tuple[Measure, bool]]:
    """Return, for each transformer that feeds the site, the nearest tap position that mends the voltages.

    Parameters
    ----------
    bench : Bench
        The net.
    given : sequence of Measure
        What is done already.
    prices : PriceList
        What a new setting costs.

    Returns
    -------
    list of (Measure, bool)
        With whether voltages hold then; where they do not, the position that comes nearest.
    """
    state = bench.look(given)
    found = []
    for n, label in enumerate(state.labels):
        table = label.split(":")[0]
        if table not in ("trafo", "trafo3w") or state.loading[1, n] - state.loading[0, n] <= 0:
            continue
        rating = bench.facts(label, given).rating_mva
        if (state.loading[1, n] - state.loading[0, n]) / 100.0 * rating < 0.2 * state.p_solved_mw:
            continue  # the site's power takes another way
        index = int(label.split(":")[1])
        allowed = tap_range(bench.own, table, index)
        if allowed is None:
            continue
        now, lowest, highest, up = allowed
        rising = _short(state, "low") or not _short(state, "high")
        way = int(up if rising else -up)
        best: tuple[float, Measure] | None = None
        position = now
        while lowest <= position + way <= highest:
            position += way
            words = f"position {position} instead of {now}"
            change = Change("tap", table, index, float(position))
            m = Measure("tap", label, words, position, "position", change=change, cost=cost_of(prices, "tap"))
            after = bench.look([*given, m])
            room = min(after.room_of("low"), after.room_of("high"))
            if after.unsolved:
                room = -math.inf
            if best is None or room > best[0]:
                best = room, m
            if room >= -NOISE or _short(after, "high" if rising else "low"):
                break
        if best is not None and best[0] > min(state.room_of("low"), state.room_of("high")) + NOISE:
            found.append((best[1], best[0] >= -NOISE))
    return found


def _short(state: State, kind: str) -> bool:
    return state.room_of(kind) < -NOISE


def capacitor(bench: Bench, given: Sequence[Measure], prices: PriceList, bus: int) -> tuple[Measure, bool] | None:
    """Return the smallest capacitor at a bus that lifts the lowest voltage, and whether it does; None if none is low.

    It is fixed: it stays on in the light hour, where it must not lift a voltage too high.  How much it changes voltages
    when it is switched there is measured, and where that is more than one event may, it comes in stages.
    """

    def made(mvar: float, needed: float = math.nan) -> Measure:
        change = Change("capacitor", "bus", bus, mvar)
        return Measure("capacitor", f"bus {bus}", f"{mvar:g} Mvar", mvar, "Mvar", mvar, needed, change)

    # Beyond what the bus can draw at all a capacitor comes into resonance with the net.
    sized = _sized(bench, given, made, ("low",), min(1.5 * bench.wanted_mw, bench.reach_mw))
    if sized is None:
        return None
    needed, enough = sized
    mvar = _rounded(needed)
    m = made(mvar, needed)
    on, off = bench.look([*given, m]), bench.look(given)
    percent = 100.0 * float(np.nanmax(np.abs(on.base.vm_pu - off.base.vm_pu)))
    bound = min([SWITCHING_PERCENT, *(100 * float(g.bounds.step.min()) for g in bench.groups)])
    stages = max(1, math.ceil(percent / bound - 1e-9))
    words = f"{mvar:g} Mvar at nominal voltage in {stages} stage{'s' if stages > 1 else ''}"
    words += f"; switching all of it changes a voltage by {percent:.2f} %"
    vn_kv = float(bench.own.bus.vn_kv.at[bus])
    cost = cost_of(prices, "capacitor", mvar=mvar, vn_kv=vn_kv)
    return dataclasses.replace(m, words=words, cost=cost), enough and not _short(on, "high")


def var_support(
    bench: Bench, given: Sequence[Measure], prices: PriceList, kinds: Sequence[str] = ("low", "step")
) -> tuple[Measure, bool] | None:
    """Return the least reactive power by which the site must draw less, and whether that is enough.

    It follows the site's power, so it does nothing when the site is off.  A power factor of 0.9 leading is the most.
    """
    drawn = bench.q_per_p * bench.wanted_mw
    most = drawn + bench.wanted_mw * math.tan(math.acos(_LEADING))

    def made(mvar: float, needed: float = math.nan) -> Measure:
        return Measure("var support", f"bus {bench.bus}", "", mvar, "Mvar", mvar, needed, support_mvar=mvar)

    sized = _sized(bench, given, made, kinds, most)
    if sized is None:
        return None
    needed, enough = sized
    return support_of(bench, prices, min(_rounded(needed), most), needed), enough


def support_of(bench: Bench, prices: PriceList, mvar: float, needed: float = math.nan) -> Measure:
    """Return var support of a size, said as a power factor and apparent power at the meter."""
    q_mvar = bench.q_per_p * bench.wanted_mw - mvar
    site_mva = math.hypot(bench.wanted_mw, q_mvar)
    factor = bench.wanted_mw / site_mva
    side = "unity" if abs(q_mvar) < 1e-9 else f"{factor:.3f} {'lagging' if q_mvar > 0 else 'leading'}"
    words = f"{mvar:.3g} Mvar: power factor {side} at the meter, {site_mva:.3g} MVA"
    cost = cost_of(prices, "var support", mvar=mvar)
    return Measure("var support", f"bus {bench.bus}", words, mvar, "Mvar", mvar, needed, support_mvar=mvar, cost=cost)


def _rounded(mvar: float) -> float:
    return round(STEP_MVAR * math.ceil(mvar / STEP_MVAR - 1e-9), 6)


def _sized(
    bench: Bench, given: Sequence[Measure], made: Callable[[float], Measure], kinds: Sequence[str], most: float
) -> tuple[float, bool] | None:
    """Return the least size of a measure with which limits of some kinds hold; the most there is, if that is less.

    A regula falsi on the room (Illinois), which is nearly linear in reactive power; every value is an exact power flow.
    """

    def room(mvar: float) -> float:
        state = bench.look([*given, made(mvar)] if mvar > 0 else list(given))
        return -1.0 if state.unsolved else min(1.0, *(state.room_of(k) for k in kinds))

    low, at_low = 0.0, room(0.0)
    if at_low >= -NOISE:
        return None
    high = min(most, max(STEP_MVAR, 0.25 * bench.wanted_mw))
    at_high = room(high)
    while at_high < -NOISE and high < most:
        low, at_low = high, at_high
        high = min(most, 2 * high)
        at_high = room(high)
    if at_high < -NOISE:
        return (high, False) if at_high > at_low or low == 0.0 else (low, False)
    for _ in range(_ROUNDS):
        if high - low < _FINE_MVAR:
            break
        middle = high - at_high * (high - low) / (at_high - at_low) if at_high > at_low else 0.5 * (low + high)
        middle = min(max(middle, low + 0.01 * (high - low)), high - 0.01 * (high - low))
        value = room(middle)
        if value >= -NOISE:
            high, at_high, at_low = middle, max(value, 0.0), 0.5 * at_low
        else:
            low, at_low, at_high = middle, value, 0.5 * at_high
    return high, True


def parallel_lines(
    bench: Bench, given: Sequence[Measure], prices: PriceList, kinds: Sequence[str]
) -> tuple[list[Measure], bool] | None:
    """Return the fewest lines of the site's path that must be doubled, those with the largest voltage drop first."""
    state = bench.look(given)
    path = along_the_path(bench, prices, given, state)
    if not path:
        return None
    count = 1
    while True:
        mine = path[:count]
        after = bench.look([*given, *mine])
        if not after.unsolved and min(after.room_of(k) for k in kinds) >= 0 - NOISE:
            return mine, True
        if count >= len(path):
            return mine, False
        count = min(len(path), max(count + 1, int(1.5 * count)))
