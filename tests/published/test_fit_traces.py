"""fit_training on published power logs: the profile made again against the trace.

MLPerf Training v4.0 (2024, Supermicro 8xH100, immersed) and v5.0 (2025, Lenovo 8xB200), Apache-2.0, as described in
test_mlperf_traces.py; skipped where the files are absent.  What the run's own log says is the oracle where there is
one: train_step 10.4 to 10.6 s and its line at 10.9 s in the power, an evaluation every 142 s that lasts 13.1 s.
"""

from pathlib import Path

import pytest

import gridedge
from gridedge.errors import InputError

TRACES = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "mlperf_training_power"
GPT3 = "smc_ac_64n_gpt3_run5848-240517221859825376616_2.csv"
pytestmark = pytest.mark.skipif(not TRACES.is_dir(), reason="the MLPerf power logs are not beside this checkout")


def fit(name, server, **treatment):
    return gridedge.fit_training({"trace": str(TRACES / name), **treatment}, server=server)


@pytest.fixture(scope="module")
def gpt3():
    return fit(GPT3, "8xH100-immersion", start_s=600, stop_s=3200)


def test_gpt3_iterations_and_evaluations(gpt3):
    p = gpt3.profile
    assert p.servers == 64
    # Between the logged train_step of 10.4 to 10.6 s and the line at 10.9 s, which the evaluations pull (13 to 142 s).
    assert 10.4 <= p.period_s <= 10.9
    assert p.evaluation_s == pytest.approx(13.1, abs=1.0)
    assert p.evaluation_interval_s + p.evaluation_s == pytest.approx(142, abs=2)
    assert p.evaluation_pu == pytest.approx(0.627, abs=0.005)
    assert p.checkpoint_interval_s is None
    assert p.overlap_pu > 0.7  # well overlapped


def test_gpt3_statistics_of_the_profile_made_again(gpt3):
    """In pu of nameplate; the largest changes are less, because the dip at the start of an evaluation is no key."""
    for name, tolerance in {
        "mean_pu": 0.002,
        "std_pu": 0.002,
        "p05_pu": 0.005,
        "p50_pu": 0.002,
        "p95_pu": 0.002,
    }.items():
        assert abs(gpt3.error(name)) < tolerance, name
    assert gpt3.figures["peak1_s"][0] == pytest.approx(10.9, abs=0.1)
    assert gpt3.figures["peak1_s"][1] == pytest.approx(gpt3.figures["peak1_s"][0], rel=0.01)
    assert gpt3.figures["peak1_pu"][1] == pytest.approx(gpt3.figures["peak1_pu"][0], rel=0.15)
    assert gpt3.figures["peak3_s"][1] == pytest.approx(142, abs=8)
    assert gpt3.cycle_rmse_pu < 0.003
    assert 0.4 < gpt3.figures["change_10s_pu"][1] / gpt3.figures["change_10s_pu"][0] <= 1


def test_gpt3_nodes_are_less_alike_than_their_iterations(gpt3):
    """Distinct nodes correlate by 0.72 (AC, with the iterations); what the iterations leave hardly does."""
    assert gpt3.profile.node_correlation < 0.2


def test_b200_stable_diffusion_is_flat():
    """Deviation of 76 W, 0.8 % of the mean: communication hidden."""
    found = fit("lenovo_1n_b200_stable_diffusion_run0.csv", "8xB200")
    assert found.profile.overlap_pu == 1
    assert found.figures["std_pu"][0] * 14300 == pytest.approx(76, abs=0.5)
    assert abs(found.error("std_pu")) < 0.15 * found.figures["std_pu"][0]
    for name in ("mean_pu", "p05_pu", "p50_pu", "p95_pu"):
        assert abs(found.error(name)) < 0.001, name


def test_b200_retinanet_is_flat_between_long_pauses():
    found = fit("lenovo_1n_b200_retinanet_run0.csv", "8xB200")
    assert found.profile.checkpoint_s == pytest.approx(29, abs=2)
    assert abs(found.error("mean_pu")) < 0.005
    assert abs(found.error("std_pu")) < 0.005


def test_lora_on_8_nodes_shows_no_iteration_at_2_s():
    found = fit("smc_ac_8n_lora_run5740-240517044141819407406_10.csv", "8xH100-immersion")
    assert found.iterations == 0
    assert any("the swing is taken as noise" in note for note in found.notes)
    assert found.profile.checkpoint_pu == pytest.approx(0.26, abs=0.01)
    assert abs(found.error("mean_pu")) < 0.02
    assert abs(found.error("p50_pu")) < 0.01


def test_lora_on_64_nodes_is_too_short():
    """Sixty samples with a start and a stop in them."""
    with pytest.raises(InputError, match="the trace swings and shows no iteration"):
        fit("smc_ac_64n_lora_run5730-240516232429153071029_3.csv", "8xH100-immersion")
