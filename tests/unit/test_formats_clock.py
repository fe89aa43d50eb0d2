"""The wall clock of files: zones, days of 23 and 25 hours, leap years, and what is refused."""

from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.formats.clock import Clock, beginning, year_s, zone_name


@pytest.mark.parametrize(
    ("day", "hours", "first", "last"),
    [
        # Chicago: clocks go forward on 14 March 2027 at 02:00, back on 7 November at 02:00 (US Energy Policy Act 2005).
        ("2027-03-14", 23, "2027-03-14T00:00:00-06:00", "2027-03-14T23:00:00-05:00"),
        ("2027-11-07", 25, "2027-11-07T00:00:00-05:00", "2027-11-07T23:00:00-06:00"),
        ("2027-06-01", 24, "2027-06-01T00:00:00-05:00", "2027-06-01T23:00:00-05:00"),
    ],
)
def test_a_day_has_the_hours_it_has(day, hours, first, last):
    clock = Clock(beginning(day, "America/Chicago"), 0.0, 3600.0)
    labels = clock.labels(0, 30).tolist()
    own = [label for label in labels if label.startswith(day)]
    assert len(own) == hours
    assert (own[0], own[-1]) == (first, last)
    assert len(set(labels)) == 30  # the hour that comes twice has two offsets


def test_the_hour_that_is_left_out_and_the_one_that_comes_twice():
    labels = Clock(beginning("2027-03-14", "America/Chicago"), 0.0, 3600.0).labels(1, 3).tolist()
    assert labels == ["2027-03-14T01:00:00-06:00", "2027-03-14T03:00:00-05:00"]
    labels = Clock(beginning("2027-11-07", "America/Chicago"), 0.0, 3600.0).labels(1, 3).tolist()
    assert labels == ["2027-11-07T01:00:00-05:00", "2027-11-07T01:00:00-06:00"]


@pytest.mark.parametrize(("year", "hours"), [(2027, 8760), (2028, 8784), (2100, 8760)])
@pytest.mark.parametrize("tz", ["UTC", "America/Chicago", "Europe/Dublin", "Australia/Sydney", "Asia/Kolkata"])
def test_a_year_has_8760_hours_and_a_leap_year_8784(year, hours, tz):
    assert year_s(beginning(f"{year}-01-01", tz)) == hours * 3600


@pytest.mark.parametrize(
    ("dt_s", "t0_s", "second"),
    [
        (1.0, 0.0, "2027-01-01T00:00:01+00:00"),
        (0.05, 0.0, "2027-01-01T00:00:00.050+00:00"),
        (1e-4, 0.0, "2027-01-01T00:00:00.000100+00:00"),
        (1e-7, 0.0, "2027-01-01T00:00:00.000000100+00:00"),
        (1 / 60, 0.0, "2027-01-01T00:00:00.016667+00:00"),
        (2.0, 0.5, "2027-01-01T00:00:02.500+00:00"),
    ],
)
def test_labels_have_the_digits_that_the_step_needs(dt_s, t0_s, second):
    assert Clock(beginning("2027-01-01T00:00Z", None), t0_s, dt_s).labels(1, 2)[0] == second


def test_the_last_of_a_day_at_a_millisecond_is_not_off_by_a_rounding():
    clock = Clock(beginning("2027-01-01T00:00Z", None), 0.0, 1e-3)
    assert clock.labels(86_399_999, 86_400_000)[0] == "2027-01-01T23:59:59.999+00:00"
    assert np.diff(clock.instants(86_399_000, 86_400_000)).astype("int64").tolist() == [10**6] * 999


def test_offsets_and_zones_are_named():
    assert zone_name(ZoneInfo("Europe/Dublin")) == "Europe/Dublin"
    assert zone_name(timezone.utc) == "UTC"  # noqa: UP017  # the older name must do too
    assert zone_name(timezone(-timedelta(hours=3, minutes=30))) == "-03:30"
    moved = beginning("2027-07-01T00:00+00:00", "Asia/Kolkata")
    assert moved.isoformat() == "2027-07-01T05:30:00+05:30"


@pytest.mark.parametrize(
    ("start", "tz", "message"),
    [
        ("2027-01-01T00:00", None, "start has no time zone (got 2027-01-01T00:00:00). Write 2027-01-01T00:00:00+00:00"),
        (datetime(2027, 1, 1), None, "start has no time zone"),
        ("first of May", None, "start is no time (got first of May). Write ISO 8601"),
        (5, None, "start is no time (got 5)"),
        ("2027-01-01", "America/Chicgo", "unknown time zone (got America/Chicgo)"),
        ("2027-01-01", "../etc", "unknown time zone"),
        ("2027-03-14T02:30", "America/Chicago", "does not exist in its time zone"),
        ("2027-11-07T01:30", "America/Chicago", "comes twice in its time zone"),
        ("1960-01-01T00:00Z", None, "start is out of range"),
    ],
)
def test_a_start_that_cannot_be_is_refused(start, tz, message):
    with pytest.raises(InputError) as caught:
        beginning(start, tz)
    assert message in str(caught.value)


def test_the_hour_that_comes_twice_is_told_apart_by_its_offset():
    late = beginning("2027-11-07T01:30-06:00", "America/Chicago")
    assert Clock(late, 0.0, 60.0).labels(0, 1)[0] == "2027-11-07T01:30:00-06:00"


def test_a_load_beyond_the_calendar_is_refused():
    Clock(beginning("2100-01-01", "UTC"), 0.0, 86400.0).check(50_000)
    with pytest.raises(InputError, match="beyond the calendar"):
        Clock(beginning("2100-01-01", "UTC"), 0.0, 86400.0).check(60_000)


def test_a_year_cannot_begin_on_a_leap_day():
    with pytest.raises(InputError, match="leap day"):
        year_s(beginning("2028-02-29", "UTC"))
