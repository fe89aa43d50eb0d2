"""Outages times states by ``runpp`` alone, for nets that nothing faster covers."""

from __future__ import annotations

import pickle
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from gridedge.grid.engines.moving import Moving
from gridedge.grid.engines.outages import Case
from gridedge.grid.engines.secure import UNSOLVED, Solved, by_runpp, told
from gridedge.grid.engines.spread import pack, spread

_TOGETHER = 32  # outages that travel with one copy of the net


@dataclass(frozen=True)
class OneByOne:
    """Some outages of one state, for whoever takes them.

    Parameters
    ----------
    content : bytes
        The net as it was, pickled: the one here goes on changing.
    moving : list of Moving
        What changes, for this state only.
    state : int
        Which state it is.
    first : int
        Number of the first outage.
    cases : list of Case
        The outages.
    """

    content: bytes
    moving: list[Moving]
    state: int
    first: int
    cases: list[Case]

    def __call__(self) -> list[Solved]:
        """Solve them."""
        net = pickle.loads(self.content)
        (solved,) = by_runpp(net, self.moving, self.cases, np.array([0]))
        return [replace(solved, state=self.state, cases=solved.cases + self.first)]


def slowly(
    net: Any, moving: list[Moving], chosen: list[Case], count: int, executor: Executor | None, remarks: list[str]
) -> Iterator[Solved]:
    """Solve all outages of all states by ``runpp``; each state without outage comes before its outages.

    Parameters
    ----------
    net : pandapowerNet
        A private copy, whose columns are overwritten.
    moving : list of Moving
        What changes from state to state.
    chosen : list of Case
        The outages.
    count : int
        Number of states.
    executor : Executor or None
        Who works on them; this thread without.
    remarks : list of str
        What has to be said of the executor is appended.
    """
    bases: deque[Solved] = deque()

    def base(state: int) -> bool:
        (found,) = by_runpp(net, moving, [Case("", ())], np.array([state]))
        bases.append(replace(found, cases=np.array([-1])))
        return bool(found.how[0] != UNSOLVED)

    if executor is None:
        for state in range(count):
            solvable = base(state)
            yield from told(bases)
            if solvable:
                yield from by_runpp(net, moving, chosen, np.array([state]))
        return
    content = pack(net)

    def tasks() -> Iterator[OneByOne]:
        for state in range(count):
            if base(state):
                here = [m.pick(np.array([state])) for m in moving]
                for first in range(0, len(chosen), _TOGETHER):
                    yield OneByOne(content, here, state, first, chosen[first : first + _TOGETHER])

    for block in spread(executor, tasks(), remarks):
        yield from told(bases)
        yield from block
    yield from told(bases)
