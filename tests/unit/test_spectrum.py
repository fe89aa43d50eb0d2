"""The amplitude spectrum against sines of known amplitude."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.measure.spectrum import amplitude_spectrum, band_energy, peak_hold, spectrogram

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
        ([1.0, 2.0, 3.0, 4.0], "0.05", r"dt_s, .* must be positive \(got '0.05'\)"),
        (["60 MW", "61 MW", "60 MW", "61 MW"], 0.05, r"holds no numbers \(got list\)"),
    ],
)
def test_what_cannot_be_told_is_refused(p_mw, dt_s, message):
    with pytest.raises(InputError, match=message):
        amplitude_spectrum(p_mw, dt_s)


def test_a_band_and_a_window_are_numbers():
    with pytest.raises(InputError, match=r"a band has two edges in Hz \(got \(1,\)\)"):
        band_energy(sine(0.4, 1.0), DT_S, (1,))
    with pytest.raises(InputError, match=r"window_s must be a number of seconds \(got '10'\)"):
        spectrogram(sine(0.4, 1.0), DT_S, window_s="10")


def test_the_energy_of_a_sine_is_half_its_amplitude_squared():
    p = np.stack([50 + sine(0.4, 2.0) + sine(3.0, 1.0), 50 + sine(0.4, 1.0)])
    variance_mw2, share = band_energy(p, DT_S, (0.1, 1.0))
    np.testing.assert_allclose(variance_mw2, [2.0, 0.5])
    np.testing.assert_allclose(share, [0.8, 1.0])
    assert band_energy(np.full(N, 37.1), DT_S, (0.1, 1.0)) == (0.0, 0.0)


def test_an_edge_belongs_to_the_band_above_it():
    p = sine(0.4, 2.0)
    assert band_energy(p, DT_S, (0.4, 1.0))[1] == pytest.approx(1.0)
    assert band_energy(p, DT_S, (0.1, 0.4))[1] == pytest.approx(0.0, abs=1e-12)


def test_a_spectrogram_shows_when_a_sine_was_there():
    late = sine(0.5) * (np.arange(N) >= N // 2)
    time_s, f_hz, amplitude_mw = spectrogram(100 + late, DT_S, window_s=20.0)
    assert amplitude_mw.shape == (time_s.size, f_hz.size)
    np.testing.assert_allclose(time_s, np.arange(10.0, 91.0, 10.0))
    line = amplitude_mw[:, int(np.argmin(np.abs(f_hz - 0.5)))]
    np.testing.assert_allclose(line[time_s >= 60], 1.0, rtol=1e-9)
    np.testing.assert_allclose(line[time_s <= 40], 0.0, atol=1e-9)
    assert spectrogram(np.stack([late, late]), DT_S, window_s=20.0)[2].shape == (2, *amplitude_mw.shape)


def test_what_is_left_at_the_end_of_a_series_is_looked_at_too():
    p = np.zeros(2190)
    p[-150:] = sine(2.0, n=150)
    time_s, _, amplitude_mw = spectrogram(p, DT_S, window_s=20.0)
    assert time_s[-1] == pytest.approx(2190 * DT_S - 10)
    assert amplitude_mw[-1].max() > 1.2 * amplitude_mw[-2].max()


@pytest.mark.parametrize("f_hz", [0.4, 0.403, 0.405, 0.4077, 3.3333])
def test_a_held_peak_reads_a_sine_wherever_its_frequency_lies(f_hz):
    lines_hz, amplitude_mw, start_s = peak_hold(500 + sine(f_hz, 2.0), DT_S, window_s=50.0)
    k = int(amplitude_mw.argmax())
    assert lines_hz[k] == pytest.approx(f_hz, abs=0.00126)
    assert 2.0 * 0.9970 < amplitude_mw[k] < 2.0 * 1.0005  # the mirror image adds a few hundredths of a per cent
    assert start_s[k] in (0.0, 25.0, 50.0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: band_energy(sine(0.4), DT_S, (1.0, 1.0)), "band is empty"),
        (lambda: band_energy(sine(0.4), DT_S, (11.0, 12.0)), "shows nothing of the band"),
        (lambda: spectrogram(sine(0.4), DT_S, window_s=1e3), "does not fit the series"),
        (lambda: spectrogram(sine(0.4), DT_S, window_s=10, overlap_pu=1.0), "overlap_pu"),
    ],
)
def test_bands_and_pieces_that_cannot_be_are_refused(call, message):
    with pytest.raises(InputError, match=message):
        call()
