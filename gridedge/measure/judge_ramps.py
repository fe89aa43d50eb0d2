"""Rules on how the power moves in time: changes in a window, ramps, fast changes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridedge.measure.filters import band_pass, droop, too_coarse
from gridedge.measure.ramp import Extreme, largest_change, largest_fast_change, largest_ramp, ramp_percentile
from gridedge.measure.rules import ChangeRule, FastChangeRule, Filter, RampRule

Float = NDArray[np.float64]
_ORDERS = (1, 2, 3, 4)  # of an assumed filter: what the assumption is worth
_DAMPED = 0.95  # below, a finding says how much the samples damp at the upper edge
_SETTLES = 3.0  # periods of the lower edge, after which nothing is left of how the filter started
_GOES_ON = 0.9  # of the change at the start; a steady sine within the band shows 0.92 and more, whatever its phase
_PER_FAST_CHANGE = 10  # samples that a change of the limit's size must have, at the limit's rate


def measure_change(rule: ChangeRule, p_mw: Float, dt_s: float) -> Extreme:
    """Measure the largest change in a window.

    A series shorter than the window, or too coarse for the filter's upper edge, gives a lower bound.
    """
    if rule.filter is None:
        return _short_or(largest_change(p_mw, dt_s, window_s=rule.window_s), p_mw, dt_s, rule.needs_s)
    low, high = rule.filter.band_hz
    nyquist_hz = 0.5 / dt_s
    if low >= nyquist_hz or p_mw.size < 2:
        return Extreme(np.nan, np.nan, False, too_coarse(rule.filter.band_hz, dt_s))
    if high >= nyquist_hz:
        return _coarse_change(rule, rule.filter, p_mw, dt_s)
    found = _filtered(rule, rule.filter, p_mw, dt_s)
    if not np.isfinite(found.value):
        return found
    remarks = [found.note] if found.note else []
    if rule.filter.known == "assumed":
        others = {n: rule.filter.model_copy(update={"order": n}) for n in _ORDERS if n != rule.filter.order}
        spread = {rule.filter.order: found.value}
        spread |= {n: _filtered(rule, f, p_mw, dt_s).value for n, f in others.items()}
        found = replace(found, figures=(*found.figures, *((f"order_{n}_mw", v) for n, v in sorted(spread.items()))))
        least, most = min(spread.values()), max(spread.values())
        hangs = rule.limit_mw is not None and least <= rule.limit_mw < most
        text = f"filter assumed: {least:.4g} to {most:.4g} MW over orders 1 to 4"
        remarks.append(f"{text}, so that the verdict depends on it" if hangs else text)
    left = droop(high, dt_s)
    if left < _DAMPED:
        remarks.append(f"samples are means over {dt_s:g} s, which leaves {left:.2f} of a swing at {high:g} Hz")
    found = replace(found, note="; ".join(remarks))
    if p_mw.size * dt_s < rule.needs_s * (1 - 1e-9):
        return replace(found, exact=False, why=_too_short(p_mw, dt_s, rule.needs_s))
    return found


def _filtered(rule: ChangeRule, f: Filter, p_mw: Float, dt_s: float) -> Extreme:
    """Measure behind a filter whose band the samples can show."""
    found = _range_behind(rule, f, p_mw, dt_s)
    if not found.when_s < _SETTLES / f.band_hz[0]:
        return found
    # The largest change lies where the filter still settles: what only an unknown history shows is not the load's.
    others = []
    if f.start != "first sample" and found.when_s < 1.0 / f.band_hz[0]:
        others.append(_range_behind(rule, f.model_copy(update={"start": "first sample"}), p_mw, dt_s))
    others += _settled(rule, f, p_mw, dt_s, found.value)
    least = min(others, key=lambda one: one.value, default=found)
    if not least.value < found.value:
        return found
    level = f.start.replace(" ", "_")
    note = f"{found.value:.4g} MW if the load had stood at its {f.start} before the series begins"
    return replace(least, note=note, figures=((f"from_the_{level}_mw", found.value),))


def _settled(rule: ChangeRule, f: Filter, p_mw: Float, dt_s: float, value: float) -> list[Extreme]:
    """Return what the settled filter shows, where that is nearly as much: such a load swung before it began, too."""
    first = round(_SETTLES / (f.band_hz[0] * dt_s))
    passed = band_pass(p_mw, dt_s, band_hz=f.band_hz, order=f.order, causal=f.causal, start=f.start)[first:]
    later = largest_change(passed, dt_s, window_s=rule.window_s)
    if not _GOES_ON * value <= later.value < value:
        return []
    return [replace(later, when_s=later.when_s + first * dt_s)]


def _range_behind(rule: ChangeRule, f: Filter, p_mw: Float, dt_s: float) -> Extreme:
    passed = band_pass(p_mw, dt_s, band_hz=f.band_hz, order=f.order, causal=f.causal, start=f.start)
    return _short_or(largest_change(passed, dt_s, window_s=rule.window_s), passed, dt_s, rule.window_s)


def _coarse_change(rule: ChangeRule, f: Filter, p_mw: Float, dt_s: float) -> Extreme:
    """Bound the change from below by what coarse samples show.

    Two means that differ by D prove that the power itself has differed by D, at times that lie no further apart than
    the two whole steps: so the window loses one step.  What lies above the samples' reach can only be missing, since
    a mean passes less of it than the rule's filter does.
    """
    why = too_coarse(f.band_hz, dt_s)
    if rule.window_s < 2 * dt_s * (1 - 1e-9):
        return Extreme(np.nan, np.nan, False, why)
    inner = rule.model_copy(update={"window_s": rule.window_s - dt_s})
    return replace(_filtered(inner, f, p_mw, dt_s), exact=False, why=why)


def measure_ramp(rule: RampRule, p_mw: Float, dt_s: float) -> Extreme:
    """Measure the largest ramp, or a percentile of all."""
    if rule.percentile is None:
        found = largest_ramp(p_mw, dt_s, window_s=rule.window_s, direction=rule.direction)
    else:
        found = ramp_percentile(
            p_mw, dt_s, percentile=rule.percentile, window_s=rule.window_s, direction=rule.direction
        )
    return replace(found, value=found.value / 60.0) if rule.limit_mw_per_s is not None else found


def measure_fast_change(rule: FastChangeRule, p_mw: Float, dt_s: float) -> Extreme:
    """Measure the largest change at the rule's rate or faster."""
    found = largest_fast_change(p_mw, dt_s, rate_mw_per_s=rule.rate_mw_per_s)
    finest_s = rule.needs_s / _PER_FAST_CHANGE
    if dt_s > finest_s * (1 + 1e-9):
        return replace(found, exact=False, why=f"steps of {dt_s:g} s blur the rate: use {finest_s:g} s or less")
    if p_mw.size * dt_s < rule.needs_s * (1 - 1e-9):
        return replace(found, exact=False, why=_too_short(p_mw, dt_s, rule.needs_s))
    return found


def _short_or(found: Extreme, p: Float, dt_s: float, needs_s: float) -> Extreme:
    """Take the range of a series that is shorter than its window as a lower bound."""
    if np.isfinite(found.value) or p.size < 2 or (p.size - 1) * dt_s >= needs_s:
        return found
    return Extreme(float(p.max() - p.min()), 0.0, False, _too_short(p, dt_s, needs_s))


def _too_short(p_mw: Float, dt_s: float, needs_s: float) -> str:
    return f"the series of {p_mw.size * dt_s:g} s is too short: give more than {needs_s:g} s"
