"""The forms of a file: the waveform as it is, quarter hours, or the hours of a year."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import xarray as xr

from gridedge import schema
from gridedge.errors import bad, nearest
from gridedge.formats.clock import Clock, year_s
from gridedge.timebase import coarsen

Form = Literal["waveform", "15min", "8760"]
FORMS: tuple[Form, ...] = get_args(Form)
INTERVAL_S = {"15min": 900, "8760": 3600}
_BLOCK = 1 << 20  # fine samples that are reduced at once


def samples_of(clock: Clock, steps: int, form: str, *, maximum: bool) -> int:
    """Return how many samples of a load make one of a form, and refuse what has no such form.

    Parameters
    ----------
    clock : Clock
        Wall clock of the load.
    steps : int
        Its samples.
    form : {"waveform", "15min", "8760"}
        The load as it is, its means over quarter hours, or over every hour of a year (8784 in a leap year).
    maximum : bool
        Whether the highest sample within each interval is wanted.

    Raises
    ------
    InputError
        If the form is unknown or finer than the load, or intervals do not begin on the clock's quarters or hours, or
        the load is no whole number of intervals, or of one year.
    """
    if form not in FORMS:
        raise bad("unknown form", form, nearest(str(form), FORMS))
    if form == "waveform":
        if maximum:
            raise bad("a waveform has no intervals to take the highest of", "maximum=True", "Use form 15min or 8760.")
        return 1
    interval_s = INTERVAL_S[form]
    _on_the_clock(clock, interval_s)
    if clock.dt_s > interval_s * (1 + 1e-9):
        cure = "Make the load at a finer step, or choose a coarser form; gridedge does not invent what lies between."
        raise bad(f"the form {form} is finer than the load", f"steps of {clock.dt_s:g} s", cure)
    factor = round(interval_s / clock.dt_s)
    if abs(factor * clock.dt_s - interval_s) > 1e-6 * clock.dt_s:
        cure = f"Use a step that divides {interval_s} s."
        raise bad(f"the form {form} is no whole number of samples", f"{interval_s} s / {clock.dt_s:g} s", cure)
    if form == "8760":
        _one_year(clock, steps)
    if steps % factor:
        cure = f"Use duration_s={max(1, steps // factor) * interval_s}, or another multiple of {interval_s}."
        raise bad("the load is no whole number of intervals", f"{steps * clock.dt_s:g} s of {interval_s} s", cure)
    if maximum and factor == 1:
        cure = "Make the load at a finer step, such as 1 s; a mean does not show what is above it."
        raise bad("the load has one sample in an interval", f"steps of {clock.dt_s:g} s", cure)
    return factor


def shaped(load: xr.Dataset, clock: Clock, form: str, *, maximum: bool) -> xr.Dataset:
    """Return a load in one of the forms.

    Parameters
    ----------
    load : Dataset
        ``p_mw`` and perhaps ``q_mvar`` over ``time``; long ones are read in blocks. [MW, Mvar]
    clock : Clock
        Its wall clock.
    form : {"waveform", "15min", "8760"}
        As :func:`samples_of`.
    maximum : bool
        Add ``p_max_mw``, the highest sample within each interval.

    Returns
    -------
    Dataset
        The load itself, or its means [MW, Mvar].

    Raises
    ------
    InputError
        As :func:`samples_of`.
    """
    factor = samples_of(clock, int(load.sizes["time"]), form, maximum=maximum)
    return load if form == "waveform" else _reduced(load, clock, factor, INTERVAL_S[form], maximum)


def _on_the_clock(clock: Clock, interval_s: int) -> None:
    first = clock.first
    within_s = first.minute * 60 + first.second + first.microsecond / 1e6
    if within_s % interval_s:
        words = "a whole hour" if interval_s == 3600 else "a quarter of an hour"
        raise bad(f"the file does not begin on {words}", first.isoformat(), "Move start, or cut the load.")


def _one_year(clock: Clock, steps: int) -> None:
    wanted_s, have_s = year_s(clock.first), steps * clock.dt_s
    if abs(wanted_s - have_s) > 0.5 * clock.dt_s:
        cure = f"Use duration_s={wanted_s} (the year from {clock.first.date()}), or the form 15min for any length."
        raise bad("the form 8760 holds one year", f"{have_s:g} s", cure)


def _reduced(load: xr.Dataset, clock: Clock, factor: int, interval_s: int, maximum: bool) -> xr.Dataset:
    """Return the means of every ``factor`` samples, from blocks."""
    steps = int(load.sizes["time"])
    names = [name for name in ("p_mw", "q_mvar") if name in load]
    kept: dict[str, list[np.ndarray]] = {name: [] for name in (*names, *(["p_max_mw"] if maximum else []))}
    dims = {name: (*(d for d in load[name].dims if d != "time"), "time") for name in names}
    beside = int(np.prod([load.sizes[d] for d in dims["p_mw"][:-1]], dtype=int))
    size = max(1, _BLOCK // beside // factor) * factor
    for first in range(0, steps, size):
        part = load.isel(time=slice(first, min(steps, first + size)))
        for name in names:
            values = np.asarray(part[name].transpose(*dims[name]).values, dtype=float)
            kept[name].append(coarsen(values, factor, "mean"))
            if name == "p_mw" and maximum:
                kept["p_max_mw"].append(coarsen(values, factor, "max"))
    dims["p_max_mw"] = dims["p_mw"]
    out = xr.Dataset({name: (dims[name], np.concatenate(parts, axis=-1)) for name, parts in kept.items()})
    time = clock.t0_s + float(interval_s) * np.arange(steps // factor)
    beside_time = {str(n): c for n, c in load.coords.items() if "time" not in c.dims}
    out = out.assign_coords(time=time, **beside_time)
    words = f"mean of {factor} samples of {clock.dt_s:.12g} s" if factor > 1 else "the load's own means, one a sample"
    top = f"; the maximum is the highest of them, each a mean over {clock.dt_s:.12g} s" if maximum else ""
    out.attrs = {**load.attrs, "dt_s": float(interval_s), "reduced": words + top}
    return schema.describe(out)
