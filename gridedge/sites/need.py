"""How much power and energy it takes to turn one power series into another."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad

Float = NDArray[np.float64]


def needed(
    p_before_mw: Float,
    p_after_mw: Float,
    dt_s: float,
    *,
    charge_efficiency: float = 1.0,
    discharge_efficiency: float = 1.0,
    soc_min_pu: float = 0.0,
    soc_max_pu: float = 1.0,
    soc_start_pu: float | None = None,
) -> tuple[float, float]:
    r"""Return the smallest power and energy of a storage that makes one series of the other.

    Parameters
    ----------
    p_before_mw, p_after_mw : ndarray, shape (..., time)
        Power before and behind the storage, consumption positive. [MW]
    dt_s : float
        Step length. [s]
    charge_efficiency, discharge_efficiency : float
        One-way efficiencies of the storage.
    soc_min_pu, soc_max_pu : float
        Window of the state of charge. [pu]
    soc_start_pu : float, optional
        State of charge at the start; the best one unless given. [pu]

    Returns
    -------
    p_mw : float
        Largest charging or discharging power, over all rows. [MW]
    e_mwh : float
        Energy between empty and full, over all rows. [MWh]

    Raises
    ------
    InputError
        If the series do not match, are empty or not finite, or an efficiency or the window is impossible.

    Notes
    -----
    With the residual :math:`b = p_a - p_b`, the rate :math:`s = \eta_c b` where it charges and :math:`b / \eta_d` where
    it discharges, and :math:`S_k = \Delta t \sum_{i \le k} s_i,\ S_{-1} = 0`:

    .. math:: P = \max |b|, \qquad E = \frac{\max S - \min S}{z_{max} - z_{min}}

    and with a stated start :math:`z_0` the larger of :math:`\max S / (z_{max} - z_0)` and
    :math:`-\min S / (z_0 - z_{min})`.  Losses make :math:`S` drift; a storage whose state of charge recovers needs less
    over a long series than this formula says.
    """
    before, after = np.asarray(p_before_mw, dtype=float), np.asarray(p_after_mw, dtype=float)
    if before.shape != after.shape or not before.size:
        raise bad(
            "the series before and after do not match",
            f"{before.shape} and {after.shape}",
            "Give equal shapes, not empty.",
        )
    if not (np.isfinite(before).all() and np.isfinite(after).all()):
        raise bad("a series is not finite", "", "Fill or cut the gap; gridedge does not guess power.")
    if not dt_s > 0:
        raise bad("dt_s is not positive", dt_s, "Give the step in seconds.")
    for name, value in (("charge_efficiency", charge_efficiency), ("discharge_efficiency", discharge_efficiency)):
        if not 0 < value <= 1:
            raise bad(f"{name} is not possible", value, "Give a share above 0, up to 1.")
    if not 0 <= soc_min_pu < soc_max_pu <= 1:
        raise bad(
            "the state-of-charge window is empty", f"{soc_min_pu} to {soc_max_pu} pu", "Give 0 <= min < max <= 1."
        )
    if soc_start_pu is not None and not soc_min_pu <= soc_start_pu <= soc_max_pu:
        cure = f"Start within {soc_min_pu} to {soc_max_pu} pu."
        raise bad("the storage starts outside its window", f"soc_start_pu {soc_start_pu}", cure)
    residual = after - before
    stored = np.where(residual > 0, residual * charge_efficiency, residual / discharge_efficiency)
    content = np.cumsum(stored, axis=-1) * (dt_s / 3600.0)
    highest, lowest = np.maximum(content.max(axis=-1), 0.0), np.minimum(content.min(axis=-1), 0.0)
    if soc_start_pu is None:
        energy = (highest - lowest) / (soc_max_pu - soc_min_pu)
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(highest > 0, highest / (soc_max_pu - soc_start_pu), 0.0)
            down = np.where(lowest < 0, -lowest / (soc_start_pu - soc_min_pu), 0.0)
        energy = np.maximum(up, down)
    return float(np.abs(residual).max()), float(energy.max())
