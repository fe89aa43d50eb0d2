"""Fleets from requests to meters: closed books, ratio of PUEs, tiers, privacy, failures, and messages."""

from dataclasses import dataclass

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.profiles.inference.replica import rates
from gridedge.sites.facility import connect
from gridedge.sites.fleet.capacity import accelerators_of, at_load, sharing
from gridedge.sites.fleet.fleet import fleet
from gridedge.sites.fleet.model import Fleet, serving_sites
from gridedge.sites.fleet.routing import Outage
from gridedge.sites.fleet.weather import Climate, usual_temperature
from gridedge.spec import build

DALLAS, FORT_WORTH = {"lat": 32.78, "lon": -96.80}, {"lat": 32.76, "lon": -97.33}
DAY = {"duration_s": 86_400.0, "dt_s": 900.0}
FLAT = {"pue": 1.2, "fixed_share": 0.0, "rack_kw": 40.0, "cooling_lag_s": 1e-3}


def two_sites(*, sites=None, classes=None, **more):
    one = {"p_mw": 10.0, **DALLAS, "name": "a"}
    other = {"p_mw": 10.0, **FORT_WORTH, "name": "b"}
    data = {
        "traffic": {"zone": "America/Chicago", "classes": classes or {"conversation": {"requests_per_s": 8000.0}}},
        "places": [{"name": "Dallas", **DALLAS, "weight": 2.0}, {"name": "Fort Worth", **FORT_WORTH}],
        "sites": sites or [one, other],
        **more,
    }
    return build(Fleet, data)


def closed(flow):
    for name, book in flow.books.items():
        rest = book["offered"] - book["in_time"] - book["late"] - book["refused"] - book["in_system"]
        assert abs(rest) <= 1e-9 * book["offered"], (name, book)


def test_requests_become_megawatts():
    made = fleet(two_sites(), **DAY)
    closed(made.flow)
    load = made.load
    assert load.p_mw.dims == ("time", "site")
    assert load.tier.values.tolist() == ["edge", "edge"]
    assert float(load.p_mw.max()) <= 10.0
    assert float(made.flow.data.load_pu.max()) <= 0.8 + 1e-9
    assert load.q_mvar.values == pytest.approx(load.p_mw.values * np.tan(np.arccos(0.98)))
    assert made.by_tier.meter_mwh.item() == pytest.approx(float(load.p_mw.sum()) * 0.25)
    assert made.by_tier.requests.item() == pytest.approx(sum(b["in_time"] for b in made.flow.books.values()))
    # What is asked in the metro is served: Dallas two thirds, as far as its site has room.
    offered = made.flow.books["conversation"]["offered"]
    assert offered == pytest.approx(made.by_tier.requests.item())
    origins = {a.name: a for a in made.assumptions}
    assert origins["fill_pu"].mark == origins["facility.edge.pue"].mark == "assumed"
    assert origins["serve.conversation.replica.max_batch"].mark == "assumed"
    assert origins["classes.conversation.cv"].mark == "measured"
    assert not any(name.startswith("device") for name in origins)  # there is no device tier


def test_a_site_is_what_connect_makes_of_its_computers():
    plan = two_sites()
    made = fleet(plan, **DAY)
    it = xr.Dataset({"p_mw": made.load.p_it_mw.isel(site=0, drop=True)}, coords={"time": made.load.time})
    building = plan.sites[0].building()
    it.attrs = {"nameplate_mw": building.it_mw(10.0, plan.design_c), "dt_s": 900.0}
    alone = connect(it[["p_mw"]], building.facility())
    assert alone.p_mw.values[:, 0] == pytest.approx(made.load.p_mw.values[:, 0], rel=1e-12)


def test_the_penalty_of_the_edge_is_the_ratio_of_the_pues():
    # The same accelerators, the same load, in one place: one building or ten, with another PUE.
    def energy(count, pue):
        sites = [
            {"name": f"s{k}", **DALLAS, "accelerators": 8000 // count, "tier": "edge", "facility": {**FLAT, "pue": pue}}
            for k in range(count)
        ]
        plan = two_sites(sites=sites, classes={"conversation": {"requests_per_s": 8000.0}}, fill_pu=1.0)
        return fleet(plan, **DAY)

    one, ten, worse = energy(1, 1.1), energy(1, 1.4), energy(10, 1.4)
    ratio = ten.by_tier.meter_mwh.item() / one.by_tier.meter_mwh.item()
    assert ratio == pytest.approx(1.4 / 1.1, rel=1e-12)
    # Ten of which the first are full and the last idle draw less than one that is half full: all else is not equal.
    assert worse.by_tier.pue.item() == pytest.approx(1.4)
    assert worse.by_tier.it_mwh.item() < ten.by_tier.it_mwh.item()


def test_tiers_share_the_compute():
    sites = [
        {"p_mw": 100.0, **DALLAS, "name": "campus"},
        {"p_mw": 19.0, **FORT_WORTH, "name": "near"},
    ]
    plan = two_sites(
        sites=sites,
        tiers={"cloud_pu": 0.7, "edge_pu": 0.25, "device_pu": 0.05},
        homes=1000,
        serve={"conversation": {"private_pu": 0.1}},
    )
    assert [s.of_tier() for s in plan.sites] == ["cloud", "edge"]
    made = fleet(plan, duration_s=7 * 86_400.0, dt_s=1800.0)
    requests = made.by_tier.requests
    total = 8000.0 * 7 * 86_400.0
    assert float(requests.sum()) == pytest.approx(total, rel=0.01)  # the mean of a measured week, read at half hours
    assert (requests / requests.sum()).values == pytest.approx([0.7, 0.25, 0.05], rel=1e-9)
    assert made.by_tier.tier.values.tolist() == ["cloud", "edge", "device"]
    assert float(made.homes.p_mw.max()) > 0
    assert made.homes.sizes["time"] == made.load.sizes["time"]
    # In the hand: 6 W for 0.1 s for each token of an answer, and a tenth of it for each of a prompt.
    into, out = (np.exp(m + s * s / 2) for m, s in ((6.63, 0.99), (5.02, 0.86)))
    device = made.by_tier.sel(tier="device")
    assert device.it_mwh / device.tokens * 3.6e9 == pytest.approx(0.6 + 0.06 * into / out)
    assert 1.15 < made.by_tier.pue.sel(tier="device") < 1.3


def test_private_requests_stay_at_home():
    plan = two_sites(serve={"conversation": {"private_pu": 0.5}}, classes={"conversation": {"requests_per_s": 5000.0}})
    made = fleet(plan, **DAY, outages=[Outage("b", 43_200.0)])
    closed(made.flow)
    assert made.flow.books["conversation"]["refused"] == 0
    refused = made.flow.data.refused.sel({"class": "conversation@home"})
    assert float(refused[:48].sum()) == 0
    assert (refused[49:] > 0).all()
    assert (made.load.p_mw.sel(site="b").values[48:] == 0).all()
    assert float(made.load.p_mw.sel(site="a").values[50]) > 0


def test_a_site_that_takes_over_draws_what_its_work_draws():
    # In the step in which a's requests move, they fill b, which takes on nothing new: its meter shows their work.
    spots = {"a": (10.0, DALLAS), "b": (1.0, FORT_WORTH), "c": (20.0, {"lat": 33.2, "lon": -97.1})}
    sites = [{"name": name, "p_mw": mw, **at} for name, (mw, at) in spots.items()]
    failed = fleet(two_sites(sites=sites), **DAY, outages=[Outage("a", 43_200.0)])
    moved = failed.flow.data.isel(time=49).sel(site="b")
    assert float(moved.load_pu) == pytest.approx(0.8)
    full = failed.flow.data.load_pu.sel(site="b").values > 0.8 - 1e-9
    b = failed.load.p_it_mw.sel(site="b").values[full]
    assert b == pytest.approx(np.full(b.size, b.max()), rel=1e-6)
    assert float(moved.taken_per_s.sum()) > 0


def test_what_may_not_leave_the_hand():
    few = {"conversation": {"requests_per_s": 5000.0}}
    hand = two_sites(serve={"conversation": {"private_pu": 0.3, "private_at": "device"}}, classes=few)
    made, all_sites = fleet(hand, **DAY), fleet(two_sites(classes=few), **DAY)
    requests = made.by_tier.requests
    assert requests.tier.values.tolist() == ["edge", "device"]
    assert (requests / requests.sum()).values == pytest.approx([0.7, 0.3])
    assert float(requests.sum()) == pytest.approx(all_sites.by_tier.requests.item())
    assert list(made.flow.books) == ["conversation"]


def test_the_weather_is_felt_at_the_meter():
    plan = two_sites()
    t = usual_temperature(Climate(), start="2025-07-07", **DAY)
    hot, mild = fleet(plan, **DAY, outdoor_c=t), fleet(plan, **DAY)
    assert float(hot.load.p_mw.sum()) > float(mild.load.p_mw.sum())
    assert hot.load.p_it_mw.values == pytest.approx(mild.load.p_it_mw.values)
    with pytest.raises(InputError, match=r"hotter than the sites are built for \(got .* design_c 42\)"):
        fleet(plan, **DAY, outdoor_c=t + 10.0)
    with pytest.raises(InputError, match="the temperatures do not fit the clock"):
        fleet(plan, **DAY, outdoor_c=t[:-1])


def test_a_full_site_on_the_hottest_day_draws_what_its_meter_may_show():
    plan = two_sites(classes={"conversation": {"requests_per_s": 1e6}}, fill_pu=1.0)
    hottest = xr.DataArray(np.full(96, 42.0), dims="time")
    load = fleet(plan, **DAY, outdoor_c=hottest).load
    peak = rates(plan.how("conversation").replica)
    # Every accelerator at the power of a full batch, which is a little below its highest, that of reading prompts.
    building, it = plan.sites[0].building(), float(load.p_it_mw[-1, 0])
    assert it == pytest.approx(building.it_mw(10.0, 42.0), rel=0.05)
    assert it <= float(load.accelerators[0]) / 4 * peak.peak_w / 1e6
    assert float(load.p_mw[-1, 0]) == pytest.approx(10.0 * it / building.it_mw(10.0, 42.0), rel=0.02)
    assert float(load.p_mw.max()) <= 10.0


def test_scaled_to_a_load():
    plan = at_load(two_sites(classes={"conversation": {"requests_per_s": 1.0}, "agents": {"requests_per_s": 0.1}}), 0.6)
    made = fleet(plan, duration_s=7 * 86_400.0, dt_s=900.0)
    size = made.load.accelerators.values
    whole = (made.flow.data.load_pu.values * size[:, None]).sum(axis=0) / size.sum()
    assert whole.max() == pytest.approx(0.6, rel=0.01)
    mix = [s.requests_per_s for s in plan.traffic.classes.values()]
    assert mix[0] / mix[1] == pytest.approx(10.0)


def test_sites_that_were_placed():
    @dataclass(frozen=True)
    class Record:
        site: str
        bus: int
        lat: float
        lon: float
        p_mw: float
        reason: str = ""

    found = serving_sites([Record("x", 7, 32.8, -96.8, 10.0)], facility="retrofit")
    assert (found[0].bus, found[0].p_mw, found[0].building().name, found[0].of_tier()) == (7, 10.0, "retrofit", "edge")
    with pytest.raises(InputError, match=r"y: where it stands is not known \(got bus 3\)"):
        serving_sites([Record("y", 3, float("nan"), -96.8, 10.0)])


def test_messages():
    with pytest.raises(InputError, match=r"tiny: capacity under the idle load \(got 0.0005 MW, one idle replica"):
        fleet(two_sites(sites=[{"name": "tiny", **DALLAS, "p_mw": 0.0005}]), **DAY)
    with pytest.raises(
        InputError, match=r"the model fits no server of the site \(got .* needs 4 accel.*, the site has 2"
    ):
        fleet(two_sites(sites=[{"name": "tiny", **DALLAS, "p_mw": 0.0026}]), **DAY)
    with pytest.raises(InputError, match=r"do not add to one"):
        two_sites(tiers={"edge_pu": 0.9})
    with pytest.raises(InputError, match="no site of the cloud"):
        two_sites(tiers={})
    with pytest.raises(InputError, match="no request is left for the sites"):
        fleet(two_sites(serve={"conversation": {"private_pu": 1.0, "private_at": "device"}}), **DAY)
    with pytest.raises(InputError, match="nobody asks for"):
        two_sites(serve={"conversatio": {}})
    with pytest.raises(InputError, match="a site is there twice"):
        two_sites(sites=[{"name": "a", **DALLAS, "p_mw": 5}] * 2)
    with pytest.raises(InputError, match="unknown model"):
        two_sites(sites=[{"name": "a", **DALLAS, "p_mw": 5, "models": ["Qwen4"]}])
    with pytest.raises(InputError, match="it holds no model that is asked for"):
        fleet(two_sites(sites=[{"name": "a", **DALLAS, "p_mw": 5, "models": ["Qwen3-8B"]}]), **DAY)
    with pytest.raises(InputError, match="no site can meet the latency"):
        fleet(two_sites(classes={"vision": {"requests_per_s": 1.0}}), **DAY)
    with pytest.raises(InputError, match=r"nobody lives at any of the places \(got every weight is 0\)"):
        two_sites(places=[{"name": "Dallas", **DALLAS, "weight": 0}])
    with pytest.raises(InputError, match=r"outdoor_c is no series over time \(got ndarray\)"):
        fleet(two_sites(), **DAY, outdoor_c=np.full(96, 20.0))
    gap = xr.DataArray(np.r_[np.nan, np.full(95, 20.0)], dims="time")
    with pytest.raises(InputError, match=r"temperatures are missing \(got 1 of 96 steps\)"):
        fleet(two_sites(), **DAY, outdoor_c=gap)
    old = {"name": "a", **DALLAS, "p_mw": 5, "facility": {"pue": 1.6, "rack_kw": 2.0}}
    with pytest.raises(InputError, match="no server fits a rack"):
        fleet(two_sites(sites=[old]), **DAY)
    far, near = {"p_mw": 100.0, **DALLAS, "name": "c"}, {"p_mw": 10.0, **DALLAS, "name": "e"}
    with pytest.raises(InputError, match="more is private than the edge serves"):
        two_sites(sites=[far, near], tiers={}, serve={"conversation": {"private_pu": 0.9}})


def test_fine_tuning_takes_its_part_of_the_site():
    tuned = {"name": "a", **DALLAS, "p_mw": 1.0, "fine_tuning": {"servers": 4}}
    plain = {"name": "a", **DALLAS, "p_mw": 1.0}
    few = {"conversation": {"requests_per_s": 100.0}}
    with_job, without = (two_sites(sites=[s], classes=few) for s in (tuned, plain))
    night = fleet(with_job, **DAY).load.p_it_mw.values[:, 0] - fleet(without, **DAY).load.p_it_mw.values[:, 0]
    assert night[8] > night[60]  # at 2 in the night against the afternoon
    tables = {"conversation": rates(with_job.how("conversation").replica)}
    less = accelerators_of(without, without.sites[0], tables) - accelerators_of(with_job, with_job.sites[0], tables)
    assert less == pytest.approx(4 * 14.3e3 / (tables["conversation"].peak_w / 4), abs=1)


def test_sharing_of_a_fleet():
    plan = two_sites(classes={"conversation": {"requests_per_s": 80_000.0}, "agents": {"requests_per_s": 8000.0}})
    found = sharing(plan, [1, 2, 10, 100])
    assert np.isnan(found.installed_mw[0])
    # The reserve falls with the number of sites, what each site must hold for itself rises.
    assert (np.diff(found.reserve_pu.values[1:]) < 0).all()
    assert (np.diff(found.pooling_pu.values) >= 0).all()
    assert (found.normal_pu >= found.reserve_pu)[1:].all()
    each = found.installed_mw / found.sites
    assert each.values[1:] == pytest.approx(found.site_mw.values[1:])
    apart = sharing(plan, [1, 2, 10, 100], shared=False)
    assert (apart.pooling_pu >= found.pooling_pu).all()
