"""Numbers and names as they stand on the page."""

from __future__ import annotations

import math

import pytest

from gridedge.report.words import heading, moment, number, quantity


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ("vm_min_pu", ("Lowest voltage of any bus", "pu")),
        ("ramp_mw_per_min", ("Steepest ramp, |P(t+60 s) - P(t)|", "MW/min")),
        ("change_5s_mw", ("Largest change within 5 s", "MW")),
        ("change_100ms_mw", ("Largest change within 100 ms", "MW")),
        ("wasted_mwh", ("Energy wasted by dummy work (IT)", "MWh")),
        ("q_max_mvar", ("Q max", "Mvar")),
        ("shed_load_mw", ("Shed load", "MW")),
        ("cycles", ("Cycles", "")),
        ("pst", ("Flicker, short term (Pst)", "")),
        ("mw", ("mw", "MW")),
    ],
)
def test_heading(column, expected):
    assert heading(column) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (0.9568, "pu", "0.9568"),
        (1.0, "pu", "1.0000"),
        (53.94, "%", "53.9"),
        (0.0123, "%", "0.012"),
        (0.0, "%", "0.0"),
        (5.23456, "MW", "5.235"),
        (-3.1, "MW", "\u22123.1"),
        (0.0, "MW", "0"),
        (123456.7, "MWh", "123\u202f457"),
        (1234567890.0, "EUR", "1.23e+09"),
        (2.5e-7, "MW", "2.5e\u221207"),
        (math.nan, "MW", "cannot tell"),
        (None, "MW", "cannot tell"),
        (math.inf, "", "∞"),
        (-math.inf, "", "\u2212∞"),
    ],
)
def test_number(value, unit, expected):
    assert number(value, unit) == expected


def test_quantity_keeps_its_unit_on_the_line():
    assert quantity(3.1, "MW") == "3.1\u00a0MW"
    assert quantity(3.1) == "3.1"
    assert quantity(math.nan, "MW") == "cannot tell"


@pytest.mark.parametrize(
    ("when_s", "expected"),
    [(12.35, "12.35 s"), (312.4, "5 min 12 s"), (300.0, "5 min"), (68400.0, "19 h"), (90060.0, "1 d 1 h 1 min")],
)
def test_moment(when_s, expected):
    assert moment(when_s).replace("\u00a0", " ") == expected
