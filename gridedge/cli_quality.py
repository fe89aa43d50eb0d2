"""The command line's door to the quality of the voltage: ``harmonics``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from gridedge.measure.finding import Finding


def harmonics(
    feeder: Annotated[str, typer.Argument(help="A feeder's name, simbench:CODE, or a net file.")],
    bus: Annotated[str, typer.Option("--bus", "-b", help="Index or name of the bus where the site connects.")],
    mw: Annotated[float, typer.Option(help="Highest demand of the site in MW.")],
    spectrum: Annotated[
        str,
        typer.Option(help="active-front-end, six-pulse, twelve-pulse, opendss-defaultload, or one's own: 5=20,7=14."),
    ] = "active-front-end",
    share: Annotated[float, typer.Option(help="Share of its current that has this spectrum.")] = 1.0,
    power_factor: Annotated[float, typer.Option(help="Of the site.")] = 0.98,
    standard: Annotated[str, typer.Option(help="ieee519-2022 or ieee519-2014.")] = "ieee519-2022",
    s_sc_mva: Annotated[
        float | None, typer.Option(help="Short-circuit power of the external grids in MVA; else the net's, or assumed.")
    ] = None,
    loads: Annotated[
        list[str] | None,
        typer.Option(help="Model of the other loads: none, parallel or cigre; all of them if left out."),
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the impedance to this .csv file.")] = None,
) -> None:
    """Screen the harmonics of a site: its currents, resonances of the grid, and the voltages that follow."""
    from gridedge.errors import bad
    from gridedge.planning.harmonics import harmonic_screen

    if out is not None and (out.suffix.lower() != ".csv" or not out.absolute().parent.is_dir()):
        raise bad("the impedance cannot be written there", str(out), "Name a .csv file in a folder that exists.")
    given: dict[str, Any] = {"loads": tuple(loads)} if loads else {}
    found = harmonic_screen(
        feeder,
        int(bus) if bus.lstrip("-").isdigit() else bus,
        mw,
        spectrum=_own(spectrum) if "=" in spectrum else spectrum,
        share=share,
        power_factor=power_factor,
        standard=standard,
        s_sc_mva=s_sc_mva,
        **given,
    )
    attrs = found.data.attrs
    typer.echo(
        f"bus {attrs['bus']} ({attrs['bus_name']}), {attrs['vn_kv']:g} kV: Isc {attrs['isc_ka']:.3g} kA "
        f"({attrs['s_sc_mva']:.4g} MVA), IL {attrs['il_ka']:.3g} kA, Isc/IL {attrs['isc_over_il']:.3g}"
    )
    for finding in found.findings:
        _tell(finding)
    typer.echo("\nResonances")
    if found.resonances:
        typer.echo(found.table().to_string(index=False, float_format=lambda x: f"{x:.3g}"))
    else:
        typer.echo("none")
    typer.echo("")
    for sentence in found.remarks:
        typer.echo(f"* {sentence}")
    for sentence in attrs["not_studied"]:
        typer.echo(f"* Not studied: {sentence}.")
    if out is not None:
        table = found.data[["z_ohm", "z_degree"]].to_dataframe()
        table.to_csv(out, float_format="%.10g")
        typer.echo(f"Wrote {out}")


def _own(text: str) -> dict[int, float]:
    """Read a spectrum such as 5=20,7=14."""
    from gridedge.errors import bad

    try:
        pairs = [part.split("=") for part in text.split(",")]
        spectrum = {int(order): float(percent) for order, percent in pairs}
    except ValueError:
        raise bad("a spectrum cannot be read", text, "Write order=per cent, with commas: 5=20,7=14.") from None
    if len(spectrum) < len(pairs):
        raise bad("an order stands twice in the spectrum", text, "Give each order once.")
    return spectrum


def _tell(finding: Finding) -> None:
    words = [finding.where]
    if finding.measured is not None and finding.limit is not None:
        words.insert(0, f"{finding.measured:.3g} {finding.unit}, limit {finding.limit:.3g}")
    typer.echo(f"{finding.verdict:<14}  {finding.name}: {', '.join(words)}")
    if finding.note:
        typer.echo(f"{'':<14}  {finding.note}")
