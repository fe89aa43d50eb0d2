"""The judge: pandapower's own ``runpp``, state after state.

The bus-branch model is built once and recycled; only the injections change.  A state
that does not converge is started again from scratch, and if that fails too it is marked
and yields no number.
"""

from __future__ import annotations

import importlib.util
import logging
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.engines.buffers import Lanes
from gridedge.grid.engines.moving import Moving

# In a large net rounding alone can leave more than 1e-10 MVA; pandapower's own default comes second, and still
# means less than 1e-9 pu.
_TOLERANCES_MVA = (1e-10, 1e-8)
_MOST = 20  # Newton converges in fewer, or not at all
FAR_PU = 0.2  # a voltage this far from the base state may be the lower root; it is solved again from scratch
_HAS_NUMBA = importlib.util.find_spec("numba") is not None


@dataclass
class Reference:
    """``runpp`` on a private copy, which is recycled from state to state.

    Parameters
    ----------
    net : pandapowerNet
        A private copy that has just been solved; its columns are overwritten.
    fresh : bool
        Whether to begin from scratch rather than from what has just been solved.
    """

    net: Any
    fresh: bool = True

    def __post_init__(self) -> None:
        self.base = np.abs(self.net._ppc["internal"]["V"])
        self.rows = self.base.size
        # pandapower takes the generators that stand for a DC line, in service or not, away after each run: nothing
        # is left to recycle.
        dclines = "dcline" in self.net and len(self.net.dcline)
        self._recyclable, self._fresh = not dclines, self.fresh

    def solve(self, moving: list[Moving], x: NDArray[np.float64], v: Lanes) -> NDArray[np.bool_]:
        """Solve a block of states; see :meth:`gridedge.grid.engines.batch.Batch.solve`.

        A block starts from scratch, so that its bits do not depend on what was solved before it.
        """
        self._fresh = True
        # Close states next to each other need fewer iterations.
        order = np.argsort(total_mw(moving, x), kind="stable")
        found, solved = self.each(moving, x, order)
        v.put(np.arange(x.shape[0]), found)
        return solved

    def each(
        self, moving: list[Moving], x: NDArray[np.float64], order: NDArray[np.intp]
    ) -> tuple[NDArray[np.complex128], NDArray[np.bool_]]:
        """Solve states one by one, in an order.

        Parameters
        ----------
        moving : list of Moving
            The columns that move.
        x : ndarray, shape (state, element)
            Their values, side by side.
        order : ndarray, shape (state,)
            The order to solve in.

        Returns
        -------
        v : ndarray, shape (row, state)
            Complex voltages in the solver's order; NaN where not converged. [pu]
        converged : ndarray of bool
        """
        net = self.net
        recycle = {"bus_pq": True, "gen": any(m.table == "gen" for m in moving), "trafo": False}
        columns = {(m.table, m.column): net[m.table][m.column].to_numpy(float).copy() for m in moving}
        ends = np.cumsum([m.rows.size for m in moving])
        v = np.full((self.rows, order.size), np.nan, dtype=complex)
        converged = np.zeros(order.size, dtype=bool)
        for k in order:
            if not np.isfinite(x[k]).all():
                continue
            for m, end in zip(moving, ends, strict=True):
                values = columns[m.table, m.column]
                values[m.rows] = x[k, end - m.rows.size : end]
                net[m.table][m.column] = values
            if self._recyclable and not self._fresh:
                converged[k] = _again(net, recycle) and not far_from(net._ppc["internal"]["V"], self.base)
            if not converged[k]:  # from scratch: the last solution may be no good start
                converged[k] = run_once(net)
                self._fresh = not converged[k]
            if converged[k]:
                v[:, k] = net._ppc["internal"]["V"]
        return v, converged


def total_mw(moving: list[Moving], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the power that moves in each state, consumption positive."""
    total, first = np.zeros(x.shape[0]), 0
    for m in moving:
        if m.column == "p_mw":
            sign = 1.0 if m.table in {"load", "storage"} else -1.0
            total += sign * x[:, first : first + m.rows.size].sum(axis=1)
        first += m.rows.size
    return total


def far_from(v: NDArray[np.complex128], base: NDArray[np.float64]) -> bool:
    """Say whether a solution lies so far from the base state that it may be another root of the equations."""
    return bool((np.abs(np.abs(v) - base) > FAR_PU).any())


def run_once(net: Any) -> bool:
    """Solve a net from scratch, in place; return whether it converged.

    Raises
    ------
    InputError
        If the net has no source, or pandapower refuses it.
    """
    import pandapower as pp
    from pandapower.powerflow import LoadflowNotConverged

    if not len(net.ext_grid) and not (len(net.gen) and net.gen.slack.any()):
        raise bad("the net has no reference bus", "", "Add an ext_grid, or name reference_bus in the study.")
    logging.getLogger("pandapower").setLevel(logging.ERROR)
    solved = False
    for tolerance_mva in _TOLERANCES_MVA:
        try:
            with np.errstate(all="ignore"):
                pp.runpp(
                    net,
                    tolerance_mva=tolerance_mva,
                    calculate_voltage_angles=True,
                    numba=_HAS_NUMBA,
                    lightsim2grid=False,  # the judge does not change with what else is installed
                    max_iteration=_MOST,
                )
        except LoadflowNotConverged:
            continue
        except (UserWarning, KeyError, ValueError, IndexError) as error:
            raise bad("pandapower refuses this net", str(error), "Look at pandapower.diagnostic(net).") from error
        solved = True
        break
    if not solved:
        return False
    net._options["only_v_results"] = True
    return bool(np.isfinite(net._ppc["internal"]["V"]).all())


def _again(net: Any, recycle: dict[str, bool]) -> bool:
    import pandapower as pp

    try:
        with np.errstate(all="ignore"):
            pp.runpp(net, recycle=recycle, lightsim2grid=False)
    except (RuntimeError, FloatingPointError):  # a singular Jacobian on the way to collapse
        return False
    return bool(net._ppc["success"]) and bool(np.isfinite(net._ppc["internal"]["V"]).all())


def base_state(net: Any) -> None:
    """Solve the net as it stands.

    Raises
    ------
    RunError
        If it does not converge: no study can stand on it.
    """
    if not run_once(net):
        raise RunError("The power flow of the net does not converge even before any site is added. Check the net.")
