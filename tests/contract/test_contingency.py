"""``contingencies`` against plain ``runpp`` with the elements out of service."""

import copy

import numpy as np
import pytest
import xarray as xr

import gridedge
from gridedge.errors import InputError, RunError
from gridedge.grid.engines import secure
from gridedge.grid.engines.islands import bridges, unreached
from gridedge.grid.engines.outages import cases
from gridedge.grid.extras import missing_packages

pp = pytest.importorskip("pandapower")
from pandapower import networks as nw  # noqa: E402

VM_PU, VA_DEGREE, LOADING_PERCENT = 1e-8, 1e-6, 1e-3


def runpp_without(net, label):
    """Solve a net without some elements, in place; return it with its results, None where it does not converge."""
    elements = [(table, int(index)) for table, _, index in (e.partition(":") for e in label.split("+"))]
    for table, index in elements:
        net[table].at[index, "in_service"] = False
    try:
        pp.runpp(net, tolerance_mva=1e-10, calculate_voltage_angles=True, max_iteration=20)
    except (pp.LoadflowNotConverged, UserWarning):
        return None
    finally:
        for table, index in elements:
            net[table].at[index, "in_service"] = True
    return net


def demand_mw(net):
    """Return what is drawn at each bus of a solved net: loads, motors and the constant power of wards."""
    drawn = {"load": net.res_load.p_mw, "motor": net.res_motor.p_mw, "ward": net.ward.ps_mw, "xward": net.xward.ps_mw}
    total = net.bus.vn_kv * 0.0
    for table, values in drawn.items():
        total = total.add(values.groupby(net[table].bus).sum(), fill_value=0.0)
    return total.where(net.res_bus.vm_pu.notna(), 0.0)


def impedance_loading(net):
    """Return the loading of impedances by their rated power, at the nominal voltage of each end."""
    table, result = net.impedance, net.res_impedance
    ends = [
        np.sqrt(3) * net.bus.vn_kv.loc[table[f"{s}_bus"]].to_numpy() * result[f"i_{s}_ka"].to_numpy()
        for s in ("from", "to")
    ]
    return np.maximum(*ends) / table.sn_mva.to_numpy() * 100


def equal_to_runpp(ds, label, net, step=0):
    """Hold everything that is kept of one outage against a solved net, dead parts included."""
    at = ds.sel(kept=label).isel(time=step)
    np.testing.assert_allclose(at["vm_pu"], net.res_bus.vm_pu, rtol=0, atol=VM_PU)
    np.testing.assert_allclose(at["va_degree"], net.res_bus.va_degree, rtol=0, atol=VA_DEGREE)
    for table in ("line", "trafo", "trafo3w"):
        mine = at["loading_percent"].values[at["element"].values == table]
        np.testing.assert_allclose(mine, net[f"res_{table}"].loading_percent, rtol=0, atol=LOADING_PERCENT)
    mine = at["loading_percent"].values[at["element"].values == "impedance"]
    if mine.size:
        np.testing.assert_allclose(mine, impedance_loading(net), rtol=0, atol=LOADING_PERCENT)


def all_equal(net, outages):
    """Solve outages, hold each one against ``runpp``, and return the result."""
    labels = [case.label for case in cases(net, outages)]
    ds = gridedge.contingencies(net, outages, keep=labels)
    assert 0 <= ds.attrs["error_vm_pu"] <= VM_PU
    own = copy.deepcopy(net)
    pp.runpp(own)
    demand = demand_mw(own)
    for label in labels:
        true = runpp_without(own, label)
        assert bool(ds["converged"].sel(case=label)[0]) == (true is not None), label
        if true is None:
            assert ds["vm_pu"].sel(kept=label).isnull().all()
            assert ds["loading_percent"].sel(kept=label).isnull().all()
            assert ds["unsupplied_mw"].sel(case=label).isnull().all()
            continue
        equal_to_runpp(ds, label, true)
        lost_mw = float(demand[true.res_bus.vm_pu.isna()].sum())
        assert float(ds["unsupplied_mw"].sel(case=label)[0]) == pytest.approx(lost_mw, abs=1e-9)
    return ds


def three_windings():
    """Return a net with two three-winding transformers side by side, and a third that is out of service."""
    net = pp.create_empty_network()
    buses = [pp.create_bus(net, vn) for vn in (110, 20, 10, 20, 10)]
    pp.create_ext_grid(net, buses[0])
    for _ in range(3):
        pp.create_transformer3w(net, *buses[:3], "63/25/38 MVA 110/20/10 kV")
    net.trafo3w.loc[2, "in_service"] = False
    pp.create_line(net, buses[1], buses[3], 5, "NA2XS2Y 1x185 RM/25 12/20 kV")
    pp.create_line(net, buses[2], buses[4], 2, "NA2XS2Y 1x185 RM/25 6/10 kV")
    pp.create_load(net, buses[3], 4, 1)
    pp.create_load(net, buses[4], 2, 1)
    return net


@pytest.mark.parametrize(
    "build",
    [
        nw.case39,
        lambda: nw.create_cigre_network_mv(with_der="pv_wind"),
        nw.example_multivoltage,
        three_windings,
    ],
    ids=["case39", "cigre_mv_der", "example_multivoltage", "three_windings"],
)
def test_every_single_outage_equals_runpp(build):
    net = build()
    ds = all_equal(net, "n-1")
    wanted = sum(int(net[t].in_service.sum()) for t in ("line", "trafo", "trafo3w", "impedance", "gen"))
    assert ds.sizes["case"] == wanted


def test_an_outage_that_cuts_off_the_only_reference_is_remarked_on():
    """The reference of case39 feeds the rest through one line and one transformer; only one outage leaves it alone."""
    net = nw.case39()
    ds = gridedge.contingencies(net)
    dark = ds["case"].values[ds["unsupplied_mw"].values[:, 0] > 0.5 * net.load.p_mw.sum()]
    assert dark.size
    (remark,) = [r for r in ds.attrs["remarks"] if "goes dark" in r]
    assert all(label in remark for label in dark)


def test_outages_of_a_radial_net_with_two_sources_leave_islands():
    net = nw.mv_oberrhein()
    labels = [case.label for case in cases(net, "n-1")][::6]
    ds = all_equal(net, [*labels, "ext_grid:0", f"trafo:{net.trafo.index[0]}", "sgen:0"])
    assert (ds["unsupplied_mw"].values > 0).sum() > 10
    assert ds.attrs["solved_by_low_rank"] >= len(labels)


def test_outages_of_case118_equal_runpp():
    net = nw.case118()
    all_equal(net, [case.label for case in cases(net, "n-1")][::10])


def test_pairs_that_go_out_together_equal_runpp():
    rng = np.random.default_rng(1)
    for net, count in ((nw.case39(), 15), (nw.example_multivoltage(), 12)):
        known = [case.label for case in cases(net, "n-1")]
        pairs = {tuple(rng.choice(known, 2, replace=False).tolist()) for _ in range(count)}
        all_equal(net, sorted(pairs))


def test_units_that_share_a_bus_or_hold_the_reference():
    net = nw.case39()
    net.gen.loc[2, "slack"] = True
    pp.create_gen(net, int(net.gen.bus[3]), p_mw=50, vm_pu=net.gen.vm_pu[3])
    outages = ["gen:2", "gen:3", "gen:9", ("gen:3", "gen:9"), "ext_grid:0", ("gen:2", "ext_grid:0")]
    ds = all_equal(net, outages)
    assert ds["reason"].sel(case="gen:2+ext_grid:0").item() == "no reference is left"
    assert ds["converged"].values[:-1].all()


@pytest.mark.skipif(bool(missing_packages("texas")), reason="the extra texas is not installed")
def test_outages_of_texas_equal_runpp():
    from gridedge.grid.texas import texas_net

    net = texas_net()
    known = [case.label for case in cases(net, "n-1")]
    picks = np.random.default_rng(7).choice(known, 6, replace=False).tolist()
    own = copy.deepcopy(net)
    pp.runpp(own)
    ends = own._ppc["internal"]["branch"][:, :2].real.astype(int)
    splits = np.flatnonzero(bridges(len(net.bus), ends, np.asarray(own._ppc["internal"]["ref"])))
    first = own._pd2ppc_lookups["branch"]["line"]
    bridge = f"line:{net.line.index[next(r for r in splits if first[0] <= r < first[1])]}"
    outages = [*picks, bridge, (picks[0], picks[1])]
    ds = gridedge.contingencies(net, outages, keep=[*picks, bridge, f"{picks[0]}+{picks[1]}"])
    for label in ds["kept"].values:
        equal_to_runpp(ds, label, runpp_without(own, label))
    assert ds["vm_pu"].sel(kept=bridge).isnull().any()


def test_states_times_outages_and_the_worst_of_them():
    net = nw.case39()
    time = np.arange(3.0) * 900.0
    load = xr.Dataset(
        {"p_mw": (("time", "load"), np.outer([0.9, 1.0, 1.02], net.load.p_mw)),
         "q_mvar": (("time", "load"), np.outer([0.9, 1.0, 1.02], net.load.q_mvar))},
        coords={"time": time, "load": net.load.index.to_numpy()}, attrs={"dt_s": 900.0},
    )  # fmt: skip
    gen = xr.Dataset(
        {"p_mw": (("time", "gen"), np.outer([0.9, 1.0, 1.01], net.gen.p_mw))},
        coords={"time": time, "gen": net.gen.index.to_numpy()},
        attrs={"dt_s": 900.0},
    )
    p = np.array([[10.0], [150.0], [60.0]])
    site = xr.Dataset(
        {"p_mw": (("time", "site"), p), "q_mvar": (("time", "site"), 0.2 * p)},
        coords={"time": time, "site": ["campus"], "bus": ("site", [11])},
        attrs={"dt_s": 900.0},
    )
    outages = ["line:3", "gen:4", "trafo:5", "line:20", "gen:0", "line:11", ("line:3", "gen:4")]
    labels = [case.label for case in cases(net, outages)]
    ds = gridedge.contingencies(net, outages, injections=site, background={"load": load, "gen": gen}, keep=labels)
    assert ds["converged"].values.all()
    for step in range(3):
        own = copy.deepcopy(net)
        own.load[["p_mw", "q_mvar"]] *= [0.9, 1.0, 1.02][step]
        own.gen["p_mw"] *= [0.9, 1.0, 1.01][step]
        pp.create_load(own, 11, p[step, 0], 0.2 * p[step, 0])
        for label in labels:
            equal_to_runpp(ds, label, runpp_without(own, label), step)
        pp.runpp(own, tolerance_mva=1e-10)
        np.testing.assert_allclose(ds["vm_pu_base"][step], own.res_bus.vm_pu, rtol=0, atol=VM_PU)

    every = ds["loading_percent"].transpose("time", "branch", "kept").values
    np.testing.assert_array_equal(ds["loading_percent_max"], np.nanmax(every, axis=2))
    np.testing.assert_array_equal(ds["case_of_loading"], np.array(labels)[np.nanargmax(every, axis=2)])
    np.testing.assert_array_equal(ds["vm_pu_min"], ds["vm_pu"].min("kept"))
    np.testing.assert_array_equal(ds["vm_pu_max"], ds["vm_pu"].max("kept"))
    lowest = ds["vm_pu"].transpose("kept", "time", "bus").values
    np.testing.assert_array_equal(ds["case_vm_pu_min"], np.nanmin(lowest, axis=2))
    np.testing.assert_array_equal(ds["bus_of_vm_min"], ds["bus"].values[np.nanargmin(lowest, axis=2)])
    np.testing.assert_array_equal(ds["case_loading_percent_max"], ds["loading_percent"].max("branch"))


def test_an_outage_that_collapses_is_masked_and_its_neighbours_are_not_harmed():
    """Two reactances of 0.2 pu carry 4 pu; one alone carries 1 / (2 * 0.2) = 2.5 pu at most."""
    net = pp.create_empty_network(sn_mva=1.0)
    a, b, c = (pp.create_bus(net, 20.0) for _ in range(3))
    pp.create_ext_grid(net, a)
    for other in (b, b, c, c):
        pp.create_impedance(net, a, other, rft_pu=0.0, xft_pu=0.2, sn_mva=1.0)
    pp.create_load(net, b, 4.0)
    pp.create_load(net, c, 1.0)
    ds = gridedge.contingencies(net, keep=["impedance:0", "impedance:2"])
    assert ds["converged"].values[:, 0].tolist() == [False, False, True, True]
    assert ds["reason"].values.tolist() == ["runpp does not converge"] * 2 + [""] * 2
    assert ds["vm_pu"].sel(kept="impedance:0").isnull().all()
    closed = [np.sqrt(0.5 + np.sqrt(0.25 - (p * x) ** 2)) for p, x in ((4.0, 0.1), (1.0, 0.2))]
    np.testing.assert_allclose(ds["vm_pu"].sel(kept="impedance:2").values[0], [1.0, *closed], rtol=0, atol=VM_PU)
    assert ds["case_of_vm_min"].sel(bus=c).values[0] in {"impedance:2", "impedance:3"}


def test_what_the_arrays_do_not_cover_goes_to_runpp():
    net = nw.case9()
    net.load["const_z_p_percent"] = 40.0
    ds = all_equal(net, ["line:1", "line:4", "gen:1"])
    assert ds.attrs["engine"] == "reference"
    assert "loads that depend on the voltage" in ds.attrs["engine_why"]


def test_a_result_that_runpp_does_not_share_is_an_error(monkeypatch):
    def wrong(*args):
        v, converged = right(*args)
        return v * (1 + 1e-6), converged

    right = secure.chord
    monkeypatch.setattr(secure, "chord", wrong)
    with pytest.raises(RunError, match=r"differs from runpp"):
        gridedge.contingencies(nw.case9(), ["line:1", "line:4"])


@pytest.mark.parametrize(
    ("outages", "says"),
    [
        (["line:999", "trafos:0"], r"unknown outage.*line:99(.|\n)*Did you mean 'trafo:0'"),
        (["dcline:0"], r"DC line is not in this version"),
        (["line:1", "line:1"], r"listed twice"),
        ([("line:1", "line:1")], r"one twice"),
        (["line:2"], r"out of service already"),
        ([], r"no outage"),
        ("line:1", r'outages=\["line:1"\]'),
    ],
)
def test_labels_that_cannot_be(outages, says):
    net = nw.case39()
    net.line.loc[2, "in_service"] = False
    with pytest.raises(InputError, match=says):
        gridedge.contingencies(net, outages)


def test_keep_must_name_an_outage_of_the_run():
    with pytest.raises(InputError, match=r"Did you mean 'line:1'"):
        gridedge.contingencies(nw.case9(), ["line:1"], keep=["line:11"])


def test_bridges_are_those_branches_that_split_the_graph():
    rng = np.random.default_rng(0)
    for _ in range(50):
        rows = int(rng.integers(2, 15))
        ends = rng.integers(0, rows, size=(int(rng.integers(1, 25)), 2))
        references = rng.choice(rows, 2, replace=False)
        whole = unreached(rows, ends, references).sum()
        splits = [unreached(rows, np.delete(ends, k, axis=0), references).sum() > whole for k in range(len(ends))]
        live = ~unreached(rows, ends, references)[ends[:, 0]]
        np.testing.assert_array_equal(bridges(rows, ends, references)[live], np.array(splits)[live])
