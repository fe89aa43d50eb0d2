"""hosting_capacity: durations, supply by headroom, what a result looks like, and what is refused."""

import json

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402


def line_net():
    """A line of 0.1 ohm that carries 1 MW at unity power factor to a bus of its own."""
    net = pp.create_empty_network(sn_mva=1.0)
    first, second = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first)
    pp.create_line_from_parameters(net, first, second, 1.0, 0.1, 0.1, 0.0, max_i_ka=0.2)
    pp.create_load(net, second, 1.0)
    return net


def series(net, factors):
    load = {"p_mw": (("time", "load"), np.outer(factors, net.load.p_mw))}
    ds = xr.Dataset(load, coords={"time": 900.0 * np.arange(len(factors)), "load": net.load.index})
    ds.attrs["dt_s"] = 900.0
    return ds


def capacity(net, **more):
    return float(gridedge.hosting_capacity(net, buses=1, power_factor=1.0, tol_mw=1e-3, **more).capacity_mw[0])


def test_a_moving_mean_lets_a_short_peak_pass():
    net = line_net()
    day = series(net, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    peak = [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    instant = capacity(net, background=day, shape=peak, limits={"loading_percent": 100})
    limits = {"limits": [{"limit": "loading", "name": "hour", "loading_percent": 100, "mean_s": 3600}]}
    mean = capacity(net, background=day, shape=peak, limits=limits)
    # The loading is nearly linear in the power: 1 + P at the peak, 1 + 0.625 P over its hour.
    assert mean == pytest.approx(instant / 0.625, rel=2e-3)


def test_steps_at_which_a_limit_may_be_broken():
    net = line_net()
    day = series(net, [1.0] * 8)
    peak = [0.5, 0.5, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5]
    one = {"limit": "loading", "name": "one", "loading_percent": 100, "steps_allowed": 1, "of_steps": 8}
    strict = capacity(net, background=day, shape=peak, limits={"loading_percent": 100})
    assert capacity(net, background=day, shape=peak, limits={"limits": [one]}) == pytest.approx(2 * strict, rel=2e-3)


def test_a_peak_that_a_limit_allows_is_no_broken_limit():
    net = line_net()
    day = series(net, [1.0] * 7 + [8.0])  # 1 MW, and 8 MW once, where the line takes some 6.9
    one = {"limit": "loading", "name": "one", "loading_percent": 100, "steps_allowed": 1, "of_steps": 8}
    strict = capacity(net, background=day, limits={"limits": [one]})
    assert 5.8 < strict < 6.0
    assert capacity(net, background=day, limits={"limits": [one]}, existing="no_worse") == strict
    # Broken for good, the line is held to its own worst step: 0.1 % of its rating more, 0.007 MW.
    now = {"loading_percent": 100}
    assert capacity(net, background=day, limits=now, existing="no_worse") == pytest.approx(0.007, abs=2e-3)
    low = {"limit": "voltage", "name": "low", "vm_pu": [0.9988, 1.1], "steps_allowed": 1, "of_steps": 8}
    held = [capacity(net, background=day, limits={"limits": [low]}, existing=e) for e in ("absolute", "no_worse")]
    assert held[0] == held[1] > 0


def test_means_longer_than_the_series_hold_every_step_and_the_strictest_wins():
    net = nw.create_cigre_network_mv(with_der="pv_wind")  # 0.9469 pu without a site
    found = gridedge.hosting_capacity(net, buses=2, limits="disco")
    assert found.capacity_mw.values.tolist() == [0.0]
    assert found.data["limit"].values.tolist() == ["DISCO voltage, mean of 60 min: lowest voltage"]
    assert any("shorter than its mean" in r for r in found.remarks)


def test_a_result_names_what_binds_and_becomes_plain_data():
    found = gridedge.hosting_capacity(line_net(), power_factor=1.0)
    assert found.table().loc[1, "element"] == "line:0"
    assert found.table().loc[0, "limit"] == "not bound"  # the reference bus feels nothing
    assert bool(found.table().loc[1, "at_slack"])
    assert any("slack's own branch" in r for r in found.remarks)
    # Current at the receiving end within 0.2 kA: 1.732 * 20 kV * 0.2 kA less what the line takes, less the load.
    assert found.table().loc[1, "capacity_mw"] == pytest.approx(np.sqrt(3) * 20 * 0.2 - 1, abs=0.03)
    plain = json.loads(json.dumps(found.to_dict()))
    assert plain["buses"][1]["kind"] == "loading"
    assert plain["supply"] == "slack"


def test_units_share_by_headroom_in_a_meshed_net():
    net = nw.case9()
    found = gridedge.hosting_capacity(net, buses=4)
    mw, q_per_p = float(found.capacity_mw[0]), np.tan(np.arccos(0.98))
    assert found.data.attrs["supply"] == "headroom"

    def lowest(p_mw):
        site = xr.Dataset(
            {"p_mw": (("time", "site"), [[p_mw]]), "q_mvar": (("time", "site"), [[q_per_p * p_mw]])},
            coords={"time": [0.0], "site": ["site"], "bus": ("site", [4])}, attrs={"dt_s": 1.0},
        )  # fmt: skip
        return float(gridedge.solve(net, site, supply="headroom")["vm_pu"].min())

    assert found.data["kind"].values.tolist() == ["low"]
    assert lowest(mw) >= 0.9 - 1e-7
    assert lowest(mw + 0.02) < 0.9


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"power_factor": 0.0}, "power factor"),
        ({"power_factor": 1.2}, "power factor"),
        ({"power_factor": "lagging"}, "power factor"),
        ({"existing": "worse"}, "unknown existing"),
        ({"supply": "nobody"}, "unknown supply"),
        ({"supply": "headroom"}, "no unit of the net has headroom"),
        ({"taps": "moving"}, "unknown taps"),
        ({"emergency_percent": 120}, "outages"),
        ({"tol_mw": 0.0}, "tol_mw"),
        ({"tol_mw": "fine"}, "tol_mw"),
        ({"tol_mw": float("inf")}, "tol_mw"),
        ({"max_mw": -1.0}, "max_mw"),
        ({"max_mw": "5"}, "max_mw"),
        ({"buses": 1.0}, "an index or a name"),
        ({"buses": 77}, "no bus has this index"),
        ({"buses": []}, "no bus is asked for"),
        ({"shape": [0.0]}, "shape"),
        ({"shape": "day"}, "no number"),
        ({"shape": [3.0, 4.0]}, "exceeds its size"),
        ({"limits": "en5016"}, "en50160"),
    ],
)
def test_what_cannot_be_asked_says_what_to_do(more, words):
    with pytest.raises(InputError, match=words):
        gridedge.hosting_capacity(line_net(), **more)


def test_a_bus_without_supply_is_refused_by_name_and_left_out_of_all():
    net = line_net()
    lost = pp.create_bus(net, 20.0)
    with pytest.raises(InputError, match="no supply"):
        gridedge.hosting_capacity(net, buses=lost)
    found = gridedge.hosting_capacity(net)
    assert lost not in found.data["bus"].values
    assert any("left out" in r for r in found.remarks)
