"""The command ``hosting``: a table, what must be known, and a file."""

import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

from gridedge.cli import app
from gridedge.errors import InputError


def test_hosting_prints_what_binds_and_writes_a_table(tmp_path):
    out = tmp_path / "hosting.csv"
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "-l", "ratings", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "line:181" in done.output
    assert "Delivered by: slack" in done.output
    table = pd.read_csv(out, index_col="bus")
    assert table.loc[81, "capacity_mw"] == pytest.approx(5.11, abs=0.02)


def test_hosting_says_what_is_wrong():
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "-l", "en5016"])
    assert isinstance(done.exception, InputError)
    assert "en50160" in str(done.exception)


def test_hosting_prints_what_lets_a_bus_take_more():
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "-l", "ratings", "--want", "6"])
    assert done.exit_code == 0, done.output
    assert "Cheapest set" in done.output
    assert "larger line at line:181" in done.output
    several = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--want", "6"])
    assert isinstance(several.exception, InputError)


def test_hosting_prints_a_curve():
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "-l", "ratings", "--curve"])
    assert done.exit_code == 0, done.output
    assert "room_loading_percent" in done.output
