"""The verb ``export``: a load into a file that others read."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import xarray as xr

from gridedge.errors import bad, nearest
from gridedge.formats import series as rows
from gridedge.formats.clock import DEFAULT_START, Clock, beginning
from gridedge.formats.files import together
from gridedge.formats.form import samples_of, shaped
from gridedge.formats.series import Series
from gridedge.timebase import step_count

Files = tuple[Path, ...]


@dataclass(frozen=True)
class Format:
    """A format: its suffixes, how a series is written, and which files go with the named one."""

    name: str
    suffixes: tuple[str, ...]
    write: Callable[..., None]
    companions: Callable[[Series, Path], Files] | None = None
    strict: bool = False
    """Whether its readers insist on the suffix."""


@dataclass(frozen=True)
class Written:
    """What was written.

    Parameters
    ----------
    files : tuple of Path
        The named file first.
    format, form : str
        Format and form.
    power : str
        Which power it is: ``IT`` or ``at the meter``.
    samples, channels : int
        Samples of each channel, and channels.
    dt_s : float
        Step. [s]
    start : str
        Start of the first sample, ISO 8601.
    p_mean_mw, p_max_mw, p_min_mw : float
        Mean, highest and smallest active power over all channels. [MW]
    reactive : str
        Where the reactive power comes from.
    notes : tuple of str
        What must be known of the load.
    """

    files: Files
    format: str
    form: str
    power: str
    samples: int
    channels: int
    dt_s: float
    start: str
    p_mean_mw: float
    p_max_mw: float
    p_min_mw: float
    reactive: str
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as plain data."""
        return {**asdict(self), "files": [str(file) for file in self.files], "notes": list(self.notes)}


def export(
    load: xr.Dataset,
    path: str | Path,
    *,
    form: str = "waveform",
    start: str | datetime | None = None,
    tz: str | None = None,
    power_factor: float | None = None,
    maximum: bool = False,
    format: str | None = None,
) -> Written:
    """Write a load into a file that a utility reads.

    Parameters
    ----------
    load : Dataset
        ``p_mw`` over ``time``, and over ``member`` and ``site`` where it has them [MW], consumption positive;
        ``q_mvar`` likewise [Mvar], lagging positive.  IT power or power at the meter: the file says which.
    path : str or Path
        The file; its suffix says the format: ``.csv``, ``.parquet``, ``.nc``, ``.dss`` (with ``NAME_p.csv`` and
        ``NAME_q.csv``), ``.cfg`` (COMTRADE, with ``.dat`` and ``.hdr``).  What is there is replaced, and only by a
        complete file; files that go together come together.
    form : {"waveform", "15min", "8760"}
        The load as it is; its means over quarter hours; or its means over every hour of one year, 8784 of a leap year.
    start : str or datetime, optional
        The moment at which ``time`` is 0, ISO 8601 with an offset or with ``tz``.  Without it 2027-01-01 at midnight,
        and the file says that this was assumed.
    tz : str, optional
        IANA time zone of the file's times; a day on which the clocks change then has 23 or 25 hours.
    power_factor : float, optional
        Makes the reactive power of a load that has none; negative where it leads.  Without it 0.98, said in the file.
    maximum : bool
        For ``15min`` and ``8760``: the highest sample within each interval too.
    format : str, optional
        ``csv``, ``parquet``, ``netcdf``, ``opendss``, ``comtrade``, ``comtrade-ascii`` or ``comtrade-binary32``, where
        the suffix does not say it.

    Returns
    -------
    Written
        What was written: files, samples, step, mean and extremes.

    Raises
    ------
    InputError
        If the format, the form or the time cannot be used, a sample is missing, or the file cannot be written.

    Examples
    --------
    >>> load = gridedge.generate("h100-at-scale", duration_s=600, dt_s=0.05)  # doctest: +SKIP
    >>> gridedge.export(load, "load.csv", start="2027-01-01T00:00", tz="America/Chicago")  # doctest: +SKIP
    """
    if not isinstance(path, str | Path):
        raise bad("path must name a file", type(path).__name__, 'Write "load.csv".')
    path = Path(path)
    chosen = _format(path, format)
    moment = beginning(start, tz)
    clock = rows.read_clock(load, moment)
    wanted = shaped(load, clock, form, maximum=maximum)
    if start is None:
        wanted = wanted.assign_attrs(start_is=f"assumed, {DEFAULT_START.date()}: nobody said when")
    series = rows.from_load(wanted, rows.read_clock(wanted, moment), form, power_factor)
    facts = series.facts  # reads every sample once, before anything is written
    beside = chosen.companions(series, path) if chosen.companions else ()
    with together(path, *beside) as places:
        chosen.write(series, *places)
    return Written(
        files=(path, *beside),
        format=chosen.name,
        form=form,
        power=str(load.attrs.get("power", "not stated")),
        samples=series.steps,
        channels=len(series.labels),
        dt_s=series.clock.dt_s,
        start=str(series.clock.labels(0, 1)[0]),
        p_mean_mw=facts.p_mean_mw,
        p_max_mw=facts.p_max_mw,
        p_min_mw=facts.p_min_mw,
        reactive=series.reactive,
        notes=(*series.notes, *(["The start was assumed: nobody said when."] if start is None else [])),
    )


def refuse_early(
    path: Path,
    *,
    form: str,
    start: str | datetime | None,
    tz: str | None,
    duration_s: float,
    dt_s: float,
    maximum: bool,
    format: str | None,
) -> None:
    """Refuse what :func:`export` would refuse of a load that begins at 0, before somebody makes it."""
    _format(path, format)
    clock = Clock(beginning(start, tz), 0.0, dt_s)
    samples_of(clock, step_count(duration_s, dt_s), form, maximum=maximum)
    if not path.absolute().parent.is_dir():
        raise bad("there is no such folder", str(path.absolute().parent), "Make it first, or name another file.")


def _formats() -> dict[str, Format]:
    from gridedge.formats import comtrade, csv, netcdf, opendss, parquet

    def record(name: str, encoding: str) -> Format:
        writer = partial(comtrade.write, encoding=encoding)  # type: ignore[arg-type]
        return Format(name, (".cfg",), writer, comtrade.companions, strict=True)

    found = (
        Format("csv", (".csv",), csv.write),
        Format("parquet", (".parquet", ".pq"), parquet.write),
        Format("netcdf", (".nc",), netcdf.write),
        Format("opendss", (".dss",), opendss.write, opendss.companions, strict=True),
        record("comtrade", "FLOAT32"),
        record("comtrade-ascii", "ASCII"),
        record("comtrade-binary32", "BINARY32"),
    )
    return {f.name: f for f in found}


def _format(path: Path, name: str | None) -> Format:
    known = _formats()
    suffix = path.suffix.lower()
    if name is None:
        for chosen in known.values():
            if suffix in chosen.suffixes:
                return chosen
        suffixes = ", ".join(dict.fromkeys(s for f in known.values() for s in f.suffixes))
        raise bad("the file's suffix says no format", path.name, f"Use one of {suffixes}, or name the format.")
    if name not in known:
        raise bad("unknown format", name, nearest(name, known))
    chosen = known[name]
    if chosen.strict and suffix not in chosen.suffixes:
        raise bad(f"a file of format {name} has another suffix", path.name, f"Name it {path.stem}{chosen.suffixes[0]}.")
    others = [f.name for f in known.values() if suffix in f.suffixes and suffix not in chosen.suffixes]
    if others:
        cure = f"Name it {path.stem}{chosen.suffixes[0]}, or leave the format out."
        raise bad(f"the file's suffix says {others[0]}, not {name}", path.name, cure)
    return chosen
