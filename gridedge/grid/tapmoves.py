"""How tap changers move: a dead band, a delay that must run out before each move, and what hunting is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.tap_data import Changers, Float, Taps

Voltages = Callable[[NDArray[np.intp], Taps], Float]
_SAME_S = 1e-9  # timers that run out within this run out together
_MOST_ROUNDS = 10_000


@dataclass
class Settled:
    """Where tap changers have come to.

    Parameters
    ----------
    tap : ndarray, shape (state, changer)
        Positions in the end.
    timer_s : ndarray, shape (state, changer)
        For how long each has been outside its band then, with the sign of the move that it wants. [s]
    moves : ndarray, shape (state, changer)
        How often each has moved.
    hunting : ndarray of bool, shape (state,)
        Whether positions came back that were left before, with the load unchanged.
    resting : ndarray of bool, shape (state,)
        Whether no changer wants to move any more.
    """

    tap: Taps
    timer_s: Float
    moves: Taps
    hunting: NDArray[np.bool_]
    resting: NDArray[np.bool_]


def let_move(changers: Changers, tap: Taps, timer_s: Float, voltages: Voltages, within_s: float = np.inf) -> Settled:
    """Let tap changers move in states that stand still, until they rest or the time is up.

    Parameters
    ----------
    changers : Changers
        The tap changers.
    tap : ndarray, shape (state, changer)
        Positions at the start.
    timer_s : ndarray, shape (state, changer)
        For how long each has been outside its band already, with the sign of the move that it wants. [s]
    voltages : callable
        Returns the regulated voltages (some, changer) [pu] of some states with given positions (some, changer).
    within_s : float
        How long the states last; without, until all rest or hunting is seen. [s]

    Returns
    -------
    Settled

    Notes
    -----
    A changer whose voltage lies outside its dead band starts its timer; when the delay has run out it moves by one
    position and starts again.  Back in the band, or outside on the other side, the timer starts from zero.  Timers that
    run out together move together, seeing the same voltages, as the controllers of one level do in pandapower; else the
    earliest moves first, so that graded delays let the upper transformer go first.  A state without a solution (NaN)
    moves nothing.
    """
    states, count = tap.shape
    tap, timer_s = tap.copy(), timer_s.copy()
    moves = np.zeros_like(tap)
    left_s = np.full(states, within_s)
    hunting, resting = np.zeros(states, dtype=bool), np.zeros(states, dtype=bool)
    active = np.arange(states, dtype=np.intp)
    seen = [tap.copy()]
    for _ in range(_MOST_ROUNDS):
        vm_pu = voltages(active, tap[active])
        move = changers.wanted(vm_pu, tap[active])
        held = np.maximum(timer_s[active] * move, 0.0)  # in the band, or on its other side, it starts again
        due = np.where(move != 0, np.maximum(changers.delay_s - held, 0.0), np.inf)
        wait = due.min(axis=1) if count else np.full(active.size, np.inf)
        at_rest = ~np.isfinite(wait)
        resting[active[at_rest]] = True
        late = ~at_rest & (wait >= left_s[active] - _SAME_S)
        passed = np.where(late, left_s[active], np.where(at_rest, 0.0, wait))
        now = (move != 0) & (due <= wait[:, None] + _SAME_S) & ~late[:, None] & ~at_rest[:, None]
        timer_s[active] = np.where(now, 0.0, move * (held + passed[:, None]))
        tap[active] += np.where(now, move, 0)
        moves[active] += now
        left_s[active] -= passed
        active = active[~(at_rest | late)]
        if not active.size:
            break
        # The same positions again, under the same load: it goes on like this for ever.
        again = np.zeros(active.size, dtype=bool)
        for before in seen:
            again |= (before[active] == tap[active]).all(axis=1)
        hunting[active[again]] = True
        seen.append(tap.copy())
        if not np.isfinite(within_s):
            active = active[~again]
            if not active.size:
                break
    return Settled(tap, timer_s, moves, hunting, resting)
