"""The command line: thin doors into the verbs; every heavy import happens late."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridedge import (
    cli_fleet,
    cli_fleet_study,
    cli_flicker,
    cli_generate,
    cli_hosting,
    cli_hosting_several,
    cli_quality,
    cli_serve,
    cli_weigh,
)
from gridedge.errors import GridedgeError

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from gridedge.study.result import Result

app = typer.Typer(
    add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)


def _version(wanted: bool) -> None:
    if wanted:
        from gridedge import __version__

        typer.echo(f"gridedge {__version__}")
        raise typer.Exit


@app.callback(help="What AI computing does to the grid, and what the grid lets it do.")
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold the options that come before a command."""


@app.command()
def run(
    study: Annotated[str, typer.Argument(help="A shipped study's name or a YAML file.")] = "default",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="Folder for the results; gridedge-results/STUDY if left out.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Put over the study, e.g. site.bus=118; may be given again."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, max=64, help="Processes that solve power flows.")] = 1,
) -> None:
    """Run a study, of one site, of hosting capacity or of a fleet: power flows, results and a report."""
    from gridedge.study.kinds import kind_of
    from gridedge.study.run import run as run_study

    target = out if out is not None else Path("gridedge-results") / Path(study).stem
    began = time.perf_counter()
    kind = kind_of(study, settings or [])
    if kind == "hosting":
        from gridedge.errors import bad
        from gridedge.study.hosting_run import run_hosting

        if workers > 1:
            raise bad("a study of hosting capacity uses all cores by itself", f"--workers {workers}", "Leave it out.")
        found = run_hosting(study, out=target, settings=settings or [])
        cli_hosting.tell(found, time.perf_counter() - began)
        return
    if kind == "fleet":
        from gridedge.study.fleet_run import run_fleet

        with _workers(workers) as executor:
            made = run_fleet(study, out=target, settings=settings or [], executor=executor, progress=_doing())
        cli_fleet_study.tell(made, time.perf_counter() - began)
        return
    with _workers(workers) as executor:
        result = run_study(study, out=target, settings=settings or [], executor=executor, progress=_progress())
    _tell(result, time.perf_counter() - began)


app.command()(cli_generate.generate)
app.command()(cli_generate.sheet)
app.command()(cli_weigh.check)
app.command()(cli_weigh.compare)
app.command()(cli_hosting.hosting)
app.command()(cli_hosting_several.hosting_pairs)
app.command()(cli_hosting_several.hosting_together)
app.command()(cli_hosting_several.hosting_deployments)
app.command()(cli_flicker.flicker)
app.command()(cli_quality.harmonics)
app.command()(cli_serve.serve)
app.command()(cli_fleet.fleet)
app.command()(cli_fleet.fleets)
app.command()(cli_fleet.place)


@app.command()
def feeders(name: Annotated[str | None, typer.Argument(help="Describe this one.")] = None) -> None:
    """List the feeders there are, or describe one."""
    from gridedge.grid.catalogue import describe_feeder, list_feeders

    if name is not None:
        typer.echo(describe_feeder(name))
        return
    width = max(len(spec.name) for spec in list_feeders())
    for spec in list_feeders():
        extra = f"  [needs gridedge[{spec.extra}]]" if spec.extra else ""
        typer.echo(f"{spec.name:<{width}}  {spec.title}{extra}")
    typer.echo("\nAlso: simbench:CODE, and any file that pandapower reads (.json .m .mat .uct .xml .zip).")
    typer.echo("`gridedge feeders NAME` describes one.")


@app.command()
def profiles(name: Annotated[str | None, typer.Argument(help="Describe this one.")] = None) -> None:
    """List the load profiles there are, or describe one."""
    from gridedge.profiles.catalogue import describe_profile, list_profiles

    if name is not None:
        typer.echo(describe_profile(name))
        return
    listed = list_profiles()
    width = max(len(entry.name) for entry in listed)
    for entry in listed:
        typer.echo(f"{entry.name:<{width}}  {entry.kind:<9}  {entry.title}")
    typer.echo("\n`gridedge profiles NAME` describes one.")


@app.command()
def catalogue(name: Annotated[str | None, typer.Argument(help="Describe this accelerator or server.")] = None) -> None:
    """List accelerators, servers and racks with what they draw, or describe one."""
    from gridedge.profiles.catalog import describe_catalogue

    typer.echo(describe_catalogue(name))


@app.command()
def rules(name: Annotated[str | None, typer.Argument(help="Describe this rulebook or file.")] = None) -> None:
    """List the rulebooks there are, or describe one with its definitions and sources."""
    from gridedge.measure.rulebook import describe_rulebook, list_rulebooks

    if name is not None:
        typer.echo(describe_rulebook(name))
        return
    listed = list_rulebooks()
    width = max(len(known) for known in listed)
    for known, title in listed.items():
        typer.echo(f"{known:<{width}}  {title}")
    typer.echo("\n`gridedge rules NAME` describes one; a file of your own may include them.")


@contextmanager
def _workers(count: int) -> Iterator[Executor | None]:
    """Give processes to solve on; spawned on every system, so that they behave alike."""
    if count == 1:
        yield None
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool


def _doing() -> Callable[[str], None]:
    """Return what ends a run that is to stop, and says on terminals what is being done."""
    shown = sys.stderr.isatty()

    def show(what: str) -> None:
        if _stopping:
            raise _Stopped(_stopping[0])
        if shown:
            sys.stderr.write(f"{what}\n")
            sys.stderr.flush()

    return show


def _progress() -> Callable[[int, int], None]:
    """Return what ends a run that is to stop, and shows a progress line on terminals; pipes and CI get none."""
    shown = sys.stderr.isatty()

    def show(done: int, total: int) -> None:
        if _stopping:  # somebody's bare `except:` swallowed the signal
            raise _Stopped(_stopping[0])
        if not shown:
            return
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r{done} of {total} power flows{end}")
        sys.stderr.flush()

    return show


def _tell(result: Result, took_s: float) -> None:
    """Print what came out, as a reader of a terminal wants it."""
    for label, value in result.facts:
        typer.echo(f"{label}: {value}")
    typer.echo("")
    for sentence in result.answer:
        typer.echo(f"* {sentence}")
    typer.echo("")
    from gridedge.report.words import heading, quantity

    columns: dict[str, Any] = {name: heading(str(name)) for name in result.summary.columns}
    width = max(len(words) for words, _ in columns.values())
    labels = [str(label) for label in result.summary.index]
    wide = max(14, *(len(label) for label in labels))
    typer.echo(f"{'':<{width}}  " + "  ".join(f"{label:>{wide}}" for label in labels))
    values = result.summary.to_dict()
    for name, (words, unit) in columns.items():
        shown = [quantity(float(values[name][label]), unit) for label in labels]
        typer.echo(f"{words:<{width}}  " + "  ".join(f"{_plain(value):>{wide}}" for value in shown))
    typer.echo("")
    for note in result.notes:
        typer.echo(f"Note: {note}")
    assert result.out is not None
    typer.echo(f"\n{result.manifest['power_flows']} power flows, {took_s:.0f} s. Report: {result.out / 'report.html'}")


def _plain(text: str) -> str:
    """Return text with the spaces and signs that every terminal can show."""
    return text.replace("\u202f", " ").replace("\u00a0", " ").replace("\u2212", "-")


class _Stopped(BaseException):
    """The user, or the system, wants it to end; the way out cleans up what is half done."""

    def __init__(self, number: int):
        self.number = number


_stopping: list[int] = []


def _stop(number: int, _: object) -> None:
    _stopping.append(number)
    raise _Stopped(number)


def main() -> None:
    """Run the command line; one clear message and an exit code where something is wrong."""
    for stream in (sys.stdout, sys.stderr):
        # A Windows console may not know a sign; it must not stop a study.
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    for name in (signal.SIGINT, signal.SIGTERM):
        signal.signal(name, _stop)
    try:
        app()
    except BaseException as error:
        # A signal may come back as another error: libraries catch everything here and there.
        if _stopping and not (isinstance(error, SystemExit) and not error.code):
            sys.stderr.write("\ngridedge: stopped; nothing was written.\n")
            raise SystemExit(128 + _stopping[0]) from None
        if not isinstance(error, GridedgeError):
            raise
        sys.stderr.write(f"gridedge: {error}\n")
        raise SystemExit(error.exit_code) from None


if __name__ == "__main__":
    main()
