"""The commands about several sites: what they print, and the file they write."""

import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

from gridedge.cli import app
from gridedge.errors import InputError

SITES = ["mv_oberrhein", "-b", "81", "-b", "194"]


def test_pairs_prints_the_matrix_and_what_stops_each(tmp_path):
    out = tmp_path / "pairs.csv"
    done = CliRunner().invoke(app, ["hosting-pairs", *SITES, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "MW of each of two sites that grow equally" in done.output
    assert "trafo:142" in done.output
    table = pd.read_csv(out, index_col=["bus_a", "bus_b"])
    assert table.loc[(81, 81), "capacity_mw"] == pytest.approx(2.55, abs=0.01)  # half of what it takes alone
    assert table.loc[(81, 194), "capacity_mw"] == table.loc[(194, 81), "capacity_mw"]


def test_together_prints_three_plans():
    """Of a net with two transformers, both are full in the largest total."""
    done = CliRunner().invoke(
        app, ["hosting-together", *SITES, "-b", "78", "--weight", "1", "--weight", "1", "--weight", "2"]
    )
    assert done.exit_code == 0, done.output
    last = next(line for line in done.output.splitlines() if line.startswith("largest"))
    assert "trafo:142" in last
    assert "trafo:114" in last
    assert "best found" in done.output


def test_deployments_prints_percentiles_and_what_binds():
    done = CliRunner().invoke(app, ["hosting-deployments", "mv_oberrhein", "-k", "3", "--draws", "6"])
    assert done.exit_code == 0, done.output
    assert "3 sites at the first break, 6 deployments" in done.output
    assert "normal rating: loading" in done.output


def test_several_sites_say_what_is_wrong():
    done = CliRunner().invoke(app, ["hosting-pairs", *SITES, "--given-mw", "much"])
    assert isinstance(done.exception, InputError)
    assert "--given-mw is no size" in str(done.exception)


@pytest.mark.parametrize(
    "command", [["hosting-pairs", "-b", "81"], ["hosting-together", "-b", "81"], ["hosting-deployments", "-k", "2"]]
)
@pytest.mark.parametrize("place", ["nowhere/table.csv", "table.txt"])
def test_a_place_that_cannot_be_written_to_is_refused_before_the_search(command, place):
    done = CliRunner().invoke(app, [command[0], "mv_oberrhein", *command[1:], "--out", place])
    assert isinstance(done.exception, InputError)
    assert "Name a .csv file" in str(done.exception)
