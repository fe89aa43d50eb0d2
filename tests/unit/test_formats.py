"""Every format, read back by its own reader: values, times, units, and where it comes from."""

import json
import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr

import gridedge
from gridedge import finer, schema
from gridedge.errors import InputError

STEPS = 400


def sample(dt_s=0.05, steps=STEPS, **attrs):
    """A load with many different values, one of them zero, with its reactive power."""
    wave = 40.0 + 25.0 * np.sin(np.arange(steps) / 7.0) + np.random.default_rng(4).normal(0, 1e-3, steps)
    wave[3] = 0.0
    about = {
        "profile": "A test, with a comma",
        "seed": 7,
        "spec_sha256": "ab" * 32,
        "profile_json": json.dumps({"source": "nobody, 2026", "licence": "none"}),
        "notes": ["Only a test."],
        **attrs,
    }
    ds = schema.power_dataset(wave, dt_s, power="at the meter", attrs=about)
    ds["q_mvar"] = "time", 0.2 * wave - 5.0
    return schema.describe(ds)


def with_members():
    one = sample()
    return xr.concat([one, one * 1.5, one * 0.25], "member").assign_attrs(one.attrs).assign_coords(member=[0, 1, 2])


def origin_is_there(text):
    for word in ("gridedge", "A test", "7", "ab" * 32, "nobody, 2026", "Only a test."):
        assert word in text, word


# CSV


def test_csv_is_read_back_by_pandas(tmp_path):
    load = sample()
    written = gridedge.export(load, tmp_path / "a.csv", start="2027-07-01T00:00", tz="America/Chicago")
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    assert list(frame.columns) == ["time", "kw", "kvar"]
    # Written to a milliwatt: half of 1e-6 kW, and what double precision adds.
    np.testing.assert_allclose(frame["kw"], load["p_mw"] * 1e3, rtol=0, atol=5.01e-7)
    np.testing.assert_allclose(frame["kvar"], load["q_mvar"] * 1e3, rtol=0, atol=5.01e-7)
    assert frame["time"][1] == "2027-07-01T00:00:00.050-05:00"
    assert pd.to_datetime(frame["time"]).diff().dropna().unique().tolist() == [pd.Timedelta("50ms")]
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    origin_is_there(text)
    assert "consumption positive" in text
    assert "lagging (inductive) positive" in text
    assert "its time is the start" in text
    assert "# units: kw in kW, kvar in kvar" in text
    assert written.samples == STEPS
    assert written.p_max_mw == float(load["p_mw"].max())


def test_csv_puts_members_and_sites_side_by_side(tmp_path):
    load = with_members()
    gridedge.export(load, tmp_path / "a.csv", start="2027-07-01T00:00Z")
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    assert list(frame.columns) == ["time", *(f"{c}_m{k}" for k in range(3) for c in ("kw", "kvar"))]
    np.testing.assert_allclose(frame["kw_m1"], load["p_mw"][1] * 1e3, rtol=0, atol=5.01e-7)
    two = xr.concat([sample(), sample() * 2], "site").assign_coords(site=["west 1", "east"])
    gridedge.export(two.transpose("time", "site"), tmp_path / "b.csv", start="2027-07-01T00:00Z")
    frame = pd.read_csv(tmp_path / "b.csv", comment="#")
    np.testing.assert_allclose(frame["kw_east"], two["p_mw"].sel(site="east") * 1e3, rtol=0, atol=5.01e-7)
    assert "kvar_west_1" in frame


def test_csv_over_a_change_of_the_clocks_keeps_its_offsets(tmp_path):
    load = sample(dt_s=3600, steps=48)
    gridedge.export(load, tmp_path / "a.csv", start="2027-03-14", tz="America/Chicago")
    frame = pd.read_csv(tmp_path / "a.csv", comment="#")
    times = pd.to_datetime(frame["time"], utc=True)
    assert times.diff().dropna().unique().tolist() == [pd.Timedelta("1h")]
    local = times.dt.tz_convert("America/Chicago")
    assert (local.dt.date == local.dt.date[0]).sum() == 23


# Parquet


@pytest.mark.parametrize("tz", ["Europe/Dublin", "UTC"])
def test_parquet_is_read_back_by_pandas_and_pyarrow(tmp_path, tz):
    load = sample()
    gridedge.export(load, tmp_path / "a.parquet", start="2027-07-01T00:00", tz=tz)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert np.array_equal(frame["p_mw"].to_numpy(), load["p_mw"].values)
    assert np.array_equal(frame["q_mvar"].to_numpy(), load["q_mvar"].values)
    assert str(frame["time"].dt.tz) == tz
    assert frame["time"][2] == pd.Timestamp("2027-07-01T00:00:00.1", tz=tz)
    table = pq.read_schema(tmp_path / "a.parquet")
    assert table.field("q_mvar").metadata[b"units"] == b"Mvar"
    about = json.loads(table.metadata[b"gridedge"])
    origin_is_there(json.dumps(about))
    assert about["notes"] == ["Only a test."]


def test_parquet_keeps_a_fixed_offset(tmp_path):
    gridedge.export(sample(), tmp_path / "a.parquet", start="2027-07-01T00:00-03:30")
    assert str(pq.read_schema(tmp_path / "a.parquet").field("time").type) == "timestamp[us, tz=-03:30]"


# NetCDF


def test_netcdf_is_read_back_by_xarray(tmp_path):
    load = sample()
    gridedge.export(load, tmp_path / "a.nc", start="2027-07-01T00:00", tz="America/Chicago")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert np.array_equal(found["p_mw"].values, load["p_mw"].values)
        assert np.array_equal(found["q_mvar"].values, load["q_mvar"].values)
        assert found["time"].values[0] == np.datetime64("2027-07-01T05:00:00")
        assert found["time"].values[1] == np.datetime64("2027-07-01T05:00:00.05")
        assert found["p_mw"].attrs["units"] == "MW"
        assert found["p_mw"].attrs["cell_methods"] == "time: mean"
        assert found.attrs["Conventions"] == "CF-1.8"
        assert found.attrs["timezone"] == "America/Chicago"
        assert {"title", "institution", "source", "history", "references", "comment"} <= found.attrs.keys()
        origin_is_there(" ".join(map(str, found.attrs.values())))
        assert np.array_equal(found["time_bnds"][0].values, found["time"].values[:2])
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf", decode_times=False) as raw:
        assert raw["time"].attrs["units"].startswith("seconds since 2027-07-01 05:00:00")
        np.testing.assert_allclose(raw["time"], load["time"], rtol=0, atol=1e-12)


def test_netcdf_keeps_members_and_sites_as_dimensions(tmp_path):
    load = with_members()
    gridedge.export(load, tmp_path / "a.nc", start="2027-07-01T00:00Z")
    with xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as found:
        assert found["p_mw"].dims == ("member", "time")
        assert np.array_equal(found["p_mw"].values, load["p_mw"].values)
        assert found["member"].values.tolist() == [0, 1, 2]
    both = xr.concat([load, load * 2], "site").assign_coords(site=["west", "east"])
    gridedge.export(both.transpose("member", "time", "site"), tmp_path / "b.nc", start="2027-07-01T00:00Z")
    with xr.open_dataset(tmp_path / "b.nc", engine="h5netcdf") as found:
        assert found["p_mw"].dims == ("member", "site", "time")
        assert np.array_equal(
            found["q_mvar"].sel(member=2, site="east").values, both["q_mvar"].sel(member=2, site="east").values
        )


def test_the_profile_in_a_file_makes_the_load_again(tmp_path):
    job = {"profile": "h100-at-scale", "servers": 7}
    load = gridedge.generate(job, duration_s=20, dt_s=0.1, seed=5)
    gridedge.export(load, tmp_path / "a.parquet", start="2027-07-01T00:00Z")
    about = json.loads(pq.read_schema(tmp_path / "a.parquet").metadata[b"gridedge"])
    again = gridedge.generate(about["profile"], duration_s=20, dt_s=0.1, seed=int(about["seed"]))
    assert np.array_equal(again["p_mw"].values, pd.read_parquet(tmp_path / "a.parquet")["p_mw"])
    gridedge.export(load, tmp_path / "a.nc", start="2027-07-01T00:00Z")
    with xr.open_dataset(tmp_path / "a.nc") as found:
        assert json.loads(found.attrs["profile_json"]) == about["profile"]
    assert "arXiv 2508.14318" in about["source"]


@pytest.mark.parametrize("suffix", ["csv", "dss", "hdr"])
def test_a_load_that_was_smoothed_says_so(tmp_path, suffix):
    it = gridedge.generate("h100-at-scale", duration_s=20, dt_s=0.1, members=2)
    battery = {"step": "battery", "p_rated_mw": 3, "e_rated_mwh": 1, "ramp_mw_per_min": 2}
    smooth = gridedge.mitigate(gridedge.connect(it, {"power_factor": 0.95}), [battery])
    name = "a.cfg" if suffix == "hdr" else f"a.{suffix}"
    gridedge.export(smooth, tmp_path / name, start="2027-07-01T00:00Z")
    text = (tmp_path / f"a.{suffix}").read_text(encoding="utf-8")
    assert "mitigation: 0:battery" in text
    assert "power factor of 0.95 lagging" in text
    assert "period_jitter_pu = 0.01, drawn from" in text


# All


@pytest.mark.parametrize("name", ["a.csv", "a.parquet", "a.nc", "a.dss", "a.cfg"])
def test_a_long_series_is_read_in_blocks(tmp_path, name, monkeypatch):
    from gridedge.formats import series

    coarse = sample(dt_s=60.0, steps=50)
    fine = finer.interpolate(coarse, 1.0)
    at_once = []
    read = series.Series.block

    def watched(self, first, stop):
        at_once.append(stop - first)
        return read(self, first, stop)

    monkeypatch.setattr(series, "_BLOCK", 257)
    monkeypatch.setattr(series.Series, "block", watched)
    gridedge.export(fine, tmp_path / name, start="2027-01-01T00:00Z")
    assert max(at_once) == 257
    monkeypatch.undo()
    (tmp_path / "whole").mkdir()
    gridedge.export(fine.load(), tmp_path / "whole" / name, start="2027-01-01T00:00Z")
    if name == "a.nc":  # its history has the time of writing
        with xr.open_dataset(tmp_path / name) as one, xr.open_dataset(tmp_path / "whole" / name) as other:
            xr.testing.assert_equal(one.load(), other.load())
    elif name == "a.parquet":  # row groups differ
        assert pq.read_table(tmp_path / name).equals(pq.read_table(tmp_path / "whole" / name))
    else:
        for path in (tmp_path / "whole").iterdir():
            assert path.read_bytes() == (tmp_path / path.name).read_bytes()


def test_a_cut_keeps_its_time(tmp_path):
    load = sample(dt_s=1.0).isel(time=slice(90, 100))
    gridedge.export(load, tmp_path / "a.csv", start="2027-07-01T00:00Z")
    assert pd.read_csv(tmp_path / "a.csv", comment="#")["time"][0] == "2027-07-01T00:01:30+00:00"


@pytest.mark.parametrize(("power_factor", "sign"), [(0.95, 1), (-0.95, -1)])
def test_reactive_power_follows_the_power_factor(tmp_path, power_factor, sign):
    load = sample().drop_vars("q_mvar")
    gridedge.export(load, tmp_path / "a.parquet", start="2027-07-01T00:00Z", power_factor=power_factor)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    size = np.hypot(frame["p_mw"], frame["q_mvar"])
    np.testing.assert_allclose(frame["p_mw"], 0.95 * size, atol=1e-12)
    assert (np.sign(frame["q_mvar"]) == sign * np.sign(frame["p_mw"])).all()


def test_what_was_assumed_is_said(tmp_path):
    load = sample().drop_vars("q_mvar")
    written = gridedge.export(load, tmp_path / "a.csv")
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    assert "# reactive: power factor 0.98 lagging, assumed" in text
    assert "# start: 2027-01-01T00:00:00.000+00:00 (assumed" in text
    assert "The start was assumed: nobody said when." in written.notes
    assert json.loads(json.dumps(written.to_dict()))["reactive"].startswith("power factor 0.98")


def dated(load):
    return load.assign_coords(time=pd.date_range("2027-01-01", periods=STEPS, freq="s"))


def twins(load):
    return xr.concat([load, load], "site").assign_coords(site=["a 1", "A-1"])


def missing(load):
    load["p_mw"][7] = np.nan
    return load


@pytest.mark.parametrize(
    ("change", "name", "options", "message"),
    [
        (None, "a.xlsx", {}, "the file's suffix says no format (got a.xlsx). Use one of .csv"),
        (None, "a", {}, "suffix says no format"),
        (None, "a.txt", {"format": "cvs"}, "unknown format (got cvs). Did you mean 'csv'?"),
        (None, "a.csv", {"format": "comtrade"}, "has another suffix (got a.csv). Name it a.cfg."),
        (
            None,
            "a.csv",
            {"format": "parquet"},
            "the file's suffix says csv, not parquet (got a.csv). Name it a.parquet",
        ),
        (None, "a.csv", {"form": "8670"}, "unknown form (got 8670). Did you mean '8760'?"),
        (None, "a.csv", {"start": "2027-01-01T00:00"}, "start has no time zone"),
        (None, "a.csv", {"power_factor": 0.9}, "the load has reactive power already"),
        (lambda d: d.drop_vars("q_mvar"), "a.csv", {"power_factor": 0.0}, "power_factor is not possible (got 0.0)"),
        (lambda d: d.drop_vars("q_mvar"), "a.csv", {"power_factor": 1.2}, "power_factor is not possible"),
        (missing, "a.csv", {}, "p_mw is not a number (got 1 samples, first at step 7). Fill or cut the gap"),
        (lambda d: d.drop_vars("p_mw"), "a.csv", {}, "the load has no p_mw"),
        (lambda d: d.isel(time=slice(0, 0)), "a.csv", {}, "no samples in time"),
        (lambda d: d.rename(time="hour"), "a.csv", {}, "no time coordinate"),
        (lambda d: d.expand_dims(bus=[1, 2]), "a.csv", {}, "a dimension that no file holds (got bus)"),
        (None, "a.csv", {"maximum": True}, "a waveform has no intervals"),
        (dated, "a.csv", {}, "time is not in seconds (got datetime64[ns])"),
        (twins, "a.csv", {}, "two channels would have one name (got A_1)"),
    ],
)
def test_what_cannot_be_written_is_refused_and_leaves_nothing(tmp_path, change, name, options, message):
    load = sample() if change is None else change(sample())
    options = {"start": "2027-01-01T00:00Z", **options}
    with pytest.raises(InputError) as caught:
        gridedge.export(load, tmp_path / name, **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_something_that_is_no_dataset_is_refused(tmp_path):
    with pytest.raises(InputError, match="must be an xarray Dataset"):
        gridedge.export([1, 2, 3], tmp_path / "a.csv")


def test_no_reader_warns(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gridedge.export(with_members(), tmp_path / "a.nc", start="2027-07-01T00:00Z")
        xr.open_dataset(tmp_path / "a.nc", engine="h5netcdf").close()
