"""Cycle counting and life against published figures.

- ASTM E1049-85, section 5.4.4, the worked example of its Fig. 6: peaks and valleys -2 1 -3 5 -1 3 -4 4 -2; counted are
  ranges 3 (0.5), 4 (1.5), 6 (0.5), 8 (1.0), 9 (0.5).  Exact.
- Naumann et al., J. Power Sources 451 (2020) 227666 and J. Energy Storage 17 (2018) 153, through the coefficients that
  SimSES holds; tolerance 0.1 %, half of the last digits worked out by hand.
"""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.sites.ageing import LITHIUM_IRON_PHOSPHATE, ageing, count_cycles, life_cycles


def test_the_worked_example_of_the_standard():
    found = count_cycles(np.array([-2, 1, -3, 5, -1, 3, -4, 4, -2], dtype=float))
    ranges = {r: float(found.count[found.depth_pu == r].sum()) for r in sorted(set(found.depth_pu.tolist()))}
    assert ranges == {3.0: 0.5, 4.0: 1.5, 6.0: 0.5, 8.0: 1.0, 9.0: 0.5}


def test_points_between_the_reversals_change_no_count():
    peaks = np.array([-2, 1, -3, 5, -1, 3, -4, 4, -2], dtype=float)
    fine = np.interp(np.linspace(0, 8, 801), np.arange(9), peaks)
    found, plain = count_cycles(np.repeat(fine, 3)), count_cycles(peaks)
    np.testing.assert_allclose(found.depth_pu, plain.depth_pu, atol=1e-12)
    np.testing.assert_array_equal(found.count, plain.count)


@pytest.mark.parametrize(
    ("depth_pu", "full_cycles"),
    # (20 / (0.1601 (4.0253 (d - 0.6)^3 + 1.0923)))^2, worked out by hand
    [(1.0, 8565.0), (0.8, 12341.0), (0.4, 13886.0), (0.2, 22401.0)],
)
def test_the_life_of_lithium_iron_phosphate_cells(depth_pu, full_cycles):
    cycles = float(life_cycles(np.array(depth_pu), LITHIUM_IRON_PHOSPHATE))
    assert cycles * depth_pu == pytest.approx(full_cycles, rel=1e-3)


def test_their_life_without_cycling():
    """0.20 / (1.2571e-5 x 0.60225) squared: 6.979e8 s, 22.1 years."""
    rest = ageing(np.full(100, 0.5), 60.0)
    assert rest.life_years == pytest.approx(22.11, rel=1e-3)
    assert rest.cycle_life_used_per_year == 0.0
