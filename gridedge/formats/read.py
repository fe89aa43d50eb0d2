"""A meter's series out of a file: CSV, Parquet or NetCDF, written by gridedge or by a meter."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import bad

if TYPE_CHECKING:
    import pandas as pd

_TO_MW = {"kw": 1e-3, "p_kw": 1e-3, "kw_m0": 1e-3, "mw": 1.0, "p_mw": 1.0, "p_mw_m0": 1.0, "w": 1e-6}
READS = (".csv", ".parquet", ".nc")


def read_metered(path: str | Path, *, site: str = "site") -> xr.Dataset:
    """Read metered power from a file.

    Parameters
    ----------
    path : str or path
        ``.csv`` (lines that begin with # are skipped), ``.parquet`` or ``.nc``, with ``time`` (ISO 8601 with or without
        zone, or seconds) and one of ``kw``, ``p_kw``, ``mw``, ``p_mw``; of several members the first is read.
    site : str
        Name of the site.

    Returns
    -------
    Dataset
        ``p_mw(time, site)``, consumption positive, ``time`` in seconds from the first sample.

    Raises
    ------
    InputError
        If there is no such file or column, the file says that it holds IT power, a sample is missing or no number, or
        the steps are not even.
    """
    path = Path(path)
    if not path.is_file():
        raise bad("there is no such file", str(path), "Name a .csv, .parquet or .nc file, or a profile.")
    try:
        table, said = _table(path)
    except (OSError, ValueError) as error:
        why = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise bad(
            f"{path.name} cannot be read as {path.suffix}", why, "Check the file, and that its suffix is right."
        ) from error
    power = next((name for name in _TO_MW if name in table), None)
    if power is None or "time" not in table:
        have = ", ".join(map(str, table.columns))
        raise bad(
            f"{path.name} has no column of time and power", have, f"Name them time and one of {', '.join(_TO_MW)}."
        )
    if said.startswith("IT"):
        cure = "Write it at the meter (gridedge generate --facility default), or name the profile instead of the file."
        raise bad(f"{path.name} holds IT power, not power at the meter", said, cure)
    time_s, dt_s = _clock(table["time"], path.name)
    p_mw = _numbers(table[power], f"{path.name}: {power}") * _TO_MW[power]
    ds = xr.Dataset({"p_mw": (("time", "site"), p_mw[:, None])}, coords={"time": time_s, "site": [site]})
    ds.attrs = {"power": "at the meter", "dt_s": dt_s, "source": path.name}
    schema.require(ds, ["p_mw"], thing=path.name)
    return schema.describe(ds)


def _table(path: Path) -> tuple[pd.DataFrame, str]:
    """Return the columns of a file, and which power it says it holds; of several members the first."""
    import pandas as pd

    if path.suffix.lower() == ".nc":
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            one = ds.isel({d: 0 for d in ds.dims if d == "member" or (d != "time" and ds.sizes[d] == 1)}, drop=True)
            columns = {str(n): one[n].values for n in [*one.data_vars, *one.coords] if one[n].dims == ("time",)}
            return pd.DataFrame(columns), str(ds.attrs.get("power", ""))
    if path.suffix.lower() == ".parquet":
        import pyarrow.parquet as pq

        about = (pq.read_schema(path).metadata or {}).get(b"gridedge", b"{}")
        return pd.read_parquet(path).reset_index(), str(json.loads(about).get("power", ""))
    with path.open(encoding="utf-8") as file:
        head = list(itertools.takewhile(lambda line: line.startswith("#"), file))
    said = next((line.removeprefix("# power: ").strip() for line in head if line.startswith("# power: ")), "")
    return pd.read_csv(path, comment="#"), said


def _numbers(column: pd.Series[Any], name: str) -> NDArray[np.float64]:
    """Return a column's numbers; what is empty stays so, and a word is refused."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce")
    words = values.isna() & column.notna()
    if words.any():
        row = int(np.argmax(words.to_numpy()))
        raise bad(
            f"{name} is not a number",
            f"{column.iloc[row]} in row {row}",
            "Fill or cut it; gridedge does not guess power.",
        )
    return np.asarray(values, dtype=float)


def _clock(column: pd.Series[Any], name: str) -> tuple[NDArray[np.float64], float]:
    """Return the seconds from the first sample, and the step."""
    import pandas as pd

    if column.size < 2:
        raise bad(f"{name} has too few samples", column.size, "Give at least two.")
    missing = column.isna().to_numpy()
    if missing.any():
        row = int(np.argmax(missing))
        raise bad(f"{name}: a time cannot be read", f"{column.iloc[row]} in row {row}", "Write ISO 8601 or seconds.")
    if column.dtype.kind in "fiu":
        at_s = column.to_numpy(dtype=float)
    else:
        stamps = pd.to_datetime(column, utc=True, format="ISO8601", errors="coerce")
        if stamps.isna().any():
            row = int(np.argmax(stamps.isna().to_numpy()))
            raise bad(
                f"{name}: a time cannot be read", f"{column.iloc[row]} in row {row}", "Write ISO 8601 or seconds."
            )
        at_s = (stamps - stamps.iloc[0]).dt.total_seconds().to_numpy()
    steps = np.diff(at_s)
    dt_s = float(np.median(steps))
    wrong = np.abs(steps - dt_s) > 0.01 * dt_s
    if dt_s <= 0 or wrong.any():
        row = int(np.argmax(wrong))
        value = f"{int(wrong.sum())} steps, first {steps[row]:g} s after row {row}, where {dt_s:g} s are usual"
        raise bad(
            f"{name} has missing or doubled samples", value, "Fill or cut the gap; gridedge does not guess power."
        )
    return np.round((at_s - at_s[0]) / dt_s) * dt_s, dt_s
