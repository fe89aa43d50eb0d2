"""The default study, as the README's first line runs it: numbers, files, and the page in a browser."""

import copy
import json
import sys

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from browser import check_report

import gridedge

STRATEGIES = ["no mitigation", "dummy workload", "battery"]


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("default") / "out"
    return gridedge.run("default", out=out)


def findings(result, strategy):
    return {f.name: f for f in result.findings[strategy] if f.decides}


def test_the_site_is_what_the_study_asks_for(result):
    facts = dict(result.facts)
    assert facts["Connection"] == "bus index 118, named 'Bus 73', 20 kV"
    assert 4.98 < float(facts["Highest power at the meter, no mitigation"].split()[0]) <= 5.0
    assert "MW" in facts["Nameplate power"]
    assert "MW" in facts["Highest IT power, no mitigation"]
    assert "lagging" in facts["Power factor at the meter"]


def test_the_requirement_fails_without_mitigation_and_holds_with_the_battery(result):
    bare, battery = findings(result, "no mitigation"), findings(result, "battery")
    assert bare["change in 5 s"].verdict == "fail"
    assert bare["ramp"].verdict == "fail"
    assert {f.verdict for f in battery.values()} == {"pass"}
    dummy = findings(result, "dummy workload")
    assert dummy["change in 5 s"].measured == pytest.approx(result.summary.at["dummy workload", "change_5s_mw"])
    assert result.answer[2].startswith("battery: meets the study's limits and requirements.")


def test_operators_rules_do_not_apply_to_five_megawatts_where_their_threshold_is_known(result):
    for strategy in STRATEGIES:
        rules = {f.name: f for f in result.findings[strategy] if not f.decides}
        for name in ("ERCOT 10 MW in 5 s", "IESO ramp", "IESO 5 MW in 15 s"):
            assert rules[name].verdict == "not applicable"


def test_the_bus_carries_it_within_all_ratings_and_above_0_95(result):
    season = result.data["no mitigation"]["season"].dataset
    assert bool(season["converged"].all())
    assert float(season["loading_percent"].max()) < 100
    assert float(season["vm_pu"].min()) > 0.95


def test_base_loadings_are_the_published_ones(result):
    """The two 25 MVA transformers are at 71 and 85 % at the peak."""
    base = result.base
    trafo = base["loading_percent"].isel(branch=base["element"].values == "trafo").max("time").values
    assert np.sort(trafo) == pytest.approx([71, 85.5], abs=0.5)


def test_ten_sampled_steps_equal_a_plain_runpp_loop(result, oberrhein):
    import pandapower as pp

    rng = np.random.default_rng(0)
    shape = result.base  # its hours say how the loads stand
    from gridedge.study.model import load_study

    spec = load_study("default").spec
    factor = spec.background.shape.factor(96)
    samples = [("season", int(k), factor[k]) for k in rng.integers(0, 96, 10)]
    assert shape.sizes["time"] == 96
    for number, (part, step, scale) in enumerate(samples):
        ours = result.data[STRATEGIES[number % 3]][part].dataset.isel(time=step)
        net = copy.deepcopy(oberrhein)
        net.load["p_mw"] *= scale
        net.load["q_mvar"] *= scale
        pp.create_load(net, 118, float(ours["p_site_mw"][0]), float(ours["q_site_mvar"][0]))
        pp.runpp(net, tolerance_mva=1e-10)
        np.testing.assert_allclose(ours["vm_pu"], net.res_bus.vm_pu, rtol=0, atol=1e-8)
        for table in ("line", "trafo"):
            here = ours["element"].values == table
            loading = net[f"res_{table}"].loading_percent
            np.testing.assert_allclose(ours["loading_percent"][here], loading, rtol=0, atol=1e-3)


def test_sampled_milliseconds_equal_runpp_with_the_source_behind_its_impedance(result, oberrhein):
    """Both 110 kV sources are 5000 MVA with R/X 0.1; their EMFs are those of the state with the site at its mean."""
    import pandapower as pp

    from gridedge.study.model import load_study

    factor = load_study("default").spec.background.shape.factor(96)
    s_sc_mva, rx = 5000.0, 0.1
    x_pu = 1.0 / np.sqrt(1.0 + rx**2)
    for strategy, part, scale in (
        ("no mitigation", "window_peak", factor.max()),
        ("battery", "window_lightest", factor.min()),
    ):
        tree = result.data[strategy][part].dataset
        net = copy.deepcopy(oberrhein)
        net.load["p_mw"] *= scale
        net.load["q_mvar"] *= scale
        p, q = tree["p_site_mw"].values[:, 0], tree["q_site_mvar"].values[:, 0]
        campus = pp.create_load(net, 118, p.mean(), q.mean())
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
        for k in net.ext_grid.index:
            bus = int(net.ext_grid.bus.at[k])
            v = net.res_bus.vm_pu.at[bus] * np.exp(1j * np.radians(net.res_bus.va_degree.at[bus]))
            s = net.res_ext_grid.p_mw.at[k] + 1j * net.res_ext_grid.q_mvar.at[k]
            e = v + (rx + 1j) * x_pu / s_sc_mva * np.conj(s / v)
            behind = pp.create_bus(net, net.bus.vn_kv.at[bus])
            pp.create_impedance(net, behind, bus, rft_pu=rx * x_pu, xft_pu=x_pu, sn_mva=s_sc_mva)
            net.ext_grid.loc[k, ["bus", "vm_pu", "va_degree"]] = behind, abs(e), np.degrees(np.angle(e))
        net.ext_grid["bus"] = net.ext_grid.bus.astype(int)
        vm = tree["vm_at_pu"].sel(at=118).values
        low, high = tree["vm_pu"].sel(reduction="min"), tree["vm_pu"].sel(reduction="max")
        for step in (0, int(p.argmax()), int(p.argmin()), 123_456):
            net.load.loc[campus, ["p_mw", "q_mvar"]] = p[step], q[step]
            pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True)
            there = net.res_bus.vm_pu.loc[tree["bus"].values]
            assert vm[step] == pytest.approx(there.loc[118], abs=1e-6)
            assert (low.values <= there.to_numpy() + 1e-6).all()
            assert (high.values >= there.to_numpy() - 1e-6).all()


def test_the_books_of_every_strategy_close(result):
    for strategy in STRATEGIES:
        wave = result.data[strategy]["waveform"].dataset
        before, after = wave["p_it_before_mw"].values, wave["p_it_mw"].values
        it_waste = after - before
        if strategy == "dummy workload":
            np.testing.assert_allclose(it_waste, wave["wasted_mw"].values, atol=1e-9)
            assert it_waste.min() >= -1e-12
        else:
            np.testing.assert_allclose(it_waste, 0, atol=1e-12)
        if strategy == "battery":
            left = wave["p_before_mw"] + wave["lost_mw"] + wave["stored_mw"]
            np.testing.assert_allclose(left, wave["p_mw"], atol=1e-9)


def test_every_file_is_read_back(result):
    out = result.out
    for name in ("no-mitigation", "dummy-workload", "battery"):
        tree = xr.open_datatree(out / f"{name}.nc", engine="h5netcdf")
        assert {"waveform", "season", "season_mean", "window_peak", "window_lightest"} == set(tree.children)
        assert tree["waveform"].sizes["time"] == 600_000
        assert tree["window_peak"].sizes["time"] == 600_000
        assert tree["season"]["vm_pu"].attrs["units"] == "pu"
        tree.close()
    table = pd.read_csv(out / "summary.csv", index_col="strategy")
    pd.testing.assert_frame_equal(table, result.summary, check_names=False, rtol=1e-9)
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["power_flows"] == 96 + 3 * (2 * 96 + 2 * 600_000)
    assert manifest["power_flows_not_converged"] == 0
    assert manifest["engine"] == "batch, surface"
    assert manifest["engines"]["battery, window peak"] == "surface"
    assert 0 <= manifest["error_vm_pu"] < 1e-6
    assert manifest["versions"]["python"] == sys.version.split()[0]


def test_the_page_opens_offline_with_its_verdicts_and_every_plot(result):
    check_report(result.out / "report.html", STRATEGIES)


@pytest.mark.parametrize(("size", "rating"), [(1.0, 1.25), (10.0, 12.0)])
def test_a_site_behind_its_own_transformer_is_the_largest_that_fits(size, rating):
    from pathlib import Path

    from gridedge.study.campus import build_campus
    from gridedge.study.model import Size, load_study

    settings = [f"site.size.meter_peak_mw={size}", f"site.facility.transformer.sn_mva={rating}", "waveform.dt_s=0.1"]
    spec = load_study("default", settings).spec
    campus = build_campus(spec, Path(), 118)
    assert campus.p_meter_peak_mw <= size
    larger = spec.site.model_copy(update={"size": Size(servers=campus.servers + 1)})
    assert build_campus(spec.model_copy(update={"site": larger}), Path(), 118).p_meter_peak_mw > size


def test_a_leading_site_keeps_its_power_factor_over_the_season():
    settings = ["site.facility.power_factor=-0.95", "waveform.window_s=1", "waveform.dt_s=0.1"]
    tree = gridedge.run("default", settings=settings).data["no mitigation"]
    p, q = tree["season"]["p_site_mw"].values, tree["season"]["q_site_mvar"].values
    np.testing.assert_allclose(q / p, -np.tan(np.arccos(0.95)))
