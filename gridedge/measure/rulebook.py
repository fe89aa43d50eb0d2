"""Requirements on the metered power as data, and the verb ``check`` that tests a load against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import xarray as xr
from pydantic import Field

from gridedge import schema, yamlfile
from gridedge.errors import bad, nearest
from gridedge.measure.finding import Finding
from gridedge.measure.ramp import Extreme, largest_change, largest_ramp
from gridedge.spec import Spec, build

_RULES = Path(__file__).resolve().parent / "rules"


class Rule(Spec):
    """What every requirement carries, whatever it measures."""

    name: str
    """Short name."""
    authority: str = "the study's own"
    """Who asks for it."""
    document: str = ""
    """Where it is written, with its date."""
    status: str = "chosen"
    """In force, proposed, discussed, or chosen in the study."""
    known: Literal["read at its source", "quoted by a second source", "from memory", "chosen"] = "chosen"
    """How well the figures are known."""
    applies_from_mw: float | None = Field(None, gt=0)
    """Size at the meter from which it applies; left out where that is not known. [MW]"""


class ChangeRule(Rule):
    """Largest max - min of the power in any closed window."""

    rule: Literal["change"]
    window_s: float = Field(gt=0)
    """Length of the window. [s]"""
    limit_mw: float = Field(gt=0)
    """Largest change. [MW]"""


class RampRule(Rule):
    """Largest |P(t + w) - P(t)| per minute."""

    rule: Literal["ramp"]
    window_s: float = Field(60.0, gt=0)
    """The window w. [s]"""
    limit_mw_per_min: float = Field(gt=0)
    """Largest ramp. [MW/min]"""


class BandRule(Rule):
    """Largest change of the power in a window, within a frequency band."""

    rule: Literal["band_change"]
    window_s: float = Field(gt=0)
    """Length of the window. [s]"""
    limit_mw: float = Field(gt=0)
    """Largest peak-to-peak change. [MW]"""
    band_hz: tuple[float, float]
    """Band in which it is measured. [Hz]"""


AnyRule = Annotated[ChangeRule | RampRule | BandRule, Field(discriminator="rule")]


class Rulebook(Spec):
    """A list of requirements."""

    title: str = ""
    rules: tuple[AnyRule, ...]


def load_rulebook(rulebook: str | Path | Mapping[str, Any] | Sequence[Any] | Rulebook) -> Rulebook:
    """Turn a shipped rulebook's name, a path, a dict, a list of rules or a spec into a rulebook."""
    if isinstance(rulebook, Rulebook):
        return rulebook
    if isinstance(rulebook, str | Path):
        names = sorted(p.stem for p in _RULES.glob("*.yaml"))
        path = _RULES / f"{rulebook}.yaml" if str(rulebook) in names else Path(rulebook)
        if not path.is_file():
            raise bad(
                "unknown rulebook", str(rulebook), f"Name a file, or a shipped one. {nearest(str(rulebook), names)}"
            )
        return build(Rulebook, yamlfile.read(path))
    if isinstance(rulebook, Mapping):
        return build(Rulebook, rulebook)
    if not isinstance(rulebook, Sequence):
        raise bad("cannot make a rulebook of this", type(rulebook).__name__, "Give a name, a path or a list of rules.")
    rules = [r.to_dict() if isinstance(r, Spec) else r for r in rulebook]
    return build(Rulebook, {"rules": rules})


def check(load: xr.Dataset, rulebook: str | Path | Mapping[str, Any] | Sequence[Any] | Rulebook) -> list[Finding]:
    """Test the metered power of each site against requirements.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time, site)`` at the meter. [MW]
    rulebook : str, path, dict, list or Rulebook
        ``operators`` is the shipped list of operators' published and proposed rules.

    Returns
    -------
    list of Finding
        One per site and rule, in order.

    Raises
    ------
    InputError
        If the load is not metered power, or the rulebook cannot be used.
    """
    schema.require(load, ["p_mw"], thing="the load")
    if "site" not in load["p_mw"].dims or set(load["p_mw"].dims) != {"time", "site"}:
        cure = "Pass it through gridedge.connect(...): rules speak of the power at the meter."
        raise bad("the load is not metered power", f"p_mw{load['p_mw'].dims}", cure)
    rules = load_rulebook(rulebook).rules
    dt_s = schema.clock(load)
    findings = []
    for site in load["site"].values:
        p_mw = load["p_mw"].sel(site=site).values.astype(float)
        size_mw = float(load.attrs.get("size_mw", np.max(p_mw)))
        findings += [_judge(rule, p_mw, dt_s, str(site), size_mw) for rule in rules]
    return findings


def _judge(rule: ChangeRule | RampRule | BandRule, p_mw: Any, dt_s: float, site: str, size_mw: float) -> Finding:
    limit = rule.limit_mw_per_min if isinstance(rule, RampRule) else rule.limit_mw
    unit = "MW/min" if isinstance(rule, RampRule) else "MW"
    origin: dict[str, Any] = {
        "authority": rule.authority,
        "status": rule.status,
        "source": rule.document,
        "where": f"{site}, at the meter",
    }
    text = _in_words(rule)
    if rule.applies_from_mw is not None and size_mw < rule.applies_from_mw:
        note = f"applies from {rule.applies_from_mw:g} MW; the site peaks at {size_mw:.3g} MW at the meter"
        return Finding(rule.name, text, "not applicable", None, limit, unit, note=note, **origin)
    threshold = (
        ""
        if rule.applies_from_mw is not None or rule.known == "chosen"
        else "size threshold not known; judged as if it applied"
    )
    if isinstance(rule, BandRule):
        note = "needs the band-pass filter that the rule's text does not give; not judged"
        return Finding(rule.name, text, "cannot tell", None, limit, unit, note=note, **origin)
    if isinstance(rule, RampRule):
        found = largest_ramp(p_mw, dt_s, window_s=rule.window_s)
    else:
        found = largest_change(p_mw, dt_s, window_s=rule.window_s)
    verdict, note = _verdict(found, limit)
    note = "; ".join(n for n in (note, threshold) if n)
    measured = None if np.isnan(found.value) else found.value
    when = None if np.isnan(found.when_s) else found.when_s
    return Finding(rule.name, text, verdict, measured, limit, unit, when_s=when, note=note, **origin)


def _verdict(found: Extreme, limit: float) -> tuple[Literal["pass", "fail", "cannot tell"], str]:
    if np.isnan(found.value):
        return "cannot tell", found.why
    if found.value > limit:
        return "fail", "" if found.exact else "already exceeded by the samples at hand"
    if not found.exact:
        return "cannot tell", "the sampling gives a lower bound only"
    return "pass", ""


def _in_words(rule: ChangeRule | RampRule | BandRule) -> str:
    if isinstance(rule, RampRule):
        return f"|P(t + {rule.window_s:g} s) - P(t)| at most {rule.limit_mw_per_min:g} MW/min"
    text = f"max - min at most {rule.limit_mw:g} MW in any {rule.window_s:g} s"
    return text + (f", {rule.band_hz[0]:g} to {rule.band_hz[1]:g} Hz" if isinstance(rule, BandRule) else "")
