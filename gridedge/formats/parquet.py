"""Parquet: the columns of the dataset, times with their zone, origin in the schema."""

from __future__ import annotations

import json
from pathlib import Path

from gridedge.formats.clock import zone_name
from gridedge.formats.series import Series


def write(series: Series, path: Path) -> None:
    """Write a series as Parquet.

    Columns are ``time`` (the start of each sample, with the time zone), ``p_mw``, ``q_mvar`` and perhaps
    ``p_max_mw``, in double precision and without rounding; members and sites side by side, ``p_mw_m0`` and so on.
    Each column's metadata has its unit; the schema's metadata has ``gridedge``, a JSON object with model, seed and
    sources.

    Notes
    -----
    Long series are written in row groups as they are made.  Times are in microseconds, or in nanoseconds where the step
    needs it.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    unit = "ns" if series.clock.resolution == "ns" else "us"
    kinds = {
        "p_mw": ("MW", "active power, consumption positive"),
        "q_mvar": ("Mvar", "reactive power, lagging positive"),
    }
    if "p_max_mw" in series.load:
        kinds["p_max_mw"] = ("MW", "highest active power within the interval")
    fields = [pa.field("time", pa.timestamp(unit, zone_name(series.clock.start.tzinfo)), nullable=False)]
    for name, (units, words) in kinds.items():
        about = {"units": units, "long_name": words, "cell_methods": f"time: {'maximum' if 'max' in name else 'mean'}"}
        fields += [pa.field(column, pa.float64(), nullable=False, metadata=about) for column in series.columns(name)]
    origin = {**series.origin, "notes": list(series.notes)}
    schema = pa.schema(fields, metadata={"gridedge": json.dumps(origin, ensure_ascii=False)})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for block in series.blocks():
            times = series.clock.instants(block.first, block.stop).astype(f"datetime64[{unit}]")
            powers = [block.p_mw, block.q_mvar, *([] if block.p_max_mw is None else [block.p_max_mw])]
            columns = [pa.array(row) for power in powers for row in power]
            writer.write_table(pa.table([pa.array(times).cast(fields[0].type), *columns], schema=schema))
