"""A meter's series out of a file: CSV, Parquet or NetCDF, written by gridedge or by a meter."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from gridedge import schema
from gridedge.errors import InputError, bad

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
        If there is no such file or column, it holds IT power or several sites, a sample is missing or no number, or the
        steps are not even.
    """
    path = Path(path)
    if not path.is_file():
        raise bad("there is no such file", str(path), "Name a .csv, .parquet or .nc file, or a profile.")
    try:
        table, said = _table(path)
    except InputError:
        raise
    except (OSError, ValueError) as error:  # pyarrow's and pandas's own are among them
        cause = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise bad(
            f"{path.name} cannot be read as {path.suffix}", cause, f"Save it anew as {', '.join(READS)}."
        ) from error
    if said.startswith("IT"):
        cure = "Rules speak of the power at the meter: write the file with --facility default, or check the profile."
        raise bad(f"{path.name} holds IT power", said, cure)
    power = next((name for name in _TO_MW if name in table), None)
    if power is None or "time" not in table:
        have = ", ".join(map(str, table.columns))
        raise bad(
            f"{path.name} has no column of time and power", have, f"Name them time and one of {', '.join(_TO_MW)}."
        )
    if f"{power}.1" in table:
        raise bad(f"{path.name} has two columns of one name", power, "Keep the one that is the site's power.")
    time_s, dt_s = _clock(table["time"], path.name)
    p_mw = _numbers(table[power], path.name) * _TO_MW[power]
    ds = xr.Dataset({"p_mw": (("time", "site"), p_mw[:, None])}, coords={"time": time_s, "site": [site]})
    ds.attrs = {"power": "at the meter", "dt_s": dt_s, "source": path.name}
    schema.require(ds, ["p_mw"], thing=path.name)
    return schema.describe(ds)


def _table(path: Path) -> tuple[pd.DataFrame, str]:
    """Return the columns over time, of the first member, and which power the file says that it holds."""
    import pandas as pd

    if path.suffix == ".nc":
        with xr.open_dataset(path, engine="h5netcdf") as ds:
            if ds.sizes.get("site", 1) > 1:
                raise bad(f"{path.name} holds several sites", ds.sizes["site"], "Write one site into a file.")
            first = ds.isel({d: 0 for d in ("member", "site") if d in ds.dims})
            names = [n for n in first.data_vars if first[n].dims == ("time",)]
            table = pd.DataFrame({n: first[n].values for n in (*names, *(["time"] if "time" in first.coords else []))})
            return table, str(ds.attrs.get("power", ""))
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        stated = json.loads((pq.read_schema(path).metadata or {}).get(b"gridedge", b"{}"))
        return pd.read_parquet(path).reset_index(), str(stated.get("power", ""))
    said = ""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                break
            said = line.removeprefix("# power:").strip() if line.startswith("# power:") else said
    return pd.read_csv(path, comment="#"), said


def _numbers(column: pd.Series[float], name: str) -> NDArray[np.float64]:
    """Return a column as numbers; an empty cell as NaN."""
    import pandas as pd

    values = pd.to_numeric(column, errors="coerce")
    wrong = (values.isna() & column.notna()).to_numpy()
    if wrong.any():
        row = int(np.argmax(wrong))
        raise bad(
            f"{name}: {column.name} is not a number", f"{column.iloc[row]!r} in row {row}", "Write plain numbers."
        )
    return values.to_numpy(dtype=float)


def _clock(column: pd.Series[float], name: str) -> tuple[NDArray[np.float64], float]:
    """Return the seconds from the first sample, and the step."""
    import pandas as pd

    if column.size < 2:
        raise bad(f"{name} has too few samples", column.size, "Give at least two.")
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
