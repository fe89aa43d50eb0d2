"""Losses as a limit: how large a site may be before the feeder loses too much, judged in every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.losses import feeder_losses
from gridedge.grid.trial import Float, Trial
from gridedge.measure.limit_sets import LimitSet, LossesLimit
from gridedge.planning.hosting.bounds import moving_mean
from gridedge.planning.hosting.result import Answer, Stop

WHERE = "all branches"
LEVELS = 20
"""Levels between zero and the last limit or later range known so far, wider apart with the square."""
NO_WORSE = 1.001
"""By which factor losses beyond the limit already may grow: as loadings, by 0.1 %."""
_NOISE_MW = 1e-9
_INSIDE = 7  # sizes tried at once between two
_WORST = 4  # steps that refinement looks at before all of them confirm


@dataclass(frozen=True)
class Held:
    """A limit of losses, and what the net itself has of it.

    Parameters
    ----------
    limit : LossesLimit
        The limit.
    window : int
        Steps of the moving mean; 1 for every step.
    allowed : int
        Steps (or means) at which it may be broken.
    factor : float
        By which it is wider because the net breaks it without a site.
    """

    limit: LossesLimit
    window: int
    allowed: int
    factor: float = 1.0

    def room_mw(self, losses_mw: Float, delivered_mw: Float) -> Float:
        """Return limit less losses [MW], of series (level, step), as (level, window)."""
        lost = moving_mean(losses_mw.T, self.window).T
        if self.limit.losses_mw is not None:
            return np.asarray(self.factor * self.limit.losses_mw - lost)
        share = self.factor * float(self.limit.losses_percent or 0.0) / 100.0
        return np.asarray(share * moving_mean(delivered_mw.T, self.window).T - lost)

    def worst(self, room_mw: Float) -> tuple[Float, NDArray[np.intp]]:
        """Return the room (level,) that decides, and its step."""
        order = np.argsort(room_mw, axis=1, kind="stable")[:, min(self.allowed, room_mw.shape[1] - 1)]
        return np.take_along_axis(room_mw, order[:, None], axis=1)[:, 0], order


def held_losses(trial: Trial, limits: LimitSet, no_worse: bool) -> list[Held]:
    """Return the limits of losses; with ``no_worse`` wider where the net breaks them already."""
    wanted = [limit for limit in limits.limits if isinstance(limit, LossesLimit)]
    if not wanted:
        return []
    held = []
    for limit in wanted:
        window = max(1, round(limit.mean_s / trial.dt_s)) if limit.mean_s and trial.dt_s > 0 else 1
        held.append(Held(limit, window if window <= trial.steps else 1, limit.allowed(trial.steps)))
    if no_worse:
        series = losses_at(trial, 0, np.zeros(1))
        held = [_loosened(h, *series) for h in held]
    return held


def _loosened(held: Held, losses_mw: Float, delivered_mw: Float) -> Held:
    room = held.room_mw(losses_mw, delivered_mw)
    if (held.worst(room)[0] >= -_NOISE_MW).all():
        return held
    lost = moving_mean(losses_mw.T, held.window)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = lost / (room.T + lost)  # of what the limit allows
    most = float(np.max(ratio))
    # A step that delivers nothing has no percentage that could be no worse: nothing is excused then.
    return Held(held.limit, held.window, held.allowed, most * NO_WORSE if np.isfinite(most) else 1.0)


def losses_at(trial: Trial, k: int, p_mw: Float) -> tuple[Float, Float]:
    """Return losses and delivered power [MW] (level, step) of some sizes at row ``k``, NaN without solution."""
    when = np.tile(np.arange(trial.steps), p_mw.size)
    losses, delivered, _ = feeder_losses(trial, trial.states(k, np.repeat(p_mw, trial.steps), when))
    return losses.reshape(-1, trial.steps), delivered.reshape(-1, trial.steps)


def losses_stops(
    trial: Trial, limits: LimitSet, answers: Sequence[Answer], no_worse: bool, tol_mw: float
) -> list[list[Stop]]:
    """Find at which size losses stop each bus.

    Parameters
    ----------
    trial : Trial
        The net, its series and the buses.
    limits : LimitSet
        Of which those of losses are judged here.
    answers : sequence of Answer
        What is known of each bus so far: beyond its second limit and its later ranges nothing is looked at.
    no_worse : bool
        Whether a net that loses more already is held to its own worst step instead.
    tol_mw : float
        How near to the break an answer is. [MW]

    Returns
    -------
    list of list of Stop
        Of each bus the limits of losses that break, each at its first break counted from zero.
    """
    held = held_losses(trial, limits, no_worse)
    if not held:
        return [[] for _ in answers]
    known: dict[int, tuple[float, list[Stop]]] = {}
    found = []
    for k, answer in zip(trial.which.tolist(), answers, strict=True):
        ends = [s.p_mw for s in answer.stops if np.isfinite(s.p_mw)] + [high for _, high in answer.ranges_mw]
        top = max([answer.capacity_mw, *ends])
        if k not in known or known[k][0] < top:
            known[k] = top, _at(trial, k, held, top, tol_mw)
        found.append(known[k][1])
    return found


def _at(trial: Trial, k: int, held: list[Held], top_mw: float, tol_mw: float) -> list[Stop]:
    levels = top_mw * (np.arange(LEVELS + 1) / LEVELS) ** 2
    losses, delivered = losses_at(trial, k, levels)
    solved = np.isfinite(losses).all(axis=1)
    end = levels.size if solved.all() else int(np.argmin(solved))  # the series has named the collapse
    stops = []
    for one in held:
        room, at = one.worst(one.room_mw(losses[:end], delivered[:end]))
        broken = np.flatnonzero(room < -_NOISE_MW)
        if not broken.size:
            continue
        i = int(broken[0])
        p_mw, step = 0.0, int(at[0])
        if i:
            series = one.room_mw(losses[i : i + 1], delivered[i : i + 1])[0]
            p_mw, step = _refined(trial, k, one, float(levels[i - 1]), float(levels[i]), series, tol_mw)
        stops.append(Stop(p_mw, f"{one.limit.name}: losses", "losses", WHERE, float(trial.time_s[step])))
    return stops


def _refined(
    trial: Trial, k: int, held: Held, good: float, bad: float, at_bad: Float, tol_mw: float
) -> tuple[float, int]:
    """Return the largest size found to keep a limit between one that does and one that does not, and the step."""
    plain = held.window == 1 and not held.allowed
    few = np.argsort(at_bad, kind="stable")[:_WORST]
    first, steps = good, few if plain else np.arange(trial.steps)
    while True:
        low, high = first, bad
        while high - low > tol_mw:
            sizes = np.linspace(low, high, _INSIDE + 2)
            broken = [bool(_room(trial, k, held, p, steps)[0] < -_NOISE_MW) for p in sizes[1:-1]]
            i = broken.index(True) if True in broken else _INSIDE
            low, high = float(sizes[i]), float(sizes[i + 1])
        every = np.arange(trial.steps)
        if _room(trial, k, held, low, every)[0] >= -_NOISE_MW:
            return low, _room(trial, k, held, high, every)[1]
        steps = every  # another step breaks earlier


def _room(trial: Trial, k: int, held: Held, p_mw: float, steps: NDArray[np.intp]) -> tuple[float, int]:
    x = trial.states(k, np.full(steps.size, p_mw), steps)
    losses, delivered, _ = feeder_losses(trial, x)
    whole = held if steps.size == trial.steps else Held(held.limit, 1, 0, held.factor)
    room, at = whole.worst(whole.room_mw(losses[None], delivered[None]))
    return float(room[0]), int(steps[at[0]])
