"""The report's tables and its text, without a browser."""

from __future__ import annotations

import dataclasses
import html
import json
import re
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from gridedge.measure.finding import Finding
from gridedge.report import tables
from gridedge.report.page import page, write_report
from gridedge.report.plots import plots, unsolved
from tests.samples import STRATEGIES, sample_result


@pytest.fixture(scope="module")
def result():
    return sample_result()


@pytest.fixture(scope="module")
def text(result):
    return page(result)


def visible(text):
    """Return the words of a page, without styles, scripts and tags."""
    bare = re.sub(r"<(style|script)\b.*?</\1>", " ", text, flags=re.DOTALL)
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", bare)))


def finding(verdict):
    return Finding(f"rule {verdict}", "a rule", verdict, 1.0, 2.0, "MW")


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        (["pass", "pass", "not applicable"], "pass"),
        (["pass", "cannot tell"], "cannot tell"),
        (["cannot tell", "fail", "pass"], "fail"),
        (["not applicable"], "not applicable"),
        ([], "cannot tell"),
    ],
)
def test_overall_verdict(verdicts, expected):
    assert tables.overall([finding(verdict) for verdict in verdicts]) == expected


def test_verdict_rows_say_what_fails(result):
    rows = tables.verdict_rows(result)
    assert [(row.strategy, row.overall) for row in rows] == [
        ("none", "fail"),
        ("dummy workload", "fail"),
        ("battery", "cannot tell"),
    ]
    assert rows[0].failed == ["change in 1 s"]
    assert rows[2].open == ["flicker"]
    assert rows[2].counts == {"pass": 2, "fail": 0, "cannot tell": 1, "not applicable": 1}


def test_best_is_the_one_that_fails_least(result):
    assert tables.best(result) == "battery"
    same = dataclasses.replace(result, findings={label: [finding("pass")] for label in STRATEGIES})
    assert tables.best(same) == "battery"
    first = dataclasses.replace(result, findings={label: [finding("fail")] for label in STRATEGIES[1:]})
    assert tables.best(first) == "none"  # cannot tell is better than fails


def test_requirements_keep_every_finding(result):
    twice = dataclasses.replace(result, findings={"none": [finding("fail"), finding("fail")], "battery": []})
    (row,) = tables.requirement_rows(twice)
    assert [len(cells) for cells in row.cells] == [2, 0, 0]
    rows = tables.requirement_rows(result)
    assert [row.name for row in rows] == ["change in 1 s", "slow voltage", "flicker", "ride through"]
    cell = rows[0].cells[0][0]
    assert (cell.measured, cell.place) == ("3.1\u00a0MW", "site, at 5\u00a0min\u00a012\u00a0s")
    assert rows[2].cells[0][0].measured == ""


def test_summary_follows_the_strategies_by_name(result):
    shuffled = dataclasses.replace(result, summary=result.summary.iloc[[2, 0]])
    assert tables.strategies(shuffled) == ["battery", "none", "dummy workload"]
    rows = {row.heading: row.values for row in tables.summary_rows(shuffled)}
    assert rows["Steepest ramp, |P(t+60 s) - P(t)|"] == ["cannot tell", "4.4", "cannot tell"]
    mixed = dataclasses.replace(result, summary=pd.DataFrame({"engine": ["batch"], "met": [True]}, index=["none"]))
    assert [row.values[0] for row in tables.summary_rows(mixed)] == ["batch", "yes"]


def test_assumptions_come_least_known_first(result):
    marks = [row.mark for row in tables.assumption_rows(result)]
    assert marks == ["assumed", "assumed", "quoted", "quoted", "measured", "chosen"]
    assert tables.marks(result) == [("assumed", 2), ("quoted", 2), ("measured", 1), ("chosen", 1)]


def test_manifest_keeps_everything():
    manifest = {"a": {"b": 1, "c": {"d": []}}, "seed": 0, "e": {}, "runs": [{"x": 2}, {"x": 3}], "t": (0, 1), "n": None}
    single = [("seed", "0"), ("e", "none"), ("runs[0].x", "2"), ("runs[1].x", "3"), ("t", "0, 1"), ("n", "None")]
    assert tables.manifest_groups(manifest) == [("", single), ("a", [("b", "1"), ("c.d", "none")])]
    assert tables.manifest_groups({}) == []


def test_page_has_everything_in_order(text, result):
    words = visible(text)
    order = [result.title, "Question", result.question, "Answer", *result.answer, "What was connected where"]
    order += [result.facts[0][1], result.notes[0], "Verdict per strategy", "Requirement by requirement"]
    order += ["Numbers side by side", "Plots", "Assumptions", "DGX H100 datasheet, 2023", "Manifest", "9f" * 32]
    places = [words.index(part) for part in order[:1]]
    for part in order[1:]:
        places.append(words.index(part, places[-1]))
    assert all(a <= b for a, b in pairwise(places))
    assert words.count("cannot tell") > 3
    assert words.count("Not drawn") == 0


def test_page_names_no_host_that_it_loads_from(text):
    assert not re.findall(
        r"<(?:link|script|img|iframe|source)[^>]*(?:src|href)=[\"'](?!data:)", text.split("<script>")[0]
    )
    assert text.count("plotly.js v") == 1
    assert "default-src 'none'" in text
    assert "mathjax.js" not in text.lower()


def test_page_is_the_same_each_time(text, result):
    assert page(result) == text


def test_data_of_the_plots_is_whole_and_thin(text):
    sources = re.findall(r'<script type="application/json" data-for="([\w-]+)">(.*?)</script>', text, flags=re.DOTALL)
    assert [div for div, _ in sources] == [
        "plot-waveform", "plot-zoom", "plot-spectrum", "plot-change", "plot-soc", "plot-voltage", "plot-duration",
        "plot-window-voltage", "plot-loading", "plot-network",
    ]  # fmt: skip
    for div, source in sources:
        figure = json.loads(source)
        assert figure["data"], div
        assert "<" not in source
        assert len(source) < 1_000_000, div
        assert figure["layout"]["height"] >= 200


def test_what_cannot_be_drawn_says_why(result):
    blind = dataclasses.replace(result, network=None, data={})
    words = visible(page(blind))
    assert words.count("Not drawn:") == 9
    assert "there is no waveform to draw" in words
    assert "the result holds no picture of the network" in words


def test_state_of_charge_is_left_out_where_nothing_is_stored(result):
    without = dataclasses.replace(result, data={"none": result.data["none"]})
    assert "plot-soc" not in [plot.div for plot in plots(without)]


def test_unsolved_steps_are_told(result):
    assert unsolved(result) == []
    season = result.data["none"]["season"].to_dataset()
    season["converged"] = ("time", np.arange(96) > 2)
    tree = result.data["none"].copy()
    tree["season"].dataset = season
    lost = dataclasses.replace(result, data={"none": tree})
    assert "none: 3 of 96 steps of the power flow (season) did not converge" in visible(page(lost))


def test_text_of_others_is_never_markup(result):
    evil = '</script><script>alert("x")</script>'
    hostile = dataclasses.replace(
        result,
        title=evil,
        notes=[evil],
        data={evil: result.data["none"]},
        findings={evil: [dataclasses.replace(finding("fail"), note=evil)]},
        summary=result.summary.iloc[[0]].rename(index={"none": evil}),
        manifest={evil: evil},
    )
    text = page(hostile)
    assert "<script>alert" not in text
    assert evil in html.unescape(text)


def test_written_whole_or_not_at_all(result, tmp_path, monkeypatch):
    path = tmp_path / "new" / "report.html"
    write_report(result, path)
    assert path.read_bytes().startswith(b"<!DOCTYPE html>\n")
    assert b"\r\n" not in path.read_bytes()[:100_000]
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]

    def full_disk(*_):
        raise OSError("no space left")

    path.write_text("old")
    monkeypatch.setattr("os.replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        write_report(result, path)
    assert path.read_text() == "old"
    assert [p.name for p in path.parent.iterdir()] == ["report.html"]


def test_importing_the_report_is_light():
    code = "import sys, gridedge.report.page; print({'plotly', 'xarray', 'pandas', 'pandapower'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
