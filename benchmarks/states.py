"""Nets and the states that move them, and the truth about a few of these: a plain ``runpp`` from scratch."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandapower as pp
import xarray as xr
from numpy.typing import NDArray
from pandapower.powerflow import LoadflowNotConverged

Float = NDArray[np.float64]
_STUDY = 900.0


@dataclass(frozen=True)
class States:
    """A net and what moves in it.

    Parameters
    ----------
    net : pandapowerNet
        As it stands.
    columns : dict
        ``(table, column)``, as ``("load", "p_mw")``, to values (state, element) of the whole table, before
        the net's ``scaling``. [MW or Mvar]
    dt_s : float
        Step. [s]
    """

    net: Any
    columns: dict[tuple[str, str], Float]
    dt_s: float = _STUDY

    @property
    def count(self) -> int:
        """How many states there are."""
        return len(next(iter(self.columns.values())))

    def some(self, which: Any) -> States:
        """Return some of the states: indices, or a slice."""
        return States(self.net, {key: values[which] for key, values in self.columns.items()}, self.dt_s)

    def background(self) -> dict[str, xr.Dataset]:
        """Return the states as :func:`gridedge.solve` takes them."""
        out = {}
        for table in dict.fromkeys(table for table, _ in self.columns):
            mine = {c: ((("time", table)), v) for (t, c), v in self.columns.items() if t == table}
            coords = {"time": self.dt_s * np.arange(self.count), table: self.net[table].index.to_numpy()}
            out[table] = xr.Dataset(mine, coords=coords)
        return out


def scaled(net: Any, count: int, tables: tuple[str, ...], seed: int = 0) -> States:
    """Return states in which every element of some tables moves: a common day, and noise of its own for each load.

    Generators follow the day without noise; held, they would leave the slack with what no large net can carry.
    """
    rng = np.random.default_rng(seed)
    day = 0.94 + 0.06 * np.sin(2 * np.pi * np.arange(count) / 96)
    columns = {}
    for table in tables:
        frame = net[table]
        if not len(frame):
            continue
        noise = rng.uniform(0.97, 1.03, (count, len(frame))) if table != "gen" else np.ones((count, len(frame)))
        for column in ("p_mw", "q_mvar"):
            if column in frame:
                columns[table, column] = day[:, None] * noise * frame[column].to_numpy(float)
    return States(net, columns)


def simbench_year(code: str) -> States:
    """Return a SimBench net with its own year of quarter hours; what stands still in its profiles is left out."""
    import simbench

    net = simbench.get_simbench_net(code)
    columns = {}
    for (table, column), frame in simbench.get_absolute_values(net, profiles_instead_of_study_cases=True).items():
        if table in {"load", "sgen", "gen", "storage"} and column in {"p_mw", "q_mvar"} and frame.shape[1]:
            columns[table, column] = frame.to_numpy(float)
    return States(net, columns)


@dataclass(frozen=True)
class Truth:
    """What ``runpp`` at 1e-10 MVA says of one state; all in the order of the net's own tables."""

    vm_pu: Float
    va_degree: Float
    loading_percent: dict[str, Float]
    v: NDArray[np.complex128]


def truth(states: States, state: int) -> Truth:
    """Solve one state by a plain ``runpp`` from scratch, apart from everything that is measured."""
    net = copy.deepcopy(states.net)
    for (table, column), values in states.columns.items():
        net[table][column] = values[state]
    try:
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True, max_iteration=30)
    except LoadflowNotConverged:  # in a large net rounding alone leaves more than 1e-10 MVA
        pp.runpp(net, tolerance_mva=1e-8, calculate_voltage_angles=True, max_iteration=30)
    loading = {}
    for table in ("line", "trafo", "trafo3w"):
        if len(net[table]):
            values = net[f"res_{table}"]["loading_percent"].to_numpy(float)
            loading |= {f"{table}:{i}": x for i, x in zip(net[table].index, values, strict=True)}
    return Truth(
        net.res_bus.vm_pu.to_numpy(float), net.res_bus.va_degree.to_numpy(float), loading,
        np.asarray(net._ppc["internal"]["V"]).copy(),
    )  # fmt: skip


def apart(result: xr.Dataset, at: int, wanted: Truth) -> tuple[float, float, float]:
    """Return how far one step of a result is from the truth: voltage [pu], angle [degree], loading [%]."""
    step = result.isel(time=at)
    turn = np.deg2rad(step["va_degree"].values - wanted.va_degree)
    angle = np.rad2deg(np.angle(np.exp(1j * turn)))
    loading = [wanted.loading_percent[b] for b in step["branch"].values if b in wanted.loading_percent]
    rows = [b in wanted.loading_percent for b in step["branch"].values]
    return (
        _largest(step["vm_pu"].values - wanted.vm_pu),
        _largest(angle),
        _largest(step["loading_percent"].values[rows] - np.array(loading)),
    )


def _largest(difference: Float) -> float:
    """Return the largest difference; where there is nothing to compare, it is no agreement but infinite."""
    here = np.abs(difference[np.isfinite(difference)])
    return float(here.max()) if here.size else float("inf")
