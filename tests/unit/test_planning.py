"""Parts of comparing and sizing that need no load."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gridedge
from gridedge.errors import InputError
from gridedge.measure.finding import Finding
from gridedge.planning.compare import compare
from gridedge.planning.pareto import pareto_front
from gridedge.planning.prices import annuity
from gridedge.planning.strategies import variants
from gridedge.planning.verdict import judge

BATTERY = {"step": "battery", "p_rated_mw": 1.0}


@given(arrays(float, st.tuples(st.integers(1, 12), st.integers(1, 4)), elements=st.integers(0, 3).map(float)))
def test_front_holds_exactly_what_no_row_beats(costs):
    def beats(a, b):
        return bool((a <= b).all() and (a < b).any())

    expected = [not any(beats(other, row) for other in costs) for row in costs]
    assert pareto_front(costs).tolist() == expected
    assert any(expected)


def test_front_takes_a_missing_cost_as_the_worst():
    assert pareto_front([[1.0, np.nan], [1.0, 5.0]]).tolist() == [False, True]


def test_annuity_pays_the_price_back_with_interest():
    payment = annuity(1000.0, 10.0, 0.07)
    value = sum(payment / 1.07**year for year in range(1, 11))
    assert value == pytest.approx(1000.0, rel=1e-12)
    assert annuity(1000.0, 10.0, 0.0) == 100.0


def test_variants_are_every_combination_in_order():
    given_steps = {"steps": [BATTERY], "vary": {"battery.p_rated_mw": [1, 2], "battery.law.tau_s": [5.0]}}
    found = variants({"none": [], "battery": given_steps})
    assert [v.label for v in found] == [
        "none",
        "battery: battery.p_rated_mw 1, battery.law.tau_s 5",
        "battery: battery.p_rated_mw 2, battery.law.tau_s 5",
    ]
    assert found[2].steps == ({"step": "battery", "p_rated_mw": 2, "law": {"tau_s": 5.0}},)
    assert BATTERY == {"step": "battery", "p_rated_mw": 1.0}  # what was given stays as it was


@pytest.mark.parametrize(
    ("given_strategies", "words"),
    [
        ({}, "at least one"),
        ({"a": {"vary": {}}}, "no steps"),
        ({"a": "battery"}, "must be a list"),
        ({"a": [{"p_rated_mw": 1}]}, "does not say which step"),
        ({"a": {"steps": [BATTERY], "vary": {"batery.p_rated_mw": [1]}}}, "battery"),
        ({"a": {"steps": [BATTERY, BATTERY], "vary": {"battery.p_rated_mw": [1]}}}, "by its place"),
        ({"a": {"steps": [BATTERY], "vary": {"battery": [1]}}}, "no value of a step"),
        ({"a": {"steps": [BATTERY], "vary": {"battery.p_rated_mw": 3}}}, "list of values"),
        ({"a": {"steps": [BATTERY], "vary": {"battery.p_rated_mw": list(range(20_000))}}}, "too many"),
    ],
)
def test_strategies_that_cannot_be_read_say_why(given_strategies, words):
    with pytest.raises(InputError, match=words):
        variants(given_strategies)


@pytest.mark.parametrize(("settle_s", "shown"), [("3", "'3'"), (float("nan"), "nan"), (-1, "-1")])
def test_a_start_that_is_no_time_is_refused(settle_s, shown):
    load = gridedge.generate("h100-at-scale", duration_s=60, dt_s=0.5)
    with pytest.raises(InputError, match=rf"settle_s must be a number of seconds, 0 or more \(got {shown}\)"):
        compare(load, {"none": []}, target={"ramp_mw_per_min": 2}, settle_s=settle_s)


def _finding(verdict, measured, limit):
    return Finding("change", "at most", verdict, measured, limit, "MW")


def test_verdict_is_the_worst_and_says_by_how_much():
    verdict = judge([_finding("pass", 5.0, 10.0), _finding("fail", 12.0, 10.0)])
    assert verdict.overall == "fail"
    assert verdict.excess == pytest.approx(0.2)
    assert verdict.missed() == "change: 12 MW against 10 MW, 20 % too much"
    assert judge([_finding("not applicable", None, 1.0)]).overall == "not applicable"
    assert judge([_finding("cannot tell", None, 1.0)]).excess == np.inf
    assert judge([_finding("pass", 9.0, 10.0)]).missed() == ""
    unsure = judge([_finding("pass", 9.0, 10.0), _finding("cannot tell", 8.0, 10.0)])
    assert unsure.missed() == "change cannot be told"
