"""Placing sites: every way of choosing, the spacing, what no longer fits, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.grid.distance import X_OHM_PER_KM, distances
from gridedge.grid.towns import town_of, towns
from gridedge.planning.fitting import Together
from gridedge.planning.placement import place_sites
from gridedge.sites.fleet.places import distance_km
from gridedge.sites.fleet.towns import known_towns, metro_towns, town_place, town_points

pp = pytest.importorskip("pandapower")


def ladder(names=("SEA 0", "SEA 1", "HILL 0", "HILL 1", "END 0"), km=(2.0, 3.0, 4.0, 1.0), max_i_ka=1.0):
    """A source and a row of buses behind it, 20 kV, 0.1 ohm a km."""
    net = pp.create_empty_network(sn_mva=1.0)
    first = pp.create_bus(net, 20.0, name="SOURCE 0")
    pp.create_ext_grid(net, first)
    before = first
    for name, length in zip(names, (1.0, *km), strict=True):
        bus = pp.create_bus(net, 20.0, name=name)
        pp.create_line_from_parameters(net, before, bus, length, 0.02, 0.1, 0.0, max_i_ka=max_i_ka)
        pp.create_load(net, bus, 0.1)
        before = bus
    return net


LIMITS = {"loading_percent": 100}


def buses(found):
    return [s.bus for s in found.sites]


def test_named_sites_stand_where_they_are_named():
    found = place_sites(ladder(), 2, [1.0, 2.0], how="named", where=["HILL 0", 5], limits=LIMITS)
    assert buses(found) == [3, 5]
    assert [s.p_mw for s in found.sites] == [1.0, 2.0]
    assert found.sites[0].town == "HILL"
    assert found.breaks == ""
    load = found.load()
    assert load["p_mw"].values.tolist() == [[1.0, 2.0]]
    assert load["q_mvar"].values[0, 1] == pytest.approx(2 * np.tan(np.arccos(0.98)))
    assert load["bus"].values.tolist() == [3, 5]


def test_a_row_of_sites_is_held_to_the_limits_together():
    """0.2 kA at 20 kV carry 6.9 MVA: with 0.5 MW of load, two sites of 3 MW fit behind the first line, three do not."""
    net = ladder(max_i_ka=0.2)
    with pytest.raises(InputError, match=r"only 2 of 3 sites.*loading of line:0"):
        place_sites(net, 3, 3.0, how="town", where=["SEA", "HILL", "END"], limits=LIMITS)
    noted = place_sites(net, 3, 3.0, how="named", where=[1, 3, 5], limits=LIMITS)
    assert "loading of line:0" in noted.breaks
    own = ladder(max_i_ka=0.2)
    for bus in (1, 3, 5):
        pp.create_load(own, bus, 3.0, 3.0 * np.tan(np.arccos(0.98)))
    pp.runpp(own, tolerance_mva=1e-10)
    beyond = float(noted.breaks.split("line:0 ")[1].split(" ")[0])
    assert beyond == pytest.approx(float(own.res_line.loading_percent[0]) - 100, abs=0.05)
    # a spur of its own that is too weak: the next bus takes its place
    weak = pp.create_bus(net, 20.0, name="WEAK 0")
    pp.create_line_from_parameters(net, 1, weak, 1.0, 0.02, 0.1, 0.0, max_i_ka=0.01)
    found = place_sites(net, 2, 3.0, how="town", where=["WEAK", "SEA", "HILL"], limits=LIMITS)
    assert buses(found) == [1, 3]
    assert found.refused[0].bus == weak
    assert "line:5" in found.refused[0].why


def test_the_best_bus_takes_what_hosting_capacity_says():
    pool = [81, 194, 118]
    net = gridedge.grid.feeders.load_feeder("mv_oberrhein").net
    verb = gridedge.hosting_capacity(net, buses=pool, existing="no_worse")
    takes = Together(net, pool).single(pool, 10.0)
    gap = verb.capacity_mw.values - takes
    assert (gap >= -0.01).all()
    assert (gap <= 10 / 108 + 0.01).all()
    found = place_sites(net, 2, 2.0, how="best", where=pool)
    order = np.argsort(-verb.capacity_mw.values)
    assert buses(found) == [pool[k] for k in order[:2]]
    assert buses(place_sites(net, 2, 2.0, how="best", where=pool, hosting=verb)) == buses(found)


def test_near_random_and_along():
    net = ladder()
    near = place_sites(net, 3, 0.1, how="near", where="HILL 0", distance="length", limits=LIMITS)
    assert buses(near) == [3, 2, 4]  # 0, 3 and 4 km away
    assert near.sites[1].reason == "3.0 km from HILL 0"
    way = place_sites(net, 2, 0.1, how="corridor", where=["SEA 0", "END 0"], limits=LIMITS)
    assert buses(way) == [2, 4]  # 2 and 9 of 10 km: nearest to a quarter and three quarters, 5 km being as far as 9
    one, same, other = (buses(place_sites(net, 3, 0.1, how="random", seed=seed, limits=LIMITS)) for seed in (1, 1, 2))
    assert one == same
    assert one != other
    assert 0 not in [*one, *other]  # where the source stands


def test_a_spacing_is_kept_and_what_stands_too_near_is_told():
    found = place_sites(ladder(), 3, 0.1, how="town", where=["SEA", "HILL", "END"], spacing_km=3.0, limits=LIMITS)
    at = [0.0, 1.0, 3.0, 6.0, 10.0, 11.0]
    places = sorted(at[b] for b in buses(found))
    assert np.diff(places).min() >= 3.0
    assert buses(found) == [1, 3, 5]
    with pytest.raises(InputError, match=r"only 3 of 4 sites.*nearer than 3 km"):
        place_sites(ladder(), 4, 0.1, how="town", where=["SEA", "HILL", "END"], spacing_km=3.0, limits=LIMITS)


def test_distances_by_what_the_net_has():
    net = ladder()
    assert distances(net).by == "length"
    assert distances(net).km(1, [5])[0] == pytest.approx(10.0, abs=1e-5)
    assert distances(net).path(1, 4) == [1, 2, 3, 4]
    net.line["length_km"], net.line["x_ohm_per_km"] = 1.0, [0.1, 0.8, 0.4, 0.4, 0.4]
    assert distances(net).by == "reactance"
    assert distances(net).km(0, [2])[0] == pytest.approx(0.9 / X_OHM_PER_KM, abs=1e-5)
    with pytest.raises(InputError, match="no real line lengths"):
        distances(net, "length")
    # cigre_mv carries the coordinates of a drawing, mv_oberrhein degrees
    load = gridedge.grid.feeders.load_feeder
    assert distances(load("cigre_mv").net).by == "length"
    assert distances(load("mv_oberrhein").net).by == "coordinates"
    net.line.loc[2, "in_service"] = False
    with pytest.raises(InputError, match="nothing leads"):
        distances(net).path(1, 5)


def test_towns_of_names_and_their_places():
    assert town_of("DALLAS 24 0") == "DALLAS"
    assert town_of("VAN HORN 0") == "VAN HORN"
    assert list(towns(ladder())) == ["END", "HILL", "SEA", "SOURCE"]
    a, b = town_place("dallas"), town_place("Fort Worth")
    assert float(distance_km(a.lat, a.lon, b.lat, b.lon)) == pytest.approx(50, abs=3)
    assert known_towns()["LEWSIVILLE"].name == "LEWISVILLE"
    area = town_points(metro_towns("dfw"))
    assert distance_km(area.lat, area.lon, a.lat, a.lon).max() < 110
    every = town_points([t.name for t in known_towns().values()])
    assert (every.lat > 25.8).all()
    assert (every.lat < 36.5).all()
    assert (every.lon > -106.7).all()
    assert (every.lon < -93.5).all()


@pytest.mark.parametrize(
    ("how", "word"),
    [
        ({"how": "town", "where": "HIL"}, "HILL"),
        ({"how": "named", "where": "HIL"}, "HILL"),
        ({"how": "named", "where": 77}, "index"),
        ({"how": "town"}, "needs places"),
        ({"how": "near", "where": ["SEA", "END"]}, "one place"),
        ({"how": "corridor", "where": ["SEA"]}, "two places"),
        ({"how": "nearest"}, "near"),
        ({"how": "random", "vn_kv": (100, 400)}, "no bus is left"),
        ({"how": "random", "spacing_km": -1}, "spacing_km"),
        ({"how": "random", "spacing_km": 1, "per_bus": 2}, "spacing"),
        ({"how": "random", "mw_each": [1, 2, 3]}, "sizes"),
        ({"how": "random", "mw_each": -1.0}, "size"),
        ({"how": "random", "mw_each": 500.0}, "Refused last: .*: by itself: "),
        ({"how": "random", "n": 0}, "whole number"),
        ({"how": "named", "where": [1], "n": 2}, "only 1 of 2"),
    ],
)
def test_what_cannot_be_placed(how, word):
    how = {"n": 1, "mw_each": 0.1, "limits": LIMITS, **how}
    with pytest.raises(InputError, match=word):
        place_sites(ladder(), how.pop("n"), how.pop("mw_each"), **how)


def test_sites_of_unknown_towns_have_no_points():
    with pytest.raises(InputError, match="place of a site"):
        place_sites(ladder(), 1, 0.1, how="town", where="SEA", limits=LIMITS).points()
    net = ladder(("DALLAS 0", "DALLAS 1", "PLANO 0", "PLANO 1", "WACO 0"))
    found = place_sites(net, 3, 0.1, how="town", where=["PLANO", "WACO"], limits=LIMITS)
    assert [s.town for s in found.sites] == ["PLANO", "WACO", "PLANO"]
    points = found.points([2, 3, 4])
    assert points.lat[1] == town_place("WACO").lat
    assert points.weight.tolist() == [2, 3, 4]
    assert found.to_dict()["sites"][0]["lat"] == town_place("PLANO").lat
    assert [s.town for s in place_sites(net, 3, 0.1, how="town", where="dfw", limits=LIMITS).sites] == [
        "DALLAS", "PLANO", "DALLAS",
    ]  # fmt: skip


def test_a_bus_that_is_named_by_a_number_alone_is_in_no_town():
    found = place_sites("mv_oberrhein", 1, 1.0, how="named", where=[81])
    assert found.sites[0].town == ""
    assert 48 < found.sites[0].lat < 49  # its own coordinates
    assert not any("GeoNames" in r for r in found.remarks)
    load = found.load()
    result = gridedge.solve("mv_oberrhein", load)
    net = gridedge.grid.feeders.load_feeder("mv_oberrhein").net
    pp.create_load(net, 81, 1.0, float(np.tan(np.arccos(0.98))))
    pp.runpp(net, tolerance_mva=1e-10)
    assert float(result["vm_pu"].min()) == pytest.approx(float(net.res_bus.vm_pu.min()), abs=1e-8)


def test_every_bus_carries_one_site_before_any_carries_two():
    found = place_sites(ladder(), 4, 0.1, how="named", where=[1, 4], per_bus=2, limits=LIMITS)
    assert buses(found) == [1, 4, 1, 4]
    assert found.load()["p_mw"].sizes == {"time": 1, "site": 4}
    weak = ladder(max_i_ka=0.2)
    end = pp.create_bus(weak, 20.0, name="WEAK 0")
    pp.create_line_from_parameters(weak, 1, end, 1.0, 0.02, 0.1, 0.0, max_i_ka=0.02)  # 0.7 MVA
    found = place_sites(weak, 4, 0.5, how="town", where=["WEAK", "SEA"], per_bus=2, limits=LIMITS)
    assert buses(found) == [end, 1, 2, 1]  # a second site there would be too much
    assert [r.bus for r in found.refused] == [end]
