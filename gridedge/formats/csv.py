"""CSV: one line an interval, ISO 8601 with its offset, kW and kvar."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gridedge.formats.series import Block, Series

_DECIMALS = 6  # of a kilowatt: one milliwatt
_TITLE = "Load profile written by gridedge"


def write(series: Series, path: Path) -> None:
    """Write a series as CSV.

    Lines that begin with ``#`` come first and say the model, its seed and sources, units and sign: they stay with the
    numbers when the file is passed on, where a second file would be lost.  Then one line of column names and one line
    for each sample: ``time``, ``kw``, ``kvar``, and ``max_kw`` where the highest within each interval was asked for.
    Several members or sites have their columns side by side, ``kw_m0``, ``kvar_m0``, ``kw_m1`` and so on.

    Notes
    -----
    Powers are rounded to a milliwatt.  ``pandas.read_csv(path, comment="#")`` reads it; on a file that crosses a change
    of daylight saving, ``pandas.to_datetime(..., utc=True)`` reads the times.

    References
    ----------
    .. [1] ISO 8601-1:2019, date and time with the offset from UTC.
    """
    import pyarrow as pa
    from pyarrow import csv

    plain = csv.WriteOptions(include_header=False, quoting_style="none")
    with path.open("wb") as file:
        file.write(_head(series).encode())
        for block in series.blocks():
            times = pa.array(series.clock.labels(block.first, block.stop).tolist())
            columns = [pa.array(values) for values in _columns(block)]
            names = [str(k) for k in range(len(columns) + 1)]
            csv.write_csv(pa.table([times, *columns], names=names), file, plain)


def _head(series: Series) -> str:
    said = [f"# {_TITLE}", *(f"# {key}: {value}" for key, value in series.origin.items())]
    said += [f"# note: {note}" for note in series.notes]
    said += ["# units: kw in kW, kvar in kvar" + (", max_kw in kW" if _has_max(series) else "")]
    names = [["kw", "kvar", *(["max_kw"] if _has_max(series) else [])]] * len(series.labels)
    columns = [
        f"{name}_{label}" if label else name for label, own in zip(series.labels, names, strict=True) for name in own
    ]
    return "\n".join([*said, ",".join(["time", *columns])]) + "\n"


def _has_max(series: Series) -> bool:
    return "p_max_mw" in series.load


def _columns(block: Block) -> list[np.ndarray]:
    """Return the columns, channel by channel, in kW."""
    kinds = [block.p_mw, block.q_mvar, *([] if block.p_max_mw is None else [block.p_max_mw])]
    return [np.round(kind[k] * 1e3, _DECIMALS) + 0.0 for k in range(block.p_mw.shape[0]) for kind in kinds]
