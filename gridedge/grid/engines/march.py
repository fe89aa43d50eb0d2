"""Through all states, block after block, here or on any executor; blocks never depend on who works on them."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.fold import fold, foldable
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.reference import Reference
from gridedge.grid.engines.solver import Saying, Solver, block_states, side_by_side
from gridedge.grid.engines.spread import pack, spread
from gridedge.grid.keep import Keeper, Part, Plan
from gridedge.grid.results import Readout

_TOGETHER_BYTES = 16 << 20  # inputs and results of the blocks that travel together
_TOGETHER_BLOCKS = 4  # and no more than these: the solver, which travels with them, is then below 2 % of their work
_BY_RUNPP = 256  # states of a block that runpp solves: it starts each from scratch, which costs a few solutions
_Kept = tuple[Part, NDArray[np.complex128]]
_Block = tuple[int, int, Solver]  # first state, one past the last, who solves them


@dataclass(frozen=True)
class Task:
    """A block of states for whoever takes it."""

    solver: Solver
    moving: list[Moving]
    plan: Plan
    out: Readout
    sample: NDArray[np.intp]

    def do(
        self, keeper: Keeper | None = None, v: Lanes | None = None, room: NDArray[np.float64] | None = None
    ) -> _Kept:
        """Solve the block; return what is kept of it, and the voltages (row, state) of its sampled states."""
        keeper = Keeper(self.plan, self.out) if keeper is None else keeper
        states = self.moving[0].states if self.moving else 1
        v = Lanes(self.solver.rows, states) if v is None else v
        x = side_by_side(self.moving, slice(0, states), room)
        solved = self.solver.solve(self.moving, x, v)
        v.blank(solved)
        part = keeper.part(v, solved)
        if isinstance(self.solver, Saying):
            part.said = self.solver.said
            part.extra = self.solver.extra if self.plan.names is None else {}
        return part, v.take(self.sample)


@dataclass(frozen=True)
class Bundle:
    """Blocks of states that travel together, for whoever takes them."""

    tasks: list[Task]

    def __call__(self) -> list[_Kept]:
        """Solve the blocks one after the other."""
        return [task.do() for task in self.tasks]


@dataclass
class Packed:
    """A pandapower net as it was, on its way to a worker: the net here goes on changing."""

    rows: int
    content: bytes

    def solve(self, moving: list[Moving], x: NDArray[np.float64], v: Lanes) -> NDArray[np.bool_]:
        """Solve a block of states by ``runpp`` on a copy of the net."""
        solver: Reference = pickle.loads(self.content)
        return solver.solve(moving, x, v)


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

    def take(k: int, stop: int, result: _Kept) -> None:
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
        (k, min(k + _states(solver), stop), solver)
        for first, stop, solver in segments
        if not foldable(solver, plan)
        for k in range(first, stop, _states(solver))
    ]
    if executor is not None:
        bundles = _bundles(_packed(blocks), moving, plan)
        work = (Bundle([task(*block, cut=True) for block in bundle]) for bundle in bundles)
        with closing(spread(executor, work, remarks, "parts")) as done:
            for bundle, results in zip(bundles, done, strict=True):
                for (k, stop, _), result in zip(bundle, results, strict=True):
                    take(k, stop, result)
        return found, remarks
    keeper = Keeper(plan, out)
    # New memory costs more than the solution: it is taken once.
    longest = max((stop - k for k, stop, _ in blocks), default=0)
    place = Lanes(blocks[0][2].rows, longest) if blocks else None
    room = np.empty((longest, sum(m.rows.size for m in moving))) if moving else None
    for k, stop, solver in blocks:
        take(k, stop, task(k, stop, solver, cut=False).do(keeper, place, room))
    return found, remarks


def _states(solver: Solver) -> int:
    """Return how many states of an engine make a block."""
    return _BY_RUNPP if isinstance(solver, Reference) else block_states(solver.rows)


def _packed(blocks: list[_Block]) -> list[_Block]:
    """Replace pandapower nets by copies that can travel."""
    copies: dict[int, Solver] = {
        id(solver): Packed(solver.rows, pack(solver)) for _, _, solver in blocks if isinstance(solver, Reference)
    }
    return [(k, stop, copies.get(id(solver), solver)) for k, stop, solver in blocks]


def _bundles(blocks: list[_Block], moving: list[Moving], plan: Plan) -> list[list[_Block]]:
    """Put neighbouring blocks together that are worth a journey."""
    across = sum(m.rows.size for m in moving) + (plan.low.size if plan.names is None or plan.quantiles else 0)
    bundles: list[list[_Block]] = []
    room = 0.0
    for block in blocks:
        k, stop, solver = block
        size = (stop - k) / min(_TOGETHER_BYTES / (8 * max(across, 1)), _TOGETHER_BLOCKS * block_states(solver.rows))
        if not bundles or isinstance(solver, Packed) or room + size > 1.0:
            bundles.append([])
            room = 0.0
        bundles[-1].append(block)
        room += size
    return bundles
