"""The commands check and compare, as a user types them."""

from __future__ import annotations

import sys

import pandas as pd
import pytest

import gridedge as package
from gridedge import cli
from gridedge.measure.rulebook import load_rulebook


def gridedge(capsys, monkeypatch, *words):
    """Run a command in this process; return exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["gridedge", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


RULES = """\
title: Two limits
rules:
  - rule: change
    name: large change
    window_s: 5
    limit_mw: {change}
    authority: The utility
    document: Connection contract
    date: 2026-11-01
    status: in force
  - rule: ramp
    name: ramp
    limit_mw_per_min: 1000
    applies_from_mw: 75
"""
SHORT = ("--duration", 120, "--dt", 0.1, "--seed", 3, "--set", "servers=1000")


def book(tmp_path, change=1.0):
    path = tmp_path / "rules.yaml"
    path.write_text(RULES.format(change=change), encoding="utf-8")
    return path


# check


def test_a_profile_is_carried_to_the_meter_and_judged(capsys, monkeypatch, tmp_path):
    code, out, err = gridedge(capsys, monkeypatch, "check", "h100-at-scale", "--rules", book(tmp_path), *SHORT)
    assert (code, err) == (0, "")
    load = package.generate({"profile": "h100-at-scale", "servers": 1000}, duration_s=120, dt_s=0.1, seed=3)
    metered = package.connect(load, {})
    p = metered["p_mw"]
    change, _ = package.check(metered, book(tmp_path))
    first, *rest = out.splitlines()
    assert first == (
        f"h100-at-scale: 1,200 samples of 0.1 s at the meter, highest {float(p.max()):.4g} MW, mean "
        f"{float(p.mean()):.4g} MW, lowest {float(p.min()):.4g} MW"
    )
    assert change.verdict == "fail"
    assert rest[0].startswith("fail            large change  ")
    assert f"{change.measured:.4g} MW, limit 1 MW, at {change.when_s:.4g} s" in rest[0]
    assert rest[1].split("  ")[-1].strip() == "The utility; in force; Connection contract, 2026-11-01"
    assert any(line.startswith("not applicable  ramp") for line in rest)
    assert "applies from 75 MW; the site peaks at" in out


def test_a_facility_and_a_seed_change_what_is_judged(capsys, monkeypatch, tmp_path):
    (tmp_path / "f.yaml").write_text("cooling_fixed_pu: 0.5\n", encoding="utf-8")
    words = ("check", "h100-at-scale", "--rules", book(tmp_path), *SHORT)
    _, plain, _ = gridedge(capsys, monkeypatch, *words)
    _, cooled, _ = gridedge(capsys, monkeypatch, *words, "--facility", tmp_path / "f.yaml")
    _, seeded, _ = gridedge(capsys, monkeypatch, *words, "--seed", 4)
    assert len({plain, cooled, seeded}) == 3
    load = package.generate({"profile": "h100-at-scale", "servers": 1000}, duration_s=120, dt_s=0.1, seed=3)
    lowest = float(package.connect(load, {"cooling_fixed_pu": 0.5})["p_mw"].min())
    assert f"lowest {lowest:.4g} MW" in cooled


def test_members_are_judged_together(capsys, monkeypatch, tmp_path):
    words = ("check", "h100-at-scale", "--rules", book(tmp_path, change=5.5), *SHORT, "--members", 4)
    code, out, _ = gridedge(capsys, monkeypatch, *words)
    assert code == 0
    job = {"profile": "h100-at-scale", "servers": 1000}
    metered = package.connect(package.generate(job, duration_s=120, dt_s=0.1, seed=3, members=4), {})
    change = package.check(metered, book(tmp_path, change=5.5))[0]
    assert change.members == 4
    assert f"{100 * change.share_failing:.0f} % of 4 members fail" in out


def test_the_shipped_rules_are_the_default(capsys, monkeypatch):
    code, out, err = gridedge(capsys, monkeypatch, "check", "h100-at-scale", "--duration", 70, "--dt", 0.1)
    assert (code, err) == (0, "")
    words = {rule.name for rule in load_rulebook("operators").rules}
    assert len(words) > 5
    assert all(word in out for word in words)
    verdicts = {line[:14].strip() for line in out.splitlines()[1:]} - {""}
    assert verdicts <= {"pass", "fail", "cannot tell", "not applicable"}
    assert "Traceback" not in out


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_a_file_is_judged_as_what_it_was_made_of(capsys, monkeypatch, tmp_path, suffix):
    path = tmp_path / f"load.{suffix}"
    words = ("generate", "h100-at-scale", *SHORT, "--facility", "default", "-o", path)
    assert gridedge(capsys, monkeypatch, *words)[0] == 0
    _, made, _ = gridedge(capsys, monkeypatch, "check", "h100-at-scale", "--rules", book(tmp_path), *SHORT)
    code, read, err = gridedge(capsys, monkeypatch, "check", path, "--rules", book(tmp_path))
    assert (code, err) == (0, "")
    assert read.splitlines()[1:] == made.splitlines()[1:]
    assert read.splitlines()[0] == made.splitlines()[0].replace("h100-at-scale", str(path), 1)


def test_a_flat_meter_passes(capsys, monkeypatch, tmp_path):
    times = pd.date_range("2027-01-01", periods=300, freq="1s")
    pd.DataFrame({"time": times.strftime("%Y-%m-%d %H:%M:%S"), "kw": 80_000.0}).to_csv(tmp_path / "m.csv", index=False)
    code, out, _ = gridedge(capsys, monkeypatch, "check", tmp_path / "m.csv", "--rules", book(tmp_path))
    assert code == 0
    assert "300 samples of 1 s at the meter, highest 80 MW, mean 80 MW, lowest 80 MW" in out
    verdicts = [line.split("  ")[0] for line in out.splitlines() if "limit" in line]
    assert "fail" not in verdicts
    assert any(line.startswith("pass            ramp") for line in out.splitlines())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("check", "h100-at-scal"), "Did you mean 'h100-at-scale'?"),
        (
            ("check", "gone.csv"),
            "there is no such file (got gone.csv). Name a .csv, .parquet or .nc file, or a profile",
        ),
        (("check", "h100-at-scale", "--rules", "operatrs"), "Did you mean 'operators'?"),
        (("check", "h100-at-scale", "--rules", "gone.yaml"), "gone.yaml"),
        (("check", "h100-at-scale", "--facility", "gone.yaml"), "there is no such file"),
        (("check", "h100-at-scale", "--set", "servers"), "a setting needs KEY=VALUE"),
        (("check", "h100-at-scale", "--dt", "-1"), "dt_s must be a positive number of seconds"),
        (("check", "h100-at-scale", "--members", "0"), "members"),
        (("check", "gap.csv"), "gap.csv has missing or doubled samples"),
        (("check", "column.csv"), "column.csv has no column of time and power (got time, watts)"),
        (("check", "word.csv"), "word.csv: kw is not a number (got off in row 1)"),
        (("check", "picture.nc"), "picture.nc cannot be read as .nc"),
        (("check", "it.csv"), "it.csv holds IT power, not power at the meter"),
        (("check", "bdew-h0-winter-workday"), "a daily shape has no power of its own"),
        (("compare", "spike-mitigatio"), "Did you mean 'spike-mitigation'?"),
        (("compare", "default"), "the study compares nothing"),
        (("compare", "gone.yaml"), "no such study file (got gone.yaml)"),
        (("compare", "spike-mitigation", "--set", "compare.target=iesso"), "Did you mean 'ieso'?"),
        (("compare", "spike-mitigation", "--set", "compare.targett=ieso"), "Did you mean 'target'?"),
        (("compare", "spike-mitigation", "--set", "compare.behind=flor"), "compare.behind names a strategy that does"),
        (("compare", "spike-mitigation", "--set", "compare.vary={batery: {}}"), "Did you mean 'battery'?"),
        (("compare", "spike-mitigation", "--set", "requirement=[]"), "there is nothing to compare the strategies by"),
        (("compare", "spike-mitigation", "--set", "compare.prices.energy_per_mwh=-1"), "energy_per_mwh cannot be used"),
    ],
)
def test_bad_input_gets_one_message(capsys, monkeypatch, tmp_path, words, message):
    (tmp_path / "gap.csv").write_text("time,kw\n0,1\n1,1\n3,1\n4,1\n", encoding="utf-8")
    (tmp_path / "column.csv").write_text("time,watts\n0,1\n1,1\n", encoding="utf-8")
    (tmp_path / "word.csv").write_text("time,kw\n0,1\n1,off\n2,1\n", encoding="utf-8")
    (tmp_path / "it.csv").write_text("# power: IT; consumption positive\ntime,kw\n0,1\n1,1\n", encoding="utf-8")
    (tmp_path / "picture.nc").write_bytes(b"\x89PNG\r\n\x1a\n" * 9)
    before = sorted(tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    code, out, err = gridedge(capsys, monkeypatch, *words)
    assert code == 2
    assert message in err
    assert err.startswith("gridedge: ")
    assert "Traceback" not in err
    assert out == ""
    assert sorted(tmp_path.iterdir()) == before


# compare

STUDY = "spike-mitigation"
QUICK = (
    "waveform.dt_s=0.1",
    "waveform.measure_s=90",
    "waveform.run_in_s=30",
    "waveform.window_s=1",
    "site.size={servers: 500}",
    "compare.target={change_mw: 10, window_s: 5}",
    "compare.vary={battery: {battery.p_rated_mw: [1, 60]}}",
    "strategies={nothing: [], floor: [{step: power_floor, percent_tmp_floor: 90}], battery: [{step: battery, "
    "p_rated_mw: 40, e_rated_mwh: 10, delay_s: 0, law: {law: low_pass, tau_s: 60}}]}",
)


def compared(capsys, monkeypatch, *more):
    words = [word for setting in (*QUICK, *more) for word in ("--set", setting)]
    return gridedge(capsys, monkeypatch, "compare", STUDY, *words)


def test_strategies_are_weighed_the_cheapest_of_the_front_first(capsys, monkeypatch, tmp_path):
    path = tmp_path / "all.csv"
    words = [word for setting in (*QUICK, "compare.size_battery=false") for word in ("--set", setting)]
    code, out, err = gridedge(capsys, monkeypatch, "compare", STUDY, *words, "--out", path)
    assert (code, err) == (0, "")
    table = pd.read_csv(path, index_col="variant")
    labels = ["nothing", "floor", "battery: battery.p_rated_mw 1", "battery: battery.p_rated_mw 60"]
    assert table.index.tolist() == labels
    assert table["pareto"].dtype == bool
    shown = {label: next(line for line in out.splitlines() if line.startswith(f"{label}  ")) for label in labels}
    for label, line in shown.items():
        row = table.loc[label]
        assert line.split()[-2:] == ["not", "beaten"] if row["pareto"] else "beaten" not in line
        assert f"  {row['verdict']:<14}  {row['excess_percent']:>8.3g}  {row['wasted_percent']:>8.3g}  " in line
        assert f"{row['cost_per_year'] / 1e3:,.0f}" in line
    assert table.loc["nothing", "verdict"] == "fail"
    best = "battery: battery.p_rated_mw 60"
    assert table.loc[best, "verdict"] == "pass"
    order = sorted(labels, key=lambda label: (not table.loc[label, "pareto"], table.loc[label, "cost_per_year"]))
    assert sorted(labels, key=lambda label: out.index(shown[label])) == order
    assert f"* Cheapest of 4 variants that meets the target: {best}. It wastes" in out
    assert f"costs {table.loc[best, 'cost_per_year']:,.0f} EUR a year." in out
    assert f"Wrote {path}" in out
    assert "A battery alone" not in out


def test_where_none_meets_it_the_nearest_and_the_battery_are_said(capsys, monkeypatch):
    code, out, err = compared(
        capsys, monkeypatch, "compare.target={change_mw: 1, window_s: 5}", "compare.vary={}", "compare.battery={}"
    )
    assert (code, err) == (0, "")
    assert "* No variant meets the target. Nearest is battery; it misses by: change: " in out
    assert "Cheapest" not in out
    assert "not beaten" in out
    assert "* No battery of this kind meets the target; the nearest misses by: change: " in out
    assert "Without its converter's delay of 0.02 s it would" in out


def test_a_step_that_cannot_act_names_strategy_and_cure(capsys, monkeypatch):
    code, out, err = compared(capsys, monkeypatch, "strategies.floor.0.percent_tmp_floor=95")
    assert (code, out) == (2, "")
    assert err.startswith("gridedge: ")
    assert "strategy 'floor': the floor lies above what" in err
    assert "Give at most 90" in err
