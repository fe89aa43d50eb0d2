"""The command line as a user types it: what it prints, what it refuses, what it leaves behind."""

import json
import subprocess
import sys

import pytest

from gridedge import cli


def gridedge(capsys, monkeypatch, *words):
    """Run a command in this process; return exit code, standard output and standard error."""
    monkeypatch.setattr(sys, "argv", ["gridedge", *map(str, words)])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    out, err = capsys.readouterr()
    return int(stopped.value.code or 0), out, err


SMALL = (
    "--set",
    "waveform.window_s=0.5",
    "--set",
    "waveform.run_in_s=60",
    "--set",
    "waveform.measure_s=100",
)


def small_study(tmp_path, text=None, **replace):
    """Write the default study, with some text replaced, to a file of one's own."""
    from gridedge import sources

    content = sources.find("studies", "default").read_text(encoding="utf-8") if text is None else text
    for old, new in replace.items():
        assert old in content
        content = content.replace(old, new)
    path = tmp_path / "study.yaml"
    path.write_text(content, encoding="utf-8")
    return path


def test_help_and_version_need_no_heavy_import():
    code = (
        "import sys; sys.argv=['gridedge','--help']\n"
        "import contextlib, io\n"
        "import gridedge.cli as c\n"
        "with contextlib.redirect_stdout(io.StringIO()):\n"
        "    try: c.main()\n"
        "    except SystemExit: pass\n"
        "heavy = {'numpy','pandas','xarray','pandapower','plotly','pydantic','scipy','numba'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    light = "import sys, gridedge; dir(gridedge); assert not {'numpy','pydantic','pandapower'} & set(sys.modules)"
    assert subprocess.run([sys.executable, "-c", light], check=False).returncode == 0


def test_every_public_verb_is_there():
    import gridedge as package

    for name in package.__all__:
        assert callable(getattr(package, name)), name
        assert getattr(package, name).__doc__
    with pytest.raises(AttributeError, match="it has"):
        _ = package.nothing


def test_feeders_and_profiles_are_listed_and_described(capsys, monkeypatch):
    code, out, _ = gridedge(capsys, monkeypatch, "feeders")
    assert code == 0
    assert "mv_oberrhein" in out
    assert "texas2000" in out
    assert "needs gridedge[texas]" in out
    code, out, _ = gridedge(capsys, monkeypatch, "feeders", "texas2000")
    assert code == 0
    assert "10.1109/TPWRS.2016.2616385" in " ".join(out.split())
    code, out, _ = gridedge(capsys, monkeypatch, "profiles")
    assert code == 0
    assert "h100-at-scale" in out
    code, out, _ = gridedge(capsys, monkeypatch, "profiles", "h100-at-scale")
    assert code == 0
    assert "arXiv 2508.14318" in " ".join(out.split())
    assert "measured:" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("run", "defualt"), "unknown study (got defualt). Did you mean 'default'?"),
        (("run", "nowhere.yaml"), "no such study file (got nowhere.yaml)"),
        (("feeders", "texas200"), "Did you mean 'texas2000'?"),
        (("profiles", "h100"), "unknown profile"),
        (("run", "--set", "site.bus"), "a setting needs KEY=VALUE"),
        (("run", "--set", "site.buss=3"), "Did you mean 'bus'?"),
        (("run", "--set", "load.period_s=-3"), "load.period_s cannot be used (got -3)"),
        (("run", "--set", "load.profile=h100-at-scal"), "Did you mean 'h100-at-scale'?"),
        (("run", "--set", "waveform.dt_s=0"), "waveform.dt_s cannot be used (got 0)"),
        (("run", "--set", "waveform.dt_s=700"), "dt_s is longer than measure_s"),
        (("run", "--set", "site.size.meter_peak_mw=.nan"), "site.size.meter_peak_mw cannot be used"),
        (("run", "--set", "site.size.servers=3"), "the size of the site must be given once"),
        (("run", "--set", "site.size.meter_peak_kw=5000"), "Did you mean 'meter_peak_mw'?"),
        (("run", "--set", "strategies.battery.0.e_rated_mwh=-1"), "e_rated_mwh cannot be used (got -1)"),
        (("run", "--set", "strategies.battery.0.step=batery"), "Did you mean 'battery'?"),
        (("run", "--set", "site.facility.power_factor=0"), "power_factor is not possible"),
        (("run", "--set", "site.size.meter_peak_mw=0.001"), "smaller than one server"),
        (("run", "--set", "feeder=mv_oberhein"), "Did you mean 'mv_oberrhein'?"),
        (("run", "--set", "site.bus=Buss 73"), "Bus 73"),
        (("run", "--set", "site.bus=9999"), "9999"),
        (("run", "measured-campus"), "training_results_v4.0"),
    ],
)
def test_bad_input_gets_one_message_and_leaves_nothing(capsys, monkeypatch, tmp_path, words, message):
    words = (*words, "--out", tmp_path / "out") if words[0] == "run" else words
    code, out, err = gridedge(capsys, monkeypatch, *words, *(("--workers", 1) if words[0] == "run" else ()))
    assert code == 2
    assert message in err
    assert err.startswith("gridedge: ")
    assert "Traceback" not in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_all_problems_of_a_file_come_together_with_their_lines(capsys, monkeypatch, tmp_path):
    path = small_study(tmp_path, **{"seed: 1": "seed: 1\nseed: 2\nfeedr: x", "limit_mw: 0.5": "limit_kw: 500"})
    code, _, err = gridedge(capsys, monkeypatch, "run", path, "--out", tmp_path / "out")
    assert code == 2
    lines = path.read_text().splitlines()
    for text, problem in (
        ("seed: 2", "key written twice (got seed)"),
        ("feedr: x", "unknown key in the file (got feedr). Did you mean 'feeder'?"),
        ("limit_kw: 500", "(got limit_kw). Did you mean 'limit_mw'?"),
    ):
        number = next(k for k, line in enumerate(lines, 1) if text in line)
        assert f"study.yaml:{number}: {problem}" in err or (f"study.yaml:{number}: " in err and problem in err)
    assert not (tmp_path / "out").exists()


def test_a_campus_larger_than_the_feeder_can_carry_fails_without_a_number(capsys, monkeypatch, tmp_path):
    words = ("run", *SMALL, "--set", "site.size.meter_peak_mw=400", "--out", tmp_path / "out")
    code, out, err = gridedge(capsys, monkeypatch, *words)
    assert code == 1
    assert "converges in none of the" in err
    assert "MW at the meter; connect less" in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_an_output_that_cannot_be_written_is_refused(capsys, monkeypatch, tmp_path):
    (tmp_path / "mine.txt").write_text("precious")
    code, _, err = gridedge(capsys, monkeypatch, "run", "--out", tmp_path)
    assert code == 2
    assert "holds other files" in err
    assert [p.name for p in tmp_path.iterdir()] == ["mine.txt"]
    code, _, err = gridedge(capsys, monkeypatch, "run", "--out", tmp_path / "mine.txt")
    assert code == 2
    assert "a file, not a folder" in err
    code, _, err = gridedge(capsys, monkeypatch, "run", "--out", tmp_path / "mine.txt" / "below")
    assert code == 2
    assert "cannot write the results" in err


def test_a_second_run_replaces_the_first_and_has_the_same_bits_whoever_solves_it(tmp_path):
    import xarray as xr

    out = tmp_path / "out"
    seen = []
    for workers in ("1", "2"):
        words = [*SMALL, "--workers", workers, "--out", str(out)]
        done = subprocess.run(
            [sys.executable, "-m", "gridedge", "run", *words], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "460 x 8xH100" in done.stdout or "x 8xH100" in done.stdout
        with xr.open_datatree(out / "battery.nc", engine="h5netcdf") as tree:
            seen.append({f"{n.path}/{v}": n[v].values for n in tree.subtree for v in n.data_vars})
    assert seen[0].keys() == seen[1].keys()
    # Bytes are compared outside the assertion: a report of millions of them would take minutes.
    different = [name for name, values in seen[0].items() if values.tobytes() != seen[1][name].tobytes()]
    assert different == []
    assert sorted(p.name for p in out.iterdir()) == [
        "battery.nc",
        "dummy-workload.nc",
        "equipment.json",
        "findings.json",
        "manifest.json",
        "no-mitigation.nc",
        "report.html",
        "summary.csv",
        "voltage.csv",
        "voltage.json",
        "without-site.nc",
    ]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    manifest = json.loads((out / "manifest.json").read_text())
    assert {"versions", "seed", "spec_sha256", "engine", "time_taken_s", "power_flows"} <= manifest.keys()


def test_a_shipped_study_is_found_by_its_path_from_anywhere(capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, _, err = gridedge(capsys, monkeypatch, "run", "studies/measured-campus.yaml", "--out", "x")
    assert code == 2
    assert "--set load.trace=" in err


def test_the_readmes_example_of_a_mistake_is_what_one_sees(capsys, monkeypatch, tmp_path):
    from pathlib import Path

    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    (tmp_path / "mine.yaml").write_text(small_study(tmp_path, **{"  bus: Bus 73": "  buss: Bus 73"}).read_text())
    monkeypatch.chdir(tmp_path)
    code, _, err = gridedge(capsys, monkeypatch, "run", "mine.yaml")
    assert code == 2
    assert err.strip() in readme
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "gridedge-results").exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["site.bus=true"], "bus is a switch, not a value (got true)"),
        (["site.size.meter_peak_mw=5 MW"], "the unit is in the key's name"),
        (["load={profil: h100-at-scale}"], "Did you mean 'profile'?"),
        (["requirement.0.window_s=700"], "not shorter than what is measured"),
        (["waveform.dt_s=1e-6"], "too many steps"),
        (["waveform.dt_s=0.07"], "is no whole number of steps"),
        (["rulebook=operatrs"], "Did you mean 'operators'?"),
        (["strategies={a b: [], A-B: []}"], "two strategies need the same file"),
        (["strategies.without site=[]"], "two strategies need the same file"),
        (
            ["strategies={x: [{step: battery, p_rated_mw: 1, e_rated_mwh: 1, ramp_mw_per_min: 1}, "
             "{step: dummy_load, floor_pu: 0.5}]}"],
            "out of order",
        ),
    ],
)  # fmt: skip
def test_what_was_accepted_once_and_must_not_be(capsys, monkeypatch, tmp_path, settings, message):
    words = [word for setting in settings for word in ("--set", setting)]
    code, out, err = gridedge(capsys, monkeypatch, "run", *words, "--out", tmp_path / "out")
    assert code == 2
    assert message in err
    assert "--set" in err or "default.yaml" in err
    assert out == ""
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_only_looks_like_a_result_is_left_alone(capsys, monkeypatch, tmp_path):
    (tmp_path / "manifest.json").write_text('{"name": "my browser extension"}')
    (tmp_path / "notes.txt").write_text("precious")
    code, _, err = gridedge(capsys, monkeypatch, "run", "--out", tmp_path)
    assert code == 2
    assert "manifest.json, notes.txt" in err
    (tmp_path / "manifest.json").write_text(json.dumps({"spec_sha256": "x", "files": ["manifest.json"]}))
    code, _, err = gridedge(capsys, monkeypatch, "run", "--out", tmp_path)
    assert code == 2
    assert "notes.txt" in err
    assert (tmp_path / "notes.txt").read_text() == "precious"


@pytest.mark.skipif(sys.platform == "win32", reason="a console signal cannot be sent to one process on Windows")
def test_stopping_in_the_middle_says_so_and_leaves_nothing(tmp_path):
    import signal
    import time

    for number in (signal.SIGINT, signal.SIGTERM):
        command = [sys.executable, "-m", "gridedge", "run", "--out", str(tmp_path / "out")]
        running = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob(".out.part-*")) and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(number)
        out, err = running.communicate(timeout=60)
        assert running.returncode == 128 + number
        assert "stopped; nothing was written" in err
        assert "Traceback" not in err
        assert out == ""
        assert list(tmp_path.iterdir()) == []


def test_generators_may_follow_the_loads(capsys, monkeypatch, tmp_path):
    words = ["--set", "feeder=case39", "--set", "site.bus=15", "--set", "site.size.meter_peak_mw=100"]
    code, _, err = gridedge(capsys, monkeypatch, "run", *SMALL, *words, "--out", tmp_path / "a")
    assert code == 1
    assert "The feeder itself fails" in err
    assert "background.generation: follow" in err
    words += ["--set", "background.generation=follow"]
    code, out, err = gridedge(capsys, monkeypatch, "run", *SMALL, *words, "--out", tmp_path / "b")
    assert code == 0, err
    assert "bus index 15" in out
