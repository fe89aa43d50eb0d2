"""The measured campus, on a trace made here and on the published ones."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import gridedge
from gridedge.errors import InputError

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "mlperf_training_power"
FAST = ["waveform.window_s=10"]


def trace(tmp_path, rows=800, nodes=4):
    rng = np.random.default_rng(0)
    time = 2.0 * np.arange(rows)
    level = np.where(time % 17 < 13, 7200, 3000)[:, None] + rng.normal(0, 50, (rows, nodes))
    frame = pd.DataFrame(level.round(0), columns=[f"node_{k}" for k in range(nodes)])
    frame.insert(0, "time_s", time)
    path = tmp_path / "trace.csv"
    frame.to_csv(path, index=False)
    return path


def test_a_trace_goes_through_the_chain_at_its_own_step(tmp_path):
    result = gridedge.run("measured-campus", settings=[f"load.trace={trace(tmp_path)}", *FAST])
    found = {f.name: f for f in result.findings["no mitigation"]}
    assert np.isnan(result.summary.at["no mitigation", "change_1s_mw"])
    assert found["change in 5 s"].verdict == "fail"
    assert np.isnan(result.summary.at["no mitigation", "change_5s_mw"])
    assert result.summary.at["no mitigation", "ramp_mw_per_min"] > 0
    assert result.data["no mitigation"]["waveform"].sizes["time"] == 300
    assert any("coherent copies" in note for note in result.notes)
    assert result.summary.at["no mitigation", "p_max_mw"] <= 5.0


def test_a_finer_step_than_the_trace_is_refused(tmp_path):
    settings = [f"load.trace={trace(tmp_path)}", "waveform.dt_s=0.5", *FAST]
    with pytest.raises(InputError, match="never interpolated finer"):
        gridedge.run("measured-campus", settings=settings)


def test_a_trace_that_is_too_short_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"the trace is too short.*Use duration_s=200"):
        gridedge.run("measured-campus", settings=[f"load.trace={trace(tmp_path, rows=100)}", *FAST])


def test_the_published_trace_with_duplicated_nodes_is_reported():
    path = SHARED / "smc_ac_64n_gpt3_run5848-240517221859825376616_2.csv"
    if not path.is_file():
        pytest.skip("shared/data/mlperf_training_power is not beside the checkout")
    result = gridedge.run("measured-campus", settings=[f"load.trace={path}", *FAST])
    assert any("34 of 64" in note for note in result.notes)
    assert dict(result.facts)["Servers"].split()[0].isdigit()


def test_the_published_trace_with_gaps_is_refused_until_the_study_says_how():
    path = SHARED / "dell_8n_h100_lora_run0.csv"
    if not path.is_file():
        pytest.skip("shared/data/mlperf_training_power is not beside the checkout")
    settings = [f"load.trace={path}", "waveform.dt_s=1", "waveform.run_in_s=60", "waveform.measure_s=120", *FAST]
    with pytest.raises(InputError, match="missing"):
        gridedge.run("measured-campus", settings=settings)
    result = gridedge.run("measured-campus", settings=[*settings, "load.gaps=drop-start"])
    assert any("Power is missing: 4 of 2488 readings" in note and "Dropped" in note for note in result.notes)
