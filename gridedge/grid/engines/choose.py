"""Which engine solves a net, and why."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad, nearest
from gridedge.grid.engines.inputs import inputs
from gridedge.grid.engines.model import covers, extract
from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.reference import Reference, total_mw
from gridedge.grid.engines.solver import Saying, Solver, side_by_side
from gridedge.grid.results import Readout, readout

Engine = Literal["auto", "reference", "batch", "surface"]
_ENGINES = ("auto", "reference", "batch", "surface")
_FEW = 64  # below, starting the batch engine takes longer than runpp
_AGREE_PU = 1e-8
_SEEN = 4096  # states among which the lightest and the heaviest are looked for


@dataclass(frozen=True)
class Flow:
    """The states of a net, about to be solved.

    Parameters
    ----------
    engine, detail, why : str
        Which engine, how it works, and why it was chosen.
    out : Readout
        From voltages to results.
    segments : list of (first, stop, solver)
        Who solves which states.
    agree_pu : float
        By how much the engine may differ from ``runpp``.
    """

    engine: str
    detail: str
    why: str
    out: Readout
    segments: list[tuple[int, int, Solver]]
    agree_pu: float = _AGREE_PU


def check_name(engine: str) -> None:
    """Raise InputError for an engine that does not exist."""
    if engine not in _ENGINES:
        raise bad("unknown engine", engine, nearest(engine, _ENGINES))


@dataclass(frozen=True)
class Supply:
    """What the units of the net do.

    Parameters
    ----------
    q_limits : bool
        Whether they keep their reactive limits.
    headroom : bool
        Whether all share in a change of load, in proportion to what each has left, within its limits.
    """

    q_limits: bool = False
    headroom: bool = False

    def __bool__(self) -> bool:
        return self.q_limits or self.headroom


def choose(
    net: Any, moving: list[Moving], states: int, engine: Engine, tol_vm_pu: float, supply: Supply = Supply()
) -> Flow:
    """Choose the engine for a net that has just been solved as it stands.

    Raises
    ------
    InputError
        If ``batch`` or ``surface`` is asked for, and the net has what it cannot do exactly.
    """
    why = f"asked for: {engine}"
    if supply:
        return _within(net, moving, states, engine, supply)
    if engine == "auto" and states < _FEW:
        return _reference(net, states, f"{states} states are few")
    if engine == "reference":
        return _reference(net, states, why)
    reasons = covers(net)
    model = extract(net) if not reasons else None
    if model is None and not reasons:
        reasons = ["a bus-branch model that does not reproduce its own solution"]
    if model is None:
        if engine != "auto":
            cure = 'Use engine="reference".'
            raise bad(f"the {engine} engine cannot solve this net exactly", ", ".join(reasons), cure)
        return _reference(net, states, f"the batch engine does not cover {', '.join(reasons)}")
    from gridedge.grid.engines import surface
    from gridedge.grid.engines.batch import prepare

    what = inputs(net, model, moving)
    not_worth = ""
    if engine in {"auto", "surface"}:
        found = surface.prepare_surfaces(model, what, states, tol_vm_pu, must=engine == "surface")
        if isinstance(found, surface.Plan):
            reason = why if engine == "surface" else found.why
            return Flow("surface", found.detail, reason, model.readout, list(found.segments), tol_vm_pu)
        not_worth = found
    if engine == "surface":
        why = f"surface was asked for, but {not_worth}"
    elif engine == "auto":
        why = f"many states on a net that it covers; no surface: {not_worth}"
    batch = prepare(model, what, states)
    detail = f"{batch.method} on pandapower's bus-branch model, error below 1e-10 pu, states side by side"
    return Flow("batch", detail, why, model.readout, [(0, states, batch)])


def _within(net: Any, moving: list[Moving], states: int, engine: Engine, supply: Supply) -> Flow:
    from gridedge.grid.engines.within import Within

    words = " and ".join(
        w for w, on in (("reactive limits kept", supply.q_limits), ("load shared by headroom", supply.headroom)) if on
    )
    if engine not in {"auto", "batch"}:
        raise bad(f"the {engine} engine knows no limits of units", words, 'Use engine="batch".')
    reasons = covers(net)
    model = extract(net) if not reasons else None
    if model is None:
        cure = "Leave enforce_q_lims and supply out, or change the net."
        raise bad("limits of units cannot be kept on this net", ", ".join(reasons) or "its bus-branch model", cure)
    solver = Within(net, model, inputs(net, model, moving), q_limits=supply.q_limits, headroom=supply.headroom)
    detail = f"chord Newton with bordered rows for limits on pandapower's bus-branch model; {words}"
    return Flow("batch", detail, f"asked for: {words}", model.readout, [(0, states, solver)])


def _reference(net: Any, states: int, why: str) -> Flow:
    tolerance_mva = net._options["tolerance_mva"]
    detail = f"pandapower runpp, Newton-Raphson, recycled model, tolerance {tolerance_mva:g} MVA"
    return Flow("reference", detail, why, readout(net), [(0, states, Reference(net))])


def held_out(moving: list[Moving], states: int) -> NDArray[np.intp]:
    """Return the states on which an engine is judged: the lightest, the heaviest, the first and the middle one.

    Of long series the lightest and heaviest are those of a sample, evenly spread.
    """
    seen = np.unique(np.linspace(0, states - 1, min(states, _SEEN)).astype(np.intp))
    if not all(m.in_memory for m in moving):
        seen = seen[:: max(1, seen.size // 16)]
    x = np.concatenate([m.at_each(seen) for m in moving], axis=1) if moving else np.zeros((seen.size, 0))
    total = total_mw(moving, x)
    finite = np.flatnonzero(np.isfinite(total))
    if not finite.size:
        return np.array([0], dtype=np.intp)
    light, heavy = finite[np.argmin(total[finite])], finite[np.argmax(total[finite])]
    return np.unique(np.asarray([seen[light], seen[heavy], 0, states // 2], dtype=np.intp))


def judge(net: Any, moving: list[Moving], v: dict[int, NDArray[np.complex128]], flow: Flow) -> float:
    """Solve states by ``runpp`` and return the largest difference in voltage, in pu.

    Raises
    ------
    RunError
        If they differ by more than the engine may: better no number than a wrong one.
    """
    states = np.array(sorted(v), dtype=np.intp)
    solver = flow.segments[0][2]
    if isinstance(solver, Saying):
        from gridedge.grid.engines.within import Within, apart_from_runpp

        assert isinstance(solver, Within)
        return _within_bounds(apart_from_runpp(net, solver, moving, v), flow)
    part = [m.pick(states) for m in moving]
    x = side_by_side(part, slice(0, states.size))
    solution, solved = Reference(net).each(part, x, np.arange(states.size))
    worst = 0.0
    for k in np.flatnonzero(solved):
        worst = max(worst, float(np.abs(np.abs(solution[:, k]) - np.abs(v[int(states[k])])).max()))
    return _within_bounds(worst, flow)


def _within_bounds(worst: float, flow: Flow) -> float:
    if not worst <= flow.agree_pu:
        cure = 'Use engine="reference".'
        raise RunError(f"The {flow.engine} engine differs from runpp by {worst:.1e} pu on this net. {cure}")
    return worst
