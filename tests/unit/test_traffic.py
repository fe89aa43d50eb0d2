"""Requests drawn from rates: their number, their bursts, what people can ask, and replayed traces."""

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.traffic.arrivals import arrivals, lengths, minute_noise, weibull_shape
from gridedge.profiles.traffic.replay import faster, read_requests, tiled
from gridedge.profiles.traffic.traffic import TrafficProfile, draw_requests, request_rate
from gridedge.spec import build


@pytest.mark.parametrize(("law", "cv"), [("gamma", 0.5), ("gamma", 3.0), ("weibull", 2.0), ("gamma", 1.0)])
def test_intervals_have_the_stated_spread(law, cv):
    at = arrivals(np.full(100, 50.0), 60.0, cv=cv, law=law, rng=np.random.default_rng(2))
    gaps = np.diff(at)
    assert gaps.std() / gaps.mean() == pytest.approx(cv, rel=0.05)
    assert at.size == pytest.approx(300_000, abs=5 * cv * np.sqrt(300_000))


def test_the_expected_number_is_the_integral_of_the_rate():
    rate = np.r_[np.zeros(10), np.full(10, 100.0), np.zeros(10), np.full(10, 10.0)]
    at = arrivals(rate, 60.0, cv=1.0, law="gamma", rng=np.random.default_rng(0))
    counts = np.histogram(at, np.arange(5) * 600.0)[0]
    assert counts[0] == 0
    assert counts[2] <= 1  # an interval may end in a stretch without requests, at its first moment
    assert counts[[1, 3]] == pytest.approx([60_000, 6_000], abs=5 * 245)


@pytest.mark.parametrize(("law", "cv"), [("gamma", 13.2), ("weibull", 6.0)])
def test_bursts_bring_no_more_requests_at_the_beginning(law, cv):
    counts = [
        arrivals(np.full(10, 1.5), 60.0, cv=cv, law=law, rng=np.random.default_rng(seed)).size for seed in range(3000)
    ]
    # A first interval like the others brings (cv^2 + 1) / 2 too many: 88 and 18.5.
    error = np.std(counts) / np.sqrt(len(counts))
    assert np.mean(counts) == pytest.approx(900.0, abs=4 * error)
    assert 5 * error < (cv**2 + 1) / 2


def test_weibull_shape_of_an_exponential_is_one():
    assert weibull_shape(1.0) == pytest.approx(1.0, abs=1e-9)


def test_lengths_are_log_normal_and_cut():
    drawn = lengths(200_000, (5.0, 0.8), np.random.default_rng(1), most=100_000)
    assert np.log(drawn).mean() == pytest.approx(5.0, abs=0.01)
    assert np.log(drawn).std() == pytest.approx(0.8, abs=0.01)
    assert lengths(100, (9.0, 2.0), np.random.default_rng(1), most=50).max() == 50


def test_noise_of_minutes_is_common_in_part():
    made = minute_noise(200_000, 3, std_pu=0.1, common_pu=0.4, memory_s=300.0, rng=np.random.default_rng(5))
    assert made.mean() == pytest.approx(1.0, abs=2e-3)
    logs = np.log(made)
    assert logs.std(axis=1) == pytest.approx(0.1, rel=0.02)
    assert np.corrcoef(logs)[0, 1] == pytest.approx(0.4, abs=0.03)
    lag = np.corrcoef(logs[0, :-1], logs[0, 1:])[0, 1]
    assert lag == pytest.approx(np.exp(-60 / 300), abs=0.01)


def metro(**classes):
    return build(TrafficProfile, {"zone": "America/Chicago", "start": "2025-03-08", "classes": classes})


def test_the_noise_begins_as_it_goes_on():
    made = minute_noise(30, 20_000, std_pu=0.1, common_pu=0.0, memory_s=600.0, rng=np.random.default_rng(5))
    spread = np.log(made).std(axis=0)
    assert spread == pytest.approx(np.full(30, 0.1), rel=0.03)
    near = np.corrcoef(np.log(made[:, 0]), np.log(made[:, 1]))[0, 1]
    assert near == pytest.approx(np.exp(-0.1), abs=0.01)


def test_the_mean_rate_of_a_week_is_the_stated_one():
    made = request_rate(metro(conversation={"requests_per_s": 40}), duration_s=7 * 86_400, dt_s=300)
    # The clocks change in this week: measured in UTC, it does not matter.
    assert float(made.rate_per_s.mean()) == pytest.approx(40, rel=0.002)


def test_a_long_step_holds_its_mean():
    profile = build(TrafficProfile, {"zone": "America/Chicago", "classes": {"coding": {"requests_per_s": 10.0}}})
    fine = request_rate(profile, duration_s=604_800.0, dt_s=60.0)["rate_per_s"].values[:, 0]
    for dt_s in (900.0, 3600.0, 86_400.0):
        rate = request_rate(profile, duration_s=604_800.0, dt_s=dt_s)["rate_per_s"].values[:, 0]
        assert rate == pytest.approx(fine.reshape(rate.size, -1).mean(axis=1), rel=0.02)


def test_a_holiday_is_a_sunday_and_growth_compounds():
    plain = metro(agents={"requests_per_s": 10, "growth_pu_per_year": 0.5})
    off = plain.model_copy(update={"holidays": ("2025-03-11",)})
    one, other = (request_rate(p, duration_s=14 * 86_400, dt_s=3600).rate_per_s.values[:, 0] for p in (plain, off))
    assert (other[71:95] < one[71:95]).all()  # the Sunday before had 23 hours
    assert np.array_equal(one[95:], other[95:])
    assert one[167:335].mean() / one[:168].mean() == pytest.approx(1.5 ** (7 / 365.25), rel=2e-3)


def test_the_same_seed_draws_the_same_requests():
    profile = metro(conversation={"requests_per_s": 5})
    one, same, other = (draw_requests(profile, "conversation", duration_s=3600, seed=s) for s in (1, 1, 2))
    assert np.array_equal(one.at_s, same.at_s)
    assert not np.array_equal(one.tokens_in[:50], other.tokens_in[:50])


def test_people_type_and_read():
    with pytest.raises(InputError, match="people cannot ask so fast"):
        metro(conversation={"requests_per_s": 100, "people": 1000})
    metro(conversation={"requests_per_s": 10, "people": 1_000_000})


def test_a_trace_keeps_what_it_holds(tmp_path):
    text = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
    text += "2023-11-16 18:17:03.9799600,4808,10\n2023-11-16 18:17:04.0319600,3180,8\n2023-11-16 18:17:06.0,100,3\n"
    (tmp_path / "t.csv").write_text(text)
    one = read_requests(tmp_path / "t.csv")
    assert one.at_s.tolist() == pytest.approx([0.0, 0.052, 2.02004])
    whole = tiled(one, 12.0, span_s=4.0)
    assert whole.at_s.size == 9
    assert whole.tokens_in.sum() == 3 * (4808 + 3180 + 100)
    assert faster(one, 2.0).at_s[-1] == pytest.approx(1.01002)
    (tmp_path / "t.csv").write_text(text + "2023-11-16 18:17:05.0,100,3\n")
    with pytest.raises(InputError, match="run backwards"):
        read_requests(tmp_path / "t.csv")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ("2023-11-16 18:00:10,10,10\n2023-11-16 18:00:05,10,10\n", "times of requests run backwards.*row 3 at -5 s"),
        ("2023-11-16 18:00:10,10,10\n2023-11-16 18:00:11,10,0\n", "GeneratedTokens is no number of tokens.*row 3: 0"),
        ("2023-11-16 18:00:10,10.7,10\n", "ContextTokens is no number of tokens.*row 2: 10.7"),
        ("2023-11-16 18:00:10,-1,10\n", "ContextTokens is no number of tokens.*row 2: -1"),
        ("", "holds no request"),
        (None, "holds nothing"),
    ],
)
def test_nothing_of_a_trace_is_mended_in_silence(tmp_path, rows, said):
    text = "" if rows is None else "TIMESTAMP,ContextTokens,GeneratedTokens\n" + rows
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=said):
        read_requests(tmp_path / "t.csv")


def test_messages():
    with pytest.raises(InputError, match="unknown class of requests"):
        metro(talking={"requests_per_s": 1})
    with pytest.raises(InputError, match="unknown time zone"):
        build(TrafficProfile, {"zone": "Dallas", "classes": {"batch": {"requests_per_s": 1}}})


def test_growth_ends_where_people_cannot_ask_faster():
    year = {"duration_s": 365 * 86_400.0, "dt_s": 3600.0}
    asks = {"requests_per_s": 1.0, "growth_pu_per_year": 0.5, "people": 150}
    with pytest.raises(InputError, match=r"cannot ask so fast \(got .* with its growth, above 2.36 from 2025-1"):
        request_rate(metro(conversation=asks), **year)
    half = request_rate(metro(conversation={**asks, "people": 200}), **year)["rate_per_s"]
    assert 2.36 < float(half.max()) < 3.15
    request_rate(metro(agents=asks), **year)  # software has no such bound
