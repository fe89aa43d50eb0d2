"""Numbers and names as a reader wants them."""

from __future__ import annotations

import math
import re

CANNOT_TELL = "cannot tell"

# ending of a column's name, longest first, and the unit it stands for
_UNITS = {
    "mw_per_min": "MW/min", "mw_per_s": "MW/s", "percent": "%", "degree": "°", "mvarh": "Mvarh", "mvar": "Mvar",
    "mwh": "MWh", "kwh": "kWh", "mva": "MVA", "mw": "MW", "kw": "kW", "kv": "kV", "ka": "kA", "hz": "Hz", "pu": "pu",
    "eur": "EUR", "usd": "USD", "h": "h", "s": "s",
}  # fmt: skip
_HEADINGS = {
    "vm_min_pu": "Lowest voltage of any bus",
    "vm_max_pu": "Highest voltage of any bus",
    "vm_site_min_pu": "Lowest voltage at the connection",
    "vm_site_max_pu": "Highest voltage at the connection",
    "loading_line_max_percent": "Highest loading of a line",
    "loading_trafo_max_percent": "Highest loading of a transformer",
    "losses_mwh": "Losses of the network",
    "ramp_mw_per_min": "Steepest ramp, |P(t+60 s) - P(t)|",
    "wasted_mwh": "Energy wasted by dummy work (IT)",
    "wasted_mw": "Power wasted to smooth, mean",
    "lost_mwh": "Energy lost in storage",
    "delayed_mwh": "Energy delayed",
    "p_max_mw": "Peak power at the meter",
    "p_mean_mw": "Mean power at the meter",
    "p_min_mw": "Lowest power at the meter",
    "vm_swing_site_peak_percent": "Voltage swing at the connection, at the network's peak",
    "vm_swing_site_lightest_percent": "Voltage swing at the connection, at the lightest hour",
    "soc_min_pu": "Lowest state of charge",
    "soc_max_pu": "Highest state of charge",
    "wasted_percent": "Energy wasted",
    "wasted_mwh_per_year": "Energy wasted a year",
    "co2_t_per_year": "Carbon dioxide a year",
    "delayed_percent": "Work delayed",
    "bought_mw": "Storage, power",
    "bought_mwh": "Storage, energy",
    "life_years": "Life of the storage",
    "cost_per_year": "Cost a year",
    "pst": "Flicker, short term (Pst)",
    "plt": "Flicker, long term (Plt)",
}
_CHANGE = re.compile(r"change_(\d+)(ms|s|min)_mw")
_NARROW = "\u202f"  # narrow no-break space: parts thousands in every language


def heading(column: str) -> tuple[str, str]:
    """Return what a column of the summary is called, and its unit.

    Parameters
    ----------
    column : str
        Name with the unit at its end, such as ``p_max_mw``.

    Returns
    -------
    heading, unit : str
        ``("Peak power at the meter", "MW")``; the unit is empty where the name ends in none.
    """
    ending = next((end for end in _UNITS if column == end or column.endswith(f"_{end}")), "")
    change = _CHANGE.fullmatch(column)
    if change:
        return f"Largest change within {change[1]} {change[2]}", "MW"
    plain = column.removesuffix(ending).strip("_").replace("_", " ")
    return _HEADINGS.get(column, plain[:1].upper() + plain[1:] or column), _UNITS.get(ending, "")


def number(value: float | None, unit: str = "") -> str:
    """Return a number in as many digits as its unit deserves; a missing one reads "cannot tell"."""
    if value is None or math.isnan(value):
        return CANNOT_TELL
    if math.isinf(value):
        return "∞" if value > 0 else "\u2212∞"
    if unit == "pu":
        shown = f"{value:.4f}"
    elif unit in {"%", "°"}:
        shown = f"{value:.1f}" if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
    elif value != 0 and not 1e-3 <= abs(value) < 1e9:
        shown = f"{value:.3g}"
    elif abs(value) >= 1000:
        shown = f"{value:,.0f}"
    else:
        shown = f"{value:.4g}"
    return shown.replace(",", _NARROW).replace("-", "\u2212")


def quantity(value: float | None, unit: str = "") -> str:
    """Return a number with its unit, kept on one line."""
    shown = number(value, unit)
    return shown if shown == CANNOT_TELL or not unit else f"{shown}\u00a0{unit}"


def moment(when_s: float) -> str:
    """Return a time from the start of a series in words."""
    if abs(when_s) < 120:
        return f"{number(when_s)}\u00a0s"
    if when_s < 7200:
        minutes, seconds = divmod(round(when_s), 60)
        return f"{minutes}\u00a0min" + (f"\u00a0{seconds}\u00a0s" if seconds else "")
    minutes = round(when_s / 60)
    days, minutes = divmod(minutes, 24 * 60)
    parts = [(days, "d"), (minutes // 60, "h"), (minutes % 60, "min")]
    return "\u00a0".join(f"{count}\u00a0{unit}" for count, unit in parts if count)
