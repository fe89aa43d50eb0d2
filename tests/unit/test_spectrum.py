"""The amplitude spectrum against sines of known amplitude."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.measure.spectrum import amplitude_spectrum

DT_S = 0.05
N = 2000  # 100 s: lines 0.01 Hz apart


def sine(f_hz, amplitude_mw=1.0, n=N):
    return amplitude_mw * np.sin(2 * np.pi * f_hz * np.arange(n) * DT_S + 0.3)


@pytest.mark.parametrize("n", [2000, 2001])
def test_a_sine_of_1_mw_reads_1_mw(n):
    f_hz, amplitude_mw = amplitude_spectrum(20.0 + sine(40 / (n * DT_S), n=n), DT_S)
    peak = int(amplitude_mw.argmax())
    assert f_hz[peak] == pytest.approx(40 / (n * DT_S), rel=1e-12)
    assert amplitude_mw[peak] == pytest.approx(1.0, abs=1e-9)
    # the Hann window puts half of it into either neighbour, and nothing further away
    assert amplitude_mw[[peak - 1, peak + 1]] == pytest.approx([0.5, 0.5], abs=1e-9)
    assert np.delete(amplitude_mw, [peak - 1, peak, peak + 1]).max() < 1e-9


def test_between_two_lines_a_sine_reads_the_scalloping_of_the_window():
    # Harris 1978, table 1: 1.42 dB
    _, amplitude_mw = amplitude_spectrum(sine(0.405), DT_S)
    assert 20 * np.log10(amplitude_mw.max()) == pytest.approx(-1.42, abs=0.01)


def test_mean_leaves_no_trace():
    _, amplitude_mw = amplitude_spectrum(np.full(N, 37.1), DT_S)
    assert amplitude_mw.max() < 1e-12
    _, with_sine_mw = amplitude_spectrum(500.0 + sine(0.4037), DT_S)
    _, without_mw = amplitude_spectrum(sine(0.4037), DT_S)
    assert with_sine_mw == pytest.approx(without_mw, abs=1e-10)
    assert with_sine_mw[0] == pytest.approx(0.0, abs=1e-10)


def test_frequencies_reach_from_zero_to_half_the_rate():
    f_hz, _ = amplitude_spectrum(sine(0.4), DT_S)
    assert f_hz[0] == 0
    assert f_hz[-1] == pytest.approx(10.0)
    assert np.diff(f_hz) == pytest.approx(np.full(N // 2, 0.01))


def test_alternation_at_half_the_rate_is_not_counted_twice():
    _, amplitude_mw = amplitude_spectrum(np.resize([1.0, -1.0], N), DT_S)
    assert amplitude_mw[-1] == pytest.approx(1.0, abs=1e-9)


def test_a_second_series_is_treated_as_the_first():
    both = np.stack([sine(0.4, 1.0), sine(0.7, 2.5)])
    _, amplitude_mw = amplitude_spectrum(both, DT_S)
    assert amplitude_mw.shape == (2, N // 2 + 1)
    for row, series in zip(amplitude_mw, both, strict=True):
        assert row == pytest.approx(amplitude_spectrum(series, DT_S)[1])
    assert amplitude_mw.max(axis=1) == pytest.approx([1.0, 2.5])


@pytest.mark.parametrize(
    ("p_mw", "dt_s", "message"),
    [
        ([1.0, 2.0, 3.0], 0.05, r"too few samples for a spectrum \(got 3\)"),
        (5.0, 0.05, r"too few samples"),
        ([1.0, np.nan, np.inf, 2.0, 1.0], 0.05, r"NaN or infinite \(got 2\)"),
        ([1.0, 2.0, 3.0, 4.0], 0.0, r"dt_s, .* must be positive \(got 0.0\)"),
        ([1.0, 2.0, 3.0, 4.0], np.nan, r"dt_s, .* must be positive"),
    ],
)
def test_what_cannot_be_told_is_refused(p_mw, dt_s, message):
    with pytest.raises(InputError, match=message):
        amplitude_spectrum(p_mw, dt_s)
