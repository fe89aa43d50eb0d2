"""The power flows of a study, each one apart from the others so that workers may share them."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from gridedge.errors import RunError
from gridedge.grid.tap_data import TapControl

_AT_REST_S = 1e6  # time enough for any tap changer to come to rest


@dataclass(frozen=True)
class Window:
    """How a stretch of the waveform is solved.

    Parameters
    ----------
    bus : int
        The site's bus, of which every step is kept.
    sources : {"held"} or dict
        As :func:`gridedge.solve` takes them.
    tol_vm_pu : float
        Error that interpolation may make. [pu]
    """

    bus: int
    sources: Any
    tol_vm_pu: float


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
    generation : {"hold", "follow"}
        Whether the net's generators keep their power or follow the shape.
    site : Dataset or None
        What the site draws; None solves the feeder alone.
    shape : ndarray, shape (step,)
        Factor on the feeder's loads, from ``shape_time_s`` on.
    shape_time_s : ndarray, shape (step,)
        Labels of the shape. [s]
    shape_step_s : float
        How long the last one holds. [s]
    window : Window, optional
        For the waveform's clock: reduced, but for the site's own bus.
    taps : TapControl, optional
        Tap changers that follow the season; on the waveform's clock they are held where they settle before.
    """

    strategy: str
    part: str
    feeder: str
    reference_bus: int | str | None
    generation: str
    site: xr.Dataset | None
    shape: np.ndarray
    shape_time_s: np.ndarray
    shape_step_s: float
    window: Window | None = None
    taps: TapControl | None = None

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
    from gridedge.grid.inject import scaled_background
    from gridedge.grid.solve import solve
    from gridedge.grid.tapchanger import settle_taps

    net = feeder_of(task.feeder, task.reference_bus).net
    tables = ("load", "sgen", "gen") if task.generation == "follow" else ("load",)
    background = {t: scaled_background(net, t, task.shape, task.shape_time_s) for t in tables if len(net[t])}
    for ds in background.values():
        ds.attrs["dt_s"] = task.shape_step_s
    try:
        if task.window is None and task.taps is not None:
            return settle_taps(net, task.site, background=background, taps=task.taps)
        if task.window is None:
            return solve(net, task.site, background=background)
        w = task.window
        if task.taps is not None:
            net = _settled(net, task, background)
        return solve(
            net, task.site, background=background, reduce=["min", "max", "mean"], at=[w.bus], sources=w.sources,
            tol_vm_pu=w.tol_vm_pu,
        )  # fmt: skip
    except RunError as error:
        raise RunError(f"{task.strategy}, {task.part.replace('_', ' ')}: {error}".lstrip(", ")) from error


def _settled(net: Any, task: FlowTask, background: dict[str, xr.Dataset]) -> Any:
    """Return a copy of the net with its taps where they settle at the hour of a window, the site at its mean."""
    from gridedge.grid.tapchanger import settle_taps

    assert task.site is not None
    held = task.site.mean("time").expand_dims(time=task.shape_time_s).transpose("time", "site")
    held = held.assign_coords(bus=task.site["bus"]).assign_attrs(dt_s=_AT_REST_S)
    still = {table: ds.assign_attrs(dt_s=_AT_REST_S) for table, ds in background.items()}
    found = settle_taps(net, held, background=still, taps=task.taps or True)
    own = copy.deepcopy(net)
    for label, position in zip(found["changer"].values, found["tap_pos"].values[0], strict=True):
        table, _, index = str(label).partition(":")
        own[table].at[int(index), "tap_pos"] = float(position)
    return own


def _stands_alone(task: FlowTask, results: dict[tuple[str, str], xr.Dataset]) -> None:
    """Raise RunError where the feeder fails without any site: no study can stand on it."""
    if task.site is not None:
        return
    solved = results[task.strategy, task.part]["converged"].values
    if not solved.all():
        low = float(task.shape[~solved].min())
        raise RunError(
            f"The feeder itself fails in {int((~solved).sum())} of {solved.size} steps without any site, at {low:.3g} "
            "of its own loads. Its generators keep their power while the loads move: set "
            "background.generation: follow, or choose a flatter background.shape."
        )


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
            _stands_alone(task, results)
        return results
    from gridedge.grid.engines.spread import spread

    # The long ones first, so that no worker is left with one at the end.
    order = sorted(tasks, key=lambda t: -t.steps)
    remarks: list[str] = []
    work = [functools.partial(solve_task, task) for task in order]
    with closing(spread(executor, work, remarks, "power-flow tasks")) as found:
        for task, result in zip(order, found, strict=True):
            note(task, result)
            _stands_alone(task, results)
    results[order[0].strategy, order[0].part].attrs["remarks"] += remarks
    return {(t.strategy, t.part): results[t.strategy, t.part] for t in tasks}
