"""Published power logs: MLPerf Training v4.0 (2024) and v4.1 (2024), Apache-2.0.

Origin: mlcommons/training_results_v4.0 (8 x H100 nodes, immersion cooled, AC and DC side) and
training_results_v4.1 (Dell XE9680, air cooled), ``<submitter>/results/<system>/<benchmark>/power/``.
The files do not come with the package; the tests are skipped where they are absent.

The expected figures were read off the same logs independently of this reader and are printed with
a few digits; the tolerance of each is half of its last printed digit, unless a test says otherwise.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.measured import MeasuredProfile, measured_power_mw, read_trace

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mlperf_training_power"
GPT3_AC = "smc_ac_64n_gpt3_run5848-240517221859825376616_2.csv"
GPT3_DC = "smc_dc_64n_gpt3_run5848-240517221859825376616_2.csv"
LORA_64 = "smc_ac_64n_lora_run5730-240516232429153071029_3.csv"
LORA_8 = "smc_ac_8n_lora_run5740-240517044141819407406_10.csv"
DELL = "dell_8n_h100_lora_run0.csv"

pytestmark = pytest.mark.skipif(
    not TRACES.is_dir(), reason="the MLPerf power logs are not beside this checkout (shared/data/mlperf_training_power)"
)


def _profile(name: str, **settings: object) -> MeasuredProfile:
    return MeasuredProfile(trace=str(TRACES / name), **settings)


@pytest.mark.parametrize(
    ("name", "distinct", "nodes", "dt_s"),
    [(GPT3_AC, 34, 64, 2), (GPT3_DC, 34, 64, 2), (LORA_64, 46, 64, 2), (LORA_8, 4, 8, 2), (DELL, 8, 8, 1)],
)
def test_step_and_distinct_nodes(name: str, distinct: int, nodes: int, dt_s: float) -> None:
    """Counts, hence exact."""
    kept = read_trace(_profile(name, gaps="drop-start"))
    assert kept.dt_s == dt_s
    assert len(kept.node_names) == nodes
    words = f"Only {distinct} of {nodes} power columns" if distinct < nodes else f"All {nodes} power columns"
    assert [s for s in kept.report if s.startswith(words)]
    dropped = read_trace(_profile(name, gaps="drop-start", duplicates="drop"))
    assert len(dropped.node_names) == distinct


def test_gpt3_power_of_64_nodes() -> None:
    p_kw = read_trace(_profile(GPT3_AC)).p_mw(64) * 1e3
    assert np.median(p_kw) == pytest.approx(448, abs=0.5)
    assert p_kw.max() == pytest.approx(458.5, abs=0.05)
    assert p_kw.min() == pytest.approx(325, abs=0.5)
    assert np.median(p_kw) / 64 == pytest.approx(7.00, abs=0.005)


@pytest.mark.parametrize(("name", "energy_kwh"), [(GPT3_AC, 415.2), (GPT3_DC, 408.4)])
def test_gpt3_energy(name: str, energy_kwh: float) -> None:
    """The printed energy belongs to 3,410 s: the trapezoid from the second sample (2 s) to the last (3,412 s).

    gridedge counts a sample as the mean of its step, and all 1707 of them: 3,414 s.  Both are tested; the
    difference is what the first sample and half a step at either end hold, under 0.12 %.
    """
    whole = read_trace(_profile(name))
    later = read_trace(_profile(name, start_s=2))
    assert later.time_s[-1] - later.time_s[0] == 3410
    assert np.trapezoid(later.p_mw(), later.time_s) / 3.6 == pytest.approx(energy_kwh, abs=0.05)
    assert whole.p_mw().sum() * whole.dt_s / 3.6 == pytest.approx(energy_kwh, rel=0.0012)


def test_gpt3_steady_swing() -> None:
    """Standard deviation over mean of the sum, and of one node, from 600 s to 3,200 s."""
    trace = read_trace(_profile(GPT3_AC, start_s=600, stop_s=3201))
    p_mw = trace.p_mw()
    assert p_mw.std() / p_mw.mean() == pytest.approx(0.043, abs=0.0005)
    one = trace.p_node_kw.std(axis=0) / trace.p_node_kw.mean(axis=0)
    # The mean over the nodes is 5.05 %, the median 5.14 %; the printed 5.1 % does not say which.
    assert np.median(one) == pytest.approx(0.051, abs=0.0005)


def test_scaling_keeps_the_share_of_the_swing() -> None:
    """Coherent copies: the scaled series is the measured one times a constant, to rounding."""
    measured = read_trace(_profile(GPT3_AC)).p_mw()
    scaled, dt_s, report = measured_power_mw(_profile(GPT3_AC, nodes=9600))
    assert dt_s == 2
    np.testing.assert_allclose(scaled, measured * 150, rtol=1e-12)
    assert "times 150" in report[-1]


def test_dell_gap_at_the_start() -> None:
    with pytest.raises(InputError) as caught:
        read_trace(_profile(DELL))
    (problem,) = caught.value.problems
    assert problem.where == f"{DELL}:2"
    assert "4 of 2488 readings in 1 of 311 rows; first node_0 at 0 s" in problem.value
    assert "--set load.gaps=drop-start" in problem.cure

    trace = read_trace(_profile(DELL, gaps="drop-start"))
    assert trace.time_s[0] == 1
    assert trace.p_node_kw.shape == (310, 8)
    assert not np.isnan(trace.p_node_kw).any()
    assert np.median(trace.p_mw()) * 1e3 / 8 == pytest.approx(7.7, abs=0.05)
    assert trace.p_mw().max() * 1e3 / 8 == pytest.approx(8.65, abs=0.005)
