"""OpenDSS: a LoadShape in per unit of a base, its files of numbers, and the script that declares it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from gridedge.errors import bad
from gridedge.formats.series import Series

_DECIMALS = 9  # of the base
_BUILT_IN = "default"  # the shape that every circuit begins with


def companions(series: Series, path: Path) -> tuple[Path, ...]:
    """Return the files of numbers that the script reads: active and reactive power of each channel."""
    return tuple(path.with_name(f"{name}_{kind}.csv") for name in _names(series, path) for kind in ("p", "q"))


def write(series: Series, path: Path, *numbers: Path) -> None:
    """Write a series as an OpenDSS script with its LoadShape.

    The script declares one ``LoadShape`` for each channel: ``npts``, ``sinterval``, ``mult`` and ``qmult`` from files
    of one number a line, in per unit of ``pbase`` [kW] and ``qbase`` [kvar], which are the channel's largest values.  A
    load that has these as its ``kw`` and ``kvar`` draws what the series says; such a line stands in the script as a
    comment, since bus and voltage are the circuit's.

    Notes
    -----
    Numbers are rounded to 1e-9 of the base.  OpenDSS takes sample k in its k-th step when ``stepsize`` is the shape's
    interval; its clock then shows the end of the sample.  After the last sample it begins again.

    References
    ----------
    .. [1] EPRI, "OpenDSS Manual", general DSS objects, LoadShape; electricdss source, General/LoadShape.pas.
    """
    base = _bases(series)
    names = _names(series, path)
    files = [file.open("wb") for file in numbers]
    try:
        _write_numbers(series, files, base)
    finally:
        for file in files:
            file.close()
    lines = [*(f"! {key}: {value}" for key, value in series.origin.items())]
    lines += [f"! note: {note}" for note in series.notes] + [""]
    dt = f"{series.clock.dt_s:.12g}"
    for k, name in enumerate(names):
        kw, kvar = (f"{value * 1e3:.12g}" for value in base[k])
        p, q = (numbers[2 * k + j].name for j in (0, 1))
        lines.append(
            f'New LoadShape.{name} npts={series.steps} sinterval={dt} mult=(file="{p}") qmult=(file="{q}") '
            f"useactual=no pbase={kw} qbase={kvar}"
        )
        lines += [
            "! What draws it, with a bus and a voltage [kV] of your circuit; constant power down to 0.7 pu:",
            f"! New Load.{name} bus1=BUS phases=3 kv=KV kw={kw} kvar={kvar} model=1 vminpu=0.7 vmaxpu=1.3 "
            f"daily={name} yearly={name} duty={name}",
        ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_numbers(series: Series, files: list, base: np.ndarray) -> None:  # type: ignore[type-arg]
    import pyarrow as pa
    from pyarrow import csv

    plain = csv.WriteOptions(include_header=False)
    for block in series.blocks():
        for k in range(len(base)):
            for j, values in enumerate((block.p_mw[k], block.q_mvar[k])):
                unit = values / base[k, j] if base[k, j] else np.zeros_like(values)
                column = np.round(unit, _DECIMALS) + 0.0
                csv.write_csv(pa.table([pa.array(column)], names=["m"]), files[2 * k + j], plain)


def _bases(series: Series) -> np.ndarray:
    """Return the largest magnitude of P and Q of each channel, shape (channel, 2), in MW and Mvar."""
    base = np.zeros((len(series.labels), 2))
    for block in series.blocks():
        for j, values in enumerate((block.p_mw, block.q_mvar)):
            base[:, j] = np.maximum(base[:, j], np.abs(values).max(axis=1))
    return base


def _names(series: Series, path: Path) -> list[str]:
    """Return the name of each channel's shape, of letters that OpenDSS takes."""
    stem = "".join(c if c.isascii() and c.isalnum() else "_" for c in path.stem).strip("_")
    if not stem or stem.lower() == _BUILT_IN:
        raise bad("the file's name makes no name of a LoadShape", path.name, "Use other letters and digits.")
    return [f"{stem}_{label}" if label else stem for label in series.labels]
