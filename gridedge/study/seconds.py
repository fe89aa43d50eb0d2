"""What a study's windows say of flicker and rapid voltage changes at the site's bus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import xarray as xr

from gridedge.errors import InputError
from gridedge.measure.finding import Finding
from gridedge.measure.flicker import flicker
from gridedge.measure.flicker_limits import flicker_levels, judge_flicker
from gridedge.measure.flickermeter import Lamp
from gridedge.measure.rapid import rapid_changes
from gridedge.measure.rapid_limits import judge_rapid, rapid_limits, threshold_percent

_CLASSES = ((1.0, "iec-compatibility-lv", "en50160-lv"), (35.0, "iec-planning-mv", "iec-planning-mv"))
_ABOVE = ("iec-planning-hv", "iec-planning-hv")  # MV ends at 35 kV in IEC 61000-3-7 (from memory)
_SEASON = "not studied on the season's clock"


def within_seconds(windows: Mapping[str, xr.Dataset], *, vn_kv: float, f_hz: float, held: bool) -> list[Finding]:
    """Return Pst, Plt and rapid voltage changes of solved windows, shown beside the verdict.

    Parameters
    ----------
    windows : mapping
        In words, which window; its ``vm_at_pu(time, at)`` at the site's bus and ``attrs["dt_s"]``.
    vn_kv : float
        Nominal voltage of the bus; it names the levels. [kV]
    f_hz : float
        Frequency of the net; it names the lamp. [Hz]
    held : bool
        Whether sources hold their set-points, which hides the swing: then nothing passes.

    Returns
    -------
    list of Finding
        None of them decides.  What a window is too short or too coarse for reads "cannot tell".
    """
    level, rapid = next((names for up_to, *names in _CLASSES if vn_kv <= up_to), _ABOVE)
    lamp: Lamp = "120V-60Hz" if f_hz > 55 else "230V-50Hz"
    found = []
    for words, window in windows.items():
        where = f"{words}, bus {int(window['at'][0])}"
        found += [*_flicker(window, level, lamp, where), _rapid(window, rapid, 60 if f_hz > 55 else 50, where)]
    if held:
        found = [_unsure(f, "sources hold their set-points, which hides the swing") for f in found]
    return [replace(f, decides=False, note="; ".join(x for x in (f.note, _SEASON) if x)) for f in found]


def _flicker(window: xr.Dataset, level: str, lamp: Lamp, where: str) -> list[Finding]:
    vm_pu, dt_s = window["vm_at_pu"].values[:, 0], float(window.attrs["dt_s"])
    try:
        return judge_flicker(flicker(vm_pu, dt_s, lamp=lamp), level, where=where)
    except InputError as error:
        known = flicker_levels()[level]
        asked = [(name, value) for name, value in (("Pst", known.pst), ("Plt", known.plt)) if value is not None]
        return [
            Finding(
                f"{name}, {level}", f"at most {value:g}", "cannot tell", None, value, "", where=where, note=_why(error),
                authority=known.authority, status=known.kind, source=known.origin, known=known.known,
            )
            for name, value in asked
        ]  # fmt: skip


def _rapid(window: xr.Dataset, limit: str, mains_hz: int, where: str) -> Finding:
    vm_pu, dt_s = window["vm_at_pu"].values[:, 0], float(window.attrs["dt_s"])
    try:
        changes = rapid_changes(
            vm_pu, dt_s, mains_hz=60 if mains_hz == 60 else 50, threshold_percent=threshold_percent(limit)
        )
        return judge_rapid(changes, limit, where=where)
    except InputError as error:
        known = rapid_limits()[limit]
        return Finding(
            f"rapid voltage changes, {limit}", "by the number of changes", "cannot tell", None, None, "%", where=where,
            note=_why(error), authority=known.authority, status=known.kind, source=known.origin, known=known.known,
        )  # fmt: skip


def _unsure(finding: Finding, why: str) -> Finding:
    if finding.verdict != "pass":
        return finding
    return replace(finding, verdict="cannot tell", note="; ".join(x for x in (why, finding.note) if x))


def _why(error: InputError) -> str:
    return "; ".join(f"{p.thing}: {p.value}" for p in error.problems) or str(error)
