"""Coherence of several sites, against scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import signal

from gridedge.errors import InputError
from gridedge.measure.coherence import coherence, together


def test_coherence_is_that_of_welchs_method():
    rng = np.random.default_rng(1)
    common = rng.normal(size=4096)
    x, y = 50 + common + rng.normal(size=4096), 70 + common + 0.5 * rng.normal(size=4096)
    f_hz, found = coherence([x, y], 0.1, window_s=25.6)
    there_hz, there = signal.coherence(x, y, fs=10, nperseg=256, window="hann", detrend="constant")
    np.testing.assert_allclose(f_hz, there_hz[1:])
    np.testing.assert_allclose(found[0, 1], there[1:], atol=1e-12)
    np.testing.assert_allclose(found[0, 0], 1.0)
    np.testing.assert_array_equal(found[0, 1], found[1, 0])


def test_a_delayed_copy_is_coherent_and_independent_noise_is_not():
    rng = np.random.default_rng(2)
    x = rng.normal(size=20_000)
    # pieces much longer than the delay, of which they miss a little at either end
    _, found = coherence([x[:-3], 2 * x[3:], rng.normal(size=19_997)], 0.01, window_s=4.0)
    assert found[0, 1].mean() > 0.99
    assert found[0, 2].mean() < 0.02  # about one over the 98 pieces, which share half of their samples
    assert np.isnan(coherence([x, np.full(20_000, 7.3)], 0.01, window_s=1.0)[1][0, 1]).all()


def test_n_equal_parts_with_a_correlation_grow_as_the_closed_form():
    """Var = N s^2 [1 + (N - 1) rho], with parts that are orthogonal to rounding."""
    t = np.arange(4000) / 4000
    common = np.sin(2 * np.pi * 5 * t)
    own = np.stack([np.sin(2 * np.pi * (10 + k) * t) for k in range(4)])
    rho = 0.36
    found = together(100 + np.sqrt(rho) * common + np.sqrt(1 - rho) * own)
    assert found.correlation == pytest.approx(rho)
    assert found.sd_mw == pytest.approx(np.sqrt(0.5 * 4 * (1 + 3 * rho)))
    assert found.over_independent == pytest.approx(np.sqrt(1 + 3 * rho))
    assert found.sd_in_step_mw == pytest.approx(4 * np.sqrt(0.5))


def test_what_has_no_coherence_is_refused():
    with pytest.raises(InputError, match="two sites at least"):
        together(np.ones((1, 10)))
    with pytest.raises(InputError, match="sites that swing"):
        together([[1.0, 2.0], [3.0, 3.0]])
    with pytest.raises(InputError, match="NaN"):
        together([[1.0, np.nan], [3.0, 3.0]])
    with pytest.raises(InputError, match="needs 8 pieces"):
        coherence(np.random.default_rng(0).normal(size=(2, 100)), 1.0, window_s=50.0)
