"""Targets in short: a dict of a few limits instead of a rulebook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridedge.errors import InputError, Problem, bad, nearest

SHORT: dict[str, dict[str, Any]] = {
    "ramp_mw_per_min": {"rule": "ramp", "name": "ramp", "limit": "limit_mw_per_min"},
    "ramp_up_mw_per_min": {"rule": "ramp", "name": "ramp up", "limit": "limit_mw_per_min", "direction": "up"},
    "ramp_down_mw_per_min": {"rule": "ramp", "name": "ramp down", "limit": "limit_mw_per_min", "direction": "down"},
    "ramp_up_mw_per_s": {
        "rule": "ramp", "name": "ramp up in 1 s", "limit": "limit_mw_per_s", "direction": "up", "window_s": 1.0,
    },
    "ramp_down_mw_per_s": {
        "rule": "ramp", "name": "ramp down in 1 s", "limit": "limit_mw_per_s", "direction": "down", "window_s": 1.0,
    },
    "change_mw": {"rule": "change", "name": "change", "limit": "limit_mw", "needs": ("window_s",)},
    "amplitude_mw": {"rule": "band_amplitude", "name": "amplitude", "limit": "limit_mw", "needs": ("band_hz",)},
    "energy_percent": {"rule": "band_energy", "name": "energy", "limit": "limit_percent", "needs": ("band_hz",)},
    "voltage_change_percent": {"rule": "voltage_change", "name": "voltage change", "limit": "limit_percent"},
}  # fmt: skip
"""What each short key stands for; ``needs`` names the keys that must stand beside it."""

BESIDE = ("window_s", "band_hz")
"""Keys that stand beside a limit and are none themselves."""


def from_short(target: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the rules of a target in short.

    Parameters
    ----------
    target : mapping
        Limits by the keys of :data:`SHORT`; ``window_s`` is that of ``change_mw``, ``band_hz`` that of the bands, and
        where there is none but ``change_mw`` it is the band that the change is measured in.

    Raises
    ------
    InputError
        If a key is unknown, one that must stand beside another is missing, or one belongs to none.
    """
    strangers = [key for key in target if key not in SHORT and key not in BESIDE]
    if strangers:
        known = [*SHORT, *BESIDE]
        raise InputError([Problem("unknown target", str(key), nearest(str(key), known)) for key in strangers])
    banded = any(SHORT[key].get("needs") == ("band_hz",) for key in target if key in SHORT)
    rules, used = [], set()
    for key, limit in target.items():
        if key in BESIDE:
            continue
        form = SHORT[key]
        rule = {k: v for k, v in form.items() if k not in ("limit", "needs")} | {form["limit"]: limit}
        for need in form.get("needs", ()):
            if need not in target:
                raise bad(f"{key} needs {need}", dict(target), f"Add {need!r}: {_EXAMPLE[need]}.")
            rule[need] = target[need]
            used.add(need)
        if key == "change_mw" and "band_hz" in target and not banded:
            rule["filter"] = {"band_hz": target["band_hz"]}
            used.add("band_hz")
        rules.append(rule)
    for key in BESIDE:
        if key in target and key not in used:
            cure = f"Take it out, or add a limit beside it: {_WITH[key]}."
            raise bad(f"{key} belongs to no limit of the target", target[key], cure)
    return rules


_WITH = {"window_s": "change_mw", "band_hz": "energy_percent, amplitude_mw, or change_mw with window_s"}
_EXAMPLE = {"window_s": 5, "band_hz": [0.1, 20]}
