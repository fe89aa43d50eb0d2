"""An exported LoadShape in OpenDSS itself, through dss-python: declared, read back, and drawn by a load."""

import os

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError

dss_python = pytest.importorskip("dss")

CIRCUIT = """
New Circuit.test basekv=20 pu=1.0 phases=3 bus1=grid mvasc3=1e6 mvasc1=1e6
New Line.feeder bus1=grid bus2=site phases=3 r1=0.05 x1=0.1 r0=0.1 x0=0.3 c1=0 c0=0 length=1 units=km
"""


@pytest.fixture
def dss(tmp_path):
    """Give an engine of its own, and bring back the working folder, which OpenDSS changes."""
    before = os.getcwd()
    engine = dss_python.DSS.NewContext()
    engine.AllowForms = False
    engine("clear")
    yield engine
    os.chdir(before)


def load_of(steps, dt_s, seed=2):
    rng = np.random.default_rng(seed)
    p = 3.0 + 2.0 * rng.random(steps)
    ds = schema.power_dataset(p, dt_s, power="at the meter", attrs={"profile": "test", "seed": seed})
    ds["q_mvar"] = "time", 0.5 - 1.5 * rng.random(steps)  # on both sides of zero
    return schema.describe(ds)


def test_the_shape_is_read_back(tmp_path, dss):
    load = load_of(240, 0.5)
    folder = tmp_path / "a folder"
    folder.mkdir()
    written = gridedge.export(load, folder / "my load.dss", start="2027-07-01T00:00Z")
    assert [f.name for f in written.files] == ["my load.dss", "my_load_p.csv", "my_load_q.csv"]
    dss(f'redirect "{folder / "my load.dss"}"')
    shapes = dss.ActiveCircuit.LoadShapes if dss.NumCircuits else None
    if shapes is None:  # shapes live in a circuit
        dss("new circuit.x")
        dss(f'redirect "{folder / "my load.dss"}"')
        shapes = dss.ActiveCircuit.LoadShapes
    shapes.Name = "my_load"
    assert shapes.Npts == 240
    assert shapes.sInterval == pytest.approx(0.5, rel=1e-12)
    assert not shapes.UseActual
    base_mw, base_mvar = float(load["p_mw"].max()), float(np.abs(load["q_mvar"]).max())
    assert shapes.PBase == pytest.approx(base_mw * 1e3, rel=1e-11)
    assert shapes.QBase == pytest.approx(base_mvar * 1e3, rel=1e-11)
    # Rounded to 1e-9 of the base.
    np.testing.assert_allclose(shapes.Pmult, load["p_mw"] / base_mw, rtol=0, atol=5.1e-10)
    np.testing.assert_allclose(shapes.Qmult, load["q_mvar"] / base_mvar, rtol=0, atol=5.1e-10)
    text = (folder / "my load.dss").read_text(encoding="utf-8")
    for word in ("gridedge", "test", "! seed: 2", "! source:"):
        assert word in text
    assert len((folder / "my_load_p.csv").read_text().splitlines()) == 240


@pytest.mark.parametrize(("mode", "dt_s"), [("duty", 0.5), ("daily", 900.0), ("yearly", 3600.0)])
def test_a_load_in_a_solved_circuit_draws_the_series(tmp_path, dss, mode, dt_s):
    """The load's line is the one that stands in the script as a comment; OpenDSS solves every step."""
    steps = 48
    load = load_of(steps, dt_s)
    gridedge.export(load, tmp_path / "site.dss", start="2027-07-01T00:00Z")
    for line in CIRCUIT.strip().splitlines():
        dss(line)
    dss(f'redirect "{tmp_path / "site.dss"}"')
    template = next(t for t in (tmp_path / "site.dss").read_text().splitlines() if t.startswith("! New Load."))
    dss(template.removeprefix("! ").replace("bus1=BUS", "bus1=site").replace("kv=KV", "kv=20"))
    dss("New Monitor.m element=Load.site terminal=1 mode=1 ppolar=no")
    dss("set voltagebases=[20]")
    dss("calcvoltagebases")
    dss(f"set mode={mode} stepsize={dt_s}s number={steps} tolerance=1e-10")
    dss("solve")
    assert dss.ActiveCircuit.Solution.Converged
    monitor = dss.ActiveCircuit.Monitors
    monitor.Name = "m"
    assert monitor.SampleCount == steps
    p_kw = sum(np.asarray(monitor.Channel(k)) for k in (1, 3, 5))
    q_kvar = sum(np.asarray(monitor.Channel(k)) for k in (2, 4, 6))
    # A monitor keeps single precision of each phase: 6e-8 of about 1700 kW, three times.
    np.testing.assert_allclose(p_kw, load["p_mw"] * 1e3, rtol=0, atol=2e-3)
    np.testing.assert_allclose(q_kvar, load["q_mvar"] * 1e3, rtol=0, atol=2e-3)


def test_each_site_has_its_shape(tmp_path, dss):
    two = xr.concat([load_of(10, 1.0, 1), load_of(10, 1.0, 2)], "site").assign_coords(site=["west", "east side"])
    gridedge.export(two, tmp_path / "s.dss", start="2027-07-01T00:00Z")
    dss("new circuit.x")
    dss(f'redirect "{tmp_path / "s.dss"}"')
    assert {"s_west", "s_east_side"} <= set(dss.ActiveCircuit.LoadShapes.AllNames)


def test_a_load_without_reactive_power_has_a_shape_of_zeros(tmp_path, dss):
    load = load_of(10, 1.0).drop_vars("q_mvar")
    gridedge.export(load, tmp_path / "s.dss", start="2027-07-01T00:00Z", power_factor=1.0)
    assert set((tmp_path / "s_q.csv").read_text().split()) == {"0"}


@pytest.mark.parametrize("name", ["---.dss", "default.dss"])
def test_a_name_that_opendss_cannot_take_is_refused(tmp_path, name):
    with pytest.raises(InputError, match="no name of a LoadShape"):
        gridedge.export(load_of(10, 1.0), tmp_path / name, start="2027-07-01T00:00Z")
    assert list(tmp_path.iterdir()) == []


def test_a_name_may_begin_with_a_digit(tmp_path, dss):
    gridedge.export(load_of(10, 1.0), tmp_path / "2027 west.dss", start="2027-07-01T00:00Z")
    dss("new circuit.x")
    dss(f'redirect "{tmp_path / "2027 west.dss"}"')
    assert "2027_west" in dss.ActiveCircuit.LoadShapes.AllNames
