"""Levels of flicker as data, and what follows from them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.measure.flicker_limits import (
    Acceptance,
    FlickerLevel,
    accept_by_strength,
    acceptances,
    flicker_levels,
    judge_flicker,
)
from gridedge.measure.rapid_limits import rapid_limits

READING = gridedge.flicker(np.ones(700 * 400), 1 / 400)


def reading(pst, plt=(), full=True):
    told = "told" if len(plt) else "cannot tell: too few"
    return replace(READING, pst=np.array(pst), plt=np.array(plt), plt_verdict=told, full_range=full)


def test_every_shipped_figure_says_where_it_is_from():
    shipped = [*flicker_levels().values(), *acceptances().values(), *rapid_limits().values()]
    assert len(shipped) >= 15
    for item in shipped:
        assert item.document
        assert item.clause
        assert item.known != "chosen"
        assert item.kind != "chosen"


def test_planning_levels_of_the_facts():
    levels = {name: (x.pst, x.plt) for name, x in flicker_levels().items()}
    assert levels["iec-compatibility-lv"] == (1.0, 0.8)
    assert levels["iec-planning-mv"] == (0.9, 0.7)
    assert levels["iec-planning-hv"] == (0.8, 0.6)
    assert levels["en50160"] == (None, 1.0)
    assert levels["ieee1547-der"] == (0.35, 0.25)


def test_pass_fail_and_cannot_tell():
    good, unknown = judge_flicker(reading([0.5, 0.89]), "iec-planning-mv")
    assert (good.verdict, good.measured, good.limit, good.when_s) == ("pass", 0.89, 0.9, 660.0)
    assert good.known == "from memory"
    assert unknown.verdict == "cannot tell"
    assert "too few" in unknown.note
    assert judge_flicker(reading([0.5, 0.91]), "iec-planning-mv")[0].verdict == "fail"
    # Fluctuation beyond the sampling may come on top: a low reading is no pass, a high one still fails.
    assert judge_flicker(reading([0.5], full=False), "iec-planning-mv")[0].verdict == "cannot tell"
    assert judge_flicker(reading([0.95], full=False), "iec-planning-mv")[0].verdict == "fail"


def test_a_share_of_the_blocks():
    plt = np.linspace(0.5, 1.2, 20)
    (found,) = judge_flicker(reading(np.ones(240), plt), "en50160")
    assert found.measured == plt[18]
    assert found.verdict == "fail"
    assert "144000 s stand for the 604800 s" in found.note
    own = FlickerLevel(name="own", plt=1.2)
    assert judge_flicker(reading([], plt), own)[0].verdict == "pass"


@pytest.mark.parametrize(("per_min", "limit"), [(0, 0.4), (9.9, 0.4), (10, 0.2), (200, 0.2), (200.1, 0.1), (4000, 0.1)])
def test_stage_1_by_the_strength_of_the_grid(per_min, limit):
    most = limit / 100.0 * 500.0
    found = accept_by_strength(most, 500.0, per_min)
    assert (found.verdict, found.limit) == ("pass", limit)
    beyond = accept_by_strength(1.01 * most, 500.0, per_min)
    assert beyond.verdict == "cannot tell"
    assert "measure Pst" in beyond.note


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: judge_flicker(READING, "iec-planing-mv"), "unknown flicker level .*Did you mean 'iec-planning-mv'"),
        (lambda: accept_by_strength(1, 0, 1), "short_circuit_mva must be positive"),
        (lambda: accept_by_strength(-1, 10, 1), "swing_mva"),
        (lambda: accept_by_strength(1, 10, 1, criterion="x"), "unknown criterion"),
        (lambda: FlickerLevel(name="empty"), "'empty' has no level"),
        (lambda: Acceptance(name="x", rows=({"below_per_min": 5, "limit_percent": 1},)), "rows of 'x'"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert isinstance(caught.value, ValueError | InputError)
