"""The command line's doors to the verbs about several sites: pairs, a batch sized together, random deployments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from gridedge.errors import bad

Feeder = Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, or a net file.")]
Buses = Annotated[list[str], typer.Option("--bus", "-b", help="Index or name of a bus; give it again for more.")]
SomeBuses = Annotated[
    list[str] | None, typer.Option("--bus", "-b", help="Where sites may be; give it again. All without.")
]
Limits = Annotated[
    list[str] | None,
    typer.Option("--limits", "-l", help="A limit set's name or a YAML file; several hold together."),
]
PowerFactor = Annotated[float, typer.Option(help="Of the sites: lagging, or leading where negative.")]
Existing = Annotated[str, typer.Option(help="Where the net breaks a limit already: absolute (0 MW) or no_worse.")]
Supply = Annotated[str, typer.Option(help="Who delivers: auto, slack or headroom.")]
Coincidence = Annotated[float, typer.Option(help="What the others draw of their own while one site is at its peak.")]
MaxMw = Annotated[float | None, typer.Option(help="Highest size of interest of a site, in MW.")]
TolMw = Annotated[float, typer.Option(help="How near to the break, in MW.")]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write the table to this .csv file.")]


def hosting_pairs(
    feeder: Feeder,
    bus: Buses,
    given_mw: Annotated[
        str | None,
        typer.Option(help="What stands at the first bus: MW, or 'single' for what it takes alone. Both grow without."),
    ] = None,
    limits: Limits = None,
    power_factor: PowerFactor = 0.98,
    existing: Existing = "absolute",
    supply: Supply = "auto",
    coincidence: Coincidence = 1.0,
    max_mw: MaxMw = None,
    tol_mw: TolMw = 0.01,
    out: Out = None,
) -> None:
    """Find how much two sites may draw when both are there, for every pair of buses."""
    from gridedge.planning.hosting.pairs import hosting_pairs as verb

    _refuse(out)
    found = verb(
        feeder, _buses(bus) or [], given_mw=_given(given_mw),
        **_common(limits, power_factor, existing, supply, coincidence, max_mw, tol_mw),
    )  # fmt: skip
    typer.echo(f"{found.data.attrs['entry']}:")
    typer.echo(_shown(found.matrix()))
    typer.echo("\nWhat stops them:")
    typer.echo(_shown(found.table()[["capacity_mw", "limit", "element"]]))
    _end(found, found.table(), out)


def hosting_together(
    feeder: Feeder,
    bus: Buses,
    weight: Annotated[
        list[float] | None, typer.Option(help="What the sites ask for, relative to each other; once per --bus.")
    ] = None,
    limits: Limits = None,
    power_factor: PowerFactor = 0.98,
    existing: Existing = "absolute",
    supply: Supply = "auto",
    coincidence: Coincidence = 1.0,
    max_mw: MaxMw = None,
    tol_mw: TolMw = 0.01,
    out: Out = None,
) -> None:
    """Size a batch of sites together: in proportion, fairly, and for the largest total."""
    from gridedge.planning.hosting.together import hosting_together as verb

    _refuse(out)
    found = verb(
        feeder, _buses(bus) or [], weights=weight or None,
        **_common(limits, power_factor, existing, supply, coincidence, max_mw, tol_mw),
    )  # fmt: skip
    typer.echo(_shown(found.table()))
    typer.echo("")
    typer.echo(_shown(found.plans()))
    typer.echo(f"The largest total is the {found.data.attrs['optimality']}.")
    _end(found, found.table(), out)


def hosting_deployments(
    feeder: Feeder,
    sites: Annotated[int, typer.Option("--sites", "-k", min=1, help="Sites of a deployment.")],
    draws: Annotated[int, typer.Option(min=1, help="Deployments that are drawn.")] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Of the random numbers.")] = 0,
    bus: SomeBuses = None,
    size: Annotated[
        list[float] | None, typer.Option(help="A size to draw from, relative to the others; all equal without.")
    ] = None,
    limits: Limits = None,
    power_factor: PowerFactor = 0.98,
    existing: Existing = "absolute",
    supply: Supply = "auto",
    coincidence: Coincidence = 1.0,
    max_mw: MaxMw = None,
    tol_mw: TolMw = 0.01,
    out: Out = None,
) -> None:
    """Draw sets of sites at random buses, and tell how much they may draw together."""
    from gridedge.planning.hosting.deployments import hosting_deployments as verb

    _refuse(out)
    found = verb(
        feeder, sites, draws=draws, seed=seed, buses=_buses(bus), sizes=size or "equal",
        **_common(limits, power_factor, existing, supply, coincidence, max_mw, tol_mw),
    )  # fmt: skip
    typer.echo(f"Total of {sites} sites at the first break, {draws} deployments:")
    typer.echo(_shown(found.percentiles()))
    typer.echo("\nWhat stops them:")
    typer.echo(_shown(found.binding()))
    _end(found, found.data.drop_dims("site").to_dataframe(), out)


def _buses(bus: list[str] | None) -> list[int | str] | None:
    return [int(b) if b.lstrip("-").isdigit() else b for b in bus] if bus else None


def _given(text: str | None) -> Any:
    if text is None or text == "single":
        return text
    try:
        return float(text)
    except ValueError:
        raise bad("--given-mw is no size", text, "Give megawatts, or 'single'.") from None


def _common(
    limits: list[str] | None, power_factor: float, existing: str, supply: str, coincidence: float,
    max_mw: float | None, tol_mw: float,
) -> dict[str, Any]:  # fmt: skip
    """Return what all three verbs take."""
    return {
        **({"limits": tuple(limits)} if limits else {}), "power_factor": power_factor, "existing": existing,
        "supply": supply, "coincidence": coincidence, "max_mw": max_mw, "tol_mw": tol_mw,
    }  # fmt: skip


def _refuse(out: Path | None) -> None:
    """Refuse a place that cannot be written to before the search, not behind it."""
    if out is not None and (out.suffix.lower() != ".csv" or out.is_dir() or not out.absolute().parent.is_dir()):
        raise bad("the table cannot be written there", str(out), "Name a .csv file in a folder that exists.")


def _shown(table: Any) -> str:
    return str(table.to_string(float_format=lambda x: f"{x:.2f}", na_rep="-"))


def _end(found: Any, table: Any, out: Path | None) -> None:
    """Print who delivers and what a reader must know; write the table."""
    attrs = found.data.attrs
    typer.echo(
        f"Delivered by: {attrs['supply']}. Thermal limits: {attrs['thermal']}. "
        f"Power factor {attrs['power_factor']:g}, to {attrs['tol_mw']:g} MW."
    )
    for sentence in found.remarks:
        typer.echo(f"* {sentence}")
    if out is not None:
        table.to_csv(out, float_format="%.10g")
        typer.echo(f"Wrote {out}")
