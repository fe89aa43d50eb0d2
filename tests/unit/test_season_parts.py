"""Parts of a season by hand: who follows, shunts as ``runpp`` takes them, static generators, and the books of hours."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gridedge.errors import InputError
from gridedge.grid.follow import UNBOUNDED_MW, outside, plants
from gridedge.grid.season import area_season
from gridedge.grid.shunts import ShuntRule, admittance_pu
from gridedge.grid.year import grid_year
from gridedge.grid.year_books import Books, Piece
from gridedge.grid.year_outages import layout_contingencies, site_outages

pp = pytest.importorskip("pandapower")


def small(**more: Any) -> Any:
    """Two areas of 110 kV: a reference, a unit and wind in one, the load mostly in the other."""
    net = pp.create_empty_network(sn_mva=100.0)
    buses = [pp.create_bus(net, 110.0, area=a) for a in (1, 1, 2, 2)]
    pp.create_ext_grid(net, buses[0])
    pp.create_gen(net, buses[1], 40.0, vm_pu=1.0, min_p_mw=10.0, max_p_mw=90.0, scaling=0.5)
    pp.create_sgen(net, buses[1], 30.0, 5.0, min_p_mw=6.0, max_p_mw=60.0, scaling=0.8)
    pp.create_sgen(net, buses[2], 9.0, 1.0)  # no limit: it does not follow
    for a, b in ((0, 1), (1, 2), (2, 3), (0, 3)):
        pp.create_line_from_parameters(net, buses[a], buses[b], 20.0, 0.06, 0.3, 9.0, max_i_ka=0.6)
    for bus, mw in ((1, 20.0), (2, 40.0), (3, 40.0)):
        pp.create_load(net, buses[bus], mw, 0.2 * mw)
    pp.create_shunt(net, buses[2], q_mvar=-8.0, p_mw=0.1, vn_kv=115.0, step=2, max_step=4)
    pp.create_shunt(net, buses[3], q_mvar=5.0, in_service=more.get("reactor", False))
    net.sgen["fuel"] = ["wind", ""]
    pp.runpp(net, tolerance_mva=1e-10)
    return net


def series(net: Any, factors: Any) -> xr.Dataset:
    mw = np.array(factors) * [20.0, 80.0]
    time = 3600.0 * np.arange(len(mw))
    return xr.Dataset({"p_mw": (("time", "area"), mw)}, {"time": time, "area": [1, 2]})


def site(mw: Any, bus: int, time: Any = (0.0,)) -> xr.Dataset:
    p = np.atleast_1d(mw)[:, None]
    coords = {"time": np.array(time, dtype=float), "site": ["s"], "bus": ("site", [bus])}
    return xr.Dataset({"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.3 * p)}, coords)


def test_who_follows_and_within_which_limits() -> None:
    net = small()
    units = plants(net)
    assert units.labels == ["gen:0", "ext_grid:0", "sgen:0"]  # sgen:1 has no limit
    assert units.p_mw == pytest.approx([20.0, net.res_ext_grid.p_mw[0], 24.0])  # scaled; the reference as solved
    assert units.min_p_mw.tolist() == [10.0, 0.0, 0.0]  # wind has no lower limit
    assert units.max_p_mw.tolist() == [90.0, UNBOUNDED_MW, 60.0]
    assert units.reference.tolist() == [False, True, False]
    assert outside(net, units) == []
    net.gen["max_p_mw"] = 15.0
    wide = plants(net)
    assert wide.max_p_mw[0] == 20.0  # published nets hold units outside of their limits
    assert "gen:0 at 20 MW of 10 to 15" in outside(net, wide)[0]
    net.gen["min_p_mw"] = 99.0
    with pytest.raises(InputError, match="unit gen:0 has min_p_mw above max_p_mw"):
        plants(net)


@pytest.mark.parametrize("reactor", [False, True])
def test_shunts_are_what_runpp_takes_them_for(reactor: bool) -> None:
    net = small(reactor=reactor)
    with_them = net._ppc["internal"]["Ybus"].toarray()
    bare = copy.deepcopy(net)
    bare.shunt["in_service"] = False
    pp.runpp(bare)
    own = np.diag(with_them - bare._ppc["internal"]["Ybus"].toarray())
    assert own[net._pd2ppc_lookups["bus"][[2, 3]]] == pytest.approx(admittance_pu(net, 100.0), abs=1e-12)
    assert (admittance_pu(net, 100.0)[1] != 0) is np.bool_(reactor)


@pytest.mark.parametrize("rule", [ShuntRule(1.0, 4), ShuntRule(steps=0)])
def test_every_hour_with_scaled_and_static_units_is_that_of_runpp(rule: ShuntRule) -> None:
    net = small()
    season = area_season(net, series(net, [[1.0, 1.0], [0.5, 0.6], [1.2, 0.3]]), shunts=rule)
    assert season.load_mw == pytest.approx([100.0, 58.0, 48.0])
    # The capacitor stands in the second area, whose load says how much of it is in.
    assert season.share[:, 0].tolist() == ([1.0, 0.5, 0.25] if rule.steps else [1.0] * 3)
    year = grid_year(season, {"one": site(12.0, 3)})
    assert year.converged.all()
    assert year.attrs["error_vm_pu"] < 1e-9
    for hour in range(3):
        true = season.net_at(hour, site(12.0, 3))
        mine = year.sel(case="one").isel(time=hour)
        assert true.res_load.p_mw.sum() == pytest.approx(season.load_mw[hour])
        assert true.res_load.q_mvar.sum() == pytest.approx(0.2 * season.load_mw[hour])
        # The wind keeps its power factor, and the unit that does not follow its power.
        assert true.res_sgen.q_mvar[0] / true.res_sgen.p_mw[0] == pytest.approx(1 / 6)
        assert true.res_sgen.p_mw[1] == 9.0
        of_rule = season.units.p_mw / season.units.p_mw.sum()
        found = np.array([true.res_gen.p_mw[0], true.res_ext_grid.p_mw[0], true.res_sgen.p_mw[0]])
        free = found > 10.0 + 1e-6  # the unit's lower limit
        ratio = found / of_rule
        assert ratio[free] == pytest.approx(ratio[free][0], rel=1e-5)
        assert float(mine.generation_mw) == pytest.approx(found.sum() + 9.0, abs=0.2)
        assert float(mine.vm_pu_min) == pytest.approx(true.res_bus.vm_pu.min(), abs=2e-4)
    assert "bus[" not in season.rule


def test_a_load_without_active_power_has_no_power_factor_to_keep() -> None:
    net = small()
    net.load.loc[0, "p_mw"] = 0.0
    extra = pp.create_load(net, 1, 20.0, 1.0)
    loads = xr.Dataset({"p_mw": (("time", "load"), [[1.0, 2.0]])}, {"time": [0.0], "load": [0, extra]})
    with pytest.raises(InputError, match=r"a load has reactive power alone.*load \[0\]"):
        area_season(net, loads.assign_attrs(dt_s=3600.0))


def test_shunts_follow_the_whole_net_where_loads_are_given_one_by_one() -> None:
    net = small()
    net.load.loc[1, "scaling"] = 0.5  # 20, 20 and 40 MW
    loads = xr.Dataset({"p_mw": (("time", "load"), [[16.0]])}, {"time": [0.0], "load": [1]}, {"dt_s": 3600.0})
    season = area_season(net, loads, shunts=ShuntRule(1.0, 4))
    assert season.load_mw == pytest.approx([68.0])
    assert season.share[0, 0] == 0.75  # 0.85 of the load, to the nearest of four steps


def test_energy_and_hours_count_by_the_length_of_a_step() -> None:
    net = small()
    loads = series(net, [[1.0, 1.0], [1.0, 1.0]])
    half = loads.assign_coords(time=[0.0, 1800.0])
    hard = {"vm_pu": (0.999, 1.0001), "loading_percent": 1.0}
    one, other = (grid_year(area_season(net, s, shunts=ShuntRule(steps=0)), limits=hard) for s in (loads, half))
    for name in ("overload_h", "vm_low_h", "generation_mwh"):
        assert float(one[name].sum()) > 0
        assert other[name].values == pytest.approx(0.5 * one[name].values)
    assert one["generation_mwh"].sum() == pytest.approx(float(one["generation_mw"].sum()) - 18.0, abs=0.1)


def test_what_is_worse_is_no_more_than_it_was() -> None:
    """A branch that is over by itself counts as worse where a site loads it more, as neither where it unloads it."""
    net = small()
    net.line["max_i_ka"] = [0.6, 0.6, 0.6, 0.01]
    season = area_season(net, series(net, [[1.0, 1.0]] * 2), shunts=ShuntRule(steps=0))
    year = grid_year(season, {"more": site(30.0, 3), "less": site(-10.0, 3)})
    at = {c: year.sel(case=c, branch="line:3") for c in ("base", "more", "less")}
    most = {c: float(at[c].branch_loading_percent_max) for c in at}
    assert most["less"] > 100
    assert most["more"] > most["base"] > most["less"]
    assert [float(at[c].overload_h) for c in at] == [2.0, 2.0, 2.0]
    assert [float(at[c].overload_worse_h) for c in at] == [0.0, 2.0, 0.0]
    assert float(year.overload_new_h.sel(branch="line:3").sum()) == 0.0
    worst = layout_contingencies(season, {"more": site(30.0, 3), "less": site(-10.0, 3)}, outages=["line:1"])
    assert worst.breaks.sel(branch="line:3").values.tolist() == [0, 1, 0]
    true = season.net_at(0, site(30.0, 3))
    true.line.loc[1, "in_service"] = False
    pp.runpp(true, tolerance_mva=1e-10)
    found = float(worst.loading_percent_max.sel(layout="more", branch="line:3"))
    assert found == pytest.approx(true.res_line.loading_percent[3], rel=1e-4)


def test_voltages_off_are_fresh_where_they_are_further_out_on_either_side() -> None:
    net = small()
    season = area_season(net, series(net, [[1.0, 1.0]]).assign_attrs(dt_s=3600.0), shunts=ShuntRule(steps=0))
    limits = {"vm_pu": (0.9999, 1.00001), "loading_percent": 100.0}
    year = grid_year(season, {"draws": site(40.0, 3), "feeds": site(-40.0, 3)}, limits=limits)
    vm = {c: season.net_at(0, s).res_bus.vm_pu.to_numpy() for c, s in
          (("base", None), ("draws", site(40.0, 3)), ("feeds", site(-40.0, 3)))}  # fmt: skip
    for case in ("draws", "feeds"):
        mine = year.sel(case=case)
        low, high = vm[case] < 0.9999, vm[case] > 1.00001
        fresh = (low & (vm[case] < vm["base"] - 0.0005)) | (high & (vm[case] > vm["base"] + 0.0005))
        assert int(mine.buses_off[0]) == (low | high).sum()
        assert int(mine.buses_off_new[0]) == fresh.sum()
        assert mine.vm_new_h.values.tolist() == fresh.astype(float).tolist()
    assert float(year.buses_off_new.sel(case="feeds")[0]) > 0


def test_a_site_that_moves_is_lost_as_it_stands_in_its_hour() -> None:
    net = small()
    net.gen[["p_mw", "scaling"]] = 20.0, 1.0  # where headroom is shared, limits stand beside no scaling
    season = area_season(net, series(net, [[0.5, 0.5], [1.0, 1.0]]), shunts=ShuntRule(steps=0))
    moving = site([5.0, 20.0], 3, (0.0, 3600.0))
    lost = site_outages(season, moving, hour=1, sources="held")
    assert lost.lost_mw.values.tolist() == [20.0]
    before = season.net_at(1, moving, at=1)
    after = copy.deepcopy(before)
    after.sgen.loc[after.sgen.index[-1], ["p_mw", "q_mvar"]] = 0.0
    pp.runpp(after, tolerance_mva=1e-10)
    step = after.res_bus.vm_pu.to_numpy() - before.res_bus.vm_pu.to_numpy()
    assert lost.vm_step_pu.values[0] == pytest.approx(step, abs=1e-8)


def test_books_do_not_depend_on_the_order_of_their_pieces() -> None:
    def part(hours: list[int], value: float, hour: int) -> Piece:
        peak = {"loading_max": (np.array([[value]]), np.array([[hour]])), "vm_min": (np.array([[-value]]),
                np.array([[hour]]))}  # fmt: skip
        return Piece(np.array(hours), {"pl_mw": np.array([[float(h) for h in hours]])}, {"over": np.ones((1, 1))}, peak)

    pieces = [part([0, 4], 7.0, 4), part([1, 2], 7.0, 2), part([3], 5.0, 3), part([5], np.nan, -1)]
    for order in ([0, 1, 2, 3], [3, 1, 2, 0], [2, 3, 0, 1]):
        books = Books(6)
        for k in order:
            books.add(pieces[k])
        assert books.hourly["pl_mw"].tolist() == [[0, 1, 2, 3, 4, 5]]
        assert books.counts["over"].tolist() == [[4.0]]
        for name, most in (("loading_max", 7.0), ("vm_min", -7.0)):
            value, hour = books.peaks[name]
            assert (value.item(), hour.item()) == (most, 2)  # the first hour of equals
