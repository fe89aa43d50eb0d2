"""Which engine solves a net, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad, nearest
from gridedge.grid.engines import reference
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.moving import Moving
from gridedge.grid.results import Readout, readout

Engine = Literal["auto", "reference", "batch", "surface"]
Blocks = Iterator[tuple[NDArray[np.intp], NDArray[np.complex128], NDArray[np.bool_]]]
_ENGINES = ("auto", "reference", "batch", "surface")
_FEW = 64  # below, starting the batch engine takes longer than runpp
_AGREE_PU = 1e-8
_BATCH = "chord Newton on pandapower's bus-branch model, recentred on the batch, last step below 1e-11 pu"


@dataclass(frozen=True)
class Flow:
    """The states of a net, about to be solved.

    Parameters
    ----------
    engine, detail, why : str
        Which engine, how it works, and why it was chosen.
    out : Readout
        From voltages to results.
    blocks : iterator
        States, their voltages and whether they converged.
    """

    engine: str
    detail: str
    why: str
    out: Readout
    blocks: Blocks


def check_name(engine: str) -> None:
    """Raise InputError for an engine that does not exist, or not yet."""
    if engine not in _ENGINES:
        raise bad("unknown engine", engine, nearest(engine, _ENGINES))
    if engine == "surface":
        raise bad("this engine is not in this version", engine, 'Use engine="auto", "batch" or "reference".')


def choose(
    net: Any,
    moving: list[Moving],
    total_mw: NDArray[np.float64],
    engine: Engine,
    on_block: Callable[[int], None] | None,
) -> Flow:
    """Choose the engine for a net that has just been solved as it stands.

    Raises
    ------
    InputError
        If ``batch`` is asked for, and the net has what it cannot do exactly.
    """
    reasons = covers(net)
    why = f"asked for: {engine}" if engine != "auto" else "many states on a net that it covers"
    if engine == "auto" and total_mw.size < _FEW:
        engine, why = "reference", f"{total_mw.size} states are few"
    model = None
    if engine in {"auto", "batch"}:
        if not reasons:
            model = extract(net)
            reasons = [] if model is not None else ["a bus-branch model that does not reproduce its own solution"]
        if reasons and engine == "batch":
            raise bad("the batch engine cannot solve this net exactly", ", ".join(reasons), 'Use engine="reference".')
        if reasons:
            why = f"the batch engine does not cover {', '.join(reasons)}"
    if model is not None:
        from gridedge.grid.engines import batch

        return Flow("batch", _BATCH, why, model.readout, batch.solve_states(net, model, moving, on_block))
    blocks = reference.solve_states(net, moving, np.argsort(total_mw, kind="stable"), on_block)
    tolerance_mva = net._options["tolerance_mva"]
    detail = f"pandapower runpp, Newton-Raphson, recycled model, tolerance {tolerance_mva:g} MVA"
    return Flow("reference", detail, why, readout(net), blocks)


def held_out(total_mw: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the states on which an engine is judged: the lightest, the heaviest, the first and the middle one."""
    picks = [int(np.argmin(total_mw)), int(np.argmax(total_mw)), 0, total_mw.size // 2]
    return np.unique(np.asarray(picks, dtype=np.intp))


def judge(net: Any, moving: list[Moving], states: NDArray[np.intp], v: dict[int, NDArray[np.complex128]]) -> float:
    """Solve states by ``runpp`` and return the largest difference in voltage, in pu.

    Raises
    ------
    RunError
        If they differ by more than 1e-8 pu: better no number than a wrong one.
    """
    part = [Moving(m.table, m.column, m.rows, m.values[states]) for m in moving]
    worst = 0.0
    for which, solution, solved in reference.solve_states(net, part, np.arange(states.size)):
        for k, state in enumerate(states[which]):
            if solved[k]:
                worst = max(worst, float(np.abs(np.abs(solution[:, k]) - np.abs(v[int(state)])).max()))
    if not worst <= _AGREE_PU:
        raise RunError(f'The batch engine differs from runpp by {worst:.1e} pu on this net. Use engine="reference".')
    return worst
