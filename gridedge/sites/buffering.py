"""The arithmetic of storage: one pass through a series, with one store, or two that share the work."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
_SHORT = 4_000  # samples; below, Python is done before the compiler is loaded
_WIDTH = 10  # numbers of a store in the flat list that the loop reads
_TOTALS = 5  # sums that it keeps of a store
_RETURN = 4.0  # the second store returns so much slower than the work is split: the battery then stays slow


class Store(NamedTuple):
    """A store as the loop knows it: powers at its terminals in MW, energies in MWh."""

    rated_mw: float
    full_mwh: float
    empty_mwh: float
    rest_mwh: float
    """Energy at the start, which it returns to."""
    charge_efficiency: float
    discharge_efficiency: float
    delay_s: float
    """Dead time between a command and its effect."""
    lag_s: float
    """Time constant of the first-order lag behind it; 0 for none."""


class Target(NamedTuple):
    """What a control law wants of the power: follow its low-pass, within a slope, while energies return."""

    mean_mw: float | None
    """Level that is held; None starts at the first sample."""
    follow_s: float
    """Time constant with which the level follows the load: 0 follows it at once, infinity never."""
    slope_mw_per_s: float
    """Largest slope of the wanted power; infinity for none."""
    recovery_s: float
    """Time constant of the return to the energy at the start; 0 for no return."""
    split_s: float = 1.0
    """Time constant of the low-pass whose output the first of two stores takes."""


@dataclass(frozen=True)
class Buffered:
    """What storage made of power series.

    Parameters
    ----------
    p_mw : ndarray, shape (row, time)
        Power behind the storage. [MW]
    stored_mw, lost_mw : ndarray, shape (row, time)
        Rate at which the energy of all stores grows, and what they lose, standby included. [MW]
    energy_mwh : ndarray, shape (row, store, time)
        Energy at the end of each step. [MWh]
    missed_mw : ndarray, shape (row,)
        Largest difference from the power that the law wanted. [MW]
    power_limited_s, energy_limited_s, throughput_mwh : ndarray, shape (row, store)
        Time at the power limit and at an end of the window [s]; energy put in and taken out, added up [MWh].
    lowest_mwh, highest_mwh : ndarray, shape (row, store)
        Extremes of the energy. [MWh]
    """

    p_mw: Float
    stored_mw: Float
    lost_mw: Float
    energy_mwh: Float
    missed_mw: Float
    power_limited_s: Float
    energy_limited_s: Float
    throughput_mwh: Float
    lowest_mwh: Float
    highest_mwh: Float


def buffer(
    p_mw: Float,
    dt_s: float,
    stores: Sequence[Store],
    target: Target,
    *,
    standby_mw: float = 0.0,
    asked_mw: Float | None = None,
) -> Buffered:
    r"""Carry power series through storage.

    Parameters
    ----------
    p_mw : ndarray, shape (row, time)
        Power before the storage, consumption positive. [MW]
    dt_s : float
        Step length. [s]
    stores : sequence of Store
        One, or two: the first takes the slow part of the work, the second what then is left.
    target : Target
        What the law wants.
    standby_mw : float
        Power that the storage itself always draws. [MW]
    asked_mw : ndarray, shape (row, time), optional
        Power that is asked of the storage, charging positive, in place of a level to hold. [MW]

    Returns
    -------
    Buffered
        ``p + standby + charging`` and its energies.

    Notes
    -----
    With :math:`x = p +` standby, the level :math:`\bar x` and the energy :math:`E`, the wanted power is

    .. math:: g_k = g_{k-1} + \mathrm{clip}\bigl(\bar x_k + (E_0 - E_{k-1}) / \tau_r - g_{k-1}, \pm r \Delta t\bigr)

    and :math:`g_k - x_k` is commanded, within the power limit and what the window leaves.  After a limit has cut in,
    the law goes on from what the command would give.  The command takes effect a dead time later and through a lag,
    whose means over a step are exact for a command that is constant within each step; what the store then cannot
    give, the grid sees.  The wish never turns a consumer into a source.  It looks at no sample later than ``k``.

    The slow part of two is the low-pass of :math:`g - x`, less what brings the second store back to its start in four
    times the splitting time :math:`\tau`; without losses the first takes
    :math:`(1 + 5 s \tau) / ((1 + s \tau)(1 + 4 s \tau))` of the work.
    """
    rows, samples = p_mw.shape
    step_h = dt_s / 3600.0
    numbers, line = _numbers(stores, dt_s)
    follow = _share(dt_s, target.follow_s)
    pull = 3600.0 / target.recovery_s if target.recovery_s > 0 else 0.0
    beta, inner = _share(dt_s, target.split_s), 3600.0 / (_RETURN * target.split_s)
    mean = target.mean_mw if target.mean_mw is not None else 0.0
    law = (follow, target.slope_mw_per_s * dt_s, pull, step_h, standby_mw, beta, inner)
    after, kept, lost = (np.empty((rows, samples)) for _ in range(3))
    content = np.empty((rows, len(stores) * samples))
    totals = np.zeros((rows, 1 + _TOTALS * len(stores)))
    long = p_mw.size >= _SHORT
    for row in range(rows):
        p = np.ascontiguousarray(p_mw[row], dtype=float)
        asked = np.empty(0) if asked_mw is None else np.ascontiguousarray(asked_mw[row], dtype=float)
        first = float(p[0]) + standby_mw if target.mean_mw is None and samples else mean
        # What the converter is doing as the series begins: holding the level it starts from.
        rated = stores[-1].rated_mw
        doing = min(max(first - float(p[0]) - standby_mw, -rated), rated) if samples and asked_mw is None else 0.0
        waiting = np.zeros(line)
        waiting[line - int(numbers[-_WIDTH + 6]) :] = doing
        state = np.array([first, *(v for s in stores for v in (s.rest_mwh, 0.0))])
        state[-1] = doing
        if long:
            work = (p, asked, np.array(law), numbers, state, waiting, np.zeros(len(stores), np.int64))
            _compiled()(*work, after[row], kept[row], lost[row], content[row], totals[row])
            continue
        lists: list[Any] = [p.tolist(), asked.tolist(), list(law), numbers.tolist(), state.tolist()]
        lists += [waiting.tolist(), [0] * len(stores)]
        results = [[0.0] * n for n in (samples, samples, samples, len(stores) * samples, totals.shape[1])]
        _through(*lists, *results)
        after[row], kept[row], lost[row], content[row], totals[row] = results
    own = totals[:, 1:].reshape(rows, len(stores), _TOTALS)
    return Buffered(
        after,
        kept,
        lost,
        content.reshape(rows, len(stores), samples),
        totals[:, 0],
        own[..., 0] * dt_s,
        own[..., 1] * dt_s,
        own[..., 2],
        own[..., 3],
        own[..., 4],
    )


def _share(dt_s: float, tau_s: float) -> float:
    """Return how far a first-order low-pass goes in a step."""
    return 1.0 - float(np.exp(-dt_s / tau_s)) if tau_s > 0 else 1.0


def _numbers(stores: Sequence[Store], dt_s: float) -> tuple[Float, int]:
    """Return the stores as flat numbers, and the length of the line in which all their commands wait."""
    flat: list[float] = []
    line = 0
    for s in stores:
        late = int(s.delay_s / dt_s + 1e-9)
        part = max(s.delay_s / dt_s - late, 0.0)
        size = late + 2 if s.delay_s > 0 else 0
        decay = float(np.exp(-dt_s / s.lag_s)) if s.lag_s > 0 else 0.0
        weight = (1.0 - decay) * s.lag_s / dt_s  # mean of exp(-t / lag) over the step
        flat += [s.rated_mw, s.full_mwh, s.empty_mwh, s.rest_mwh, s.charge_efficiency, s.discharge_efficiency]
        flat += [float(size), part, decay, weight]
        line += size
    return np.array(flat), line


def _through(
    p_mw: Any, asked_mw: Any, law: Any, stores: Any, state: Any, line: Any, at: Any,
    after: Any, kept: Any, lost: Any, content: Any, totals: Any,
) -> None:  # fmt: skip
    """Go through the steps, each of which needs the one before it: lists in Python, arrays compiled, the same bits."""
    follow, slope, pull, step_h, standby, beta, inner = law
    samples, count, droop = len(p_mw), len(stores) // _WIDTH, len(asked_mw) > 0
    level = grid = ideal = state[0]
    low = missed = 0.0
    per_h = 1.0 / step_h
    for j in range(count):
        totals[1 + _TOTALS * j + 3] = totals[1 + _TOTALS * j + 4] = state[1 + 2 * j]
    for k in range(samples):
        x = p_mw[k] + standby
        level += follow * (x - level)
        wish = x + asked_mw[k] if droop else level
        wish = max(wish + (stores[3] - state[1]) * pull, min(x, 0.0))  # it does not make the meter export
        ideal += min(max(wish - ideal, -slope), slope)
        grid += min(max(wish - grid, -slope), slope)
        left = grid - x
        low += beta * (left - low)
        grid = p = x
        total = 0.0
        base = 0
        for j in range(count):
            o, t = _WIDTH * j, 1 + _TOTALS * j
            energy = state[1 + 2 * j]
            rated, into, out = stores[o], stores[o + 4], stores[o + 5]
            ceiling, floor = (stores[o + 1] - energy) * per_h, (stores[o + 2] - energy) * per_h
            want = left
            if j < count - 1:
                want = low - (stores[o + _WIDTH + 3] - state[3 + 2 * j]) * inner
            b = min(max(want, -rated), rated)
            if b != want:
                totals[t] += 1.0
            change = b * into if b > 0 else b / out
            held = min(max(change, min(floor, 0.0)), max(ceiling, 0.0))
            limited = held != change
            if limited:
                b = held / into if held > 0 else held * out
            command = b
            size = int(stores[o + 6])
            if size:
                w = at[j]
                line[base + w] = b
                older = w + 1 if w + 1 < size else 0
                newer = older + 1 if older + 1 < size else 0
                b = line[base + newer] + stores[o + 7] * (line[base + older] - line[base + newer])
                at[j] = older
                base += size
            away = state[2 + 2 * j] - b
            state[2 + 2 * j] = b + away * stores[o + 8]
            b += away * stores[o + 9]
            change = b * into if b > 0 else b / out
            held = min(max(change, min(floor, 0.0)), max(ceiling, 0.0))
            if held != change:
                limited = True
                b = held / into if held > 0 else held * out
            if limited:
                totals[t + 1] += 1.0
            energy = min(max(energy + held * step_h, stores[o + 2]), stores[o + 1])
            state[1 + 2 * j] = content[j * samples + k] = energy
            totals[t + 2] += abs(held) * step_h
            totals[t + 3] = min(totals[t + 3], energy)
            totals[t + 4] = max(totals[t + 4], energy)
            total += held
            left -= b
            p += b
            grid += command if j == count - 1 else b
        after[k] = p
        kept[k] = total
        lost[k] = p - p_mw[k] - total
        missed = max(missed, abs(p - ideal))
    totals[0] = missed


@functools.lru_cache(maxsize=1)
def _compiled() -> Any:
    """Compile the steps, keeping the machine code on disk where something is writable."""
    import numba  # it takes a second

    # No fastmath: a fused multiply-add would round elsewhere.
    try:
        return numba.njit(cache=True, nogil=True)(_through)
    except RuntimeError:  # nowhere to keep it: compile in every process
        return numba.njit(nogil=True)(_through)
