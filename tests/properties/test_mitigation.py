"""What must hold for every mitigation by the computers, whatever the numbers."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gridedge
from gridedge import schema
from gridedge.profiles.catalog import accelerator, server
from gridedge.sites.floor import PowerFloor, hold_floor

BOX = server("8xB200")
CHIP = accelerator(BOX.accelerator)
SERVERS = 1000
LOW_MW, HIGH_MW = SERVERS * BOX.idle_kw / 1e3, SERVERS * BOX.peak_kw / 1e3
LENGTHS = st.integers(1, 60)
STEP_S = st.sampled_from([0.01, 0.1, 1.0, 30.0])
SHARES = st.sampled_from([0.0, 0.25, 0.5, 1.0])


@st.composite
def loads(draw):
    shape = (draw(st.integers(1, 2)), draw(LENGTHS))
    work = draw(hnp.arrays(float, shape, elements=st.floats(0, 1, width=32)))
    share = draw(hnp.arrays(float, shape, elements=SHARES))
    p = LOW_MW + share * work * (HIGH_MW - LOW_MW)
    attrs = {"nameplate_mw": SERVERS * BOX.rated_kw / 1e3, "server": "8xB200", "servers": SERVERS}
    ds = schema.power_dataset(p, draw(STEP_S), power="IT", attrs=attrs)
    return ds.assign(active_pu=(("member", "time"), share)) if draw(st.booleans()) else ds


@st.composite
def floors(draw):
    percent = draw(st.floats(20, 90))
    secondary = draw(st.booleans())
    return {
        "step": "power_floor",
        "percent_tmp_floor": percent,
        "ramp_up_w_per_s": draw(st.floats(1, 1e5)),
        "ramp_down_w_per_s": draw(st.floats(1, 1e5)),
        "ramp_down_hysteresis_ms": draw(st.floats(0, 1e4)),
        "immediate_ramp_down": draw(st.booleans()),
        "secondary_power_floor_w": 150.0 if secondary else 0.0,
        "primary_floor_act_win_mult": draw(st.floats(1, 500)) if secondary else 0.0,
        "primary_floor_tar_win_mult": draw(st.sampled_from([0.0, 50.0])),
        "peak_limit": draw(st.booleans()),
    }


@st.composite
def dummies(draw):
    return {
        "step": "dummy_load",
        "floor_pu": draw(st.floats(0.1, 0.6)),
        "trigger": draw(st.sampled_from(["reactive", "announced"])),
        "reaction_s": draw(st.floats(0, 3)),
        "sampling_s": draw(st.floats(0, 3)),
        "launch_s": draw(st.floats(0, 1)),
        "steals_pu": draw(st.sampled_from([0.0, 0.2])),
    }


CUTS = st.fixed_dictionaries({"step": st.just("power_cap"), "cap_pu": st.floats(0.65, 1)})
SLOWS = st.fixed_dictionaries({"step": st.just("frequency_cap"), "frequency_pu": st.floats(0.1, 1)})
STARTS = st.fixed_dictionaries({"step": st.just("ramp_up"), "ramp_s": st.floats(0.1, 100)})
ALL = st.tuples(
    st.lists(st.one_of(CUTS, SLOWS, STARTS), max_size=2), st.lists(st.one_of(floors(), dummies()), max_size=3)
).map(lambda parts: [*parts[0], *parts[1]])


@given(loads(), ALL)
def test_the_books_of_every_mix_close_and_nothing_is_negative(load, steps):
    ds = gridedge.mitigate(load, steps)
    left = ds["p_before_mw"] - ds["delayed_mw"] + ds["wasted_mw"] + ds["lost_mw"] + ds["stored_mw"]
    np.testing.assert_allclose(left, ds["p_mw"], rtol=0, atol=1e-9 * HIGH_MW)
    for name in ("wasted_mw", "delayed_mw"):
        assert float(ds[name].min()) >= -1e-12 * HIGH_MW
    assert float(ds["p_mw"].min()) > 0
    metered = gridedge.connect(ds, {}, bus=1)
    left = metered["p_before_mw"] - metered["delayed_mw"] + metered["wasted_mw"] + metered["overhead_mw"]
    np.testing.assert_allclose(left, metered["p_mw"], rtol=0, atol=1e-9 * HIGH_MW)


@given(loads(), ALL, st.integers(1, 59), st.floats(0, 1))
def test_a_later_sample_changes_no_earlier_one(load, steps, cut, other):
    cut = min(cut, load.sizes["time"])
    changed = load.copy(deep=True)
    changed["p_mw"][:, cut:] = LOW_MW + other * (HIGH_MW - LOW_MW)
    if "active_pu" in changed:
        changed["active_pu"][:, cut:] = 1.0
    there, here = gridedge.mitigate(load, steps), gridedge.mitigate(changed, steps)
    for name in ("p_mw", "wasted_mw", "delayed_mw"):
        np.testing.assert_array_equal(there[name][:, :cut], here[name][:, :cut])


@given(loads(), floors())
def test_a_member_does_not_depend_on_its_neighbours(load, floor):
    both = gridedge.mitigate(load, [floor])
    for k in range(load.sizes["member"]):
        np.testing.assert_array_equal(both["p_mw"][k], gridedge.mitigate(load.isel(member=k), [floor])["p_mw"])


@given(hnp.arrays(float, LENGTHS, elements=st.floats(0, 1300, width=32)), STEP_S, floors())
def test_the_floor_burns_or_holds_back_but_not_both_at_once(work_w, dt_s, given_floor):
    spec = PowerFloor.model_validate(given_floor)
    held = hold_floor(work_w, np.ones_like(work_w), dt_s, spec, CHIP)
    assert (np.minimum(held.burnt_w, held.held_back_w) == 0).all()
    np.testing.assert_allclose(work_w + held.burnt_w - held.held_back_w, held.drawn_w, rtol=1e-12, atol=1e-9)
    if spec.peak_limit:
        assert (held.drawn_w <= CHIP.edp_pu * CHIP.tdp_w * (1 + 1e-12)).all()


@settings(max_examples=50)
@given(hnp.arrays(float, LENGTHS, elements=st.floats(150, 1000, width=32)), STEP_S, st.floats(20, 90))
def test_an_ideal_floor_is_the_larger_of_work_and_floor(work_w, dt_s, percent):
    fast = {"ramp_up_w_per_s": 1e12, "ramp_down_w_per_s": 1e12, "ramp_down_hysteresis_ms": 1e12}
    spec = PowerFloor.model_validate({"step": "power_floor", "percent_tmp_floor": percent, **fast})
    held = hold_floor(work_w, np.ones_like(work_w), dt_s, spec, CHIP)
    np.testing.assert_allclose(held.drawn_w, np.maximum(work_w, percent / 100 * CHIP.tdp_w), rtol=1e-12)
