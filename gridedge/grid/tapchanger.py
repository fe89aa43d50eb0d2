"""The verb ``settle_taps``: the power flow of every step of a season, with tap changers that follow it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.clock import clock_of
from gridedge.grid.engines import reference
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.choose import held_out
from gridedge.grid.engines.moving import Moving, as_values
from gridedge.grid.engines.reference import Reference
from gridedge.grid.gather import Whole
from gridedge.grid.inject import Background, add_sites, check_supply, moving_background, private_copy
from gridedge.grid.keep import Keeper, Plan
from gridedge.grid.results import Readout, readout
from gridedge.grid.solve import as_dataset
from gridedge.grid.tap_data import Changers, Float, TapControl, Taps, as_control, read_changers
from gridedge.grid.tapmoves import let_move

_TOGETHER = 1024  # states whose results are made at once
_AHEAD = (16, 4096)  # steps that are solved ahead with the same taps: twice as many each time they last
_AGREE_PU = 1e-8


@dataclass(frozen=True)
class Tapped:
    """A net with its taps in one combination of positions, ready to be solved.

    Parameters
    ----------
    solver : Batch or Reference
        Who solves states.
    out : Readout
        From voltages to results.
    keeper : Keeper
        Makes the results of a block.
    """

    solver: Any
    out: Readout
    keeper: Keeper


class Combinations:
    """A net in any combination of tap positions, each prepared when it is first met.

    Parameters
    ----------
    net : pandapowerNet
        A private copy, solved as it stands; its taps are moved.
    moving : list of Moving
        What changes from step to step.
    changers : Changers
        Whose taps move.
    steps : int
        Number of steps.
    """

    def __init__(self, net: Any, moving: list[Moving], changers: Changers, steps: int):
        from gridedge.grid.engines.model import covers

        self.net, self.moving, self.changers, self.steps = net, moving, changers, steps
        self.exact = not covers(net)
        self.plan = _everything(net)
        self._nets: dict[tuple[int, ...], Tapped] = {}
        self._vm: dict[tuple[int, ...], Float] = {}
        self._known: dict[tuple[int, ...], NDArray[np.bool_]] = {}
        self._ahead: dict[tuple[int, ...], int] = {}
        self._room: Lanes | None = None

    @property
    def count(self) -> int:
        """How many combinations have been met."""
        return len(self._nets)

    def at(self, tap: tuple[int, ...]) -> Tapped:
        """Return the net with its taps in given positions."""
        if tap not in self._nets:
            self._nets[tap] = self._prepared(tap)
        return self._nets[tap]

    def _prepared(self, tap: tuple[int, ...]) -> Tapped:
        from gridedge.grid.engines.batch import prepare
        from gridedge.grid.engines.inputs import inputs
        from gridedge.grid.engines.model import extract

        self.changers.put(self.net, tap)
        if not reference.run_once(self.net):
            where = ", ".join(f"{n} at {p}" for n, p in zip(self.changers.label, tap, strict=True))
            raise RunError(f"The power flow of the net as it stands does not converge with {where}.")
        model = extract(self.net) if self.exact else None
        if model is None:
            self.exact = False
            own = copy.deepcopy(self.net)
            out = readout(own)
            return Tapped(Reference(own), out, Keeper(self.plan, out))
        solver = prepare(model, inputs(self.net, model, self.moving), self.steps)
        return Tapped(solver, model.readout, Keeper(self.plan, model.readout))

    def solve(self, tap: tuple[int, ...], steps: NDArray[np.intp]) -> tuple[Lanes, NDArray[np.bool_]]:
        """Solve some steps with given taps; the voltages are overwritten by the next call."""
        one = self.at(tap)
        if self._room is None:
            self._room = Lanes(one.solver.rows, _AHEAD[1])
        x = np.concatenate([m.at(steps) for m in self.moving], axis=1) if self.moving else np.zeros((steps.size, 0))
        finite = np.isfinite(x).all(axis=1)
        solved = one.solver.solve(self.moving, np.ascontiguousarray(np.where(finite[:, None], x, 0.0)), self._room)
        solved = solved & finite
        self._room.blank(solved)
        return self._room, solved

    def ahead(self, tap: tuple[int, ...], first: int) -> Float:
        """Return the regulated voltages with given taps from a step on, as far as they are known.

        Returns
        -------
        ndarray, shape (step, changer)
            Of one step at least; NaN where it has no solution. [pu]
        """
        if tap not in self._vm:
            self._vm[tap] = np.full((self.steps, len(self.changers.label)), np.nan)
            self._known[tap] = np.zeros(self.steps, dtype=bool)
            self._ahead[tap] = _AHEAD[0]
        known = self._known[tap]
        if not known[first]:
            stop = min(first + self._ahead[tap], self.steps)
            self._ahead[tap] = min(2 * self._ahead[tap], _AHEAD[1])
            todo = first + np.flatnonzero(~known[first:stop])
            v, _ = self.solve(tap, todo)
            self._vm[tap][todo] = np.abs(v.take(np.arange(todo.size), self.changers.row)).T
            known[todo] = True
        unknown = np.flatnonzero(~known[first:])
        stop = first + int(unknown[0]) if unknown.size else self.steps
        return self._vm[tap][first:stop]

    def one(self, tap: tuple[int, ...], step: int) -> Float:
        """Return the regulated voltages of one step with given taps, shape (changer,), in pu."""
        return np.asarray(self.ahead(tap, step)[0])


@dataclass(frozen=True)
class Path:
    """Where the taps of a series stand.

    Parameters
    ----------
    tap : ndarray, shape (step, changer)
        Positions at the end of each step.
    moves : ndarray, shape (step, changer)
        Moves within it.
    vm_held_pu : ndarray, shape (step, changer)
        Regulated voltages with the taps of the step before, until the first of them moves. [pu]
    hunting, resting : ndarray of bool, shape (step,)
        Whether taps came back and forth in the step, and whether all rest at its end.
    """

    tap: Taps
    moves: Taps
    vm_held_pu: Float
    hunting: NDArray[np.bool_]
    resting: NDArray[np.bool_]


def follow(nets: Combinations, dt_s: float, on_progress: Callable[[int], None] | None = None) -> Path:
    """Let the tap changers follow a series, step after step, from the positions of the net.

    Parameters
    ----------
    nets : Combinations
        The net.
    dt_s : float
        Length of a step; infinite lets every step settle. [s]
    on_progress : callable, optional
        Told how many steps are done.
    """
    changers, steps = nets.changers, nets.steps
    count = len(changers.label)
    tap_at, moves = np.empty((steps, count), dtype=np.int64), np.zeros((steps, count), dtype=np.int64)
    vm_held = np.empty((steps, count))
    hunting, resting = np.zeros(steps, dtype=bool), np.ones(steps, dtype=bool)
    tap, timer_s, k = changers.start[None, :].copy(), np.zeros((1, count)), 0
    while k < steps:
        vm_pu = nets.ahead(tuple(tap[0].tolist()), k)
        asks = changers.wanted(vm_pu, np.broadcast_to(tap[0], vm_pu.shape)).any(axis=1)
        quiet = int(np.argmax(asks)) if asks.any() else asks.size
        tap_at[k : k + quiet], vm_held[k : k + quiet] = tap[0], vm_pu[:quiet]
        if quiet:
            timer_s[:] = 0.0
        k += quiet
        if asks.any():
            vm_held[k] = vm_pu[quiet]
            here = k

            def voltages(_: NDArray[np.intp], positions: Taps, at: int = here) -> Float:
                return np.stack([nets.one(tuple(p.tolist()), at) for p in positions])

            found = let_move(changers, tap, timer_s, voltages, dt_s)
            tap, timer_s = found.tap, found.timer_s
            tap_at[k], moves[k] = tap[0], found.moves[0]
            hunting[k], resting[k] = found.hunting[0], found.resting[0]
            k += 1
        if on_progress is not None:
            on_progress(k)
    return Path(tap_at, moves, vm_held, hunting, resting)


def settle_taps(
    net: Any,
    injections: xr.Dataset | None = None,
    *,
    background: Background = None,
    taps: TapControl | Mapping[str, Any] | bool = True,
    on_progress: Callable[[int], None] | None = None,
) -> xr.Dataset:
    """Solve the AC power flow of every step of a season, with on-load tap changers that follow it.

    Parameters
    ----------
    net : pandapowerNet, str or path
        A net (never changed), a feeder's name, or a file.
    injections : Dataset, optional
        What the sites draw, as for :func:`gridedge.solve`.
    background : Dataset or dict of Datasets, optional
        Series for the net's own elements, as for :func:`gridedge.solve`.
    taps : TapControl, dict or True
        Which tap changers move, their set-points, dead bands and delays
        (:class:`gridedge.grid.tap_data.TapControl`); True takes what is assumed where nothing is said.
    on_progress : callable, optional
        Told how many steps are done.

    Returns
    -------
    Dataset
        As :func:`gridedge.solve` without ``reduce``: ``vm_pu(time, bus)`` [pu], ``loading_percent(time, branch)`` [%]
        and so on, with the taps as they stand at the end of each step.  Beside them ``tap_pos(time, changer)``,
        ``tap_moves(time, changer)`` and ``operations(changer)``, their number in a step and in all;
        ``vm_held_pu(time, changer)`` [pu], the regulated voltage before the first tap of the step moves;
        ``hunting(time)`` and ``resting(time)``: whether taps go back and forth under the same load, and whether all
        rest at the end.  Coordinates ``regulated_bus``, ``vm_low_pu`` and ``vm_high_pu`` (changer).

    Raises
    ------
    InputError
        If an input cannot be used, a dead band is not wider than a tap step, or a step is shorter than a delay: taps
        move on the season's clock only.
    RunError
        If no step converges, or the result differs from ``runpp``.

    Notes
    -----
    A tap changer waits ``delay_s`` outside its dead band and then moves by one position; so in a step of 900 s and with
    60 s it moves 14 times at most.  Positions and timers go from step to step; the first step starts from the positions
    of the net.  In the time before its moves the voltage is that of ``vm_held_pu``.

    The rule is that of pandapower's ``DiscreteTapControl``, with time added.
    """
    control = as_control(taps)
    own, remarks = private_copy(net)
    clock = clock_of(injections, background)
    moving, idle = moving_background(own, background, clock)
    rows = None
    if injections is not None:
        rows = add_sites(own, injections)
        for column in ("p_mw", "q_mvar"):
            values = as_values(injections[column].transpose("time", "site"))
            moving.append(Moving("sgen", column, rows, values, sign=-1.0))
    reference.base_state(own)
    changers = read_changers(own, control)
    if rows is not None:
        check_supply(own, readout(own), rows)
    dt_s = clock.dt_s if clock.index is not None else np.inf
    check_step(changers, dt_s)
    nets = Combinations(own, moving, changers, clock.steps)
    path = follow(nets, dt_s, on_progress)
    first = nets.at(tuple(changers.start.tolist()))
    keep = Whole(first.out, clock.steps)
    converged = np.zeros(clock.steps, dtype=bool)
    for begin in range(0, clock.steps, _TOGETHER):
        here = path.tap[begin : begin + _TOGETHER]
        combos, which = np.unique(here, axis=0, return_inverse=True)
        for c, combo in enumerate(combos.tolist()):
            steps = begin + np.flatnonzero(which.ravel() == c)
            v, solved = nets.solve(tuple(combo), steps)
            part = nets.at(tuple(combo)).keeper.part(v, solved)
            converged[steps] = solved
            for name, block in part.series.items():
                keep.values[name][steps] = block
    if not converged.any():
        raise RunError(f"The power flow converges in none of the {clock.steps} steps, whatever the taps do.")
    error_vm_pu = _apart_from_runpp(nets, path, keep.values["vm_pu"], converged)
    ds = as_dataset(keep, nets.plan, [(0, clock.steps, first.solver)], first.out, own, clock, converged, injections)
    _add(ds, changers, path)
    engine = "batch" if nets.exact else "reference"
    detail = f"{engine}, {nets.count} combinations of tap positions, each prepared by runpp"
    ds.attrs |= {"engine": engine, "engine_detail": detail, "engine_why": "taps follow the series", "dt_s": clock.dt_s}
    ds.attrs["taps"] = "settled"
    ds.attrs["error_vm_pu"] = error_vm_pu
    ds.attrs["remarks"] = [*remarks, *idle, *changers.said, *_remarks(path, changers, converged)]
    return ds


def check_step(changers: Changers, dt_s: float) -> None:
    """Raise InputError for a step that is shorter than a delay: that is no season."""
    late = changers.delay_s > dt_s
    if late.any():
        k = int(np.argmax(late))
        cure = "Tap changers move on the season's clock: give steps of at least the delay, or hold the taps."
        value = f"{dt_s:g} s < {changers.delay_s[k]:g} s of {changers.label[k]}"
        raise bad("a step is shorter than the delay of a tap changer", value, cure)


def _everything(net: Any) -> Plan:
    size = 2 * (len(net.bus) + sum(len(net[t]) for t in ("line", "trafo", "trafo3w", "impedance")))
    return Plan(None, np.full(size, -np.inf), np.full(size, np.inf), np.empty(0, dtype=np.intp))


def _add(ds: xr.Dataset, changers: Changers, path: Path) -> None:
    """Put what the taps did beside the power flow, in place."""
    ds.coords["changer"] = list(changers.label)
    ds.coords["regulated_bus"] = ("changer", changers.bus)
    ds.coords["vm_low_pu"] = ("changer", changers.low, {"units": "pu"})
    ds.coords["vm_high_pu"] = ("changer", changers.high, {"units": "pu"})
    ds.coords["delay_s"] = ("changer", changers.delay_s, {"units": "s"})
    ds["tap_pos"] = (("time", "changer"), path.tap, {"long_name": "tap position at the end of the step"})
    ds["tap_moves"] = (("time", "changer"), path.moves, {"long_name": "tap operations within the step"})
    ds["operations"] = ("changer", path.moves.sum(axis=0), {"long_name": "tap operations in all steps"})
    held = {"units": "pu", "long_name": "regulated voltage before the first tap of the step moves"}
    ds["vm_held_pu"] = (("time", "changer"), path.vm_held_pu, held)
    ds["hunting"] = ("time", path.hunting, {"long_name": "taps go back and forth under the same load"})
    ds["resting"] = ("time", path.resting, {"long_name": "no tap wants to move at the end of the step"})


def _remarks(path: Path, changers: Changers, converged: NDArray[np.bool_]) -> list[str]:
    said = [
        "Voltages and loadings are those with the taps at the end of each step; until the first of them moves "
        f"({changers.delay_s.min():g} s at the least) they are those of vm_held_pu, between "
        f"{np.nanmin(path.vm_held_pu):.4f} and {np.nanmax(path.vm_held_pu):.4f} pu at the regulated buses."
    ] if path.moves.any() else []  # fmt: skip
    if path.hunting.any():
        said.append(f"Tap changers hunt in {int(path.hunting.sum())} steps: widen their dead bands, or grade delays.")
    if (~path.resting).any():
        said.append(f"In {int((~path.resting).sum())} steps the taps have not come to rest at the end of the step.")
    ends = (path.tap == changers.tap_max) | (path.tap == changers.tap_min)
    said += [
        f"{label} stands at the end of its range in {int(count)} steps."
        for label, count in zip(changers.label, ends.sum(axis=0), strict=True)
        if count
    ]
    if not converged.all():
        said.append(f"{int((~converged).sum())} steps are not solved; there the taps stay.")
    return said


def _apart_from_runpp(nets: Combinations, path: Path, vm_pu: Float, converged: NDArray[np.bool_]) -> float:
    """Solve a few steps by ``runpp`` with their taps; return the largest difference, in pu, or raise RunError."""
    if not nets.exact:
        return 0.0
    worst = 0.0
    for step in held_out(nets.moving, nets.steps).tolist():
        if not converged[step]:
            continue
        nets.changers.put(nets.net, path.tap[step])
        if not reference.run_once(nets.net):
            continue
        part = [m.pick(np.array([step])) for m in nets.moving]
        x = np.concatenate([m.at(slice(0, 1)) for m in part], axis=1) if part else np.zeros((1, 0))
        v, solved = Reference(nets.net, fresh=False).each(part, x, np.array([0]))
        if solved[0]:
            here = nets.at(tuple(path.tap[step].tolist())).out.voltages(v)[0][0]
            worst = max(worst, float(np.nanmax(np.abs(here - vm_pu[step]))))
    if worst > _AGREE_PU:
        raise RunError(f"The voltages with moving taps differ from runpp by {worst:.1e} pu. Report the net.")
    return worst
