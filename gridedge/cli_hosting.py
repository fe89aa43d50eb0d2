"""The command line's door to the verb ``hosting_capacity``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

_COLUMNS = ("bus_name", "capacity_mw", "limit", "element", "next_limit", "next_element", "next_mw")


def hosting(
    feeder: Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, or a net file.")],
    bus: Annotated[
        list[str] | None,
        typer.Option("--bus", "-b", help="Index or name of a bus; give it again for more. All without."),
    ] = None,
    limits: Annotated[
        list[str] | None,
        typer.Option("--limits", "-l", help="A limit set's name or a YAML file; several hold together."),
    ] = None,
    power_factor: Annotated[float, typer.Option(help="Of the site: lagging, or leading where negative.")] = 0.98,
    existing: Annotated[
        str, typer.Option(help="Where the net breaks a limit already: absolute (0 MW) or no_worse.")
    ] = "absolute",
    supply: Annotated[str, typer.Option(help="Who delivers: auto, slack or headroom.")] = "auto",
    max_mw: Annotated[float | None, typer.Option(help="Highest size of interest in MW.")] = None,
    tol_mw: Annotated[float, typer.Option(help="How near to the break, in MW.")] = 0.01,
    n_1: Annotated[bool, typer.Option("--n-1", help="The limits hold after every single outage too.")] = False,
    outages: Annotated[
        str | None,
        typer.Option("--outages", help="Outages to look at: a .yaml or .csv file, or substation."),
    ] = None,
    emergency_percent: Annotated[
        float | None, typer.Option(help="Highest loading after an outage, of the normal rating.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write every bus to this .csv file.")] = None,
) -> None:
    """Find how much load each bus of a feeder can take as the net stands, and what stops it."""
    from gridedge.errors import bad
    from gridedge.planning.hosting.capacity import hosting_capacity

    given: dict[str, Any] = {"limits": tuple(limits)} if limits else {}
    if n_1 and outages is not None:
        raise bad("--n-1 and --outages are both given", outages, "Give one of them.")
    given["n_minus_1"] = n_1 if outages is None else outages
    found = hosting_capacity(
        feeder,
        buses=None if not bus else [int(b) if b.lstrip("-").isdigit() else b for b in bus],
        power_factor=power_factor,
        existing=existing,  # type: ignore[arg-type]  # the verb says what it knows
        supply=supply,  # type: ignore[arg-type]
        max_mw=max_mw,
        tol_mw=tol_mw,
        emergency_percent=emergency_percent,
        **given,
    )
    table = found.table()
    columns = [*_COLUMNS[:4], "outage", *_COLUMNS[4:]] if given["n_minus_1"] else list(_COLUMNS)
    typer.echo(table[columns].to_string(float_format=lambda x: f"{x:.2f}", na_rep="-"))
    thermal = found.data.attrs["thermal"]
    typer.echo(f"Delivered by: {found.data.attrs['supply']}. Thermal limits: {thermal}. Power factor {power_factor:g}.")
    for sentence in found.remarks:
        typer.echo(f"* {sentence}")
    if out is not None:
        table.to_csv(out, index_label="bus", float_format="%.10g")
        typer.echo(f"Wrote {out}")
