"""The load request sheet: closed forms, what it refuses, and each of its papers."""

import csv
import json
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import finer, schema
from gridedge.errors import InputError
from gridedge.formats.sheet_page import table

PLAN = {2027: 25, 2028: 60, 2029: 100}


def load_of(p_mw, dt_s, power="at the meter", q_mvar=None, **attrs):
    ds = schema.power_dataset(np.asarray(p_mw, dtype=float), dt_s, power=power, attrs={"profile": "test", **attrs})
    if q_mvar is not None:
        ds["q_mvar"] = ds["p_mw"].dims, np.asarray(q_mvar, dtype=float)
    return ds


def square(dt_s=0.5, half_s=30.0, hours=1.0, low=20.0, high=100.0):
    """A square wave of equal halves."""
    time = np.arange(round(hours * 3600 / dt_s)) * dt_s
    return load_of(np.where(time % (2 * half_s) < half_s, high, low), dt_s, q_mvar=np.zeros(time.size))


def test_a_square_wave_has_its_closed_form():
    """Halves of 30 s between 100 and 20 MW; a quarter of an hour holds 15 whole periods."""
    sheet = gridedge.request_sheet(square(), energisation_mw=PLAN)
    assert sheet.mean_mw == pytest.approx(60.0, abs=1e-9)
    assert sheet.expected_mw == pytest.approx(60.0, abs=1e-9)
    assert (sheet.highest_mw, sheet.smallest_mw) == (100.0, 20.0)
    assert sheet.load_factor_pu == pytest.approx(1.0, abs=1e-12)
    assert sheet.change_1s_mw == sheet.change_5s_mw == 80.0
    assert sheet.ramp_mw_per_min == pytest.approx(0.0, abs=1e-12)  # the same phase a minute later
    assert sheet.power_factor == 1.0
    assert (sheet.contracted_mw, sheet.demand_s) == (100.0, 900.0)
    assert sheet.energisation_mw == ((2027, 25.0), (2028, 60.0), (2029, 100.0))


def test_a_ramp_has_its_closed_form():
    """From 0 to 60 MW in an hour at 1 s: 1 MW/min; the last quarter is the highest."""
    sheet = gridedge.request_sheet(load_of(np.arange(3600) / 60, 1.0), contracted_mw=60)
    assert sheet.ramp_mw_per_min == pytest.approx(1.0, rel=1e-12)
    assert sheet.change_5s_mw == pytest.approx(5 / 60, rel=1e-10)
    assert sheet.expected_mw == pytest.approx(np.mean(np.arange(2700, 3600)) / 60, rel=1e-12)
    assert sheet.load_factor_pu == pytest.approx(1799.5 / 3149.5, rel=1e-12)


def test_blocks_do_not_change_a_figure(monkeypatch):
    from gridedge.formats import sheet as room

    rng = np.random.default_rng(5)
    load = load_of(50 + rng.random(20_000).cumsum() % 17, 1.0)
    whole = gridedge.request_sheet(load, contracted_mw=70)
    monkeypatch.setattr(room, "_BLOCK", 100)
    parts = gridedge.request_sheet(load, contracted_mw=70)
    for name in ("change_1s_mw", "change_5s_mw", "ramp_mw_per_min", "power_factor"):
        assert getattr(parts, name) == getattr(whole, name)
    assert parts.expected_mw == pytest.approx(whole.expected_mw, rel=1e-12)
    lazy = gridedge.request_sheet(finer.interpolate(load.isel(time=slice(0, 50)), 0.5), contracted_mw=70)
    assert lazy.duration_s == 50.0


def test_what_lies_across_two_blocks_is_seen(monkeypatch):
    """Blocks of 3604 s: a step on their border, and a quarter of an hour that lies half in each."""
    from gridedge.formats import sheet as room

    monkeypatch.setattr(room, "_BLOCK", 100)
    border = 4 * 901
    time = np.arange(3 * border)
    step = gridedge.request_sheet(load_of(np.where(time < border, 50.0, 60.0), 1.0), contracted_mw=60)
    assert (step.change_1s_mw, step.change_5s_mw) == (10.0, 10.0)
    assert step.ramp_mw_per_min == pytest.approx(10.0, rel=1e-12)
    bump = np.where(np.abs(time - border + 0.5) < 450, 60.0, 50.0)
    assert gridedge.request_sheet(load_of(bump, 1.0), contracted_mw=60).expected_mw == pytest.approx(60.0, rel=1e-12)


@pytest.mark.parametrize("sign", [1, -1])
def test_the_power_factor_is_that_of_the_highest_power(sign):
    load = load_of([10.0, 80.0, 20.0], 1.0, q_mvar=[10.0, sign * 60.0, 0.0])
    assert gridedge.request_sheet(load).power_factor == pytest.approx(sign * 0.8, rel=1e-12)


def test_motors_follow_from_the_facility():
    """Constant IT power: IT/0.96 + 0.1 IT + 0.06 of nameplate at the meter; the last two are motors."""
    it = schema.power_dataset(np.full(3600, 8.0), 1.0, power="IT", attrs={"nameplate_mw": 10.0})
    load = gridedge.connect(it, {})
    sheet = gridedge.request_sheet(load, cooling_proportional_pu=0.10, cooling_fixed_pu=0.06, contracted_mw=10)
    assert sheet.motor_share_pu == pytest.approx((0.8 + 0.6) / (8 / 0.96 + 0.8 + 0.6), rel=1e-12)
    assert sheet.motor_share_pu + sheet.electronic_share_pu == pytest.approx(1.0, abs=1e-15)
    stated = gridedge.request_sheet(load, motor_share_pu=0.2, contracted_mw=10)
    assert (stated.motor_share_pu, stated.electronic_share_pu) == (0.2, 0.8)
    assert gridedge.request_sheet(load).motor_share_pu is None


def test_a_load_that_cannot_tell_says_so():
    sheet = gridedge.request_sheet(load_of([1.0, 2.0, 1.0, 2.0], 2.0, power="IT"), contracted_mw=2)
    assert sheet.change_1s_mw is None
    assert sheet.change_5s_mw == 1.0
    assert sheet.ramp_mw_per_min is None
    assert (sheet.demand_s, sheet.expected_mw) == (2.0, 2.0)
    notes = " ".join(sheet.notes)
    assert "change in 1 s: cannot tell, steps of 2 s cannot show a change within 1 s" in notes
    assert "change in 5 s: a lower bound" in notes
    assert "Largest ramp: cannot tell" in notes
    assert "shows no mean over 900 s" in notes
    assert "conversion losses and cooling are not in it" in notes
    assert "power factor 0.98 lagging, assumed" in notes
    rows = {row.asked: row.value for row in table(sheet)}
    assert rows["Largest change in 1 s"] == rows["Motor load"] == rows["Voltage level"] == "not stated"


def test_extremes_are_those_of_all_members():
    p = np.stack([np.full(1800, 5.0), np.full(1800, 7.0)])
    p[1, 900] = 2.0
    sheet = gridedge.request_sheet(load_of(p, 1.0), contracted_mw=7)
    assert (sheet.members, sheet.highest_mw, sheet.smallest_mw, sheet.expected_mw) == (2, 7.0, 2.0, 7.0)
    assert sheet.change_1s_mw == 5.0
    assert "all 2 members" in table(sheet)[1].basis


@pytest.mark.parametrize(
    ("contracted", "plan", "words"),
    [
        (50, None, "more than the 50 MW contracted"),
        (90, None, "The highest sample, 100 MW, is above the 90 MW contracted"),
        (1000, None, "6.0% of the 1000 MW contracted"),
        (None, None, "not stated"),
        (62, PLAN, "has 100 MW, the contract 62 MW"),
    ],
)
def test_what_is_asked_for_is_held_against_the_load(contracted, plan, words):
    sheet = gridedge.request_sheet(square(), contracted_mw=contracted, energisation_mw=plan)
    assert any(words in note for note in sheet.notes)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"energisation_mw": {2027: 60, 2028: 25}}, "the power in service falls in 2028 (got 60 MW, then 25 MW)"),
        ({"energisation_mw": {27: 60}}, "a year of energisation is none (got 27)"),
        ({"energisation_mw": {2027: -1}}, "the power of 2027 is none (got -1)"),
        ({"energisation_mw": {2027: "25 MW"}}, "the power of 2027 is none (got 25 MW)"),
        ({"energisation_mw": {2027: float("nan")}}, "the power of 2027 is none"),
        ({"contracted_mw": 0}, "contracted_mw must be positive (got 0)"),
        ({"voltage_kv": -20}, "voltage_kv must be positive (got -20)"),
        ({"voltage_kv": "138 kV"}, "voltage_kv must be positive (got '138 kV')"),
        ({"voltage_kv": 138_000}, "(got 138000). Give kilovolts: 138 if these are volts."),
        ({"energisation_mw": [25, 60]}, "energisation_mw must be a dict (got list). Write {2027: 25, 2028: 60}"),
        ({"phases": 2}, "phases must be 1 or 3 (got 2)"),
        ({"motor_share_pu": 1.5}, "motor_share_pu is no share (got 1.5)"),
        ({"motor_share_pu": 0.1, "cooling_fixed_pu": 0.06}, "given twice"),
        ({"cooling_fixed_pu": -0.06}, "a share of cooling is negative"),
        ({"cooling_fixed_pu": 0.06}, "does not say its IT power and nameplate"),
        ({"power_factor": 0.9}, "the load has reactive power already"),
    ],
)
def test_a_figure_that_cannot_be_is_refused(options, message):
    with pytest.raises(InputError) as caught:
        gridedge.request_sheet(square(), **options)
    assert message in str(caught.value)


def test_a_load_that_cannot_be_is_refused():
    two = xr.concat([square(), square()], "site").assign_coords(site=["a", "b"])
    with pytest.raises(InputError, match="a sheet is for one site"):
        gridedge.request_sheet(two)
    with pytest.raises(InputError, match="first at step 2"):
        gridedge.request_sheet(load_of([1, 2, np.nan, 4], 1.0))
    with pytest.raises(InputError, match="the load draws nothing"):
        gridedge.request_sheet(load_of(np.zeros(1000), 1.0))


class _Cells(HTMLParser):
    """Collects the text of table cells."""

    def __init__(self):
        super().__init__()
        self.cells, self.inside = [], False

    def handle_starttag(self, tag, attrs):
        self.inside = tag == "td"
        if self.inside:
            self.cells.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.cells[-1] += data


@pytest.fixture
def sheet():
    load = square().assign_attrs(seed=3, profile="A <job> & more | than one")
    return gridedge.request_sheet(load, energisation_mw=PLAN, voltage_kv=138, site="West, hall 1")


def test_each_paper_says_the_same(tmp_path, sheet):
    wanted = [[row.asked, row.value, row.unit, row.basis] for row in table(sheet)]
    with sheet.write(tmp_path / "s.csv").open(encoding="utf-8", newline="") as file:
        read = list(csv.reader(line for line in file if not line.startswith("#")))
    assert read == [["asked", "value", "unit", "basis"], *wanted]
    parser = _Cells()
    parser.feed(sheet.write(tmp_path / "s.html").read_text(encoding="utf-8"))
    assert parser.cells == [cell for row in wanted for cell in row]
    lines = sheet.write(tmp_path / "s.md").read_text(encoding="utf-8").splitlines()
    cells = [line.replace("\\|", "\0") for line in lines if line.startswith("| ")][1:]
    assert [[c.strip().replace("\0", "|") for c in line.strip("|").split("|")] for line in cells] == wanted
    data = json.loads(sheet.write(tmp_path / "s.json").read_text(encoding="utf-8"))
    assert data["energisation_mw"] == {"2027": 25.0, "2028": 60.0, "2029": 100.0}
    assert data["change_5s_mw"] == 80.0
    for name in ("s.csv", "s.html", "s.md", "s.json"):
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert "gridedge" in text
        assert "West, hall 1" in text
    assert "<job>" not in (tmp_path / "s.html").read_text(encoding="utf-8")


def test_a_paper_of_another_kind_is_refused(tmp_path, sheet):
    with pytest.raises(InputError, match=r"s\.docx.*\.html"):
        sheet.write(tmp_path / "s.docx")
    assert list(tmp_path.iterdir()) == []
