"""Limits on a waveform: tighter never raises, what binds and when, what is not studied, what is refused."""

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.grid.inject import scaled_background
from gridedge.measure.rapid import rapid_changes
from gridedge.planning.hosting.readings import Reading
from gridedge.planning.hosting.waveform import first_break, read_waveform

pp = pytest.importorskip("pandapower")

DT_S = 0.01
WAVE = (np.repeat(np.random.default_rng(1).uniform(0.3, 1.0, 1320), 50), DT_S)  # a level for half a second, 660 s
SOURCES = {"s_sc_mva": 300.0}


def feeder():
    """A source, a bus with a load, and a spur on each side of it; the far one is the weaker."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b, c, d = (pp.create_bus(net, 20.0, name=n) for n in "abcd")
    pp.create_ext_grid(net, a)
    for start, end, km in ((a, b, 3.0), (b, c, 2.0), (c, d, 4.0)):
        pp.create_line_from_parameters(net, start, end, km, 0.2, 0.35, 10.0, max_i_ka=0.6)
    for bus, p_mw in ((b, 4.0), (c, 1.0), (d, 1.0)):
        pp.create_load(net, bus, p_mw, 0.2 * p_mw)
    return net


def capacity(limits, **more):
    given = {"buses": "c", "limits": limits, "waveform": WAVE, "sources": SOURCES, "max_mw": 15.0, **more}
    return gridedge.hosting_capacity(feeder(), **given)


def mw(found):
    return float(found.capacity_mw[0])


def test_a_tighter_limit_never_raises_the_capacity_and_what_binds_lies_in_front():
    at = [mw(capacity({"pst": pst})) for pst in (0.5, 0.9)]
    assert at[0] == pytest.approx(at[1] * 5 / 9, rel=0.05)  # Pst is nearly in proportion to the size
    both = capacity(({"pst": 0.9}, {"rapid_change_percent": 1}))
    assert mw(both) <= at[1] + 1e-9
    weaker = mw(capacity({"pst": 0.9}, sources={"s_sc_mva": 150.0}))
    assert weaker < at[1]


def test_the_worst_bus_is_not_always_the_sites_own():
    """Behind the site the voltage is lower, and the same swing is more of it."""
    found = capacity({"pst": 0.9})
    assert found.data["element"].values.tolist() == ["bus 3"]
    assert found.data["kind"].values.tolist() == ["flicker"]
    assert found.data.attrs["waveform"] == "studied"


def test_the_heaviest_and_the_lightest_hour_are_judged_unless_others_are_given():
    net = feeder()
    day = scaled_background(net, "load", np.array([0.5, 1.0, 0.2, 0.7]), 3600.0 * np.arange(4))
    found = capacity({"pst": 0.9}, background=day)
    assert any("as it stands at 3600 s, 7200 s" in r for r in found.remarks)
    assert float(found.data["time_s"][0]) == 3600.0  # more load lowers the voltage
    light = capacity({"pst": 0.9}, background=day, waveform_hours=[7300.0])
    assert float(light.data["time_s"][0]) == 7200.0
    assert mw(found) < mw(light)
    with pytest.raises(InputError, match="14400"):
        capacity({"pst": 0.9}, background=day, waveform_hours=[14400.0])


def test_a_rapid_change_is_the_step_of_the_power_once_the_voltage_was_steady():
    """One step from half to full power: its change of voltage is what the limit allows."""
    power = np.full(6000, 0.5)
    power[3000:] = 1.0
    found = capacity({"rapid_change_percent": 3}, waveform=(power, DT_S))
    assert found.data["kind"].values.tolist() == ["rapid_change"]
    size = mw(found)
    assert mw(capacity({"rapid_change_percent": 1.5}, waveform=(power, DT_S))) < 0.6 * size
    assert du_max_percent(size, power) <= 3.0 < du_max_percent(size + 0.02, power)


def du_max_percent(size_mw, power):
    given = {"sources": SOURCES, "reduce": ["min"], "at": [3]}
    vm_pu = gridedge.solve(feeder(), _site(size_mw, power), **given)["vm_at_pu"].values[:, 0]
    return rapid_changes(vm_pu, DT_S, threshold_percent=2.85).du_max_percent


def _site(size_mw, power):
    p = (size_mw * power)[:, None]
    ds = xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), p * np.tan(np.arccos(0.98)))},
        coords={"time": DT_S * np.arange(power.size), "site": ["s"], "bus": ("site", ["c"])},
    )
    ds["p_mw"].attrs["units"], ds["q_mvar"].attrs["units"] = "MW", "Mvar"
    return ds.assign_attrs(dt_s=DT_S)


def test_without_a_waveform_flicker_is_not_studied():
    found = gridedge.hosting_capacity(feeder(), buses="c", limits=({"loading_percent": 100}, {"pst": 0.9}))
    assert found.data.attrs["waveform"] == "not studied"
    assert any("not studied: Pst" in r for r in found.remarks)
    assert found.data["kind"].values.tolist() == ["loading"]


def test_a_load_a_profile_and_an_array_are_waveforms():
    made = gridedge.generate("h100-at-scale", duration_s=10, dt_s=0.01, seed=0)
    assert read_waveform(made, 0.98).share.max() == 1.0
    named = read_waveform("h100-at-scale", 0.98)
    assert named.dt_s == 0.0025
    assert "660 s at 400 Hz" in named.words


@pytest.mark.parametrize(
    ("limits", "more", "message"),
    [
        ({"vm_pu": [0.9, 1.1]}, {}, "no limit to keep"),
        ({"pst": 0.9}, {"waveform": (np.array([1.0, -1.0]), DT_S)}, "no series of power"),
        ({"pst": 0.9}, {"waveform": 3.0}, "no waveform"),
        ({"pst": 0.9}, {"waveform": None}, "a waveform is needed"),
        ({"pst": 0.9}, {"waveform": (WAVE[0], 0.1)}, "too slowly"),
        ({"pst": 0.9}, {"waveform": (WAVE[0][:20000], DT_S)}, "too short for 'Pst'"),
        ({"plt": 0.9}, {}, "too short for 'Plt'"),
        ({"pst": 0.9}, {"sources": "held"}, "understated"),
        ({"pst": 0.9}, {"sources": "stiff"}, "unknown sources"),
        ({"pst": 0.9}, {"sources": {"s_sc": 300}}, "unknown data of sources .* 's_sc_mva'"),
        ({"pst": 0.9}, {"waveform": (WAVE[0], "fast")}, "holds what is no number"),
        ({"pst": 0.9}, {"waveform_hours": ["noon"]}, "times in seconds"),
        ({"rapid_change_percent": 3}, {"waveform": (WAVE[0], 0.02)}, "too coarse"),
    ],
)
def test_what_cannot_be_judged_is_refused(limits, more, message):
    with pytest.raises(InputError, match=message):
        capacity(limits, **more)


def test_limits_on_a_waveform_are_data():
    from gridedge.measure.flicker_limits import flicker_levels
    from gridedge.measure.limit_sets import describe_limits, load_limits
    from gridedge.measure.rapid_limits import rapid_limits

    for name in ("flicker-mv", "flicker-hv", "rapid-mv", "rapid-hv", "rapid-dominion"):
        for limit in load_limits(name).limits:
            level = {**flicker_levels(), **rapid_limits()} if limit.limit == "rapid_change" else flicker_levels()
            known = level[limit.level]
            assert (limit.known, limit.date, limit.edition) == (known.known, known.date, known.edition)
    assert "Pst at most 0.9, Plt at most 0.7" in describe_limits("flicker-mv")
    assert "at most 3 % (10 an hour)" in describe_limits("rapid-mv")
    for wrong, message in (
        ({"limit": "flicker", "name": "x"}, "needs a level"),
        ({"limit": "flicker", "name": "x", "level": "iec-planing-mv"}, "iec-planning-mv"),
        ({"limit": "rapid_change", "name": "x", "level": "ngeso", "rapid_change_percent": 3}, "either a level"),
        ({"limit": "flicker", "name": "x", "pst": 1, "mean_s": 60}, "about a waveform"),
    ):
        with pytest.raises(InputError, match=message):
            load_limits({"limits": [wrong]})


def test_the_search_ends_within_its_tolerance_on_any_shape():
    for shape in (lambda x: x, lambda x: x**2, np.sqrt, lambda x: 50 * x, lambda x: np.inf if x > 0.3 else x):
        asked = []

        def judge(p_mw, shape=shape, asked=asked):
            asked.append(p_mw)
            return Reading(float(shape(p_mw / 7.0)) * 2.0, 0, "")

        good = first_break(judge, 7.0, 0.001)
        assert judge(good).share <= 1.0 + 1e-9
        assert judge(good + 0.001).share > 1.0
        assert len(asked) < 30
    assert first_break(lambda _: Reading(0.5, 0, ""), 7.0, 0.001) is None
