"""Routing and failover: the nearest with room, what moves when a site fails, and closed books."""

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
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


def test_distance_and_network():
    # 253 km as the crow flies, fibre half as long again: 3.7 ms there and back beside the access network.
    km = float(distance_km(*DALLAS, *AUSTIN))
    assert km == pytest.approx(292, rel=0.01)
    assert float(network_time_s(km, access_s=0.01, detour=1.5)) == pytest.approx(0.01 + 2 * 1.5 * km / 204_000)
    # The angle between two vectors from the middle of the earth, wherever they point.
    lat, lon = np.random.default_rng(2).uniform([[-90.0], [-180.0]], [[90.0], [180.0]], (2, 20))
    x, y = np.radians(lat), np.radians(lon)
    out = np.array([np.cos(x) * np.cos(y), np.cos(x) * np.sin(y), np.sin(x)])
    angle = np.arccos(np.clip(out.T @ out, -1, 1))
    assert distance_km(lat[:, None], lon[:, None], lat, lon) == pytest.approx(6371.0 * angle, abs=1e-3)


def test_the_nearest_first_then_the_next():
    places, sites = points([1.0], DALLAS), points([2.0, 10.0], FORT_WORTH, AUSTIN)
    flow = route(asked([5.0] * 10, [0.0] * 10), places, sites, [service(), service("c1")], dt_s=1.0)
    assert flow.data.taken_per_s.sel({"class": "c0"}).values[:, 0].tolist() == pytest.approx([5.0, 0.0])
    flow = route(asked([50.0] * 10), places, sites, [service()], dt_s=1.0)
    assert flow.data.taken_per_s.values[0, :, 0].tolist() == pytest.approx([20.0, 30.0])
    assert flow.data.load_pu.values[:, 0].tolist() == pytest.approx([1.0, 0.3])
    closed(flow)


def test_more_than_all_can_serve_waits_and_is_refused():
    places, sites = points([1.0], DALLAS), points([2.0], FORT_WORTH)
    flow = route(asked([50.0] * 100), places, sites, [service(patience_s=10.0)], dt_s=1.0)
    book = flow.books["c0"]
    assert book["offered"] == pytest.approx(5000)
    assert book["in_time"] + book["late"] == pytest.approx(2000)
    assert book["in_system"] <= 10.0 * 20 + 1e-9  # what is cleared within ten seconds
    assert book["refused"] > 2700
    assert book["late"] > 1500  # a queue of ten seconds is longer than the 1.8 s that a request has
    closed(flow)


def test_a_site_that_fails_hands_over():
    places, sites = points([1.0, 1.0], DALLAS, AUSTIN), points([10.0, 10.0], DALLAS, AUSTIN)
    out = Outage("p0", 60.0)
    flow = route(asked([40.0] * 200), places, sites, [service(again_s=0.02)], dt_s=1.0, outages=[out])
    closed(flow)
    taken = flow.data.taken_per_s.values[0]
    assert taken[:, 59].tolist() == pytest.approx([20.0, 20.0])
    assert (taken[0, 60:] == 0).all()
    assert taken[1, 65] == pytest.approx(20.0)  # nobody knows yet
    # After ten seconds: 200 that were sent to nobody and 100 that were being served (20/s for 5 s) arrive at once, with
    # their contexts to be read again; 10 replicas do it at 100/s.
    assert float(flow.data.waiting.sel(site="p0").values[69]) == pytest.approx(300.0)
    # They leave a queue behind which those of the next seconds are late as well.
    assert 300.0 <= flow.books["c0"]["late"] <= 500.0
    assert flow.books["c0"]["refused"] == 0
    assert taken[1, 150] == pytest.approx(40.0)
    assert float(flow.by_site.handed_over.sel(site="p0")[0]) == pytest.approx(300.0)


def test_without_spare_capacity_a_failure_refuses():
    places, sites = points([1.0], DALLAS), points([3.0, 3.0], DALLAS, AUSTIN)
    flow = route(asked([50.0] * 600), places, sites, [service()], dt_s=1.0, outages=[Outage("p0", 100.0, 400.0)])
    closed(flow)
    assert flow.books["c0"]["refused"] > 0
    assert float(flow.data.load_pu.sel(site="p1").values[300]) == pytest.approx(1.0)
    assert float(flow.data.load_pu.sel(site="p0").values[500]) > 0


def test_a_model_that_is_not_there_is_loaded():
    places, sites = points([1.0], DALLAS), points([10.0, 10.0], DALLAS, AUSTIN)
    one = service(load_s=30.0, patience_s=5.0)
    flow = route(
        asked([20.0] * 200), places, sites, [one], dt_s=1.0, holds={"c0": ["p0"]}, outages=[Outage("p0", 50.0)]
    )
    closed(flow)
    refused = flow.data.refused.values[0]
    assert refused[:60].sum() == 0
    assert refused[61:89] == pytest.approx(20.0)
    assert refused[91:].sum() == 0


def test_books_close_over_random_fleets():
    rng = np.random.default_rng(11)
    for _ in range(20):
        n, m = rng.integers(1, 6, 2)
        where = [(rng.uniform(30, 34), rng.uniform(-99, -95)) for _ in range(n + m)]
        places, sites = points(rng.uniform(0.1, 1, n), *where[:n]), points(rng.uniform(0, 8, m) + 0.1, *where[n:])
        rows = rng.uniform(0, 60, (2, 300))
        outs = [Outage(f"p{k}", float(rng.uniform(0, 200)), float(rng.uniform(200, 300))) for k in range(m) if k % 2]
        both = [service(), service("c1", work_s=0.5, again_s=0.1, patience_s=20.0)]
        closed(
            route(
                asked(*rows), places, sites, both, dt_s=1.0, outages=outs, network=Network(detect_s=rng.uniform(0, 30))
            )
        )


def test_a_local_request_is_served_at_home_or_not_at_all():
    places, sites = points([1.0, 1.0], DALLAS, AUSTIN), points([1.0, 10.0], DALLAS, AUSTIN)
    flow = route(asked([40.0] * 100), places, sites, [service(local=True, patience_s=5.0)], dt_s=1.0)
    closed(flow)
    # Dallas serves 10 of its 20 a second; Austin has room for 80 more and gets none of them.
    assert flow.data.taken_per_s.values[0, :, 50].tolist() == pytest.approx([10.0, 20.0])
    assert flow.data.refused.values[0, 50] == pytest.approx(10.0)
    out = [Outage("p1", 50.0)]
    flow = route(asked([10.0] * 100), places, sites, [service(local=True)], dt_s=1.0, outages=out)
    closed(flow)
    assert flow.data.taken_per_s.values[0, :, 90].tolist() == pytest.approx([5.0, 0.0])
    assert flow.books["c0"]["refused"] == pytest.approx(50 * 5 + 5 * 5)  # with the 5 s that were being served


def test_detection_takes_its_time_within_a_step():
    places, sites = points([1.0], DALLAS), points([5.0, 10.0], FORT_WORTH, AUSTIN)
    rows = asked([30.0] * 60, dt_s=300.0)
    flow = route(rows, places, sites, [service()], dt_s=300.0, outages=[Outage("p0", 3000.0)])
    closed(flow)
    # 10 s of what is sent there before anybody knows, and 5 s of what was being served.
    assert flow.books["c0"]["late"] == pytest.approx(30.0 * (10.0 + 5.0))
    assert flow.data.taken_per_s.values[0, :, 10].tolist() == pytest.approx([0.0, 30.0 * 290 / 300])
    assert flow.data.taken_per_s.values[0, 1, 11] == pytest.approx(30.0 + 30.0 * 15 / 300)  # what moves is taken on too


def test_what_moves_beyond_its_latency_is_late():
    places, sites = points([1.0], DALLAS), points([10.0, 10.0], FORT_WORTH, AUSTIN)
    one = service(first_token_s=0.212)  # 12 ms for the network: Austin takes 14.3
    out = [Outage("p0", 50.0)]
    flow = route(asked([20.0] * 100), places, sites, [one], dt_s=1.0, outages=out, network=Network(detect_s=0.0))
    closed(flow)
    assert flow.books["c0"]["late"] == pytest.approx(50 * 20.0 + 5 * 20.0)


def test_an_outage_must_fall_on_a_step():
    places, sites = points([1.0], DALLAS), points([1.0, 1.0], AUSTIN, DALLAS)
    for out in (Outage("p0", 310.0, 590.0), Outage("p0", -5.0), Outage("p0", 900.0, 300.0), Outage("p0", 3000.0)):
        with pytest.raises(InputError, match="an outage in which no step begins"):
            route(asked([1.0] * 10), places, sites, [service()], dt_s=300.0, outages=[out])
    for rate in (-1.0, np.nan):
        with pytest.raises(InputError, match="a rate of requests is negative or NaN"):
            route(asked([1.0, rate]), places, sites, [service()], dt_s=1.0)


def test_agents_ask_from_elsewhere():
    places, sites = points([1.0, 1.0], DALLAS, AUSTIN), points([9.0, 9.0], DALLAS, AUSTIN)
    flow = route(asked([8.0], [8.0]), places, sites, [service(), service("c1")], dt_s=1.0, asks={"c1": [0, 3]})
    assert flow.data.taken_per_s.values[:, :, 0].tolist() == [[4.0, 4.0], [0.0, 8.0]]
    with pytest.raises(InputError, match="what places ask is no share"):
        route(asked([8.0]), places, sites, [service()], dt_s=1.0, asks={"c0": [0, 0]})


def test_messages():
    places, sites = points([1.0], DALLAS), points([1.0], AUSTIN)
    with pytest.raises(InputError, match="no site can meet the latency"):
        route(asked([1.0]), places, sites, [service(first_token_s=0.205)], dt_s=1.0)
    both = points([1.0, 0.0], DALLAS, AUSTIN)  # nobody asks in Austin
    with pytest.raises(InputError, match="no site can meet the latency"):
        route(asked([1.0]), both, sites, [service(first_token_s=0.212)], dt_s=1.0)
    with pytest.raises(InputError, match="unknown site"):
        route(asked([1.0]), places, sites, [service()], dt_s=1.0, outages=[Outage("p9", 0.0)])
    with pytest.raises(InputError, match="no service for a class"):
        route(asked([1.0]), places, sites, [service("chat")], dt_s=1.0)
