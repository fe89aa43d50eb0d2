"""What a utility receives, as a user types it."""

import json
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridedge as package
from gridedge import cli


def gridedge(capsys, monkeypatch, *words):
    """Run a command in this process; return exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["gridedge", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


def test_a_profile_becomes_a_file(capsys, monkeypatch, tmp_path):
    words = ("generate", "h100-at-scale", "--duration", 60, "--dt", 0.1, "--seed", 3, "--set", "servers=1000")
    code, out, err = gridedge(
        capsys, monkeypatch, *words, "--start", "2027-07-01T00:00-05:00", "-o", tmp_path / "a.csv"
    )
    assert (code, err) == (0, "")
    load = package.generate({"profile": "h100-at-scale", "servers": 1000}, duration_s=60, dt_s=0.1, seed=3)
    p = load["p_mw"].values
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    np.testing.assert_allclose(frame["kw"], p * 1e3, rtol=0, atol=5.01e-7)
    np.testing.assert_allclose(frame["kvar"], p * 1e3 * np.tan(np.arccos(0.98)), rtol=0, atol=5.01e-7)
    assert "600 samples of 0.1 s, from 2027-07-01T00:00:00.000-05:00" in out
    assert f"Power (IT): mean {p.mean():.4g} MW, highest {p.max():.4g} MW, smallest {p.min():.4g} MW" in out
    assert "power factor 0.98 lagging, assumed" in out
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert f"# spec_sha256: {load.attrs['spec_sha256']}" in text
    assert "# seed: 3" in text
    assert "arXiv 2508.14318" in text


def test_a_facility_carries_it_to_the_meter(capsys, monkeypatch, tmp_path):
    (tmp_path / "f.yaml").write_text("cooling_fixed_pu: 0.2\n")
    words = ("generate", "h100-at-scale", "--duration", 20, "--facility", tmp_path / "f.yaml", "--power-factor", -0.95)
    code, out, err = gridedge(capsys, monkeypatch, *words, "--start", "2027-07-01T00:00Z", "-o", tmp_path / "a.nc")
    assert (code, err) == (0, "")
    assert "Power (at the meter)" in out
    load = package.generate("h100-at-scale", duration_s=20, dt_s=0.05)
    wanted = package.connect(load, {"cooling_fixed_pu": 0.2, "power_factor": -0.95})
    with xr.open_dataset(tmp_path / "a.nc") as found:
        np.testing.assert_array_equal(found["p_mw"], wanted["p_mw"][:, 0])
        np.testing.assert_array_equal(found["q_mvar"], wanted["q_mvar"][:, 0])
        assert "cooling_fixed_pu 0.2 (chosen)" in found.attrs["facility"]
        assert "conversion_efficiency 0.96 (quoted)" in found.attrs["facility"]


def test_members_stand_side_by_side(capsys, monkeypatch, tmp_path):
    words = ("generate", "h100-at-scale", "--duration", 5, "--members", 3, "-o", tmp_path / "a.parquet")
    code, out, _ = gridedge(capsys, monkeypatch, *words)
    assert code == 0
    assert "100 samples of 0.05 s in 3 channels" in out
    assert {"p_mw_m0", "p_mw_m1", "p_mw_m2"} <= set(pd.read_parquet(tmp_path / "a.parquet").columns)
    assert "Note: The start was assumed" in out


QUIET = ("--set", "noise_pu=0", "--set", "period_jitter_pu=0")


def test_the_hours_of_a_year(capsys, monkeypatch, tmp_path):
    words = (
        "generate",
        "h100-at-scale",
        *QUIET,
        "--form",
        "8760",
        "--dt",
        8,
        "--start",
        "2028-01-01",
        "--tz",
        "America/Chicago",
    )
    code, out, err = gridedge(capsys, monkeypatch, *words, "-o", tmp_path / "a.csv")
    assert (code, err) == (0, "")
    assert "8,784 samples of 3600 s, from 2028-01-01T00:00:00-06:00" in out
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    times = pd.to_datetime(frame["time"], utc=True).dt.tz_convert("America/Chicago")
    hours = times.dt.date.astype(str).value_counts()
    assert (hours["2028-03-12"], hours["2028-11-05"], hours["2028-02-29"]) == (23, 25, 24)


def test_quarter_hours_with_their_highest_second(capsys, monkeypatch, tmp_path):
    words = ("generate", "h100-at-scale", *QUIET, "--form", "15min", "--max", "--duration", 3600)
    code, _, err = gridedge(capsys, monkeypatch, *words, "-o", tmp_path / "a.csv")
    assert (code, err) == (0, "")
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    job = {"profile": "h100-at-scale", "noise_pu": 0, "period_jitter_pu": 0}
    p = package.generate(job, duration_s=3600, dt_s=1)["p_mw"].values.reshape(4, 900) * 1e3
    np.testing.assert_allclose(frame["max_kw"], p.max(axis=1), rtol=0, atol=6e-7)
    np.testing.assert_allclose(frame["kw"], p.mean(axis=1), rtol=0, atol=6e-7)


@pytest.mark.parametrize("name", ["a.dss", "a.cfg"])
def test_a_second_file_replaces_the_first_whole(capsys, monkeypatch, tmp_path, name):
    words = ("generate", "h100-at-scale", "--duration", 5, "-o", tmp_path / name)
    assert gridedge(capsys, monkeypatch, *words)[0] == 0
    first = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    code, out, _ = gridedge(capsys, monkeypatch, *words, "--seed", 5)
    assert code == 0
    second = {p.name: p.read_bytes() for p in tmp_path.iterdir()}
    assert first.keys() == second.keys()
    assert all(first[k] != second[k] for k in first if not k.endswith("_q.csv"))
    assert all(f"Wrote {tmp_path / k}" in out for k in first)


SHEET = ("sheet", "h100-at-scale", "--duration", 1200, "--energise", "2027=1", "--energise", "2028=3.5")


def test_the_request_sheet(capsys, monkeypatch, tmp_path):
    code, out, err = gridedge(capsys, monkeypatch, *SHEET, "--voltage-kv", 20, "-o", tmp_path / "s.json")
    assert (code, err) == (0, "")
    sheet = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    metered = package.connect(package.generate("h100-at-scale", duration_s=1200, dt_s=0.05), {})
    assert sheet["highest_mw"] == float(metered["p_mw"].max())
    assert sheet["power"] == "at the meter"
    assert sheet["power_factor"] == pytest.approx(0.98)
    assert sheet["contracted_mw"] == 3.5
    it_mw = float(metered["p_it_mw"].mean())
    motors = (0.10 * it_mw + 0.06 * metered.attrs["nameplate_mw"]) / float(metered["p_mw"].mean())
    assert sheet["motor_share_pu"] == pytest.approx(motors, rel=1e-12)
    assert "In service at the end of 2028  3.5 MW" in out
    assert "Voltage level                  20 kV" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("generate", "h100-at-scal", "-o", "a.csv"), "Did you mean 'h100-at-scale'?"),
        (("generate", "h100-at-scale", "-o", "a.xls"), "the file's suffix says no format (got a.xls)"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--duration", "-5"), "must be a positive number of seconds"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--dt", "700"), "dt_s is longer than duration_s"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--start", "2027-01-01"), "start has no time zone"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--set", "servers=0"), "servers cannot be used (got 0)"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--set", "server"), "a setting needs KEY=VALUE"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--set", "periods=3"), "Did you mean 'period_s'?"),
        (("generate", "bdew-h0-winter-workday", "-o", "a.csv"), "a daily shape has no power of its own"),
        (("generate", "h100-at-scale", "-o", "no/a.csv"), "there is no such folder"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--form", "9760"), "unknown form (got 9760)"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--form", "8760", "--dt", "7200"), "finer than the load"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--power-factor", "2"), "power_factor is not possible"),
        (("generate", "h100-at-scale", "-o", "a.csv", "--facility", "none.yaml"), "there is no such file"),
        ((*SHEET, "-o", "s.doc"), "the sheet's suffix says no format"),
        ((*SHEET, "--energise", "2028=4", "-o", "s.md"), "a year of energisation is given twice (got 2028=4)"),
        ((*SHEET, "--energise", "soon", "-o", "s.md"), "needs YEAR=MW (got soon)"),
        ((*SHEET, "--phases", "2", "-o", "s.md"), "phases must be 1 or 3"),
    ],
)
def test_bad_input_gets_one_message_and_leaves_nothing(capsys, monkeypatch, tmp_path, words, message):
    monkeypatch.chdir(tmp_path)
    code, out, err = gridedge(capsys, monkeypatch, *words)
    assert code == 2
    assert message in err
    assert err.startswith("gridedge: ")
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []
