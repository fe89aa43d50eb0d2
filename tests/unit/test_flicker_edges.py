"""The flickermeter's edges: what it refuses, what it cannot tell, and that blocks do not change a reading."""

from __future__ import annotations

import json

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.flickermeter import meter, perceptibility, severity


def swing(length_s=100.0, dt_s=0.01, d_percent=1.0, f_hz=2.0):
    t = dt_s * np.arange(round(length_s / dt_s))
    return 1.0 + d_percent / 200.0 * np.sin(2 * np.pi * f_hz * t)


def test_the_sum_of_terms_is_the_product_of_the_blocks():
    # The standard's transfer function, written as it stands there, for both lamps and frequencies.
    coefficients = {
        "230V": (1.74802, 4.05981, 9.15494, 2.27979, 1.22535, 21.9),
        "120V": (1.6357, 4.167375, 9.077169, 2.939902, 1.394468, 17.31512),
    }
    f = np.array([0.02, 0.5, 8.8, 20.0, 33.3, 50.0])
    s = 2j * np.pi * f
    for lamp in ("230V-50Hz", "230V-60Hz", "120V-50Hz", "120V-60Hz"):
        k, damping, *w = coefficients[lamp[:4]]
        w1, w2, w3, w4 = (2 * np.pi * x for x in w)
        corner = 2 * np.pi * (35.0 if lamp.endswith("50Hz") else 42.0)
        high = s / (s + 2 * np.pi * 0.05)
        weight = k * w1 * s / (s**2 + 2 * (2 * np.pi * damping) * s + w1**2)
        weight = weight * (1 + s / w2) / ((1 + s / w3) * (1 + s / w4))
        low = 1.0 / np.sqrt(1 + (2 * np.pi * f / corner) ** 12)
        assert np.abs(meter(lamp).gain(f)) == pytest.approx(np.abs(high * weight) * low, rel=1e-9)


def test_weights_and_levels_of_the_classifier():
    # Pinst that is c all the time: every level is c, and Pst the root of c times the sum of the weights.
    assert severity(np.full(60000, 4.0)) == pytest.approx(np.sqrt(4.0 * (0.0314 + 0.0525 + 0.0657 + 0.28 + 0.08)))
    # Values 0 to 100 evenly: the level exceeded x % of the time is 100 - x.
    ramp = np.linspace(0.0, 100.0, 100001)
    smooth = (0.0314, 99.9), (0.0525, 100 - 3.2 / 3), (0.0657, 100 - 9.2 / 3), (0.28, 100 - 10.8), (0.08, 100 - 160 / 3)
    assert severity(ramp) == pytest.approx(np.sqrt(sum(w * level for w, level in smooth)), rel=1e-9)


def test_a_short_series_has_pinst_and_cannot_tell_the_rest():
    found = gridedge.flicker(swing(100), 0.01)
    assert found.pst.size == found.plt.size == 0
    assert found.pst_max is None
    assert found.pinst_max > 0
    assert found.pst_verdict == "cannot tell: 40 s after settling; a Pst takes 600 s"
    assert found.plt_verdict == "cannot tell: 0 of the 12 blocks of ten minutes that a Plt takes"
    assert gridedge.flicker(swing(660), 0.01).pst_verdict == "told for up to 110 changes per minute"


def test_settling_goes_first_then_whole_blocks():
    v = swing(60 + 600 + 599.9)
    found = gridedge.flicker(v, 0.01)
    assert found.pst.shape == (1,)
    assert gridedge.flicker(np.concatenate([v, v[:10]]), 0.01).pst.shape == (2,)
    assert gridedge.flicker(swing(600), 0.01, settle_s=0).pst.shape == (1,)
    # A block of a step that does not divide it begins at the nearest sample.
    assert gridedge.flicker(swing(1300, 0.007), 0.007).pst.shape == (2,)


def test_what_comes_in_the_settling_does_not_count():
    v = swing(660)
    v[:1000] = swing(10, d_percent=30.0)
    quiet = gridedge.flicker(swing(660), 0.01)
    assert gridedge.flicker(v, 0.01).pst == pytest.approx(quiet.pst, rel=1e-2)


def test_a_stretch_at_a_time_reads_the_same():
    v = swing(100) + 1e-3 * np.random.default_rng(0).standard_normal(10000)
    for window in (0.0, 0.02):
        whole = next(perceptibility(v, 0.01, "230V-50Hz", rms_window_s=window))
        edges = np.array([0, 10, 11, 4000, 10000])
        parts = list(perceptibility(v, 0.01, "230V-50Hz", rms_window_s=window, edges=edges))
        assert [p.size for p in parts] == [0, 10, 1, 3989, 6000]
        np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-9, atol=1e-12)


def test_many_voltages_read_as_each_alone():
    v = np.stack([swing(660, f_hz=2.0), swing(660, f_hz=5.0)])
    many = measure_blocks(v, 0.01)
    for row, pst, pinst, when in zip(v, many.pst, many.pinst_max, many.pinst_max_when_s, strict=True):
        alone = gridedge.flicker(row, 0.01)
        assert pst == pytest.approx(alone.pst, rel=1e-12)
        assert (pinst, when) == pytest.approx((alone.pinst_max, alone.pinst_max_when_s), rel=1e-12)


def test_the_level_follows_in_a_minute_from_10_to_90_percent():
    # After a fall to 0.8, the level is 0.8 + 0.2 exp(-t/T) with T ln 9 = 60 s; the square of a swing of the quotient
    # goes with its fourth power (a swing of the square of v / level, squared).
    dt_s, fall_s = 0.0025, 100.0
    t = dt_s * np.arange(round(240 / dt_s))
    v = np.where(t < fall_s, 1.0, 0.8) * (1 + 0.01 * np.sin(2 * np.pi * 8.8 * t))
    pinst = next(perceptibility(v, dt_s, "230V-50Hz"))
    steady = pinst[(t > 90) & (t < 99)].mean()
    for after_s in (30.0, 60.0, 120.0):
        near = (t > fall_s + after_s - 0.5) & (t < fall_s + after_s + 0.5)
        level = 0.8 + 0.2 * np.exp(-(after_s - 0.3) * np.log(9) / 60.0)  # block 4 lags by its 0.3 s
        assert pinst[near].mean() / steady == pytest.approx((0.8 / level) ** 4, rel=2e-3)


def test_a_dip_is_flagged_in_its_block():
    v = swing(60 + 1200)
    v[round(700 / 0.01) : round(700.2 / 0.01)] = 0.85
    found = gridedge.flicker(v, 0.01)
    assert found.flagged == (1,)
    assert "IEC 61000-4-30 flags" in found.notes[-1]


def test_the_result_is_plain_data():
    found = gridedge.flicker(swing(700, 0.0025), 0.0025, lamp="120V-60Hz")
    again = json.loads(json.dumps(found.to_dict()))
    assert again["pst"] == found.pst.tolist()
    assert again["full_range"] is True
    assert again["notes"] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dt_s": 0.05}, "sampled too slowly for a flickermeter .*0.05.* Use a step of 0.01 s"),
        ({"dt_s": 0.0}, "dt_s must be a positive"),
        ({"lamp": "240V-50Hz"}, "unknown lamp .* Did you mean '230V-50Hz'"),
        ({"settle_s": 100.0}, "ends before the flickermeter has settled .*100 s"),
        ({"settle_s": -1.0}, "settle_s must be"),
        ({"rms_window_s": 0.2}, "longer than a cycle .*0.2"),
        ({"rms_window_s": float("nan")}, "rms_window_s must be"),
        ({"dt_s": "0.01"}, "dt_s must be a positive"),
        ({"vm_pu": ["a"]}, "holds what is no number"),
        ({"vm_pu": np.empty(0)}, "no sample"),
        ({"vm_pu": np.ones((2, 9000))}, "reads one voltage"),
        ({"vm_pu": 230.0 * swing()}, "not in per unit .*230"),
        ({"vm_pu": np.where(np.arange(10000) == 5000, np.nan, 1.0)}, "a gap .*1 of 10000 samples, from 50 s"),
        ({"vm_pu": np.where(np.arange(10000) == 5000, -1.0, 1.0)}, "not positive .*-1 pu at 50 s"),
    ],
)
def test_what_cannot_be_measured_is_refused(change, message):
    given = {"vm_pu": swing(), "dt_s": 0.01} | change
    with pytest.raises(InputError, match=message):
        gridedge.flicker(given.pop("vm_pu"), given.pop("dt_s"), **given)
