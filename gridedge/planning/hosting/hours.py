"""Which steps a capacity is judged in: all of them, or the worst by a stated rule."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.trial import Trial
from gridedge.measure.limit_sets import LimitSet

Hours = Literal["all", "worst"]
RULE = (
    "highest total load, highest and lowest net load, largest site; without the site the lowest and highest voltage of "
    "every bus and the highest loading of every branch"
)


def worst_steps(trial: Trial) -> NDArray[np.intp]:
    """Return the steps that are the worst without a site, in order.

    They are those of the highest total load (what the loads draw), of the highest and the lowest net load (loads less
    generation), of the largest site, and of that with the highest net load then; for every bus those of its lowest and
    of its highest voltage, and for every branch that of its highest loading, all three without the site; together.

    Parameters
    ----------
    trial : Trial
        The net and its series.

    Raises
    ------
    RunError
        If a step has no solution without a site.
    """
    every = np.arange(trial.steps)
    vm, loading, solved = trial.full(trial.states(0, np.zeros(trial.steps), every))
    if not solved.all():
        time_s = trial.time_s[int(np.argmin(solved))]
        raise RunError(f"The net has no solution without a site at {time_s:g} s: check the background there.")
    net_mw = -(trial.still.real.sum() + (trial.p[:, : trial.base.shape[1]] @ trial.base.T).sum(axis=0))
    loads_mw = _loads(trial)
    largest = trial.shape >= trial.shape.max() * (1 - 1e-12)
    chosen = [
        loads_mw.argmax(),
        net_mw.argmax(),
        net_mw.argmin(),
        np.where(largest, net_mw, -np.inf).argmax(),
        np.where(largest, loads_mw, -np.inf).argmax(),
    ]
    low, high = np.where(np.isnan(vm), np.inf, vm), np.where(np.isnan(vm), -np.inf, vm)
    full = np.where(np.isnan(loading), -np.inf, loading)
    return np.unique(np.r_[chosen, low.argmin(axis=0), high.argmax(axis=0), full.argmax(axis=0)]).astype(np.intp)


def _loads(trial: Trial) -> NDArray[np.float64]:
    """Return the sum [MW] of what moves in ``net.load``, per step; what stands still is the same in every step."""
    total, first = np.zeros(trial.steps), 0
    for m in trial.moving:
        columns = slice(first, first + m.rows.size)
        first = columns.stop
        if m.table == "load" and m.column == "p_mw":
            frame = trial.own.load.iloc[m.rows]
            total += trial.base[:, columns] @ (frame["scaling"] * frame["in_service"]).to_numpy(float)
    return total


def keep_worst(trial: Trial, limits: LimitSet) -> str:
    """Leave only the worst steps in a trial; return what has to be said about it.

    Parameters
    ----------
    trial : Trial
        Changed in place.
    limits : LimitSet
        What will be held.

    Raises
    ------
    InputError
        If a limit needs all steps: a moving mean, or steps that may be broken.
    """
    lasting = [limit.name for limit in limits.limits if limit.mean_s is not None or limit.steps_allowed is not None]
    if lasting:
        raise bad("worst hours cannot tell how long a limit is broken", lasting[0], 'Give hours="all".')
    whole = trial.steps
    steps = worst_steps(trial)
    trial.keep(steps)
    return (
        f"Judged in {steps.size} of {whole} steps, the worst by rule ({RULE}): a capacity is at least that of all "
        'steps (hours="all"), since a site can make another step the worst.'
    )
