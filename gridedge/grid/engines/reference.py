"""The judge: pandapower's own ``runpp``, state after state.

The bus-branch model is built once and recycled; only the injections change.  A state
that does not converge is started again from scratch, and if that fails too it is marked
and yields no number.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import RunError, bad
from gridedge.grid.engines.moving import Moving

# In a large net rounding alone can leave more than 1e-10 MVA; pandapower's own default comes second, and still
# means less than 1e-9 pu.
_TOLERANCES_MVA = (1e-10, 1e-8)
_BLOCK = 512
_MOST = 20  # Newton converges in fewer, or not at all
FAR_PU = 0.2  # a voltage this far from the base state may be the lower root; it is solved again from scratch
_HAS_NUMBA = importlib.util.find_spec("numba") is not None


def solve_states(
    net: Any, moving: list[Moving], order: NDArray[np.intp], on_block: Callable[[int], None] | None = None
) -> Iterator[tuple[NDArray[np.intp], NDArray[np.complex128], NDArray[np.bool_]]]:
    """Solve states one by one, and hand them on in blocks.

    Parameters
    ----------
    net : pandapowerNet
        A private copy; its columns are overwritten.
    moving : list of Moving
        What changes.
    order : ndarray, shape (state,)
        The order to solve in; close states next to each other need fewer iterations.
    on_block : callable, optional
        Told how many states are done.

    Yields
    ------
    states : ndarray
        Which states these are.
    v : ndarray, shape (row, state)
        Complex voltages in the solver's order; NaN where not converged. [pu]
    converged : ndarray of bool
    """
    recycle = {"bus_pq": True, "gen": any(m.table == "gen" for m in moving), "trafo": False}
    columns = {(m.table, m.column): net[m.table][m.column].to_numpy(float).copy() for m in moving}
    # pandapower takes the generators that stand for a DC line away after each run: nothing is left to recycle.
    recyclable = not ("dcline" in net and len(net.dcline) and net.dcline.in_service.any())
    base = np.abs(net._ppc["internal"]["V"])
    fresh, done = True, 0
    for first in range(0, order.size, _BLOCK):
        states = order[first : first + _BLOCK]
        v = np.full((base.size, states.size), np.nan, dtype=complex)
        converged = np.zeros(states.size, dtype=bool)
        for k, state in enumerate(states):
            for m in moving:
                values = columns[m.table, m.column]
                values[m.rows] = m.values[state]
                net[m.table][m.column] = values
            if recyclable and not fresh:
                converged[k] = _again(net, recycle) and not far_from(net._ppc["internal"]["V"], base)
            if not converged[k]:  # from scratch: the last solution may be no good start
                converged[k] = run_once(net)
                fresh = not converged[k]
            if converged[k]:
                v[:, k] = net._ppc["internal"]["V"]
        done += states.size
        if on_block is not None:
            on_block(done)
        yield states, v, converged


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
            pp.runpp(net, recycle=recycle)
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
