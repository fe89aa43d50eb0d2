"""A hosting study's file: what it says, what is refused with its line, and what reaches the verb."""

import numpy as np
import pandas as pd
import pytest

from gridedge import sources, yamlfile
from gridedge.errors import InputError
from gridedge.measure.limit_sets import load_limits
from gridedge.study import hosting_words as words
from gridedge.study.hosting_model import HostingSpec, load_hosting
from gridedge.study.kinds import kind_of
from gridedge.study.run import run

SHIPPED = ["hosting-oberrhein", "hosting-texas"]


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_studies_load_and_round_trip(name):
    spec = load_hosting(name).spec
    again = load_hosting(yamlfile.parse(spec.to_yaml()).data).spec
    assert again == spec
    assert again.hash() == spec.hash()
    assert spec.requested_mw is not None


def test_both_kinds_of_study_are_told_apart():
    assert {name: kind_of(name) == "hosting" for name in sources.names("studies")} == {
        name: name.startswith("hosting-") for name in sources.names("studies")
    }
    with pytest.raises(InputError, match=r"hosting capacity \(got hosting-texas\). Use gridedge.run_hosting"):
        run("hosting-texas")
    with pytest.raises(InputError, match=r"no study of hosting capacity \(got default\)"):
        load_hosting("default")


def test_every_problem_is_told_with_its_line(tmp_path):
    path = written(
        tmp_path, "study: hosting\ntitle: t\nfeeder: mv_oberrhein\nbuses: laods\nlimts: [en50160]\ntol_mw: -1\n"
    )
    with pytest.raises(InputError) as caught:
        load_hosting(path)
    told = {p.where: str(p) for p in caught.value.problems}
    assert "Did you mean 'loads'? One bus is a list too: [laods]." in told["mine.yaml:4"]
    assert "Did you mean 'limits'?" in told["mine.yaml:5"]
    assert set(told) == {"mine.yaml:4", "mine.yaml:5", "mine.yaml:6"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("study: hostng\ntitle: t\n", r"mine.yaml:1: unknown kind of study \(got hostng\). Did you mean 'hosting'"),
        ("study: hosting\ntitle: t\nfeeder: f\nlimits:\n- en5016\n", r"mine.yaml:4: unknown limit set.*'en50160'"),
        ("study: hosting\ntitle: t\nfeeder: f\nlimits: 3\n", r"mine.yaml:4: limits: limits are no limits \(got 3\)"),
        ("study: hosting\ntitle: t\nfeeder: f\npower_factor: 0\n", "power_factor must be above 0"),
        ("study: hosting\ntitle: t\nfeeder: f\nbuses: []\n", "buses names none"),
        ("study: hosting\ntitle: t\nfeeder: f\nexisting: no_worse_\n", "mine.yaml:4: existing cannot be used"),
        ("study: hosting\ntitle: t\nfeeder: f\nbackground: {shape: bdew}\n", "mine.yaml:4: unknown profile"),
    ],
)
def test_messages(tmp_path, text, message):
    with pytest.raises(InputError, match=message):
        load_hosting(written(tmp_path, text))


def test_only_what_the_file_says_reaches_the_verb():
    spec = HostingSpec(study="hosting", title="t", feeder="f", max_mw=3, n_minus_1=True)
    given = spec.forwarded()
    assert given["max_mw"] == 3
    assert given["n_minus_1"] is True
    assert "waveform" not in given


def test_a_limit_file_is_looked_for_beside_the_study(tmp_path):
    (tmp_path / "own.yaml").write_text("limits:\n- {limit: loading, name: own, loading_percent: 80}\n")
    text = "study: hosting\ntitle: t\nfeeder: f\nlimits: [own.yaml, {vm_pu: [0.9, 1.1]}]\n"
    limits = load_hosting(written(tmp_path, text)).limits()
    assert [limit.name for limit in limits.limits] == ["own", "voltage band"]


def table(capacity, binding):
    n = len(capacity)
    return pd.DataFrame(
        {"capacity_mw": capacity, "binding": binding, "limit": "l", "element": [f"line:{k // 2}" for k in range(n)],
         "bus_name": [f"b{k}" for k in range(n)], "vn_kv": 20.0}
    )  # fmt: skip


def test_the_answer_counts_and_what_is_not_bound_sets_no_quantile():
    class Found:
        class data:
            attrs = {"tol_mw": 0.01}

    capacity = [*np.arange(1.0, 19.0), 1e4, 1e4]
    said = words.sentences(table(capacity, ["line"] * 18 + ["not bound"] * 2), Found, 5.0)
    assert said == [
        "16 of 20 buses take the 5 MW that are wished for.",
        "Of 20 buses, nine in ten 3 MW, half of them 11 MW or more; each is asked alone.",
        "Where something binds, most fits at bus 17 (b17, 20 kV) with 18 MW, least at bus 0 (b0, 20 kV) with 1 MW.",
        "What stops a site first: line at 18.",
        "Nothing binds at 2 buses, as far as the search went.",
    ]
    few = words.sentences(table([0.0, 2.0], ["line", "line"]), Found, None)
    assert few[-1].startswith("1 bus takes nothing")
    none = words.sentences(table([0.0] * 12, ["line"] * 12), Found, None)
    assert [s.partition(":")[0] for s in none] == ["What stops a site first", "12 buses take nothing"]


def test_bottlenecks_count_buses_and_keep_their_range():
    rows = words.bottlenecks(table([1.0, 2.0, 5.0, 9.0], ["line", "line", "line", "not bound"]))
    assert [(r["element"], r["buses"], r["low_mw"], r["high_mw"]) for r in rows] == [
        ("line:0", 2, 1.0, 2.0), ("line:1", 1, 5.0, 5.0),
    ]  # fmt: skip


def test_each_limit_says_who_asks_and_how_well_that_is_known():
    rows = words.limit_rows(load_limits(["en50160", "disco", "dominion-step"]))
    assert rows[0]["asks"] == "every voltage within 0.9 to 1.1 pu"
    assert all(row["known"] and row["origin"] for row in rows)
    assert any("as a mean of 120 min, but for 350 of 35040 steps" in row["asks"] for row in rows)
