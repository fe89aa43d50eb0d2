"""The commands ``fleet``, ``fleets`` and ``place``: tiers, books, a lost site, files; and what they refuse."""

import pandas as pd
import pytest
import xarray as xr
from typer.testing import CliRunner

from gridedge.cli import app
from gridedge.errors import InputError

SMALL = """
kind: fleet
traffic: {zone: America/Chicago, classes: {conversation: {requests_per_s: 300}}}
places: [{name: Dallas, lat: 32.78, lon: -96.80}]
tiers: {cloud_pu: 0, edge_pu: 0.9, device_pu: 0.1}
homes: 1000
sites:
  - {name: "east:1", lat: 32.78, lon: -96.80, p_mw: 0.5, tier: edge}
  - {name: west, lat: 32.76, lon: -97.33, p_mw: 0.5}
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL, encoding="utf-8")
    return str(path)


def run(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_a_fleet_with_a_lost_site_and_its_files(small, tmp_path):
    out = tmp_path / "out"
    done = run(
        "fleet", small, "--duration", 7200, "--dt", 60, "--outage", "east:1:3600:1200", "--park", "-o", out
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "2 sites, 2 h at 60 s" in done.output
    assert "of 1 MW" in done.output
    assert "Chargers of phones" in done.output
    assert "conversation@edge" in done.output
    assert "Books: offered = in time + late + refused + still in the system, within" in done.output
    assert "east:1 is lost from 3600 s on, for 1200 s" in done.output
    assert "Requests that are late because of it: conversation@edge +" in done.output
    assert "a step is 60 s" in done.output
    assert "a start takes 58.2 s" in done.output
    load = xr.load_dataset(out / "load.nc")
    assert float(load["p_mw"].max()) > 0
    table = pd.read_csv(out / "load.csv", index_col=0)
    assert list(table.columns) == ["east:1", "west"]
    assert (table["east:1"].iloc[60:80] == 0).all()
    books = pd.read_csv(out / "requests.csv", index_col=0)
    row = books.loc["conversation@edge"]
    assert row["offered"] == pytest.approx(row["in time"] + row["late"] + row["refused"] + row["in system"], rel=1e-9)
    assert {"tiers.csv", "sites.csv", "homes.csv"} <= {path.name for path in out.iterdir()}


def test_fleets_are_listed_and_described():
    listed = run("fleets")
    assert listed.exit_code == 0, listed.output
    assert "metro-2035" in listed.output
    told = run("fleets", "metro-2035")
    assert "tiers.edge_pu = 0.79 (assumed: an expert's forecast for 2035" in told.output
    assert "17 sites (chosen: " in told.output


def test_sites_are_placed_on_a_net(tmp_path):
    out = tmp_path / "sites.csv"
    done = run("place", "case33bw", 2, 0.1, "--how", "named", "--where", 5, "--where", 7, "-o", out)
    assert done.exit_code == 0, done.output
    assert "All 2 at once: " in done.output
    assert pd.read_csv(out)["bus"].tolist() == [5, 7]


def test_what_is_refused(small, tmp_path):
    for words, message in (
        (("fleet", "metro-2053"), "unknown fleet"),
        (("fleet", small, "--outage", "nort:3600"), "unknown site .*nort"),
        (("fleet", small, "--outage", "west:now"), "no outage"),
        (("fleet", small, "--outage", "west:0:0"), "no outage"),
        (("fleet", small, "--outage", "west"), "no outage .*Write SITE:START"),
        (("fleet", small, "--outage", "east:1"), "no outage .*Write SITE:START"),
        (("fleet", small, "--duration", "100", "--dt", "60"), "duration"),
        (("place", "case33bw", 1, 0.1, "-o", tmp_path / "no" / "x.csv"), "cannot be written there"),
    ):
        with pytest.raises(InputError, match=message):
            raise run(*words).exception
