"""Every folder of the catalogue is a test: its base case has the figures that it states."""

from __future__ import annotations

from typing import Any

import pytest

from gridedge import sources
from gridedge.grid.catalogue import FeederSpec, list_feeders
from gridedge.grid.extras import missing_packages
from gridedge.grid.feeders import bus_coordinates, find_bus, load_feeder
from gridedge.grid.ratings import branch_loading_percent

pp = pytest.importorskip("pandapower")
SPECS = list_feeders()


def _figures(net: Any) -> dict[str, float]:
    loading = branch_loading_percent(net)
    figures = {
        f"n_{name}": float(len(net[name])) for name in ("bus", "line", "trafo", "impedance", "load", "gen", "sgen")
    }
    figures |= {
        "p_load_mw": net.res_load.p_mw.sum(),
        "q_load_mvar": net.res_load.q_mvar.sum(),
        "losses_mw": net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum() + net.res_impedance.pl_mw.sum(),
        "vm_min_pu": net.res_bus.vm_pu.min(),
        "vm_max_pu": net.res_bus.vm_pu.max(),
    }
    for element in ("line", "trafo", "impedance"):
        figures[f"max_{element}_loading_percent"] = loading[loading.index.str.startswith(f"{element}:")].max()
    return figures


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
def test_base_case_has_the_stated_figures(spec: FeederSpec) -> None:
    absent = missing_packages(spec.extra) if spec.extra else []
    if absent:
        pytest.skip(f"{spec.name} needs {', '.join(absent)}, which is not installed")
    feeder = load_feeder(spec.name)
    assert (feeder.title, feeder.cite, feeder.notes) == (spec.title, spec.cite, spec.known)
    net = feeder.net
    for site in spec.sites:
        assert find_bus(net, site.bus) == (site.bus, site.name)
    assert (bus_coordinates(net) is not None) is spec.coordinates
    pp.runpp(net, tolerance_mva=1e-10)
    measured = _figures(net)
    wrong = {
        key: f"{measured[key]} instead of {figure.value}"
        for key, figure in spec.expected.items()
        if not figure.agrees(measured[key])
    }
    assert not wrong


def test_the_first_set_is_there_and_folders_are_named_alike() -> None:
    names = [spec.name for spec in SPECS]
    assert names == sources.names("feeders")
    assert {"mv_oberrhein", "cigre_mv", "case33bw", "case39", "case118", "illinois200", "texas2000"} <= set(names)
