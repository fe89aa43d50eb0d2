"""Parked replicas in a fleet: the exact pool at one site, closed books, what is saved, and what sleep costs."""

from functools import cache

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.profiles.inference.run import serve_exactly
from gridedge.profiles.inference.scaling import Scaling
from gridedge.profiles.traffic.classes import request_class
from gridedge.profiles.traffic.traffic import draw_requests
from gridedge.sites.fleet.capacity import class_curve
from gridedge.sites.fleet.fleet import fleet
from gridedge.sites.fleet.model import Fleet
from gridedge.sites.fleet.routing import Outage
from gridedge.spec import build

DALLAS, FORT_WORTH = {"lat": 32.78, "lon": -96.80}, {"lat": 32.76, "lon": -97.33}
HALF_DAY = {"duration_s": 43_200.0, "dt_s": 60.0}


@cache
def curves():
    return {"conversation": class_curve(request_class("conversation"), rates(Replica()), replicas=8, minutes=15)}


def sites_of_eight(*, count=1, per_s=12.0, **more):
    spots = [{"name": "a", **DALLAS}, {"name": "b", **FORT_WORTH}][:count]
    hardware = {"accelerators": 32, "tier": "edge", "facility": "edge"}
    data = {
        "traffic": {"zone": "America/Chicago", "classes": {"conversation": {"requests_per_s": per_s}}},
        "places": [{"name": "Dallas", **DALLAS}],
        "sites": [{**spot, **hardware} for spot in spots],
        **more,
    }
    return build(Fleet, data)


def closed(book):
    rest = book["offered"] - book["in_time"] - book["late"] - book["refused"] - book["in_system"]
    assert abs(rest) <= 1e-9 * book["offered"], book
    assert min(book.values()) >= -1e-9 * book["offered"]


@pytest.mark.parametrize("scaling", [{}, {"target_load_pu": 0.5, "parked_pu": 0.5}])
def test_one_site_against_the_exact_pool(scaling):
    # 32 replicas: in a small pool chance keeps some awake that a steady rate would park (eight draw 5 % more).
    hours = {"duration_s": 10_800.0, "dt_s": 60.0}
    large = [{"name": "a", **DALLAS, "accelerators": 128, "tier": "edge", "facility": "edge"}]
    plan = sites_of_eight(per_s=48.0, sites=large, scaling=scaling)
    made = fleet(plan, **hours, curves=curves())
    asked = draw_requests(plan.traffic, "conversation", duration_s=10_800.0, seed=3)
    exact = serve_exactly(
        asked, rates(Replica()), replicas=32, scaling=build(Scaling, scaling), drain=False,
        duration_s=10_800.0, dt_s=60.0,
    )  # fmt: skip
    exact_j = float(exact.power_w.sum()) * 60.0
    assert float(made.load.p_it_mw.sum()) * 60e6 == pytest.approx(exact_j, rel=0.02)
    assert float(made.parked.awake_pu.mean()) * 32 == pytest.approx(exact.working.mean(), rel=0.05)
    # Without the policy it is far from it.
    full = fleet(sites_of_eight(per_s=48.0, sites=large), **hours, curves=curves())
    assert float(full.load.p_it_mw.sum()) * 60e6 > 1.15 * exact_j


def test_what_is_saved_is_the_difference():
    parked, full = (fleet(sites_of_eight(**s), **HALF_DAY, curves=curves()) for s in ({"scaling": {}}, {}))
    closed(parked.flow.books["conversation"])
    # Requests of a smooth day find room at once: the flow is the same, and so is the work.
    assert parked.flow.data.load_pu.values == pytest.approx(full.flow.data.load_pu.values)
    less = float(full.by_tier.it_mwh.item() - parked.by_tier.it_mwh.item())
    assert float(parked.parked.saved_it_mwh.sum()) == pytest.approx(less, rel=1e-9)
    assert parked.slow["conversation"] - full.slow["conversation"] == pytest.approx(
        float(parked.parked.more_slow.sum())
    )
    # A start takes 30 s and the weights of 141.2 GB at 5 GB/s.
    assert float(parked.parked.start_s[0]) == pytest.approx(30.0 + 141.2 / 5.0)
    share = parked.parked.awake_pu + parked.parked.starting_pu
    assert float(share.max()) <= 1 + 1e-12
    assert float(parked.parked.awake_pu.min()) >= 1 / 8 - 1e-12
    assert full.parked is None


def test_nothing_is_parked_where_all_are_always_to_work():
    kept, full = (fleet(sites_of_eight(**s), **HALF_DAY, curves=curves()) for s in ({"scaling": {"minimum": 8}}, {}))
    assert kept.load.p_mw.values == pytest.approx(full.load.p_mw.values, rel=1e-12)
    assert float(kept.parked.saved_it_mwh.sum()) == pytest.approx(0.0, abs=1e-12)


def test_a_site_that_sleeps_takes_over_late():
    # All of Dallas is near a; b sleeps until a fails.
    fails = [Outage("a", 20_000.0)]
    asleep = fleet(sites_of_eight(count=2, scaling={"keep_s": 600}), **HALF_DAY, curves=curves(), outages=fails)
    ready = fleet(sites_of_eight(count=2), **HALF_DAY, curves=curves(), outages=fails)
    for made in (asleep, ready):
        closed(made.flow.books["conversation"])
    before = asleep.parked.awake_pu.sel(site="b").values[300]
    assert before == pytest.approx(1 / 8)
    late, refused = (asleep.flow.data[n].sel({"class": "conversation"}).values for n in ("late", "refused"))
    assert float(late[333:345].sum() + refused[333:345].sum()) > 100
    books, awake = asleep.flow.books["conversation"], ready.flow.books["conversation"]
    assert books["refused"] + books["late"] > awake["refused"] + awake["late"] + 100
    # It wakes, and then all are in time again.
    assert asleep.parked.awake_pu.sel(site="b").values[360] >= 0.5
    assert float(late[360:].sum() + refused[360:].sum()) == 0.0
    assert (asleep.parked.awake_pu.sel(site="a").values[334:] == 0).all()
    assert (asleep.load.p_mw.sel(site="a").values[334:] == 0).all()


def test_a_site_that_comes_back_begins_anew():
    made = fleet(
        sites_of_eight(count=2, scaling={}), **HALF_DAY, curves=curves(), outages=[Outage("a", 20_000.0, 24_000.0)]
    )
    closed(made.flow.books["conversation"])
    awake = made.parked.awake_pu.sel(site="a").values
    assert (awake[334:400] == 0).all()
    assert awake[400] == 1.0  # all work until it is known how many are needed
    assert awake[430] < 1.0


def test_messages():
    with pytest.raises(InputError, match=r"aims at a load above .* \(got target_load_pu 0.9, fill_pu 0.8\)"):
        sites_of_eight(scaling={"target_load_pu": 0.9})
    with pytest.raises(InputError, match=r"more replicas are always to work than there are \(got minimum 9, 8"):
        fleet(sites_of_eight(scaling={"minimum": 9}), **HALF_DAY, curves=curves())


def test_a_longer_look_back_is_slower():
    # A step of the load up: with a longer look-back more requests are late or refused.
    def missed(look_back_s):
        made = fleet(
            sites_of_eight(count=2, scaling={"look_back_s": look_back_s}), **HALF_DAY, curves=curves(),
            outages=[Outage("a", 20_000.0)],
        )  # fmt: skip
        closed(made.flow.books["conversation"])
        return made.flow.books["conversation"]["late"] + made.flow.books["conversation"]["refused"]

    assert missed(600.0) > missed(60.0)
    assert np.isfinite(missed(60.0))
