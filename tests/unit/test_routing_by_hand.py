"""Routing by hand: a queue, ways that are too long, what a failure moves, and where home is."""

import numpy as np
import pytest
import xarray as xr

from gridedge.sites.fleet.places import distance_km, network_time_s
from gridedge.sites.fleet.routing import Network, Outage, Points, Service, route

DALLAS, FORT_WORTH, AUSTIN = (32.78, -96.80), (32.76, -97.33), (30.27, -97.74)


def points(weights, *where):
    lat, lon = np.array(where).T
    return Points([f"p{k}" for k in range(len(where))], lat, lon, np.array(weights, dtype=float))


def asked(*rows, dt_s=1.0):
    values = np.array(rows, dtype=float)
    names = [f"c{k}" for k in range(len(rows))]
    return xr.DataArray(
        values, dims=("class", "time"), coords={"class": names, "time": np.arange(values.shape[1]) * dt_s}
    )


def service(name="c0", **more):
    return Service(**{"name": name, "work_s": 0.1, "first_token_s": 2.0, "serves_s": 0.2, "stay_s": 5.0, **more})


def closed(flow, rel=1e-9):
    for name, book in flow.books.items():
        rest = book["offered"] - book["in_time"] - book["late"] - book["refused"] - book["in_system"]
        assert abs(rest) <= rel * max(book["offered"], 1.0), (name, book)
    site = flow.by_site
    gap = site.taken_on - site.served - site.handed_over - site.still_there
    assert float(abs(gap).max()) <= rel * max(float(site.taken_on.max()), 1.0)
    assert float(flow.data.load_pu.max()) <= 1 + 1e-9


def way_s(a, b):
    return float(network_time_s(distance_km(*a, *b), access_s=0.01, detour=1.5))


def test_a_queue_by_hand():
    # 100 at once for two replicas that do 20 a second: 20 now, the rest as far as patience and latency go.
    places, sites = points([1.0], DALLAS), points([2.0], FORT_WORTH)
    flow = route(asked([100.0] + [0.0] * 9), places, sites, [service(patience_s=3.0)], dt_s=1.0)
    way = way_s(DALLAS, FORT_WORTH)
    book = flow.books["c0"]
    assert book["in_time"] == pytest.approx(20 + (1.8 - way) * 20)
    assert book["late"] == pytest.approx(1.2 * 20)
    assert book["refused"] == pytest.approx(80 - (3.0 - way) * 20)
    assert float(flow.data.late.sum()) == pytest.approx(book["late"])
    assert float(flow.data.refused.sum()) == pytest.approx(book["refused"])
    assert flow.data.waiting.values[0, :4] == pytest.approx(np.maximum(60 - 20 * way - 20 * np.arange(4), 0))
    # Of two alike, the queue is joined where network and wait together are shorter.
    near = route(asked([100.0, 0.0]), places, points([2.0, 2.0], AUSTIN, FORT_WORTH), [service()], dt_s=1.0)
    assert near.data.waiting.values[:, 0] == pytest.approx([0.0, 60.0])


def test_a_way_that_is_too_long_is_late_and_the_mean_way_is_told():
    london = (51.5, -0.1)
    places, sites = points([1.0, 3.0], DALLAS, london), points([50.0], FORT_WORTH)
    flow = route(asked([40.0] * 10), places, sites, [service(first_token_s=0.25)], dt_s=1.0)
    ways = way_s(DALLAS, FORT_WORTH), way_s(london, FORT_WORTH)
    assert ways[0] < 0.05 < ways[1]
    assert (flow.books["c0"]["in_time"], flow.books["c0"]["late"]) == pytest.approx((100.0, 300.0))
    assert float(flow.data.late.sum()) == pytest.approx(300.0)
    assert flow.network_s["c0"] == pytest.approx((ways[0] + 3 * ways[1]) / 4)


@pytest.mark.parametrize(("detect_s", "late"), [(10.0, 300.0), (1.0, 0.0)])
def test_what_moves_is_late_where_the_detection_took_longer_than_it_may(detect_s, late):
    places, sites = points([1.0], DALLAS), points([10.0, 1000.0], DALLAS, AUSTIN)
    flow = route(
        asked([20.0] * 100), places, sites, [service(again_s=0.02)], dt_s=1.0, outages=[Outage("p0", 60.0)],
        network=Network(detect_s=detect_s),
    )  # fmt: skip
    closed(flow)
    moved = 20 * 5 + 20 * detect_s  # those that were being served, and those sent to where nobody is
    assert float(flow.by_site.handed_over.sel(site="p0")[0]) == pytest.approx(moved)
    assert flow.books["c0"]["late"] == pytest.approx(late)
    when = 60 + int(detect_s)
    assert float(flow.data.load_pu.sel(site="p1")[when]) == pytest.approx((moved * 0.12 + 20 * 0.1) / 1000)
    assert float(flow.data.load_pu.sel(site="p1")[when + 1]) == pytest.approx(20 * 0.1 / 1000)


def test_contexts_that_are_read_again_are_work_even_where_they_queue():
    places, sites = points([1.0], DALLAS), points([10.0, 3.0], DALLAS, AUSTIN)
    flow = route(
        asked([20.0] * 70 + [0.0] * 60), places, sites, [service(again_s=0.05, patience_s=500.0)], dt_s=1.0,
        outages=[Outage("p0", 60.0)],
    )  # fmt: skip
    closed(flow)
    book, there = flow.books["c0"], flow.by_site.sel(site="p1")
    assert book["refused"] == book["in_system"] == 0.0
    assert float(flow.by_site.handed_over.sel(site="p0")[0]) == pytest.approx(300.0)
    work = float(flow.data.load_pu.sel(site="p1").sum()) * 3.0
    assert work == pytest.approx(float(there.served[0]) * 0.1 + 300 * 0.05)


def test_a_failure_right_at_the_start_moves_no_more_than_there_were():
    places, sites = points([1.0], DALLAS), points([100.0, 100.0], DALLAS, AUSTIN)
    flow = route(asked([20.0] * 40), places, sites, [service()], dt_s=1.0, outages=[Outage("p0", 2.0)])
    closed(flow)
    assert float(flow.by_site.handed_over.sel(site="p0")[0]) == pytest.approx(2 * 20 + 10 * 20)


def test_a_site_that_is_back_before_anybody_noticed_serves_them_late():
    places, sites = points([1.0], DALLAS), points([100.0], FORT_WORTH)
    flow = route(asked([20.0] * 100), places, sites, [service()], dt_s=1.0, outages=[Outage("p0", 50.0, 55.0)])
    closed(flow)
    assert flow.books["c0"]["late"] == pytest.approx(5 * 20 + 5 * 20)  # 5 s under way, and 5 s sent to nobody
    assert flow.books["c0"]["in_time"] == pytest.approx(1800.0)
    assert float(flow.by_site.handed_over.sum()) == 0.0


def test_home_is_the_nearest_site_that_holds_the_model():
    places, sites = points([1.0], DALLAS), points([5.0, 5.0], DALLAS, AUSTIN)
    flow = route(asked([10.0] * 5), places, sites, [service(local=True)], dt_s=1.0, holds={"c0": ["p1"]})
    assert flow.data.taken_per_s.values[0, :, 0].tolist() == [0.0, 10.0]
