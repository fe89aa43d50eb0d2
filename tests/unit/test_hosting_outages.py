"""Outages of hosting_capacity: two parallel lines by hand, lists and files of outages, and what is refused."""

import numpy as np
import pytest

import gridedge
from gridedge.errors import InputError
from gridedge.measure.limit_sets import load_limits
from gridedge.planning.hosting.outage_limits import limits_after

pp = pytest.importorskip("pandapower")
LIMITS = {"loading_percent": 100}


def parallel():
    """Two like lines side by side, of 0.2 kA each, and a spur behind them."""
    net = pp.create_empty_network(sn_mva=1.0)
    first, second, third = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, first)
    for a, b in ((first, second), (first, second), (second, third)):
        pp.create_line_from_parameters(net, a, b, 0.01, 0.1, 0.1, 0.0, max_i_ka=0.2)
    pp.create_load(net, third, 1.0)
    return net


def capacity(net, **more):
    return gridedge.hosting_capacity(net, buses=1, power_factor=1.0, limits=LIMITS, tol_mw=1e-3, **more)


def test_one_of_two_lines_out_leaves_half():
    # 0.2 kA at 20 kV are 6.928 MVA a line, and the net draws 1 MW; the lines are so short that nothing drops.
    rating = np.sqrt(3) * 20.0 * 0.2
    whole, secure = capacity(parallel()), capacity(parallel(), n_minus_1=True)
    assert float(whole.capacity_mw[0]) == pytest.approx(2 * rating - 1.0, rel=2e-3)
    assert float(secure.capacity_mw[0]) == pytest.approx(rating - 1.0, rel=2e-3)
    assert str(secure.data["outage"][0].values) in {"line:0", "line:1"}
    assert str(secure.data["element"][0].values) in {"line:0", "line:1"}
    assert secure.lost_supply["outage"].tolist() == ["line:2"]
    assert secure.lost_supply["buses"].tolist() == [(2,)]
    assert secure.lost_supply["lost_mw"].tolist() == [1.0]
    emergency = capacity(parallel(), n_minus_1=["line:0"], emergency_percent=130.0)
    assert float(emergency.capacity_mw[0]) == pytest.approx(1.3 * rating - 1.0, rel=2e-3)
    assert str(emergency.data["limit"][0].values) == "emergency rating: loading"
    assert str(emergency.data["element"][0].values) == "line:1"
    net = parallel()
    net.line["emergency_percent"] = [np.nan, 150.0, 0.0]
    column = capacity(net, n_minus_1=["line:0"], emergency_percent="emergency_percent")
    assert float(column.capacity_mw[0]) == pytest.approx(1.5 * rating - 1.0, rel=2e-3)
    assert any("2 branches have no emergency_percent" in r for r in column.remarks)


def test_an_outage_that_is_overloaded_already_is_absolute_or_no_worse():
    net = parallel()
    net.load.loc[0, "p_mw"] = 6.9
    pp.create_load(net, 1, 1.0)
    none = capacity(net, n_minus_1=True)
    assert none.capacity_mw.values.tolist() == [0.0]
    assert none.data["outage"].values[0] in {"line:0", "line:1"}
    some = capacity(net, n_minus_1=True, existing="no_worse")
    # 0.1 % of 6.928 MVA more than now
    assert float(some.capacity_mw[0]) == pytest.approx(0.001 * np.sqrt(3) * 20.0 * 0.2, abs=1.1e-3)


def test_both_lines_out_together_are_a_group_with_a_name(tmp_path):
    yaml = tmp_path / "outages.yaml"
    yaml.write_text("outages:\n  - line:0\n  - name: right of way\n    out: [line:0, line:1]\n", encoding="utf-8")
    table = tmp_path / "outages.csv"
    table.write_text("name,out\n,line:0\nright of way,line:0+line:1\n", encoding="utf-8")
    for given in (yaml, str(table)):
        found = capacity(parallel(), n_minus_1=given)
        assert found.lost_supply["outage"].tolist() == ["right of way"]
        assert found.data["outage"].values.tolist() == ["line:0"]
        assert found.data["cut_off_by"].values.tolist() == ["right of way"]
    assert capacity(parallel(), n_minus_1=[("line:0", "line:1")]).lost_supply["outage"].tolist() == ["line:0+line:1"]


def test_all_problems_of_a_file_are_reported_with_their_lines(tmp_path):
    yaml = tmp_path / "outages.yaml"
    yaml.write_text(
        "outages:\n  - line:7\n  - {name: a, outs: [line:0]}\n"
        "  - {name: b, out: [line:0]}\n  - {name: b, out: line:1}\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError) as caught:
        capacity(parallel(), n_minus_1=yaml)
    said = str(caught.value)
    for part in (
        "outages.yaml:2: unknown outage",
        "outages.yaml:3: unknown key",
        "outages.yaml:5: an outage is listed twice",
    ):
        assert part in said
    table = tmp_path / "outages.csv"
    table.write_text("name,out\nx,line:9\ny,\n", encoding="utf-8")
    with pytest.raises(
        InputError, match=r"(?s)outages.csv:3: an outage names no elements.*outages.csv:2: unknown outage"
    ):
        capacity(parallel(), n_minus_1=table)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"n_minus_1": "substation"}, "no transformer stands at an external grid"),
        ({"n_minus_1": "n-1"}, "unknown outages"),
        ({"n_minus_1": "missing.yaml"}, "no such file of outages"),
        ({"n_minus_1": 3.5}, "cannot make outages of this"),
        ({"n_minus_1": ["line:99"]}, "unknown outage"),
        ({"emergency_percent": 120}, "emergency_percent is about outages"),
        ({"n_minus_1": True, "emergency_percent": -1}, "must be positive"),
        ({"n_minus_1": True, "emergency_percent": "rate_b"}, "no branch table has this column"),
        ({"n_minus_1": True, "post_outage_vm_pu": 0.9}, "is a band"),
        ({"n_minus_1": True, "post_outage_vm_pu": (1.1, 0.9)}, "empty band"),
        ({"n_minus_1": True, "emergency_percent": 1.2}, "looks like per unit"),
        ({"n_minus_1": [1, ("line:1", 2)]}, "names no elements"),
        ({"n_minus_1": []}, "no outage is listed"),
    ],
)
def test_what_cannot_be_used_is_refused(more, text):
    with pytest.raises(InputError, match=text):
        capacity(parallel(), **more)


def test_the_band_after_an_outage_is_its_own():
    """Of two like lines one is out: V1² = V2² + 2 R P + (R² + X²) P² / V2² at 0.90 pu, where 0.95 hold before."""
    net = parallel()
    net.line["length_km"], net.line["max_i_ka"] = [20.0, 20.0, 0.01], 9.0
    net.load["in_service"] = False
    given = {"buses": 1, "power_factor": 1.0, "limits": {"vm_pu": [0.95, 1.05]}, "n_minus_1": ["line:0"]}

    def fits_mw(low, ohm):
        r, x, v2 = ohm.real, ohm.imag, (20.0 * low) ** 2
        a, b, c = (r**2 + x**2) / v2, 2 * r, v2 - 20.0**2
        return (-b + np.sqrt(b * b - 4 * a * c)) / (2 * a)

    same = gridedge.hosting_capacity(net, **given, tol_mw=1e-3)
    other = gridedge.hosting_capacity(net, **given, post_outage_vm_pu=(0.9, 1.1), tol_mw=1e-3)
    assert float(same.capacity_mw[0]) == pytest.approx(fits_mw(0.95, 2 + 2j), abs=2e-3)
    assert float(other.capacity_mw[0]) == pytest.approx(min(fits_mw(0.9, 2 + 2j), fits_mw(0.95, 1 + 1j)), abs=2e-3)
    assert other.data["limit"].values.tolist() == ["post-outage band: lowest voltage"]
    assert other.data["outage"].values.tolist() == ["line:0"]


def test_means_and_allowances_are_for_the_whole_net():
    limits = load_limits({"limits": [
        {"limit": "loading", "name": "hour", "loading_percent": 120, "mean_s": 3600.0},
        {"limit": "voltage", "name": "few", "vm_pu": [0.9, 1.1], "steps_allowed": 1, "of_steps": 10},
        {"limit": "voltage_step", "name": "step", "voltage_step_percent": 3.0},
    ]})  # fmt: skip
    kept, said = limits_after(limits, None, None)
    assert [(x.name, x.mean_s, x.steps_allowed) for x in kept.limits] == [("hour", None, None), ("few", None, None)]
    assert sum("holds in every step" in text for text in said) == 2


def test_the_substation_rule_takes_each_transformer_out():
    net = pp.create_empty_network()
    high, low = pp.create_bus(net, 110.0), pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, high)
    for _ in range(2):
        pp.create_transformer(net, high, low, "25 MVA 110/20 kV")
    found = capacity(net, n_minus_1="substation", post_outage_vm_pu=(0.5, 1.5))
    assert found.data.attrs["outages"] == 2
    assert 20.0 < float(found.capacity_mw[0]) < 25.0
    assert found.data["outage"].values[0].startswith("trafo:")
