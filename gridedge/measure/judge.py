"""From a rule and the series of a site to a finding: over all members, with its verdict and the reason."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridedge.measure.finding import Finding, Verdict
from gridedge.measure.judge_bands import measure_band_amplitude, measure_band_energy
from gridedge.measure.judge_ramps import measure_change, measure_fast_change, measure_ramp
from gridedge.measure.ramp import Extreme
from gridedge.measure.rules import (
    AnyRule,
    BandAmplitudeRule,
    BandEnergyRule,
    ChangeRule,
    FastChangeRule,
    RampRule,
    Rule,
    VoltageChangeRule,
)
from gridedge.measure.spectrum import peak_hold
from gridedge.measure.voltage import largest_voltage_change

Float = NDArray[np.float64]
_NOTHING = 1e-9  # of a site's size: below, a change is rounding


@dataclass
class Series:
    """The power of one member of a site, and what several rules measure of it.

    Parameters
    ----------
    p_mw : ndarray, shape (time,)
        Power at the meter. [MW]
    dt_s : float
        Step length. [s]
    """

    p_mw: Float
    dt_s: float
    _held: dict[float, tuple[Float, Float, Float]] = field(default_factory=dict)

    def hold(self, window_s: float) -> tuple[Float, Float, Float]:
        """Return the largest amplitude by frequency, once for all rules with the same window."""
        if window_s not in self._held:
            self._held[window_s] = peak_hold(self.p_mw, self.dt_s, window_s=window_s)
        return self._held[window_s]


def measure_power(rule: AnyRule, series: Series) -> Extreme:
    """Measure what a rule on the power asks for."""
    p, dt_s = series.p_mw, series.dt_s
    if isinstance(rule, ChangeRule):
        return measure_change(rule, p, dt_s)
    if isinstance(rule, RampRule):
        return measure_ramp(rule, p, dt_s)
    if isinstance(rule, FastChangeRule):
        return measure_fast_change(rule, p, dt_s)
    if isinstance(rule, BandAmplitudeRule):
        return measure_band_amplitude(rule, p, dt_s, series.hold)
    assert isinstance(rule, BandEnergyRule)
    return measure_band_energy(rule, p, dt_s)


def measure_voltage(rule: VoltageChangeRule, vm_pu: Float, dt_s: float) -> Extreme:
    """Measure what a rule on the voltage asks for: the worst of the columns of (time, bus)."""
    found = [largest_voltage_change(column, dt_s, window_s=rule.window_s) for column in vm_pu.T]
    return max(found, key=lambda one: -np.inf if np.isnan(one.value) else one.value)


def judge(
    rule: AnyRule,
    measure: Callable[[AnyRule, int], Extreme],
    members: int | None,
    *,
    where: str,
    size_mw: float | None,
    note: str = "",
) -> Finding:
    """Judge one rule.

    Parameters
    ----------
    rule : rule
        What is asked.
    measure : callable
        Gives what the rule measures of member k.
    members : int or None
        Number of members; None where the load has none.
    where : str
        Which site or bus, for the reader.
    size_mw : float or None
        The site's size at the meter; None where it is not known. [MW]
    note : str
        What the reader must know beside it.
    """
    if rule.applies_from_mw is not None and size_mw is not None and size_mw < rule.applies_from_mw:
        why = f"applies from {rule.applies_from_mw:g} MW; the site peaks at {size_mw:.3g} MW at the meter"
        return open_finding(rule, "not applicable", why, where=where, size_mw=size_mw)
    if size_mw is None and isinstance(rule, BandAmplitudeRule) and rule.limit_percent_of_size is not None:
        return open_finding(rule, "cannot tell", "the size of the site is not known", where=where)
    found = [measure(rule, k) for k in range(members or 1)]
    limit = rule.limit(size_mw or 0.0)
    values = np.array([one.value for one in found])
    shown = found[_ranked(values, 0.95)] if members else found[0]
    verdict, why = _verdict(shown, found, limit, size_mw)
    over = {} if not members else _over_members(values, limit)
    remarks = [why, _share(over), shown.note, note, _threshold(rule)]
    return Finding(
        rule.name,
        rule.words,
        verdict,
        None if np.isnan(shown.value) else shown.value,
        limit,
        rule.unit,
        when_s=None if np.isnan(shown.when_s) else shown.when_s,
        note="; ".join(remark for remark in remarks if remark),
        figures=shown.figures,
        where=where,
        **over,
        **_origin(rule),
    )


def open_finding(rule: AnyRule, verdict: Verdict, why: str, *, where: str, size_mw: float | None = None) -> Finding:
    """Return a finding for which nothing was measured."""
    known = size_mw is not None or not isinstance(rule, BandAmplitudeRule)
    limit = rule.limit(size_mw or 0.0) if known else rule.limit_mw  # type: ignore[union-attr]
    return Finding(rule.name, rule.words, verdict, None, limit, rule.unit, note=why, where=where, **_origin(rule))


def _verdict(
    shown: Extreme, found: Sequence[Extreme], limit: float | None, size_mw: float | None
) -> tuple[Verdict, str]:
    """Judge by the value shown; a lower bound can fail but not pass."""
    if np.isnan(shown.value):
        return "cannot tell", shown.why
    unsure = next((one for one in found if not one.exact), None)
    if limit is None:
        if unsure is None and shown.value <= _NOTHING * max(1.0, size_mw or 0.0):
            return "pass", "flat, whatever the limit"
        return "cannot tell", "the document names no figure; give the rule a limit"
    if shown.value > limit:
        return "fail", "" if shown.exact else f"already exceeded by the samples at hand; {shown.why}".rstrip("; ")
    if unsure is not None:
        return "cannot tell", unsure.why or "the sampling gives a lower bound only"
    return "pass", ""


def _over_members(values: Float, limit: float | None) -> dict[str, Any]:
    share = None if limit is None else float((values > limit).sum() / values.size)
    quantiles = {f"p{q}": float(values[_ranked(values, q / 100)]) for q in (50, 95, 99)}
    told = {name: None if np.isnan(value) else value for name, value in quantiles.items()}
    return {"members": int(values.size), "share_failing": share, **told}


def _ranked(values: Float, share: float) -> int:
    """Return the member whose value at least a share of all members do not exceed; unknown ones count as lowest."""
    order = np.argsort(np.where(np.isnan(values), -np.inf, values), kind="stable")
    return int(order[max(0, int(np.ceil(share * values.size - 1e-9)) - 1)])


def _share(over: dict[str, Any]) -> str:
    if not over or over["share_failing"] is None:
        return ""
    failing = round(over["share_failing"] * over["members"])
    return f"fails in {failing} of {over['members']} members, judged by the 95th percentile"


def _threshold(rule: Rule) -> str:
    if rule.applies_from_mw is not None or rule.known == "chosen":
        return ""
    return "size threshold not known; judged as if it applied"


def _origin(rule: Rule) -> dict[str, Any]:
    source = ", ".join(part for part in (rule.document, rule.date) if part)
    return {"authority": rule.authority, "status": rule.status, "source": source, "known": rule.known}
