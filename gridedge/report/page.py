"""The report: one HTML file that opens without a network."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Any

from markupsafe import Markup, escape

from gridedge.report.result import StudyResult

_HERE = Path(__file__).resolve().parent


def write_report(result: StudyResult, path: Path) -> None:
    """Write the report of a study.

    Parameters
    ----------
    result : StudyResult
        What the study found.
    path : Path
        The HTML file; its folder is made if need be.  A file that is there is replaced when the new one is complete.

    Notes
    -----
    The page holds everything it shows and asks no host for anything; its own content policy forbids it to.
    """
    write_whole(page(result), path)


def write_whole(text: str, path: Path) -> None:
    """Write a page; a file that is there is replaced when the new one is complete."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def page(result: StudyResult) -> str:
    """Return the report of a study as HTML.

    Parameters
    ----------
    result : StudyResult
        What the study found.

    Returns
    -------
    str
        The whole page; the same result gives the same text.
    """
    from gridedge.report import plots, tables
    from gridedge.report.voltage import voltage_rows

    return render(
        "page.html.jinja",
        result=result,
        strategies=tables.strategies(result),
        notes=[*result.notes, *plots.unsolved(result)],
        verdicts=tables.verdict_rows(result),
        requirements=tables.requirement_rows(result),
        equipment=tables.equipment_rows(result),
        summary=tables.summary_rows(result),
        voltage=voltage_rows(result),
        compared=tables.comparison_rows(result),
        compared_heads=tables.comparison_heads(result),
        assumptions=tables.assumption_rows(result),
        marks=tables.marks(result),
        manifest=tables.manifest_groups(result.manifest),
        plots=[(plot, Markup(plot.data)) for plot in plots.plots(result)],
    )


def render(template: str, **values: Any) -> str:
    """Return a page from its template, with the look, the script and the drawing library that all pages share."""
    import jinja2
    from plotly.offline import get_plotlyjs

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE, encoding="utf-8"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    shared = {
        "style": Markup((_HERE / "page.css").read_text(encoding="utf-8")),
        "script": Markup((_HERE / "page.js").read_text(encoding="utf-8")),
        "plotly": Markup(get_plotlyjs()),
    }
    return environment.get_template(template).render(**shared, **values)


def _breakable(name: str) -> Markup:
    """Let a long name break after a dot or an underscore."""
    return Markup(str(escape(name)).replace(".", ".<wbr>").replace("_", "_<wbr>"))
