"""Which outages of a net there are: every single one, those at the external grids, or by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from gridedge.errors import InputError, Problem, bad
from gridedge.grid.engines.outages import Case, cases
from gridedge.grid.trial import Trial


def read_cases(trial: Trial, entries: Sequence[tuple[str, Sequence[str], str]]) -> list[Case]:
    """Return outages by name.

    Parameters
    ----------
    trial : Trial
        The net.
    entries : sequence of (str, sequence of str, str)
        Name (empty: the labels joined), labels that go out together, and where that is written.

    Raises
    ------
    InputError
        With every label that the net does not know or that is out of service, and every name that stands twice.
    """
    found, problems, names = [], [], dict[str, str]()
    try:
        made = cases(trial.own, [tuple(labels) for _, labels, _ in entries])
    except InputError:  # say of each entry where it stands
        made = []
        for _, labels, place in entries:
            try:
                made += cases(trial.own, [tuple(labels)])
            except InputError as error:
                problems += [replace(p, where=place) for p in error.problems]
                made.append(Case("", ()))
    for case, (name, _, place) in zip(made, entries, strict=True):
        label = name or case.label
        if label and label in names:
            known = f" It stands at {names[label]} already." if names[label] else ""
            problems.append(Problem("an outage is listed twice", label, f"Drop one of them.{known}", place))
        names[label] = place
        found.append(replace(case, label=label))
    if problems:
        raise InputError(problems)
    return found


def every_case(trial: Trial) -> list[Case]:
    """Return every line, transformer, impedance and generator in service, one at a time."""
    return cases(trial.own, "n-1")


def at_references(trial: Trial) -> list[Case]:
    """Return the transformers (and impedances) at the external grids, one at a time.

    Raises
    ------
    InputError
        If there is none.
    """
    out = trial.model.readout
    near = trial.at_slack() & (np.asarray(out.element) != "line")
    labels = [label for label, mine in zip(out.labels, near, strict=True) if mine]
    labels = [name for name in labels if bool(trial.own[name.split(":")[0]].at[int(name.split(":")[1]), "in_service"])]
    if not labels:
        cure = "Name the outages, or take n_minus_1=True."
        raise bad("no transformer stands at an external grid", 'n_minus_1="substation"', cure)
    return cases(trial.own, labels)
