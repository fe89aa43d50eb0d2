"""A trace of power as people keep it: one CSV with a clock and power columns, units in the names."""

from __future__ import annotations

import csv
import hashlib
import io
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import Problem, bad
from gridedge.profiles.gpulog import even, is_accelerator_log, read_accelerator_log

if TYPE_CHECKING:
    import pandas as pd

_KW_PER_UNIT = {"w": 1e-3, "kw": 1.0, "mw": 1e3}
_NODE = re.compile(r"node_[a-z-]*\d+")  # the MLPerf layout: node_7 is in W without saying so
_TOTAL = re.compile(r"(p|power|total|total_power|sum|all)_(w|kw|mw)")
_OFFSET = re.compile(r":\d{2}(?:[.,]\d+)?\s*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$")
_UNITS_CURE = "End the name with _w, _kw or _mw (or node_0, node_1, ... in W), or take the column out of the file."


@dataclass(frozen=True)
class Sheet:
    """A trace file as numbers, nothing mended yet.

    Parameters
    ----------
    time_s : ndarray, shape (n,)
        The file's own clock; timestamps count from the earliest one. [s]
    p_kw : ndarray, shape (n, columns)
        Power, NaN where a cell is empty; what is not a number stands in ``problems``. [kW]
    names : tuple of str
        Name of each power column.
    line : ndarray of int, shape (n,)
        Line of the file that each row stands on, counted from 1.
    sha256 : str
        Digest of the file's bytes.
    problems : tuple of Problem
        What is wrong with the file as such.
    notes : tuple of str
        What a reader of the result must know.
    of : {"node", "accelerator"}
        What a power column measures.
    average_s : float
        What the recorder averages a reading over, where that is longer than its step may be. [s]
    """

    time_s: NDArray[np.float64]
    p_kw: NDArray[np.float64]
    names: tuple[str, ...]
    line: NDArray[np.int64]
    sha256: str
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    of: Literal["node", "accelerator"] = "node"
    average_s: float = 0.0


def locate(trace: str, base: Path | None) -> Path:
    """Return the file that a trace's path means.

    Parameters
    ----------
    trace : str
        Path as the study or ``--set`` gives it.
    base : Path or None
        Folder of the study; a relative path is looked up there and in the working folder.

    Raises
    ------
    InputError
        If there is no such file, or two different ones.
    """
    named = Path(trace).expanduser()
    folders = [Path.cwd()] if base is None else [base, Path.cwd()]
    found = [folder / named for folder in folders if (folder / named).is_file()]  # an absolute path stays itself
    if not found:
        looked = "" if named.is_absolute() else f" Looked in {' and '.join(str(f) for f in dict.fromkeys(folders))}."
        raise bad("no such trace file", trace, f"Name a file that exists: --set load.trace=FILE.{looked}")
    if not found[0].samefile(found[-1]):
        value = f"{found[0]} and {found[-1]}"
        raise bad(f"two files answer to load.trace={trace}", value, "Give the whole path of the one that is meant.")
    return found[0]


def read_sheet(path: Path, *, step_s: float | None = None) -> Sheet:
    """Read a trace file into numbers.

    Parameters
    ----------
    path : Path
        A CSV with one header line: a clock (``time_s`` in seconds, or ``time`` / ``timestamp``
        in ISO 8601) and power columns (``*_w``, ``*_kw``, ``*_mw``, or ``node_0``, ... in W); or a log
        of accelerators as nvidia-smi and DCGM write it.
    step_s : float, optional
        Distance of the readings in a log without a clock. [s]

    Raises
    ------
    InputError
        If there is no table or no clock.  Whatever leaves something to judge is kept in
        ``Sheet.problems``, so that it is reported with the rest.
    """
    try:
        content = path.read_bytes()
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise bad("cannot read the trace", str(path), f"Save it as a CSV text file in UTF-8 ({error}).") from error
    if is_accelerator_log(text):
        readings = read_accelerator_log(text, path.name, step_s)
        time_s, p_kw, line, notes, found = even(readings, path.name)
        sha256 = hashlib.sha256(content).hexdigest()
        return Sheet(
            time_s,
            p_kw,
            readings.unit,
            line,
            sha256,
            tuple(found),
            (*readings.notes, *notes),
            "accelerator",
            readings.average_s,
        )
    header, frame = _table(text, path.name)
    where = f"{path.name}:1"
    clock = _clock_column(header, where)
    columns, problems = _power_columns([h for h in header if h != clock], where)

    empty = frame.isna().all(axis=1)
    frame = frame[~empty]
    notes = [f"{int(empty.sum())} empty lines were passed over."] if empty.any() else []
    line = frame.index.to_numpy(dtype=np.int64) + 2  # line 1 is the header
    time_s, wrong = _seconds(frame[clock], clock, line, path.name)
    problems += wrong
    if clock.lower() != "time_s" and not wrong and len(frame):
        notes.append(f"t = 0 is {frame[clock].iloc[int(np.argmin(time_s))]}.")
    p_kw = np.empty((len(frame), len(columns)))
    for k, (name, kw_per_unit) in enumerate(columns.items()):
        values, wrong = _numbers(frame[name], name, line, path.name)
        unreadable = np.isnan(values) & frame[name].notna().to_numpy()
        p_kw[:, k] = np.where(unreadable, 0.0, values * kw_per_unit)  # refused by its own name, not as a gap too
        problems += wrong
    known = np.isfinite(time_s)  # a row without a time is a problem already and cannot be placed
    sha256 = hashlib.sha256(content).hexdigest()
    return Sheet(time_s[known], p_kw[known], tuple(columns), line[known], sha256, tuple(problems), tuple(notes))


def _table(text: str, source: str) -> tuple[list[str], pd.DataFrame]:
    import pandas as pd

    header = [cell.strip() for cell in next(csv.reader(io.StringIO(text)), [])]
    if len(header) == 1 and re.search(r"[;\t]", header[0]):
        raise bad("the columns are not separated by commas", header[0][:60], "Save it with commas.", f"{source}:1")
    twice = sorted({name for name in header if header.count(name) > 1})
    if not header or twice or "" in header:
        value = ", ".join(repr(name) for name in twice) or "an empty name"
        raise bad("the header does not name every column once", value, "Name each column once.", f"{source}:1")
    try:
        # Empty lines are kept, so that the index still tells the line of the file.
        frame = pd.read_csv(io.StringIO(text), names=header, header=0, skip_blank_lines=False, low_memory=False)
    except pd.errors.ParserError as error:
        found = re.search(r"line (\d+)", str(error))
        place = f"{source}:{found[1]}" if found else source
        raise bad("the rows have different lengths", str(error).strip(), "Repair this row.", place) from error
    if not isinstance(frame.index, pd.RangeIndex):
        # pandas would take the surplus first column as labels and shift every name by one.
        cure = "Name every column, or drop the comma at the end of the rows."
        raise bad("rows hold more cells than the header", f"{len(header)} names", cure, source)
    return header, frame


def _clock_column(header: list[str], where: str) -> str:
    clocks = [name for name in header if name.lower() in {"time_s", "time", "timestamp"}]
    if len(clocks) == 1:
        return clocks[0]
    value = ", ".join(clocks or header[:8])
    cure = "Name exactly one column time_s (seconds), or time or timestamp (ISO 8601, 2024-05-17T21:18:59Z)."
    raise bad("several columns are a clock" if clocks else "no column is a clock", value, cure, where)


def _power_columns(names: list[str], where: str) -> tuple[dict[str, float], list[Problem]]:
    """Return the kW per unit of every power column, and what cannot be told."""
    columns: dict[str, float] = {}
    unknown, milli = [], []
    for name in names:
        unit = name.lower().rpartition("_")[2] if "_" in name else ""
        if name.endswith("_mW"):
            milli.append(name)
        elif unit in _KW_PER_UNIT:
            columns[name] = _KW_PER_UNIT[unit]
        elif _NODE.fullmatch(name.lower()):
            columns[name] = _KW_PER_UNIT["w"]
        else:
            unknown.append(name)
    problems = []
    if unknown:
        problems.append(Problem("the unit of a column is not known", ", ".join(unknown), _UNITS_CURE, where))
    if milli:
        cure = "Write _mw for megawatt, or convert to watt and write _w."
        problems.append(Problem("mW could be milliwatt or megawatt", ", ".join(milli), cure, where))
    totals = [name for name in columns if _TOTAL.fullmatch(name.lower())]
    if totals and len(columns) > 1:
        cure = "Keep either the total or its parts: their sum would count the power twice."
        problems.append(Problem("a total stands beside other power columns", ", ".join(totals), cure, where))
    if not columns and not problems:
        problems.append(Problem("no column holds power", "", _UNITS_CURE, where))
    return columns, problems


def _numbers(
    column: pd.Series, name: str, line: NDArray[np.int64], source: str
) -> tuple[NDArray[np.float64], list[Problem]]:
    """Return a column as floats, NaN where the cell is empty; text and infinities are problems."""
    import pandas as pd

    if column.dtype == bool:  # "True" would count as 1
        column = column.astype(str)
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64)
    wrong = (np.isnan(values) & column.notna().to_numpy()) | np.isinf(values)
    if not wrong.any():
        return values, []
    k = int(np.argmax(wrong))
    value = f"{str(column.iloc[k])!r} and {int(wrong.sum()) - 1} more" if wrong.sum() > 1 else repr(str(column.iloc[k]))
    cure = "Write a number, or leave the cell empty where there is no reading."
    return np.where(wrong, np.nan, values), [Problem(f"{name} is not a number", value, cure, f"{source}:{line[k]}")]


def _seconds(
    column: pd.Series, name: str, line: NDArray[np.int64], source: str
) -> tuple[NDArray[np.float64], list[Problem]]:
    """Return the clock in seconds, NaN where it cannot be read."""
    import pandas as pd

    problems: list[Problem] = []
    time_s: NDArray[np.float64]
    if name.lower() == "time_s":
        time_s, problems = _numbers(column, name, line, source)
        missing = column.isna().to_numpy()
        cure = "Give every row its time in seconds."
    else:
        if pd.api.types.is_numeric_dtype(column):
            value = str(column.iloc[0]) if len(column) else "no row"
            cure = "Name the column time_s if it counts seconds; else write ISO 8601, 2024-05-17T21:18:59Z."
            raise bad(f"{name} holds bare numbers, their unit is not known", value, cure, f"{source}:1")
        stamps = pd.to_datetime(column, format="ISO8601", utc=True, errors="coerce")
        time_s = np.asarray((stamps - stamps.min()).dt.total_seconds(), dtype=np.float64)
        missing = np.isnan(time_s)
        cure = "Write every time in ISO 8601, 2024-05-17T21:18:59Z."
        with_offset = column.dropna().astype(str).map(lambda t: bool(_OFFSET.search(t.strip())))
        if with_offset.nunique() > 1:
            value = f"{int(with_offset.sum())} of {len(with_offset)} rows have one"
            wanted = "Give every row an offset, such as Z or +02:00, or none."
            problems.append(Problem(f"only some rows of {name} have an offset from UTC", value, wanted, source))
    if missing.any():
        k = int(np.argmax(missing))
        shown = "an empty cell" if pd.isna(column.iloc[k]) else repr(str(column.iloc[k]))
        value = f"{shown}; {int(missing.sum())} rows in all"
        problems.append(Problem(f"{name} cannot be read", value, cure, f"{source}:{line[k]}"))
    return time_s, problems
