"""What holds for the changes and the spectrum of every series."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gridedge
from gridedge.measure.coherence import together
from gridedge.measure.ramp import change_curve, largest_change, largest_fast_change
from gridedge.measure.spectrum import band_energy

POWER = st.floats(-1e3, 1e3, allow_nan=False, width=32)
SERIES = arrays(float, st.integers(5, 80), elements=POWER)
SCALE = st.sampled_from([0.25, 2.0, 8.0])  # powers of two: exact


@given(SERIES)
def test_a_longer_window_never_holds_a_smaller_change(p):
    _, change = change_curve(p, 0.1)
    assert (np.diff(change) >= 0).all()
    assert change[-1] == p.max() - p.min()


@given(SERIES)
def test_changes_of_two_windows_bound_that_of_both_together(p):
    steps = np.arange(1, p.size)
    _, change = change_curve(p, 1.0, steps.astype(float))
    for k in steps[: p.size // 2]:
        if 2 * k < p.size:
            assert change[2 * k - 1] <= 2 * change[k - 1] * (1 + 1e-12)


@given(SERIES, SCALE)
def test_changes_scale_with_the_power_and_not_with_its_level_sign_or_direction(p, scale):
    _, change = change_curve(p, 0.1)
    np.testing.assert_array_equal(change_curve(scale * p, 0.1)[1], scale * change)
    np.testing.assert_array_equal(change_curve(-p[::-1], 0.1)[1], change)
    np.testing.assert_allclose(change_curve(p + 512.0, 0.1)[1], change, atol=1e-9)


@given(SERIES, st.floats(0.01, 100))
def test_a_fast_change_is_no_larger_than_any_and_falls_with_the_rate(p, rate):
    found = largest_fast_change(p, 1.0, rate_mw_per_s=rate).value
    assert 0 <= found <= p.max() - p.min()
    assert largest_fast_change(p, 1.0, rate_mw_per_s=2 * rate).value <= found
    # what one step shows above the rate is fast in any case
    step = largest_change(p, 1.0, window_s=1.0).value
    assert found >= (step if step > rate * (1 + 1e-9) else 0.0) * (1 - 1e-12)


@given(SERIES)
def test_the_energy_of_all_bands_is_the_variance(p):
    top = np.inf
    whole, share = band_energy(p, 0.5, (0.0, top))
    scale = max(1.0, float(np.abs(p).max())) ** 2
    assert whole == pytest.approx(p.var(), rel=1e-9, abs=1e-12 * scale)
    assert share in (0.0, pytest.approx(1.0))
    middle = 1.0 / (p.size * 0.5) * 2
    low, high = (band_energy(p, 0.5, band)[0] for band in ((0.0, middle), (middle, top)))
    assert low + high == pytest.approx(whole, rel=1e-9, abs=1e-12 * scale)


@given(SERIES)
def test_a_series_beside_itself_is_in_step_and_beside_its_opposite_cancels(p):
    if p.std() < 1e-6:
        return
    twice = together(np.stack([p, p]))
    assert twice.correlation == pytest.approx(1.0, abs=1e-9)
    assert twice.over_independent == pytest.approx(2**0.5)
    against = together(np.stack([p, 100 - p]))
    assert against.correlation == pytest.approx(-1.0, abs=1e-6)


LINEAR = [
    {"rule": "change", "name": "c", "window_s": 2.0, "limit_mw": 5.0},
    {"rule": "change", "name": "f", "window_s": 2.0, "limit_mw": 5.0, "filter": {"band_hz": [0.2, 4.0]}},
    {"rule": "ramp", "name": "r", "window_s": 1.0, "limit_mw_per_min": 50.0, "percentile": 90},
    {"rule": "ramp", "name": "u", "window_s": 1.0, "limit_mw_per_s": 5.0, "direction": "up"},
    {"rule": "band_amplitude", "name": "b", "window_s": 6.0, "band_hz": [1.0, 4.0], "limit_mw": 5.0},
]


def metered(p_mw):
    time = 0.1 * np.arange(p_mw.size)
    return xr.Dataset({"p_mw": (("time", "site"), p_mw[:, None])}, {"time": time, "site": ["s"]})


@settings(max_examples=25)
@given(arrays(float, 90, elements=POWER), SCALE, st.floats(0, 500))
def test_what_rules_measure_grows_with_the_swing_and_not_with_the_level(p, scale, level):
    one = gridedge.check(metered(p), LINEAR)
    other = gridedge.check(metered(scale * p + level), LINEAR)
    tiny = 1e-9 * (1 + np.abs(p).max()) * (1 + scale) * 60
    for a, b in zip(one, other, strict=True):
        assert b.measured == pytest.approx(scale * a.measured, rel=1e-7, abs=tiny)
        # a swing that breaks a rule breaks it all the more when it is larger
        assert not (scale > 1 and a.verdict == "fail" and b.verdict == "pass")


@settings(max_examples=25)
@given(arrays(float, 90, elements=POWER), st.floats(0.5, 200))
def test_a_verdict_follows_from_the_value_and_the_limit(p, limit_mw):
    for rule in LINEAR[:2]:
        (found,) = gridedge.check(metered(p), [{**rule, "limit_mw": limit_mw}])
        assert found.verdict == ("fail" if found.measured > limit_mw else "pass")
        assert found.margin == limit_mw - found.measured
