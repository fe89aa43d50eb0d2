"""The map of Pst over a feeder, several sites together, the command, and what a study's windows say."""

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

import gridedge
from gridedge.cli import app
from gridedge.errors import InputError
from gridedge.study.seconds import within_seconds

pp = pytest.importorskip("pandapower")

DT_S = 0.01
SOURCES = {"s_sc_mva": 300.0}


def feeder():
    net = pp.create_empty_network(sn_mva=1.0)
    buses = [pp.create_bus(net, 20.0) for _ in range(5)]
    pp.create_ext_grid(net, buses[0])
    for start, end in ((0, 1), (1, 2), (1, 3)):
        pp.create_line_from_parameters(net, start, end, 3.0, 0.2, 0.35, 10.0, max_i_ka=0.6)
    pp.create_load(net, 3, 2.0, 0.4)
    return net  # bus 4 has no supply


def sites(p_mw, buses):
    p = np.asarray(p_mw)
    ds = xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)},
        coords={
            "time": DT_S * np.arange(p.shape[0]), "site": [f"s{k}" for k in range(len(buses))], "bus": ("site", buses),
        },
    )  # fmt: skip
    ds["p_mw"].attrs["units"], ds["q_mvar"].attrs["units"] = "MW", "Mvar"
    return ds.assign_attrs(dt_s=DT_S)


def levels(seed, steps=66_000):
    return np.repeat(np.random.default_rng(seed).uniform(0.5, 2.0, steps // 50), 50)


def test_the_map_is_what_a_meter_reads_at_each_bus():
    site = sites(levels(1)[:, None], [2])
    found = gridedge.flicker_map(feeder(), site, sources=SOURCES)
    for bus in (1, 2):
        vm = gridedge.solve(feeder(), site, sources=SOURCES, reduce=["min"], at=[bus])["vm_at_pu"].values[:, 0]
        assert float(found["pst"].sel(bus=bus)) == pytest.approx(gridedge.flicker(vm, DT_S).pst_max, rel=1e-9)
    pst = found["pst"]
    assert float(pst.sel(bus=2)) > float(pst.sel(bus=1)) > float(pst.sel(bus=0)) > 0
    assert np.isnan(float(pst.sel(bus=4)))
    assert np.isnan(found["plt"].values).all()
    assert any("1 of the 12 blocks" in r for r in found.attrs["remarks"])
    moved = gridedge.flicker_map(feeder(), site, 3, sources=SOURCES)
    assert float(moved["pst"].sel(bus=3)) > float(moved["pst"].sel(bus=2))


def test_sites_together_against_the_law():
    p = np.column_stack([levels(1), levels(2)])
    found = gridedge.flicker_map(feeder(), sites(p, [2, 3]), sources=SOURCES, apart=True)
    joint, each, law = (found[n].sel(bus=1) for n in ("pst", "pst_each", "pst_law"))
    assert law.values == pytest.approx([each.values.sum(), np.hypot(*each.values), np.cbrt((each.values**3).sum())])
    assert float(joint) == pytest.approx(float(law.sel(exponent=2)), rel=0.1)  # independent
    same = gridedge.flicker_map(feeder(), sites(p[:, [0, 0]], [2, 3]), sources=SOURCES, apart=True).sel(bus=1)
    assert float(same["pst"]) == pytest.approx(float(same["pst_law"].sel(exponent=1)), rel=0.03)  # in step


def test_what_is_refused():
    site = sites(levels(1)[:, None], [2])
    with pytest.raises(InputError, match="held"):
        gridedge.flicker_map(feeder(), site, sources="held")
    with pytest.raises(InputError, match="2 buses"):
        gridedge.flicker_map(feeder(), site, [1, 2], sources=SOURCES)


def test_the_command_reads_a_profile_at_a_bus():
    done = CliRunner().invoke(
        app, ["flicker", "h100-at-scale", "mv_oberrhein", "--bus", "Bus 73", "--dt", "0.01", "--s-sc-mva", "300"]
    )
    assert done.exit_code == 0, done.output
    assert "Pst, iec-planning-mv" in done.output
    assert "swing against short-circuit power" in done.output
    assert "rapid voltage changes, iec-planning-mv" in done.output
    assert "300 MVA (given by the user)" in done.output


def window(vm_pu, dt_s):
    return xr.Dataset({"vm_at_pu": (("time", "at"), vm_pu[:, None])}, coords={"at": [7]}, attrs={"dt_s": dt_s})


def test_a_studys_window_is_read_where_it_is_long_enough():
    t = np.arange(66_000) * DT_S
    vm = 1.0 - 0.01 * (np.floor(t) % 2)
    told = within_seconds({"peak": window(vm, DT_S)}, vn_kv=20.0, f_hz=50.0, held=False)
    pst = gridedge.flicker(vm, DT_S).pst_max
    assert told[0].name == "Pst, iec-planning-mv"
    assert told[0].measured == pytest.approx(pst)
    assert told[0].verdict == "fail"
    assert not any(f.decides for f in told)
    assert all("season's clock" in f.note for f in told)
    short = within_seconds({"peak": window(vm[:3500], DT_S)}, vn_kv=110.0, f_hz=50.0, held=False)
    assert [f.verdict for f in short] == ["cannot tell", "cannot tell", "pass"]
    assert short[0].limit == 0.8
    assert "35 s" in short[0].note
    coarse = within_seconds({"peak": window(vm, 0.1)}, vn_kv=20.0, f_hz=50.0, held=False)
    assert {f.verdict for f in coarse} == {"cannot tell"}
    stiff = within_seconds({"peak": window(np.ones(66_000), DT_S)}, vn_kv=20.0, f_hz=50.0, held=True)
    assert {f.verdict for f in stiff} == {"cannot tell"}
