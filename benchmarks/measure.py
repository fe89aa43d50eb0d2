"""What a step costs: ours, pandapower's own two ways, and the other libraries, each held against ``runpp``."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import rivals
import xarray as xr
from pandapower.control import ConstControl
from pandapower.timeseries import DFData, OutputWriter, run_timeseries
from pinned import best_s
from states import States, apart, truth

import gridedge

AGREE_PU = 1e-8
_ROOM = 1_500_000_000  # bytes that a longer series may take, to tell what a further step takes
SERIES, PLAIN = "run_timeseries", "runpp"
Given = Callable[[States], tuple[Any, dict[str, Any]]]


@dataclass(frozen=True)
class Measured:
    """What a rival took.

    Parameters
    ----------
    name : str
        Whose.
    step_s : float
        Per step. [s]
    off_pu : float
        Largest difference in voltage from ``runpp`` at a few states. [pu]
    left : int
        States that did not converge.
    refused : str
        Why it did not solve the net at all; else empty.
    """

    name: str
    step_s: float
    off_pu: float = 0.0
    left: int = 0
    refused: str = ""

    @property
    def verdict(self) -> str:
        """What its time is worth."""
        if self.refused:
            return f"no rival: {self.refused}"
        if self.off_pu <= AGREE_PU and not self.left:
            return f"{self.off_pu:.0e} pu"
        return f"no rival: {self.off_pu:.0e} pu off, {self.left} states left"

    @property
    def right(self) -> bool:
        """Whether it solves the same problem."""
        return not self.verdict.startswith("no rival")


@dataclass(frozen=True)
class Ours:
    """What ``solve`` took per step of the whole call [s], how far it is off, and what a further step takes [s]."""

    step_s: float
    note: str
    further_s: float = float("nan")


def time_series(states: States) -> Measured:
    """Measure ``run_timeseries``: warm, its model recycled, controllers for what moves, voltages written.

    Every run gets an output writer of its own.  A writer that has run once asks for other tables, and pandapower
    then fills all result tables in every step: several times slower, and no fair rival.
    """
    own = copy.deepcopy(states.net)
    if len(own.controller):
        own.controller.drop(own.controller.index, inplace=True)
    for (table, column), values in states.columns.items():
        moves = np.flatnonzero(np.ptp(values, axis=0) > 0)
        if moves.size:
            frame = pd.DataFrame(values[:, moves])
            ConstControl(
                own, table, column, element_index=own[table].index[moves], data_source=DFData(frame),
                profile_name=frame.columns,
            )  # fmt: skip
    steps = range(states.count)

    def fresh() -> OutputWriter:
        return OutputWriter(own, steps, log_variables=[("res_bus", "vm_pu")])

    fresh()
    run_timeseries(own, steps, verbose=False)  # compiles
    step_s = best_s(lambda: run_timeseries(own, steps, verbose=False), before=fresh) / states.count
    writer = own.output_writer.at[0, "object"]
    found = np.asarray(writer.output["res_bus.vm_pu"], dtype=float)
    wanted = {k: truth(states, k).vm_pu for k in (0, states.count // 2)}
    return Measured(SERIES, step_s, max(float(np.nanmax(abs(found[k] - vm))) for k, vm in wanted.items()))


def plain(states: States) -> Measured:
    """Measure a loop of ``runpp`` as it is called by default."""
    own = copy.deepcopy(states.net)
    pp.runpp(own)

    def loop() -> None:
        for k in range(states.count):
            for (table, column), values in states.columns.items():
                own[table][column] = values[k]
            pp.runpp(own)

    step_s = best_s(loop, 2) / states.count
    off = np.nanmax(abs(own.res_bus.vm_pu.to_numpy(float) - truth(states, states.count - 1).vm_pu))
    return Measured(PLAIN, step_s, float(off))


def libraries(states: States, threads: int) -> Iterator[Measured]:
    """Measure every library on the bus-branch arrays of the net."""
    a = rivals.arrays(states.net)
    s = rivals.power(a, states)
    wanted = {k: truth(states, k).v for k in (0, states.count // 2, states.count - 1)}
    for name in rivals.RIVALS:
        try:
            rival = rivals.prepare(name, a, threads)
            v, converged = rival.solve(s)
        except Exception as error:  # a library fails in its own way: said, and the others go on
            reason = str(error) if isinstance(error, rivals.Unfit) else f"{type(error).__name__}: {error}"
            yield Measured(name, float("nan"), refused=reason)
            continue
        off = max(float(np.abs(v[:, k] - one).max()) for k, one in wanted.items())
        packed = rival.pack(s)
        step_s = best_s(lambda rival=rival, packed=packed: rival.run(packed)) / states.count
        yield Measured(name, step_s, off, int((~converged).sum()))


def as_background(states: States) -> tuple[Any, dict[str, Any]]:
    """Return the net and the arguments of ``solve`` where the net's own elements move."""
    return states.net, {"background": states.background()}


def ours(states: States, reduce: list[str] | None, given: Given = as_background) -> Ours:
    """Measure ``solve``, building its input datasets included.

    It is held against ``runpp`` at four states; where only a reduction is kept, the same engine solves 64 of the
    states again, and all of these have to lie within what the reduction found.
    """

    def call(some: States, keep: list[str] | None, engine: Any = "auto") -> xr.Dataset:
        net, arguments = given(some)
        return gridedge.solve(net, **arguments, reduce=keep, engine=engine)

    call(states.some(slice(0, 128)), reduce)  # compiles
    kept: list[xr.Dataset] = []

    def timed() -> None:
        kept.clear()  # two results side by side would take memory that a user never needs
        kept.append(call(states, reduce))

    whole_s = best_s(timed)
    step_s = whole_s / states.count
    result = kept[0]
    held = sum(v.nbytes for v in states.columns.values()) * (1 if reduce else 6)
    times = int(np.clip(_ROOM // held, 2, 12))
    longer = states.some(np.tile(np.arange(states.count), times))
    kept.clear()
    longer_s = best_s(lambda: call(longer, reduce))
    further_s = (longer_s - whole_s) / (longer.count - states.count)
    engine, left = result.attrs["engine"], result.attrs["steps_not_converged"]
    which = np.unique(np.linspace(0, states.count - 1, 64).astype(int))
    few = states.some(which)
    checked = call(few, None, engine) if reduce else result.isel(time=which)
    picks = (0, which.size // 3, 2 * which.size // 3, which.size - 1)
    off = np.max([apart(checked, k, truth(few, k)) for k in picks], axis=0)
    note = f"{off[0]:.0e} pu {off[1]:.0e} deg {off[2]:.0e} % by {engine}"
    if left:
        note += f", {left} NOT CONVERGED"
    if reduce and not within(result, checked):
        note += ", A STATE LIES OUTSIDE THE REDUCTION"
    return Ours(step_s, note, further_s)


def within(result: xr.Dataset, states: xr.Dataset) -> bool:
    """Say whether the voltages of some states lie between the smallest and the largest of a reduction."""
    low, high = (result["vm_pu"].sel(reduction=name, drop=True) for name in ("min", "max"))
    vm = states["vm_pu"]
    return bool(((vm >= low - AGREE_PU) & (vm <= high + AGREE_PU) | vm.isnull()).all())
