"""Figures of a fleet by hand, on load curves that are straight lines: power, tokens, slow requests, homes, sharing."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.profiles.inference.fluid import LoadCurve
from gridedge.profiles.inference.models import model
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.traffic.classes import request_class
from gridedge.profiles.traffic.traffic import request_rate
from gridedge.sites.facility import connect
from gridedge.sites.fleet import capacity
from gridedge.sites.fleet.capacity import at_load, class_curve, sharing
from gridedge.sites.fleet.device import Device, home_load
from gridedge.sites.fleet.facility_tier import facility_tier, tier_of_size
from gridedge.sites.fleet.fleet import fleet
from gridedge.sites.fleet.model import Fleet
from gridedge.sites.fleet.popularity import cache_models, hit_share
from gridedge.sites.fleet.sharing import (
    erlang_b,
    installed_over_served,
    peakedness,
    servers_needed,
    servers_normal,
    thinned_cv,
)
from gridedge.sites.fleet.smallest import serves_s, smallest_site
from gridedge.spec import build

DALLAS, FORT_WORTH = {"lat": 32.78, "lon": -96.80}, {"lat": 32.76, "lon": -97.33}
DAY = {"duration_s": 86_400.0, "dt_s": 900.0}
FLAT = {"pue": 1.2, "fixed_share": 0.0, "rack_kw": 40.0, "cooling_lag_s": 1e-3}
SITE = {"name": "a", **DALLAS, "accelerators": 4000, "tier": "edge", "facility": FLAT}


def line(**more):
    """20 requests/s of a replica; 1 to 3 kW, 10 to 30 ms a token, none to half of them late."""
    ends = np.array([0.0, 1.0])
    made = LoadCurve(
        ends, np.array([1e3, 3e3]), 0 * ends, np.zeros((3, 2)), np.array([[0.01, 0.03]] * 3), 20.0, ends / 2
    )
    return dataclasses.replace(made, **more)


def plan(classes=None, sites=None, **more):
    data = {
        "traffic": {"zone": "America/Chicago", "classes": classes or {"conversation": {"requests_per_s": 8000.0}}},
        "places": [{"name": "Dallas", **DALLAS}],
        "sites": sites or [SITE],
        **more,
    }
    return build(Fleet, data)


def tokens(name):
    one = request_class(name)
    return tuple(float(np.exp(m + s * s / 2)) for m, s in (one.tokens_in, one.tokens_out))


def test_power_tokens_and_slow_requests_follow_the_curve():
    made = fleet(plan(), **DAY, curves={"conversation": line()})
    asked = made.flow.data.taken_per_s.values[0, 0]
    load = asked / (1000 * 20.0)
    assert made.flow.data.load_pu.values[0] == pytest.approx(load)
    assert made.load.p_it_mw.values[:, 0] == pytest.approx(1000 * (1e3 + 2e3 * load) / 1e6)
    assert made.slow["conversation"] == pytest.approx((asked * load / 2).sum() * 900.0)
    served, answer = float(made.by_tier.requests.item()), tokens("conversation")[1]
    assert served == pytest.approx(asked.sum() * 900.0)
    assert made.by_tier.tokens.item() == pytest.approx(served * answer)
    assert made.by_tier.j_per_token.item() == pytest.approx(made.by_tier.meter_mwh.item() * 3.6e9 / served / answer)


def test_what_a_request_takes():
    into, out = tokens("conversation")
    table = rates(Replica())
    one = fleet(plan(), **DAY, curves={"conversation": line()}).services[0]
    assert one.work_s == pytest.approx(4 / 20.0)  # accelerator seconds
    assert one.stay_s == pytest.approx(out * (0.01 + 0.02 * 0.6))  # at a load of 0.6
    assert one.again_s == pytest.approx(4 * (into + out / 2) * table.prefill_s_per_token)
    assert one.load_s == pytest.approx(model("Llama-3.1-70B-Instruct").weights_gb / 5.0)
    assert one.serves_s == pytest.approx(into * table.prefill_s_per_token + table.token_s[1])


def test_agents_ask_from_the_sites_by_their_size_and_people_from_where_they_live():
    sites = [SITE, {**SITE, "name": "b", **FORT_WORTH, "accelerators": 2000}]
    few = {"conversation": {"requests_per_s": 30.0}, "agents": {"requests_per_s": 30.0}}
    curves = dict.fromkeys(few, line())
    taken = fleet(plan(few, sites), **DAY, curves=curves).flow.data.taken_per_s
    assert float(taken.sel({"class": "conversation", "site": "b"}).sum()) == 0.0
    agents = taken.sel({"class": "agents"}).values
    assert agents[0] == pytest.approx(2 * agents[1])
    there = fleet(plan(few, sites, agents_at="places"), **DAY, curves=curves).flow.data.taken_per_s
    assert float(there.sel(site="b").sum()) == 0.0


def test_phones_are_charged_at_night_by_the_clock_of_the_metro():
    noon = {"zone": "America/Chicago", "start": "2025-01-06T12:00"}
    both = {"conversation": {"requests_per_s": 50.0}, "agents": {"requests_per_s": 5.0}}
    made = {}
    for names in (("conversation",), ("agents",), ("conversation", "agents")):
        classes = {k: both[k] for k in names}
        spec = plan(
            traffic={**noon, "classes": classes}, tiers={"cloud_pu": 0.0, "edge_pu": 0.5, "device_pu": 0.5},
            device={"plugged_pu": 0.0},
        )  # fmt: skip
        made[names] = fleet(spec, **DAY, curves=dict.fromkeys(classes, line())).homes
    one = made[("conversation",)].p_mw.values
    assert one[:40] == pytest.approx(0.0)  # until 22 o'clock
    assert (one[40:72] > 0).all()
    assert one[72:] == pytest.approx(0.0)  # from 6 o'clock
    whole = made[("conversation", "agents")]
    assert whole.p_mw.values == pytest.approx(one + made[("agents",)].p_mw.values)
    for name in ("energy_used_mwh", "energy_drawn_mwh", "energy_owed_mwh", "busy_devices"):
        assert whole.attrs[name] == pytest.approx(sum(made[(k,)].attrs[name] for k in both))


def test_a_site_with_a_transformer_of_its_own_is_what_connect_makes_of_it():
    own = {**SITE, "transformer": {"sn_mva": 12.0, "vkr_percent": 1.0, "pfe_kw": 20.0}}
    spec = plan(sites=[own])
    made = fleet(spec, **DAY, curves={"conversation": line()})
    it = xr.Dataset({"p_mw": made.load.p_it_mw.isel(site=0, drop=True)}, coords={"time": made.load.time})
    it.attrs = {"nameplate_mw": 1000 * rates(Replica()).peak_w / 1e6, "dt_s": 900.0}
    alone = connect(it[["p_mw"]], facility_tier(FLAT).facility(spec.sites[0].transformer))
    for name in ("p_mw", "q_mvar"):
        assert made.load[name].values[:, 0] == pytest.approx(alone[name].values[:, 0], rel=1e-12)
    plain = fleet(plan(), **DAY, curves={"conversation": line()}).load
    assert float((made.load.p_mw - plain.p_mw).min()) > 0.02  # iron and copper


def test_a_fleet_is_scaled_to_what_is_left_for_its_sites(monkeypatch):
    monkeypatch.setattr(capacity, "class_curve", lambda *_, **__: line())
    few = {"conversation": {"requests_per_s": 1.0}}
    half = plan(few, tiers={"cloud_pu": 0.0, "edge_pu": 0.5, "device_pu": 0.5})
    asked = [at_load(p, 0.6).traffic.classes["conversation"].requests_per_s for p in (plan(few), half)]
    most = float(request_rate(plan(few).traffic, duration_s=604_800.0, dt_s=900.0).rate_per_s.max())
    assert asked[0] == pytest.approx(0.6 * 1000 * 20 / most, rel=1e-9)
    assert asked[1] == pytest.approx(2 * asked[0], rel=1e-12)  # phones answer half


def test_bursts_of_a_class_reach_one_replica_as_its_share(monkeypatch):
    seen = []

    def drawn(table, draw, **_):
        seen.append(np.diff(draw(20.0, 4000.0, 3).at_s))
        return line()

    monkeypatch.setattr(capacity, "load_curve", drawn)
    for replicas in (1, 1000):
        class_curve(request_class("coding"), rates(Replica()), replicas=replicas)
    one, share = (gaps.std() / gaps.mean() for gaps in seen)
    assert one == pytest.approx(13.2, rel=0.15)
    assert share == pytest.approx(np.sqrt(1 + (13.2**2 - 1) / 1000), rel=0.02)


def test_what_sharing_installs_at_the_meters(monkeypatch):
    monkeypatch.setattr(capacity, "class_curve", lambda *_, **__: line())
    spec = plan({"conversation": {"requests_per_s": 400_000.0}, "coding": {"requests_per_s": 100_000.0}})
    found = sharing(spec, [5, 40])
    unit_mw = rates(Replica()).peak_w / 1e6
    assert found.attrs["served_mw"] == pytest.approx(found.attrs["served_replicas"] * unit_mw)
    # The peak of the sum of both, in replicas of 20 requests/s.
    rate = request_rate(spec.traffic, duration_s=604_800.0, dt_s=900.0).rate_per_s
    work = [rate.sel({"class": k}).values / 20 for k in ("conversation", "coding")]
    assert found.attrs["served_replicas"] == pytest.approx(sum(work).max(), rel=1e-9)
    # By hand, with the variances of bursts and of the common spread of each class; slots by Little's law.
    answer = {k: tokens(k)[1] for k in ("conversation", "coding")}
    slots = int(20 * min(answer.values()) * 0.03)
    assert found.attrs["slots"] == slots
    peak = int(np.argmax(sum(work)))
    for k, n in enumerate((5, 40)):
        a = np.array([w[peak] for w in work]) / (n - 1)
        one = [request_class(c) for c in ("conversation", "coding")]
        z = [peakedness(thinned_cv(c.cv, 1 / (n - 1))) for c in one]
        variance = sum(z * a * slots) + sum((np.array([c.noise_pu for c in one]) * a * slots) ** 2)
        each = np.ceil((a.sum() * slots + 2.3263478740408408 * np.sqrt(variance)) / slots)
        assert found.normal_pu.values[k] == pytest.approx(n * each / found.attrs["served_replicas"], rel=1e-9)
        building = facility_tier(str(found.building.values[k]))
        assert found.site_mw.values[k] == pytest.approx(each * unit_mw * float(building.pue_at(1.0, 42.0)), rel=1e-9)
    assert found.building.values.tolist() == ["regional", "edge"]


def test_hardware_of_its_own_for_each_class_by_hand():
    load, slots = np.array([[30.0, 10.0], [5.0, 20.0]]), 8
    found = installed_over_served(load, [4], shared=False, slots=slots, cv=[3.0, 1.0], spread_pu=[0.1, 0.2])
    assert found.attrs["served_replicas"] == 35.0  # the peak of the sum; the classes' own peaks are 30 and 20
    each = 0.0
    for peak, cv, spread in ((30.0, 3.0, 0.1), (20.0, 1.0, 0.2)):
        a = peak / 3 * slots
        z = 1 + (1 + (cv**2 - 1) / 3 - 1) / 2  # a third of the stream comes to each of the three that are left
        each += np.ceil((a + 2.3263478740408408 * np.sqrt(z * a + (spread * a) ** 2)) / slots)
    assert found.normal_pu.item() == pytest.approx(4 * each / 35)
    slot = [np.ceil(servers_needed(p * slots / 3, wait_pu=0.01) / slots) for p in (30.0, 20.0)]
    assert found.erlang_pu.item() == pytest.approx(4 * sum(slot) / 35)
    assert float(servers_normal(50.0, wait_pu=0.0227501319, peakedness=4.0, spread_pu=0.1)) == pytest.approx(80.0)
    assert peakedness(3.0) == pytest.approx(5.0)
    assert erlang_b(5e4, 10) == pytest.approx(1 - 10 / 5e4, abs=1e-6)  # far below the load all but c/a are lost


def test_the_smallest_site_figure_by_figure():
    small, large = Replica(model="Qwen3-8B", accelerators=1), Replica()
    site = smallest_site([large, small], [0.5, 0.3], busy_pu=0.4)
    assert (site.accelerators, site.held) == (4 + 4 + 1, ("Llama-3.1-70B-Instruct", "Qwen3-8B"))  # the spare is large
    building, tables = facility_tier("edge"), [rates(r) for r in (large, small)]
    idle = (2 * tables[0].idle_w + tables[1].idle_w) / 1e6
    assert site.idle_mw == pytest.approx(idle * (1 + building.a) + building.b * site.it_mw)
    # Busy accelerators of a mean request: its accelerator seconds, weighed by who asks.
    seconds = [n / t.capacity_per_s(*tokens("conversation")) for n, t in zip((4, 1), tables, strict=True)]
    mean = (0.5 * seconds[0] + 0.3 * seconds[1]) / 0.8
    assert site.worth_requests_per_s == pytest.approx(0.4 * 9 / mean)
    assert site.first_token_s == pytest.approx(serves_s(tables[0], request_class("conversation")))
    one = smallest_site([large, small], [0.5, 0.3], held=1)
    assert one.compute_pu == pytest.approx(0.8 * 0.5 * seconds[0] / (0.5 * seconds[0] + 0.3 * seconds[1]))
    near = request_class("search").model_copy(update={"first_token_s": site.first_token_s + 0.012})
    short = smallest_site([large, small], [0.5, 0.3], kind=near.model_copy(
        update={"tokens_in": request_class("conversation").tokens_in, "tokens_out": (5.02, 0.86), "token_s": 0.1}
    ))  # fmt: skip
    assert short.reach_km == pytest.approx(0.002 * 204_000 / 3, rel=1e-6)  # of the slower model
    wide = Replica(model="Llama-3.1-405B-Instruct", accelerators=16)
    kw = rates(wide).peak_w / 1e3
    open_rack = facility_tier({"pue": 1.3, "rack_kw": kw / 2 * 1.01})  # one of its two servers each
    assert smallest_site([wide], [1.0], facility=open_rack, spare=1).racks == 4


def test_what_is_popular_by_hand():
    ranked = ["Llama-3.1-70B-Instruct", "Qwen3-8B", "Qwen3-14B"]
    cache = cache_models(ranked, np.array([5.0, 3.0, 2.0]), memory_gb=30.0)  # 16.4 and 29.6 GB: one of them
    assert cache.held == ("Qwen3-8B",)
    assert cache.compute_pu == pytest.approx(0.3)
    assert cache.weights_gb == pytest.approx(model("Qwen3-8B").weights_gb)
    assert hit_share(np.array([0.2, 0.5, 0.3])) == pytest.approx([0.0, 0.5, 0.8, 1.0])


def test_how_many_phones_work_at_once():
    phone = Device(active_w=6, tokens_per_s=10, sustained_w=3, burst_s=60)
    load = home_load(np.array([2.0, 7.0, 1.0]), 3600.0, 1000.0, phone)
    assert load.attrs["busy_devices"] == pytest.approx(7 * (60 + 40 * 2))  # 40 of 100 s at half speed


def test_what_a_device_and_its_tier_answer():
    few = {"conversation": {"requests_per_s": 100.0}}
    spec = plan(
        few, tiers={"cloud_pu": 0.0, "edge_pu": 0.8, "device_pu": 0.2},
        serve={"conversation": {"private_pu": 0.3, "private_at": "device"}},
    )  # fmt: skip
    assert spec.device_share("conversation") == pytest.approx(0.5)


def test_a_site_under_its_idle_power_is_told_what_one_replica_draws():
    table, building = rates(Replica()), facility_tier("edge")
    idle = (table.idle_w * (1 + building.a) + table.peak_w * building.b) / 1e6
    site = {"name": "tiny", **DALLAS}
    with pytest.raises(InputError, match=f"one idle replica of Llama-3.1-70B-Instruct draws {idle:.3g} MW"):
        fleet(plan(sites=[{**site, "p_mw": 0.999 * idle}]), **DAY, curves={"conversation": line()})
    with pytest.raises(InputError, match="fits no server"):
        fleet(plan(sites=[{**site, "p_mw": 1.001 * idle}]), **DAY, curves={"conversation": line()})


def test_sizes_of_buildings_at_their_edges():
    assert [tier_of_size(mw).name for mw in (19.99, 20.0, 99.99, 100.0)] == ["edge", "regional", "regional", "campus"]
    old = facility_tier("retrofit")  # 1.65 at 0.6: half of the overhead is fixed, and half of that somebody else's
    assert old.b == pytest.approx(0.5 * 0.65 * 0.6 * 0.5)
    assert float(old.pue_at(0.6)) == pytest.approx(1 + 0.325 + 0.1625)
