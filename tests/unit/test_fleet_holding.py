"""Sites that hold back: requests go elsewhere, books close, what rests is idle."""

from __future__ import annotations

import numpy as np
import pytest

from gridedge import InputError, fleet
from gridedge.profiles.inference.replica import Replica, rates
from gridedge.sites.fleet.holding import HoldBack, most_at_work

DT_S = 900.0
TWO = {
    "traffic": {"zone": "UTC", "start": "2025-01-06", "classes": {"conversation": {"requests_per_s": 20}}},
    "places": [{"name": "a", "lat": 48.0, "lon": 8.0}],
    "sites": [
        {"name": "near", "lat": 48.0, "lon": 8.0, "p_mw": 0.1},
        {"name": "far", "lat": 49.0, "lon": 8.0, "p_mw": 0.1},
    ],
}


@pytest.fixture(scope="module")
def plain():
    return fleet(TWO, duration_s=43200, dt_s=DT_S)


def test_the_share_is_the_exact_mean_of_every_step():
    call = HoldBack("near", 2700.0, 4500.0, 0.8, ramp_s=900.0, recovery_s=1800.0)
    most = most_at_work([call], ["far", "near"], 8, DT_S)
    assert most is not None
    assert (most[0] == 1).all()
    # A trapezoid: half of 0.8 in the ramp, all of it for two steps, three and one quarters of it on the way back.
    assert most[1] == pytest.approx([1, 1, 1 - 0.4, 0.2, 0.2, 1 - 0.6, 1 - 0.2, 1], abs=1e-12)
    assert most_at_work([], ["near"], 8, DT_S) is None


def test_what_one_site_holds_back_the_other_serves(plain):
    call = HoldBack("near", 14400.0, 25200.0, 1.0)
    made = fleet(TWO, duration_s=43200, dt_s=DT_S, holding=[call], curves=plain.curves)
    inside = (made.load["time"].values >= 14400) & (made.load["time"].values < 25200)
    near, far = (made.load["p_mw"].sel(site=n).values for n in ("near", "far"))
    was_near, was_far = (plain.load["p_mw"].sel(site=n).values for n in ("near", "far"))
    assert (near[inside] < 0.9 * was_near[inside]).all()
    assert (far[inside] > was_far[inside]).all()
    assert near[:16] == pytest.approx(was_near[:16], rel=1e-12)  # nobody knows before
    assert made.flow.data["load_pu"].sel(site="near").values[inside].max() == 0.0
    # All that rests is idle: IT power is that of the table, in every step.
    idle_mw = made.load["p_it_mw"].sel(site="near").values[inside]
    assert np.ptp(idle_mw) < 1e-12
    table = rates(Replica())
    each_mw = table.idle_w / Replica().accelerators / 1e6
    assert idle_mw[0] == pytest.approx(each_mw * float(made.load["accelerators"][0]), rel=1e-12)
    for name, book in made.flow.books.items():
        assert book["offered"] == plain.flow.books[name]["offered"]
        out = book["in_time"] + book["late"] + book["refused"] + book["in_system"]
        assert out == pytest.approx(book["offered"], rel=1e-12)


def test_to_hold_back_nothing_changes_nothing(plain):
    made = fleet(TWO, duration_s=43200, dt_s=DT_S, holding=[HoldBack("near", 3600, 7200, 0.0)], curves=plain.curves)
    np.testing.assert_array_equal(made.load["p_mw"].values, plain.load["p_mw"].values)
    assert made.flow.books == plain.flow.books


def test_parked_hardware_of_a_called_site_draws_less_than_idle(plain):
    call = [HoldBack("near", 14400.0, 25200.0, 1.0)]
    parks = TWO | {"scaling": {}}
    made = fleet(parks, duration_s=43200, dt_s=DT_S, holding=call, curves=plain.curves)
    idle = fleet(TWO, duration_s=43200, dt_s=DT_S, holding=call, curves=plain.curves)
    last = 27  # the step before the end of the call: the policy has had its time
    assert float(made.load["p_mw"][last, 0]) < float(idle.load["p_mw"][last, 0])
    book = next(iter(made.flow.books.values()))
    out = book["in_time"] + book["late"] + book["refused"] + book["in_system"]
    assert out == pytest.approx(book["offered"], rel=1e-12)


@pytest.mark.parametrize(
    ("call", "word"),
    [
        (lambda: HoldBack("near", 3600, 1800, 0.5), "to_s above from_s"),
        (lambda: HoldBack("near", 0, 1800, 1.5), "no share"),
        (lambda: HoldBack("near", 0, 1800, 0.5, ramp_s=-1), "negative"),
        (lambda: most_at_work([HoldBack("nera", 0, 1800, 0.5)], ["near"], 8, DT_S), "near"),
        (lambda: most_at_work([HoldBack("near", 0, 9000, 0.5)], ["near"], 8, DT_S), "outside the clock"),
    ],
)
def test_a_call_that_cannot_be_is_said_once(call, word):
    with pytest.raises(InputError, match=word) as error:
        call()
    assert len(error.value.problems) == 1
