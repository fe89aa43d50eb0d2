"""COMTRADE, IEEE C37.111-2013 (IEC 60255-24:2013): configuration, data and header file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Literal

import numpy as np
from numpy.typing import NDArray

from gridedge.errors import bad
from gridedge.formats.series import Block, Series

Encoding = Literal["ASCII", "BINARY32", "FLOAT32"]
Float = NDArray[np.float64]
_NAME = 64  # longest station_name and rec_dev_id
_STAMP_MAX = 0xFFFFFFFE  # four bytes; 0xFFFFFFFF marks a missing time stamp
_COUNT_MAX = 2**31 - 2  # of a BINARY32 sample; -2**31 marks a missing one
_TWO = ("p_mw", "q_mvar")


def companions(series: Series, path: Path) -> tuple[Path, ...]:
    """Return the data file and the header file, which go with a configuration file of the same name."""
    del series
    suffixes = (".DAT", ".HDR") if path.suffix.isupper() else (".dat", ".hdr")
    return path.with_suffix(suffixes[0]), path.with_suffix(suffixes[1])


def write(series: Series, path: Path, dat: Path, hdr: Path, *, encoding: Encoding = "FLOAT32") -> None:
    """Write a series as a COMTRADE record of the 2013 revision.

    Each channel of the load gives two analog ones, P in MW and Q in Mvar, primary values, ratio 1:1.  ``FLOAT32`` keeps
    single precision, 6e-8 of each value; ``ASCII`` seven digits, 5e-7; ``BINARY32`` a count of 2.3e-10 of the channel's
    largest magnitude.  The recorder's name has program, seed and the spec's hash; the header file, free text by the
    standard, has model, sources and notes in full.

    Raises
    ------
    InputError
        If the load is not a waveform, or holds more samples than a record can count.

    Notes
    -----
    A sample is the mean over its step, and its stamp the step's start.  Stamps count microseconds from the first sample
    as long as four bytes hold them, 71 minutes; in longer records they count steps, and ``timemult`` is a step.  Dates
    are UTC (``time_code`` 0); ``local_code`` is the zone's offset at the start.  The time quality is 0, a clock that is
    right, and the leap second code 3, a source that knows of none: the times are a model's.  The nominal frequency is
    ``load.attrs["frequency_hz"]`` where there is one, else empty.  What these last lines of the configuration mean is
    quoted from memory; that they are there and in this order, readers confirm.

    References
    ----------
    .. [1] IEEE Std C37.111-2013 / IEC 60255-24:2013, clauses 7.4 (configuration file) and 8 (data file).
    """
    if series.form != "waveform":
        raise bad("COMTRADE holds waveforms", f"form {series.form}", "Use form waveform, or a CSV file.")
    if series.steps > _STAMP_MAX:
        raise bad("a COMTRADE record cannot count the samples", series.steps, "Cut the load, or use NetCDF.")
    largest = _largest(series)
    step_us = series.clock.dt_s * 1e6
    fits = (series.steps - 1) * step_us <= _STAMP_MAX
    # A count of BINARY32 spans the channel's largest magnitude; a channel of zeros counts in units of its own.
    scale = np.where(largest > 0, largest, 1.0) / _COUNT_MAX if encoding == "BINARY32" else np.ones(largest.shape)
    low, high = np.full(largest.shape, np.inf), np.full(largest.shape, -np.inf)
    with dat.open("wb") as file:
        for block in series.blocks():
            raw = _raw(block, scale)
            low, high = np.minimum(low, raw.min(axis=1)), np.maximum(high, raw.max(axis=1))
            numbers = np.arange(block.first, block.stop, dtype=np.int64)
            stamps = np.rint(numbers * step_us).astype(np.int64) if fits else numbers
            _put(file, encoding, numbers + 1, stamps, raw)
    text = _configuration(series, encoding, scale, low, high, 1.0 if fits else step_us)
    path.write_bytes(text.encode("ascii", "replace"))
    lines = [f"{key}: {value}" for key, value in series.origin.items()] + [f"note: {note}" for note in series.notes]
    hdr.write_bytes("".join(f"{line}\r\n" for line in lines).encode("utf-8"))


def _configuration(series: Series, encoding: Encoding, scale: Float, low: Float, high: Float, timemult: float) -> str:
    """Return the text of the configuration file, line by line as clause 7.4 has them."""
    said, clock = series.origin, series.clock
    site = str(series.load["site"].values[0]) if "site" in series.load.coords and series.load["site"].size == 1 else ""
    recorder = f"{said['program']} seed {said['seed']} spec {said['spec_sha256'][:12]}"
    lines = [f"{_plain(site or said['model'])},{_plain(recorder)},2013"]
    count = 2 * len(series.labels)
    lines.append(f"{count},{count}A,0D")
    for k in range(count):
        label, unit = series.labels[k // 2], ("MW", "Mvar")[k % 2]
        name = " ".join(filter(None, ("PQ"[k % 2], label)))
        limits = f"{_number(low[k], encoding)},{_number(high[k], encoding)}"
        lines.append(f"{k + 1},{_plain(name)},,,{unit},{scale[k]:.17g},0,0,{limits},1,1,P")
    first = clock.first
    stamp = first.astimezone(UTC).strftime("%d/%m/%Y,%H:%M:%S.%f")
    lines += [
        f"{series.load.attrs.get('frequency_hz', '')}",  # of the line; not critical, so it may be empty
        "1",
        f"{1 / clock.dt_s:.15g},{series.steps}",
        stamp,
        stamp,
        encoding,
        f"{timemult:.15g}",
        f"0,{_code(first)}",
        "0,3",
    ]
    return "".join(f"{line}\r\n" for line in lines)


def _put(file: BinaryIO, encoding: Encoding, numbers: NDArray[np.int64], stamps: NDArray[np.int64], raw: Float) -> None:
    """Append samples: number, time stamp, and the value of each channel."""
    if encoding == "ASCII":
        # A mantissa and an exponent in every value: 99999, which marks a missing one, cannot come about.
        rows = zip(numbers.tolist(), stamps.tolist(), *raw.tolist(), strict=True)
        form = "%d,%d" + ",%.6e" * len(raw) + "\r\n"
        file.write("".join(form % row for row in rows).encode("ascii"))
        return
    value = "<f4" if encoding == "FLOAT32" else "<i4"
    row = np.dtype([("n", "<u4"), ("t", "<u4"), ("a", value, (len(raw),))])
    record = np.empty(numbers.size, row)
    record["n"], record["t"] = numbers, stamps
    record["a"] = (raw if encoding == "FLOAT32" else np.rint(raw)).T
    file.write(record.tobytes())


def _raw(block: Block, scale: Float) -> Float:
    """Return the stored values, shape (analog channel, time): P and Q of each channel in turn."""
    both = np.stack([block.p_mw, block.q_mvar], axis=1)
    return both.reshape(-1, both.shape[-1]) / scale[:, None]


def _largest(series: Series) -> Float:
    found = np.zeros(2 * len(series.labels))
    for block in series.blocks():
        found = np.maximum(found, np.abs(_raw(block, np.ones(found.shape))).max(axis=1))
    return found


def _number(value: float, encoding: Encoding) -> str:
    return f"{round(value)}" if encoding == "BINARY32" else f"{value:.6e}"


def _plain(text: str) -> str:
    """Return a name without the signs that separate fields, and no longer than it may be."""
    return " ".join(text.replace(",", ";").split())[:_NAME]


def _code(first: datetime) -> str:
    """Return an offset from UTC as the standard writes it: ``-6``, ``+5h30``, ``0``."""
    offset = first.utcoffset()
    minutes = round(offset.total_seconds() / 60) if offset is not None else 0
    if minutes == 0:
        return "0"
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours}" + (f"h{rest:02d}" if rest else "")
