"""A season of a net: who follows, which shunts are in, and every hour with many sites, against ``runpp``."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.grid.follow import follow
from gridedge.grid.season import Season, area_season
from gridedge.grid.shunts import ShuntRule, shares_in
from gridedge.grid.year import grid_year
from gridedge.grid.year_outages import layout_contingencies, site_outages

pp = pytest.importorskip("pandapower")
FACTORS = np.array([[0.5, 0.6], [0.8, 0.7], [1.0, 1.0], [1.02, 0.9]])


def _area_of(net: Any) -> dict[int, int]:
    return {int(b): 1 if b < 60 else 2 for b in net.bus.index}


def _loads(net: Any, factors: np.ndarray[Any, Any] = FACTORS) -> xr.Dataset:
    area = net.load.bus.map(_area_of(net))
    base = net.load.p_mw.groupby(area).sum()
    time = 3600.0 * np.arange(len(factors))
    return xr.Dataset({"p_mw": (("time", "area"), factors * base.to_numpy())}, {"time": time, "area": [1, 2]})


def _sites(p_mw: list[float], buses: list[int], q: float = 0.2) -> xr.Dataset:
    p = np.array([p_mw])
    coords = {"time": [0.0], "site": [f"s{k}" for k in range(len(buses))], "bus": ("site", buses)}
    return xr.Dataset({"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), q * p)}, coords)


@pytest.fixture(scope="module")
def net() -> Any:
    """case118: 54 units, 14 shunts; with ratings, which the file has not."""
    net = pp.networks.case118()
    net.line["max_i_ka"] = 1.0
    net.line.loc[net.line.index[:3], "max_i_ka"] = 0.01  # overloaded before anything is connected
    net.trafo["sn_mva"] = 1000.0
    return net


@pytest.fixture(scope="module")
def season(net: Any) -> Season:
    return area_season(net, _loads(net), areas=_area_of(net), shunts=ShuntRule(slope=1.0, steps=4))


def test_units_follow_in_proportion_until_a_limit() -> None:
    p, low, high = np.array([100.0, 50.0]), np.array([40.0, 0.0]), np.array([110.0, 100.0])
    share, rest = follow(np.array([150.0, 60.0, 42.0, 180.0, 230.0, 30.0]), p, low, high)
    expected = [[100, 50], [40, 20], [40, 2], [110, 70], [110, 100], [40, 0]]
    np.testing.assert_allclose(share, expected, atol=1e-9)
    np.testing.assert_allclose(rest, [0, 0, 0, 0, 20, -10], atol=1e-9)


def test_capacitors_switch_in_steps_and_reactors_at_light_load() -> None:
    load = np.array([[1.1, 1.1], [0.9, 0.9], [0.62, 0.62], [0.1, 0.1]])
    q_mvar = np.array([-50.0, 20.0])
    np.testing.assert_allclose(shares_in(load, q_mvar, ShuntRule(1.0, 4))[:, 0], [1, 1, 0.5, 0])
    np.testing.assert_allclose(shares_in(load, q_mvar, ShuntRule(2.0, 4))[:, 0], [1, 0.75, 0.25, 0])
    np.testing.assert_allclose(shares_in(load, q_mvar, ShuntRule(1.0, 4))[:, 1], 1.0)
    np.testing.assert_allclose(shares_in(load, q_mvar, ShuntRule(1.0, 4, 0.7))[:, 1], [0, 0, 1, 1])
    np.testing.assert_allclose(shares_in(load, q_mvar, ShuntRule(steps=0)), 1.0)


def test_every_hour_is_that_of_runpp_and_closes_its_balance(season: Season) -> None:
    assert len(np.unique(season.share, axis=0)) > 1
    layout = {"two": _sites([60.0, 30.0], [10, 94])}
    year = grid_year(season, layout)
    assert year.converged.all()
    off = year.generation_mw - year.p_load_mw - year.p_site_mw - year.pl_mw
    assert float(abs(off).max()) < 1e-6
    np.testing.assert_allclose(year.p_site_mw.sel(case="two"), 90.0)
    assert float(abs(year.rest_mw).max()) <= 1.0
    for hour in range(4):
        for case, sites in (("base", None), ("two", layout["two"])):
            true = season.net_at(hour, sites)  # follows by runpp itself until nothing is left
            mine = year.sel(case=case).isel(time=hour)
            branches = sum(float(true[f"res_{t}"].pl_mw.sum()) for t in ("line", "trafo"))
            # The engine stops at 1 MW left for the reference, which moves losses and voltages a little.
            assert float(mine.pl_mw) == pytest.approx(branches, abs=0.1)
            assert float(mine.vm_pu_min) == pytest.approx(true.res_bus.vm_pu.min(), abs=1e-4)
            assert float(mine.vm_pu_max) == pytest.approx(true.res_bus.vm_pu.max(), abs=1e-4)
    assert year.attrs["error_vm_pu"] < 1e-9


def test_what_the_net_breaks_by_itself_is_told_apart(season: Season) -> None:
    before = {f"line:{i}" for i in season.net.line.index[:3]}
    year = grid_year(season, {"one": _sites([300.0], [10])})
    base, one = year.sel(case="base"), year.sel(case="one")
    assert set(year.branch.values[base.overload_h.values > 0]) <= before
    assert float(base.overload_new_h.sum()) == 0
    # Each hour over the limit is the base's own or new: those of the base that are no longer over are in neither.
    both = one.overload_h - one.overload_new_h
    assert bool((both <= base.overload_h).all())
    assert float(one.overload_new_h.sum()) == float(one.overloaded_new.sum())
    assert float(one.marginal_mwh.sum()) == pytest.approx(4 * 300.0 + float((one.pl_mw - base.pl_mw).sum()), abs=8.0)


def test_a_site_beyond_the_net_is_an_answer_and_costs_the_others_nothing(season: Season) -> None:
    few = grid_year(season, {"wild": _sites([1e5], [10]), "one": _sites([10.0], [94])})
    assert few.converged.sel(case="wild").sum() == 0
    assert few.vm_pu_min.sel(case="wild").isnull().all()
    assert float(few.overload_h.sel(case="wild").sum()) == 0
    assert any("wild: 4 of 4 hours" in r for r in few.attrs["remarks"])
    alone = grid_year(season, {"one": _sites([10.0], [94])})
    for case in ("base", "one"):
        np.testing.assert_allclose(few.pl_mw.sel(case=case), alone.pl_mw.sel(case=case), atol=0.05)


def test_a_site_that_moves_is_taken_hour_by_hour(season: Season) -> None:
    p_mw = np.array([[10.0], [60.0], [5.0], [90.0]])
    moving = xr.Dataset(
        {"p_mw": (("time", "site"), p_mw), "q_mvar": (("time", "site"), 0.2 * p_mw)},
        {"time": 3600.0 * np.arange(4), "site": ["s0"], "bus": ("site", [10])},
    )
    year = grid_year(season, {"moving": moving, "still": _sites([60.0], [10])}, hours=np.array([1, 3]))
    np.testing.assert_allclose(year.p_site_mw.sel(case="moving"), [np.nan, 60, np.nan, 90])
    assert float(year.pl_mw.sel(case="moving")[1]) == pytest.approx(float(year.pl_mw.sel(case="still")[1]), abs=0.05)
    assert year.converged.sel(case="base").values.tolist() == [False, True, False, True]
    assert year.attrs["not_converged"] == 0
    assert "Only 2 of 4 hours are solved." in year.attrs["remarks"]


def test_loads_one_by_one_replace_the_power_before_scaling(net: Any) -> None:
    own = pp.networks.case118()
    own.load["scaling"] = 0.9
    index = own.load.index[:5]
    values = np.outer([0.5, 1.0], own.load.p_mw[index])
    loads = xr.Dataset({"p_mw": (("time", "load"), values)}, {"time": [0.0, 3600.0], "load": index.to_numpy()})
    season = area_season(own, loads)
    expected = 0.9 * (own.load.p_mw.sum() - 0.5 * own.load.p_mw[index].sum())
    assert season.load_mw[0] == pytest.approx(expected)
    year = grid_year(season)
    assert float(abs(year.generation_mw - year.p_load_mw - year.pl_mw).max()) < 1e-6
    assert season.net_at(0).res_load.p_mw.sum() == pytest.approx(expected)


def test_outages_of_a_layout_are_those_of_the_net_with_it(season: Season) -> None:
    layout = _sites([150.0, 50.0], [10, 94])
    worst = layout_contingencies(season, {"two": layout}, hour=2, outages=["line:20", "gen:4"])
    true = season.net_at(2, layout)
    true.line.loc[20, "in_service"] = False
    pp.runpp(true, tolerance_mva=1e-10)
    mine = float(worst.case_vm_pu_min.sel(case="line:20", layout="two"))
    assert mine == pytest.approx(true.res_bus.vm_pu.min(), abs=1e-5)
    # Set apart: the three lines that are overloaded with nothing out and without sites are never new.
    assert not (worst.breaks.sel(branch=["line:0", "line:1", "line:2"]) == 2).any()
    assert int(worst.overloaded_n0[0]) > 0
    assert worst.unsupplied_cases.values.tolist() == [0, 0]
    assert worst.blackouts.values.tolist() == [0, 0]


def test_a_lost_site_lifts_the_voltage_and_its_load_lands_where_it_is_told(season: Season) -> None:
    sites = _sites([80.0, 40.0], [10, 94])
    lands = np.array([[0.0, 100.0], [120.0, 0.0]])
    lost = site_outages(season, sites, lands, hour=2, sources="held")
    np.testing.assert_allclose(lost.lost_mw, [80, 40])
    np.testing.assert_allclose(lost.landed_mw, [60, 40])
    np.testing.assert_allclose(lost.dropped_mw, [20, 0])
    before = season.net_at(2, sites)
    after = copy.deepcopy(before)
    after.sgen.loc[after.sgen.index[-2], ["p_mw", "q_mvar"]] = 0.0
    pp.runpp(after, tolerance_mva=1e-10)
    np.testing.assert_allclose(
        lost.vm_step_pu[0], after.res_bus.vm_pu.to_numpy() - before.res_bus.vm_pu.to_numpy(), atol=1e-8
    )
    behind = site_outages(season, sites, hour=2, sources="emf")
    # With the voltage of no bus held, the step is larger: holding it is the lower bound.
    assert float(behind.vm_step_pu[0].max()) > float(lost.vm_step_pu[0].max())
    np.testing.assert_allclose(behind.dropped_mw, [80, 40])


def test_areas_that_do_not_fit_are_refused(net: Any) -> None:
    own = copy.deepcopy(net)
    with pytest.raises(InputError, match="area 7 of the net has loads and no series"):
        area_season(own, _loads(net), areas=dict.fromkeys(range(118), 7))
    own.bus["zone"] = None
    with pytest.raises(InputError, match="does not say which bus belongs to which area"):
        area_season(own, _loads(net))
    with pytest.raises(InputError, match="brings no season of its own"):
        grid_year("case118")


def test_layouts_that_do_not_fit_are_refused(season: Season) -> None:
    with pytest.raises(InputError, match="another clock"):
        grid_year(season, {"a": _sites([1.0], [10]).isel(time=[0, 0, 0]).assign_coords(time=[0.0, 3600.0, 7200.0])})
    with pytest.raises(InputError, match="name of the case without sites"):
        grid_year(season, {"base": _sites([1.0], [10])})
    with pytest.raises(InputError, match="no such hour"):
        season.net_at(9)
    with pytest.raises(InputError, match="does not fit the sites"):
        site_outages(season, _sites([1.0], [10]), np.zeros((1, 3)))


@pytest.mark.parametrize("hours", [np.array([8784]), np.array([-1]), np.array([0.5])])
def test_hours_that_are_not_there_are_refused(season: Season, hours: Any) -> None:
    with pytest.raises(InputError, match="no such hours"):
        grid_year(season, hours=hours)
    with pytest.raises(InputError, match="no such hour"):
        layout_contingencies(season, hour=hours[0])
