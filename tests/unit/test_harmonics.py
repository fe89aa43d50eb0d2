"""Limits of harmonics, spectra, and the screen of a site against closed forms."""

import math
from types import SimpleNamespace

import numpy as np
import pandapower as pp
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError
from gridedge.measure.harmonics import (
    ORDERS,
    HarmonicStandard,
    as_orders,
    current_limits,
    harmonic_standard,
    judge_currents,
    judge_voltages,
    voltage_limits,
)
from gridedge.planning.harmonics import _elsewhere
from gridedge.sites.spectrum import Spectrum, list_spectra, spectrum_of
from gridedge.spec import build

UN_KV = 20.0
NEW, OLD = harmonic_standard("ieee519-2022"), harmonic_standard("ieee519-2014")


def limit(standard, vn_kv, ratio, order):
    return current_limits(standard, vn_kv, ratio).percent[order - 2]


@pytest.mark.parametrize(
    ("vn_kv", "ratio", "by_order", "tdd"),
    [
        (0.48, 10, {3: 4, 9: 4, 11: 2, 15: 2, 17: 1.5, 21: 1.5, 23: 0.6, 33: 0.6, 35: 0.3, 49: 0.3}, 5),
        (69.0, 20, {5: 7, 13: 3.5, 19: 2.5, 25: 1.0, 37: 0.5}, 8),
        (13.8, 999, {5: 12, 11: 5.5, 17: 5, 23: 2, 35: 1}, 15),
        (13.8, 1000, {5: 15, 11: 7, 17: 6, 23: 2.5, 35: 1.4}, 20),
        (115.0, 60, {5: 5, 11: 2.25, 17: 2, 23: 0.75, 35: 0.35}, 6),
        (161.0, 5, {5: 2, 11: 1, 17: 0.75, 23: 0.3, 35: 0.15}, 2.5),
        (230.0, 24.9, {5: 1, 11: 0.5, 17: 0.38, 23: 0.15, 35: 0.1}, 1.5),
        (230.0, 25, {5: 2, 11: 1, 17: 0.75, 23: 0.3, 35: 0.15}, 2.5),
        (500.0, 50, {5: 3, 11: 1.5, 17: 1.15, 23: 0.45, 35: 0.22}, 3.75),
    ],
)
def test_tables_2_to_4(vn_kv, ratio, by_order, tdd):
    for standard in (NEW, OLD):
        found = current_limits(standard, vn_kv, ratio)
        assert {h: found.percent[h - 2] for h in by_order} == by_order
        assert found.tdd_percent == tdd


def test_even_orders_are_what_the_edition_makes_of_them():
    assert [limit(OLD, 20, 10, h) for h in (2, 8, 12)] == [1.0, 1.0, 0.5]
    assert [limit(NEW, 20, 10, h) for h in (2, 6, 8, 12)] == [2.0, 2.0, 4.0, 2.0]


def test_table_1_and_voltages_below_all_tables():
    found = [(voltage_limits(NEW, v).percent, voltage_limits(NEW, v).thd_percent) for v in (1, 1.1, 69, 70, 161, 162)]
    assert found == [(5, 8), (3, 5), (3, 5), (1.5, 2.5), (1.5, 2.5), (1, 1.5)]
    assert current_limits(NEW, 0.1, 10) is None
    findings = judge_currents(np.ones(49), NEW, 0.1, 10)
    assert {f.verdict for f in findings} == {"not applicable"}


def test_a_site_on_the_limit_passes_and_a_little_more_fails():
    exact = np.zeros(49)
    exact[5 - 2], exact[7 - 2] = 4.0, 3.0  # 4, 3: 5 % together
    assert [f.verdict for f in judge_currents(exact, NEW, 20, 10)] == ["pass", "pass"]
    tdd, single = judge_currents(exact * 1.001, NEW, 20, 10)
    assert (tdd.verdict, single.verdict) == ("fail", "fail")
    assert tdd.measured == pytest.approx(5.005)
    assert single.name.startswith("harmonic current of order 5")
    assert "orders 5" in single.note


def test_an_assumed_strength_tells_only_what_every_row_agrees_on():
    def verdict(percent):
        return judge_currents(as_orders({5: percent}), NEW, 20, 30, ratio_known=False)[1].verdict

    assert [verdict(x) for x in (3.9, 6.0, 16.0)] == ["pass", "cannot tell", "fail"]
    assert judge_currents(as_orders({5: 6.0}), NEW, 20, 30)[1].verdict == "pass"


def test_voltages_are_judged_over_the_models_of_the_loads():
    low, high = np.zeros(49), np.zeros(49)
    low[3], high[3] = 1.0, 6.0
    assert [f.verdict for f in judge_voltages(np.array([low, low]), NEW, 20)] == ["pass", "pass"]
    assert [f.verdict for f in judge_voltages(np.array([low, high]), NEW, 20)] == ["cannot tell"] * 2
    assert [f.verdict for f in judge_voltages(np.array([high, high]), NEW, 20)] == ["fail", "fail"]
    shifted = judge_voltages(np.array([low]), NEW, 20, shifted=np.array([high]))
    assert [f.verdict for f in shifted] == ["cannot tell"] * 2
    assert shifted[0].measured == pytest.approx(1.0)
    assert judge_voltages(np.array([low]), NEW, 20, known=False)[0].verdict == "cannot tell"


def test_ideal_rectifiers_have_the_sum_of_their_series():
    """Whole series: THD = sqrt(pi²/9 - 1) = 31.08 % of six pulses; up to 50 a little less."""
    six = list_spectra()["six-pulse"].by_order()
    assert sorted(six) == [h for h in range(5, 50) if h % 6 in (1, 5)]
    assert six[7] == pytest.approx(100 / 7)
    rest = 100 * math.sqrt(sum(1 / h**2 for h in range(51, 200000) if h % 6 in (1, 5)))
    whole = math.hypot(list_spectra()["six-pulse"].thd_percent, rest)
    assert whole == pytest.approx(100 * math.sqrt(math.pi**2 / 9 - 1), rel=1e-4)
    assert sorted(list_spectra()["twelve-pulse"].by_order()) == [11, 13, 23, 25, 35, 37, 47, 49]
    assert 2.8 < list_spectra()["active-front-end"].thd_percent < 3.0


def test_the_spectrum_of_opendss_is_its_own():
    dss = pytest.importorskip("dss").DSS.NewContext()
    dss("clear")
    dss("new circuit.x")
    read = {}
    for key in ("harmonic", "%mag"):
        dss(f"? spectrum.defaultload.{key}")
        read[key] = [float(x) for x in dss.Text.Result.strip("[] ").replace(",", " ").split()]
    theirs = dict(zip(map(int, read["harmonic"]), read["%mag"], strict=True))
    assert {1: 100.0, **list_spectra()["opendss-defaultload"].by_order()} == pytest.approx(theirs)


def weak_bus():
    """Give 400 MVA at 20 kV, R/X 0.1, with a capacitor of 4 Mvar: it resonates near order 10."""
    net = pp.create_empty_network(f_hz=50.0)
    bus, spare = pp.create_bus(net, UN_KV, name="site"), pp.create_bus(net, UN_KV)
    pp.create_ext_grid(net, bus, s_sc_min_mva=400.0, rx_min=0.1)
    values = {"r_ohm_per_km": 0.3, "x_ohm_per_km": 0.3, "c_nf_per_km": 0.0, "max_i_ka": 0.4}
    pp.create_line_from_parameters(net, bus, spare, 0.1, **values)
    pp.create_shunt(net, bus, q_mvar=-4.0)
    return net


def test_the_screen_of_a_bus_in_closed_form():
    spectrum = {5: 20.0, 7: 10.0, 2: 3.0}
    found = gridedge.harmonic_screen(weak_bus(), "site", 9.8, spectrum=spectrum, share=0.5, loads="none", shift=0)
    attrs = found.data.attrs
    assert attrs["s_sc_mva"] == pytest.approx(400.0)  # the capacitor is no part of it
    assert attrs["il_ka"] == pytest.approx(10 / (math.sqrt(3) * UN_KV))
    assert attrs["isc_over_il"] == pytest.approx(attrs["isc_ka"] / attrs["il_ka"])
    assert attrs["tdd_percent"] == pytest.approx(0.5 * math.sqrt(20**2 + 10**2 + 3**2))
    np.testing.assert_allclose(found.data["i_limit_percent"].sel(harmonic=[2, 5, 11]), [3.5, 7.0, 3.5])
    x = UN_KV**2 / 400 / math.hypot(1, 0.1)
    for h, percent in spectrum.items():
        z = abs(1 / (1 / (0.1 * x + 1j * h * x) + 1j * h * 4 / UN_KV**2))
        volts = z * 0.5 * percent / 100 * attrs["il_ka"] * math.sqrt(3) / UN_KV * 100
        assert float(found.data["v_percent"].sel(loads="none", harmonic=h)) == pytest.approx(volts, rel=1e-9)
    tdd, single, thd, order, other = found.findings
    assert (tdd.verdict, single.verdict, thd.verdict) == ("fail", "fail", "pass")
    assert single.measured == pytest.approx(10.0)
    assert order.measured == pytest.approx(float(found.data["v_percent"].max()))
    assert other.where.startswith("bus 1 ")
    assert found.verdict == "fail"
    ((model, peak),) = found.resonances
    assert model == "none"
    assert peak.order == pytest.approx(10.0, rel=0.02)
    assert found.to_dict()["resonances"][0]["kind"] == "parallel"


def test_a_resonance_near_an_order_is_no_pass():
    """Order 10 is not drawn, order 11 is: within 10 % lies the peak."""
    args = {"spectrum": {11: 2.0}, "loads": "none"}
    exact = gridedge.harmonic_screen(weak_bus(), 0, 9.8, shift=0, **args)
    wide = gridedge.harmonic_screen(weak_bus(), 0, 9.8, shift=0.1, **args)
    assert exact.findings[2].verdict == "pass"
    assert wide.findings[2].verdict == "cannot tell"
    peak = exact.resonances[0][1].z_ohm
    volts = peak * 0.02 * exact.data.attrs["il_ka"] * math.sqrt(3) / UN_KV * 100
    assert float(wide.data["v_shifted_percent"].sel(harmonic=11).item()) == pytest.approx(volts, rel=1e-6)


def test_what_is_not_known_of_the_source_tells_no_voltage():
    net = weak_bus()
    net.ext_grid["s_sc_min_mva"] = np.nan
    found = gridedge.harmonic_screen(net, 0, 1.0, loads="none")
    assert [f.verdict for f in found.findings[:2]] == ["pass", "pass"]  # by every row
    assert {f.verdict for f in found.findings[2:]} == {"cannot tell"}
    assert any("assumed for 20 kV" in remark for remark in found.remarks)
    assert any(text.startswith("zero sequence") for text in found.data.attrs["not_studied"])


def test_a_larger_site_never_has_more_room():
    found = [gridedge.harmonic_screen(weak_bus(), 0, p, loads="none", order_step=1.0).data for p in (1.0, 5.0, 30.0)]
    limits = [f["i_limit_percent"].values for f in found]
    assert (limits[0] >= limits[1]).all()
    assert (limits[1] >= limits[2]).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_mw": 0.0}, "p_mw must be positive"),
        ({"spectrum": "six_pulse"}, "six-pulse"),
        ({"spectrum": {5.5: 1.0}}, "no order of a harmonic spectrum"),
        ({"spectrum": {51: 1.0}}, "no order of a harmonic spectrum"),
        ({"spectrum": {5: -1.0}}, "current of order 5"),
        ({"spectrum": {5: "1"}}, "current of order 5"),
        ({"spectrum": {}}, "the spectrum is empty"),
        ({"spectrum": {1: 100.0}}, "the spectrum is empty"),
        ({"p_mw": "5"}, "p_mw must be positive"),
        ({"s_sc_mva": "strong"}, "data of a source are no number"),
        ({"spectrum": {1: 144.0, 5: 29.0}}, "no order of a harmonic spectrum"),
        ({"standard": "ieee519"}, "unknown standard"),
        ({"power_factor": 0.0}, "power factor"),
        ({"share": 1.2}, "share must"),
        ({"loads": "cigré"}, "unknown model of loads"),
        ({"loads": ()}, "models of loads"),
        ({"shift": 0.5}, "shift must"),
        ({"resistance": "skin"}, "unknown resistance"),
        ({"order_step": 0}, "order_step must"),
        ({"bus": 7}, "no bus has this index"),
    ],
)
def test_what_cannot_be_used_is_refused(change, message):
    args = {"bus": 0, "p_mw": 1.0} | change
    with pytest.raises(InputError, match=message):
        gridedge.harmonic_screen(weak_bus(), args.pop("bus"), args.pop("p_mw"), **args)


def test_a_standard_and_a_spectrum_of_ones_own():
    rows = ({"below_ratio": 50, "percent": (1, 1, 1, 1, 1), "tdd_percent": 2}, {"percent": (2,) * 5, "tdd_percent": 3})
    own = HarmonicStandard(
        name="own", currents=({"table": "own", "from_kv": 0, "rows": rows},),
        voltages=({"percent": 1, "thd_percent": 2},), even=({"share": 1.0},),
    )  # fmt: skip
    assert limit(own, 20, 49, 5) == 1
    assert limit(own, 20, 50, 4) == 2
    with pytest.raises(InputError, match="Order them"):
        build(HarmonicStandard, own.model_dump() | {"even": ({"up_to_order": 5, "share": 1.0},)})
    assert spectrum_of(Spectrum(name="x", pulses=18)).by_order()[17] == pytest.approx(100 / 17)
    assert as_orders({1: 100, 5: 3.0})[ORDERS == 5] == 3.0


def test_a_hosting_capacity_says_that_it_does_not_look_at_this():
    found = gridedge.hosting_capacity(weak_bus(), buses=[1], limits={"vm_pu": [0.95, 1.05]}, max_mw=1.0)
    said = found.data.attrs["not_studied"]
    assert said == ["harmonics: gridedge.harmonic_screen", "unbalance: gridedge.unbalance"]
    assert f"Not studied: {'; '.join(said)}." in found.remarks


def test_the_worst_other_bus_is_so_by_the_limit_of_its_own_voltage():
    """2.5 % at 200 kV, where 1.5 % are allowed, is worse than 3 % at 20 kV, where 5 % are."""
    net = pp.create_empty_network()
    for kv in (20.0, 20.0, 200.0):
        pp.create_bus(net, kv)
    grid = SimpleNamespace(row_of={0: 0, 1: 1, 2: 2}, vn_kv=np.array([20.0, 20.0, 200.0]), assumed=False)
    totals = ("loads", "bus"), np.array([[9.0, 3.0, 2.5]])
    ds = xr.Dataset({"thd_percent": totals, "thd_shifted_percent": totals}, coords={"bus": [0, 1, 2]})
    (found,) = _elsewhere(net, grid, ds, 0, NEW)
    assert found.where.startswith("bus 2 ")
    assert (found.verdict, found.measured, found.limit) == ("fail", 2.5, 1.5)
