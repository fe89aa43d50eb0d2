"""A storage that answers the voltage it changes itself: the loop through the grid, closed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import RunError, bad
from gridedge.grid.buses import find_bus
from gridedge.grid.feeders import load_feeder
from gridedge.grid.solve import solve
from gridedge.sites.mitigate import mitigate

_MOST_ROUNDS = 40


@dataclass(frozen=True, eq=False)
class Looped:
    """A load whose storage and voltage agree.

    Parameters
    ----------
    load : Dataset
        Metered power after its steps, with ``vm_pu(time)`` at its bus.
    rounds : int
        Power flows of the whole series that this took.
    residual_vm_pu : float
        Largest difference between the voltage that the storage answered and the one that followed. [pu]
    """

    load: xr.Dataset
    rounds: int
    residual_vm_pu: float


def close_loop(
    net: Any,
    load: xr.Dataset,
    steps: Sequence[Any],
    *,
    background: Mapping[str, xr.Dataset] | None = None,
    sources: Any = "held",
    tol_vm_pu: float = 1e-6,
) -> Looped:
    r"""Let the steps at a site answer the voltage at its bus, and the voltage follow them.

    Parameters
    ----------
    net : pandapowerNet, str or path
        The network; never changed.
    load : Dataset
        Metered power of one site, with ``bus(site)``.
    steps : sequence of dict or spec
        Steps at the ``site``, one of them with a voltage droop.
    background, sources
        As :func:`gridedge.solve` takes them.
    tol_vm_pu : float
        Largest difference of the voltage between two rounds. [pu]

    Returns
    -------
    Looped

    Raises
    ------
    InputError
        If the load is not one site on a bus, or a step cannot be used.
    RunError
        If the loop does not settle: the droop is too steep for this bus.

    Notes
    -----
    A fixed point over the whole series, relaxed by Aitken's method for vectors: with the residual
    :math:`r_k = v(P(v_k)) - v_k`,

    .. math:: v_{k+1} = v_k + \omega_k r_k, \qquad
              \omega_k = -\omega_{k-1} \frac{r_{k-1} \cdot (r_k - r_{k-1})}{|r_k - r_{k-1}|^2}

    References
    ----------
    .. [1] B. M. Irons, R. C. Tuck, "A version of the Aitken accelerator for computer iteration", International Journal
           for Numerical Methods in Engineering 1 (1969) 275-277. :doi:`10.1002/nme.1620010306`
    """
    schema.require(load, ["p_mw", "q_mvar"], thing="the load")
    if load.sizes.get("site") != 1 or "bus" not in load.coords or "member" in load.dims:
        cure = "Pass one site's IT power through gridedge.connect(..., bus=...)."
        raise bad("the loop is closed for one site on a bus", f"p_mw{load['p_mw'].dims}", cure)

    def voltage(metered: xr.Dataset) -> NDArray[np.float64]:
        found = solve(
            net, metered[["p_mw", "q_mvar"]], background=background, reduce=["min", "max"], at=[bus], sources=sources
        )
        if not bool(found["converged"].all()):
            lost = int((~found["converged"].values).sum())
            raise RunError(f"{lost} steps of the power flow did not converge; no voltage to answer there.")
        values: NDArray[np.float64] = found["vm_at_pu"].values[:, 0]
        return values

    if isinstance(net, str | Path):
        net = load_feeder(net).net
    bus, _ = find_bus(net, load["bus"].values[0])
    v = voltage(load)
    weight, earlier = 1.0, np.zeros(0)
    residual = float("inf")
    for turn in range(1, _MOST_ROUNDS + 1):
        after = mitigate(load.assign(vm_pu=("time", v)), steps)
        r = voltage(after) - v
        residual = float(np.abs(r).max())
        if residual <= tol_vm_pu:
            return Looped(after, turn + 1, residual)
        if earlier.size:
            change = r - earlier
            weight = float(np.clip(-weight * (earlier @ change) / (change @ change), 0.05, 2.0))
        v, earlier = v + weight * r, r
    raise RunError(
        f"The voltage and the droop did not settle in {_MOST_ROUNDS} rounds: they still differ by {residual:.2g} pu, "
        f"more than tol_vm_pu {tol_vm_pu:g}. Flatten the droop (full output at a larger deviation) or slow "
        "the converter with a lag (lag_s)."
    )
