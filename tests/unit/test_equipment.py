"""What the equipment inside a site sees: closed forms and verdicts."""

import numpy as np
import pytest
import rainflow
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import gridedge
from gridedge import schema
from gridedge.errors import InputError
from gridedge.sites.equipment import check_equipment, count_cycles


def trapezium(dt_s=0.1):
    """Return a day in small: every 100 s up from 2 to 8 MW in 3 s, and down again in 6 s."""
    time_s = np.arange(0, 1000, dt_s) % 100
    return np.interp(time_s, [0, 20, 23, 60, 66, 100], [2, 2, 8, 8, 2, 2])


def load(p_mw, dt_s=0.1):
    return schema.power_dataset(np.asarray(p_mw, float), dt_s, power="IT", attrs={"nameplate_mw": 10.0})


def by_name(findings):
    return {f.name: f for f in findings}


def test_a_trapezium_has_the_steps_ramps_and_cycles_that_were_drawn():
    found = by_name(check_equipment(gridedge.mitigate(load(trapezium()), []), {"rack": {"window_s": 1.5}}))
    assert found["rack: peak"].measured == pytest.approx(8.0)
    assert found["rack: step"].measured == pytest.approx(3.0)
    assert found["rack: ramp in 1 s"].measured == pytest.approx(2.0)
    assert found["rack: ramp in 60 s"].measured == pytest.approx(6.0)
    assert found["rack: cycles"].measured == pytest.approx(10 * 86.4, rel=0.06)  # the ends are half cycles
    assert {f.verdict for f in found.values()} == {"not applicable"}
    assert {f.where for f in found.values()} == {"rack", "ups"}


def test_ratings_decide():
    p = gridedge.mitigate(load(trapezium()), [])
    tight = {"peak_mw": 7.99, "step_mw": 1.99, "ramp_mw_per_s": 1.99, "ramp_mw_per_min": 5.99, "cycles_per_day": 700}
    wide = {"peak_mw": 8.01, "step_mw": 2.01, "ramp_mw_per_s": 2.01, "ramp_mw_per_min": 6.01, "cycles_per_day": 900}
    found = by_name(check_equipment(p, {"rack": tight, "ups": wide}))
    assert {f.verdict for f in found.values() if f.where == "rack"} == {"fail"}
    assert {f.verdict for f in found.values() if f.where == "ups"} == {"pass"}
    assert not any(f.decides for f in found.values())


def test_each_piece_of_equipment_sees_its_own_place():
    """The UPS sees what the computers draw, the transformer what the battery leaves."""
    metered = gridedge.connect(load(trapezium()), {"cooling_fixed_pu": 0, "cooling_proportional_pu": 0}, bus=1)
    battery = {"step": "battery", "p_rated_mw": 8, "e_rated_mwh": 5, "ramp_mw_per_min": 1}
    found = by_name(check_equipment(gridedge.mitigate(metered, [battery]), {"transformer": {"ramp_mw_per_min": 1.01}}))
    assert found["ups: ramp in 60 s"].measured == pytest.approx(6.0)
    assert found["transformer: ramp in 60 s"].verdict == "pass"
    assert found["0:battery: cycles"].measured > 0


def test_a_series_too_coarse_cannot_tell():
    found = by_name(check_equipment(gridedge.mitigate(load([1.0, 2, 3, 2], dt_s=5.0), []), {"rack": {"step_mw": 5}}))
    assert found["rack: step"].verdict == "cannot tell"
    assert "5 s" in found["rack: step"].note


def test_the_worst_member_is_shown_and_the_others_are_counted():
    rows = np.stack([trapezium(), 0.5 * trapezium(), 1.1 * trapezium()])
    found = by_name(check_equipment(gridedge.mitigate(load(rows), []), {"rack": {"peak_mw": 7.0}}))
    assert found["rack: peak"].measured == pytest.approx(8.8)
    assert "row 2; 2 of 3 break the rating" in found["rack: peak"].note


def test_what_was_not_mitigated_is_refused():
    with pytest.raises(InputError, match="what it draws at each place"):
        check_equipment(load([1.0, 2.0]))
    with pytest.raises(InputError, match="Did you mean 'step_mw'"):
        check_equipment(gridedge.mitigate(load([1.0, 2.0]), []), {"rack": {"stepmw": 1}})


def test_cycles_of_the_worked_example():
    """ASTM E1049-85 (2017), figure 6: ranges 3, 4, 6 and 9 half a cycle, 4 a whole one, 8 one in halves."""
    series = np.array([-2.0, 1, -3, 5, -1, 3, -4, 4, -2])
    assert [count_cycles(series, depth=d) for d in (9, 8, 6, 4, 3)] == [0.5, 1.5, 2.0, 3.5, 4.0]


@given(hnp.arrays(float, st.integers(1, 60), elements=st.integers(0, 12).map(float)), st.integers(1, 12))
def test_leaving_shallow_swings_out_changes_no_deep_cycle(values, depth):
    plain = sum(c for rng, _, c, _, _ in rainflow.extract_cycles(np.r_[values[:1], values]) if rng >= depth)
    assert count_cycles(values, depth=float(depth)) == plain
