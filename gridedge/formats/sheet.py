"""The load request sheet: what a utility asks for first, measured on a load."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge.errors import bad, is_number
from gridedge.formats import series as rows
from gridedge.formats.clock import DEFAULT_START
from gridedge.formats.series import Series
from gridedge.measure.ramp import Extreme, largest_change, largest_ramp

Float = NDArray[np.float64]
DEMAND_S = 900.0
"""Interval of billed demand; chosen: the quarter of an hour that most tariffs use."""
_RAMP_S = 60.0
_HIGHEST_KV = 1200.0
_CHANGES_S = (1.0, 5.0)
_BLOCK = 1 << 20  # samples that are held at once
_ALIKE = 0.9  # below this part of the contracted power, a reader is told that the load is another size


@dataclass(frozen=True)
class RequestSheet:
    """What a utility asks for first; powers in MW, consumption positive.

    Parameters
    ----------
    site, model, power : str
        Name of the site, model of the load, and which power it is: ``IT`` or ``at the meter``.
    energisation_mw : tuple of (int, float)
        Year, and power in service at its end. [MW]
    contracted_mw : float or None
        Power that is asked for. [MW]
    expected_mw : float
        Highest mean over any ``demand_s`` of the load. [MW]
    demand_s : float
        Interval of that mean: 900 s, or one sample where the load is too short. [s]
    highest_mw, smallest_mw, mean_mw : float
        Highest and smallest sample, and mean. [MW]
    load_factor_pu : float
        ``mean_mw / expected_mw``.
    power_factor : float
        At the highest sample; negative where it leads.
    change_1s_mw, change_5s_mw : float or None
        Largest max - min in any closed window; None where the samples cannot tell. [MW]
    ramp_mw_per_min : float or None
        Largest ``|P(t + 60 s) - P(t)|``; None where the samples cannot tell. [MW/min]
    motor_share_pu, electronic_share_pu : float or None
        Share of the mean power that pumps, fans and compressors draw, and the rest; None where not stated.
    voltage_kv : float or None
        Voltage at the point of connection. [kV]
    phases : int
        Phases of the connection.
    dt_s, duration_s : float
        Step and length of the load that it was measured on. [s]
    members : int
        Realisations it was measured on; extremes are those of all.
    notes : tuple of str
        What a reader must know, in sentences.
    origin : dict
        Program, model, seed, sources, in words.
    """

    site: str
    model: str
    power: str
    energisation_mw: tuple[tuple[int, float], ...]
    contracted_mw: float | None
    expected_mw: float
    demand_s: float
    highest_mw: float
    smallest_mw: float
    mean_mw: float
    load_factor_pu: float
    power_factor: float
    change_1s_mw: float | None
    change_5s_mw: float | None
    ramp_mw_per_min: float | None
    motor_share_pu: float | None
    electronic_share_pu: float | None
    voltage_kv: float | None
    phases: int
    dt_s: float
    duration_s: float
    members: int
    notes: tuple[str, ...]
    origin: dict[str, str]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data that JSON can hold."""
        energisation = {str(year): mw for year, mw in self.energisation_mw}
        return {**asdict(self), "energisation_mw": energisation, "notes": list(self.notes)}

    def write(self, path: str | Path) -> Path:
        """Write the sheet as ``.csv``, ``.json``, ``.md`` or ``.html``; what is there is replaced.

        Raises
        ------
        InputError
            If the suffix is another one, or the file cannot be written.
        """
        from gridedge.formats.sheet_page import write_sheet

        return write_sheet(self, Path(path))


def request_sheet(
    load: xr.Dataset,
    *,
    energisation_mw: Mapping[int, float] | None = None,
    contracted_mw: float | None = None,
    power_factor: float | None = None,
    cooling_proportional_pu: float | None = None,
    cooling_fixed_pu: float | None = None,
    motor_share_pu: float | None = None,
    voltage_kv: float | None = None,
    phases: int = 3,
    site: str | None = None,
) -> RequestSheet:
    r"""Measure on a load what a utility asks for before it studies it.

    Parameters
    ----------
    load : Dataset
        ``p_mw(time)``, with ``member`` or one ``site`` where it has them; best the power at the meter. [MW]
    energisation_mw : mapping of int to float, optional
        Power in service at the end of each year: ``{2027: 25, 2028: 60, 2029: 100}``. [MW]
    contracted_mw : float, optional
        Power that is asked for; without it the last of ``energisation_mw``. [MW]
    power_factor : float, optional
        Of a load without ``q_mvar``; negative where it leads.  Without it 0.98, assumed and noted.
    cooling_proportional_pu, cooling_fixed_pu : float, optional
        Cooling power that follows the IT power [pu of it], and that is always drawn [pu of the nameplate]: the
        facility's own figures, from which the share of the motors follows.
    motor_share_pu : float, optional
        The share itself, where it is known.
    voltage_kv : float, optional
        Voltage at the point of connection. [kV]
    phases : int
        1 or 3.
    site : str, optional
        Name of the site; without it the load's own.

    Returns
    -------
    RequestSheet
        With ``to_dict()`` and ``write(path)``.

    Raises
    ------
    InputError
        If the load has several sites or a missing sample, or a figure cannot be.

    Notes
    -----
    The load factor is mean power over the highest demand [1]_, demand being the mean over any 15 minutes: any, not
    those of a meter's clock, so it is the smallest of the possible ones.  Motors draw

    .. math:: m = (a \bar P_{IT} + b P_{nameplate}) / \bar P

    of the mean power, with the cooling shares *a* (proportional) and *b* (fixed): a lag in cooling does not change its
    mean.  Everything else is behind a rectifier and counts as electronic.  Offices in the fixed share count as motors,
    and motors behind drives are not told apart: *m* is assumed, for a planner to replace.

    References
    ----------
    .. [1] IEC 60050-691:1973, International Electrotechnical Vocabulary, 691-10-02, load factor (quoted from memory).
    """
    clock = rows.read_clock(load, DEFAULT_START)
    series = rows.from_load(load, clock, "waveform", power_factor)
    if load.sizes.get("site", 1) > 1 and "site" in load["p_mw"].dims:
        raise bad("a sheet is for one site", f"{load.sizes['site']} sites", "Choose one with load.isel(site=[0]).")
    if phases not in (1, 3):
        raise bad("phases must be 1 or 3", phases, "Give 3 for a connection of three phases.")
    for name, value in (("contracted_mw", contracted_mw), ("voltage_kv", voltage_kv)):
        if value is not None and not (is_number(value) and value > 0):
            raise bad(f"{name} must be positive", repr(value), "Give a number, or leave it out where it is not known.")
    if voltage_kv is not None and voltage_kv > _HIGHEST_KV:
        cure = f"Give kilovolts: {voltage_kv / 1e3:g} if these are volts."
        raise bad(f"voltage_kv lies above {_HIGHEST_KV:g} kV, the highest of any grid", f"{voltage_kv:g}", cure)
    plan = _plan(energisation_mw)
    if contracted_mw is None and plan:
        contracted_mw = plan[-1][1]
    facts = series.facts  # refuses a missing sample
    found = _measure(series)
    notes = [*series.notes, *found.notes]
    motors = _motors(series, cooling_proportional_pu, cooling_fixed_pu, motor_share_pu)
    if series.tan_phi is not None:
        notes.append(f"Reactive power: {series.reactive}.")
    if str(load.attrs.get("power")) == "IT":
        notes.append("This is IT power, not power at the meter: conversion losses and cooling are not in it.")
    notes += _against(contracted_mw, found, facts.p_max_mw, plan)
    label = series.values_of("site")[0] if "site" in load["p_mw"].dims else "site"
    return RequestSheet(
        site=site if site is not None else str(label),
        model=series.origin["model"],
        power=str(load.attrs.get("power", "not stated")),
        energisation_mw=plan,
        contracted_mw=contracted_mw,
        expected_mw=found.expected_mw,
        demand_s=found.demand_s,
        highest_mw=facts.p_max_mw,
        smallest_mw=facts.p_min_mw,
        mean_mw=facts.p_mean_mw,
        load_factor_pu=facts.p_mean_mw / found.expected_mw,
        power_factor=found.power_factor,
        change_1s_mw=found.changes_mw[0],
        change_5s_mw=found.changes_mw[1],
        ramp_mw_per_min=found.ramp_mw_per_min,
        motor_share_pu=motors,
        electronic_share_pu=None if motors is None else 1.0 - motors,
        voltage_kv=voltage_kv,
        phases=phases,
        dt_s=clock.dt_s,
        duration_s=series.steps * clock.dt_s,
        members=len(series.labels),
        notes=tuple(notes),
        origin={k: v for k, v in series.origin.items() if k not in {"start", "time_zone", "form"}},
    )


@dataclass(frozen=True)
class _Found:
    expected_mw: float
    demand_s: float
    power_factor: float
    changes_mw: tuple[float | None, ...]
    ramp_mw_per_min: float | None
    notes: tuple[str, ...]


def _measure(series: Series) -> _Found:
    """Measure demand, changes and ramp over all members, block by block."""
    dt_s, notes = series.clock.dt_s, []
    per = round(DEMAND_S / dt_s)
    demand = per >= 1 and abs(per * dt_s - DEMAND_S) <= 1e-6 * dt_s and per <= series.steps
    if not demand:
        per = 1
        notes.append(
            f"The load of {series.steps * dt_s:g} s in steps of {dt_s:g} s shows no mean over {DEMAND_S:g} s: the "
            "expected power and the load factor stand on its highest sample. Give a longer one."
        )
    expected, peak, at_peak = -np.inf, -np.inf, 1.0
    changes: list[Extreme | None] = [None] * len(_CHANGES_S)
    ramp: Extreme | None = None
    for p, q in _overlapping(series, max(per, int(np.ceil(max(_RAMP_S, *_CHANGES_S) / dt_s)) + 1)):
        if p.shape[-1] >= per:
            total = np.cumsum(np.pad(p, ((0, 0), (1, 0))), axis=-1)
            expected = max(expected, float((total[:, per:] - total[:, :-per]).max()) / per)
        if p.max() > peak:
            where = np.unravel_index(int(np.argmax(p)), p.shape)
            peak, at_peak = float(p[where]), _power_factor(float(p[where]), float(q[where]))
        for row in p:
            changes = [
                _larger(old, largest_change(row, dt_s, window_s=w)) for old, w in zip(changes, _CHANGES_S, strict=True)
            ]
            ramp = _larger(ramp, largest_ramp(row, dt_s, window_s=_RAMP_S))
    if expected <= 0:
        raise bad(
            "the load draws nothing", f"highest demand {expected:g} MW", "Consumption is positive; check the sign."
        )
    for name, extreme in (
        *((f"change in {w:g} s", e) for w, e in zip(_CHANGES_S, changes, strict=True)),
        ("ramp", ramp),
    ):
        if extreme is not None and np.isnan(extreme.value):
            notes.append(f"Largest {name}: cannot tell, {extreme.why}.")
        elif extreme is not None and not extreme.exact:
            notes.append(f"Largest {name}: a lower bound, steps of {dt_s:g} s do not divide the window.")
    values = tuple(None if e is None or np.isnan(e.value) else e.value for e in (*changes, ramp))
    return _Found(expected, DEMAND_S if demand else dt_s, at_peak, values[:-1], values[-1], tuple(notes))


def _overlapping(series: Series, overlap: int) -> Iterator[tuple[Float, Float]]:
    """Yield P and Q in stretches that overlap, so that every window lies within one."""
    size = max(_BLOCK // len(series.labels), 4 * overlap)
    for first in range(0, series.steps, size):
        block = series.block(first, min(series.steps, first + size + overlap))
        yield block.p_mw, block.q_mvar


def _larger(old: Extreme | None, new: Extreme) -> Extreme:
    """Return the larger extreme; one that cannot tell yields to one that can."""
    if old is None or np.isnan(old.value) or new.value > old.value:
        return new if old is None or not np.isnan(new.value) else old
    return old


def _power_factor(p_mw: float, q_mvar: float) -> float:
    size = float(np.hypot(p_mw, q_mvar))
    return 1.0 if size == 0 else p_mw / size * (-1.0 if q_mvar < 0 else 1.0)


def _plan(energisation_mw: Mapping[int, float] | None) -> tuple[tuple[int, float], ...]:
    if energisation_mw is not None and not isinstance(energisation_mw, Mapping):
        cure = "Write {2027: 25, 2028: 60}: year and MW."
        raise bad("energisation_mw must be a dict", type(energisation_mw).__name__, cure)
    plan: list[tuple[int, float]] = []
    for year, mw in sorted((energisation_mw or {}).items(), key=lambda item: str(item[0])):
        if not str(year).isdigit() or not 1900 <= int(year) <= 2200:
            raise bad("a year of energisation is none", year, "Write {2027: 25, 2028: 60}: year and MW.")
        if not (is_number(mw) and mw >= 0):
            raise bad(f"the power of {year} is none", mw, "Give megawatts in service at the end of that year.")
        if plan and mw < plan[-1][1]:
            cure = "Give the power in service at the end of each year, not what is added."
            raise bad(f"the power in service falls in {year}", f"{plan[-1][1]:g} MW, then {mw:g} MW", cure)
        plan.append((int(year), float(mw)))
    return tuple(plan)


def _motors(series: Series, follows: float | None, fixed: float | None, share: float | None) -> float | None:
    """Return the motors' share of the mean power."""
    if share is not None:
        if follows is not None or fixed is not None:
            raise bad("the motors' share is given twice", f"motor_share_pu={share:g}", "Leave out the cooling shares.")
        if not 0 <= share <= 1:
            raise bad("motor_share_pu is no share", share, "Give 0 to 1.")
        return float(share)
    if follows is None and fixed is None:
        return None
    a, b = follows or 0.0, fixed or 0.0
    if a < 0 or b < 0:
        raise bad("a share of cooling is negative", f"{a:g}, {b:g}", "Give shares of 0 or more.")
    load = series.load
    if "p_it_mw" not in load or (b and "nameplate_mw" not in load.attrs):
        cure = "Carry it to the meter with gridedge.connect(...), or give motor_share_pu."
        raise bad("the load does not say its IT power and nameplate", "cooling shares were given", cure)
    motors_mw = a * _mean(load["p_it_mw"]) + b * float(load.attrs.get("nameplate_mw", 0.0))
    found = motors_mw / series.facts.p_mean_mw
    if not 0 <= found <= 1:
        cure = "Give the shares of the facility that the load was carried through."
        raise bad("the cooling shares do not fit the load", f"motors would draw {found:.3g} of it", cure)
    return found


def _mean(array: xr.DataArray) -> float:
    """Return the mean of a power, read in blocks."""
    steps, total = array.sizes["time"], 0.0
    for first in range(0, steps, _BLOCK):
        total += float(array.isel(time=slice(first, min(steps, first + _BLOCK))).values.sum())
    return total / array.size


def _against(
    contracted_mw: float | None, found: _Found, highest_mw: float, plan: tuple[tuple[int, float], ...]
) -> list[str]:
    """Hold what is asked for against what the load draws."""
    if contracted_mw is None:
        return ["The contracted power is not stated."]
    notes, expected_mw = [], found.expected_mw
    if highest_mw > contracted_mw * (1 + 1e-9) >= expected_mw:
        notes.append(
            f"The highest sample, {highest_mw:.4g} MW, is above the {contracted_mw:.4g} MW contracted, though no mean "
            f"over {found.demand_s:g} s is."
        )
    if expected_mw > contracted_mw * (1 + 1e-9):
        notes.append(f"The load draws {expected_mw:.4g} MW, more than the {contracted_mw:.4g} MW contracted.")
    elif expected_mw < _ALIKE * contracted_mw:
        notes.append(
            f"The load draws {expected_mw:.4g} MW, {expected_mw / contracted_mw:.1%} of the {contracted_mw:.4g} MW "
            "contracted: steps and ramps are those of the load as modelled, and nothing was scaled."
        )
    if plan and abs(plan[-1][1] - contracted_mw) > 1e-9 * contracted_mw:
        notes.append(f"The last year of energisation has {plan[-1][1]:.4g} MW, the contract {contracted_mw:.4g} MW.")
    return notes
