"""A study with tap changers: the season follows them, the windows hold them, the files and the report say so."""

import json

import numpy as np
import pandas as pd
import pytest
import xarray as xr

pytest.importorskip("pandapower")

import gridedge
from gridedge.grid.feeders import load_feeder
from gridedge.grid.inject import scaled_background

SMALL = {
    "waveform.dt_s": 0.05, "waveform.window_s": 5, "waveform.measure_s": 30, "waveform.run_in_s": 30,
    "waveform.sources": "held", "strategies": "{plain: []}", "rulebook": "null",
    "requirement": "[]",
}  # fmt: skip
POWERS = {"p_mw": "p_site_mw", "q_mvar": "q_site_mvar"}
TAPS = {"vm_set_pu": 1.03, "deadband_pu": 0.01}


def test_a_study_with_taps(tmp_path):
    settings = [f"{k}={v}" for k, v in SMALL.items()] + [f"taps.{k}={v}" for k, v in TAPS.items()]
    result = gridedge.run("default", out=tmp_path / "out", settings=settings)
    season = result.data["plain"]["season"]
    report = result.voltage["plain"]
    assert report.operations == dict(zip(season["changer"].values, season["operations"].values, strict=True))
    assert report.operations["trafo:114"] > 0
    assert set(result.voltage) == {"without the site", "plain"}

    # The window at the peak stands where the taps settle at that hour with the site at its mean, not as in the file.
    net = load_feeder("mv_oberrhein").net
    window, bus = result.data["plain"]["window_peak"], season.attrs["site_bus"]
    means = {c: (("time", "site"), window[n].mean("time").values[None]) for c, n in POWERS.items()}
    hour = {"time": [0.0], "site": ["campus"], "bus": ("site", [bus])}
    site = xr.Dataset(means, coords=hour, attrs={"dt_s": 900.0})
    at_peak = {"load": scaled_background(net, "load", np.ones(1), np.zeros(1)).assign_attrs(dt_s=900.0)}
    settled = gridedge.settle_taps(net, site, background=at_peak, taps=TAPS)["vm_pu"].sel(bus=bus).item()
    as_in_file = gridedge.solve(net, site, background=at_peak)["vm_pu"].sel(bus=bus).item()
    assert abs(settled - as_in_file) > 0.01
    assert float(window["vm_at_pu"].mean()) == pytest.approx(settled, abs=2e-4)
    told = json.loads((tmp_path / "out" / "voltage.json").read_text())
    assert told["plain"]["tap_operations"] == report.operations
    table = pd.read_csv(tmp_path / "out" / "voltage.csv")
    assert len(table) == 2 * report.data.sizes["bus"]
    assert table["vm_min_pu"].min() == pytest.approx(
        min(r.data["vm_min_pu"].min().item() for r in result.voltage.values()), abs=1e-9
    )
    assert any("tap changers follow" in note for note in result.notes)
    assert "trafo:114: " in (tmp_path / "out" / "report.html").read_text()
    assert {"voltage.csv", "voltage.json"} <= set(json.loads((tmp_path / "out" / "manifest.json").read_text())["files"])


def test_a_study_refuses_what_the_taps_cannot():
    with pytest.raises(gridedge.InputError, match="unknown key in taps"):
        gridedge.run("default", settings=["taps.delay=3"])
