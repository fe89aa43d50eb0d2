"""Each element and option of pandapower on a small net: every engine equals ``runpp``, or refuses it by name."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pandas as pd
import pytest
from oracle import check, equal, judge, series, sites, with_sites

import gridedge
from gridedge.errors import InputError

pp = pytest.importorskip("pandapower")
ENGINES = ("reference", "batch", "surface")
CABLE = "NA2XS2Y 1x240 RM/25 12/20 kV"
SITE = 3  # bus of the site
FEATURES: dict[str, Any] = {}


def ring() -> Any:
    """Return a transformer (buses 0 and 1) that feeds a ring of cables (buses 1 to 5)."""
    net = pp.create_empty_network()
    pp.create_bus(net, 110.0)
    for _ in range(5):
        pp.create_bus(net, 20.0)
    pp.create_ext_grid(net, 0, vm_pu=1.02)
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV")
    for k, (a, b) in enumerate(((1, 2), (2, 3), (3, 4), (4, 5), (5, 1))):
        pp.create_line(net, a, b, 2.0 + k, CABLE)
    for b in range(2, 6):
        pp.create_load(net, b, 1.5 + 0.2 * b, 0.4)
    return net


def feature(change: Any) -> Any:
    """Take a change of the ring into the list of what is tested."""
    FEATURES[change.__name__] = change
    return change


def _beside(net: Any, at: int = 3) -> int:
    """Add a bus with a load, not connected yet."""
    bus = pp.create_bus(net, float(net.bus.vn_kv.at[at]))
    pp.create_load(net, bus, 0.7, 0.2)
    return int(bus)


@feature
def bus_bus_switch_closed(net: Any) -> None:
    pp.create_switch(net, 3, _beside(net), "b", closed=True)


@feature
def bus_bus_switch_open(net: Any) -> None:
    pp.create_switch(net, 3, _beside(net), "b", closed=False)


@feature
def bus_bus_switch_with_a_resistance(net: Any) -> None:
    pp.create_switch(net, 3, _beside(net), "b", closed=True, z_ohm=0.5)


@feature
def buses_in_a_chain_of_switches(net: Any) -> None:
    a, b = _beside(net), _beside(net)
    pp.create_switch(net, 3, a, "b")
    pp.create_switch(net, b, a, "b")


@feature
def line_switches_closed(net: Any) -> None:
    pp.create_switch(net, 2, 1, "l", closed=True)
    pp.create_switch(net, 3, 1, "l", closed=True)


@feature
def line_open_at_one_end(net: Any) -> None:
    pp.create_switch(net, 3, 1, "l", closed=False)


@feature
def line_open_at_the_other_end(net: Any) -> None:
    pp.create_switch(net, 2, 1, "l", closed=False)


@feature
def line_open_at_both_ends(net: Any) -> None:
    pp.create_switch(net, 2, 1, "l", closed=False)
    pp.create_switch(net, 3, 1, "l", closed=False)


@feature
def transformer_switch_open_on_the_high_side(net: Any) -> None:
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV")
    pp.create_switch(net, 0, 1, "t", closed=False)


@feature
def transformer_switch_open_on_the_low_side(net: Any) -> None:
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV")
    pp.create_switch(net, 1, 1, "t", closed=False)


@feature
def transformer_switch_closed(net: Any) -> None:
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV")
    pp.create_switch(net, 1, 1, "t", closed=True)


@feature
def wards(net: Any) -> None:
    pp.create_ward(net, 4, 0.5, 0.1, 0.3, -0.2)
    pp.create_ward(net, 4, 0.2, 0.1, 0.1, 0.1)
    pp.create_ward(net, 5, 0.5, 0.1, 0.3, -0.2, in_service=False)


@feature
def extended_wards(net: Any) -> None:
    pp.create_xward(net, 4, 0.5, 0.1, 0.3, -0.2, r_ohm=0.5, x_ohm=4.0, vm_pu=1.0)
    pp.create_xward(net, 5, 0.5, 0.1, 0.3, -0.2, r_ohm=0.5, x_ohm=4.0, vm_pu=1.0, in_service=False)


@feature
def dc_line(net: Any) -> None:
    pp.create_dcline(net, 2, 5, 1.5, 1.0, 0.05, 1.0, 1.0)


@feature
def dc_line_out_of_service(net: Any) -> None:
    pp.create_dcline(net, 2, 5, 1.5, 1.0, 0.05, 1.0, 1.0, in_service=False)


@feature
def shunt_steps(net: Any) -> None:
    pp.create_shunt(net, 4, q_mvar=-0.8, p_mw=0.01, step=2, max_step=3)
    pp.create_shunt(net, 2, q_mvar=-0.4, vn_kv=21.0, step=1)
    pp.create_shunt(net, 5, q_mvar=0.6, step=0)


@feature
def tap_of_a_ratio(net: Any) -> None:
    net.trafo["tap_pos"] = -3


@feature
def tap_with_an_angle(net: Any) -> None:
    net.trafo["tap_pos"], net.trafo["tap_step_degree"] = 4, 60.0


@feature
def tap_on_the_low_side(net: Any) -> None:
    net.trafo["tap_pos"], net.trafo["tap_side"] = 2, "lv"


def _parallel_shifter(net: Any) -> None:
    """Add a second transformer beside the first, whose tap drives a flow around the two."""
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV", tap_pos=2)


@feature
def ideal_phase_shifter(net: Any) -> None:
    _parallel_shifter(net)
    net.trafo.loc[1, ["tap_changer_type", "tap_step_percent", "tap_step_degree"]] = ["Ideal", np.nan, 0.7]


@feature
def symmetrical_phase_shifter(net: Any) -> None:
    _parallel_shifter(net)
    net.trafo.loc[1, ["tap_changer_type", "tap_step_percent", "tap_step_degree"]] = ["Symmetrical", 1.0, 90.0]


@feature
def tap_from_a_table(net: Any) -> None:
    _parallel_shifter(net)
    net.trafo_characteristic_table = pd.DataFrame(
        {
            "id_characteristic": [0, 0, 0],
            "step": [1, 2, 3],
            "voltage_ratio": [1.0, 1.01, 1.02],
            "angle_deg": [0.0, 0.5, 1.0],
            "vk_percent": [12.0, 12.3, 12.6],
            "vkr_percent": [0.4, 0.41, 0.42],
        }
    )
    net.trafo["id_characteristic_table"] = pd.array([None, 0], dtype="Int64")
    net.trafo["tap_dependency_table"] = [False, True]


@feature
def second_tap_changer(net: Any) -> None:
    for column, value in (("side", "lv"), ("neutral", 0), ("pos", 2), ("step_percent", 1.0), ("step_degree", 0.0)):
        net.trafo[f"tap2_{column}"] = value
    net.trafo["tap2_changer_type"] = "Ratio"


@feature
def transformers_in_parallel_and_derated(net: Any) -> None:
    net.trafo["parallel"], net.trafo["df"] = 2, 0.8
    net.line["parallel"], net.line["df"] = [1, 2, 1, 3, 1], [1.0, 0.9, 1.0, 1.0, 0.7]
    net.line["g_us_per_km"] = 0.5


@feature
def three_windings(net: Any) -> None:
    mv, lv = pp.create_bus(net, 20.0), pp.create_bus(net, 10.0)
    pp.create_transformer3w(net, 0, mv, lv, "63/25/38 MVA 110/20/10 kV", tap_pos=3)
    pp.create_load(net, mv, 3.0, 1.0)
    pp.create_load(net, lv, 4.0, 1.0)


@feature
def three_windings_with_a_tap_at_the_star_point(net: Any) -> None:
    three_windings(net)
    net.trafo3w["tap_at_star_point"], net.trafo3w["tap_side"], net.trafo3w["tap_step_degree"] = True, "mv", 0.0
    net.trafo3w["shift_mv_degree"], net.trafo3w["shift_lv_degree"] = 30.0, 150.0


@feature
def three_windings_open_at_one(net: Any) -> None:
    three_windings(net)
    pp.create_switch(net, int(net.trafo3w.lv_bus.at[0]), 0, "t3", closed=False)


@feature
def three_windings_out_of_service(net: Any) -> None:
    three_windings(net)
    net.trafo3w["in_service"] = False


@feature
def impedances(net: Any) -> None:
    pp.create_impedance(net, 2, 4, rft_pu=0.02, xft_pu=0.2, sn_mva=10.0)
    pp.create_impedance(net, 2, 5, rft_pu=0.02, xft_pu=0.2, rtf_pu=0.03, xtf_pu=0.25, sn_mva=8.0)
    pp.create_impedance(net, 1, 3, rft_pu=0.02, xft_pu=0.2, sn_mva=10.0, in_service=False)


@feature
def impedance_with_shunt_parts(net: Any) -> None:
    pp.create_impedance(net, 2, 4, rft_pu=0.02, xft_pu=0.2, sn_mva=10.0, gf_pu=0.001, bf_pu=0.02, gt_pu=0.0, bt_pu=0.01)


@feature
def asymmetric_loads(net: Any) -> None:
    pp.create_asymmetric_load(net, 4, 0.2, 0.1, 0.3, 0.05, 0.02, 0.0, scaling=0.9)
    pp.create_asymmetric_sgen(net, 5, 0.2, 0.1, 0.0, 0.05, 0.0, 0.0)


@feature
def motors(net: Any) -> None:
    pp.create_motor(net, 4, 0.6, 0.85, efficiency_percent=94.0, loading_percent=80.0)
    pp.create_motor(net, 5, 0.6, 0.85, in_service=False)


@feature
def storage(net: Any) -> None:
    pp.create_storage(net, 4, 0.8, 2.0, q_mvar=0.1, scaling=0.7)
    pp.create_storage(net, 5, -0.4, 2.0)


@feature
def static_generators_and_scaling(net: Any) -> None:
    pp.create_sgen(net, 4, 1.2, 0.1, scaling=0.5)
    pp.create_sgen(net, 3, 0.5, -0.1)
    net.load["scaling"] = [1.0, 0.5, 0.0, 1.2]


@feature
def generators(net: Any) -> None:
    pp.create_gen(net, 4, 1.2, vm_pu=1.01)
    pp.create_gen(net, 5, 1.2, vm_pu=1.02, scaling=0.5, in_service=False)


@feature
def generators_at_one_bus(net: Any) -> None:
    pp.create_gen(net, 4, 1.2, vm_pu=1.01)
    pp.create_gen(net, 4, 0.6, vm_pu=1.01)


@feature
def generator_behind_a_switch(net: Any) -> None:
    bus = _beside(net)
    pp.create_gen(net, bus, 1.2, vm_pu=1.01)
    pp.create_switch(net, bus, 4, "b")


@feature
def generator_as_slack(net: Any) -> None:
    net.ext_grid["in_service"] = False
    pp.create_gen(net, 0, 2.0, vm_pu=1.03, slack=True)


@feature
def several_external_grids(net: Any) -> None:
    pp.create_ext_grid(net, 4, vm_pu=1.0, va_degree=-152.0)
    pp.create_ext_grid(net, 5, vm_pu=1.05, in_service=False)


@feature
def external_grids_at_one_bus(net: Any) -> None:
    pp.create_ext_grid(net, 0, vm_pu=1.02)


@feature
def island_without_supply(net: Any) -> None:
    a, b = _beside(net), _beside(net)
    pp.create_line(net, a, b, 1.0, CABLE)


@feature
def island_with_its_own_supply(net: Any) -> None:
    a, b = _beside(net), _beside(net)
    pp.create_line(net, a, b, 1.0, CABLE)
    pp.create_ext_grid(net, a, vm_pu=0.99, va_degree=5.0)


@feature
def island_with_a_generator_and_no_reference(net: Any) -> None:
    a, b = _beside(net), _beside(net)
    pp.create_line(net, a, b, 1.0, CABLE)
    pp.create_gen(net, a, 1.4, vm_pu=1.0)


@feature
def out_of_service(net: Any) -> None:
    a = _beside(net)
    pp.create_line(net, 4, a, 1.0, CABLE)
    net.bus.loc[a, "in_service"] = False
    net.line.loc[1, "in_service"] = False
    net.load.loc[2, "in_service"] = False
    pp.create_transformer(net, 0, 1, "25 MVA 110/20 kV", in_service=False)
    pp.create_sgen(net, 5, 1.0, in_service=False)
    pp.create_shunt(net, 5, 0.5, in_service=False)


@feature
def labels_that_are_not_in_order(net: Any) -> None:
    net.line.index = [7, 3, 11, 0, 5]
    net.trafo.index = [4]
    net.load.index = [9, 2, 5, 1]


@feature
def base_power_of_100_mva_at_60_hz(net: Any) -> None:
    net.sn_mva, net.f_hz = 100.0, 60.0


@feature
def transformer_model_pi(net: Any) -> None:
    pp.set_user_pf_options(net, trafo_model="pi")


@feature
def line_temperature(net: Any) -> None:
    net.line["temperature_degree_celsius"], net.line["alpha"] = 70.0, 0.004
    pp.set_user_pf_options(net, consider_line_temperature=True)


@pytest.mark.parametrize("name", FEATURES)
def test_a_feature_means_what_it_means_to_runpp(name: str) -> None:
    net = ring()
    FEATURES[name](net)
    check(net, ENGINES, SITE)


def zip_loads(net: Any) -> None:
    for part in ("z", "i"):
        net.load[f"const_{part}_p_percent"] = net.load[f"const_{part}_q_percent"] = 30.0


def one_zip_load_of_constant_impedance(net: Any) -> None:
    net.load.loc[2, ["const_z_p_percent", "const_z_q_percent"]] = 100.0


def distributed_slack(net: Any) -> None:
    net.ext_grid["slack_weight"] = 1.0
    pp.create_gen(net, 4, 1.2, vm_pu=1.01, slack_weight=1.0)
    pp.set_user_pf_options(net, distributed_slack=True)


def svc(net: Any) -> None:
    pp.create_svc(net, 4, x_l_ohm=1.0, x_cvar_ohm=-10.0, set_vm_pu=1.0, thyristor_firing_angle_degree=145.0)


def tcsc(net: Any) -> None:
    bus = _beside(net)
    pp.create_line(net, 4, bus, 1.0, CABLE)
    pp.create_tcsc(net, bus, 5, 1.0, -10.0, -0.5, thyristor_firing_angle_degree=140.0, in_service=False)


def ssc(net: Any) -> None:
    pp.create_ssc(net, 4, r_ohm=0.0, x_ohm=5.0, set_vm_pu=1.0)


REFUSED = {
    zip_loads: "loads that depend on the voltage",
    one_zip_load_of_constant_impedance: "loads that depend on the voltage",
    distributed_slack: "a distributed slack",
    svc: "a device of table svc",
    tcsc: "a device of table tcsc",
    ssc: "a device of table ssc",
}


@pytest.mark.parametrize("change", REFUSED, ids=lambda change: change.__name__)
def test_what_is_not_covered_is_refused_by_name_and_runpp_solves_it(change: Any) -> None:
    net = ring()
    change(net)
    p_mw = np.linspace(0.0, 1.0, 70)
    for engine in ("batch", "surface"):
        with pytest.raises(InputError, match=rf'{REFUSED[change]}.*engine="reference"'):
            gridedge.solve(net, sites([SITE], p_mw), engine=engine)
    result = gridedge.solve(net, sites([SITE], p_mw))
    assert result.attrs["engine"] == "reference"
    assert REFUSED[change] in result.attrs["engine_why"]
    for step in (0, 40, 69):
        own = copy.deepcopy(net)
        pp.create_sgen(own, SITE, -p_mw[step])  # a load would be mixed with the loads of its bus
        equal(result, step, judge(own))


def test_loads_whose_shares_are_zero_are_no_reason_to_refuse() -> None:
    net = ring()
    net.load["const_z_p_percent"] = 0.0
    check(net, ["batch"], SITE)


OPTIONS = {
    "enforce_q_lims": (True, "reactive limits"),
    "tdpf": (True, "temperature-dependent lines"),
    "trafo_loading": ("power", "loadings of transformers by power"),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("option", OPTIONS)
def test_options_that_no_engine_knows_are_refused_with_the_cure(option: str, engine: str) -> None:
    net = ring()
    value, name = OPTIONS[option]
    pp.set_user_pf_options(net, **{option: value})
    with pytest.raises(InputError, match=rf"{name}.*{option}"):
        gridedge.solve(net, sites([SITE], np.linspace(0, 1, 40)), engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_table_that_may_move_moves_as_in_runpp(engine: str) -> None:
    """Loads, static generators, generators and batteries: scaling and what is out of service count as always."""
    net = ring()
    static_generators_and_scaling(net)
    storage(net)
    generators(net)
    net.load.loc[1, "in_service"] = False
    rng = np.random.default_rng(3)
    steps = 4
    background = {
        t: series(net, t, rng.uniform(0.5, 1.0, (steps, len(net[t]))), 10.0) for t in ("load", "sgen", "gen", "storage")
    }
    load = sites([SITE], rng.uniform(0, 1, 10 * steps), rng.uniform(-0.3, 0.3, 10 * steps))
    result = gridedge.solve(net, load, background=background, engine=engine, tol_vm_pu=1e-8)
    assert result.attrs["engine"] == engine, result.attrs["engine_why"]
    for k in range(steps):
        own = with_sites(net, load, 10 * k + 3)
        for table, ds in background.items():
            for column in ds:
                own[table].loc[ds[table].values, column] = ds[column].values[k]
        equal(result, 10 * k + 3, judge(own))
