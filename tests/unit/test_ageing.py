"""Ageing: closed forms, micro-cycles, what is marked, and messages."""

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.sites.ageing import LIVES, SUPERCAPACITOR, Life, ageing, count_cycles, life_cycles
from gridedge.spec import build

YEAR_S = 365.25 * 86_400
LINEAR = Life(depth_pu=(0.1, 1.0), cycles=(1e5, 1e3), calendar_years=20.0)


def test_a_period_of_an_iteration_makes_micro_cycles_by_the_million():
    """16.9 s: 1.87 million cycles a year, all of them below 1 % depth."""
    dt_s = 0.1
    t = dt_s * np.arange(169 * 400)
    found = ageing(0.5 + 0.002 * np.sin(2 * np.pi * t / 16.9), dt_s)
    assert found.cycles_per_year == pytest.approx(YEAR_S / 16.9, rel=5e-3)
    assert found.cycles_per_year == pytest.approx(1.87e6, rel=5e-3)
    assert found.micro_share == 1.0
    assert found.depth_largest_pu == pytest.approx(0.004, rel=1e-3)
    assert "below 1 % depth" in found.notes[0]
    assert found.full_equivalent_cycles_per_year == pytest.approx(0.004 * YEAR_S / 16.9, rel=5e-3)


def test_damage_of_a_mix_adds_up():
    """A day of one cycle of 0.5 and ten of 0.1, every day: N(0.5) = 1e5 x 5^-2 between the points."""
    day = np.r_[0.2, 0.7, 0.2, np.tile([0.3, 0.2], 10)]
    found = ageing(np.tile(day, 20), 86_400 / day.size, LINEAR)
    expected = 365.25 * (1 / 4000 + 10 / 1e5)
    assert found.cycle_life_used_per_year == pytest.approx(expected, rel=0.01)
    assert found.life_years == pytest.approx(1 / (found.cycle_life_used_per_year + 1 / 20), rel=1e-12)
    assert found.micro_share == 0.0
    assert not found.notes


def test_square_roots_of_cycles_and_time_add_up():
    life = Life(depth_pu=(1.0,), cycles=(365.25 * 4,), calendar_years=16.0, exponent=0.5)
    day = np.tile([0.0, 1.0], 50)
    found = ageing(day, 43_200.0, life)
    assert found.cycle_life_used_per_year == pytest.approx(0.25, rel=0.02)
    assert found.life_years == pytest.approx((np.sqrt(found.cycle_life_used_per_year) + 0.25) ** -2, rel=1e-12)


def test_the_curve_is_straight_in_logarithms_and_goes_on_by_energy():
    depth = np.array([1e-3, 0.05, 0.1, 10**-0.5, 1.0])
    np.testing.assert_allclose(life_cycles(depth, LINEAR), [1e7, 2e5, 1e5, 1e4, 1e3])
    np.testing.assert_allclose(life_cycles(np.array([0.01, 1.0]), SUPERCAPACITOR), [1e8, 1e6])


def test_an_open_half_cycle_is_said():
    found = ageing(np.linspace(0.2, 0.8, 50), 1.0, LINEAR)
    assert found.half_cycles_share == 1.0
    assert "One cycle makes most" in found.notes[0]
    counted = count_cycles(np.array([0.2, 0.8]))
    assert (counted.depth_pu.tolist(), counted.count.tolist()) == ([pytest.approx(0.6)], [0.5])
    assert count_cycles(np.full(5, 0.3)).count.size == 0
    assert count_cycles(np.array([0.3])).count.size == 0


def test_every_curve_says_where_it_is_from():
    assert {life.mark for life in LIVES.values()} == {"quoted", "assumed"}
    assert all(life.source for life in LIVES.values())
    assert "Naumann" in ageing(np.array([0.1, 0.5, 0.2]), 1.0).source


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"cycles": [1e3]}, r"does not match \(got 2 depths, 1 cycles\)"),
        ({"cycles": [1e3, 1e5]}, "deeper cycles are fewer"),
        ({"depth_pu": [0.1, 1.5]}, "Depths rise within 0 to 1"),
        ({"calendar_years": 0}, "calendar_years cannot be used"),
    ],
)
def test_an_impossible_curve_is_refused(changes, message):
    with pytest.raises(InputError, match=message):
        build(Life, {"depth_pu": [0.1, 1.0], "cycles": [1e5, 1e3], "calendar_years": 20, **changes})


def test_a_series_that_cannot_be_counted_is_refused():
    with pytest.raises(InputError, match="cannot be counted"):
        ageing(np.array([0.5, np.nan]), 1.0)
    with pytest.raises(InputError, match=r"outside 0 to 1 pu \(got 10 to 90\). Give it in pu"):
        ageing(np.array([10.0, 90.0, 10.0]), 1.0)
    with pytest.raises(InputError, match="dt_s is not positive"):
        ageing(np.array([0.5, 0.6]), 0.0)
