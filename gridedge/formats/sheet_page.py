"""The load request sheet on paper: rows of a table, as CSV, JSON, Markdown or one plain HTML page."""

from __future__ import annotations

import csv
import html
import io
import json
from dataclasses import dataclass
from pathlib import Path

from gridedge.errors import bad
from gridedge.formats.files import together
from gridedge.formats.sheet import RequestSheet

_NOT_STATED = "not stated"


@dataclass(frozen=True)
class Row:
    """One line of the sheet: what is asked, the answer, its unit, and what it stands on."""

    asked: str
    value: str
    unit: str
    basis: str


def write_sheet(sheet: RequestSheet, path: Path) -> Path:
    """Write a sheet in the format that the suffix says."""
    writers = {".csv": _csv, ".json": _json, ".md": _markdown, ".html": _html}
    if path.suffix.lower() not in writers:
        raise bad("the sheet's suffix says no format", path.name, f"Use one of {', '.join(writers)}.")
    text = writers[path.suffix.lower()](sheet)
    with together(path) as (place,):
        place.write_text(text, encoding="utf-8", newline="\n")
    return path


def table(sheet: RequestSheet) -> list[Row]:
    """Return the sheet's lines in the order in which a utility asks."""
    of_all = f", all {sheet.members} members" if sheet.members > 1 else ""
    samples = f"samples of {sheet.dt_s:g} s{of_all}"
    demand = f"highest mean over any {sheet.demand_s:g} s{of_all}"
    found = [Row(f"In service at the end of {year}", f"{mw:.4g}", "MW", "stated") for year, mw in sheet.energisation_mw]
    return [
        *found,
        _row("Contracted power", sheet.contracted_mw, "MW", "stated"),
        _row("Expected highest demand", sheet.expected_mw, "MW", demand),
        _row("Highest power", sheet.highest_mw, "MW", f"highest of {samples}"),
        _row("Smallest power", sheet.smallest_mw, "MW", f"smallest of {samples}"),
        _row("Mean power", sheet.mean_mw, "MW", f"mean of {sheet.duration_s:g} s{of_all}"),
        _row("Load factor", sheet.load_factor_pu, "pu", "mean over expected highest demand"),
        Row(
            "Power factor",
            f"{abs(sheet.power_factor):.4g} {'leading' if sheet.power_factor < 0 else 'lagging'}",
            "",
            "at the highest power",
        ),
        _row("Largest change in 1 s", sheet.change_1s_mw, "MW", f"max - min in any 1 s, {samples}"),
        _row("Largest change in 5 s", sheet.change_5s_mw, "MW", f"max - min in any 5 s, {samples}"),
        _row("Largest ramp", sheet.ramp_mw_per_min, "MW/min", f"|P(t + 60 s) - P(t)|, {samples}"),
        _row(
            "Motor load",
            _percent(sheet.motor_share_pu),
            "% of mean",
            "pumps, fans and compressors, from the shares of cooling",
        ),
        _row("Electronic load", _percent(sheet.electronic_share_pu), "% of mean", "the rest: behind a rectifier"),
        _row("Voltage level", sheet.voltage_kv, "kV", "stated"),
        Row("Phases", str(sheet.phases), "", "stated"),
    ]


def _row(asked: str, value: float | None, unit: str, basis: str) -> Row:
    return Row(asked, _NOT_STATED, "", "") if value is None else Row(asked, f"{value:.4g}", unit, basis)


def _percent(share_pu: float | None) -> float | None:
    return None if share_pu is None else share_pu * 100.0


def _csv(sheet: RequestSheet) -> str:
    stream = io.StringIO()
    stream.write("".join(f"# {key}: {value}\n" for key, value in _head(sheet)))
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["asked", "value", "unit", "basis"])
    writer.writerows([row.asked, row.value, row.unit, row.basis] for row in table(sheet))
    stream.write("".join(f"# note: {note}\n" for note in sheet.notes))
    return stream.getvalue()


def _json(sheet: RequestSheet) -> str:
    return json.dumps(sheet.to_dict(), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _markdown(sheet: RequestSheet) -> str:
    lines = [f"# Load request: {sheet.site}", "", f"{sheet.model}; power: {sheet.power}.", ""]
    lines += ["| asked | answer | unit | stands on |", "|---|---|---|---|"]
    for row in table(sheet):
        lines.append(
            "| " + " | ".join(t.replace("|", "\\|") for t in (row.asked, row.value, row.unit, row.basis)) + " |"
        )
    lines += ["", "## To know", "", *(f"- {note}" for note in sheet.notes)]
    lines += ["", "## Made by", "", *(f"- {key}: {value}" for key, value in _head(sheet))]
    return "\n".join(lines) + "\n"


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Load request: {site}</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 56rem; margin: 2rem auto; padding: 0 1rem; color: #1a1a1a }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #ccc; vertical-align: top }}
td.n {{ text-align: right; font-variant-numeric: tabular-nums }}
dt {{ font-weight: 600 }} dd {{ margin: 0 0 .3rem 1rem; overflow-wrap: anywhere }}
</style></head><body>
<h1>Load request: {site}</h1>
<p>{model}; power: {power}.</p>
<table><thead><tr><th>Asked</th><th>Answer</th><th>Unit</th><th>Stands on</th></tr></thead><tbody>
{rows}
</tbody></table>
<h2>To know</h2>
<ul>
{notes}
</ul>
<h2>Made by</h2>
<dl>
{head}
</dl>
</body></html>
"""


def _html(sheet: RequestSheet) -> str:
    say = html.escape
    rows = "\n".join(
        f'<tr><td>{say(row.asked)}</td><td class="n">{say(row.value)}</td><td>{say(row.unit)}</td>'
        f"<td>{say(row.basis)}</td></tr>"
        for row in table(sheet)
    )
    notes = "\n".join(f"<li>{say(note)}</li>" for note in sheet.notes)
    head = "\n".join(f"<dt>{say(key)}</dt><dd>{say(value)}</dd>" for key, value in _head(sheet))
    said = {"site": say(sheet.site), "model": say(sheet.model), "power": say(sheet.power)}
    return _PAGE.format(rows=rows, notes=notes, head=head, **said)


def _head(sheet: RequestSheet) -> list[tuple[str, str]]:
    return [("site", sheet.site), *sheet.origin.items()]
