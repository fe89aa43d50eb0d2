"""Towns and distances of ACTIVSg2000: names of the case file, and coordinates of the real cities beside its reactances.

Oracle: bus names of case_ACTIVSg2000.m (Birchfield et al. 2017, doi 10.1109/TPWRS.2016.2616385), public coordinates of
the cities; plain ``runpp`` for the hundred sites.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from gridedge.grid.distance import distances
from gridedge.grid.extras import missing_packages
from gridedge.grid.feeders import load_feeder
from gridedge.grid.towns import towns
from gridedge.planning.placement import place_sites
from gridedge.sites.fleet.places import distance_km
from gridedge.sites.fleet.towns import known_towns, metro_towns, town_place

pp = pytest.importorskip("pandapower")
ABSENT = missing_packages("texas")
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"texas2000 needs {', '.join(ABSENT)}, not installed")


@pytest.fixture(scope="module")
def net() -> Any:
    return load_feeder("texas2000").net


def test_every_town_of_the_table_is_in_the_net(net: Any) -> None:
    found = towns(net)
    assert len(found) == 716
    assert len(found["DALLAS"]) == 58
    assert [name for name in known_towns() if name not in found] == []


def test_distances_by_reactance_are_those_of_the_cities_with_a_detour(net: Any) -> None:
    far, names = distances(net), towns(net)
    assert far.by == "reactance"
    start, here = names["DALLAS"][0], town_place("DALLAS")
    ratio = []
    for city in ("FORT WORTH", "AUSTIN", "HOUSTON", "SAN ANTONIO", "WACO", "TYLER"):
        there = town_place(city)
        crow = float(distance_km(here.lat, here.lon, there.lat, there.lon))
        ratio.append(far.km(start, names[city]).min() / crow)
    # Lines are longer than the crow flies, and seldom half as long again.
    assert 1.0 < np.median(ratio) < 1.4


def test_sites_around_dallas_are_one_power_flow_of_runpp(net: Any) -> None:
    found = place_sites(net, 12, 10.0, how="town", where="dfw", supply="slack")
    assert found.breaks == ""
    assert [s.town for s in found.sites] == metro_towns("dfw")[:12]
    own = copy.deepcopy(net)
    for site in found.sites:
        pp.create_load(own, site.bus, 10.0, 10.0 * np.tan(np.arccos(0.98)))
    pp.runpp(own, tolerance_mva=1e-10)
    assert own.res_bus.vm_pu.between(0.9, 1.1).all()
    assert own.res_line.loading_percent.max() < 100
