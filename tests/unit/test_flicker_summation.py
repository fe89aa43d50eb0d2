"""The summation law against the Pst of joint waveforms: 1 in step, 2 independent and continuous, 3 rare steps."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.flicker_summation import combine, exponent_of, joint_voltage

RATE_HZ = 100
T_S = np.arange(660 * RATE_HZ) / RATE_HZ


def severities(v):
    return measure_blocks(v, 1 / RATE_HZ).pst[..., 0]


def measured_exponent(v):
    return exponent_of(severities(v), float(severities(joint_voltage(v))))


def halls(phases, periods_s, depth=0.001):
    """Training halls: a square wave each."""
    turns = T_S / np.asarray(periods_s)[:, None] + np.asarray(phases)[:, None]
    return 1.0 + depth * np.where(turns % 1.0 < 0.5, 1.0, -1.0)


def test_synchronous_halls_add():
    v = halls(np.zeros(4), np.full(4, 1.0), 0.0005)
    assert measured_exponent(v) == pytest.approx(1.0, abs=0.01)
    assert combine(severities(v), exponent=1) == pytest.approx(severities(joint_voltage(v)), rel=0.01)


def test_independent_halls_add_as_squares():
    # 16 halls with periods of 0.9 to 1.1 s and any phase.
    chance = np.random.default_rng(3)
    v = halls(chance.random(16), 0.9 + 0.2 * chance.random(16))
    assert measured_exponent(v) == pytest.approx(2.0, abs=0.15)
    joint = float(severities(joint_voltage(v)))
    assert combine(severities(v)) == pytest.approx(joint, rel=0.1)
    assert combine(severities(v), exponent=3) < 0.7 * joint  # what the general exponent would hide


def test_independent_noise_adds_as_squares():
    from scipy.signal import butter, sosfilt

    noise = np.random.default_rng(5).standard_normal((8, T_S.size))
    noise = sosfilt(butter(2, [0.5, 12], btype="bandpass", fs=RATE_HZ, output="sos"), noise)
    assert measured_exponent(1.0 + 0.002 * noise / noise.std()) == pytest.approx(2.0, abs=0.15)


def test_rare_steps_that_do_not_meet_add_as_cubes():
    # Eight sites, each one step a minute, 7.5 s from one site to the next.
    offset_s = 7.5 * np.arange(8)[:, None]
    v = 1.0 + 0.005 * np.where(np.floor((T_S + offset_s + 0.3) / 60.0) % 2 == 0, 1.0, -1.0)
    assert measured_exponent(v) == pytest.approx(3.0, abs=0.2)
    assert combine(severities(v), exponent=3) == pytest.approx(float(severities(joint_voltage(v))), rel=0.05)


def test_the_law_in_closed_form():
    assert combine([3.0, 4.0], exponent=1) == pytest.approx(7.0)
    assert combine([3.0, 4.0]) == pytest.approx(5.0)
    assert combine([3.0, 4.0, 5.0], exponent=3) == pytest.approx(6.0)
    assert combine(np.ones((2, 16))).tolist() == pytest.approx([4.0, 4.0])
    assert combine([0.0, 0.0]) == 0.0
    assert combine([0.7, 0.0], exponent=400) == pytest.approx(0.7)
    for exponent in (1.0, 2.0, 3.2):
        assert exponent_of([0.3, 0.4, 0.9], combine([0.3, 0.4, 0.9], exponent=exponent)) == pytest.approx(exponent)
    assert exponent_of([1.0, 1.0], 1.0) == np.inf


def test_the_joint_voltage_keeps_the_level():
    v = np.array([[1.00, 1.02], [0.95, 0.95]])
    np.testing.assert_allclose(joint_voltage(v), [0.97, 0.99])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: combine([1.0], exponent=0.5), "exponent of the summation law .*0.5"),
        (lambda: combine([-1.0]), "severities of the sources"),
        (lambda: combine([np.nan]), "severities of the sources"),
        (lambda: combine([]), "severities of the sources"),
        (lambda: combine(["a"]), "severities of the sources"),
        (lambda: exponent_of([1.0, 0.0], 1.0), "two sources that flicker"),
        (lambda: exponent_of([1.0, 1.0], 0.9), "together less than the strongest alone"),
        (lambda: joint_voltage([1.0, 1.0]), "voltages of several sources"),
    ],
)
def test_what_cannot_be_is_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
