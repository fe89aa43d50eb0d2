"""Rates by hand: weeks between their samples, holidays, shares, people, and traces of the other kind."""

import datetime as dt

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.inference.run import requests_of
from gridedge.profiles.traffic.arrivals import lengths
from gridedge.profiles.traffic.classes import request_class
from gridedge.profiles.traffic.replay import read_requests, tiled
from gridedge.profiles.traffic.traffic import TrafficProfile, draw_requests, request_rate
from gridedge.profiles.traffic.week import Week, week_by_hour, week_seconds, zone
from gridedge.spec import build

DAY_S, WEEK_S = 86_400.0, 604_800.0


def test_a_week_is_read_between_its_samples_and_around_its_end():
    week = Week("saw", np.array([3600.0, 302_400.0, 601_200.0]), np.array([1.0, 3.0, 2.0]), False, "by hand")
    assert week.at([3600.0, 302_400.0]) == pytest.approx([1.0, 3.0])
    # From Sunday's sample to Monday's: two hours from 2 to 1, the end of the week in their middle.
    assert week.at([0.0, WEEK_S, 601_200.0 + 1800.0, -1800.0]) == pytest.approx([1.5, 1.5, 1.75, 1.75])
    assert week.peak_over_mean == pytest.approx(1.5)


def test_a_week_of_hours():
    work, rest = np.arange(1.0, 25.0), np.full(24, 2.0)
    week = week_by_hour("mine", work, rest, "by hand")
    mean = (5 * work.sum() + 2 * rest.sum()) / 168
    half = (np.arange(24) + 0.5) * 3600.0  # each value stands in the middle of its hour
    assert week.at(3 * DAY_S + half) == pytest.approx(work / mean)
    assert week.at(6 * DAY_S + half) == pytest.approx(rest / mean)
    assert week.by_hour() == pytest.approx(work / 12.5)
    assert week.by_hour(weekend=True) == pytest.approx(rest / 12.5)


def test_holidays_are_sundays_of_the_place():
    place = zone("America/Chicago")
    start = dt.datetime(2025, 1, 6)  # a Monday
    noon = np.arange(7) * DAY_S + DAY_S / 2
    plain = week_seconds(start, noon, place, False, ())
    assert plain == pytest.approx(noon)
    off = week_seconds(start, noon, place, False, ("2025-01-08",))
    assert off == pytest.approx(np.where(np.arange(7) == 2, 6 * DAY_S + DAY_S / 2, noon))
    assert week_seconds(start, noon, place, True, ()) == pytest.approx(np.mod(noon + 6 * 3600, WEEK_S))


def test_the_rate_of_a_step_is_that_of_the_step_and_not_of_its_beginning():
    flat = np.full(24, 1.0)
    flat[12:] = 3.0
    own = request_class("batch").model_copy(update={"week": None, "weekday": tuple(flat), "weekend": tuple(flat)})
    profile = build(
        TrafficProfile,
        {"zone": "UTC", "start": "2025-01-06", "classes": {"mine": {"requests_per_s": 2.0, "kind": own}}},
    )
    rate = request_rate(profile, duration_s=DAY_S, dt_s=3600.0).rate_per_s.values[:, 0]
    assert rate[[3, 20]] == pytest.approx([1.0, 3.0])
    # At 11 o'clock the line from 11:30 to 12:30 has begun: by half an hour of it, from 1 to 2.
    assert 1.0 <= rate[11] <= 1.5
    assert rate[11] + rate[12] == pytest.approx(4.0)  # even about noon


def test_a_share_of_the_metro_and_an_end_within_a_minute():
    profile = build(TrafficProfile, {"classes": {"conversation": {"requests_per_s": 20.0}}})
    whole = draw_requests(profile, "conversation", duration_s=7200.0, seed=4)
    part = draw_requests(profile, "conversation", duration_s=7200.0, seed=4, share=0.1)
    assert part.at_s.size == pytest.approx(whole.at_s.size / 10, rel=0.1)
    short = draw_requests(profile, "conversation", duration_s=90.0, seed=4)
    assert short.at_s.max() < 90.0
    assert np.array_equal(short.at_s, whole.at_s[whole.at_s < 90.0])
    with pytest.raises(InputError, match="the factors do not fit the clock"):
        draw_requests(profile, "conversation", duration_s=120.0, factor=np.ones(3))


def test_people_ask_no_faster_than_they_type_and_read_at_the_peak():
    answer = np.exp(5.02 + 0.86**2 / 2)
    cycle = 20 / 0.9 + answer / 5.3  # typed, then read
    peak = request_class("conversation").shape().peak_over_mean

    def metro(per_s):
        classes = {"conversation": {"requests_per_s": per_s, "people": 1000}}
        return build(TrafficProfile, {"classes": classes})

    most = 1000 / cycle
    assert metro(0.999 * most / peak).most_per_s("conversation") == pytest.approx(most)
    with pytest.raises(InputError, match="people cannot ask so fast"):
        metro(1.001 * most / peak)


def test_no_length_is_below_one_token():
    assert lengths(1000, (-3.0, 0.5), np.random.default_rng(1), most=50).tolist() == [1] * 1000


def test_a_trace_of_mooncake_is_in_milliseconds(tmp_path):
    (tmp_path / "m.csv").write_text("timestamp_ms,input_length,output_length\n1000,6758,500\n4000,7319,7\n")
    ask = read_requests(tmp_path / "m.csv")
    assert ask.at_s.tolist() == [0.0, 3.0]
    assert (ask.tokens_in.tolist(), ask.tokens_out.tolist()) == ([6758, 7319], [500, 7])


def test_a_trace_repeats_after_a_mean_interval():
    again = tiled(requests_of([0.0, 1.0, 4.0], [1, 2, 3], 1), 14.0)  # a pass takes 6 s
    assert again.at_s.tolist() == [0.0, 1.0, 4.0, 6.0, 7.0, 10.0, 12.0, 13.0]
    assert again.tokens_in.tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    with pytest.raises(InputError, match="span_s is shorter"):
        tiled(requests_of([0.0, 4.0], 1, 1), 9.0, span_s=3.0)
