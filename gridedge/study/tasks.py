"""The power flows of a study, each one apart from the others so that workers may share them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from concurrent.futures import Executor, as_completed
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gridedge.errors import RunError


@dataclass(frozen=True)
class FlowTask:
    """One call of ``solve``: which feeder, what the site draws, how the feeder's loads stand.

    Parameters
    ----------
    strategy, part : str
        Where the result belongs.
    feeder : str
        Name or path.
    reference_bus : int, str or None
        For files without one.
    site : Dataset or None
        What the site draws; None solves the feeder alone.
    shape : ndarray, shape (step,)
        Factor on the feeder's loads, from ``shape_time_s`` on.
    shape_time_s : ndarray, shape (step,)
        Labels of the shape. [s]
    shape_step_s : float
        How long the last one holds. [s]
    """

    strategy: str
    part: str
    feeder: str
    reference_bus: int | str | None
    site: xr.Dataset | None
    shape: np.ndarray
    shape_time_s: np.ndarray
    shape_step_s: float

    @property
    def steps(self) -> int:
        """Number of power flows."""
        return int(self.shape.size if self.site is None else self.site.sizes["time"])


@functools.lru_cache(maxsize=1)
def feeder_of(feeder: str, reference_bus: int | str | None) -> Any:
    """Return a study's feeder, loaded once in each process; its net must not be changed."""
    from gridedge.grid.feeders import load_feeder

    return load_feeder(feeder, reference_bus=reference_bus)


def solve_task(task: FlowTask) -> xr.Dataset:
    """Solve one task; runs in a worker or here."""
    from gridedge.grid.inject import scaled_loads
    from gridedge.grid.solve import solve

    net = feeder_of(task.feeder, task.reference_bus).net
    background = scaled_loads(net, task.shape, task.shape_time_s)
    background.attrs["dt_s"] = task.shape_step_s
    try:
        return solve(net, task.site, background={"load": background})
    except RunError as error:
        raise RunError(f"{task.strategy}, {task.part.replace('_', ' ')}: {error}") from error


def solve_all(
    tasks: list[FlowTask], executor: Executor | None, progress: Callable[[int, int], None] | None
) -> dict[tuple[str, str], xr.Dataset]:
    """Solve every task, here or on an executor; the numbers are the same."""
    total, done = sum(t.steps for t in tasks), 0
    results: dict[tuple[str, str], xr.Dataset] = {}

    def note(task: FlowTask, result: xr.Dataset) -> None:
        nonlocal done
        results[task.strategy, task.part] = result
        done += task.steps
        if progress is not None:
            progress(done, total)

    if executor is None:
        for task in tasks:
            note(task, solve_task(task))
        return results
    # The long ones first, so that no worker is left with one at the end.
    waiting = {executor.submit(solve_task, t): t for t in sorted(tasks, key=lambda t: -t.steps)}
    try:
        for future in as_completed(waiting):
            note(waiting[future], future.result())
    except BaseException:
        executor.shutdown(wait=False, cancel_futures=True)
        raise
    return results
