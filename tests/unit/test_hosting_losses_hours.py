"""Losses as a limit, worst hours, the curve of a bus, and requested against served."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.grid.feeders import load_feeder
from gridedge.grid.losses import feeder_losses
from gridedge.grid.trial import Trial
from gridedge.planning.hosting.hours import worst_steps

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

R_PU, X_PU, BASE_MVA = 0.05, 0.10, 10.0


def two_buses(load_mw=0.0):
    net = pp.create_empty_network(sn_mva=1.0)
    first, second = pp.create_bus(net, 20.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, first, vm_pu=1.0)
    pp.create_impedance(net, first, second, rft_pu=R_PU, xft_pu=X_PU, sn_mva=BASE_MVA)
    if load_mw:
        pp.create_load(net, second, load_mw)
    return net, second


def day(net, factors, table="load"):
    ds = xr.Dataset(
        {"p_mw": (("time", table), np.outer(factors, net[table].p_mw))},
        coords={"time": 3600.0 * np.arange(len(factors)), table: net[table].index},
    )
    ds.attrs["dt_s"] = 3600.0
    return ds


def test_losses_in_percent_are_the_closed_form_of_two_buses():
    """Unity power factor: losses R P^2 / V2^2 are g P, so P = g V2^2 / R, and V1^2 = V2^2 (1 + 2 g + (g Z / R)^2)."""
    net, bus = two_buses()
    share, z2 = 0.04, R_PU**2 + X_PU**2
    v2 = 1.0 / (1.0 + 2.0 * share + share**2 * z2 / R_PU**2)
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits={"losses_percent": 4}, tol_mw=1e-4)
    assert float(found.capacity_mw[0]) / BASE_MVA == pytest.approx(share * v2 / R_PU, abs=1.1e-5)
    assert found.data["kind"].values.tolist() == ["losses"]
    assert found.data["next_kind"].values.tolist() == ["collapse"]


def test_losses_in_megawatts_are_those_of_runpp_on_either_side():
    net = load_feeder("mv_oberrhein").net
    found = gridedge.hosting_capacity(net, buses=81, limits={"losses_mw": 1.1}, tol_mw=1e-3)

    def lost(p_mw):
        own = copy.deepcopy(net)
        pp.create_load(own, 81, p_mw, p_mw * np.tan(np.arccos(0.98)))
        pp.runpp(own, tolerance_mva=1e-10)
        return own.res_line.pl_mw.sum() + own.res_trafo.pl_mw.sum()

    capacity = float(found.capacity_mw[0])
    assert lost(capacity) <= 1.1 + 1e-9
    assert lost(capacity + 0.002) > 1.1


def test_losses_and_delivered_power_are_those_of_runpp():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    trial = Trial(net, [7], 0.2, None, None, "auto")
    losses, delivered, solved = feeder_losses(trial, trial.states(0, np.array([0.0, 2.0]), np.zeros(2, dtype=int)))
    assert solved.all()
    pp.create_load(net, 7, 2.0, 0.4)
    pp.runpp(net, tolerance_mva=1e-10)
    assert losses[1] == pytest.approx(net.res_line.pl_mw.sum() + net.res_trafo.pl_mw.sum(), abs=1e-8)
    at_bus = net.res_bus.p_mw.drop(net.ext_grid.bus).to_numpy()
    assert delivered[1] == pytest.approx(np.maximum(at_bus, 0.0).sum(), abs=1e-8)


def test_a_net_that_loses_too_much_already_is_held_to_itself_only_if_asked():
    net = load_feeder("mv_oberrhein").net  # 1.0177 MW without a site
    limits = {"losses_mw": 1.0}
    assert float(gridedge.hosting_capacity(net, buses=81, limits=limits).capacity_mw[0]) == 0.0
    loose = gridedge.hosting_capacity(net, buses=81, limits=limits, existing="no_worse", tol_mw=1e-3)
    assert 0.0 < float(loose.capacity_mw[0]) < 0.2  # what 0.1 % of 1.02 MW leaves
    assert loose.data["kind"].values.tolist() == ["losses"]


def test_a_later_range_ends_where_losses_break():
    """Generation lifts the voltage and overloads the branch until the site, behind it, has grown."""
    net, second = two_buses()
    pp.create_sgen(net, second, p_mw=4.0)
    bus = pp.create_bus(net, 20.0)
    pp.create_impedance(net, second, bus, rft_pu=0.5, xft_pu=0.5, sn_mva=100.0)
    limits = {"vm_pu": [0.8, 1.01], "loading_percent": 39}  # both are broken without a site
    asked = {"buses": bus, "power_factor": 1.0, "tol_mw": 1e-3}
    free = gridedge.hosting_capacity(net, limits=limits, **asked)
    assert free.data["next_mw"].values.tolist() == free.capacity_mw.values.tolist() == [0.0]
    low, high = (float(free.data[f"range_{end}_mw"][0, 0]) for end in ("low", "high"))
    held = gridedge.hosting_capacity(net, limits={**limits, "losses_mw": 0.1}, **asked)  # 0.08 MW without a site
    assert float(held.data["range_low_mw"][0, 0]) == low
    end = float(held.data["range_high_mw"][0, 0])
    assert low < end < high
    own = copy.deepcopy(net)
    site = pp.create_load(own, bus, p_mw=end)
    lost = []
    for more_mw in (0.0, 0.02):
        own.load.loc[site, "p_mw"] = end + more_mw
        pp.runpp(own)
        lost.append(float(own.res_impedance.pl_mw.sum()))
    assert lost[0] <= 0.1 + 1e-6 < lost[1]


def test_later_ranges_are_left_out_where_outages_were_not_looked_at():
    net, bus = two_buses()
    pp.create_impedance(net, bus, pp.create_bus(net, 20.0), rft_pu=R_PU, xft_pu=X_PU, sn_mva=BASE_MVA)  # a spur
    asked = {"buses": bus, "power_factor": -0.75, "limits": {"vm_pu": [0.8, 1.02]}, "tol_mw": 0.1}
    assert gridedge.hosting_capacity(net, **asked).data.sizes["range"] == 1
    found = gridedge.hosting_capacity(net, n_minus_1=["impedance:1"], post_outage_vm_pu=(0.5, 1.5), **asked)
    assert "range" not in found.data.sizes or found.data.sizes["range"] == 0
    assert any("such sizes are left out" in remark for remark in found.remarks)


def test_losses_over_a_mean_and_in_a_few_steps_let_a_peak_pass():
    net, bus = two_buses()
    peak = np.array([0.5, 0.5, 1.0, 0.5])
    still = {"limit": "losses", "name": "now", "losses_mw": 0.2}
    one = {"limits": [{**still, "steps_allowed": 1, "of_steps": 4}]}
    strict = _capacity(net, bus, {"limits": [still]}, peak)
    assert _capacity(net, bus, one, peak) == pytest.approx(2 * strict, rel=1e-3)
    mean = _capacity(net, bus, {"limits": [{**still, "mean_s": 2.0}]}, peak)
    # Losses go with the square: the mean of 1 and a quarter lies near 0.625 of the peak, less what the voltage adds.
    assert strict < mean < 2 * strict
    assert mean == pytest.approx(strict / np.sqrt(0.625), rel=0.02)


def _capacity(net, bus, limits, shape):
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits=limits, shape=shape, tol_mw=1e-4)
    return float(found.capacity_mw[0])


@pytest.mark.parametrize("limit", [{"losses_percent": 2, "losses_mw": 1}, {}])
def test_a_limit_of_losses_says_in_what_it_is(limit):
    with pytest.raises(InputError, match="losses_percent"):
        gridedge.hosting_capacity(two_buses()[0], limits={"limits": [{"limit": "losses", "name": "lost", **limit}]})


def test_worst_hours_are_chosen_by_the_rule_and_never_give_less():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    rng = np.random.default_rng(3)
    load, sun = rng.uniform(0.2, 0.6, 48), rng.uniform(0.0, 1.5, 48)
    background = {"load": day(net, load), "sgen": day(net, sun, "sgen")}
    arguments = {"background": background, "limits": {"vm_pu": [0.9, 1.05], "loading_percent": 100}, "buses": [3, 6, 9]}
    every = gridedge.hosting_capacity(net, **arguments)
    worst = gridedge.hosting_capacity(net, hours="worst", **arguments)
    assert (worst.capacity_mw.values >= every.capacity_mw.values - 0.01).all()
    said = [r for r in worst.remarks if "of 48 steps" in r]
    assert said
    assert "at least" in said[0]
    chosen = worst_steps(Trial(net, [3], 0.0, background, None, "auto")).tolist()
    assert {int(load.argmax()), int(np.argmax(load * net.load.p_mw.sum() - sun * net.sgen.p_mw.sum()))} <= set(chosen)
    assert 1 < len(chosen) < 48


def test_the_step_of_the_largest_site_is_among_the_worst():
    net, bus = two_buses(1.0)
    shape = np.array([0.1, 1.0, 0.1])
    background = day(net, [1.0, 0.5, 0.2])
    every = gridedge.hosting_capacity(net, buses=bus, background=background, shape=shape, limits={"vm_pu": [0.95, 1.1]})
    worst = gridedge.hosting_capacity(
        net, buses=bus, background=background, shape=shape, limits={"vm_pu": [0.95, 1.1]}, hours="worst"
    )
    assert float(worst.capacity_mw[0]) == pytest.approx(float(every.capacity_mw[0]), abs=0.01)


def test_worst_hours_refuse_limits_with_durations():
    net, _ = two_buses(1.0)
    with pytest.raises(InputError, match="worst hours"):
        gridedge.hosting_capacity(net, background=day(net, [1.0, 0.5]), limits="disco", hours="worst")
    with pytest.raises(InputError, match="unknown hours"):
        gridedge.hosting_capacity(net, hours="worse")


def test_the_curve_shows_the_room_that_runpp_shows_and_changes_sign_at_the_capacity():
    net = load_feeder("mv_oberrhein").net
    found = gridedge.hosting_capacity(net, buses=81, limits=("en50160", "ratings", {"losses_mw": 3}), curve=True)
    ds, capacity = found.data.isel(bus=0), float(found.capacity_mw[0])
    sizes = ds["curve_mw"].values
    assert capacity in sizes
    assert sizes[-1] == pytest.approx(1.25 * float(ds["next_mw"]))
    room = ds["room_loading_percent"].values
    assert (room[sizes <= capacity] >= -1e-6).all()
    assert (room[sizes > capacity + 0.02] < 0).all()
    pp.create_load(net, 81, sizes[10], sizes[10] * np.tan(np.arccos(0.98)))
    pp.runpp(net, tolerance_mva=1e-10)
    fullest = max(net.res_line.loading_percent.max(), net.res_trafo.loading_percent.max())
    assert room[10] == pytest.approx(100 - fullest, abs=1e-6)
    assert float(ds["room_low_pu"][10]) == pytest.approx(net.res_bus.vm_pu.min() - 0.9, abs=1e-8)
    assert float(ds["room_losses_mw"][10]) == pytest.approx(
        3 - net.res_line.pl_mw.sum() - net.res_trafo.pl_mw.sum(), abs=1e-7
    )
    assert str(ds["worst_loading"].values[-1]) == "line:181"
    assert "level" not in found.table().columns


def test_requested_against_served():
    net = load_feeder("mv_oberrhein").net
    found = gridedge.hosting_capacity(net, buses=[81, 194], requested_mw={"Bus 51": 7.0, 194: 2.0})
    table = found.table()
    assert table.loc[81, "verdict"] == "partly served"
    assert table.loc[81, "served_mw"] == pytest.approx(5.1, abs=0.02)
    assert table.loc[81, "stops_request"] == "normal rating: loading at line:181"
    assert table.loc[194, "verdict"] == "served"
    assert table.loc[194, "served_mw"] == 2.0
    assert float(found.data["beyond_steps"].sel(bus=81, kind_of_limit="loading")) == 1
    assert "beyond_h" not in found.data  # one step has no length
    found.to_dict()


def test_hours_beyond_are_those_that_a_loop_of_runpp_counts():
    net = nw.create_cigre_network_mv(with_der="pv_wind")
    factors = np.array([0.3, 0.5, 0.8, 0.6, 0.9, 0.2])
    found = gridedge.hosting_capacity(
        net, buses=6, background=day(net, factors), limits={"vm_pu": [0.95, 1.05]}, requested_mw=1.0, power_factor=1.0
    )
    hours = 0
    for factor in factors:
        own = copy.deepcopy(net)
        own.load["p_mw"] *= factor
        pp.create_load(own, 6, 1.0)
        pp.runpp(own, tolerance_mva=1e-10)
        hours += int(own.res_bus.vm_pu.min() < 0.95 - 1e-7)
    assert 0 < hours < 6
    assert float(found.data["beyond_h"].sel(bus=6, kind_of_limit="low")) == hours


@pytest.mark.parametrize(
    ("wish", "words"),
    [(0.0, "positive"), ("much", "positive"), ({99: 1.0}, "index"), ({0: 1.0}, "not looked at"), (60.0, "max_mw")],
)
def test_a_request_that_cannot_be_asked_says_what_to_do(wish, words):
    net, bus = two_buses()
    with pytest.raises(InputError, match=words):
        gridedge.hosting_capacity(net, buses=bus, requested_mw=wish, max_mw=50.0)


def test_a_request_that_fits_where_a_smaller_one_does_not():
    net, bus = two_buses()
    pp.create_sgen(net, bus, p_mw=12.0)
    found = gridedge.hosting_capacity(
        net, buses=bus, power_factor=1.0, limits={"vm_pu": [0.95, 1.03]}, requested_mw=15.0
    )
    assert found.data["verdict"].values.tolist() == ["fits, but a smaller site does not"]


def test_the_figure_of_a_curve_marks_the_break():
    from gridedge.plot.margin import margin_figure

    net, bus = two_buses()
    limits = {"vm_pu": [0.95, 1.05], "losses_percent": 4}
    found = gridedge.hosting_capacity(net, buses=bus, power_factor=1.0, limits=limits, curve=True)
    figure = margin_figure(found.data, bus)
    assert {t.name for t in figure.data} == {"lowest voltage", "highest voltage", "losses", "first break"}
    marks = [t for t in figure.data if t.name == "first break"]
    assert marks[0].x[0] == pytest.approx(float(found.capacity_mw[0]))
    with pytest.raises(InputError, match="no curve"):
        margin_figure(found.data.drop_vars("curve_mw"), bus)
    with pytest.raises(InputError, match="no such bus"):
        margin_figure(found.data, 77)
