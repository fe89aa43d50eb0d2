"""The report of a fleet study: every part is there with its units, and what was not studied leaves no heading."""

import dataclasses
import html
import json
import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.grid.drawing import Drawing
from gridedge.grid.places import Places
from gridedge.plot.fleet_latency import latency_figure
from gridedge.plot.fleet_loss import loss_figure, steps_figure
from gridedge.plot.fleet_map import fleet_picture, layout_figure
from gridedge.plot.fleet_week import week_figure
from gridedge.report.fleet_page import fleet_page, write_fleet_report
from gridedge.report.fleet_tables import DASH, cell, landing_rows, layout_groups, outage_rows, overload_rows
from gridedge.spec import Assumption
from gridedge.study.fleet_result import FleetStudyResult
from gridedge.study.fleet_table import COLUMNS

HOSTILE = "1 x 1 GW <script>alert(1)</script> & co"
MANY = "3 x 100 MW"
LAYOUTS = (HOSTILE, MANY)
HOUR = 3600.0
SECTIONS = ("question", "compared", "asked", "map", "week", "overloads", "loss", "latency", "fluctuation", "footprint",
            "room", "not-studied", "assumptions", "manifest")  # fmt: skip


def table():
    rows = {}
    for k, label in enumerate(LAYOUTS):
        row = dict.fromkeys(COLUMNS, 1.0 + k)
        row |= {"sites": (1, 3)[k], "building": ("campus", "edge")[k], "late_pu": (0.00362, 0.01)[k]}
        row |= {"rho": (np.nan, 0.25)[k], "vm_pu_min": (0.92586, 0.9259)[k], "overload_h": (47.0, 42.0)[k]}
        rows[label] = row | {"lost_refused": (2.3e9, -3e-7)[k], "energy_gwh": (5085.0, 5798.0)[k]}
    return pd.DataFrame.from_dict(rows, orient="index")


def sites():
    rows = []
    for label, names in ((HOSTILE, ["site-1"]), (MANY, ["site-1", "site-2", "site-3"])):
        for k, name in enumerate(names):
            rows.append(
                {
                    "layout": label, "site": name, "bus": k, "bus_name": f"TOWN {k} <0>", "vn_kv": 161.0, "town": "T",
                    "lat": 32.78, "lon": -96.8 if k < 2 else -97.3, "tier": "edge", "size_mw": 300.0 / len(names),
                    "mean_mw": 60.0, "peak_mw": 70.0, "capacity_mw": 500.0 + k, "load_pu": 0.5, "served": 1e9,
                    "energy_mwh": 1e6, "limit": "loading: loading", "element": f"line:{k}", "step_percent": 0.5,
                    "binding": ("line", "transformer", "not bound")[k], "overloads": 0.0,
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def lost(names):
    time, n = np.arange(0.0, 2400.0, 20.0), len(names)
    after = time >= 600.0
    p = np.tile(60.0 + np.arange(n), (time.size, 1))
    p[after, 0] = 0.0
    before = 60.0 + np.arange(n)
    lands = np.tile(before, (n, 1)) + 7.5
    lands[np.arange(n), np.arange(n)] = 0.0
    return xr.Dataset(
        {
            "p_mw": (("time", "site"), p), "before_mw": ("site", before), "lands_mw": (("case", "site"), lands),
            "late": (("case", "class"), np.full((n, 1), 3e6)), "refused": (("case", "class"), np.zeros((n, 1))),
            "refused_per_s": ("time", np.where(after, 7.0, 0.0)), "late_per_s": ("time", np.where(after, 3.0, 0.0)),
            "offered_per_s": ("time", np.full(time.size, 9.0)),
        },
        coords={"time": time, "site": names, "case": names, "class": ["conversation"]},
        attrs={"lost": names[0], "at_s": 600.0, "dt_s": 20.0},
    )  # fmt: skip


def lost_grid(names):
    step = 0.001 * np.arange(1, len(names) + 1)[:, None] * np.array([1.0, -2.0])
    return xr.Dataset(
        {"vm_step_pu": (("case", "bus"), step)},
        coords={"case": names, "bus": [0, 1], "bus_name": ("bus", ["NEAR 0", "FAR 0"])},
    )


def week():
    time = 7 * 24 * HOUR + 900.0 * np.arange(7 * 96)
    p = np.column_stack([np.full(time.size, 500.0), np.linspace(50.0, 60.0, time.size)])
    return xr.Dataset({"p_mw": (("time", "tier"), p)}, coords={"time": time, "tier": ["cloud", "edge"]},
                      attrs={"dt_s": 900.0, "start": "2016-01-01 00:00:00"})  # fmt: skip


def elements():
    columns = ["case", "branch", "what", "new_h", "worse_h", "h", "loading_percent_max", "hour"]
    return pd.DataFrame(
        [
            ("base", "line:5", "line from A to B", 0.0, 0.0, 25.0, 133.8, 3),
            (HOSTILE, "line:5", "line from A to B", 0.0, 2.0, 27.0, 134.2, 3),
            (MANY, "line:5", "line from A to B", 0.0, 0.0, 13.0, 130.2, 3),
            (MANY, "line:8", "line from B to C", 4.0, 0.0, 4.0, 101.5, 3),
        ],
        columns=columns,
    )


def outages():
    labels = ["base", *LAYOUTS]
    return xr.Dataset(
        {
            "breaks": (("layout", "branch"), [[0, 0], [0, 2], [1, 0]]),
            "loading_percent_max": (("layout", "branch"), [[120.0, 95.6], [119.0, 107.9], [130.0, 96.7]]),
            "case_of_loading": (("layout", "branch"), [["x", "y"]] * 3),
        },
        coords={"layout": labels, "branch": ["line:0", "line:1"], "bus": [0, 1, 2],
                "bus_name": ("bus", ["TOWN 0", "TOWN 1", "TOWN 2"])},
    )  # fmt: skip


def drawing():
    return Drawing(
        np.arange(3), Places(None, False, "none"), ["line:0", "line:1"], np.array([[0, 1], [1, 2]]),
        [np.empty((0, 2))] * 2, np.array([1.0, 2.0]),
    )  # fmt: skip


@pytest.fixture
def result():
    time = HOUR * np.arange(14 * 24)
    load = 40e3 + 10e3 * np.sin(2 * np.pi * time / 86400.0)
    load[10 * 24 + 15] = 66e3
    share = np.array([0.0, 0.5, 0.99, 0.999])
    wait = xr.Dataset(
        {"first_token_s": (("class", "share"), [[0.02, 0.1, 1.5, 3.0]]), "bound_s": ("class", [2.0]),
         "late_pu": ("class", [0.0039])},
        coords={"class": ["conversation"], "share": share},
    )  # fmt: skip
    swings = pd.DataFrame({"sites": [1, 3], "sd_mw": [2.8, 2.6], "rho": [np.nan, 0.28]}, index=list(LAYOUTS))
    room = pd.DataFrame(
        {"bus_name": ["TOWN 0", "TOWN 1"], "vn_kv": 161.0, "capacity_mw": [900.0, 200.0], "binding": "line",
         "limit": "l", "element": "line:0", "next_mw": np.nan, "outage": "", "bank": "", "feeder": "", "next_limit": "",
         "next_element": "", "single": [True, False]},
        index=[0, 1],
    )  # fmt: skip
    names = {HOSTILE: ["site-1"], MANY: ["site-1", "site-2", "site-3"]}
    seconds = np.arange(120.0)
    return FleetStudyResult(
        title="One gigawatt <b>of</b> inference", question="What does the grid feel?",
        answer=["First sentence.", "Second sentence.", "Third sentence."], facts=[("Net", "a net of 3 buses")],
        notes=["The grid is synthetic."], table=table(),
        base={"losses_gwh": 4243.2, "overload_branches": 8, "overload_h": 76.0, "overload_hours": 27.0,
              "vm_pu_min": 0.9354, "vm_pu_max": 1.0675, "vm_off_h": 5236.0, "load_mw_max": 66e3, "load_mw_min": 23e3,
              "not_converged_h": 0.0},
        elements=elements(), sites=sites(),
        year=xr.Dataset({"p_load_mw": ("time", load)}, coords={"time": time},
                        attrs={"dt_s": HOUR, "start": "2016-01-01 00:00:00"}),
        outages=outages(), lost={k: lost(v) for k, v in names.items()},
        lost_grid={k: lost_grid(v) for k, v in names.items()}, week={label: week() for label in LAYOUTS},
        latency=dict.fromkeys(LAYOUTS, wait), swings=swings,
        traces=xr.Dataset({"p_mw": (("load", "time"), [500 + 0 * seconds, 400 + 200 * (seconds % 2)])},
                          coords={"load": [MANY, "synchronous training"], "time": seconds}),
        footprint=pd.DataFrame({"energy_mwh": [5e6, 6e6], "carbon_t": [1.7e6, 1.9e6]}, index=list(LAYOUTS)),
        request=pd.DataFrame({"meter_wh": [0.26, 0.076], "total_g": [0.09, 0.35]}, index=[MANY, "device"]),
        room=room, placements={}, drawing=drawing(),
        assumptions=[Assumption("peak_pu", "0.6", "chosen", "set in the file")],
        not_studied=["Costs of lines."], manifest={"kind": "fleet", "versions": {"gridedge": "0.1"}},
        places=(SimpleNamespace(name="TOWN", lat=32.9, lon=-97.0, weight=1.0),),
    )  # fmt: skip


def headings(page):
    return [re.sub(r"<[^>]*>", "", h).strip() for h in re.findall(r"<h[23]>(.*?)</h[23]>", page)]


def row_of(page, words):
    """Return the cells of the table row with this heading, as text."""
    for line in page.splitlines():
        if line.startswith("<tr>") and words in re.sub(r"<[^>]*>", "", line.partition("</th>")[0]):
            return [html.unescape(c) for c in re.findall(r"<td[^>]*>(.*?)</td>", line.partition("</th>")[2])]
    raise AssertionError(f"no row {words}")


def test_every_part_is_there_and_every_link_leads_to_one(result, tmp_path):
    write_fleet_report(result, tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert tuple(re.findall(r'<section id="([^"]+)">', page)) == SECTIONS
    assert set(re.findall(r'<a href="#([^"]+)">', page)) == set(SECTIONS) - {"question"}
    figures = re.findall(r'<script type="application/json" data-for="([^"]+)">(.*?)</script>', page)
    assert [name for name, _ in figures] == [
        "plot-map-1", "plot-map-2", "plot-week", "plot-loss-1", "plot-loss-2", "plot-steps", "plot-latency-1",
        "plot-traces", "plot-room",
    ]  # fmt: skip
    assert all(json.loads(data)["data"] for _, data in figures)
    assert "Not drawn" not in page
    answer = page.partition('<div class="answer">')[2].partition("</div>")[0]
    assert re.findall(r"<p>(.*?)</p>", answer) == ["First sentence.", "Second sentence.", "Third sentence."]
    own = re.sub(r"<script>.*?</script>", "", page, flags=re.DOTALL)  # the drawing library holds links of its own
    assert re.search(r'(src|href)="(https?:)?//', own) is None
    assert "default-src 'none'" in own


def test_names_from_the_study_are_text_only(result):
    page = fleet_page(result)
    assert "<script>alert(1)" not in page
    assert "<b>of</b>" not in page
    assert html.escape(HOSTILE, quote=False).replace("'", "&#39;") in page
    # the names reach plotly as text too, which reads tags
    data = json.loads(re.search(r'data-for="plot-map-1">(.*?)</script>', page)[1])
    said = [t for trace in data["data"] for t in (trace.get("text") or [])]
    assert any("TOWN 0 &lt;0&gt;" in t for t in said)


def test_a_row_has_its_unit_and_a_missing_value_is_a_dash(result):
    page = fleet_page(result)
    assert row_of(page, "Correlation of two sites about their common shape") == ["", DASH, "0.25"]
    assert row_of(page, "Requests late: network, queue, or slow inside a replica [%]") == ["", "0.362", "1"]
    assert row_of(page, "Lowest voltage in the net [pu]") == ["0.9354", "0.9259", "0.9259"]
    assert row_of(page, "Hours of all overloads [branch h]") == ["76", "47", "42"]
    assert row_of(page, "Refused because of the loss [requests]") == ["", "2\u202f300 million", "0"]
    more = "Network losses more than without sites, feeders below included [GWh]"
    assert row_of(page, more)[0] == ""  # the base case's are no more
    assert "4\u202f243 GWh a year" in page


def test_every_column_of_the_study_has_a_group_of_its_own():
    groups = layout_groups(table(), COLUMNS, {})
    assert "More" not in [title for title, _ in groups]
    assert sum(len(rows) for _, rows in groups) == len(COLUMNS)
    more = layout_groups(table().assign(cost_eur=3.0), COLUMNS, {})
    assert [(title, [r.heading for r in rows]) for title, rows in more[-1:]] == [("More", ["cost eur"])]


def test_the_base_case_is_told_apart():
    new, own = overload_rows(elements(), list(LAYOUTS))
    assert [(r.branch, r.base, r.cells) for r in new] == [("line:8", "0", [("0", False), ("4 (4 new)", True)])]
    assert [(r.branch, r.base, r.cells, r.highest) for r in own] == [
        ("line:5", "25", [("27 (2 worse)", True), ("13", False)], "134.2")
    ]
    rows, total = outage_rows(outages(), list(LAYOUTS), drawing())
    assert total == 1  # what the net itself overloads, or a layout only makes worse, is not among them
    assert rows[0].branch == "line:1"
    assert rows[0].what == "TOWN 1 to TOWN 2; worst while y is out"
    assert (rows[0].base, rows[0].cells) == ("95.6", [("107.9", True), ("96.7", False)])


def test_where_the_load_lands_adds_up():
    one = landing_rows({MANY: lost(["a", "b", "c"])}, {MANY: lost_grid(["a", "b", "c"])}, sites())[0]
    assert (one.site, one.before, one.takers) == ("a", "60", ["b: +7.5 MW", "c: +7.5 MW"])
    assert one.less == "45"  # 60 lost, 15 landed
    assert one.step == "0.2 % at FAR 0"
    assert (one.late, one.refused) == ("3 million", "0")
    alone = landing_rows({MANY: lost(["a"])}, {}, sites())[0]
    assert (alone.takers, alone.others, alone.step) == ([], "", DASH)


def test_what_was_not_studied_leaves_no_empty_heading(result):
    left = table().assign(**{n: np.nan for n in COLUMNS if n.startswith(("n1_", "lost_", "rho", "sd_"))})
    left = left.drop(columns=["step_percent", "dropped_mw", "daily_swing_mw"])
    bare = dataclasses.replace(
        result, table=left, outages=None, swings=None, traces=None, lost={}, lost_grid={}, latency={}, week={},
        footprint=pd.DataFrame(), request=pd.DataFrame(), room=result.room.iloc[:0], elements=elements().iloc[:0],
        notes=[], question="",
    )  # fmt: skip
    page = fleet_page(bare)
    gone = {"week", "loss", "latency", "fluctuation", "footprint", "room"}
    assert tuple(re.findall(r'<section id="([^"]+)">', page)) == tuple(s for s in SECTIONS if s not in gone)
    assert not gone & set(re.findall(r'<a href="#([^"]+)">', page))
    said = headings(page)
    assert "With any one branch or unit out, at the heaviest hour" not in said
    assert "Question" not in said
    groups = re.findall(r'<tr class="group"><th[^>]*>(.*?)</th>', page)
    assert not {"Fluctuation", "A site lost, at the heaviest hour"} & set(groups)
    assert "No branch is over its rating in any hour" in page
    # every heading is followed by something that is no heading
    assert not re.search(r"</h[23]>\s*<(h[123]|/section)", page)


def test_sites_of_one_town_are_spread_and_that_is_said(result):
    picture = fleet_picture(result.sites, result.drawing, result.places)
    assert picture.moved == 1  # the second site of the second layout; other layouts do not count
    away = (picture.xy - result.sites[["lon", "lat"]].to_numpy())[2]
    assert np.hypot(away[0] / picture.ratio, away[1]) * 111.2 == pytest.approx(picture.apart, rel=1e-12)
    assert not np.delete(picture.xy - result.sites[["lon", "lat"]].to_numpy(), 2, axis=0).any()
    page = fleet_page(result)
    assert "1 sites share" not in page
    assert "One site shares the place of its town with another one" in page
    names = [t.name for t in layout_figure(picture, MANY).data if t.showlegend is None]
    assert names == ["people", "line (1)", "transformer (1)", "not bound (1)"]


def test_without_coordinates_the_scheme_is_drawn_and_called_so(result):
    missing = result.sites.assign(lat=[32.7, np.nan, 32.7, 32.7])
    picture = fleet_picture(missing, result.drawing, result.places)
    assert not picture.degrees
    assert not picture.places
    assert len(picture.course) == 2
    page = fleet_page(dataclasses.replace(result, sites=missing))
    assert "a scheme, not a map: near means electrically near: 1 of 4 sites have no coordinates" in page
    apart = dataclasses.replace(result.drawing, ends=np.array([[0, 1]]), label=["line:0"], course=[np.empty((0, 2))],
                                z_ohm=np.array([1.0]))  # fmt: skip
    page = fleet_page(dataclasses.replace(result, sites=missing, drawing=apart))
    assert "outside the largest part of the net that hangs together: 1 of them" in page
    nothing = dataclasses.replace(result.drawing, ends=np.empty((0, 2), dtype=np.intp), label=[], course=[],
                                  z_ohm=np.empty(0))  # fmt: skip
    page = fleet_page(dataclasses.replace(result, sites=missing, drawing=nothing))
    assert "Not drawn: this net has no coordinates" in page


def test_the_week_has_local_dates_and_the_heaviest_hour(result):
    figure = week_figure(result.week, result.year)
    first = figure.data[1]
    assert (first.x[0], first.x[-1]) == ("2016-01-08T00:00:00", "2016-01-15T00:00:00")  # the last step has its length
    assert (first.y[0], figure.data[0].x[0]) == (500.0, "2016-01-08T00:00:00")
    assert {s.x0 for s in figure.layout.shapes} == {"2016-01-11T15:00:00"}
    assert len(figure.layout.shapes) == 3
    assert "2016-01-11 15:00" in fleet_page(result)
    homes = week().assign(homes_mw=("time", np.full(7 * 96, 12.0)))
    names = [t.name for t in week_figure({"a": homes}, result.year).data]
    assert names == ["the net's own load", "cloud", "edge", "phones on homes' load"]


def test_power_of_the_lost_site_and_of_the_others():
    figure = loss_figure(MANY, lost(["a", "b", "c"]))
    by = {t.name: t for t in figure.data}
    assert (by["the lost site"].y[0], by["the lost site"].y[-1]) == (60.0, 0.0)
    assert (by["all others"].y[0], by["all others"].y[-1]) == (123.0, 123.0)
    assert (by["refused"].y.max(), by["late"].y.max(), by["offered"].y.max()) == (7.0, 3.0, 9.0)
    assert by["refused"].x[np.flatnonzero(by["refused"].y)[0]] == 0.0  # time counts from the loss
    assert "all others" not in {t.name for t in loss_figure("one", lost(["a"])).data}


def test_steps_are_those_of_the_bus_that_sees_most():
    figure = steps_figure({"one": lost_grid(["a"]), "two": lost_grid(["a", "b"])})
    assert [list(np.round(t.y, 9)) for t in figure.data] == [[0.2], [0.2, 0.4]]
    assert "at bus FAR 0" in figure.data[0].text[0]
    dark = lost_grid(["a"]) * np.nan
    with pytest.raises(InputError, match="no voltage step was solved"):
        steps_figure({"one": dark.assign_coords(bus_name=("bus", ["x", "y"]))})


def test_the_share_that_waits_and_the_bound(result):
    figure = latency_figure(result.latency, "conversation")
    assert np.allclose(figure.data[0].y, [100.0, 50.0, 1.0, 0.1])
    assert list(figure.data[-1].x) == [2.0, 2.0]
    assert "first token within 2 s" in figure.layout.title.text
    with pytest.raises(InputError, match="no layout serves this class"):
        latency_figure(result.latency, "coding")


def test_cells():
    assert cell(np.nan) == DASH
    assert cell(0.0, "%") == "0"
    assert cell(-0.0, "%") == "0"
    assert cell("campus") == "campus"
    assert cell(0.98484, "%", 100.0) == "98.5"
    assert cell(0.9354, "pu") == "0.9354"
