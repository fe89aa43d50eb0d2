"""How large rapid voltage changes may be, by how often they come: data, and the findings that follow."""

from __future__ import annotations

import functools

import numpy as np
from pydantic import Field, model_validator

from gridedge import yamlfile
from gridedge.errors import bad, nearest
from gridedge.measure.finding import Finding, Verdict
from gridedge.measure.flicker_limits import LEVELS, Published
from gridedge.measure.rapid import DAY_S, HOUR_S, RapidChanges
from gridedge.spec import Spec, build

_USUAL_PERCENT = 3.0
_BELOW = 0.95


class RapidRow(Spec):
    """The largest change that may come so often."""

    most_per_hour: float | None = Field(None, gt=0)
    """Changes in any hour up to which the row holds. [1/h]"""
    most_per_day: float | None = Field(None, gt=0)
    """Changes in any day up to which the row holds. [1/d]"""
    apart_s: float | None = Field(None, gt=0)
    """Least time between two changes at which the row holds. [s]"""
    limit_percent: float = Field(gt=0)
    """Largest change. [% of nominal]"""
    up_to_percent: float | None = Field(None, gt=0)
    """Upper end, where the document gives a range; between the two nothing can be told. [% of nominal]"""

    @model_validator(mode="after")
    def _fits(self) -> RapidRow:
        if self.up_to_percent is not None and self.up_to_percent <= self.limit_percent:
            shown = f"{self.limit_percent:g} to {self.up_to_percent:g} %"
            raise bad("up_to_percent must lie above limit_percent", shown, "Give the larger figure there.")
        return self

    @property
    def highest_percent(self) -> float:
        """Change above which it fails for certain, in per cent."""
        return self.limit_percent if self.up_to_percent is None else self.up_to_percent


class RapidLimit(Published):
    """Limits on rapid voltage changes, from few to many."""

    rows: tuple[RapidRow, ...] = Field(min_length=1)
    """The first row whose number holds is the one that applies."""


class _Limits(Spec):
    limits: tuple[RapidLimit, ...]


@functools.lru_cache(maxsize=1)
def rapid_limits() -> dict[str, RapidLimit]:
    """Return the shipped limits by name."""
    return {x.name: x for x in build(_Limits, yamlfile.read(LEVELS / "rapid_changes.yaml")).limits}


def threshold_percent(limit: str | RapidLimit) -> float:
    """Return the threshold at which changes are to be looked for, so that none beyond a limit goes unseen.

    It is 95 % of the strictest row, at most the usual 3 %: what joins the steady second moves its mean by up to 1.5 %
    of a step, so a threshold at the limit itself would miss steps just beyond it. [% of nominal]
    """
    return min(_USUAL_PERCENT, *(_BELOW * row.limit_percent for row in _limit(limit).rows))


def judge_rapid(changes: RapidChanges, limit: str | RapidLimit, *, where: str = "") -> Finding:
    """Hold the rapid voltage changes of a series against a limit by their number.

    Parameters
    ----------
    changes : RapidChanges
        What :func:`gridedge.measure.rapid.rapid_changes` found.
    limit : str or RapidLimit
        Name of a shipped limit, or one of your own.
    where : str
        Bus or series, for the reader.

    Returns
    -------
    Finding
        ``measured`` is the largest change.  In a series shorter than the hour or day of a row, more may come than are
        seen: it passes where the change is small enough for every row that may apply, fails where it is too large for
        all of them, and reads "cannot tell" else; so it does where the series is not steady at its beginning or end.
        Changes that come more often than any row allows for are "not applicable": they are judged as flicker.

    Raises
    ------
    InputError
        If there is no such limit.
    """
    limit = _limit(limit)
    rows = _rows(changes, limit)
    notes = [*changes.notes, *([limit.remark] if limit.remark else [])]
    measured = changes.du_max_percent
    if not rows:
        why = "the changes come more often than any row of the document allows for: judge them as flicker"
        return _finding(limit, changes, "not applicable", measured, None, "", where, [why, *notes])
    strictest = min(row.limit_percent for row in rows)
    highest = max(row.highest_percent for row in rows)
    verdict: Verdict = "cannot tell"
    if changes.threshold_percent > strictest * (1 + 1e-9):
        notes.insert(0, f"changes below {changes.threshold_percent:g} % are not seen: use threshold_percent")
        if measured is not None and measured > highest:
            verdict = "fail"
    elif measured is None or measured <= strictest:
        verdict = "pass"
    elif measured > highest:
        verdict = "fail"
    unknown = changes.unsteady_start_s > 0 or any(not e.complete for e in changes.events)
    if unknown and verdict == "pass":
        verdict = "cannot tell"
    words = f"at most {strictest:g} %"
    if highest > strictest:
        words += f", or up to {highest:g} % " + ("where they are rare" if len(rows) > 1 else "as the document's range")
    return _finding(limit, changes, verdict, measured, strictest, words, where, notes)


def _limit(limit: str | RapidLimit) -> RapidLimit:
    if isinstance(limit, RapidLimit):
        return limit
    if limit not in rapid_limits():
        raise bad("unknown limit on rapid voltage changes", limit, nearest(limit, rapid_limits()))
    return rapid_limits()[limit]


def _rows(changes: RapidChanges, limit: RapidLimit) -> list[RapidRow]:
    """Return the rows that may apply: up to the first that does, however many changes a longer series had."""
    starts = [e.start_s for e in changes.events if e.kind == "rapid change"]
    nearest_s = float(np.diff(starts).min()) if len(starts) > 1 else float("inf")
    long_enough = (changes.duration_s >= HOUR_S * (1 - 1e-9), changes.duration_s >= DAY_S * (1 - 1e-9))
    rows = []
    for row in limit.rows:
        numbers = (
            (row.most_per_hour, changes.most_in_hour, long_enough[0]),
            (row.most_per_day, changes.most_in_day, long_enough[1]),
        )
        if any(most is not None and seen > most for most, seen, _ in numbers):
            continue
        if row.apart_s is not None and nearest_s < row.apart_s:
            continue
        rows.append(row)
        if all(most is None or enough for most, _, enough in numbers):
            break
    return rows


def _finding(
    limit: RapidLimit,
    changes: RapidChanges,
    verdict: Verdict,
    measured: float | None,
    most: float | None,
    words: str,
    where: str,
    notes: list[str],
) -> Finding:
    if measured is None:
        notes = [f"no change beyond {changes.threshold_percent:g} %", *notes]
    worst = max((e for e in changes.events if e.kind == "rapid change"), key=lambda e: e.du_max_percent, default=None)
    figures = [("changes_in_series", float(changes.count)), ("most_in_hour", float(changes.most_in_hour))]
    figures.append(("most_in_day", float(changes.most_in_day)))
    if changes.du_ss_percent is not None:
        figures.append(("du_ss_percent", changes.du_ss_percent))
    return Finding(
        f"rapid voltage changes, {limit.name}",
        words or "by the number of changes",
        verdict,
        measured,
        most,
        "%",
        when_s=None if worst is None else worst.start_s,
        where=where,
        note="; ".join(notes),
        authority=limit.authority,
        status=limit.kind,
        source=limit.origin,
        known=limit.known,
        figures=tuple(figures),
    )
