"""What holds for the flicker and the rapid changes of every voltage."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gridedge
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.flicker_summation import combine, exponent_of
from gridedge.measure.rapid import rapid_changes

SEVERITIES = st.lists(st.floats(0.01, 3.0), min_size=2, max_size=8)
SEED = st.integers(0, 2**32 - 1)


def wander(seed, samples, depth):
    chance = np.random.default_rng(seed)
    walk = np.repeat(chance.choice([-1.0, 0.0, 1.0], samples // 50 + 1), 50)[:samples]
    return depth * (walk + 0.3 * chance.standard_normal(samples))


@settings(max_examples=8)
@given(SEED, st.floats(1.1, 5.0))
def test_pst_grows_with_the_fluctuation(seed, times):
    u = wander(seed, 66000, 1e-4)
    one, more = measure_blocks(np.stack([1 + u, 1 + times * u]), 0.01).pst[:, 0]
    assert more == pytest.approx(times * one, rel=3e-3)  # the square bends it by the fluctuation itself


@settings(max_examples=8)
@given(SEED, st.floats(0.5, 1.5))
def test_the_level_of_the_voltage_does_not_count(seed, level):
    v = 1 + wander(seed, 9000, 1e-3)
    one = gridedge.flicker(v, 0.01).pinst_max
    assert gridedge.flicker(level * v, 0.01).pinst_max == pytest.approx(one, rel=1e-9)


@given(SEVERITIES, st.floats(1.0, 4.0), st.floats(0.01, 2.0))
def test_a_larger_exponent_gives_less_and_never_below_the_largest(pst, exponent, more):
    together = float(combine(pst, exponent=exponent))
    assert together <= sum(pst) * (1 + 1e-12)
    assert together >= max(pst)
    assert float(combine(pst, exponent=exponent + more)) <= together * (1 + 1e-12)
    assert exponent_of(pst, together) == pytest.approx(exponent, rel=1e-5)


@settings(max_examples=40)
@given(SEED, st.integers(1, 200), st.floats(0.005, 0.03))
def test_events_are_ordered_and_move_with_the_series(seed, lead, depth):
    u = wander(seed, 3000, depth)
    u[50:] = np.where((np.arange(2950) // 300) % 2 == 0, 0.0, u[50:])  # steady stretches of 3 s between
    u[:150] = 0.0
    found = rapid_changes(1 + u, 0.01)
    ends = 0.0
    for event in found.events:
        assert event.start_s >= ends
        ends = event.start_s + event.duration_s
        if event.complete:
            assert event.du_max_percent >= event.du_ss_percent - 1e-12
    later = rapid_changes(1 + np.concatenate([np.zeros(lead), u]), 0.01)
    assert len(later.events) == len(found.events)
    for one, two in zip(found.events, later.events, strict=True):
        assert two.start_s == pytest.approx(one.start_s + 0.01 * lead, abs=1e-9)
        assert two.du_max_percent == pytest.approx(one.du_max_percent, abs=1e-9)
