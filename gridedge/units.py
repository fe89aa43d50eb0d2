"""The unit that a name carries in its suffix; the one table that attributes come from."""

from __future__ import annotations

_UNITS = {
    "mw": "MW",
    "kw": "kW",
    "w": "W",
    "mvar": "Mvar",
    "mva": "MVA",
    "mwh": "MWh",
    "kwh": "kWh",
    "pu": "pu",
    "degree": "degree",
    "percent": "%",
    "ka": "kA",
    "kv": "kV",
    "s": "s",
    "hz": "Hz",
    "h": "h",
    "km": "km",
}


def unit_of(name: str) -> str:
    """Return the unit of a quantity from its name, ``""`` where the name carries none.

    ``p_mw`` gives ``MW``, ``ramp_mw_per_min`` gives ``MW/min``; a suffix such as ``_max``
    behind the unit does not matter.
    """
    head, per, tail = name.partition("_per_")
    parts = head.split("_")
    for part in reversed(parts[1:] if len(parts) > 1 else parts):
        if part in _UNITS:
            return f"{_UNITS[part]}/{tail.split('_')[0]}" if per else _UNITS[part]
    return ""
