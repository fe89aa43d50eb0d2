"""Several sites: what the verbs refuse, how draws are made, and what results say."""

import itertools
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

from gridedge.grid.inject import scaled_background  # noqa: E402

LIMITS = {"vm_pu": [0.92, 1.1], "loading_percent": 100}


@pytest.fixture(scope="module")
def net():
    """A line of four buses with a short branch."""
    net = pp.create_empty_network(sn_mva=1.0)
    pp.create_ext_grid(net, pp.create_bus(net, 20.0, name="station"), vm_pu=1.02)
    for parent, km in ((0, 3.0), (1, 4.0), (2, 5.0), (1, 1.0)):
        bus = pp.create_bus(net, 20.0, name=f"town {len(net.bus)}")
        pp.create_line_from_parameters(net, parent, bus, km, 0.3, 0.3, 200.0, 0.25)
        pp.create_load(net, bus, p_mw=0.3, q_mvar=0.05)
    return net


@pytest.mark.parametrize("limit", [{"losses_mw": 0.01}, "flicker-mv", "rapid-dominion"])
@pytest.mark.parametrize("verb", [gridedge.hosting_pairs, gridedge.hosting_together])
def test_a_limit_that_several_sites_are_not_held_to_is_refused(net, verb, limit):
    with pytest.raises(InputError, match="judged for one site alone"):
        verb(net, [1, 2], limits=(LIMITS, limit))


def test_percentiles_are_those_of_all_deployments_there_are(net):
    pairs = gridedge.hosting_pairs(net, [1, 2, 3, 4], limits=LIMITS)
    every = [2 * float(pairs.capacity_mw.sel(bus_a=a, bus_b=b)) for a, b in itertools.combinations([1, 2, 3, 4], 2)]
    found = gridedge.hosting_deployments(net, 2, draws=120, limits=LIMITS)
    for k in range(120):
        a, b = found.data["bus"].values[k]
        assert float(found.total_mw[k]) == pytest.approx(2 * float(pairs.capacity_mw.sel(bus_a=a, bus_b=b)), abs=0.03)
    table = found.percentiles((5, 50, 95))
    assert table.loc[5, "total_mw"] == pytest.approx(np.min(every), abs=0.03)
    assert table.loc[95, "total_mw"] == pytest.approx(np.max(every), abs=0.03)
    assert (table["low_mw"] <= table["total_mw"]).all()
    assert (table["total_mw"] <= table["high_mw"]).all()
    assert float(found.binding()["share"].sum()) == pytest.approx(1.0)
    curve = found.curve()
    assert curve["share"].iloc[-1] == 1.0
    assert (np.diff(curve["total_mw"]) >= 0).all()
    # Of the six pairs each is drawn about as often as the others.
    drawn = [tuple(sorted(b)) for b in found.data["bus"].values.tolist()]
    assert all(8 <= drawn.count(pair) <= 36 for pair in itertools.combinations([1, 2, 3, 4], 2))


def test_a_draw_depends_on_the_seed_and_its_number_alone(net):
    given = {"limits": LIMITS, "sizes": [1.0, 3.0], "seed": 7}
    few = gridedge.hosting_deployments(net, 2, draws=4, **given)
    more = gridedge.hosting_deployments(net, 2, draws=40, **given)
    with ThreadPoolExecutor(2) as executor:
        spread = gridedge.hosting_deployments(net, 2, draws=40, executor=executor, **given)
    other = gridedge.hosting_deployments(net, 2, draws=4, **{**given, "seed": 8})
    for name in ("bus", "p_mw", "total_mw"):
        assert (few.data[name].values == more.data[name].values[:4]).all()
        assert (spread.data[name].values == more.data[name].values).all()
    assert (other.data["p_mw"].values != few.data["p_mw"].values).any()


def test_buses_are_drawn_by_weight_and_the_reference_is_not_drawn(net):
    found = gridedge.hosting_deployments(net, 1, draws=60, limits=LIMITS, weights={"town 3": 1.0, 1: 3.0})
    drawn = found.data["bus"].values.ravel()
    assert set(drawn.tolist()) == {1, 3}
    assert 30 < (drawn == 1).sum() < 58
    every = gridedge.hosting_deployments(net, 4, draws=2, limits=LIMITS)
    assert (np.sort(every.data["bus"].values) == [1, 2, 3, 4]).all()


def test_percentiles_of_few_draws_say_how_little_they_know(net):
    found = gridedge.hosting_deployments(net, 2, draws=5, limits=LIMITS)
    table = found.percentiles((5, 50))
    assert np.isnan(table.loc[5, "low_mw"])
    with pytest.raises(InputError, match="between 0 and 100"):
        found.percentiles((0, 50))


def test_a_site_that_stands_at_nothing_leaves_what_a_bus_takes_alone(net):
    found = gridedge.hosting_pairs(net, [2, 3], limits=LIMITS, given_mw=0.0)
    alone = gridedge.hosting_capacity(net, buses=[2, 3], limits=LIMITS)
    for a in (2, 3):
        assert found.capacity_mw.sel(bus_a=a).values == pytest.approx(alone.capacity_mw.values, abs=0.01)
    above = gridedge.hosting_pairs(net, [2, 3], limits=LIMITS, given_mw={2: 50.0, "town 3": 0.0})
    assert above.capacity_mw.sel(bus_a=2).values.tolist() == [0.0, 0.0]
    assert set(above.data["limit"].sel(bus_a=2).values) == {"collapse of the voltage"}


def test_series_and_means_are_held_in_every_step(net):
    """An hour's mean is broken later than a quarter's peak; a series is bound in its worst hour."""
    day = np.array([0.5, 0.6, 1.0, 0.4])
    background = scaled_background(net, "load", day, 900.0 * np.arange(4))
    shape = np.array([0.2, 1.0, 0.3, 0.2])
    given = {"background": background, "shape": shape, "tol_mw": 0.005}
    steps = gridedge.hosting_pairs(net, [2, 3], limits=LIMITS, **given)
    mean = {"limits": [{"name": "an hour", "limit": "voltage", "vm_pu": [0.92, 1.1], "mean_s": 3600}]}
    hours = gridedge.hosting_pairs(net, [2, 3], limits=mean, **given)
    assert steps.data["time_s"].values.tolist() == [[900.0, 900.0], [900.0, 900.0]]
    assert (hours.capacity_mw > steps.capacity_mw * 1.2).all()
    batch = gridedge.hosting_together(net, [2, 3], limits=mean, **given)
    assert float(batch.total_mw.sel(plan="largest")) >= float(batch.total_mw.sel(plan="proportional")) > 0


def test_a_net_that_breaks_a_limit_takes_nothing_or_no_worse():
    net = nw.create_cigre_network_mv(with_der=False)  # 0.923 pu and 101 % before anything is connected
    held = gridedge.hosting_together(net, [3, 9], limits={"vm_pu": [0.95, 1.05]})
    assert held.total_mw.values.tolist() == [0.0, 0.0, 0.0]
    assert any("below 0.95 pu" in r for r in held.remarks)
    loose = gridedge.hosting_together(net, [3, 9], limits={"vm_pu": [0.95, 1.05]}, existing="no_worse")
    assert 0 < float(loose.total_mw.sel(plan="proportional")) < 0.5
    pairs = gridedge.hosting_pairs(net, [3, 9], limits={"vm_pu": [0.95, 1.05]})
    assert pairs.capacity_mw.values.tolist() == [[0.0, 0.0], [0.0, 0.0]]


def test_results_are_plain_data(net):
    results = [
        gridedge.hosting_pairs(net, [2, "town 3"], limits=LIMITS),
        gridedge.hosting_together(net, [2, 3], limits=LIMITS, max_mw=0.5),
        gridedge.hosting_deployments(net, 2, draws=3, limits=LIMITS),
    ]
    for found in results:
        back = json.loads(json.dumps(found.to_dict(), allow_nan=False))
        assert back["tol_mw"] == 0.01
        assert any("peak together" in r for r in back["remarks"])
        assert found.data.attrs["error_vm_pu"] < 1e-8
    assert results[1].plans().loc["largest", "limit"] == "not bound"
    assert results[1].table()["largest_mw"].tolist() == pytest.approx([0.5, 0.5])
    assert list(results[0].matrix().columns) == [2, 3]


@pytest.mark.parametrize(
    ("verb", "given", "words"),
    [
        ("pairs", {"given_mw": "alone"}, "given_mw is no size"),
        ("pairs", {"given_mw": -1.0}, "given_mw is no size"),
        ("pairs", {"given_mw": {2: 1.0}}, "do not name the same buses"),
        ("pairs", {"coincidence": 1.5}, "between 0 and 1"),
        ("pairs", {"power_factor": 0}, "power factor"),
        ("pairs", {"tol_mw": 0}, "tol_mw must be positive"),
        ("pairs", {"max_mw": -3}, "max_mw must be positive"),
        ("pairs", {"existing": "absolut"}, "absolute"),
        ("pairs", {"supply": "slak"}, "slack"),
        ("pairs", {"shape": np.ones((3, 4))}, "do not fit the buses"),
        ("pairs", {"shape": np.array([[1.0, 1.0], [0.0, 0.0]])}, "no share of its size"),
        ("together", {"weights": [1.0]}, "weights do not fit"),
        ("together", {"weights": [1.0, 0.0]}, r"weights do not fit the buses \(got \[1.0, 0.0\]\)"),
        ("pairs", {"limits": {"losses_percent": 3}}, "for one site alone .*losses in percent"),
        ("together", {"limits": ["flicker-mv", "rapid-mv"]}, "for one site alone"),
        ("together", {"weights": 5}, "weights do not fit"),
        ("pairs", {"shape": "day"}, "no number"),
        ("pairs", {"shape": [2.0]}, "exceeds its size"),
        ("together", {"weights": {2: 1.0}}, "do not name the same buses"),
    ],
)
def test_a_mistake_gets_one_message(net, verb, given, words):
    with pytest.raises(InputError, match=words):
        getattr(gridedge, f"hosting_{verb}")(net, [2, 3], **{"limits": LIMITS, **given})


@pytest.mark.parametrize(
    ("k", "given", "words"),
    [
        (5, {}, "more than the buses"),
        (0, {}, "k must be an integer"),
        (2, {"draws": 0}, "draws must be an integer"),
        (2, {"seed": -1}, "seed must be an integer"),
        (2, {"sizes": "even"}, "unknown sizes"),
        (2, {"sizes": [1, 0]}, "positive numbers"),
        (1, {"weights": {0: 1.0, 99: 1.0}}, "no bus has this index"),
        (1, {"weights": {3: 1.0}, "buses": [2]}, "not asked for"),
    ],
)
def test_a_deployment_that_cannot_be_drawn_is_refused(net, k, given, words):
    with pytest.raises(InputError, match=words):
        gridedge.hosting_deployments(net, k, **{"limits": LIMITS, **given})
