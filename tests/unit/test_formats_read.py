"""Metered power out of a file: what gridedge wrote, what a meter wrote, and what cannot be read."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.formats.read import read_metered


def metered(dt_s=0.05, steps=400, **attrs):
    """Return power at the meter with many different values, none of them round."""
    p = 40.0 + 25.0 * np.sin(np.arange(steps) / 7.0) + np.random.default_rng(4).normal(0, 1e-2, steps)
    ds = schema.power_dataset(p, dt_s, power="at the meter", attrs=attrs)
    ds["q_mvar"] = "time", 0.2 * p
    return schema.describe(ds)


def csv(tmp_path, text):
    path = tmp_path / "meter.csv"
    path.write_text(text, encoding="utf-8")
    return path


def rows(times, values, head="time,kw"):
    return "\n".join([head, *(f"{t},{v}" for t, v in zip(times, values, strict=True))]) + "\n"


# What gridedge wrote


@pytest.mark.parametrize(("suffix", "tol_mw"), [("csv", 5.01e-10), ("parquet", 0.0), ("nc", 0.0)])
@pytest.mark.parametrize("dt_s", [0.005, 0.05, 1.0, 900.0])
def test_what_export_wrote_is_read_back(tmp_path, suffix, tol_mw, dt_s):
    load = metered(dt_s)
    path = tmp_path / f"a.{suffix}"
    gridedge.export(load, path, start="2027-07-01T00:00", tz="America/Chicago")
    found = read_metered(path)
    assert found["p_mw"].dims == ("time", "site")
    # A CSV holds milliwatts: half of one, in MW.
    np.testing.assert_allclose(found["p_mw"][:, 0], load["p_mw"], rtol=1e-15, atol=tol_mw)
    np.testing.assert_allclose(found["time"], dt_s * np.arange(400), rtol=0, atol=1e-9 * dt_s * 400)
    assert schema.clock(found) == pytest.approx(dt_s, rel=1e-9)
    assert found.attrs["power"] == "at the meter"
    assert found.attrs["source"] == f"a.{suffix}"
    assert found["p_mw"].attrs["units"] == "MW"


def test_the_findings_of_a_file_are_those_of_the_load(tmp_path):
    load = gridedge.connect(gridedge.generate("h100-at-scale", duration_s=120, dt_s=0.05), {})
    gridedge.export(load, tmp_path / "a.parquet", start="2027-07-01T00:00Z")
    target = {"ramp_mw_per_min": 1, "change_mw": 1, "window_s": 5}
    one = gridedge.check(load, target)
    other = gridedge.check(read_metered(tmp_path / "a.parquet"), target)
    assert [(f.verdict, f.measured, f.when_s) for f in one] == [
        (f.verdict, pytest.approx(f.measured), pytest.approx(f.when_s)) for f in other
    ]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_of_several_members_the_first_is_read(tmp_path, suffix):
    one = metered()
    load = xr.concat([one, one * 1.5], "member").assign_attrs(one.attrs).assign_coords(member=[0, 1])
    gridedge.export(load, tmp_path / f"a.{suffix}", start="2027-07-01T00:00Z")
    found = read_metered(tmp_path / f"a.{suffix}")
    np.testing.assert_allclose(found["p_mw"][:, 0], one["p_mw"], rtol=1e-15, atol=5.01e-10)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_the_hour_that_a_clock_skips_or_doubles_is_no_gap(tmp_path, suffix):
    for start in ("2027-03-14T00:00", "2027-11-07T00:00"):
        load = metered(900.0, 24)
        gridedge.export(load, tmp_path / f"a.{suffix}", start=start, tz="America/Chicago")
        assert schema.clock(read_metered(tmp_path / f"a.{suffix}")) == 900.0


def test_hours_are_read_from_the_long_form(tmp_path):
    gridedge.export(metered(1.0, 7200), tmp_path / "a.csv", form="15min", start="2027-01-01T00:00Z", maximum=True)
    found = read_metered(tmp_path / "a.csv")
    np.testing.assert_allclose(
        found["p_mw"][:, 0], metered(1.0, 7200)["p_mw"].values.reshape(8, 900).mean(axis=1), rtol=0, atol=1e-9
    )


# What a meter wrote


@pytest.mark.parametrize(("column", "factor"), [("kw", 1e-3), ("p_kw", 1e-3), ("mw", 1.0), ("p_mw", 1.0), ("w", 1e-6)])
def test_the_column_says_the_unit(tmp_path, column, factor):
    found = read_metered(csv(tmp_path, rows([0, 1, 2], [1500.0, 1600.0, 1400.0], f"time,{column}")), site="campus")
    np.testing.assert_allclose(found["p_mw"][:, 0], np.array([1500, 1600, 1400]) * factor, rtol=1e-15)
    assert found["site"].values.tolist() == ["campus"]


@pytest.mark.parametrize(
    "times",
    [
        [10.0, 12.0, 14.0],
        ["2027-01-01 00:00:00", "2027-01-01 00:00:02", "2027-01-01 00:00:04"],
        ["2027-01-01T00:00:00Z", "2027-01-01T00:00:02Z", "2027-01-01T00:00:04Z"],
        ["2027-01-01T01:00:00+01:00", "2027-01-01T00:00:02+00:00", "2026-12-31T23:00:04.000-01:00"],
    ],
)
def test_time_counts_from_the_first_sample(tmp_path, times):
    found = read_metered(csv(tmp_path, "# a meter\n" + rows(times, [1, 2, 3])))
    assert found["time"].values.tolist() == [0.0, 2.0, 4.0]
    assert schema.clock(found) == 2.0


def test_clocks_that_jitter_a_little_are_read_as_even(tmp_path):
    found = read_metered(csv(tmp_path, rows([0, 1.004, 2.0, 2.996, 4.0], [1, 2, 3, 4, 5])))
    assert found["time"].values.tolist() == [0.0, 1.0, 2.0, 3.0, 4.0]


def test_the_index_of_a_table_may_be_the_time(tmp_path):
    frame = pd.DataFrame({"kw": [1.0, 2.0]}, index=pd.date_range("2027-01-01", periods=2, freq="15min", name="time"))
    frame.to_parquet(tmp_path / "a.parquet")
    assert schema.clock(read_metered(tmp_path / "a.parquet")) == 900.0


# What cannot be read

EVEN = [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (rows([0, 1, 2, 5, 6], EVEN), r"missing or doubled samples \(got 1 steps, first 3 s after row 2, where 1 s"),
        (rows([0, 1, 1, 2, 3], EVEN), r"missing or doubled samples \(got 1 steps, first 0 s after row 1, where 1 s"),
        (rows([0, 1, 2, 1, 4], EVEN), r"missing or doubled samples .*after row 2"),
        (rows([3, 2, 1, 0, -1], EVEN), r"missing or doubled samples"),
        (rows([0, 1, "", 3, 4], EVEN), r"a time cannot be read \(got nan in row 2\)\. Write ISO 8601 or seconds"),
        (rows(["2027-01-01", "2027-01-02", "soon", "2027-01-04", "2027-01-05"], EVEN), r"\(got soon in row 2\)"),
        (rows([0], [1]), r"too few samples \(got 1\)"),
        (rows([], []), r"too few samples \(got 0\)"),
        (rows(EVEN, [1, 2, "", 4, 5]), r"p_mw is not a number \(got 1 samples, first at step 2\)"),
        (rows(EVEN, [1, 2, "off", 4, 5]), r"kw is not a number \(got off in row 2\)"),
        (rows(EVEN, [1, 2, "inf", 4, 5]), r"p_mw is not a number \(got 1 samples, first at step 2\)"),
        (
            rows(EVEN, EVEN, "time,power"),
            r"no column of time and power \(got time, power\)\. Name them time and one of",
        ),
        (rows(EVEN, EVEN, "stamp,kw"), r"no column of time and power \(got stamp, kw\)"),
        ("", r"meter\.csv cannot be read as \.csv"),
        ('time,kw\n0,1\n"1,2\n', r"meter\.csv cannot be read as \.csv"),
        ("time,kw\n0,1\n1,2,3\n2,3\n", r"meter\.csv cannot be read as \.csv"),
    ],
)
def test_one_message_names_what_is_wrong(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read_metered(csv(tmp_path, text))


def test_no_such_file_and_no_such_format(tmp_path):
    with pytest.raises(InputError, match=r"there is no such file \(got .*gone\.csv\)\. Name a \.csv"):
        read_metered(tmp_path / "gone.csv")
    with pytest.raises(InputError, match="there is no such file"):
        read_metered(tmp_path)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_a_file_of_another_kind_is_refused(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(b"\x89PNG\r\n\x1a\n\x00\xff\xfe" * 20)
    with pytest.raises(InputError, match=rf"a\.{suffix} cannot be read as \.{suffix}"):
        read_metered(path)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_it_power_is_not_taken_for_metered_power(tmp_path, suffix):
    load = metered().assign_attrs(power="IT")
    gridedge.export(load, tmp_path / f"a.{suffix}", start="2027-07-01T00:00Z")
    with pytest.raises(InputError, match=rf"a\.{suffix} holds IT power, not power at the meter"):
        read_metered(tmp_path / f"a.{suffix}")


def test_several_sites_are_not_one(tmp_path):
    two = xr.concat([metered(), metered() * 2], "site").assign_coords(site=["west", "east"]).transpose("time", "site")
    for suffix in ("csv", "parquet", "nc"):
        gridedge.export(two.assign_attrs(metered().attrs), tmp_path / f"a.{suffix}", start="2027-07-01T00:00Z")
        with pytest.raises(InputError, match="has no column of time and power"):
            read_metered(tmp_path / f"a.{suffix}")


def test_a_gap_in_netcdf_is_seen_too(tmp_path):
    gridedge.export(metered(), tmp_path / "a.nc", start="2027-07-01T00:00Z")
    with xr.open_dataset(tmp_path / "a.nc") as ds:
        ds.isel(time=[k for k in range(400) if k != 7]).to_netcdf(tmp_path / "b.nc", engine="h5netcdf")
    with pytest.raises(InputError, match=r"missing or doubled samples \(got 1 steps, first 0\.1 s after row 6"):
        read_metered(tmp_path / "b.nc")
