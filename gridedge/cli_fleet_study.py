"""What the command line says of a study of a fleet."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from gridedge.study.fleet_result import FleetStudyResult


def tell(result: FleetStudyResult, took_s: float) -> None:
    """Print the answer, the table and where the report lies."""
    typer.echo(f"{result.title}\n")
    for sentence in result.answer:
        typer.echo(f"{sentence}\n")
    shown = result.table.dropna(axis="columns", how="all")
    width = max(len(str(label)) for label in shown.index) + 2
    head = max(len(_named(name)) for name in shown.columns)
    typer.echo(" " * head + "".join(f"{label!s:>{max(width, 12)}}" for label in shown.index))
    for name in shown.columns:
        cells = "".join(f"{_cell(value):>{max(width, 12)}}" for value in shown[name])
        typer.echo(f"{_named(name):<{head}}{cells}")
    if result.out is not None:
        typer.echo(f"\n{len(result.notes)} remarks, {len(result.assumptions)} assumptions: see the report.")
        typer.echo(f"Report: {result.out / 'report.html'}   ({took_s:.0f} s)")


def _named(name: str) -> str:
    from gridedge.study.fleet_table import COLUMNS

    unit, meaning = COLUMNS[name]
    return f"{meaning} [{unit}]" if unit else meaning


def _cell(value: object) -> str:
    if isinstance(value, float):
        return "-" if value != value else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{value:,}" if isinstance(value, int) else str(value)
