"""The flickermeter against the test points of IEC 61000-4-15, Edition 2 (also IEEE 1453).

Tables 1 and 5 as the verification of the open flicker_sim (qwtb) lists them.  Table 5 is to read Pst = 1.00, by the
standard within 5 %; here 2 % at 2 kHz.  Table 1 is to read Pinst,max = 1.00, by the standard within 8 %; here 0.5 %.
The change d is from peak to peak.
"""

from __future__ import annotations

import numpy as np
import pytest

import gridedge
from gridedge.measure.flicker import measure_blocks
from gridedge.measure.flickermeter import long_term, meter

# rectangular changes per minute: d in %, for Pst = 1.00
TABLE_5 = {
    "230V-50Hz": {1: 2.715, 2: 2.191, 7: 1.450, 39: 0.894, 110: 0.722, 1620: 0.407, 4000: 2.343},
    "120V-60Hz": {1: 3.181, 2: 2.564, 7: 1.694, 39: 1.040, 110: 0.844, 1620: 0.548, 4800: 4.837},
}
# sine in Hz: d in %, for Pinst,max = 1.00, 230 V and 50 Hz
TABLE_1 = {
    0.5: 2.325, 1.0: 1.397, 1.5: 1.067, 2.0: 0.879, 2.5: 0.747, 3.0: 0.645, 3.5: 0.564, 4.0: 0.497, 4.5: 0.442,
    5.0: 0.396, 5.5: 0.357, 6.0: 0.325, 6.5: 0.300, 7.0: 0.280, 7.5: 0.265, 8.0: 0.256, 8.8: 0.250, 9.5: 0.254,
    10.0: 0.261, 10.5: 0.271, 11.0: 0.283, 11.5: 0.298, 12.0: 0.314, 13.0: 0.351, 14.0: 0.393, 15.0: 0.438,
    16.0: 0.486, 17.0: 0.537, 18.0: 0.590, 19.0: 0.646, 20.0: 0.704, 21.0: 0.764, 22.0: 0.828, 23.0: 0.894,
    24.0: 0.964, 25.0: 1.037, 100 / 3: 2.128,
}  # fmt: skip
ROWS = [(lamp, cpm) for lamp, rows in TABLE_5.items() for cpm in rows]


def rectangular(cpm, d_percent, rate_hz, length_s=660):
    t = (np.arange(length_s * rate_hz) + 0.5) / rate_hz
    return 1.0 + d_percent / 200.0 * np.where(np.floor(t * cpm / 60.0) % 2 == 0, 1.0, -1.0)


@pytest.mark.parametrize(("lamp", "cpm"), ROWS)
def test_table_5_at_2_khz(lamp, cpm):
    found = gridedge.flicker(rectangular(cpm, TABLE_5[lamp][cpm], 2000), 1 / 2000, lamp=lamp)
    assert found.pst.shape == (1,)
    assert found.pst[0] == pytest.approx(1.0, abs=0.02)
    assert found.full_range


@pytest.mark.parametrize(("lamp", "cpm"), ROWS)
def test_table_5_at_400_hz(lamp, cpm):
    found = gridedge.flicker(rectangular(cpm, TABLE_5[lamp][cpm], 400), 1 / 400, lamp=lamp)
    assert found.pst[0] == pytest.approx(1.0, abs=0.05)
    assert found.full_range


@pytest.mark.parametrize(("lamp", "cpm"), [row for row in ROWS if row[1] <= 110])
def test_table_5_at_100_hz_up_to_110_changes(lamp, cpm):
    found = gridedge.flicker(rectangular(cpm, TABLE_5[lamp][cpm], 100), 1 / 100, lamp=lamp)
    assert found.pst[0] == pytest.approx(1.0, abs=0.05)
    assert not found.full_range


def test_table_1_at_2_khz():
    t = np.arange(20 * 2000) / 2000
    worst = 0.0
    for f_hz, d_percent in TABLE_1.items():
        v = 1.0 + d_percent / 200.0 * np.sin(2 * np.pi * f_hz * t)
        found = gridedge.flicker(v, 1 / 2000, settle_s=10)
        worst = max(worst, abs(found.pinst_max - 1.0))
    assert worst < 0.005


def test_the_scale_is_that_of_two_independent_calculations():
    # pqopen-lib 0.10.5 has 309 602 for 230 V; 309 588 and 307 642 come from the analytic chain of blocks.
    assert meter("230V-50Hz").scale == pytest.approx(309588, rel=2e-6)
    assert meter("120V-60Hz").scale == pytest.approx(307642, rel=2e-6)
    assert meter("230V-50Hz").scale == pytest.approx(309602, rel=5e-5)


@pytest.mark.parametrize(("lamp", "d_percent"), [("230V-50Hz", 0.250), ("120V-60Hz", 0.321), ("230V-60Hz", 0.250)])
def test_the_unit_of_perceptibility(lamp, d_percent):
    t = np.arange(30 * 2000) / 2000
    v = 1.0 + d_percent / 200.0 * np.sin(2 * np.pi * 8.8 * t)
    assert gridedge.flicker(v, 1 / 2000, lamp=lamp, settle_s=20).pinst_max == pytest.approx(1.0, abs=5e-4)


def test_a_steady_voltage_reads_0():
    found = gridedge.flicker(np.full(66000, 0.97), 0.01)
    assert found.pst.tolist() == [0.0]
    assert found.pinst_max == 0.0


def test_doubling_the_fluctuation_doubles_pst():
    v = np.stack([rectangular(39, d, 400) for d in (0.447, 0.894)])
    one, two = measure_blocks(v, 1 / 400).pst[:, 0]
    assert two == pytest.approx(2 * one, rel=1e-3)  # the square of the voltage bends it by 1e-5


def test_plt_of_twelve_equal_pst_equals_it():
    assert long_term(np.full(12, 0.83)) == pytest.approx([0.83], rel=1e-14)
    v = rectangular(39, 0.894, 100, length_s=60 + 7200)
    found = gridedge.flicker(v, 0.01)
    assert found.pst.shape == (12,)
    assert found.plt == pytest.approx([float(np.mean(found.pst))], rel=1e-4)
    assert found.plt[0] == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("f_hz", "lost"), [(8.8, 0.05), (15.0, 0.14)])
@pytest.mark.parametrize("rate_hz", [100, 400])
def test_a_one_cycle_rms_lowers_pst_and_is_undone(f_hz, lost, rate_hz):
    # The RMS over a cycle of v = 1 + a sin(w t), in closed form; the loss is that of the moving mean, sinc(f T).
    a, cycle_s, w = 0.00125, 0.02, 2 * np.pi * f_hz
    t = np.arange(100 * rate_hz) / rate_hz

    def area(x):
        return x * (1 + a * a / 2) - 2 * a / w * np.cos(w * x) - a * a / (4 * w) * np.sin(2 * w * x)

    rms = np.sqrt((area(t + cycle_s) - area(t)) / cycle_s)
    true = gridedge.flicker(1 + a * np.sin(w * t), 1 / rate_hz, settle_s=20).pinst_max
    plain = gridedge.flicker(rms, 1 / rate_hz, settle_s=20).pinst_max
    undone = gridedge.flicker(rms, 1 / rate_hz, settle_s=20, rms_window_s=cycle_s).pinst_max
    assert 1 - np.sqrt(plain / true) == pytest.approx(lost, abs=0.005)
    assert np.sqrt(plain / true) == pytest.approx(np.sinc(f_hz * cycle_s), rel=1e-3)
    assert undone == pytest.approx(true, rel=3e-3)
