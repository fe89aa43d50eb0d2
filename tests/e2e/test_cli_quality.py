"""The command ``harmonics``: the screen, the resonances, what is not studied, and a file."""

import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

from gridedge.cli import app
from gridedge.errors import InputError


def test_harmonics_prints_screen_and_resonances_and_writes_the_impedance(tmp_path):
    out = tmp_path / "z.csv"
    given = ["harmonics", "mv_oberrhein", "--bus", "81", "--mw", "5", "--s-sc-mva", "2000", "--loads", "none"]
    done = CliRunner().invoke(app, [*given, "--spectrum", "5=20,7=14", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "Isc/IL 26.7" in done.output
    assert "fail            total demand distortion of the current, ieee519-2022: 24.4 %, limit 8" in done.output
    assert "Not studied: zero sequence" in done.output
    table = pd.read_csv(out)
    assert set(table["loads"]) == {"none"}
    peak = table.loc[table["z_ohm"].idxmax()]
    assert peak["order"] == pytest.approx(10.7)


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--spectrum", "5=x"], "a spectrum cannot be read"),
        (["--spectrum", "5=20,5=30"], "stands twice"),
        (["--spectrum", "six"], "six-pulse"),
        (["-o", "z.txt"], "the impedance cannot be written there"),
    ],
)
def test_harmonics_says_what_is_wrong(args, message):
    done = CliRunner().invoke(app, ["harmonics", "mv_oberrhein", "--bus", "81", "--mw", "5", *args])
    assert isinstance(done.exception, InputError)
    assert message in str(done.exception)
