"""The rule by which tap changers move, on voltages that are a plain function of the positions."""

import numpy as np

from gridedge.grid.tap_data import Changers
from gridedge.grid.tapmoves import let_move


def changers(low, high, delay_s, upwards, least=-8, most=8):
    n = len(low)
    one = np.ones(n, dtype=np.int64)
    return Changers(
        tuple(f"trafo:{k}" for k in range(n)), ("trafo",) * n, np.arange(n), np.arange(n), np.arange(n),
        np.array(low), np.array(high), np.array(upwards), least * one, most * one, 0 * one, np.array(delay_s, float),
        0.015 * one, (),
    )  # fmt: skip


def linear(own_pu, matrix):
    return lambda states, tap: np.array(own_pu)[states] + tap @ np.array(matrix).T


def test_one_changer_takes_the_fewest_moves_into_the_band():
    c = changers([0.99], [1.01], [60], [-1])
    own = [[0.94], [1.0], [1.052], [np.nan]]
    found = let_move(c, np.zeros((4, 1), dtype=np.int64), np.zeros((4, 1)), linear(own, [[-0.015]]))
    # 0.94 + 4 x 0.015 is the first in the band; 1.052 - 3 x 0.015; a state without a solution moves nothing
    np.testing.assert_array_equal(found.tap[:, 0], [-4, 0, 3, 0])
    np.testing.assert_array_equal(found.moves[:, 0], [4, 0, 3, 0])
    assert found.resting.all()
    assert not found.hunting.any()


def test_the_end_of_the_range_is_a_rest():
    c = changers([0.99], [1.01], [60], [1], most=2)
    found = let_move(c, np.zeros((1, 1), dtype=np.int64), np.zeros((1, 1)), linear([[0.9]], [[0.01]]))
    assert found.tap.item() == 2
    assert found.resting.all()


def test_graded_delays_spare_the_lower_transformer():
    # Both see 0.97; the upper one, faster, lifts both. With equal delays both move, and the lower is too high.
    matrix = [[0.02, 0.0], [0.02, 0.015]]
    own = [[0.97, 0.97]]
    graded = let_move(
        changers([0.985, 0.985], [1.015, 1.0], [30, 60], [1, 1]), np.zeros((1, 2), int), np.zeros((1, 2)),
        linear(own, matrix),
    )  # fmt: skip
    np.testing.assert_array_equal(graded.moves, [[1, 0]])
    equal = let_move(
        changers([0.985, 0.985], [1.015, 1.0], [60, 60], [1, 1]), np.zeros((1, 2), int), np.zeros((1, 2)),
        linear(own, matrix),
    )  # fmt: skip
    np.testing.assert_array_equal(equal.moves, [[1, 2]])
    np.testing.assert_array_equal(equal.tap, [[1, 0]])


def test_hunting_is_seen_with_and_without_an_end():
    c = changers([0.998], [1.002], [60], [1])  # a band narrower than a step: such a one is refused where nets are read
    found = let_move(c, np.zeros((1, 1), int), np.zeros((1, 1)), linear([[0.99]], [[0.02]]))
    assert found.hunting.all()
    assert not found.resting.any()
    bounded = let_move(c, np.zeros((1, 1), int), np.zeros((1, 1)), linear([[0.99]], [[0.02]]), within_s=900.0)
    assert bounded.hunting.all()
    assert bounded.moves.item() == 14  # at 60, 120, ..., 840 s; that at 900 s is the next step's


def test_the_timer_goes_on_in_the_next_step_and_starts_again_on_the_other_side():
    c = changers([0.99], [1.01], [60], [1])
    tap, timer = np.zeros((1, 1), int), np.zeros((1, 1))
    first = let_move(c, tap, timer, linear([[0.95]], [[0.01]]), within_s=100.0)
    assert first.moves.item() == 1
    assert first.timer_s.item() == 40.0
    up = let_move(c, first.tap, first.timer_s, linear([[0.95]], [[0.01]]), within_s=21.0)
    assert up.moves.item() == 1
    other = let_move(c, first.tap, first.timer_s, linear([[1.05]], [[0.01]]), within_s=59.0)
    assert other.moves.item() == 0
    assert other.timer_s.item() == -59.0
