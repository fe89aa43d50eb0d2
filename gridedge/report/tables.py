"""The tables of the report, as plain rows of text."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, get_args

from gridedge.measure.finding import Finding, Verdict, overall
from gridedge.report.result import Assuming, StudyResult
from gridedge.report.words import CANNOT_TELL, heading, moment, number, quantity
from gridedge.spec import Assumption, Mark

_NUMBER = re.compile(r"^\d+:")


@dataclass(frozen=True)
class VerdictRow:
    """What one strategy comes to by the study's own requirements, and what other rules say beside them."""

    strategy: str
    overall: Verdict
    counts: dict[str, int]
    failed: list[str]
    open: list[str]
    beside: str


@dataclass(frozen=True)
class Cell:
    """One finding in the table of requirements."""

    verdict: Verdict
    measured: str
    place: str
    note: str


@dataclass(frozen=True)
class RequirementRow:
    """One requirement, and what each strategy makes of it, in the order of the strategies."""

    name: str
    requirement: str
    origin: str
    cells: list[list[Cell]]


@dataclass(frozen=True)
class SummaryRow:
    """One quantity, and its value for each strategy, in the order of the strategies."""

    heading: str
    unit: str
    values: list[str]


@dataclass(frozen=True)
class ComparisonRow:
    """One variant of the comparison: what was varied, its verdict, whether it is on the front, its figures as text."""

    strategy: str
    varied: list[str]
    verdict: Verdict
    missed: str
    pareto: bool
    cheapest: bool
    values: list[str]


def strategies(result: StudyResult) -> list[str]:
    """Return the labels of all strategies, in the order of the summary, then of what else names one."""
    return list(dict.fromkeys([*map(str, result.summary.index), *result.data, *result.findings]))


def best(result: StudyResult) -> str | None:
    """Return the label of the strategy with the best verdict, the last of equals."""
    rank = {"pass": 0, "not applicable": 1, "cannot tell": 2, "fail": 3}
    rows = verdict_rows(result)
    if not rows:
        return None
    return min(reversed(rows), key=lambda row: (rank[row.overall], len(row.failed), len(row.open))).strategy


def verdict_rows(result: StudyResult) -> list[VerdictRow]:
    """Return a row per strategy: its overall verdict and what it hangs on."""
    rows = []
    for label in strategies(result):
        everything = result.findings.get(label, [])
        findings = [f for f in everything if f.decides]
        seen = Counter(finding.verdict for finding in findings)
        counts = {verdict: seen[verdict] for verdict in get_args(Verdict)}
        failed = _names(findings, "fail")
        beside = Counter(f.verdict for f in everything if not f.decides)
        others = ", ".join(f"{beside[verdict]} {verdict}" for verdict in get_args(Verdict) if beside[verdict])
        rows.append(VerdictRow(label, overall(findings), counts, failed, _names(findings, "cannot tell"), others))
    return rows


def requirement_rows(result: StudyResult) -> list[RequirementRow]:
    """Return a row per requirement, in the order in which the findings first name it."""
    return _by_requirement(strategies(result), result.findings)


def equipment_rows(result: StudyResult) -> list[RequirementRow]:
    """Return a row per quantity that the equipment inside sees, in the order in which it is first named.

    A store is the same row whatever its number among the steps of a strategy.
    """
    plain = {
        label: [replace(f, name=_NUMBER.sub("", f.name)) for f in found] for label, found in result.equipment.items()
    }
    return _by_requirement(strategies(result), plain) if plain else []


def _by_requirement(labels: Sequence[str], findings: Mapping[str, Sequence[Finding]]) -> list[RequirementRow]:
    keys = dict.fromkeys((f.name, f.requirement) for label in labels for f in findings.get(label, []))
    rows = []
    for key in keys:
        found = [[f for f in findings.get(label, []) if (f.name, f.requirement) == key] for label in labels]
        some = next(finding for findings in found for finding in findings)
        origin = "; ".join(part for part in (some.authority, some.status, some.source) if part)
        rows.append(RequirementRow(*key, origin, [[_cell(finding) for finding in findings] for findings in found]))
    return rows


def summary_rows(result: StudyResult) -> list[SummaryRow]:
    """Return a row per quantity of the summary."""
    table = result.summary
    labels = strategies(result)
    rows = []
    for column in table.columns:
        title, unit = heading(str(column))
        by_label = dict(zip(map(str, table.index), table[column].tolist(), strict=True))
        rows.append(SummaryRow(title, unit, [_value(by_label.get(label), unit) for label in labels]))
    return rows


_COMPARED = (
    "wasted_percent", "wasted_mwh_per_year", "co2_t_per_year", "delayed_percent", "bought_mw", "bought_mwh", "capital",
    "life_years", "cost_per_year",
)  # fmt: skip
_SHOWN = 25  # rows of the table; the front, then the cheapest of the others


def comparison_heads(result: StudyResult) -> list[tuple[str, str]]:
    """Return heading and unit of each figure of the comparison."""
    currency = result.comparison.currency if result.comparison is not None else ""
    units = {"capital": currency, "cost_per_year": f"{currency}/a", "wasted_mwh_per_year": "MWh/a",
             "co2_t_per_year": "t/a", "life_years": "a"}  # fmt: skip
    return [(heading(name)[0], units.get(name, heading(name)[1])) for name in _COMPARED]


def comparison_rows(result: StudyResult) -> list[ComparisonRow]:
    """Return the variants worth reading: the front first, then the others by their cost, at most 25."""
    if result.comparison is None:
        return []
    table = result.comparison.table.sort_values(["pareto", "cost_per_year"], ascending=[False, True]).head(_SHOWN)
    cheapest = result.comparison.cheapest
    units = [unit for _, unit in comparison_heads(result)]
    return [
        ComparisonRow(
            str(row["strategy"]), _varied({str(k): v for k, v in row.items()}), row["verdict"], row["missed"],
            bool(row["pareto"]), label == cheapest,
            [_figure(row[name], unit) for name, unit in zip(_COMPARED, units, strict=True)],
        )
        for label, row in table.iterrows()
    ]  # fmt: skip


def _varied(values: Mapping[str, Any]) -> list[str]:
    """Return what a variant was made with: the last part of each key says enough, with its unit."""
    own = {key.rpartition(".")[2]: value for key, value in values.items() if "." in key}
    shown = {key: f"{value:g}" if isinstance(value, int | float) else str(value) for key, value in own.items()}
    return [f"{key} {words}" for key, words in shown.items() if words != "nan"]


def _figure(value: float, unit: str) -> str:
    return "\u2013" if math.isnan(value) else number(value, unit)


def assumption_rows(result: Assuming) -> list[Assumption]:
    """Return the assumptions, the least known first, in their own order within a mark."""
    order: Sequence[Mark] = ("assumed", "quoted", "measured", "chosen")
    return sorted(result.assumptions, key=lambda assumption: order.index(assumption.mark))


def marks(result: Assuming) -> list[tuple[str, int]]:
    """Return how many assumptions bear each mark."""
    seen = Counter(assumption.mark for assumption in assumption_rows(result))
    return [(mark, count) for mark, count in seen.items()]


def manifest_groups(manifest: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return the manifest in groups of dotted keys and their values as text.

    What is no group of its own comes first, under an empty name.
    """
    single = {key: value for key, value in manifest.items() if not (isinstance(value, Mapping) and value)}
    groups = [("", list(_flat(single, "")))] if single else []
    return groups + [(str(key), list(_flat(manifest[key], ""))) for key in manifest if key not in single]


def _names(findings: Iterable[Finding], verdict: Verdict) -> list[str]:
    return list(dict.fromkeys(finding.name for finding in findings if finding.verdict == verdict))


def _cell(finding: Finding) -> Cell:
    place = finding.where
    if finding.when_s is not None:
        place += f"{', ' if place else ''}at {moment(finding.when_s)}"
    measured = "" if finding.measured is None else quantity(finding.measured, finding.unit)
    # the badge says this already
    measured = "" if measured == CANNOT_TELL else measured
    return Cell(finding.verdict, measured, place, finding.note)


def _value(value: Any, unit: str) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "yes" if value else "no"
    return number(None if value is None else float(value), unit)


def _flat(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple) and any(isinstance(item, Mapping | list | tuple) for item in value):
        for k, item in enumerate(value):
            yield from _flat(item, f"{path}[{k}]")
    elif isinstance(value, list | tuple | Mapping):
        yield path, ", ".join(map(str, value)) or "none"
    else:
        yield path, str(value)
