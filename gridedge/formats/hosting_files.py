"""Hosting capacity as the files that a map server, a spreadsheet and a program read."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

_DIGITS = 7  # of a degree: a centimetre


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write one row per bus; a value that is not known is empty."""
    table.to_csv(path, index_label="bus", float_format="%.10g")


def write_json(facts: dict[str, Any], path: Path) -> None:
    """Write plain data; NaN and infinities become null, for JSON knows neither."""
    path.write_text(json.dumps(_plain(facts), indent=1, allow_nan=False), encoding="utf-8")


def write_geojson(table: pd.DataFrame, path: Path, **about: Any) -> None:
    """Write the buses as GeoJSON; see :func:`geojson`."""
    text = json.dumps(geojson(table, **about), allow_nan=False, ensure_ascii=False)
    path.write_text(text, encoding="utf-8")


def geojson(table: pd.DataFrame, **about: Any) -> dict[str, Any]:
    """Return the buses as a FeatureCollection of points.

    Parameters
    ----------
    table : DataFrame
        By bus index, with ``lon`` and ``lat`` [degree, WGS 84]; every other column becomes a property.
    **about
        Members of the collection beside the features, such as ``title``.

    Returns
    -------
    dict
        GeoJSON [1]_: longitude before latitude, no ``crs``; a bus without a place has the geometry null, as section
        3.2 asks; ``bbox`` where any has one.  A value that is not known is null.

    References
    ----------
    .. [1] H. Butler and others, The GeoJSON Format, RFC 7946, August 2016.
    """
    features = []
    for bus, row in zip(table.index.tolist(), table.to_dict("records"), strict=True):
        lon, lat = (float(row.pop(name)) for name in ("lon", "lat"))
        placed = math.isfinite(lon) and math.isfinite(lat)
        point = {"type": "Point", "coordinates": [round(lon, _DIGITS), round(lat, _DIGITS)]} if placed else None
        properties = {"bus": bus, **{str(name): _plain(value) for name, value in row.items()}}
        features.append({"type": "Feature", "id": bus, "geometry": point, "properties": properties})
    collection: dict[str, Any] = {"type": "FeatureCollection"}
    points = [f["geometry"]["coordinates"] for f in features if f["geometry"] is not None]
    if points:
        lons, lats = zip(*points, strict=True)
        collection["bbox"] = [min(lons), min(lats), max(lons), max(lats)]
    return {**collection, **{name: _plain(value) for name, value in about.items()}, "features": features}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value == "" else value
