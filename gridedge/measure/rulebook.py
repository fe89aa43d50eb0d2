"""Rulebooks, shipped or a user's own, and the verb ``check`` that tests a load against them."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridedge import schema, yamlfile
from gridedge.errors import InputError, Problem, bad, is_number, nearest
from gridedge.measure.finding import Finding
from gridedge.measure.judge import Series, judge, measure_power, measure_voltage, open_finding
from gridedge.measure.ramp import Extreme
from gridedge.measure.rules import (
    AnyRule,
    BandAmplitudeRule,
    BandEnergyRule,
    ChangeRule,
    FastChangeRule,
    RampRule,
    Rulebook,
    VoltageChangeRule,
)
from gridedge.measure.targets import BESIDE, SHORT, from_short
from gridedge.spec import Spec, build

__all__ = [
    "AnyRule",
    "BandAmplitudeRule",
    "BandEnergyRule",
    "ChangeRule",
    "FastChangeRule",
    "RampRule",
    "Rulebook",
    "VoltageChangeRule",
    "check",
    "describe_rulebook",
    "list_rulebooks",
    "load_rulebook",
]

_RULES = Path(__file__).resolve().parent / "rules"
Given = str | Path | Mapping[str, Any] | Sequence[Any] | Rulebook


def list_rulebooks() -> dict[str, str]:
    """Return the shipped rulebooks: name and title."""
    return {name: _shipped(name).title for name in _names()}


def describe_rulebook(rulebook: Given) -> str:
    """Return a rulebook in words: each rule, who asks, how well it is known, and what of it is assumed."""
    book = load_rulebook(rulebook)
    lines = [book.title, ""] if book.title else []
    for rule in book.rules:
        lines.append(f"{rule.name}: {rule.words}")
        origin = [rule.authority, rule.document, rule.date, rule.status]
        lines.append("  " + "; ".join(part for part in (*origin, rule.known) if part))
        if rule.applies_from_mw is not None:
            lines.append(f"  applies from {rule.applies_from_mw:g} MW at the meter")
        if rule.assumed:
            lines.append(f"  assumed: {rule.assumed}")
    return "\n".join(lines)


def load_rulebook(rulebook: Given) -> Rulebook:
    """Turn anything that names requirements into a rulebook.

    Parameters
    ----------
    rulebook : str, path, dict, list or Rulebook
        A shipped rulebook's name (:func:`list_rulebooks`); a YAML file; a dict with ``rules`` or ``include``; a dict
        of one rule; a target in short, such as ``{"ramp_mw_per_min": 20}`` or ``{"change_mw": 10, "window_s": 5}``;
        or a list of rules.

    Returns
    -------
    Rulebook
        With everything that it includes as its own rules.

    Raises
    ------
    InputError
        If there is no such rulebook, a rule cannot be used, two have one name, or there is none.
    """
    if isinstance(rulebook, Rulebook):
        book, base = rulebook, Path()
    elif isinstance(rulebook, str | Path):
        return _named(str(rulebook), Path(), ())
    elif isinstance(rulebook, Mapping):
        book, base = _from_mapping(rulebook), Path()
    elif isinstance(rulebook, Sequence):
        names = [str(r) for r in rulebook if isinstance(r, str | Path)]
        if names:
            raise bad("a list holds rules, not names of rulebooks", ", ".join(names), f"Write {{'include': {names}}}.")
        rules = [r.to_dict() if isinstance(r, Spec) else r for r in rulebook]
        book, base = build(Rulebook, {"rules": rules}), Path()
    else:
        raise bad("cannot make a rulebook of this", type(rulebook).__name__, "Give a name, a path or a list of rules.")
    return _whole(book, base, ())


def _from_mapping(given: Mapping[str, Any]) -> Rulebook:
    if "rule" in given:
        return build(Rulebook, {"rules": [dict(given)]})
    if set(given) & {*SHORT, *BESIDE}:
        return build(Rulebook, {"rules": from_short(given)})
    if given and not set(given) & set(Rulebook.model_fields):
        key = next(iter(given))
        raise bad("unknown target", str(key), nearest(str(key), [*SHORT, *Rulebook.model_fields]))
    return build(Rulebook, given)


def _names() -> list[str]:
    return sorted(path.stem for path in _RULES.glob("*.yaml"))


@functools.lru_cache(maxsize=32)
def _shipped(name: str) -> Rulebook:
    return _whole(build(Rulebook, yamlfile.read(_RULES / f"{name}.yaml")), _RULES, (name,))


def _named(name: str, base: Path, above: tuple[str, ...]) -> Rulebook:
    if name in above:
        raise bad("a rulebook includes itself", " > ".join((*above, name)), "Take one of the includes out.")
    if name in _names():
        return _shipped(name)
    path = base / name
    if not path.is_file():
        raise bad("unknown rulebook", name, f"Name a file, or a shipped one. {nearest(name, _names())}")
    return _whole(build(Rulebook, yamlfile.read(path)), path.parent, (*above, name))


def _whole(book: Rulebook, base: Path, above: tuple[str, ...]) -> Rulebook:
    """Return a rulebook with what it includes in front of its own rules."""
    rules = [rule for name in book.include for rule in _named(name, base, above).rules]
    rules += book.rules
    if not rules:
        raise bad("the rulebook has no rule", book.title or "rules: []", "Add rules:, or include: with a name.")
    names = [rule.name for rule in rules]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError([Problem("two rules have the same name", name, "Rename one of them.") for name in twice])
    return book.model_copy(update={"include": (), "rules": tuple(rules)})


def check(load: xr.Dataset, rulebook: Given) -> list[Finding]:
    """Test each site against requirements.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time, site)`` or ``p_mw(member, time, site)`` at the meter, for the rules on power [MW], or a result of
        :func:`gridedge.solve` with ``vm_pu(time, bus)`` or ``vm_at_pu(time, at)``, for those on voltage [pu], or
        both in one.  ``attrs["size_mw"]`` is the site's size; without, its highest power counts as that.
    rulebook : str, path, dict, list or Rulebook
        As :func:`load_rulebook` takes it: ``operators`` is the shipped list of operators' published and proposed
        rules, ``ercot`` one of them, ``{"ramp_mw_per_min": 20}`` a target of one's own.

    Returns
    -------
    list of Finding
        One per site and rule, in order.  With members, ``measured`` is the value that 95 % of them do not exceed,
        and the verdict is by it: up to one in twenty may fail; ``share_failing`` says how many do.

    Raises
    ------
    InputError
        If the load is not metered power, a sample of it is no number, or the rulebook cannot be used.

    Notes
    -----
    A lower bound on what a rule measures can fail it, never pass it: such is what a series shows that is shorter than
    the rule's window, or too coarse for the upper edge of its band (half the sampling rate must lie above it).
    """
    has_voltage = isinstance(load, xr.Dataset) and bool({"vm_pu", "vm_at_pu"} & set(load.data_vars))
    if not (has_voltage and "p_mw" not in load):
        schema.require(load, ["p_mw"], thing="the load")
        if set(load["p_mw"].dims) not in ({"time", "site"}, {"member", "time", "site"}):
            cure = "Pass it through gridedge.connect(...): rules speak of the power at the meter."
            raise bad("the load is not metered power", f"p_mw{load['p_mw'].dims}", cure)
    rules = load_rulebook(rulebook).rules
    if "p_mw" not in load:
        size_mw = _size_mw(load)
        return [_of_result(rule, load, None, size_mw) for rule in rules]
    dt_s = schema.clock(load)
    members = int(load.sizes["member"]) if "member" in load["p_mw"].dims else None
    findings = []
    for site in load["site"].values:
        power = load["p_mw"].sel(site=site)
        power = power if members is None else power.transpose("member", "time")
        p_mw = np.atleast_2d(np.asarray(power.values, dtype=float))
        size_mw = _size_mw(load)
        size_mw = float(p_mw.max(initial=0.0)) if size_mw is None else size_mw
        series = [Series(row, dt_s) for row in p_mw]

        def power_of(rule: AnyRule, k: int, series: list[Series] = series) -> Extreme:
            return measure_power(rule, series[k])

        where = f"{site}, at the meter"
        for rule in rules:
            if isinstance(rule, VoltageChangeRule):
                findings.append(_of_result(rule, load, site, size_mw))
            else:
                findings.append(judge(rule, power_of, members, where=where, size_mw=size_mw))
    return findings


def _size_mw(load: xr.Dataset) -> float | None:
    """Return the size of the site that the load states, None where it states none."""
    size = load.attrs.get("size_mw")
    if size is None:
        return None
    if not (is_number(size) and size > 0):
        raise bad("attrs['size_mw'] is no size of a site", repr(size), "Give megawatts above 0, or leave it out.")
    return float(size)


def _of_result(rule: AnyRule, ds: xr.Dataset, site: Any, size_mw: float | None) -> Finding:
    """Judge a rule on the voltage; say of any other that it needs the power."""
    where = "" if site is None else f"{site}, at the meter"
    if not isinstance(rule, VoltageChangeRule):
        why = "needs the power at the meter: pass what gridedge.connect(...) gives"
        return open_finding(rule, "cannot tell", why, where=where, size_mw=size_mw)
    name = "vm_at_pu" if "vm_at_pu" in ds else "vm_pu"
    if name not in ds or "time" not in ds[name].dims:
        why = "needs the voltage at the point of connection over time: pass a result of gridedge.solve(...)"
        return open_finding(rule, "cannot tell", why, where=where, size_mw=size_mw)
    voltage, place, note = _at_site(ds, name, site)
    members = int(voltage.sizes["member"]) if "member" in voltage.dims else None
    order = [d for d in ("member", "time") if d in voltage.dims]
    values = np.asarray(voltage.transpose(*order, ...).values, dtype=float)
    table = values.reshape(members or 1, ds.sizes["time"], -1)
    dt_s = schema.clock(ds)

    def voltage_of(asked: AnyRule, k: int) -> Extreme:
        assert isinstance(asked, VoltageChangeRule)
        return measure_voltage(asked, table[k], dt_s)

    return judge(rule, voltage_of, members, where=place, size_mw=size_mw, note=note)


def _at_site(ds: xr.Dataset, name: str, site: Any) -> tuple[xr.DataArray, str, str]:
    """Return the voltage at a site's bus, its words, and a note where the bus is not known."""
    voltage = ds[name]
    dims = [str(d) for d in voltage.dims if d not in ("member", "time")]
    if not dims:
        return voltage, "point of connection", ""
    (dim,) = dims[:1]
    if dim == "site":
        return (voltage if site is None else voltage.sel(site=site)), str(site or "worst site"), ""
    bus = ds.attrs.get("site_bus")
    if site is not None and "bus" in ds.coords and ds["bus"].dims == ("site",):
        bus = ds["bus"].sel(site=site).item()
    if bus is not None and dim in ds.coords and bus in ds[dim].values:
        return voltage.sel({dim: bus}), f"bus {bus}", ""
    count = voltage.sizes[dim]
    note = f"the site's bus is not named: the worst of {count}; set attrs['site_bus']" if count > 1 else ""
    return voltage, f"worst of {count} buses" if count > 1 else f"bus {ds[dim].values[0]}", note
