"""Parts of a fleet against closed forms: tiers, popularity, sharing, devices, buildings, weather, repurposing."""

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.measure.ambient import at_ambient, line_rating_pu, transformer_rating_pu
from gridedge.profiles.generate import generate
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.sites.facility import metered_power
from gridedge.sites.fleet.device import Device, drawn_from_sockets, home_load, homes_mw_per_mw
from gridedge.sites.fleet.facility_tier import FacilityTier, facility_tier, facility_tiers, tier_of_size
from gridedge.sites.fleet.popularity import Popularity, cache_models, head_share, hit_share, zipf_exponent, zipf_shares
from gridedge.sites.fleet.privacy import FineTuning, fine_tuning_load
from gridedge.sites.fleet.repurpose import Repurpose, repurposed
from gridedge.sites.fleet.routing import Network
from gridedge.sites.fleet.sharing import (
    erlang_b,
    erlang_c,
    failover_factor,
    installed_over_served,
    peakedness,
    peaks_together,
    servers_needed,
    servers_normal,
    thinned_cv,
)
from gridedge.sites.fleet.smallest import reach_km, requests_of_compute, smallest_site, smallest_sites
from gridedge.sites.fleet.tiers import Tiers
from gridedge.sites.fleet.weather import Climate, usual_temperature
from gridedge.spec import build

SMALL = Replica(model="Qwen3-8B", accelerators=1)
LARGE = Replica()  # 70B on four


def test_tiers_add_to_one():
    assert Tiers().shares() == {"cloud": 0.20, "edge": 0.79, "device": 0.01}
    assert all(a.mark == "assumed" for a in Tiers().assumptions())
    with pytest.raises(InputError, match=r"do not add to one \(got 0.2 \+ 0.8 \+ 0.01 = 1.01\)"):
        build(Tiers, {"edge_pu": 0.8})


def test_zipf_by_hand():
    assert zipf_shares(3, 1.0) == pytest.approx(np.array([6, 3, 2]) / 11)
    assert zipf_shares(4, 0.0) == pytest.approx(0.25)
    # Of five, the first is a fifth: 1 / sum(k^-s) = 0.8.
    s = zipf_exponent(5, head_pu=0.2, share_pu=0.8)
    assert 1 / (np.arange(1.0, 6) ** -s).sum() == pytest.approx(0.8)
    assert hit_share(zipf_shares(3, 1.0)) == pytest.approx(np.array([0, 6, 9, 11]) / 11)


@pytest.mark.parametrize("count", [14, 100, 1000, 20_000])
def test_a_fifth_has_four_fifths(count):
    s = zipf_exponent(count, head_pu=0.2, share_pu=0.8)
    assert head_share(zipf_shares(count, s), 0.2) == pytest.approx(0.8, abs=1e-10)
    # From above to that of the continuous law, x^(1-s) = 0.8 at x = 0.2.
    assert s > 1 - np.log(0.8) / np.log(0.2)


def test_popularity_refuses_what_no_law_has():
    # 30 % of three items is less than one of them, however popular it is.
    with pytest.raises(InputError, match="no law of Zipf has such a head"):
        zipf_exponent(3, head_pu=0.3, share_pu=0.95)
    with pytest.raises(InputError, match="more models than tasks"):
        Popularity(tasks=10).of_models(11)
    shares = Popularity().of_models(5)
    assert shares.sum() == pytest.approx(1)
    assert shares[0] == pytest.approx(0.8)


def test_a_cache_holds_the_popular_models():
    ranked = ["Llama-3.1-70B-Instruct", "Qwen3-8B", "Qwen3-14B"]
    # 141.2 GB do not fit into 60: 16.4 and 29.6 do.
    cache = cache_models(ranked, [0.5, 0.3, 0.2], memory_gb=60.0)
    assert cache.held == ("Qwen3-8B", "Qwen3-14B")
    assert (cache.compute_pu, cache.requests_pu) == pytest.approx((0.5, 0.5))
    # A request of the large one takes ten times the work: it is asked for less than its compute says.
    cache = cache_models(ranked, [0.5, 0.3, 0.2], memory_gb=60.0, work=np.array([10.0, 1.0, 1.0]))
    assert cache.requests_pu == pytest.approx(0.5 / 0.55)
    with pytest.raises(InputError, match="no model fits the site"):
        cache_models(ranked, [0.5, 0.3, 0.2], memory_gb=10.0)


def test_erlang_by_hand():
    # a = 2: B(3) = (8/6) / (1 + 2 + 2 + 8/6) = 4/19, and C = 4/9.
    assert erlang_b(2.0, 3) == pytest.approx(4 / 19)
    assert erlang_c(2.0, 3) == pytest.approx(4 / 9)
    assert (erlang_c(3.0, 3), erlang_c(0.0, 3)) == (1.0, 0.0)
    for load in (0.3, 7.0, 95.5):
        c = servers_needed(load, wait_pu=0.01)
        assert erlang_c(load, c) <= 0.01 < erlang_c(load, c - 1)


def test_normal_bound_and_bursts():
    assert servers_normal(10_000.0, wait_pu=0.5) == pytest.approx(10_000)
    assert float(servers_normal(100.0, wait_pu=0.0227501)) == pytest.approx(120.0, abs=1e-3)  # two deviations
    # Square-root staffing and Erlang agree on a large site within one server in a hundred.
    assert servers_needed(10_000.0, wait_pu=0.01) == pytest.approx(float(servers_normal(1e4, wait_pu=0.01)), rel=0.01)
    assert (peakedness(1.0), thinned_cv(1.0, 0.3)) == (1.0, 1.0)
    assert thinned_cv(13.2, 1.0) == pytest.approx(13.2)
    assert thinned_cv(13.2, 0.0) == 1.0


def test_sharing_goes_to_the_reserve():
    # With load without end the pooling loss is gone, and N / (N - 1) is left.
    sites = np.array([2, 5, 10, 100])
    gain = installed_over_served([3e6], sites, wait_pu=0.01)
    assert gain.reserve_pu.values == pytest.approx(sites / (sites - 1))
    assert gain.erlang_pu.values == pytest.approx(sites / (sites - 1), rel=0.02)
    assert (gain.erlang_pu.values >= sites / (sites - 1)).all()
    assert failover_factor(10) == pytest.approx(10 / 9)
    assert failover_factor(4, 2) == 2.0
    alone = installed_over_served([50.0], [1])
    assert np.isnan(alone.erlang_pu.item())
    assert alone.pooling_pu.item() == pytest.approx(servers_needed(50, wait_pu=0.01) / 50)
    with pytest.raises(InputError, match="no site is left to take over"):
        failover_factor(1)


def test_sharing_between_classes_gains_their_different_hours():
    day = np.array([[1.0, 3.0], [3.0, 1.0]]) * 1e4
    assert peaks_together(day) == pytest.approx(6 / 4)
    both = installed_over_served(day, [10], lost=0).pooling_pu.item()
    apart = installed_over_served(day, [10], lost=0, shared=False).pooling_pu.item()
    assert apart / both == pytest.approx(1.5, rel=0.03)


def test_the_smallest_site_by_hand():
    site = smallest_site([SMALL, LARGE], [0.7, 0.2], spare=1)
    small, large = rates(SMALL).peak_w, rates(LARGE).peak_w
    assert site.accelerators == 1 + 4 + 4
    assert site.it_mw == pytest.approx((small + 2 * large) / 1e6)
    assert site.meter_mw == pytest.approx(site.it_mw * float(facility_tier("edge").pue_at(1.0)))
    assert site.requests_pu == pytest.approx(0.9)
    assert 0 < site.compute_pu <= 0.9
    table = smallest_sites([SMALL, LARGE], [0.7, 0.2])
    assert table.meter_mw.values[1] == pytest.approx(site.meter_mw)
    assert table.requests_pu.values[0] == pytest.approx(0.7)


def test_what_is_asked_is_compute_over_work():
    asked = requests_of_compute([0.5, 0.5], [SMALL, LARGE])
    per_chip = [rates(r).capacity_per_s(1155.0, 219.0) / r.accelerators for r in (SMALL, LARGE)]
    assert asked[0] / asked[1] == pytest.approx(per_chip[0] / per_chip[1], rel=0.02)
    site = smallest_site([SMALL, LARGE], asked, held=1)
    assert site.compute_pu == pytest.approx(0.5)


def test_how_far_away_a_site_may_be():
    # 10 ms of access, 30 ms of fibre there and back, half as long again as the crow flies.
    assert reach_km(10.0, Network()) == pytest.approx(np.pi * 6371)
    assert reach_km(0.040, Network()) == pytest.approx(0.030 * 204_000 / 3)
    with pytest.raises(InputError, match="no site can meet the latency"):
        reach_km(0.009, Network())
    with pytest.raises(InputError, match="Qwen3-8B: no site can meet the latency"):
        smallest_site([SMALL], [1.0], kind="vision")  # 1,452 tokens of a picture, 8.2e9 weights


def test_a_server_that_no_rack_of_the_cpu_age_takes():
    eight = Replica(model="Qwen3-235B-A22B-Instruct-2507-FP8", accelerators=8)
    old = FacilityTier(name="old", pue=1.6, rack_kw=5.0)
    with pytest.raises(InputError, match="old: no server fits a rack"):
        smallest_site([eight], [1.0], facility=old)
    site = smallest_site([SMALL], [1.0], facility="retrofit", spare=14)
    assert site.racks == int(np.ceil(15 / np.floor(8.0 / (rates(SMALL).peak_w / 1e3))))


@pytest.mark.parametrize("name", facility_tiers())
def test_pue_of_every_building(name):
    one = facility_tier(name)
    if one.shared_cooling_pu == 0:
        assert float(one.pue_at(one.at_load_pu)) == pytest.approx(one.pue)
    assert float(one.pue_at(0.2)) > float(one.pue_at(0.9)) >= 1
    assert one.it_mw(10.0) * float(one.pue_at(1.0)) == pytest.approx(10.0)
    # The facility that connect takes has the same PUE, once its cooling has settled.
    p = metered_power(np.full(50, 0.3), 300.0, one.facility(), nameplate_mw=1.0)
    assert p[-1] / 0.3 == pytest.approx(float(one.pue_at(0.3)))
    assert one.origins["pue"].mark in {"quoted", "assumed"}


def test_the_weather_moves_the_cooling_alone():
    one = facility_tier("edge")
    assert one.cooling_factor([20.0, 15.0, 10.0, -20.0, 30.0]) == pytest.approx([1.0, 0.75, 0.5, 0.5, 1.5])
    cold, hot = one.pue_at(0.6, -10.0), one.pue_at(0.6, 30.0)
    share = one.facility().cooling_proportional_pu
    assert hot - cold == pytest.approx(share)  # 1.5 less 0.5 of it
    p = metered_power(np.ones(50), 300.0, one.facility(), nameplate_mw=1.0, cooling_factor=one.cooling_factor(30.0))
    assert p[-1] == pytest.approx(float(one.pue_at(1.0, 30.0)))


def test_buildings_that_cannot_be():
    assert [tier_of_size(mw).name for mw in (1000, 50, 10)] == ["campus", "regional", "edge"]
    with pytest.raises(InputError, match=r"unknown kind of building \(got campis\). Did you mean 'campus'"):
        facility_tier("campis")
    with pytest.raises(InputError, match="the conversion losses alone are more than the PUE allows"):
        build(FacilityTier, {"pue": 1.03})
    with pytest.raises(InputError, match="a PUE without IT power is none"):
        facility_tier("edge").pue_at(0.0)


def test_energy_of_a_token_in_the_hand():
    phone = Device(
        active_w=6, tokens_per_s=10, sustained_w=3, burst_s=60, charger_efficiency=0.8, battery_efficiency=0.9
    )
    assert phone.socket_j_per_token == pytest.approx(0.6 / 0.72)
    assert phone.sustained_tokens_per_s == 5.0
    assert phone.answer_s(100) == 10.0
    assert phone.answer_s(1000) == 60 + 400 / 5  # 600 tokens from cold, the rest at half speed
    assert phone.work_s(100, 500) == 10 + 5  # a prompt is read ten times as fast
    assert homes_mw_per_mw(phone, site_j_per_token=0.5) == pytest.approx(0.6 / 0.72 / 0.5)
    with pytest.raises(InputError, match="keeps up more than it draws"):
        build(Device, {"active_w": 3, "sustained_w": 4})


@pytest.mark.parametrize("dt_s", [300.0, 1800.0, 3600.0, 7000.0])
def test_what_phones_use_is_drawn_over_the_night(dt_s):
    phone = Device(plugged_pu=0.0, charge_from_h=22.0, charge_hours=8.0)
    steps = int(4 * 86_400 // dt_s)
    used = np.random.default_rng(3).uniform(0, 1e6, steps)
    drawn, owed = drawn_from_sockets(used, dt_s, phone, start_h=5.0)
    chain = phone.charger_efficiency * phone.battery_efficiency
    assert drawn.sum() * dt_s + owed == pytest.approx(used.sum() * dt_s / chain, rel=1e-12)
    assert (drawn >= -1e-9).all()
    if dt_s == 3600.0:
        hours = (np.arange(steps) + 5) % 24
        assert drawn[(hours >= 6) & (hours < 22)] == pytest.approx(0, abs=1e-6)
        # The second night gives back what was used from 22 to 22 before it.
        first = used[17:41].sum() / chain / 8
        assert drawn[41:49] == pytest.approx(first)


def test_homes_carry_the_phones():
    phone = Device()
    load = home_load(np.full(7 * 24, 50.0), 3600.0, 200.0, phone, homes=1000)
    used = 50 * 200 * 0.6 * 7 * 24 / 1e6
    assert load.attrs["energy_used_mwh"] == pytest.approx(used)
    part = phone.plugged_pu / phone.charger_efficiency + (1 - phone.plugged_pu) / (0.85 * 0.95)
    assert load.attrs["energy_drawn_mwh"] + load.attrs["energy_owed_mwh"] == pytest.approx(used * part)
    assert load.attrs["busy_devices"] == pytest.approx(50 * 20)
    assert float(load.p_w_per_home.sum()) == pytest.approx(float(load.p_mw.sum()) * 1e3)


def test_ratings_by_the_weather():
    assert line_rating_pu([35.0, 80 - 45 / 4]) == pytest.approx([1.0, 0.5])
    assert transformer_rating_pu([30.0, 40.0]) == pytest.approx([1.0, 0.9])
    with pytest.raises(InputError, match="the air is as hot as the conductor may be"):
        line_rating_pu(85.0)
    with pytest.raises(InputError, match="an outdoor temperature is none"):
        transformer_rating_pu(95.0)  # degrees Fahrenheit
    time = {"time": [0.0, 3600.0]}
    loading = xr.DataArray(
        np.full((2, 4), 50.0),
        dims=("time", "branch"),
        coords={**time, "branch": ["line:0", "trafo:1", "impedance:2", "trafo3w:3"]},
    )
    hot = at_ambient(loading, xr.DataArray([35.0, 40.0], dims="time", coords=time))
    assert hot.values[0] == pytest.approx([50.0, 50 / 0.95, 50.0, 50 / 0.95])
    assert hot.values[1] == pytest.approx([50 / np.sqrt(40 / 45), 50 / 0.9, 50.0, 50 / 0.9])
    assert at_ambient(loading.T, hot.time * 0 + 30.0).dims == ("branch", "time")
    with pytest.raises(InputError, match="do not fit the clock"):
        at_ambient(loading, xr.DataArray([35.0], dims="time", coords={"time": [0.0]}))


def test_usual_temperatures_keep_the_months():
    t = usual_temperature(Climate(), start="2025-01-01", duration_s=365 * 86_400.0, dt_s=3600.0)
    assert float(t[: 31 * 24].mean()) == pytest.approx(8.4, abs=0.5)
    assert float(t[181 * 24 : 212 * 24].mean()) == pytest.approx(30.4, abs=0.5)
    day = t.values[100 * 24 : 101 * 24]
    assert day.max() - day.min() == pytest.approx(11.0, abs=0.5)
    hour = np.argmax(t.values[100 * 24 : 101 * 24])
    assert hour in (15, 16)
    even = Climate(month_c=(20.0,) * 12)
    for dt_s in (3600.0, 21_600.0):  # in the middle of each step, by the clock of the day
        t = usual_temperature(even, start="2025-07-01T09:00", duration_s=172_800.0, dt_s=dt_s).values
        hour = 9 + (np.arange(t.size) + 0.5) * dt_s / 3600
        assert t == pytest.approx(20 + 5.5 * np.cos(2 * np.pi * (hour - 16) / 24), abs=1e-9)


def test_a_campus_that_comes_to_serve():
    plan = Repurpose(nameplate_mw=1000, years=(2026, 2030), trains_pu=(1.0, 0.2), training_pu=0.8, busy_pu=0.5)
    out = repurposed(plan, [1.0, 2.0], dt_s=3600.0)
    assert out.p_mw.values[0] == pytest.approx(800.0)
    assert out.p_mw.values[1] == pytest.approx([160 + 800 / 3, 160 + 1600 / 3])
    assert out.change_5s_mw.values == pytest.approx([670, 134])
    assert out.peak_mw.values == pytest.approx([800, 160 + 1600 / 3])
    assert out.lowest_mw.values == pytest.approx([800, 160 + 800 / 3])
    assert out.mean_mw.values == pytest.approx([800, 560])
    assert out.energy_mwh.values == pytest.approx([1600, 1120])
    assert plan.share_at(2028.0) == pytest.approx(0.6)
    with pytest.raises(InputError, match="a year outside the plan"):
        plan.share_at(2031)
    with pytest.raises(InputError, match="serving exceeds the nameplate"):
        repurposed(plan, [0.1, 0.1, 3.0], dt_s=3600.0)


def test_fine_tuning_is_a_training_job():
    spec = FineTuning(servers=2, from_h=22.0, hours=4.0)
    load = fine_tuning_load(spec, duration_s=86_400.0, dt_s=1800.0)
    job = generate(spec.job(), duration_s=600.0, dt_s=0.5)
    assert float(load.p_mw.max()) == pytest.approx(float(job.p_mw.mean()))
    assert float(load.p_mw.min()) == pytest.approx(spec.job().idle_level_pu * spec.job().nameplate_mw)
    on = load.p_mw.values > load.p_mw.values.min() + 1e-9
    assert on.sum() == 8
    assert on[:4].all()
    assert on[-4:].all()
    with pytest.raises(InputError, match="fine-tuning needs a training job"):
        FineTuning(profile="mixed-campus").job()
