"""Logs of accelerators: nvidia-smi, dcgmi dmon, exported DCGM fields."""

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.profiles.measured import MeasuredProfile, read_trace


def smi(power, step_s=0.1, wander_s=0.0, field="power.draw.instant"):
    """Return what nvidia-smi writes for (time, accelerator) power in W."""
    lines = [f"timestamp, index, {field} [W]"]
    for k, row in enumerate(power):
        for gpu, watt in enumerate(row):
            t = step_s * k + wander_s * ((7 * k) % 3) + 0.002 * gpu
            stamp = f"2024/05/17 21:{int(t // 60):02d}:{t % 60:06.3f}"
            cell = "[N/A]" if np.isnan(watt) else f"{watt:.2f} W"
            lines.append(f"{stamp}, {gpu}, {cell}")
    return "\n".join(lines) + "\n"


def read(tmp_path, text, **settings):
    path = tmp_path / "log.csv"
    path.write_text(text)
    return read_trace(MeasuredProfile(trace=str(path), **settings))


def test_nvidia_smi_gives_one_column_per_accelerator(tmp_path):
    power = np.add.outer(np.tile([100.0, 300.0], 20), [0.0, 10.0, 20.0])
    trace = read(tmp_path, smi(power))
    assert trace.of == "accelerator"
    assert trace.node_names == ("0", "1", "2")
    assert trace.dt_s == pytest.approx(0.1)
    assert trace.average_s == 0
    # Readings are 2 ms apart from accelerator to accelerator: a sample holds 2 % or 4 % of its neighbour.
    np.testing.assert_allclose(trace.p_node_kw[5:30, 2], power[5:30, 2] / 1e3, atol=0.04 * 0.2 + 1e-9)
    assert any("Columns are accelerators, 3 of them" in note for note in trace.report)


def test_wandering_readings_keep_their_energy(tmp_path):
    """Each reading holds until the next one; the mean over the even steps is exact."""
    rng = np.random.default_rng(0)
    watt = rng.uniform(80, 600, (400, 1))
    text = smi(watt, wander_s=0.012)
    trace = read(tmp_path, text)
    time_s = 0.1 * np.arange(400) + 0.012 * ((7 * np.arange(400)) % 3)
    lasts = np.diff(time_s, append=trace.p_node_kw.shape[0] * trace.dt_s)
    energy_j = float((watt[:, 0].round(2) * lasts).sum())
    assert trace.p_node_kw.sum() * trace.dt_s * 1e3 == pytest.approx(energy_j, rel=1e-9)
    assert any("taken to hold until the next one" in note for note in trace.report)


def test_power_draw_is_an_average_and_said_so(tmp_path):
    trace = read(tmp_path, smi(np.full((20, 2), 400.0), field="power.draw"))
    assert trace.average_s == 1.0
    assert any("average over 1 s" in note for note in trace.report)


def test_missing_readings_are_refused_with_their_line(tmp_path):
    power = np.full((30, 2), 400.0)
    power[10, 1] = np.nan
    with pytest.raises(InputError, match=r"log\.csv:\d+: power is missing \(got 1 of 58 readings"):
        read(tmp_path, smi(power))
    lost = smi(np.full((60, 1), 400.0)).splitlines()
    with pytest.raises(InputError, match="power is missing"):
        read(tmp_path, "\n".join(lost[:20] + lost[30:]))


DMON = "#Entity   POWER\nID        W\n"


def test_dcgmi_dmon_has_no_clock_and_takes_the_stated_one(tmp_path):
    text = "".join(DMON + f"GPU 0     {100 + k}.5\nGPU 1     {200 + k}.25\n" for k in range(12))
    with pytest.raises(InputError, match=r"the log of dcgmi dmon has no clock .* step_s=0\.1"):
        read(tmp_path, text)
    trace = read(tmp_path, text, step_s=0.1)
    assert trace.node_names == ("GPU 0", "GPU 1")
    np.testing.assert_allclose(trace.p_node_kw[:, 1] * 1e3, 200.25 + np.arange(12))
    with pytest.raises(InputError, match=r"log\.csv:3: a line of the log cannot be read \(got GPU zero 5\)"):
        read(tmp_path, DMON + "GPU zero 5\n", step_s=0.1)


def test_exported_dcgm_fields_by_host_and_accelerator(tmp_path):
    rows = ["timestamp,Hostname,gpu,DCGM_FI_DEV_POWER_USAGE"]
    for k in range(10):
        for host in ("a", "b"):
            rows += [f"2024-05-17T21:18:{k:02d}Z,{host},{gpu},{500 + k}" for gpu in (0, 1)]
    trace = read(tmp_path, "\n".join(rows))
    assert trace.node_names == ("a 0", "a 1", "b 0", "b 1")
    assert trace.dt_s == 1
    np.testing.assert_allclose(trace.p_node_kw[:, 3] * 1e3, 500 + np.arange(10))


def test_rows_without_an_index_are_not_mixed_up(tmp_path):
    text = "timestamp, power.draw [W]\n" + "2024/05/17 21:18:59.100, 400.00 W\n" * 4
    with pytest.raises(InputError, match=r"the clock does not advance .* log the index"):
        read(tmp_path, text)
    with pytest.raises(InputError, match=r"the log does not name its power and its clock once each"):
        read(tmp_path, "index, power.draw [W]\n0, 400 W\n")


TRAINING = {
    "kind": "training",
    "period_s": 16.9,
    "compute_pu": 0.84,
    "communication_pu": 0.25,
    "compute_share": 0.788,
    "rise_s": 0.227,
    "fall_s": 0.057,
}


def test_nvidia_smi_log_of_a_server(tmp_path):
    """Accelerator power plus the host's constant; edges are bounded by the average of the tool."""
    ds = gridedge.generate(TRAINING, duration_s=200, dt_s=0.1)
    host_kw = 2.85 - 8 * 0.074
    each_w = (ds["p_mw"].values * 1e3 - host_kw) / 8 * 1e3
    path = tmp_path / "smi.csv"
    path.write_text(smi(np.repeat(each_w[:, None], 8, axis=1), field="power.draw"))
    found = gridedge.fit_training(path)
    assert found.profile.servers == 1
    assert found.edge_bound_s == 1.0
    assert found.profile.compute_pu == pytest.approx(0.84, abs=0.01)
    assert found.profile.communication_pu == pytest.approx(0.25, abs=0.015)
    assert any("is added as a constant (assumed)" in note for note in found.notes)
    assert any("taken as 8xH100 (assumed)" in note for note in found.notes)
