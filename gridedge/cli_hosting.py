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
    hours: Annotated[str, typer.Option(help="Steps that are judged: all, or worst by a stated rule.")] = "all",
    want: Annotated[
        float | None, typer.Option(metavar="MW", help="Print what lets one bus (--bus) take this, with its price.")
    ] = None,
    curve: Annotated[bool, typer.Option("--curve", help="Print how near each limit is at every size.")] = False,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write every bus to this .csv file.")] = None,
) -> None:
    """Find how much load each bus of a feeder can take as the net stands, and what stops it."""
    from gridedge.planning.hosting.capacity import hosting_capacity

    given: dict[str, Any] = {"limits": tuple(limits)} if limits else {}
    given["hours"] = hours
    if want is not None:
        _remedies(feeder, bus, want, given | {"power_factor": power_factor, "existing": existing, "supply": supply})
        return
    found = hosting_capacity(
        feeder,
        buses=None if not bus else [int(b) if b.lstrip("-").isdigit() else b for b in bus],
        power_factor=power_factor,
        existing=existing,  # type: ignore[arg-type]  # the verb says what it knows
        supply=supply,  # type: ignore[arg-type]
        max_mw=max_mw,
        tol_mw=tol_mw,
        curve=curve,
        **given,
    )
    table = found.table()
    typer.echo(table[list(_COLUMNS)].to_string(float_format=lambda x: f"{x:.2f}", na_rep="-"))
    thermal = found.data.attrs["thermal"]
    typer.echo(f"Delivered by: {found.data.attrs['supply']}. Thermal limits: {thermal}. Power factor {power_factor:g}.")
    for sentence in found.remarks:
        typer.echo(f"* {sentence}")
    if curve:
        _curve(found)
    if out is not None:
        table.to_csv(out, index_label="bus", float_format="%.10g")
        typer.echo(f"Wrote {out}")


def _remedies(feeder: str, bus: list[str] | None, want_mw: float, given: dict[str, Any]) -> None:
    """Print what lets a bus take a size."""
    from gridedge.errors import bad
    from gridedge.planning.remedies.find import remedies

    if not bus or len(bus) != 1:
        raise bad("--want is about one bus", str(bus or "none"), "Name it: --bus 81 --want 8.")
    at = int(bus[0]) if bus[0].lstrip("-").isdigit() else bus[0]
    typer.echo(remedies(feeder, at, want_mw, **given).describe())


def _curve(found: Any) -> None:
    """Print the room to every kind of limit over size, bus by bus."""
    names = [str(n) for n in found.data.data_vars if str(n).startswith(("curve_mw", "room_"))]
    for bus in found.data["bus"].values:
        frame = found.data.sel(bus=bus)[names].to_dataframe()[names]
        typer.echo(f"\nBus {bus}: room to each limit, negative where it is broken")
        typer.echo(frame.to_string(index=False, float_format=lambda x: f"{x:.4f}", na_rep="-"))
