"""Changes in 5 s of published power logs (MLPerf Training v4.0 and v4.1, Apache-2.0; see test_mlperf_traces.py).

The expected figures, largest range in 5 s over the 99th percentile of the power, were read off the same logs by a
sliding window of another program and are printed with three digits: the tolerance is half of the last one.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.measure.ramp import change_curve, largest_change
from gridedge.profiles.measured import MeasuredProfile, read_trace

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mlperf_training_power"
GPT3_AC = "smc_ac_64n_gpt3_run5848-240517221859825376616_2.csv"
DELL = "dell_8n_h100_lora_run0.csv"

pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(), reason="the MLPerf power logs are not beside this checkout (shared/data/mlperf_training_power)"
)


@pytest.mark.parametrize(
    ("name", "cut", "wanted_pu"),
    [(GPT3_AC, {"start_s": 600, "stop_s": 3201}, 0.182), (DELL, {"gaps": "drop-start"}, 0.299)],
)
def test_the_largest_range_in_5_s(name: str, cut: dict[str, object], wanted_pu: float) -> None:
    trace = read_trace(MeasuredProfile(trace=str(TRACES / name), **cut))
    p_mw = trace.p_mw()
    high_mw = np.percentile(p_mw, 99)
    found = largest_change(p_mw, trace.dt_s, window_s=5.0)
    assert found.value / high_mw == pytest.approx(wanted_pu, abs=0.0005)
    assert found.exact is (trace.dt_s == 1)  # samples of 2 s span 4 s of the window: a lower bound
    _, curve_mw = change_curve(p_mw, trace.dt_s, [5.0])
    assert curve_mw[0] == found.value


def test_a_log_of_2_s_breaks_ercots_rule_or_cannot_tell() -> None:
    """0.08 MW of the 64 servers' swing shows at 2 s: times 50 that proves nothing, times 300 it is above 10 MW."""
    p_mw = read_trace(MeasuredProfile(trace=str(TRACES / GPT3_AC), start_s=600, stop_s=3201)).p_mw()
    for times, verdict in ((50, "cannot tell"), (300, "fail")):
        power = {"p_mw": (("time", "site"), times * p_mw[:, None])}
        ds = xr.Dataset(power, {"time": 2.0 * np.arange(p_mw.size), "site": ["s"]}, {"size_mw": 150.0})
        (found,) = gridedge.check(ds, "ercot")
        assert found.verdict == verdict
        assert "use a step below 0.00909 s" in found.note
