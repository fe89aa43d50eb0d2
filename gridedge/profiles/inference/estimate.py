"""A batch curve for what was not measured: the nearest that was, scaled by a roofline."""

from __future__ import annotations

import numpy as np

from gridedge.errors import bad, nearest
from gridedge.profiles.catalog import accelerator
from gridedge.profiles.inference.curve import CHAT, BatchCurve, measured_curves
from gridedge.profiles.inference.models import Model, models

GB_PER_S = {
    "A100": 2039.0,
    "H100": 3350.0,
    "H200": 4800.0,
    "B200": 8000.0,
    "B300": 8000.0,
    "GB200": 8000.0,
    "GB300": 8000.0,
}
"""Memory bandwidth of one accelerator: data sheets of NVIDIA (2020 to 2025), from memory. [GB/s]"""

SPREAD = 0.39
"""Time between tokens falls with the number of accelerators to this power: mean of the eight pairs of measured curves
(0.05 to 0.61) in which one model was measured on n and on 2n; communication eats the rest."""


def estimated_curve(one: Model, chip: str, accelerators: int, *, task: str = CHAT, without: str = "") -> BatchCurve:
    """Return a curve for a model on accelerators on which it was not measured.

    Parameters
    ----------
    one : Model
        The model.
    chip : str
        Name of the accelerator in the catalogue.
    accelerators : int
        That share the model.
    task : str
        Of the benchmark.
    without : str
        A model that may not stand in; to see how far off the rule is.

    Returns
    -------
    BatchCurve
        Its source begins with ``assumed`` and names the curve that it stands on.

    Raises
    ------
    InputError
        If the accelerator's bandwidth is not known.

    Notes
    -----
    Decoding is bound by reading weights: at a batch of *b* at most ``min(all, b x active)`` of them, over the bandwidth
    (Williams et al., "Roofline", CACM 52(4), 2009).  Time between tokens is scaled by the ratio of that time to the
    measured model's, and by the ratio of the numbers of accelerators to the power ``SPREAD``; power over idle by the
    ratio of the accelerators' ceilings over idle.  The nearest curve is that of the smallest sum of logarithms of the
    ratios of active weights, all weights, number of accelerators and bandwidth.  Read from another model, the 18
    measured curves are missed by 15 % in power and a factor of 1.5 in time on average, 36 % and 2.1 at worst.
    """
    if chip not in GB_PER_S:
        raise bad("bandwidth of the accelerator is not known", chip, nearest(chip, GB_PER_S))
    best, least = None, np.inf
    for (name, other, count), curve in measured_curves(task).items():
        if name not in models() or name == without or (name == one.name and without):
            continue
        known = models()[name]
        ratios = (
            one.active_b / known.active_b,
            one.weights_b / known.weights_b,
            accelerators / count,
            GB_PER_S[chip] / GB_PER_S[other],
        )
        apart = float(np.abs(np.log(ratios)).sum()) + (0.0 if name == one.name else 1e-6)  # the model itself, of equals
        if apart < least:
            best, least = curve, apart
    assert best is not None
    known = models()[best.model]
    ours = _read_gb(one, best.batch) / GB_PER_S[chip] / accelerators**SPREAD
    theirs = _read_gb(known, best.batch) / GB_PER_S[best.accelerator] / best.accelerators**SPREAD
    mine, measured = accelerator(chip), accelerator(best.accelerator)
    over = (mine.tdp_w - mine.idle_w) / (measured.tdp_w - measured.idle_w)
    power = mine.idle_w + np.maximum(best.power_w - measured.idle_w, 0.0) * over
    stands = f"{best.model} on {best.accelerators} x {best.accelerator}"
    source = f"assumed: scaled by a roofline from {stands} ({best.source})"
    return BatchCurve(one.name, chip, accelerators, best.batch, power, best.token_s * ours / theirs, source)


def _read_gb(one: Model, batch: np.ndarray) -> np.ndarray:
    """Return the weights that an iteration reads at most, in GB."""
    return np.asarray(np.minimum(one.weights_b, batch * one.active_b) * one.bytes_per_weight)
