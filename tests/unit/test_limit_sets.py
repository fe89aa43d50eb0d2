"""Limits as data: shipped sets, short forms, files, how they combine, and what is refused."""

import pytest

from gridedge.errors import InputError
from gridedge.measure.limit_sets import describe_limits, list_limit_sets, load_limits, strictest


def values(limits, steps=1):
    return {(s.kind, s.element): s.value for s in strictest(load_limits(limits), steps)}


def test_every_shipped_set_says_where_it_comes_from_and_how_well_it_is_known():
    names = list_limit_sets()
    assert {"en50160", "ansi-c84.1-a", "ansi-c84.1-b", "disco", "ratings"} <= set(names)
    for name in names:
        for limit in load_limits(name).limits:
            assert limit.standard != "the study's own"
            assert limit.known in describe_limits(name)
            if limit.known != "chosen":
                assert limit.date


def test_published_figures():
    assert values("en50160") == {("low", ""): 0.90, ("high", ""): 1.10}
    assert values("ansi-c84.1-a") == {("low", ""): 0.95, ("high", ""): 1.05}
    assert values("ansi-c84.1-b") == {("low", ""): 0.90, ("high", ""): 1.0583}
    disco = {(s.kind, s.element, s.mean_s): s.value for s in strictest(load_limits("disco"), 35040)}
    assert disco["loading", "line", 3600.0] == 120
    assert disco["loading", "trafo", 7200.0] == 120
    assert disco["loading", "line", 0.0] == 150
    assert {limit.allowed(35040) for limit in load_limits("disco").limits} == {0, 350}
    assert {limit.allowed(96) for limit in load_limits("disco").limits} == {0}


def test_the_strictest_of_several_holds():
    both = values(("en50160", {"vm_pu": [0.95, 1.2], "loading_percent": 80, "voltage_step_percent": 3}))
    assert both["low", ""] == 0.95
    assert both["high", ""] == 1.10
    assert both["loading", "line"] == 80
    assert both["step", ""] == pytest.approx(0.03)
    assert values({}) == {}


def test_a_file_in_either_form(tmp_path):
    short = tmp_path / "short.yaml"
    short.write_text("vm_pu: [0.96, 1.04]\n", encoding="utf-8")
    assert values(short) == {("low", ""): 0.96, ("high", ""): 1.04}
    long = tmp_path / "long.yaml"
    long.write_text(
        "title: ours\nlimits:\n  - {limit: loading, name: lines, elements: [line], loading_percent: 70}\n", "utf-8"
    )
    assert values(str(long)) == {("loading", "line"): 70}


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        ("en5016", "Did you mean 'en50160'"),
        ({"vm": [0.9, 1.1]}, "unknown limit"),
        ({"vm_pu": [1.1, 0.9]}, "the voltage band is empty"),
        ("nowhere.yaml", "no such file"),
        (("en50160", "en50160"), "two limits have the same name"),
        (
            ({"vm_pu": [0.95, 1.05]}, {"limits": [{"limit": "voltage", "name": "x", "vm_pu": [1.06, 1.1]}]}),
            "contradict",
        ),
        ({"limits": [{"limit": "voltage", "name": "x", "vm_pu": [0.9, 1.1], "steps_allowed": 3}]}, "of_steps"),
        (7, "cannot make limits"),
        (({"vm_pu": [0.9, 0.95]}, {"vm_pu": [0.97, 1.05]}), "contradict"),
        ({"loading_percent": 1.2}, "loading_percent looks like per unit"),
        ({"voltage_step_percent": 0.03}, "voltage_step_percent looks like per unit"),
        ({"losses_percent": 0.05}, "losses_percent looks like per unit"),
        ({"rapid_change_percent": 0.03}, "rapid_change_percent looks like per unit"),
    ],
)
def test_what_cannot_be_used_says_what_to_do(limits, words):
    with pytest.raises(InputError, match=words):
        load_limits(limits)
