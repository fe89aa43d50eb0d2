"""What holds for every file: times are those of the clock, numbers those of the load."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import comtrade
import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import gridedge
from gridedge import schema
from gridedge.formats.clock import Clock, beginning

ZONES = st.sampled_from(
    [
        "UTC",
        "America/Chicago",
        "Europe/Dublin",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "America/St_Johns",
        "Africa/Casablanca",
    ]
)
MOMENTS = st.datetimes(min_value=datetime(1971, 1, 1), max_value=datetime(2150, 1, 1))
STEPS_S = st.sampled_from([1e-3, 0.05, 1.0, 2.0, 60.0, 900.0, 3600.0, 86400.0])
POWERS = arrays(float, st.integers(1, 40), elements=st.floats(-2e3, 2e3, allow_nan=False).map(lambda x: round(x, 12)))


@given(MOMENTS, ZONES, STEPS_S, st.integers(0, 4 * 10**4))
@settings(max_examples=60, deadline=None)
def test_every_label_is_its_instant(moment, zone, dt_s, first):
    start = beginning(moment.replace(tzinfo=UTC), zone)
    clock = Clock(start, 0.0, dt_s)
    labels, instants = clock.labels(first, first + 20), clock.instants(first, first + 20)
    for k, (label, instant) in enumerate(zip(labels.tolist(), instants, strict=True)):
        read = datetime.fromisoformat(label)
        assert read == moment.replace(tzinfo=UTC) + timedelta(microseconds=(first + k) * round(dt_s * 1e6))
        assert np.datetime64(read.astimezone(UTC).replace(tzinfo=None)) == instant
        assert read.utcoffset() == read.astimezone(start.tzinfo).utcoffset()


@given(POWERS, STEPS_S)
@settings(max_examples=25, deadline=None)
def test_every_number_comes_back(p_mw, dt_s):
    load = schema.power_dataset(p_mw, dt_s, power="IT")
    load["q_mvar"] = "time", p_mw[::-1].copy()
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        gridedge.export(load, at / "a.csv", start="2027-01-01T00:00Z")
        frame = pd.read_csv(at / "a.csv", comment="#", float_precision="round_trip")
        np.testing.assert_allclose(frame["kw"], p_mw * 1e3, rtol=1e-15, atol=5.01e-7)
        np.testing.assert_allclose(frame["kvar"], p_mw[::-1] * 1e3, rtol=1e-15, atol=5.01e-7)
        gridedge.export(load, at / "a.parquet", start="2027-01-01T00:00Z")
        assert np.array_equal(pd.read_parquet(at / "a.parquet")["p_mw"], p_mw)
        for name, rtol, of_largest in (("", 6e-8, 0.0), ("-ascii", 5.1e-7, 0.0), ("-binary32", 0.0, 2.4e-10)):
            gridedge.export(load, at / "a.cfg", start="2027-01-01T00:00Z", format=f"comtrade{name}")
            record = comtrade.load(str(at / "a.cfg"), use_numpy_arrays=True, use_double_precision=True)
            # Below 1e-37 single precision has fewer digits; a power there is nothing.
            atol = of_largest * np.abs(p_mw).max() + 1e-37
            np.testing.assert_allclose(record.analog[0], p_mw, rtol=rtol, atol=atol)
