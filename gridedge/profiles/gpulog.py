"""Logs of accelerators: ``nvidia-smi --query-gpu``, ``dcgmi dmon`` and exported DCGM fields.

They hold one row per accelerator and reading, the readings of one pass a few milliseconds
apart, and passes that wander by more.  A reading is taken to hold until the next one, and a
sample is the exact mean of that over an even step: the median distance of the passes.
"""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import Problem, bad

if TYPE_CHECKING:
    import pandas as pd

_POWER = re.compile(r"(?P<field>power\.draw(?:\.average|\.instant)?)(?:\s*\[W\])?|DCGM_FI_DEV_POWER_USAGE(?:_INSTANT)?")
_CLOCK = ("timestamp", "time", "time_s")
_UNIT = ("index", "gpu", "uuid", "gpu_uuid", "gpu_id", "pci.bus_id", "gpu_bus_id")
_HOST = ("hostname", "host", "instance", "node")
_DMON = re.compile(r"^\s*GPU\s+(\d+)\s+(.*)$")
_LONGEST = 2.5  # steps that a reading may hold: after that it is missing
_UNITS = "W"
_AVERAGE_S = 1.0  # power.draw on most accelerators since Ampere (nvidia-smi manual, "Power Draw")


@dataclass(frozen=True)
class Readings:
    """Readings of accelerators as logged.

    Parameters
    ----------
    unit : tuple of str
        Name of each accelerator.
    time_s : tuple of ndarray
        Times of its readings, from the first one of all. [s]
    p_w : tuple of ndarray
        Its readings, NaN where the tool gave none. [W]
    line : tuple of ndarray of int
        Line of the file that each stands on.
    notes : tuple of str
        What a reader of the result must know.
    average_s : float
        What the tool averages a reading over; 0 where it does not. [s]
    """

    unit: tuple[str, ...]
    time_s: tuple[NDArray[np.float64], ...]
    p_w: tuple[NDArray[np.float64], ...]
    line: tuple[NDArray[np.int64], ...]
    notes: tuple[str, ...]
    average_s: float = 0.0


def is_accelerator_log(text: str) -> bool:
    """Say whether a text is a log of accelerators, from its first lines."""
    head = text.lstrip("\ufeff").splitlines()[:3]
    if not head:
        return False
    if head[0].lstrip().startswith("#") and "entity" in head[0].lower():
        return True
    return any(_POWER.fullmatch(cell.strip()) for cell in head[0].split(","))


def read_accelerator_log(text: str, source: str, step_s: float | None) -> Readings:
    """Read a log of accelerators.

    Parameters
    ----------
    text : str
        Its content.
    source : str
        Name of the file, as messages show it.
    step_s : float or None
        Distance of the readings, for a log without a clock (``dcgmi dmon``). [s]

    Raises
    ------
    InputError
        If there is no clock, no power, or a row that cannot be read.
    """
    if text.lstrip("\ufeff").lstrip().startswith("#"):
        return _dmon(text, source, step_s)
    return _table(text, source)


def _dmon(text: str, source: str, step_s: float | None) -> Readings:
    """Read what ``dcgmi dmon -e 155`` prints: no clock, header lines repeated."""
    lines = text.lstrip("\ufeff").splitlines()
    columns = lines[0].replace("#", " ").split()
    short = [
        k for k, name in enumerate(columns[1:]) if re.fullmatch(r"POWER|POWINST|PWR|DCGM_FI_DEV_POWER_USAGE", name)
    ]
    if len(short) != 1:
        cure = "Log the power alone: dcgmi dmon -e 155 -d 100."
        raise bad("the log does not name its power once", " ".join(columns)[:80], cure, f"{source}:1")
    if step_s is None:
        cure = "Say how far apart the readings are (the -d of dcgmi dmon): step_s=0.1."
        raise bad("the log of dcgmi dmon has no clock", source, cure, f"{source}:1")
    rows: dict[str, list[tuple[float, int]]] = {}
    for number, line in enumerate(lines, start=1):
        found = _DMON.match(line)
        if found is None:
            if line.strip() and not line.lstrip().startswith(("#", "ID", "Id")):
                cure = "Keep the lines `GPU 0  345.1` and the header only."
                raise bad("a line of the log cannot be read", line.strip()[:60], cure, f"{source}:{number}")
            continue
        cells = found[2].split()
        cell = cells[short[0]] if short[0] < len(cells) else ""
        rows.setdefault(f"GPU {found[1]}", []).append((_watt(cell), number))
    if not rows:
        raise bad("the log holds no reading", source, "Let dcgmi dmon run for some iterations.", source)
    counts = {len(readings) for readings in rows.values()}
    if max(counts) - min(counts) > 1:
        value = ", ".join(f"{unit}: {len(r)}" for unit, r in list(rows.items())[:4])
        raise bad("the accelerators have different numbers of readings", value, "Log again, or cut the file.", source)
    least = min(counts)
    p_w = tuple(np.array([p for p, _ in r[:least]]) for r in rows.values())
    line_of = tuple(np.array([n for _, n in r[:least]], dtype=np.int64) for r in rows.values())
    clock: NDArray[np.float64] = step_s * np.arange(least, dtype=float)
    note = f"The log has no clock; its readings are taken {step_s:g} s apart, as stated."
    return Readings(tuple(rows), (clock,) * len(rows), p_w, line_of, (note,))


def _table(text: str, source: str) -> Readings:
    """Read a CSV with one row per accelerator and time."""
    import pandas as pd

    frame = pd.read_csv(io.StringIO(text.lstrip("\ufeff")), skipinitialspace=True, dtype=str)
    frame.columns = [str(name).strip() for name in frame.columns]
    power = [name for name in frame.columns if _POWER.fullmatch(name)]
    clock = [name for name in frame.columns if name.lower() in _CLOCK]
    if len(power) != 1 or len(clock) != 1:
        value = ", ".join(map(str, frame.columns))[:100]
        cure = "Log them once each: nvidia-smi --query-gpu=timestamp,index,power.draw --format=csv -lms 100."
        raise bad("the log does not name its power and its clock once each", value, cure, f"{source}:1")
    line = np.arange(2, 2 + len(frame), dtype=np.int64)
    # nvidia-smi repeats its header where a log was appended to.
    kept = (frame[power[0]].fillna("") != power[0]).to_numpy()
    frame, line = frame[kept], line[kept]
    by = [name for name in frame.columns if name.lower() in _HOST] + [
        name for name in frame.columns if name.lower() in _UNIT
    ][:1]
    time_s = _times(frame[clock[0]], clock[0], line, source)
    p_w = np.array([_watt(str(cell)) for cell in frame[power[0]].fillna("")])
    label = frame[by].fillna("").agg(" ".join, axis=1).to_numpy() if by else np.full(len(frame), "GPU")
    units = list(dict.fromkeys(label))
    where = [np.flatnonzero(label == unit) for unit in units]
    notes = [] if by else ["The log does not name its accelerators: every row is taken as one accelerator's."]
    averaged = power[0].startswith("power.draw") and "instant" not in power[0]
    if averaged:
        notes.append(
            "power.draw is an average over 1 s on most accelerators since Ampere: edges shorter than that are not in "
            "this log (power.draw.instant has them)."
        )
    for k, unit in zip(where, units, strict=True):
        back = np.flatnonzero(np.diff(time_s[k]) <= 0)
        if back.size:
            value = f"{unit}: {time_s[k][back[0]]:g} s is followed by {time_s[k][back[0] + 1]:g} s"
            cure = "Sort the rows by time; log the index where there are several accelerators."
            raise bad("the clock does not advance", value, cure, f"{source}:{line[k[back[0] + 1]]}")
    return Readings(
        tuple(str(u) for u in units),
        tuple(time_s[k] for k in where),
        tuple(p_w[k] for k in where),
        tuple(line[k] for k in where),
        tuple(notes),
        _AVERAGE_S if averaged else 0.0,
    )


def _watt(cell: str) -> float:
    """Return a cell as W; NaN where the tool says that it has none."""
    try:
        return float(cell.strip().removesuffix(_UNITS).strip())
    except ValueError:
        return float("nan")


def _times(column: pd.Series, name: str, line: NDArray[np.int64], source: str) -> NDArray[np.float64]:
    import pandas as pd

    text = column.fillna("").str.strip()
    number = pd.to_numeric(text, errors="coerce")
    if number.notna().all() and len(number):
        seconds = number.to_numpy(dtype=float)
        if seconds[0] > 1e11:  # Unix time in milliseconds
            seconds = seconds / 1e3
    else:
        # nvidia-smi writes 2024/05/17 21:18:59.123
        stamps = pd.to_datetime(text.str.replace("/", "-"), format="ISO8601", utc=True, errors="coerce")
        if stamps.isna().any():
            k = int(np.argmax(stamps.isna().to_numpy()))
            cure = "Write times as nvidia-smi does, 2024/05/17 21:18:59.123, or in ISO 8601."
            raise bad(f"{name} cannot be read", repr(str(text.iloc[k])), cure, f"{source}:{line[k]}")
        seconds = (stamps - stamps.iloc[0]).dt.total_seconds().to_numpy(dtype=float)
    return np.asarray(seconds - seconds.min() if len(seconds) else seconds)


def even(
    readings: Readings, source: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64], list[str], list[Problem]]:
    """Put the readings on one even clock.

    Returns
    -------
    time_s : ndarray, shape (n,)
        Start of every step. [s]
    p_kw : ndarray, shape (n, accelerators)
        Mean of each step, NaN where a reading would have to hold for more than 2.5 steps. [kW]
    line : ndarray of int, shape (n,)
        Line of the file near which each step stands.
    notes : list of str
        What was done.
    problems : list of Problem
        Accelerators with too few readings.
    """
    few = [u for u, t in zip(readings.unit, readings.time_s, strict=True) if t.size < 3]
    if few:
        found = Problem("an accelerator has fewer than three readings", ", ".join(few[:4]), "Log for longer.", source)
        return np.zeros(0), np.zeros((0, len(readings.unit))), np.zeros(0, dtype=np.int64), [], [found]
    steps = np.concatenate([np.diff(t) for t in readings.time_s])
    dt_s = float(f"{np.median(steps):.3g}")
    begin = max(float(t[0]) for t in readings.time_s)
    end = min(float(t[-1]) for t in readings.time_s) + dt_s
    count = int((end - begin) / dt_s + 1e-6)
    edges: NDArray[np.float64] = begin + dt_s * np.arange(count + 1, dtype=float)
    p_kw = np.stack(
        [_held_mean(t, p, edges, dt_s) / 1e3 for t, p in zip(readings.time_s, readings.p_w, strict=True)], axis=1
    )
    first = readings.time_s[0]
    line = readings.line[0][np.clip(np.searchsorted(first, edges[:-1], side="right") - 1, 0, first.size - 1)]
    spread = np.abs(steps - dt_s).max()
    notes = [
        f"Columns are accelerators, {len(readings.unit)} of them: power beside them (fans, processors, network) is "
        "not in this log.",
    ]
    if spread > 0.01 * dt_s:
        notes.append(
            f"The readings are {np.median(steps):.4g} s apart, at most {steps.max():.4g} s; each is taken to hold "
            f"until the next one, and a sample is the mean of that over {dt_s:g} s."
        )
    return edges[:-1] - begin, p_kw, line, notes, []


def _held_mean(
    time_s: NDArray[np.float64], p_w: NDArray[np.float64], edges: NDArray[np.float64], dt_s: float
) -> NDArray[np.float64]:
    """Return the mean between edges of readings that hold until the next one."""
    lasts = np.diff(time_s, append=time_s[-1] + dt_s)
    missing = np.isnan(p_w)
    area = np.concatenate(([0.0], np.cumsum(np.where(missing, 0.0, p_w) * lasts)))
    ends = np.append(time_s, time_s[-1] + lasts[-1])
    mean = np.diff(np.interp(edges, ends, area)) / np.diff(edges)
    # Time without a reading: cells that say so, and what lies behind a reading that is too old.
    known = np.where(missing, 0.0, np.minimum(lasts, _LONGEST * dt_s))
    corners = np.stack([time_s, time_s + known], axis=1).ravel()
    covered = np.stack([np.cumsum(known) - known, np.cumsum(known)], axis=1).ravel()
    share = np.diff(np.interp(edges, corners, covered)) / np.diff(edges)
    return np.where(share < 1 - 1e-6, np.nan, mean)
