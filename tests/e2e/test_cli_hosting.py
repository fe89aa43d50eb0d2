"""The command ``hosting``: a table, what must be known, and a file."""

import json

import pandas as pd
import pytest
from typer.testing import CliRunner

pytest.importorskip("pandapower")

from gridedge.cli import app
from gridedge.errors import InputError
from tests.e2e.browser import WIDTHS, browser


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


BUSES = [81, 194, 39, 147, 58]
FILES = ["hosting.csv", "hosting.geojson", "hosting.json", "manifest.json", "map.svg", "report.html", "study.yaml"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Run the shipped study at a few of its buses, by the door of studies."""
    out = tmp_path_factory.mktemp("hosting") / "out"
    done = CliRunner().invoke(
        app, ["run", "hosting-oberrhein", "--out", str(out), "--set", f"buses={BUSES}", "--set", "requested_mw=3"]
    )
    assert done.exit_code == 0, done.output
    return out, done.output


def test_a_hosting_study_writes_every_file_and_says_what_came_out(written):
    out, said = written
    assert sorted(path.name for path in out.iterdir()) == FILES
    assert "4 of 5 buses take the 3 MW that are wished for." in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["files"] == FILES
    assert manifest["steps"] == 96
    assert manifest["error_vm_pu"] < 1e-8


def test_csv_geojson_and_json_hold_the_same_answers_with_the_published_fields(written):
    out, _ = written
    table = pd.read_csv(out / "hosting.csv", index_col="bus")
    assert table.index.tolist() == BUSES
    own = {b["bus"]: b for b in json.loads((out / "hosting.json").read_text())["buses"]}
    placed = {f["id"]: f for f in json.loads((out / "hosting.geojson").read_text())["features"]}
    for bus in BUSES:
        assert own[bus]["capacity_mw"] == pytest.approx(table.at[bus, "capacity_mw"], rel=1e-9)
        assert placed[bus]["properties"]["capacity_mw"] == pytest.approx(own[bus]["capacity_mw"])
        lon, lat = placed[bus]["geometry"]["coordinates"]
        assert 7.7 < lon < 8.0
        assert 48.3 < lat < 48.5
    row = table.loc[81]
    assert (row["bank"], row["bank_mva"], row["feeder"]) == ("HV/MV Transformer 0", 25.0, "line:165")
    assert (row["binding"], row["element"], row["vn_kv"]) == ("line", "line:181", 20.0)
    assert row["hour"] == 19.5  # the peak of the shape
    for name in ("queued_load_mw", "queued_generation_mw", "cost_share", "series_link"):
        assert table[name].isna().all()
    assert table.at[58, "binding"] == "voltage step"  # behind the grid's own impedance
    assert table.loc[58, ["bank", "feeder"]].isna().all()  # the 110 kV side has neither


def test_the_written_study_gives_the_same_answers_again(written, tmp_path):
    out, _ = written
    done = CliRunner().invoke(app, ["hosting", str(out / "study.yaml"), "--out", str(tmp_path / "again.csv")])
    assert done.exit_code == 0, done.output
    again = pd.read_csv(tmp_path / "again.csv", index_col="bus").drop(columns="date")
    pd.testing.assert_frame_equal(again, pd.read_csv(out / "hosting.csv", index_col="bus").drop(columns="date"))


def test_the_page_opens_offline_and_its_legend_counts_what_the_table_holds(written):
    out, _ = written
    table = pd.read_csv(out / "hosting.csv", index_col="bus")
    wanted = {f"{name} ({count})" for name, count in table["binding"].value_counts().items()}
    asked, said = [], []
    with browser() as started:
        for width, height in WIDTHS:
            page = started.new_context(viewport={"width": width, "height": height}, offline=True).new_page()
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto((out / "report.html").as_uri(), wait_until="load")
            page.wait_for_timeout(500)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            for plot in ("plot-binding", "plot-capacity", "plot-sorted"):
                assert page.locator(f"#{plot} svg.main-svg").first.bounding_box()["width"] > 100
            names = "() => document.getElementById('plot-binding').data.filter(t => t.showlegend !== false)"
            assert set(page.evaluate(names + ".map(t => t.name)")) == wanted
            listed = page.locator("#binding tbody tr").all_inner_texts()
            assert {" ".join(text.split()).replace(" (", "(") for text in listed} == {
                name.replace(" (", " ").rstrip(")") for name in wanted
            }
            assert page.locator("#most-buses tbody tr").count() == len(BUSES)
    assert not said
    assert all(url.startswith(("file:", "data:", "blob:")) for url in asked)


def test_a_net_without_places_gets_no_geojson_and_is_told_so(tmp_path):
    out = tmp_path / "out"
    done = CliRunner().invoke(app, ["hosting", "cigre_mv", "-b", "4", "-l", "ansi-c84.1-b", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "No GeoJSON: The coordinates are those of a drawing" in done.output
    assert not (out / "hosting.geojson").exists()
    assert pd.read_csv(out / "hosting.csv")["lon"].isna().all()
    assert "a drawing, not a map" in (out / "map.svg").read_text()
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "mine.txt").write_text("keep me")
    refused = CliRunner().invoke(app, ["hosting", "cigre_mv", "-b", "4", "-o", str(foreign)])
    assert "holds other files" in str(refused.exception)
    assert (foreign / "mine.txt").read_text() == "keep me"


def test_options_of_a_feeder_do_not_fall_silent_on_a_study():
    done = CliRunner().invoke(app, ["hosting", "hosting-oberrhein", "--bus", "81", "--tol-mw", "1"])
    assert isinstance(done.exception, InputError)
    assert all(name in str(done.exception) for name in ("--bus", "--tol-mw"))
    several = CliRunner().invoke(app, ["run", "hosting-oberrhein", "--workers", "2"])
    assert "Leave it out" in str(several.exception)
    nowhere = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--out", "no/such/folder/x.csv"])
    assert "cannot be written there" in str(nowhere.exception)


def test_hosting_prints_what_lets_a_bus_take_more():
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "-l", "ratings", "--want", "6"])
    assert "Cheapest set" in done.output
    assert "larger line at line:181" in done.output
    several = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--want", "6"])
    assert isinstance(several.exception, InputError)


@pytest.mark.parametrize("more", ["--curve", "--n-1", "--outages=substation", "--out=x.csv", "--max-mw=9", "--set=a=1"])
def test_what_would_change_nothing_beside_a_wish_is_refused(more):
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "--want", "6", more])
    assert isinstance(done.exception, InputError)
    assert more.partition("=")[0] in str(done.exception)


def test_hosting_prints_a_curve():
    done = CliRunner().invoke(app, ["hosting", "mv_oberrhein", "--bus", "81", "-l", "ratings", "--curve"])
    assert "room_loading_percent" in done.output


def test_outages_by_the_command_line_lower_the_capacity(tmp_path):
    asked = ["hosting", _case9(tmp_path), "--bus", "4", "--existing", "no_worse", "--tol-mw", "0.1"]
    given = tmp_path / "outages.yaml"
    given.write_text("outages:\n  - line:4\n  - {name: both, out: [line:1, gen:1]}\n", encoding="utf-8")
    found = {}
    for name, more in (
        ("whole", []),
        ("listed", ["--outages", str(given)]),
        ("emergency", ["--outages", str(given), "--emergency-percent", "150"]),
        ("all", ["--n-1"]),
    ):
        out = tmp_path / f"{name}.csv"
        done = CliRunner().invoke(app, [*asked, "-l", str(_limits(tmp_path)), *more, "-o", str(out)])
        assert done.exit_code == 0, done.output
        found[name] = float(pd.read_csv(out, index_col="bus").loc[4, "capacity_mw"])
        assert ("outage" in done.output.splitlines()[0].split()) == bool(more)
        assert ("shared by the units that remain" in done.output) == bool(more)
        assert ("emergency rating is given" in done.output) == (name in {"listed", "all"})
    assert found["all"] <= found["listed"] < found["emergency"] <= found["whole"]


def test_outages_that_cannot_be_used_are_refused(tmp_path):
    for more, text in (
        (["--n-1", "--outages", "substation"], "both given"),
        (["--outages", str(tmp_path / "none.yaml")], "no such file of outages"),
        (["--emergency-percent", "120"], "about outages"),
    ):
        done = CliRunner().invoke(app, ["hosting", _case9(tmp_path), "--bus", "4", *more])
        assert isinstance(done.exception, InputError), done.output
        assert text in str(done.exception)


def _case9(folder):
    import pandapower as pp
    from pandapower import networks

    path = folder / "case9.json"
    pp.to_json(networks.case9(), str(path))
    return str(path)


def _limits(folder):
    """Return a file of limits that case9 keeps without a site."""
    path = folder / "limits.yaml"
    band, rating = "vm_pu: [0.8, 1.1]", "loading_percent: 110"
    text = f"limits:\n  - {{limit: voltage, name: band, {band}}}\n  - {{limit: loading, name: rating, {rating}}}\n"
    path.write_text(text, encoding="utf-8")
    return path
