"""A meter's file: what is read, and what is refused by name."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.formats.read import read_metered


def made(members=None):
    return gridedge.generate("h100-at-scale", duration_s=20, dt_s=0.5, members=members)


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
@pytest.mark.parametrize("members", [None, 2])
def test_what_was_written_is_read_again(tmp_path, suffix, members):
    metered = gridedge.connect(made(members), {})
    gridedge.export(metered, tmp_path / f"a.{suffix}", start="2027-01-01T00:00Z")
    found = read_metered(tmp_path / f"a.{suffix}")
    first = metered["p_mw"] if members is None else metered["p_mw"].isel(member=0)
    assert found["p_mw"].dims == ("time", "site")
    np.testing.assert_allclose(found["p_mw"].values[:, 0], first.values[:, 0], atol=1e-6)
    assert found.attrs["dt_s"] == 0.5


@pytest.mark.parametrize("suffix", ["csv", "parquet", "nc"])
def test_it_power_is_not_taken_for_the_meter_s(tmp_path, suffix):
    gridedge.export(made(), tmp_path / f"a.{suffix}", start="2027-01-01T00:00Z")
    with pytest.raises(InputError, match=rf"a.{suffix} holds IT power \(got IT; .*--facility default"):
        read_metered(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", "", r"a.csv cannot be read as .csv \(got No columns to parse from file\)"),
        ("a.csv", "time,kw\n", r"too few samples \(got 0\)"),
        ("a.csv", "time,kw\n0,5\n1,abc\n", r"kw is not a number \(got 'abc' in row 1\). Write plain numbers"),
        ("a.csv", "time,kw\n0,5\n1,\n", r"p_mw is not a number \(got 1 samples, first at step 1\)"),
        ("a.csv", "time,kw,kw\n0,5,6\n1,5,6\n", r"two columns of one name \(got kw\)"),
        ("a.csv", "time,power\n0,5\n1,5\n", r"has no column of time and power \(got time, power\)"),
        ("a.csv", "time,kw\n0,5\n1,5\n3,5\n", "missing or doubled samples"),
        ("a.csv", "\x80", "cannot be read as .csv"),
        ("a.parquet", "time", "a.parquet cannot be read as .parquet"),
        ("a.nc", "time", "a.nc cannot be read as .nc"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, name, text, message):
    (tmp_path / name).write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match=message):
        read_metered(tmp_path / name)


def test_one_site_is_read_from_a_file(tmp_path):
    one = gridedge.connect(made(), {})
    two = xr.concat([one, one], "site", data_vars="all").assign_coords(site=["a", "b"])
    gridedge.export(two, tmp_path / "a.nc", start="2027-01-01T00:00Z")
    with pytest.raises(InputError, match=r"^a.nc holds several sites \(got 2\). Write one site into a file.$"):
        read_metered(tmp_path / "a.nc")
