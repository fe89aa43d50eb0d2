"""The verb ``size_battery``: the smallest power and energy that meet a target, proven by simulating them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import bad, is_number
from gridedge.measure.finding import Finding
from gridedge.measure.rulebook import Rulebook, check, load_rulebook
from gridedge.planning.prices import Prices
from gridedge.planning.verdict import Verdict, judge
from gridedge.sites.mitigate import mitigate
from gridedge.sites.storage import Battery
from gridedge.spec import take
from gridedge.timebase import skipped

_UNBOUND = 1e3  # times the load's highest power: a battery that never reaches its limits
_FINE = 0.002  # share to which power, energy and strength are found
_SLOWEST_S, _FASTEST_S = 3600.0, 0.02
_RECOVERY = 10.0  # recovery time over smoothing time: the return to the middle must not fight the smoothing
_SLOW_S = 600.0  # a ramp limit follows in minutes, however little it smooths
_SAFE = 1.0 - 1e-6
_TRIES = 2  # stronger laws in a row that make a battery no cheaper, before the search ends
_TURNS = 3  # between the power of a battery and what its standby adds to that


@dataclass(frozen=True)
class BatterySize:
    """The smallest battery of a kind that meets a target.

    Parameters
    ----------
    meets : bool
        Whether the target is met; else the size is that of the battery that comes nearest.
    p_rated_mw, e_rated_mwh : float
        Power at its terminals, and energy between empty and full.
    e_needed_mwh : float
        Energy that the target needs; less than ``e_rated_mwh`` where the cells' power asks for more of them.
    battery : dict
        The whole step, as :func:`gridedge.mitigate` takes it.
    findings : list of Finding
        The target's requirements with this battery, from simulating it.
    before : list of Finding
        The same without it.
    smaller : dict
        What fails with less: the verdict with 1 % less power, and with 1 % less than the energy that is needed.
    price : float
        Of this battery, at the prices given.
    note : str
        What to know; by how much the target is missed where it is.
    """

    meets: bool
    p_rated_mw: float
    e_rated_mwh: float
    e_needed_mwh: float
    battery: dict[str, Any]
    findings: list[Finding]
    before: list[Finding]
    smaller: dict[str, str] = field(default_factory=dict)
    price: float = 0.0
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return asdict(self)


def size_battery(
    load: xr.Dataset,
    *,
    target: Any,
    battery: Mapping[str, Any] | None = None,
    prices: Prices | Mapping[str, Any] | None = None,
    settle_s: float = 0.0,
    start_mw: float | None = None,
    c_rate_per_h: float = 4.0,
) -> BatterySize:
    """Find the smallest battery at the point of connection that meets a target.

    Parameters
    ----------
    load : Dataset
        Metered power ``p_mw(time, site)``, or ``p_mw(member, time, site)``, of one site.
    target : str, path, dict, list or Rulebook
        A rulebook's name or file, ``{"ramp_mw_per_min": 20}``, or rules.
    battery : dict, optional
        What is fixed of the step ``battery``: efficiencies, window, delay, or a ``law``, whose strength is then not
        searched.
    prices : Prices or dict, optional
        Weigh power against energy where a law can trade them.
    settle_s : float
        Start of the series in which controls settle; the battery lives through it, the target is not asked, and
        times in findings count from its end. [s]
    start_mw : float, optional
        Level of the metered power before the series begins.  Its mean unless given, as for a stretch cut out of a
        longer run; give the first sample where a job starts within the series. [MW]
    c_rate_per_h : float
        Largest power over energy that the cells allow; assumed: 4 for cells made for power. [1/h]

    Returns
    -------
    BatterySize
        With ``meets`` false where no battery of this kind meets the target: the note says by how much it misses.

    Raises
    ------
    InputError
        If the load is not metered power of one site, or the target cannot be used.

    Notes
    -----
    Each control law has one strength: how slowly the metered power follows the load.  The weakest strength that meets
    the target is found by bisection with a battery that never reaches its limits; its power is then the largest it
    gave or took, and its energy the range of what it held over the window of its state of charge.  Both are then
    lowered until the target fails, as a battery may touch its limits unharmed, and the last that holds is simulated
    once more: these are the findings.  A stronger law can do with less power, though with more energy: strengths twice
    as slow are tried as long as they make the battery cheaper.
    """
    schema.require(load, ["p_mw"], thing="the load")
    if "site" not in load["p_mw"].dims or load.sizes["site"] != 1:
        cure = "Pass it through gridedge.connect(...) and choose one site."
        raise bad("a battery is sized for the metered power of one site", f"p_mw{load['p_mw'].dims}", cure)
    book = load_rulebook(target)
    if not (is_number(c_rate_per_h) and c_rate_per_h > 0):
        cure = "Give a number: cells for energy give about 1, for power about 4."
        raise bad("c_rate_per_h must be positive", repr(c_rate_per_h), cure)
    if start_mw is not None and not is_number(start_mw):
        raise bad("start_mw must be a number of megawatts", repr(start_mw), "Give the level before the series begins.")
    if battery is not None and not isinstance(battery, Mapping):
        raise bad("battery must be a dict", type(battery).__name__, "Write what is fixed of it: {'delay_s': 0.005}.")
    if battery and battery.get("step", "battery") != "battery":
        cure = "Leave it out: the step that is sized is the battery at the site."
        raise bad("only a battery can be sized", f"step {battery['step']!r}", cure)
    cost = take(Prices, prices if prices is not None else {})
    fixed = {k: v for k, v in (battery or {}).items() if k != "step"}
    given = [k for k in ("p_rated_mw", "e_rated_mwh") if k in fixed]
    if given:
        raise bad("the size of the battery is what is looked for", ", ".join(given), "Leave it out of battery.")
    trial = _Trial(load, book, settle_s)
    before = trial.judged(load)
    if before.overall in {"pass", "not applicable"}:
        note = "The target is met without one." if before.overall == "pass" else "No requirement applies to this site."
        return BatterySize(True, 0.0, 0.0, 0.0, {}, before.findings, before.findings, note=note)
    level = float(load["p_mw"].mean()) if start_mw is None else start_mw
    found = [_size(trial, law, c_rate_per_h, cost) for law in _laws(fixed, book, level)]
    met = [f for f in found if f.verdict.overall == "pass"]
    if not met:
        nearest = min(found, key=lambda f: f.verdict.excess)
        prompt = _laws({**fixed, "delay_s": 0.0}, book, level)
        edges = any(_size(trial, law, c_rate_per_h, cost).verdict.overall == "pass" for law in prompt)
        return _answer(nearest, before, cost, meets=False, edges=edges)
    return _answer(min(met, key=lambda f: f.price(cost)), before, cost, meets=True)


@dataclass(frozen=True)
class _Law:
    """A control law with its strength left open."""

    name: str
    spec: Callable[[float], dict[str, Any]]
    fixed: bool = False


@dataclass
class _Found:
    """The battery that a law leads to, and the same with no more energy than it needs."""

    spec: dict[str, Any]
    tight: dict[str, Any]
    verdict: Verdict
    trial: _Trial
    law: _Law

    @property
    def holds(self) -> bool:
        return self.verdict.overall == "pass"

    def price(self, prices: Prices) -> float:
        return float(
            self.spec["p_rated_mw"] * prices.battery_per_mw + self.spec["e_rated_mwh"] * prices.battery_per_mwh
        )


class _Trial:
    """Simulates a battery on the load and judges it."""

    def __init__(self, load: xr.Dataset, book: Rulebook, settle_s: float):
        self.load, self.book = load, book
        self.first = skipped(settle_s, schema.clock(load), load.sizes["time"])
        self.most_mw = float(load["p_mw"].isel(time=slice(self.first, None)).max())

    def judged(self, metered: xr.Dataset) -> Verdict:
        kept = metered[["p_mw"]].isel(time=slice(self.first, None))
        kept.attrs = {"dt_s": schema.clock(self.load), "size_mw": self.load.attrs.get("size_mw", self.most_mw)}
        return judge(check(kept, self.book))

    def run(self, spec: Mapping[str, Any]) -> xr.Dataset:
        return mitigate(self.load, [spec])

    def verdict(self, spec: Mapping[str, Any]) -> Verdict:
        return self.judged(self.run(spec))


def _laws(fixed: dict[str, Any], book: Rulebook, start_mw: float) -> list[_Law]:
    base = {"step": "battery", "holds_power_factor": False, **fixed}
    if "law" in fixed or "ramp_mw_per_min" in fixed:
        return [_Law("given", lambda _: dict(base), fixed=True)]

    def low_pass(tau_s: float) -> dict[str, Any]:
        law = {"law": "low_pass", "tau_s": tau_s, "recovery_s": _RECOVERY * tau_s, "start_mw": start_mw}
        return {**base, "law": law}

    laws = [_Law("low_pass", low_pass)]
    ramps = [r for rule in book.rules if (r := getattr(rule, "limit_mw_per_min", None)) is not None]
    if ramps:
        slope = min(ramps) * _SAFE

        def ramp(tau_s: float) -> dict[str, Any]:
            law = {"ramp_mw_per_min": slope, "smooth_s": tau_s, "start_mw": start_mw}
            law["recovery_s"] = max(_RECOVERY * tau_s, _SLOW_S)
            return {**base, "law": {"law": "ramp_limit", **law}}

        laws.append(_Law("ramp_limit", ramp))
    return laws


def _size(trial: _Trial, law: _Law, c_rate_per_h: float, prices: Prices) -> _Found:
    unbound = {"p_rated_mw": _UNBOUND * trial.most_mw, "e_rated_mwh": _UNBOUND * trial.most_mw, "standby_pu": 0.0}

    def holds(tau_s: float) -> bool:
        verdict = trial.verdict({**law.spec(tau_s), **unbound})
        tried.append((verdict.excess, tau_s))
        return verdict.overall == "pass"

    tried: list[tuple[float, float]] = []
    tau_s = _FASTEST_S
    if not law.fixed:
        # From weak to strong in steps of two, then by bisection: the weakest that holds.
        while tau_s < _SLOWEST_S and not holds(tau_s):
            tau_s *= 2.0
        if tau_s >= _SLOWEST_S:
            tau_s = min(tried)[1]  # none holds: the one that comes nearest
        elif tau_s > _FASTEST_S:
            tau_s = _smallest(holds, tau_s / 2.0, tau_s, ratio=True)
    best = _fitted(trial, law, tau_s, unbound, c_rate_per_h)
    if law.fixed or not any(excess <= 0 for excess, _ in tried):
        return best
    worse = 0
    while worse < _TRIES and tau_s < 0.5 * _SLOWEST_S:
        tau_s *= 2.0
        below_mw = (1.0 - _FINE) * best.spec["p_rated_mw"] if best.holds else np.inf
        other = _fitted(trial, law, tau_s, unbound, c_rate_per_h, below_mw=below_mw)
        better = other.holds and (not best.holds or other.price(prices) < (1.0 - _FINE) * best.price(prices))
        best, worse = (other, 0) if better else (best, worse + 1)
    return best


def _fitted(
    trial: _Trial, law: _Law, tau_s: float, unbound: dict[str, float], c_rate_per_h: float, *, below_mw: float = np.inf
) -> _Found:
    """Return the battery of a law with its strength: no more power, then no more energy, than holds.

    Where it does not hold with a power below a given one, that is all that is found.
    """
    asked = law.spec(tau_s)
    free = _limited(trial, {**asked, **unbound}, {key: asked[key] for key in ("standby_pu",) if key in asked})

    def with_cells(p_mw: float, e_mwh: float) -> dict[str, Any]:
        spec = {**free, "p_rated_mw": p_mw, "e_rated_mwh": e_mwh}
        least_mwh = p_mw / c_rate_per_h
        # More cells than the energy asks for: what is needed lies in the middle of a larger window.
        return spec if least_mwh <= e_mwh else {**spec, "e_rated_mwh": least_mwh, "soc_start_pu": _middle(spec)}

    def holds(p_mw: float) -> bool:
        return trial.verdict(with_cells(p_mw, free["e_rated_mwh"])).overall == "pass"

    most_mw = min(free["p_rated_mw"], below_mw)
    if not holds(most_mw):
        spec = with_cells(most_mw, free["e_rated_mwh"])
        return _Found(spec, free, trial.verdict(spec), trial, law)
    p_mw = _smallest(holds, 0.0, most_mw)
    spec = with_cells(p_mw, free["e_rated_mwh"])
    tight = {**free, "p_rated_mw": p_mw}
    tight = _shrunk(trial, tight if trial.verdict(tight).overall == "pass" else spec, "e_rated_mwh")
    bought = with_cells(p_mw, tight["e_rated_mwh"]) if tight["e_rated_mwh"] * c_rate_per_h < p_mw else tight
    verdict = trial.verdict(bought)
    if verdict.overall != "pass":
        bought, verdict = spec, trial.verdict(spec)
    return _Found(bought, tight, verdict, trial, law)


def _middle(spec: Mapping[str, Any]) -> float:
    window = Battery.model_validate(spec)
    return 0.5 * (window.soc_min_pu + window.soc_max_pu)


def _shrunk(trial: _Trial, spec: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the battery with the smallest value of a rating that still meets the target."""

    def holds(value: float) -> bool:
        return trial.verdict({**spec, key: value}).overall == "pass"

    return {**spec, key: _smallest(holds, 0.0, spec[key])}


def _smallest(holds: Callable[[float], bool], low: float, high: float, *, ratio: bool = False) -> float:
    """Return the smallest value that holds, to a share of it; ``high`` does."""
    while high - low > _FINE * high:
        middle = float(np.sqrt(low * high)) if ratio else 0.5 * (low + high)
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _limited(trial: _Trial, spec: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """Return the battery with no more power and energy than the free one used, started so that it just fits."""
    kept = {key: value for key, value in spec.items() if key != "standby_pu"} | own
    standby_pu = Battery.model_validate(kept).standby_pu
    p_mw = 0.0
    for _ in range(_TURNS):  # the standby power is that of the battery that comes out of it
        standby_mw = standby_pu * p_mw
        after = trial.run({**spec, "standby_pu": standby_mw / spec["p_rated_mw"]})
        p_mw = float(np.abs(after["p_mw"] - trial.load["p_mw"] - standby_mw).max())
    step_h = schema.clock(trial.load) / 3600.0
    content = after["stored_mw"].transpose(..., "time").values.cumsum(axis=-1) * step_h
    low, high = min(float(content.min()), 0.0), max(float(content.max()), 0.0)
    window = Battery.model_validate(spec)
    e_mwh = (high - low) / (window.soc_max_pu - window.soc_min_pu) * (1.0 + 1e-6)
    start = window.soc_min_pu - low / e_mwh if e_mwh > 0 else window.soc_min_pu
    start = min(max(start, window.soc_min_pu), window.soc_max_pu)
    return {**kept, "p_rated_mw": max(p_mw, 1e-9), "e_rated_mwh": max(e_mwh, 1e-9), "soc_start_pu": start}


def _answer(found: _Found, before: Verdict, prices: Prices, *, meets: bool, edges: bool = False) -> BatterySize:
    spec, verdict = found.spec, found.verdict
    smaller = {}
    for key in ("p_rated_mw", "e_rated_mwh"):
        if meets:
            base = found.tight if key == "e_rated_mwh" else spec
            less = found.trial.verdict({**base, key: 0.99 * base[key]})
            smaller[key] = less.missed() or less.overall
    note = (
        f"Law {found.law.name}; at its strength power and energy are the smallest to {100 * _FINE:g} %."
        if meets
        else ""
    )
    needed_mwh = found.tight["e_rated_mwh"]
    if meets and spec["e_rated_mwh"] > needed_mwh:
        note += f" The target needs {needed_mwh:.3g} MWh; the power of the cells asks for more of them."
    if not meets:
        missed = verdict.missed() or verdict.overall
        if verdict.overall == "cannot tell":
            note = f"No battery of this kind is known to meet the target; of the nearest, {missed}."
        else:
            note = f"No battery of this kind meets the target; the nearest misses by: {missed}."
        if edges:
            late_s = Battery.model_validate(spec).delay_s
            note += (
                f" Without its converter's delay of {late_s:g} s it would: steep edges pass before it acts. Take them "
                "off inside the site first (psu_capacitor or supercapacitor in the racks, power_floor), or give a "
                "faster converter (delay_s)."
            )
    return BatterySize(
        meets, spec["p_rated_mw"], spec["e_rated_mwh"], needed_mwh, spec, verdict.findings, before.findings, smaller,
        found.price(prices), note,
    )  # fmt: skip
