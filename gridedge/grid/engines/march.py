"""Through all states, block after block, here or on any executor; blocks never depend on who works on them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Executor, Future
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.fold import fold, foldable
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.solver import Saying, Solver, block_states, side_by_side
from gridedge.grid.engines.threads import limited
from gridedge.grid.keep import Keeper, Part, Plan
from gridedge.grid.results import Readout

_AHEAD = 4  # blocks handed out per worker before the first of them is back


@dataclass(frozen=True)
class Task:
    """A block of states for whoever takes it."""

    solver: Solver
    moving: list[Moving]
    plan: Plan
    out: Readout
    sample: NDArray[np.intp]

    def do(self, keeper: Keeper | None = None, v: Lanes | None = None) -> tuple[Part, NDArray[np.complex128]]:
        """Solve the block; return what is kept of it, and the voltages (row, state) of its sampled states."""
        keeper = Keeper(self.plan, self.out) if keeper is None else keeper
        states = self.moving[0].states if self.moving else 1
        v = Lanes(self.solver.rows, states) if v is None else v
        x = side_by_side(self.moving, slice(0, states))
        solved = self.solver.solve(self.moving, x, v)
        v.blank(solved)
        part = keeper.part(v, solved)
        if isinstance(self.solver, Saying):
            part.said = self.solver.said
            part.extra = self.solver.extra if self.plan.names is None else {}
        return part, v.take(self.sample)


def _do(task: Task) -> tuple[Part, NDArray[np.complex128]]:
    """Do a task in a worker: with one thread, for there are other workers."""
    with limited(1):
        return task.do()


def march(
    segments: list[tuple[int, int, Solver]],
    moving: list[Moving],
    plan: Plan,
    out: Readout,
    sample: NDArray[np.intp],
    on_part: Callable[[int, Part], None],
    executor: Executor | None = None,
) -> tuple[dict[int, NDArray[np.complex128]], list[str]]:
    """Solve all states.

    Parameters
    ----------
    segments : list of (first, stop, solver)
        Which engine solves which states, in order.
    moving : list of Moving
        What changes.
    plan, out
        What to keep, and how it is read.
    sample : ndarray
        States whose voltages are returned.
    on_part : callable
        Told the first state of each block and what is kept of it, in order.
    executor : Executor, optional
        Who works on the blocks; this thread without.

    Returns
    -------
    dict, list of str
        The voltages of the sampled states that are solved, and what has to be said.
    """
    found: dict[int, NDArray[np.complex128]] = {}

    def task(k: int, stop: int, solver: Solver, cut: bool) -> Task:
        here = slice(k, stop)
        part = [m.cut(here) if cut else m.window(here) for m in moving]
        return Task(solver, part, plan, out, sample[(sample >= k) & (sample < stop)] - k)

    def take(k: int, stop: int, result: tuple[Part, NDArray[np.complex128]]) -> None:
        part, v = result
        for state, voltages in zip(sample[(sample >= k) & (sample < stop)], v.T, strict=True):
            if np.isfinite(voltages).all():
                found[int(state)] = voltages
        on_part(k, part)

    remarks: list[str] = []
    for first, stop, solver in segments:
        if foldable(solver, plan):
            window = [m.window(slice(first, stop)) for m in moving]
            part = fold(solver, window, stop - first, Keeper(plan, out))  # type: ignore[arg-type]  # a Surface
            picked = sample[(sample >= first) & (sample < stop)]
            few = [m.pick(picked) for m in moving]
            v = Lanes(solver.rows, picked.size)
            v.blank(solver.solve(few, side_by_side(few, slice(0, picked.size)), v))
            take(first, stop, (part, v.take(np.arange(picked.size))))
    blocks = [
        (k, min(k + block_states(solver.rows), stop), solver)
        for first, stop, solver in segments
        if not foldable(solver, plan)
        for k in range(first, stop, block_states(solver.rows))
    ]
    if executor is not None:
        remarks += _spread(executor, blocks, task, take)
        return found, remarks
    keeper = Keeper(plan, out)
    room = Lanes(blocks[0][2].rows, max(stop - k for k, stop, _ in blocks)) if blocks else None
    for k, stop, solver in blocks:
        take(k, stop, task(k, stop, solver, cut=False).do(keeper, room))
    return found, remarks


def _spread(
    executor: Executor,
    blocks: list[tuple[int, int, Solver]],
    task: Callable[..., Task],
    take: Callable[[int, int, tuple[Part, NDArray[np.complex128]]], None],
) -> list[str]:
    """Let an executor work on the blocks; return what has to be said."""
    workers = max(1, _workers(executor))
    waiting: deque[tuple[int, int, Solver, Future[Any] | None]] = deque()
    alive = True
    todo = iter(blocks)
    while True:
        while len(waiting) < _AHEAD * workers and (block := next(todo, None)) is not None:
            future = None
            if alive:
                try:
                    future = executor.submit(_do, task(*block, cut=True))
                except BrokenExecutor:
                    alive = False
            waiting.append((*block, future))
        if not waiting:
            break
        k, stop, solver, future = waiting.popleft()
        try:
            result = future.result() if future is not None else None
        except BrokenExecutor:
            alive, result = False, None
        take(k, stop, result if result is not None else task(k, stop, solver, cut=False).do())
    return [] if alive else ["The executor lost its workers: the blocks then open were solved in this process."]


def _workers(executor: Executor) -> int:
    """Return how many workers an executor has, as far as it tells."""
    client = getattr(executor, "_client", None)  # dask.distributed's executor
    if client is not None:
        return max(1, len(client.scheduler_info()["workers"]))
    return int(getattr(executor, "_max_workers", 1) or 1)
