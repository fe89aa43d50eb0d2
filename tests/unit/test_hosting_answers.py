"""Answers of several judges made one, and a wish held against an answer; no net is needed."""

import numpy as np
import pytest

from gridedge.planning.hosting.request import _verdict
from gridedge.planning.hosting.result import Answer, Stop, dataset


def stop(p_mw, limit="band: lowest voltage", element="bus 1"):
    return Stop(p_mw, limit, "low", element)


def test_what_another_judge_finds_narrows_an_answer():
    answer = Answer(4.0, (stop(4.0), stop(6.0, "rating: loading", "line:1")), ((5.0, 5.5), (7.0, 9.0)))
    beyond = answer.narrowed([stop(8.0, "Pst: Pst", "bus 2")])
    assert (beyond.capacity_mw, beyond.stops, beyond.ranges_mw) == (4.0, answer.stops, ((5.0, 5.5), (7.0, 8.0)))
    first = answer.narrowed([stop(3.0, "Pst: Pst", "bus 2")])
    assert first.capacity_mw == 3.0
    assert [s.limit for s in first.stops] == ["Pst: Pst", "band: lowest voltage"]
    assert first.ranges_mw == ()
    assert answer.narrowed([stop(np.inf)]) is answer


def test_the_next_limit_is_another_one():
    answer = Answer(4.0, (stop(4.0), stop(6.0, "rating: loading", "line:1")))
    twice = answer.narrowed([stop(3.0)])  # the same limit at the same bus, found earlier
    assert [(s.p_mw, s.limit) for s in twice.stops] == [(3.0, "band: lowest voltage"), (6.0, "rating: loading")]
    ds = dataset([twice, Answer(2.0)], [1, 2], ["a", "b"])
    assert ds["next_mw"].values[0] == 6.0
    assert ds["limit"].values.tolist() == ["band: lowest voltage", "not bound"]


@pytest.mark.parametrize(
    ("wished_mw", "said"),
    [
        (3.9, "served"), (4.0, "served"), (4.5, "partly served"), (5.0, "fits, but a smaller site does not"),
        (5.5, "fits, but a smaller site does not"), (5.6, "partly served"), (np.nan, ""),
    ],
)  # fmt: skip
def test_a_wish_is_served_partly_or_in_a_later_range(wished_mw, said):
    answer = Answer(4.0, (stop(4.0),), ((5.0, 5.5),))
    assert _verdict(wished_mw, answer)[0] == said


def test_a_wish_at_a_bus_that_takes_nothing_or_has_no_bound():
    assert _verdict(1.0, Answer(0.0, (stop(0.0),))) == ("not served", "band: lowest voltage at bus 1")
    assert _verdict(5.0, Answer(4.0))[0] == "cannot tell"
