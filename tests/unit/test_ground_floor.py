"""Errors, units, clocks, datasets, and YAML with lines."""

import pickle

import numpy as np
import pytest
import xarray as xr

from gridedge import schema, sources, timebase, yamlfile
from gridedge.errors import InputError, Problem, bad, nearest
from gridedge.sites.facility import Facility
from gridedge.sites.storage import Battery
from gridedge.spec import build, take
from gridedge.units import unit_of


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("p_mw", "MW"),
        ("loading_percent", "%"),
        ("ramp_mw_per_min", "MW/min"),
        ("vm_min_pu", "pu"),
        ("fall_pu_per_s", "pu/s"),
        ("servers", ""),
        ("window_s", "s"),
    ],
)
def test_the_unit_comes_from_the_name(name, unit):
    assert unit_of(name) == unit


def test_an_error_carries_its_problems_through_a_worker():
    error = InputError([Problem("a", "1", "Cure one.", "f.yaml:3"), Problem("b", "", "Cure two.")])
    again = pickle.loads(pickle.dumps(error))
    assert str(again) == "f.yaml:3: a (got 1). Cure one.\nb. Cure two."
    assert again.problems == error.problems
    assert isinstance(bad("x", 3, "Do."), ValueError)
    assert str(pickle.loads(pickle.dumps(InputError("plain")))) == "plain"


def test_nearest_suggests_or_lists():
    assert nearest("MV_oberhein", ["mv_oberrhein", "case39"]) == "Did you mean 'mv_oberrhein'?"
    assert nearest("zzz", ["b", "a"]) == "Known: a, b."
    assert nearest("x", []) == "There is none."


@pytest.mark.parametrize(("duration", "dt", "steps"), [(600, 0.05, 12000), (86400, 900, 96), (0.3, 0.1, 3), (1, 1, 1)])
def test_step_count(duration, dt, steps):
    assert timebase.step_count(duration, dt) == steps


@pytest.mark.parametrize(
    ("duration", "dt", "message"),
    [
        (0, 1, "duration_s must be a positive"),
        (-5, 1, "duration_s must be a positive"),
        (float("nan"), 1, "duration_s must be a positive"),
        (1, 0, "dt_s must be a positive"),
        ("600", 1, r"duration_s must be a positive number of seconds \(got '600'\)"),
        (1, 2, r"longer than duration_s \(got 2 s > 1 s\). Shorten dt_s or lengthen duration_s."),
        (1, 0.3, "no whole number of steps"),
    ],
)
def test_bad_clocks_are_refused(duration, dt, message):
    with pytest.raises(InputError, match=message):
        timebase.step_count(duration, dt)


def test_a_clock_that_jumps_is_refused():
    assert timebase.step_of(0.05 * np.arange(100000)) == pytest.approx(0.05)
    with pytest.raises(InputError, match=r"2 s is followed by 4 s"):
        timebase.step_of(np.array([0.0, 1, 2, 4, 5]))
    with pytest.raises(InputError, match="not even"):
        timebase.step_of(np.array([2.0, 1.0, 0.0]))


def test_coarsen_and_hold():
    x = np.array([1.0, 3, 5, 1])
    assert timebase.coarsen(x, 2, "mean").tolist() == [2, 3]
    assert timebase.coarsen(x, 2, "max").tolist() == [3, 5]
    assert timebase.coarsen(x, 2, "min").tolist() == [1, 1]
    with pytest.raises(InputError, match="whole number"):
        timebase.coarsen(x, 3, "mean")
    with pytest.raises(InputError, match="unknown reduction"):
        timebase.coarsen(x, 2, "last")
    coarse = np.array([0.0, 10.0])
    assert timebase.hold(np.array([0.0, 9.9, 10.0, 19.9]), coarse, 10.0).tolist() == [0, 0, 1, 1]
    for outside in (-0.1, 20.0):
        with pytest.raises(InputError, match="outside the background"):
            timebase.hold(np.array([outside]), coarse, 10.0)


def test_a_dataset_is_described_and_checked():
    ds = schema.power_dataset(np.ones(3), 0.5, power="IT")
    assert ds["p_mw"].attrs["units"] == "MW"
    assert ds["time"].attrs["units"] == "s"
    assert ds["p_mw"].attrs["cell_methods"] == "time: mean"
    schema.require(ds, ["p_mw"], thing="the load")
    holed = ds.copy(deep=True)
    holed["p_mw"][1] = np.nan
    with pytest.raises(InputError) as caught:
        schema.require(holed.drop_vars("time"), ["p_mw", "q_mvar"], thing="the load")
    text = str(caught.value)
    assert "p_mw is not a number (got 1 samples, first at step 1)" in text
    assert "has no q_mvar" in text
    assert "no time coordinate" in text
    words = ds.assign(p_mw=("time", ["5 MW", "6 MW", "7 MW"]))
    with pytest.raises(InputError, match=r"p_mw holds no numbers \(got <U4\)"):
        schema.require(words, ["p_mw"], thing="the load")
    with pytest.raises(InputError, match="must be an xarray Dataset"):
        schema.require(np.ones(3), ["p_mw"], thing="the load")
    assert schema.clock(xr.Dataset(coords={"time": [5.0]}, attrs={"dt_s": 2})) == 2


def test_yaml_says_where_and_reports_everything_together():
    text = (
        "step: battery\np_rated_mw: 1\np_rated_mw: 2\ne_rated_mwh: nought\ncharge_efficency: 0.9\nramp_mw_per_min: -1\n"
    )
    with pytest.raises(InputError) as caught:
        build(Battery, yamlfile.parse(text, "b.yaml"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    assert lines[0].startswith("b.yaml:3: key written twice (got p_rated_mw). It stands at b.yaml:2")
    assert any(line.startswith("b.yaml:4: e_rated_mwh cannot be used (got 'nought')") for line in lines)
    assert any("b.yaml:5: unknown key" in line and "Did you mean 'charge_efficiency'?" in line for line in lines)
    assert any(line.startswith("b.yaml:6: ramp_mw_per_min cannot be used (got -1)") for line in lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [("a: [1\n", "this is not YAML"), ("- 1\n", "not a mapping"), ("", "not a mapping"), ("a: 1\n b: 2\n", "not YAML")],
)
def test_what_is_no_mapping_is_refused(text, message):
    with pytest.raises(InputError, match=message):
        yamlfile.parse(text, "f.yaml")


def test_a_file_that_is_not_there_says_so(tmp_path):
    with pytest.raises(InputError, match=r"there is no such file \(got .*nope.yaml\). Name a YAML file that exists"):
        yamlfile.read(tmp_path / "nope.yaml")


def test_yaml_is_version_1_2():
    data = yamlfile.parse("a: 1e6\nb: off\nc: 12:30:00\nd: 0x10\n").data
    assert data == {"a": 1e6, "b": "off", "c": "12:30:00", "d": 16}


def test_override_sets_what_the_path_names():
    document = yamlfile.parse("a: {b: 1}\nc: [{d: 2}]\n", "f.yaml")
    yamlfile.override(document, ["a.b=118", 'a.e="118"', "c.0.d=[1, 2]", "new.key=x"])
    assert document.data == {"a": {"b": 118, "e": "118"}, "c": [{"d": [1, 2]}], "new": {"key": "x"}}
    assert document.where(("a", "b")) == "--set a.b=118"
    for setting, message in (("a.b", "KEY=VALUE"), ("c.4.d=1", "Items: 0 to 0"), ("a.b.c=1", "single value")):
        with pytest.raises(InputError, match=message):
            yamlfile.override(document, [setting])


def test_a_spec_round_trips_and_its_hash_names_it():
    spec = Facility(power_factor=-0.97)
    assert build(Facility, yamlfile.parse(spec.to_yaml())) == spec
    assert spec.hash() == Facility(power_factor=-0.97).hash() != Facility().hash()
    assert take(Facility, {"power_factor": -0.97}) == spec
    with pytest.raises(InputError, match="cannot make a Facility"):
        take(Facility, 3)


def test_every_default_says_where_it_comes_from():
    battery = Battery(step="battery", p_rated_mw=1, e_rated_mwh=1, ramp_mw_per_min=1)
    marks = {a.name: a.mark for a in battery.assumptions()}
    assert marks["p_rated_mw"] == "chosen"
    assert marks["charge_efficiency"] == "quoted"
    assert marks["law.smooth_s"] == "assumed"
    assert all(a.source for a in battery.assumptions())
    changed = {a.name: a.mark for a in battery.model_copy(update={"standby_pu": 0.0}).assumptions()}
    assert (marks["standby_pu"], changed["standby_pu"]) == ("assumed", "chosen")


def test_shipped_data_is_found_by_name_and_path():
    assert "default" in sources.names("studies")
    assert sources.resolve("studies", "default").name == "default.yaml"
    assert sources.resolve("studies", "studies/default.yaml").is_file()
    with pytest.raises(InputError, match="Did you mean 'default'"):
        sources.resolve("studies", "defualt")
    with pytest.raises(InputError, match="no such study file"):
        sources.resolve("studies", "nowhere/x.yaml")


def test_data_is_found_beside_the_package_when_there_is_no_checkout(tmp_path, monkeypatch):
    package = tmp_path / "gridedge"
    (package / "data" / "studies").mkdir(parents=True)
    (package / "data" / "studies" / "a.yaml").write_text("title: x\n")
    monkeypatch.setattr(sources, "_PACKAGE", package)
    assert sources.names("studies") == ["a"]
    with pytest.raises(InputError, match="shipped feeders are missing"):
        sources.names("feeders")
