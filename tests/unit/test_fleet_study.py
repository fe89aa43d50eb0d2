"""The study of a fleet, on a small net: what it says must follow from what was solved."""

import copy
import json
import math

import numpy as np
import pandapower as pp
import pytest

from gridedge import InputError, run_fleet, run_hosting
from gridedge.profiles.traffic.traffic import request_rate
from gridedge.sites.fleet.model import Fleet
from gridedge.spec import build
from gridedge.study.fleet_model import FleetStudySpec, load_fleet_study
from gridedge.study.fleet_table import COLUMNS
from gridedge.study.kinds import kind_of
from gridedge.study.run import run
from tests.fleet_study import small_study

ONE, THREE = "1 x 3 MW", "3 x 1 MW"
ONE_MW = {"sites": 1, "mw_each": 1, "how": "named", "where": "Bus 73"}


@pytest.fixture(scope="module")
def result():
    return run_fleet(small_study())


def test_the_table_has_every_quantity_with_its_unit(result):
    assert list(result.table.columns) == list(COLUMNS)
    assert list(result.table.index) == [ONE, THREE]
    assert result.table["connection_mw"].tolist() == [3.0, 3.0]
    assert result.table["accelerators"].nunique() == 1  # the same computers


def test_energy_is_that_of_the_series_and_books_close(result):
    per_h = 900.0 / 3600.0
    for label, week in result.week.items():
        here = result.table.loc[label]
        assert float(week["p_mw"].sum()) * per_h / 1e3 == pytest.approx(here["energy_gwh"], rel=1e-12)
        assert float(week["p_it_mw"].sum()) * per_h / 1e3 == pytest.approx(here["it_gwh"], rel=1e-12)
        assert here["pue"] == pytest.approx(here["energy_gwh"] / here["it_gwh"], rel=1e-12)
    assert result.manifest["books_gap"] < 1e-9
    mine = result.sites.groupby("layout")["energy_mwh"].sum() / 1e3
    assert mine[THREE] == pytest.approx(result.table.at[THREE, "energy_gwh"], rel=1e-12)


def test_the_net_feels_what_runpp_says(result):
    """The losses of one quarter hour and its lowest voltage, against plain runpp with the site as a load."""
    from gridedge.grid.feeders import load_feeder

    hour = int(np.argmax(result.year["p_load_mw"].values))
    shape = load_fleet_study(small_study()).spec.background.shape
    for label in (ONE, THREE):
        net = copy.deepcopy(load_feeder("mv_oberrhein").net)
        net.load[["p_mw", "q_mvar"]] *= shape.factor(96)[hour]
        week, placement = result.week[label], result.placements[label]
        sites = result.sites[result.sites["layout"] == label]
        assert sites["bus"].tolist() == [s.bus for s in placement.sites]
        total = float(week["p_mw"].isel(time=hour).sum())
        assert float(result.year["p_site_mw"].sel(case=label)[hour]) == pytest.approx(total, rel=1e-12)
        if label == THREE:
            continue  # the share of each site is not in the week
        pp.create_load(net, placement.sites[0].bus, total, total * math.tan(math.acos(0.98)))
        pp.runpp(net, tolerance_mva=1e-10)
        here = result.year.sel(case=label).isel(time=hour)
        assert float(here["vm_pu_min"]) == pytest.approx(float(net.res_bus["vm_pu"].min()), abs=1e-8)
        assert float(here["pl_mw"]) == pytest.approx(
            float(net.res_line["pl_mw"].sum() + net.res_trafo["pl_mw"].sum()), abs=1e-6
        )


def test_one_site_cannot_hand_over_and_three_can(result):
    one, three = result.lost[ONE], result.lost[THREE]
    assert result.table.at[ONE, "lost_refused_pu"] > 0.95
    assert result.table.at[THREE, "lost_refused_pu"] == 0.0
    assert float(one["lands_mw"].sum()) == 0.0
    assert (three["lands_mw"].values.diagonal() == 0).all()
    landed = three["lands_mw"].sum("site").values
    assert (landed > 0.4 * float(three["before_mw"].sum())).all()
    lost = three["before_mw"].values.max()
    assert result.table.at[THREE, "lost_mw"] == pytest.approx(lost)
    step = result.lost_grid[THREE]["vm_step_pu"].values
    assert result.table.at[THREE, "step_percent"] == pytest.approx(100 * np.abs(step).max())


def test_the_stretch_of_a_loss_is_the_year_at_that_hour(result):
    """With the clocks of people, and what they ask by then: the stretch without a loss draws what the year draws."""
    hour = int(np.argmax(result.year["p_load_mw"].values))
    for label, lost in result.lost.items():
        stretch, year = float(lost["before_mw"].sum()), result.week[label]["p_mw"].sum("tier").values
        assert stretch == pytest.approx(np.interp(2.33, [0.5, 1.5, 2.5], year[hour : hour + 3]), rel=0.003)
    from gridedge.study.fleet_layout import _from

    spec = load_fleet_study("dallas-gigawatt").spec
    traffic = {"zone": spec.zone, "start": "2016-01-01 00:00:00"}
    traffic["classes"] = {"conversation": {"requests_per_s": 2.0, "growth_pu_per_year": 0.5}}
    site = {"name": "a", "lat": 32.8, "lon": -96.8, "p_mw": 10}
    plan = build(Fleet, {"traffic": traffic, "places": [{"name": "p", "lat": 32.8, "lon": -96.8}], "sites": [site]})
    later = _from(plan, 5367 * 3600.0)
    year = request_rate(plan.traffic, duration_s=5368 * 3600.0, dt_s=3600.0)["rate_per_s"].values[-1]
    stretch = request_rate(later.traffic, duration_s=3600.0, dt_s=3600.0)["rate_per_s"].values[0]
    assert stretch == pytest.approx(year, rel=1e-9)


def test_the_answer_is_three_sentences_made_of_the_table(result):
    assert len(result.answer) == 3
    table = result.table
    assert (
        f"{table.at[ONE, 'peak_mw']:.3g} and {table.at[THREE, 'peak_mw']:.3g} MW are drawn at most" in result.answer[0]
    )
    more = 100 * (table["energy_gwh"].max() / table["energy_gwh"].min() - 1)
    assert f"{more:.1f} % more at {table['energy_gwh'].idxmax()}" in result.answer[1]
    assert f"(rho {table.at[THREE, 'rho']:.2f})" in result.answer[2]
    assert "nan" not in " ".join(result.answer)


def test_fluctuations_follow_the_law(result):
    three = result.swings.loc[THREE]
    law = three["sd_site_mw"] * math.sqrt(3 * (1 + 2 * three["rho"]))
    assert three["sd_law_mw"] == pytest.approx(law, rel=1e-12)
    assert three["sd_mw"] == pytest.approx(law, rel=0.05)
    training = result.swings.loc["synchronous training"]
    assert training["change_5s_mw"] > 20 * result.swings.loc["the same in one campus", "change_5s_mw"]


def test_latency_grows_with_the_share_and_meets_its_bound(result):
    for label, one in result.latency.items():
        values = one["first_token_s"].values
        assert (np.diff(values, axis=1) >= 0).all(), label
        assert values[0, 0] > 1e-3 * float(one["network_ms"][0]) * 0.99
        beyond = np.interp(float(one["bound_s"][0]), values[0], one["share"].values)
        assert float(one["late_pu"][0]) == pytest.approx(1 - beyond, abs=0.021)


def test_all_else_equal_the_energy_is_as_the_pue():
    """One site in two buildings: the same computers at the same load, so that only the buildings differ."""
    where = {"sites": 1, "mw_each": 3, "how": "named", "where": "Bus 73"}
    study = small_study(
        layouts={"a": where | {"facility": "campus"}, "b": where | {"facility": "edge"}},
        loss=False, fluctuation=False, n_minus_1=False,
    )  # fmt: skip
    table = run_fleet(study).table
    assert table.at["a", "it_gwh"] == pytest.approx(table.at["b", "it_gwh"], rel=1e-12)
    ratio = table.at["b", "energy_gwh"] / table.at["a", "energy_gwh"]
    assert ratio == pytest.approx(table.at["b", "pue"] / table.at["a", "pue"], rel=1e-12)
    assert ratio > 1.1
    filled = load_fleet_study(study | {"computers": "filled"}).spec
    assert filled.computers == "filled"
    assert np.isnan(table["rho"]).all()
    assert np.isnan(table["n1_new"]).all()


def test_carbon_follows_the_hours_that_are_given(tmp_path):
    from gridedge.study.fleet_run import fleet_table

    path = tmp_path / "carbon.csv"
    path.write_text("carbon_g_per_kwh\n" + "\n".join(["100"] * 12 + ["300"] * 12) + "\n", encoding="utf-8")
    where = {"layouts": {"a": ONE_MW}, "loss": False, "fluctuation": False, "n_minus_1": False}
    made = run_fleet(small_study(**where, carbon=str(path)))
    p_mw = made.week["a"]["p_mw"].sum("tier").values
    kt = float(p_mw[:48].sum() * 100 + p_mw[48:].sum() * 300) * 0.25 / 1e6
    assert made.table.at["a", "carbon_kt"] == pytest.approx(kt, rel=1e-12)
    for text, message in (("co2\n1\n", "no column carbon_g_per_kwh"), ("carbon_g_per_kwh\n5\n-1\n", "row 3: -1")):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=message):
            fleet_table.carbon_series(path)
    with pytest.raises(InputError, match=r"cannot be read .got .*none.csv"):
        run_fleet(small_study(**where, carbon="none.csv"))


def test_filled_sites_have_as_many_computers_as_their_building_allows():
    where = {"sites": 1, "mw_each": 3, "how": "named", "where": "Bus 73"}
    study = small_study(
        layouts={"a": where | {"facility": "campus"}, "b": where | {"facility": "edge"}},
        loss=False, fluctuation=False, n_minus_1=False, computers="filled",
    )  # fmt: skip
    count = run_fleet(study).table["accelerators"]
    assert count["a"] > 1.1 * count["b"]


def test_what_is_written_is_read_back(tmp_path):
    study = small_study(loss=False, fluctuation=False, n_minus_1=False)
    made = run_fleet(study, out=tmp_path / "out")
    names = {path.name for path in made.out.iterdir()}
    assert {
        "layouts.csv",
        "sites.csv",
        "elements.csv",
        "fleet.json",
        "year.nc",
        "manifest.json",
        "report.html",
    } <= names
    plain = json.loads((made.out / "fleet.json").read_text(encoding="utf-8"))
    assert plain["layouts"][ONE]["energy_gwh"] == pytest.approx(made.table.at[ONE, "energy_gwh"])
    assert plain["layouts"][ONE]["rho"] is None
    again = load_fleet_study(made.out / "study.yaml")
    assert again.spec.hash() == made.manifest["spec_sha256"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"background": None}, r"the net has no year of its own \(got mv_oberrhein\). Give background.shape"),
        ({"cooling": {"cloud": "ice"}}, "unknown way of cooling .got ice."),
        ({"cooling": {"clud": "dry"}}, "cooling: names a tier that has none .got clud.. Did you mean"),
        ({"fleet": {"fil_pu": 0.5}}, "fleet: holds a key that it cannot have .got fil_pu.. Did you mean 'fill_pu'"),
        ({"fleet": {"sites": []}}, "fleet: holds a key that it cannot have .got sites."),
        ({"places": "dfv"}, "unknown area of towns .got dfv."),
        ({"places": "dfw"}, "town"),
        ({"serve": {"coding": {}}}, "serve names a class that nobody asks for .got coding."),
        ({"loss": {"window_s": 900, "at_s": 600}}, "too little of the stretch is left"),
        ({"step_s": 1000}, "the fleet's step does not divide the net's .got step_s 1000 s"),
        ({"peak_pu": 1.5}, "peak_pu"),
        ({"fluctuation": {"asks": "coding"}}, "fluctuation.asks names a class that nobody asks for"),
        ({"layouts": {"a": ONE_MW, "A": ONE_MW}}, "two layouts need the same file"),
        ({"layouts": {"a": ONE_MW | {"mw_each": 0.0007}}}, "capacity under the idle load"),
        ({"layouts": {"a": ONE_MW | {"where": "Bus 7x"}}}, "Bus 7x"),
        ({"zone": "Texas"}, "Texas"),
        ({"layouts": {"a": ONE_MW | {"how": "town", "where": None}}}, "needs places .*how: best"),
        ({"background": {"shape": "h100-at-scale"}}, "shape is no day of a feeder .got h100-at-scale, a profile of"),
    ],
)  # fmt: skip
def test_bad_input_has_one_message_with_its_cure(more, message):
    with pytest.raises(InputError, match=message):
        run_fleet(small_study(**more))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("cooling.edge=ice", "^--set cooling.edge=ice: cooling: unknown way of cooling"),
        ("holidays=[2025-13-01]", "the value of a setting is not YAML"),
    ],
)
def test_a_setting_is_named_where_the_file_lacks_its_key(setting, message):
    with pytest.raises(InputError, match=message):
        load_fleet_study("dallas-gigawatt", [setting])


def test_a_date_that_no_calendar_has_is_told_with_its_line(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("study: fleet\nholidays: [2025-13-01]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine.yaml:2: no date \(got 2025-13-01\)"):
        load_fleet_study(path)


def test_kinds_are_told_apart():
    assert kind_of(small_study()) == "fleet"
    assert kind_of("dallas-gigawatt") == "fleet"
    assert kind_of("default") == "site"
    assert kind_of("hosting-oberrhein") == "hosting"
    with pytest.raises(InputError, match=r"study of a fleet .got dallas-gigawatt.. Use gridedge.run_fleet"):
        run("dallas-gigawatt")
    with pytest.raises(InputError, match="no study of hosting capacity"):
        run_hosting(small_study())
    with pytest.raises(InputError, match=r"no study of a fleet .got default."):
        run_fleet("default")
    with pytest.raises(InputError, match=r"unknown kind of study .got flet."):
        run_fleet(small_study(study="flet"))


def test_the_shipped_study_asks_what_it_says():
    spec = load_fleet_study("dallas-gigawatt").spec
    assert {label: (one.sites, one.mw_each) for label, one in spec.layouts.items()} == {
        "1 x 1 GW": (1, 1000.0), "10 x 100 MW": (10, 100.0), "20 x 50 MW": (20, 50.0), "100 x 10 MW": (100, 10.0)
    }  # fmt: skip
    assert spec.n_minus_1
    assert spec.losing() is not None
    assert spec.swings() is not None
    again = FleetStudySpec.model_validate(spec.to_dict())
    assert again.hash() == spec.hash()


def test_a_feeder_below_hands_up_what_runpp_says():
    """Two powers of a site on the feeder, one of them between two levels, against plain runpp."""
    from pathlib import Path

    from gridedge.grid.feeders import load_feeder
    from gridedge.study.fleet_below import below_of, through

    layouts = {"a": {"sites": 1, "mw_each": 6, "how": "named", "where": "Bus 73", "under": "mv_oberrhein"}}
    spec = load_fleet_study(small_study(layouts=layouts)).spec
    below = below_of(spec, "a", Path())
    for p_mw in (6.0, 2.2):
        found = []
        for drawn in (0.0, p_mw):
            net = copy.deepcopy(load_feeder("mv_oberrhein").net)
            bus = int(net.bus.index[net.bus["name"] == below.bus_name][0])
            pp.create_load(net, bus, drawn, drawn * math.tan(math.acos(0.98)))
            pp.runpp(net, tolerance_mva=1e-10)
            found.append(net.res_ext_grid[["p_mw", "q_mvar"]].sum().to_numpy())
        above = np.array([float(v) for v in below.above(np.array(p_mw))])
        assert above == pytest.approx(found[1] - found[0], abs=2 * below.error_mva + 1e-7)
        assert above[0] > p_mw  # losses come with it
        loaded = max(net.res_line["loading_percent"].max(), net.res_trafo["loading_percent"].max())
        assert below.at(p_mw)[0] == pytest.approx(float(loaded), abs=0.01)
        assert below.at(p_mw)[1] == pytest.approx(float(net.res_bus["vm_pu"].min()), abs=1e-5)
    assert below.error_mva < 1e-3
    drawn = load_fleet_drawn(2.2)
    assert float(through(drawn, below)["p_mw"][0, 0]) == pytest.approx(above[0], rel=1e-12)
    assert through(drawn, None) is drawn


def load_fleet_drawn(p_mw):
    """One site in one step."""
    import xarray as xr

    one = {"p_mw": (("time", "site"), [[p_mw]]), "q_mvar": (("time", "site"), [[0.0]])}
    return xr.Dataset(one, coords={"time": [0.0], "site": ["a"]})
