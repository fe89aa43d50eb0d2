"""Hosting capacity as files: GeoJSON by RFC 7946, the published fields, and the marks of the map."""

import json
import re
from collections import Counter

import geojson as reader  # an independent reader, which pandapower brings
import numpy as np
import pandas as pd
import pytest

from gridedge.formats.hosting_files import geojson, write_geojson, write_json
from gridedge.planning.hosting.published import BINDING, binding
from gridedge.plot.binding import LOOKS, counts
from gridedge.plot.capacities import sorted_figure
from gridedge.plot.hosting_map import HostingPicture, binding_figure, capacity_figure
from gridedge.plot.hosting_svg import write_svg


def table():
    """Return three buses, one without a place and without a limit."""
    return pd.DataFrame(
        {
            "capacity_mw": [3.0, 12.0, 50.0], "binding": ["line", "flicker", "not bound"], "lon": [7.75, 7.9, np.nan],
            "lat": [48.4, 48.45, np.nan], "next_mw": [5.0, np.nan, np.inf], "bank": ["T1", "", "T<2>"],
        },
        index=pd.Index([4, 9, 11], name="bus"),
    )  # fmt: skip


def test_geojson_is_what_the_rfc_says(tmp_path):
    path = tmp_path / "h.geojson"
    write_geojson(table(), path, title="Grüße")
    text = path.read_text(encoding="utf-8")
    read = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    parsed = reader.loads(text)
    assert isinstance(parsed, reader.FeatureCollection)
    assert parsed.is_valid, parsed.errors()
    assert read["type"] == "FeatureCollection"
    assert "crs" not in read  # RFC 7946, section 4
    assert read["bbox"] == [7.75, 48.4, 7.9, 48.45]  # section 5: west, south, east, north
    assert read["title"] == "Grüße"
    for feature in read["features"]:
        assert set(feature) >= {"type", "geometry", "properties"}  # section 3.2
        assert feature["type"] == "Feature"
    first, _, last = read["features"]
    assert first["geometry"] == {"type": "Point", "coordinates": [7.75, 48.4]}  # longitude first
    assert first["properties"] == {"bus": 4, "capacity_mw": 3.0, "binding": "line", "next_mw": 5.0, "bank": "T1"}
    assert last["geometry"] is None  # unlocated
    assert last["properties"]["next_mw"] is None


def test_nothing_placed_has_no_box():
    assert "bbox" not in geojson(table().iloc[2:])


def test_json_knows_no_nan(tmp_path):
    write_json({"a": [np.nan, np.float64(2)], "b": {"c": np.inf, "d": np.bool_(True)}}, tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"a": [None, 2.0], "b": {"c": None, "d": True}}


def test_classes_of_what_binds():
    transformers = {"trafo:1", "impedance:4"}
    for row, wanted in (
        (("low", "bus 3", "", "x"), "voltage too low"),
        (("loading", "line:1", "", "x"), "line"),
        (("loading", "impedance:4", "", "x"), "transformer"),
        (("loading", "impedance:5", "", "x"), "line"),
        (("loading", "trafo:1", "line:3", "x"), "outage"),
        (("", "", "", "not bound"), "not bound"),
        (("something new", "", "", "x"), "other"),
    ):
        assert binding(*row, transformers) == wanted
    assert tuple(LOOKS) == BINDING
    drawn = [(look.colour, look.symbol) for look in LOOKS.values()]
    assert len(set(drawn)) == len(drawn)


def picture():
    kinds = ["line"] * 5 + ["transformer"] * 3 + ["voltage too low"] * 2 + ["not bound"]
    xy = np.column_stack([np.linspace(7.7, 7.9, 11), np.linspace(48.3, 48.5, 11)])
    capacity = np.array([1, 2, 3, 4, 5, 6, 7, 8, 0.0, 10, 1000.0])
    words = [f"bus {k}<br>a &lt; b" for k in range(11)]
    return HostingPicture(xy, capacity, kinds, words, [xy[[0, 5]]], True, "")


def test_the_legend_counts_every_bus_and_each_is_drawn_once(tmp_path):
    shown = picture()
    seen = Counter(shown.binding)
    for figure in (binding_figure(shown), sorted_figure(shown, 5.0)):
        marks = {t.name: len(t.x) for t in figure.data if t.mode == "markers"}
        assert marks == {f"{name} ({count})": count for name, count in seen.items()}
    assert list(counts(shown.binding).values()) == [2, 5, 3, 1]
    drawn = [t for t in capacity_figure(shown).data if t.mode == "markers"]
    assert sum(len(t.x) for t in drawn) == 11
    path = tmp_path / "map.svg"
    write_svg(shown, path, "A & B", "11 buses")
    text = path.read_text()
    for name, count in seen.items():
        assert f"{name} ({count})" in text
    assert len(re.findall(r"<title>bus ", text)) == 11
    import xml.etree.ElementTree as tree

    root = tree.fromstring(text)
    assert root.find("{http://www.w3.org/2000/svg}title").text == "A & B"
    assert "href" not in text  # nothing from elsewhere


def test_a_bus_that_takes_far_more_than_all_others_leaves_them_legible():
    shown = picture()
    giant = HostingPicture(
        shown.xy, np.array([1, 2, 3, 4, 5, 6, 7, 8, 9, 400.0, 1000.0]), shown.binding, shown.words, [], True, ""
    )
    few = HostingPicture(
        np.tile(shown.xy, (10, 1)), np.r_[np.tile(shown.capacity_mw[:10], 10), [400.0] + [7.0] * 9],
        shown.binding[:10] * 11, shown.words * 10, [], True, "",
    )  # fmt: skip
    assert sorted_figure(few).layout.yaxis.range[1] == pytest.approx(1.04 * 1.06 * 10.0)
    marks = [y for trace in sorted_figure(few).data if trace.mode == "markers" for y in trace.y]
    assert len(marks) == 110
    assert max(marks) == pytest.approx(10.6)
    assert sorted_figure(giant).layout.yaxis.range[1] > 400.0  # where a tenth takes so much, it sets the scale


def test_marks_grow_with_the_root_of_the_capacity_and_a_giant_without_limit_sets_no_scale():
    shown = picture()
    assert shown.top_mw == pytest.approx(np.quantile([1, 2, 3, 4, 5, 6, 7, 8, 0, 10], 0.95))
    size = shown.size_px(20.0)
    assert size[7] / size[3] == pytest.approx(np.sqrt(2))
    assert size[8] == 6.0  # no mark vanishes
    assert size[10] == 23.0


def test_a_map_keeps_the_shape_of_the_earth():
    figure = binding_figure(picture())
    assert figure.layout.yaxis.scaleratio == pytest.approx(1 / np.cos(np.radians(48.4)), rel=1e-6)
