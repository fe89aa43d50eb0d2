"""The command line's doors to what a utility receives: ``generate`` and ``sheet``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import xarray as xr

    from gridedge.formats.write import Written
    from gridedge.sites.facility import Facility

_FORM_STEP_S = 1.0  # means over quarter hours and hours are taken from seconds

Profile = Annotated[str, typer.Argument(help="A shipped profile's name or a YAML file.")]
Seed = Annotated[int, typer.Option(help="Seed of the random numbers.")]
Members = Annotated[int | None, typer.Option(help="Realisations, side by side; one if left out.")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Put over the profile, e.g. servers=1000; may be given again."),
]
PowerFactor = Annotated[
    float | None, typer.Option(help="Power factor, negative where it leads; 0.98 (assumed) if left out.")
]


def generate(
    profile: Profile,
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File: .csv .parquet .nc .dss (OpenDSS) .cfg (COMTRADE); replaced.")
    ],
    duration: Annotated[
        float | None, typer.Option(help="Length in seconds; 600, or a year for the forms 15min and 8760.")
    ] = None,
    dt: Annotated[
        float | None, typer.Option(help="Step in seconds; 0.05, or 1 for the means of 15min and 8760.")
    ] = None,
    seed: Seed = 0,
    members: Members = None,
    settings: Settings = None,
    start: Annotated[
        str | None, typer.Option(help="When it begins, ISO 8601; 2027-01-01T00:00Z (assumed) if left out.")
    ] = None,
    tz: Annotated[str | None, typer.Option(help="Time zone of the file, e.g. America/Chicago.")] = None,
    power_factor: PowerFactor = None,
    facility: Annotated[
        str | None, typer.Option(help="Carry it to the meter: `default`, or a YAML file; IT power if left out.")
    ] = None,
    form: Annotated[str, typer.Option(help="waveform, 15min (means) or 8760 (hourly means of a year).")] = "waveform",
    maximum: Annotated[bool, typer.Option("--max", help="Also the highest within each interval.")] = False,
    format: Annotated[
        str | None, typer.Option(help="Where the suffix does not say it; also comtrade-ascii, comtrade-binary32.")
    ] = None,
) -> None:
    """Make a load profile and write it for a utility's tools."""
    from gridedge.formats.clock import beginning, year_s
    from gridedge.formats.form import INTERVAL_S
    from gridedge.formats.write import export, refuse_early

    if dt is None:
        dt = _FORM_STEP_S if form in INTERVAL_S else 0.05
    if duration is None:
        duration = float(year_s(beginning(start, tz))) if form in INTERVAL_S else 600.0
    wanted: dict[str, Any] = {"form": form, "start": start, "tz": tz, "maximum": maximum, "format": format}
    refuse_early(out, duration_s=duration, dt_s=dt, **wanted)
    spec = None if facility is None else facility_of(facility, power_factor)
    load = load_of(profile, settings, duration, dt, seed, members, begins=beginning(start, tz).isoformat(), said=start)
    if start is None and "traffic_start" in load.attrs:
        wanted["start"] = load.attrs["traffic_start"]
    if spec is not None:
        load, power_factor = _metered(load, spec), None
    _tell(export(load, out, power_factor=power_factor, **wanted))


def sheet(
    profile: Profile,
    out: Annotated[Path, typer.Option("--out", "-o", help="File: .html .md .csv or .json; replaced.")],
    energise: Annotated[
        list[str] | None,
        typer.Option(metavar="YEAR=MW", help="In service at the end of a year, e.g. 2027=25; may be given again."),
    ] = None,
    contracted_mw: Annotated[float | None, typer.Option(help="Power asked for; the last year's if left out.")] = None,
    voltage_kv: Annotated[float | None, typer.Option(help="Voltage at the point of connection.")] = None,
    phases: Annotated[int, typer.Option(help="1 or 3.")] = 3,
    site: Annotated[str, typer.Option(help="Name of the site.")] = "site",
    duration: Annotated[float, typer.Option(help="Length in seconds that it is measured on.")] = 3600.0,
    dt: Annotated[float, typer.Option(help="Step in seconds.")] = 0.05,
    seed: Seed = 0,
    members: Members = None,
    settings: Settings = None,
    power_factor: PowerFactor = None,
    facility: Annotated[str, typer.Option(help="Carries it to the meter: `default`, or a YAML file.")] = "default",
) -> None:
    """Write the load request sheet: what a utility asks for first."""
    from gridedge.formats.sheet import request_sheet
    from gridedge.formats.sheet_page import table

    spec = facility_of(facility, power_factor)
    load = _metered(load_of(profile, settings, duration, dt, seed, members), spec)
    found = request_sheet(
        load,
        energisation_mw=_years(energise),
        contracted_mw=contracted_mw,
        cooling_proportional_pu=spec.cooling_proportional_pu,
        cooling_fixed_pu=spec.cooling_fixed_pu,
        voltage_kv=voltage_kv,
        phases=phases,
        site=site,
    )
    found.write(out)
    rows = table(found)
    width = max(len(row.asked) for row in rows)
    for row in rows:
        typer.echo(f"{row.asked:<{width}}  {row.value} {row.unit}".rstrip())
    for note in found.notes:
        typer.echo(f"Note: {note}")
    typer.echo(f"Wrote {out}")


def load_of(
    profile: str,
    settings: list[str] | None,
    duration: float,
    dt: float,
    seed: int,
    members: int | None,
    *,
    begins: str | None = None,
    said: str | None = None,
) -> xr.Dataset:
    """Make a profile's IT power, with the settings put over it.

    The week of requests begins where the file does: at the profile's own ``traffic.start`` if it states one and nobody
    said another, else at ``begins``.
    """
    from gridedge import yamlfile
    from gridedge.errors import InputError
    from gridedge.profiles.generate import generate as make
    from gridedge.profiles.generate import load_profile
    from gridedge.profiles.preset import merge_preset

    document = merge_preset(yamlfile.Document({"profile": profile}), ())
    if document.problems:
        raise InputError(document.problems)
    yamlfile.override(document, settings or ())
    traffic = document.data.get("traffic")
    own = isinstance(traffic, dict) and "start" in traffic and said is None
    if begins is not None and document.data.get("kind") == "inference" and isinstance(traffic, dict) and not own:
        document.data["traffic"] = {**traffic, "start": begins}
    spec = load_profile(document.data)
    load = make(spec, duration_s=duration, dt_s=dt, seed=seed, members=members)
    for name in ("source", "licence"):
        load.attrs.setdefault(name, getattr(spec, name, ""))
    if own:
        load.attrs["traffic_start"] = moment_of(spec)
    return load


def moment_of(spec: Any) -> str:
    """Return when the requests of a profile begin, with its offset."""
    from datetime import datetime

    from gridedge.profiles.traffic.week import zone

    moment = datetime.fromisoformat(spec.traffic.start)
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone(spec.traffic.zone))).isoformat()


def facility_of(name: str, power_factor: float | None) -> Facility:
    """Return the default facility or that of a file, with another power factor where one is given."""
    from gridedge.sites.facility import Facility
    from gridedge.spec import build

    spec = Facility() if name == "default" else Facility.from_yaml(name)
    if power_factor is None:
        return spec
    return build(Facility, {**spec.model_dump(exclude_unset=True), "power_factor": power_factor})


def _metered(load: xr.Dataset, spec: Facility) -> xr.Dataset:
    """Carry IT power to the meter, and keep in words what it went through."""
    from gridedge.sites.facility import connect

    metered = connect(load, spec)
    words = [f"{a.name} {a.value} ({a.mark})" for a in spec.assumptions()]
    return metered.assign_attrs(facility=", ".join(words))


def _years(energise: list[str] | None) -> dict[int, float]:
    from gridedge.errors import bad

    found: dict[int, float] = {}
    for text in energise or []:
        year, equals, mw = text.partition("=")
        try:
            if not equals:
                raise ValueError
            key, value = int(year), float(mw)
        except ValueError:
            raise bad("a year of energisation needs YEAR=MW", text, "Write --energise 2027=25.") from None
        if key in found:
            raise bad("a year of energisation is given twice", text, "Keep one of the two.")
        found[key] = value
    return found


def _tell(written: Written) -> None:
    """Print what was written, with its units."""
    channels = f" in {written.channels} channels" if written.channels > 1 else ""
    # With --max the highest is that within the intervals; the smallest is always one of the means.
    smallest = "smallest" if written.form == "waveform" else "smallest interval"
    said: list[Any] = [
        f"{written.samples:,} samples of {written.dt_s:g} s{channels}, from {written.start}",
        f"Power ({written.power}): mean {written.p_mean_mw:.4g} MW, highest {written.p_max_mw:.4g} MW, "
        f"{smallest} {written.p_min_mw:.4g} MW",
        f"Reactive power: {written.reactive}",
        *(f"Note: {note}" for note in written.notes),
        *(f"Wrote {file} ({file.stat().st_size / 1e6:.3g} MB)" for file in written.files),
    ]
    for line in said:
        typer.echo(line)
