"""Quarter hours and the hours of a year: exact means, whole intervals, leap years, and what is refused."""

import numpy as np
import pandas as pd
import pytest

import gridedge
from gridedge import finer, schema
from gridedge.errors import InputError


def load_of(steps, dt_s, p_mw=None):
    p = np.random.default_rng(8).random(steps) * 10 if p_mw is None else p_mw
    return schema.power_dataset(p, dt_s, power="IT", attrs={"profile": "test"})


def frame_of(path):
    return pd.read_csv(path, comment="#")


@pytest.mark.parametrize("block", [1 << 20, 1000])
def test_quarter_hours_are_means_and_the_highest(tmp_path, monkeypatch, block):
    from gridedge.formats import form

    monkeypatch.setattr(form, "_BLOCK", block)
    load = load_of(4 * 450, 2.0)
    gridedge.export(load, tmp_path / "a.csv", form="15min", start="2027-01-01T00:15Z", maximum=True, power_factor=0.9)
    frame = frame_of(tmp_path / "a.csv")
    parts = load["p_mw"].values.reshape(4, 450) * 1e3
    np.testing.assert_allclose(frame["kw"], parts.mean(axis=1), rtol=0, atol=6e-7)
    np.testing.assert_allclose(frame["max_kw"], parts.max(axis=1), rtol=0, atol=6e-7)
    np.testing.assert_allclose(frame["kvar"], frame["kw"] * np.tan(np.arccos(0.9)), rtol=0, atol=2e-6)
    assert frame["time"].tolist() == [f"2027-01-01T00:{m}:00+00:00" for m in (15, 30, 45)] + [
        "2027-01-01T01:00:00+00:00"
    ]
    text = (tmp_path / "a.csv").read_text()
    assert "# reduced: mean of 450 samples of 2 s; the maximum is the highest of them, each a mean over 2 s" in text


@pytest.mark.parametrize(("start", "tz", "hours"), [("2027-01-01", "Europe/Dublin", 8760), ("2028-01-01", "UTC", 8784)])
def test_a_year_of_hours_from_quarters(tmp_path, start, tz, hours):
    load = load_of(hours * 4, 900.0)
    gridedge.export(load, tmp_path / "a.parquet", form="8760", start=start, tz=tz)
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert len(frame) == hours
    np.testing.assert_allclose(frame["p_mw"], load["p_mw"].values.reshape(-1, 4).mean(axis=1), rtol=1e-14)
    assert frame["time"].iloc[0].isoformat()[:19] == f"{start}T00:00:00"
    last = frame["time"].iloc[-1]
    assert (last.month, last.day, last.hour) == (12, 31, 23)


def test_the_hours_of_a_job_do_not_depend_on_the_step_they_are_made_at(tmp_path):
    """Samples of a modelled job are exact means, whatever the step: hours of 5 s are those of 1 s."""
    frames = []
    for dt_s in (1, 5):
        load = gridedge.generate("h100-at-scale", duration_s=4 * 3600, dt_s=dt_s)
        gridedge.export(load, tmp_path / "a.parquet", form="15min", start="2027-01-01T00:00Z")
        frames.append(pd.read_parquet(tmp_path / "a.parquet"))
    np.testing.assert_allclose(frames[0]["p_mw"], frames[1]["p_mw"], rtol=1e-10)


def test_a_long_load_is_reduced_without_being_held(tmp_path):
    coarse = load_of(24 * 10, 3600.0)
    fine = finer.interpolate(coarse, 1.0)
    gridedge.export(fine, tmp_path / "a.csv", form="15min", start="2027-01-01T00:00Z", maximum=True)
    frame = frame_of(tmp_path / "a.csv")
    assert len(frame) == 24 * 10 * 4
    p = coarse["p_mw"].values
    # A quarter of a straight line, of 900 samples from its start: closed form.
    slope = (p[1] - p[0]) / 3600
    assert frame["kw"][0] == pytest.approx((p[0] + slope * 899 / 2) * 1e3, abs=1e-6)
    assert frame["max_kw"][0] == pytest.approx(max(p[0], p[0] + slope * 899) * 1e3, abs=1e-6)


@pytest.mark.parametrize(
    ("steps", "dt_s", "form", "options", "message"),
    [
        (24, 3600.0, "15min", {}, "the form 15min is finer than the load (got steps of 3600 s)"),
        (900, 7.0, "15min", {}, "no whole number of samples (got 900 s / 7 s). Use a step that divides 900 s."),
        (100, 60.0, "15min", {}, "no whole number of intervals (got 6000 s of 900 s). Use duration_s=5400"),
        (1, 60.0, "15min", {}, "(got 60 s of 900 s). Use duration_s=900, or another multiple of 900."),
        (24, 3600.0, "8760", {}, "the form 8760 holds one year (got 86400 s). Use duration_s=31536000"),
        (8784, 3600.0, "8760", {}, "the form 8760 holds one year (got 3.16224e+07 s)"),
        (8760, 3600.0, "8760", {"start": "2028-01-01T00:00Z"}, "Use duration_s=31622400 (the year from 2028-01-01)"),
        (15, 60.0, "15min", {"start": "2027-01-01T00:01Z"}, "does not begin on a quarter of an hour"),
        (8760, 3600.0, "8760", {"start": "2027-01-01T00:30Z"}, "does not begin on a whole hour"),
        (8760, 3600.0, "8760", {"maximum": True}, "the load has one sample in an interval"),
    ],
)
def test_what_has_no_such_form_is_refused(tmp_path, steps, dt_s, form, options, message):
    options = {"start": "2027-01-01T00:00Z", **options}
    with pytest.raises(InputError) as caught:
        gridedge.export(load_of(steps, dt_s), tmp_path / "a.csv", form=form, **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_sample_is_not_averaged_away(tmp_path):
    load = load_of(900, 1.0)
    load["p_mw"][100] = np.nan
    with pytest.raises(InputError, match="not a number"):
        gridedge.export(load, tmp_path / "a.csv", form="15min", start="2027-01-01T00:00Z")
