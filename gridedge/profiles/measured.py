"""Measured traces: what others have recorded, read as it is and scaled to a campus.

Nothing is mended on its own account.  A gap, a jump of the clock or a negative reading
stops the reading until the study says how to treat it, and what was done stands in the
report that goes with the numbers.  A trace keeps its own step: it is never interpolated.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from gridedge.errors import InputError, Problem, bad
from gridedge.profiles.tracefile import locate, read_sheet
from gridedge.spec import Origin, Spec, quantity

_CLOCK_RTOL = 0.01  # of one step: loggers wander by milliseconds, a lost sample is a whole step
_FEWEST_ROWS = 3  # two steps: with one there is nothing to hold the clock against
_NOISE_RTOL = 1e-6  # of one step: what is left of an even clock after floating point
_PLAUSIBLE = (0.01, 1.5)  # a node's peak over its nameplate; idle is near 0.2, a wrong unit is off by 1000
_PUBLISHED = (
    "MLPerf Training power logs are published on GitHub in mlcommons/training_results_v4.0 "
    "(and _v4.1, _v5.0), folder <submitter>/results/<system>/<benchmark>/power/, Apache-2.0"
)


class MeasuredProfile(Spec):
    """IT power from a recorded trace."""

    kind: Literal["measured"] = "measured"
    title: str = ""
    trace: str | None = None
    """path of the CSV, from the study's folder or the working folder"""
    node_rated_kw: float = quantity(
        10.2, mark="quoted", source="nameplate of a DGX H100 server, arXiv 2412.08602 (2024)", gt=0
    )
    """nameplate of what one power column measures [kW]"""
    nodes: int | None = Field(default=None, ge=1)
    """number of nodes to scale the trace to; none: as measured"""
    step_s: float | None = Field(default=None, gt=0)
    """distance of the readings, only for a log without a clock (dcgmi dmon) [s]"""
    start_s: float | None = None
    """first second to use, on the trace's clock"""
    stop_s: float | None = None
    """second to stop before, on the trace's clock"""
    gaps: Literal["refuse", "drop-start", "hold"] = "refuse"
    """missing power: refuse, cut the incomplete rows at the start, or hold the last reading"""
    clock: Literal["refuse", "keep-longest"] = "refuse"
    """a clock that jumps: refuse, or keep the longest evenly spaced stretch"""
    negative: Literal["refuse", "zero"] = "refuse"
    """negative power: refuse, or take it as zero"""
    duplicates: Literal["report", "drop"] = "report"
    """identical power columns: keep and report them, or use one of each"""
    source: str = ""
    licence: str = ""
    origins: dict[str, Origin] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _window(self) -> Self:
        if self.start_s is not None and self.stop_s is not None and self.start_s >= self.stop_s:
            value = f"start_s {self.start_s:g}, stop_s {self.stop_s:g}"
            raise bad("the cut of the trace is empty", value, "Let start_s lie before stop_s.")
        return self


@dataclass(frozen=True)
class Trace:
    """A measured trace that can be vouched for.

    Parameters
    ----------
    time_s : ndarray, shape (n,)
        The trace's own clock, evenly spaced. [s]
    p_node_kw : ndarray, shape (n, nodes)
        Power of every node that is used, consumption positive; a sample is taken as the
        mean over ``[t, t + dt_s)``. [kW]
    node_names : tuple of str
        Column of each node that is used.
    dt_s : float
        Step, the median of the file's. [s]
    report : tuple of str
        Everything that was found and done, in sentences.
    source : str
        The file.
    nodes_in_file : int
        Power columns of the file; more than ``node_names`` where duplicates were dropped.
    of : {"node", "accelerator"}
        What a column measures.
    average_s : float
        What the recorder averages a reading over; 0 if it is not known to. [s]
    """

    time_s: NDArray[np.float64]
    p_node_kw: NDArray[np.float64]
    node_names: tuple[str, ...]
    dt_s: float
    report: tuple[str, ...]
    source: str
    nodes_in_file: int
    of: Literal["node", "accelerator"] = "node"
    average_s: float = 0.0

    def p_mw(self, nodes: int | None = None) -> NDArray[np.float64]:
        """Return the power of ``nodes`` nodes.

        Parameters
        ----------
        nodes : int, optional
            Number of nodes; the file's own number if None.

        Returns
        -------
        ndarray, shape (n,)
            Sum of the used nodes times ``nodes`` over their number. [MW]

        Raises
        ------
        InputError
            If ``nodes`` is less than 1.

        Notes
        -----
        The nodes that were not measured are coherent copies of those that were: swing grows
        with the number of nodes, and nothing averages out.
        """
        wanted = self.nodes_in_file if nodes is None else nodes
        if wanted < 1:
            raise bad("nodes must be at least 1", nodes, "Set load.nodes to the number of nodes of the campus.")
        total_kw: NDArray[np.float64] = self.p_node_kw.sum(axis=1)
        return total_kw * (wanted / len(self.node_names)) / 1e3


def measured_power_mw(
    profile: MeasuredProfile, *, base: Path | None = None
) -> tuple[NDArray[np.float64], float, tuple[str, ...]]:
    """Return the power of a measured trace, scaled to the profile's number of nodes.

    Parameters
    ----------
    profile : MeasuredProfile
        Which trace, how many nodes, and how to treat what is wrong with it.
    base : Path, optional
        Folder that a relative path is looked up in first.

    Returns
    -------
    p_mw : ndarray, shape (n,)
        Node power, consumption positive. [MW]
    dt_s : float
        The trace's own step. [s]
    report : tuple of str
        What was found and done, scaling included.

    Raises
    ------
    InputError
        As :func:`read_trace`.
    """
    trace = read_trace(profile, base=base)
    wanted, used = profile.nodes or trace.nodes_in_file, len(trace.node_names)
    report = trace.report
    if wanted > used:
        report += (
            f"Scaled from {used} to {wanted} nodes (times {wanted / used:.6g}): the added nodes are coherent copies, "
            "so the swing grows in proportion. Nodes of independent jobs would swing less.",
        )
    elif wanted < used:
        report += (
            f"Scaled from {used} to {wanted} nodes (times {wanted / used:.6g}): the swing keeps the share of the mean "
            f"that {used} nodes have together. So few nodes would average out less: take it as a lower bound.",
        )
    return trace.p_mw(profile.nodes), trace.dt_s, report


def read_trace(profile: MeasuredProfile, *, base: Path | None = None) -> Trace:
    """Read a measured trace, and refuse what cannot be vouched for.

    Parameters
    ----------
    profile : MeasuredProfile
        Which trace, and how to treat what is wrong with it.
    base : Path, optional
        Folder that a relative path is looked up in first, the study's; then the working folder.

    Returns
    -------
    Trace
        At the file's own step, with a report of everything found and done.

    Raises
    ------
    InputError
        If no trace is named, there is no such file, or it holds what the profile does not
        say how to treat; all problems of the file together, with their lines.

    Notes
    -----
    The order is: cut (``start_s``, ``stop_s``), clock, gaps, negative readings, duplicates.
    A treatment sees only what the ones before it have left.  Duplicates alone are looked for
    in the whole file, as recorded.
    """
    if profile.trace is None:
        cure = (
            f"Name a CSV file with --set load.trace=FILE. {_PUBLISHED}: one log per node; "
            "put them side by side as columns time_s, node_0, node_1, ... in W."
        )
        raise bad("no measured trace is named", "", cure)
    path = locate(profile.trace, base)
    sheet = read_sheet(path, step_s=profile.step_s)
    reading = _Reading(
        profile, path.name, sheet.names, sheet.time_s, sheet.p_kw, sheet.line, list(sheet.problems), list(sheet.notes)
    )
    reading.cut()
    if reading.time_s.size >= _FEWEST_ROWS:
        reading.settle_clock()
        if reading.names:
            reading.settle_gaps()
            reading.settle_negative()
            reading.check_peak()
    if reading.time_s.size < _FEWEST_ROWS:
        cure = f"A trace needs at least {_FEWEST_ROWS}. Use a longer one, or cut less (load.start_s, load.stop_s)."
        reading.problems.append(
            Problem("too few rows are left of the trace", str(reading.time_s.size), cure, path.name)
        )
    if reading.problems:
        raise InputError(reading.problems)

    dt_s = float(np.median(np.diff(reading.time_s)))
    used, repeated = _distinct(sheet.p_kw, sheet.names, drop=profile.duplicates == "drop")
    size = f"rows: {sheet.time_s.size}, power columns: {len(sheet.names)}"
    report = (
        f"{path.name}: {size}, SHA-256 {sheet.sha256}.",
        _step_note(reading.time_s, dt_s),
        *reading.notes,
        *repeated,
    )
    names = tuple(sheet.names[k] for k in used)
    return Trace(
        reading.time_s,
        reading.p_kw[:, used],
        names,
        dt_s,
        report,
        str(path),
        len(sheet.names),
        sheet.of,
        sheet.average_s,
    )


@dataclass
class _Reading:
    """A trace on its way from what the file says to what can be vouched for."""

    profile: MeasuredProfile
    file: str
    names: tuple[str, ...]
    time_s: NDArray[np.float64]
    p_kw: NDArray[np.float64]
    line: NDArray[np.int64]
    problems: list[Problem]
    notes: list[str]

    def _take(self, rows: slice | NDArray[np.bool_]) -> None:
        self.time_s, self.p_kw, self.line = self.time_s[rows], self.p_kw[rows], self.line[rows]

    def _refuse(self, thing: str, found: str, cure: str, row: int) -> None:
        self.problems.append(Problem(thing, found, cure, f"{self.file}:{self.line[row]}"))

    def cut(self) -> None:
        """Keep the part that the profile asks for."""
        start_s, stop_s = self.profile.start_s, self.profile.stop_s
        keep = np.ones(self.time_s.size, dtype=bool)
        if start_s is not None:
            keep &= self.time_s >= start_s
        if stop_s is not None:
            keep &= self.time_s < stop_s  # the sample at stop_s covers what comes after it
        if not keep.all():
            span = f"{_s(self.time_s.min())} to {_s(self.time_s.max())}"
            self.notes.append(
                f"Kept {int(keep.sum())} of {keep.size} rows, of {span}, by load.start_s and load.stop_s."
            )
            self._take(keep)

    def settle_clock(self) -> None:
        """Refuse an uneven clock, or keep the longest stretch in which it is even."""
        steps = np.diff(self.time_s)
        dt_s = float(np.median(steps))
        if dt_s <= 0:
            self._refuse("the clock does not advance", f"median step {_s(dt_s)}", "Sort the rows by time.", 0)
            return
        noise_s = 8 * np.spacing(np.abs(self.time_s).max())  # a clock that counts from 1970 has few digits left
        jump = np.abs(steps - dt_s) > _CLOCK_RTOL * dt_s + noise_s
        if not jump.any():
            return
        first, worst = int(np.argmax(jump)), int(np.argmax(np.abs(steps - dt_s)))
        found = (
            f"{int(jump.sum())} of {steps.size} steps differ from {_s(dt_s)} by more than {_CLOCK_RTOL:.0%}; first "
            f"{_s(self.time_s[first])} is followed by {_s(self.time_s[first + 1])}; the oddest is {_s(steps[worst])}"
        )
        if self.profile.clock == "refuse":
            cure = "Repair the file, or keep its longest even stretch with --set load.clock=keep-longest."
            self._refuse("the clock jumps", found, cure, first + 1)
            return
        starts = np.concatenate([[0], np.flatnonzero(jump) + 1])
        stops = np.append(starts[1:], self.time_s.size)
        k = int(np.argmax(stops - starts))
        before = self.time_s.size
        self._take(slice(int(starts[k]), int(stops[k])))
        kept = f"{self.time_s.size} of {before} rows, {_s(self.time_s[0])} to {_s(self.time_s[-1])}"
        self.notes.append(f"The clock jumps: {found}. Kept the longest even stretch: {kept}.")

    def settle_gaps(self) -> None:
        """Refuse missing power, drop the incomplete rows at the start, or hold the last reading."""
        missing = np.isnan(self.p_kw)
        if not missing.any():
            return
        incomplete: NDArray[np.bool_] = np.any(missing, axis=1)
        row = int(np.argmax(incomplete))
        lead = int(np.argmin(incomplete))  # the first complete row, unless there is none
        found = (
            f"{int(missing.sum())} of {missing.size} readings in {int(incomplete.sum())} of {incomplete.size} rows; "
            f"first {self.names[int(np.argmax(missing[row]))]} at {_s(self.time_s[row])}"
        )
        only_at_start = not incomplete[lead:].any()
        how = self.profile.gaps
        if incomplete.all():
            dead = [name for k, name in enumerate(self.names) if missing[:, k].all()]
            cure = (
                f"Take out of the file the columns without a reading: {', '.join(dead)}."
                if dead
                else ("No row holds a reading of every node: take the worst columns out of the file.")
            )
            self._refuse("power is missing in every row", found, cure, row)
        elif how == "drop-start" and only_at_start:
            self.notes.append(f"Power is missing: {found}. Dropped all before {_s(self.time_s[lead])} (rows: {lead}).")
            self._take(slice(lead, None))
        elif how == "hold" and not lead:
            rows = np.arange(len(missing))[:, None]
            last = np.maximum.accumulate(np.where(missing, 0, rows), axis=0)
            longest = int((rows - last).max())
            self.notes.append(f"Power is missing: {found}. Held the last reading, for up to {longest} rows.")
            self.p_kw = np.take_along_axis(self.p_kw, last, axis=0)
        else:
            cure = "Drop the rows at the start with --set load.gaps=drop-start."
            if not only_at_start:
                cure = "Hold the last reading with --set load.gaps=hold, or cut with load.start_s and load.stop_s."
                if lead:
                    # Before the first reading there is nothing to hold.
                    cure = f"Start later and hold: --set load.start_s={self.time_s[lead]:.12g} --set load.gaps=hold."
            self._refuse("power is missing", found, cure, row)

    def settle_negative(self) -> None:
        """Refuse negative power, or take it as zero."""
        negative = self.p_kw < 0
        if not negative.any():
            return
        row, column = (int(k) for k in np.argwhere(negative)[0])
        found = (
            f"{int(negative.sum())} of {negative.size} readings, the lowest {self.p_kw[negative].min():g} kW; "
            f"first {self.names[column]} at {_s(self.time_s[row])}"
        )
        if self.profile.negative == "refuse":
            cure = "Repair the file, or take such readings as zero with --set load.negative=zero."
            self._refuse("power is negative", found, cure, row)
        else:
            self.notes.append(f"Power is negative: {found}. Taken as zero.")
            self.p_kw = np.where(negative, 0.0, self.p_kw)

    def check_peak(self) -> None:
        """Hold the peak against the nameplate: it is the one thing that shows a wrong unit."""
        peaks_kw = np.nanmax(self.p_kw, axis=0, initial=0.0)
        k = int(np.argmax(peaks_kw))
        rated_kw = self.profile.node_rated_kw
        share = float(peaks_kw[k]) / rated_kw
        found = f"{self.names[k]} reaches {peaks_kw[k]:.4g} kW, {share:.3g} of the nameplate of {rated_kw:g} kW"
        cure = "Set load.node_rated_kw to the nameplate of what one column measures"
        if self.profile.nodes is not None and not _PLAUSIBLE[0] <= share <= _PLAUSIBLE[1]:
            # Scaling to a number of nodes would carry the mistake to the whole campus.
            thing, cure = "the peak does not fit the node it is scaled by", f"{cure}, or correct the unit in its name."
            self.problems.append(Problem(thing, found, cure, self.file))
        self.notes.append(f"Highest column: {found}." + (f" {cure}." if share > 1 else ""))


def _s(time_s: float) -> str:
    return f"{time_s:.12g} s"


def _step_note(time_s: NDArray[np.float64], dt_s: float) -> str:
    uneven = float(np.abs(np.diff(time_s) - dt_s).max()) / dt_s
    wander = f" Single steps differ from it by up to {uneven:.2%}." if uneven > _NOISE_RTOL else ""
    return (
        f"Step {_s(dt_s)}, from {_s(time_s[0])} to {_s(time_s[-1])}, nothing interpolated; a sample is taken as the "
        f"mean of its step. What happens within {_s(dt_s)}, above {0.5 / dt_s:g} Hz, is not in this trace.{wander}"
    )


def _distinct(p_kw: NDArray[np.float64], names: tuple[str, ...], *, drop: bool) -> tuple[list[int], list[str]]:
    """Return the columns to use, and what to say of those that repeat another one exactly."""
    everything = list(range(len(names)))
    first_of: dict[bytes, int] = {}
    copies = []
    for k in everything:
        first = first_of.setdefault(p_kw[:, k].tobytes(), k)
        if first != k:
            copies.append(f"{names[k]} = {names[first]}")
    if not copies:
        return everything, [f"All {len(names)} power columns are distinct."] if len(names) > 1 else []
    shown = ", ".join(copies[:8]) + (f" and {len(copies) - 8} more" if len(copies) > 8 else "")
    found = f"Only {len(first_of)} of {len(names)} power columns are distinct, the rest repeat one exactly ({shown})."
    if drop:
        used = list(first_of.values())
        return used, [f"{found} Used the {len(used)} distinct ones, scaled up to {len(names)}."]
    warning = (
        "All are kept: do not read diversity between nodes from their sum (--set load.duplicates=drop uses one each)."
    )
    return everything, [f"{found} {warning}"]
