"""The page on harmonics prints what its commands print."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

import gridedge
from gridedge.cli import app
from gridedge.sites.spectrum import list_spectra

PAGE = (Path(__file__).parents[2] / "docs" / "harmonics.md").read_text(encoding="utf-8")


def test_the_screen_is_that_of_the_command():
    command, shown = re.search(r"```sh\ngridedge (.*?)\n```.*?```text\n(.*?)```", PAGE, flags=re.DOTALL).groups()
    done = CliRunner().invoke(app, shlex.split(command))
    assert done.exit_code == 0, done.output
    notes = (" " * 14 + "  ", "* ")
    printed = [line.rstrip() for line in done.output.splitlines() if not line.startswith(notes)]
    assert "\n".join(printed).strip() == shown.strip()


def test_the_unbalance_is_that_of_the_command():
    code, shown = re.search(r"```python\n(from pandapower.*?)```.*?```text\n(.*?)```", PAGE, flags=re.DOTALL).groups()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {"gridedge": gridedge})
    assert printed.getvalue() == shown


def test_the_spectra_are_those_that_ship():
    for name, spectrum in list_spectra().items():
        (row,) = (line for line in PAGE.splitlines() if line.startswith(f"| `{name}` |"))
        assert f"| {spectrum.thd_percent:.1f} % |" in row
