"""COMTRADE records read back by the package ``comtrade``, and field by field as C37.111-2013 has them."""

import datetime as dt

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError

comtrade = pytest.importorskip("comtrade")

ENCODINGS = {"comtrade": "FLOAT32", "comtrade-ascii": "ASCII", "comtrade-binary32": "BINARY32"}
# FLOAT32: half a unit in the last place; ASCII: half of the seventh digit; BINARY32: half a count of the largest value.
ACCURACY = {"comtrade": (6e-8, 0.0), "comtrade-ascii": (5.1e-7, 0.0), "comtrade-binary32": (0.0, 2.4e-10)}


def load_of(steps=600, dt_s=1e-3):
    rng = np.random.default_rng(3)
    attrs = {"profile": "Job, of a test", "seed": 11, "spec_sha256": "cd" * 32}
    ds = schema.power_dataset(100.0 * rng.random(steps) - 5.0, dt_s, power="at the meter", attrs=attrs)
    ds["p_mw"][:2] = np.array([99999.0, 0.0])  # the first is what marks a missing value in ASCII
    ds["q_mvar"] = "time", 20.0 * rng.random(steps) - 10.0
    return schema.describe(ds)


def read(path):
    return comtrade.load(str(path), use_numpy_arrays=True, use_double_precision=True)


@pytest.mark.parametrize("name", ENCODINGS)
def test_values_and_fields_are_read_back(tmp_path, name):
    load = load_of()
    start = "2027-03-14T00:00:00.250-06:00"
    written = gridedge.export(load, tmp_path / "a.cfg", start=start, tz="America/Chicago", format=name)
    assert [f.suffix for f in written.files] == [".cfg", ".dat", ".hdr"]
    record = read(tmp_path / "a.cfg")
    assert (record.rev_year, record.ft) == ("2013", ENCODINGS[name])
    assert record.station_name == "Job; of a test"
    assert "gridedge" in record.rec_dev_id
    assert "seed 11" in record.rec_dev_id
    assert record.analog_channel_ids == ["P", "Q"]
    assert [c.uu for c in record.cfg.analog_channels] == ["MW", "Mvar"]
    assert [(c.primary, c.secondary, c.pors) for c in record.cfg.analog_channels] == [(1.0, 1.0, "P")] * 2
    assert (record.analog_count, record.status_count, record.total_samples) == (2, 0, 600)
    assert record.cfg.sample_rates == [[1000.0, 600]]
    assert record.start_timestamp == dt.datetime(2027, 3, 14, 6, 0, 0, 250_000)  # UTC
    assert record.trigger_time == 0
    rtol, of_largest = ACCURACY[name]
    for values, wanted in zip(record.analog, (load["p_mw"].values, load["q_mvar"].values), strict=True):
        np.testing.assert_allclose(values, wanted, rtol=rtol, atol=of_largest * np.abs(wanted).max())
    np.testing.assert_allclose(record.time, load["time"], rtol=0, atol=1e-12)
    for word in ("gridedge", "Job, of a test", "seed: 11", "source:", "cd" * 32):
        assert word in record.hdr


def test_the_configuration_has_the_lines_of_the_standard(tmp_path):
    gridedge.export(load_of(), tmp_path / "a.cfg", start="2027-07-01T00:00", tz="Asia/Kolkata")
    raw = (tmp_path / "a.cfg").read_bytes()
    assert raw.count(b"\r\n") == raw.count(b"\n")  # clause 4.4.2: CR LF ends a line
    lines = raw.decode("ascii").split("\r\n")
    assert lines[1] == "2,2A,0D"
    assert lines[2].split(",")[:5] == ["1", "P", "", "", "MW"]
    assert [len(line.split(",")) for line in lines[2:4]] == [13, 13]
    assert lines[4:7] == ["", "1", "1000,600"]
    assert lines[7:9] == ["30/06/2027,18:30:00.000000"] * 2
    assert lines[9:] == ["FLOAT32", "1", "0,+5h30", "0,3", ""]


@pytest.mark.parametrize("name", ENCODINGS)
def test_the_limits_of_a_channel_are_those_of_its_samples(tmp_path, name):
    load = load_of()
    gridedge.export(load, tmp_path / "a.cfg", start="2027-07-01T00:00Z", format=name)
    channel = read(tmp_path / "a.cfg").cfg.analog_channels[1]
    assert channel.a * channel.cmin == pytest.approx(float(load["q_mvar"].min()), rel=1e-6)
    assert channel.a * channel.cmax == pytest.approx(float(load["q_mvar"].max()), rel=1e-6)


def test_the_binary_record_is_laid_out_as_clause_8_has_it(tmp_path):
    load = load_of(steps=3)
    gridedge.export(load, tmp_path / "a.cfg", start="2027-07-01T00:00Z")
    raw = (tmp_path / "a.dat").read_bytes()
    assert len(raw) == 3 * (4 + 4 + 2 * 4)
    rows = np.frombuffer(raw, np.dtype([("n", "<u4"), ("t", "<u4"), ("a", "<f4", 2)]))
    assert rows["n"].tolist() == [1, 2, 3]
    assert rows["t"].tolist() == [0, 1000, 2000]  # microseconds
    assert np.array_equal(rows["a"][:, 0], load["p_mw"].values.astype("f4"))


def test_stamps_of_a_record_beyond_71_minutes_count_steps(tmp_path):
    """Four bytes of microseconds end after 4295 s; then timemult is a step."""
    load = schema.power_dataset(np.arange(5000.0), 1.0, power="IT")
    gridedge.export(load, tmp_path / "a.cfg", start="2027-07-01T00:00Z", power_factor=1)
    rows = np.frombuffer((tmp_path / "a.dat").read_bytes(), np.dtype([("n", "<u4"), ("t", "<u4"), ("a", "<f4", 2)]))
    timemult = float((tmp_path / "a.cfg").read_text().splitlines()[-3])
    np.testing.assert_allclose(rows["t"] * timemult * 1e-6, load["time"], rtol=1e-12)
    assert read(tmp_path / "a.cfg").time[-1] == 4999.0


def test_the_line_frequency_is_said_where_it_is_known(tmp_path):
    gridedge.export(load_of().assign_attrs(frequency_hz=60.0), tmp_path / "a.cfg", start="2027-07-01T00:00Z")
    assert read(tmp_path / "a.cfg").frequency == 60.0


def test_capitals_keep_the_files_of_a_record_together(tmp_path):
    gridedge.export(load_of(), tmp_path / "A.CFG", start="2027-07-01T00:00Z")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["A.CFG", "A.DAT", "A.HDR"]
    assert read(tmp_path / "A.CFG").total_samples == 600


def test_members_are_channels(tmp_path):
    load = xr.concat([load_of(), load_of() * 2], "member").assign_attrs(load_of().attrs)
    gridedge.export(load, tmp_path / "a.cfg", start="2027-07-01T00:00Z")
    record = read(tmp_path / "a.cfg")
    assert record.analog_channel_ids == ["P m0", "Q m0", "P m1", "Q m1"]
    np.testing.assert_allclose(record.analog[2], load["p_mw"][1], rtol=6e-8)


def test_an_hour_is_no_waveform(tmp_path):
    load = schema.power_dataset(np.ones(96), 900.0, power="IT")
    with pytest.raises(InputError, match="COMTRADE holds waveforms"):
        gridedge.export(load, tmp_path / "a.cfg", start="2027-07-01T00:00Z", form="15min")
    assert list(tmp_path.iterdir()) == []
