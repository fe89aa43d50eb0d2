"""Writing results: never half, never over something that is not ours."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gridedge.errors import bad
from gridedge.study.model import file_name

if TYPE_CHECKING:
    import xarray as xr

    from gridedge.study.result import Result

MANIFEST = "manifest.json"
REPORT = "report.html"
_LONG = 100_000  # numbers from which on a variable is compressed
WITHOUT_SITE = "without-site.nc"


@contextmanager
def output_folder(out: Path) -> Iterator[Path]:
    """Give a folder to write into, which becomes ``out`` only when all went well.

    Raises
    ------
    InputError
        If ``out`` cannot be written, or holds files that no study wrote.
    """
    out = out.absolute()
    _refuse_foreign(out)
    made = [p for p in (out.parent, *out.parent.parents) if not p.exists()]
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{out.name}.part-", dir=out.parent))
    except OSError as error:
        cure = "Name a folder you may write to with --out."
        raise bad("cannot write the results", f"{out} ({error.strerror})", cure) from error
    try:
        yield part
        _swap(part, out)
    finally:
        shutil.rmtree(part, ignore_errors=True)
        for folder in made:  # a failed run leaves no empty folders behind
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()


def _refuse_foreign(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise bad("the output is a file, not a folder", str(out), "Name a folder with --out.")
    if not out.is_dir():
        return
    foreign = sorted({path.name for path in out.iterdir()} - _own_files(out))
    if foreign:
        cure = "Name an empty or a new folder with --out; only an older result is replaced."
        raise bad("the output folder holds other files", f"{out}: {', '.join(foreign[:5])}", cure)


def _own_files(out: Path) -> set[str]:
    """Return the names of the files in a folder that a study wrote there, as its manifest says."""
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return set()
    ours = isinstance(manifest, dict) and "spec_sha256" in manifest and isinstance(manifest.get("files"), list)
    return {str(name) for name in manifest["files"]} if ours else set()


def _swap(part: Path, out: Path) -> None:
    """Put the new folder in the place of the old one; the old one goes only afterwards."""
    os.chmod(part, 0o755)  # mkdtemp makes folders that nobody else may read
    old = None
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.old-", dir=out.parent))
        os.replace(out, old / out.name)
    os.replace(part, out)
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)


def write(result: Result, folder: Path) -> None:
    """Write one NetCDF per strategy, the season without the site, summary, findings, voltages and manifest."""
    for label, tree in result.data.items():
        write_tree(tree, folder / f"{file_name(label)}.nc")
    result.base.pipe(_storable).to_netcdf(folder / WITHOUT_SITE, engine="h5netcdf")
    result.summary.to_csv(folder / "summary.csv", index_label="strategy", float_format="%.10g")
    rows = [{"strategy": label, **f.to_dict()} for label, found in result.findings.items() for f in found]
    (folder / "findings.json").write_text(json.dumps(rows, indent=1), encoding="utf-8")
    seen = [{"strategy": label, **f.to_dict()} for label, found in result.equipment.items() for f in found]
    (folder / "equipment.json").write_text(json.dumps(seen, indent=1), encoding="utf-8")
    if result.voltage:
        tables = pd.concat({label: report.table() for label, report in result.voltage.items()}, names=["strategy"])
        tables.to_csv(folder / "voltage.csv", float_format="%.10g")
        told = {label: report.to_dict() for label, report in result.voltage.items()}
        (folder / "voltage.json").write_text(json.dumps(told, indent=1), encoding="utf-8")
    if result.comparison is not None:
        result.comparison.table.to_csv(folder / "comparison.csv", index_label="variant", float_format="%.10g")
        weighed = result.comparison.to_dict()
        if result.battery is not None:
            weighed["smallest_battery"] = result.battery.to_dict()
        (folder / "comparison.json").write_text(json.dumps(weighed, indent=1), encoding="utf-8")
    files = sorted([*(path.name for path in folder.iterdir()), MANIFEST, REPORT])
    (folder / MANIFEST).write_text(json.dumps({**result.manifest, "files": files}, indent=1), encoding="utf-8")


def write_dataset(ds: xr.Dataset, path: Path) -> None:
    """Write one dataset to a NetCDF file."""
    import xarray as xr

    write_tree(xr.DataTree(ds), path)


def write_tree(tree: xr.DataTree, path: Path) -> None:
    """Write a tree of datasets to one NetCDF file."""
    storable = tree.map_over_datasets(_storable)
    encoding = {
        node.path: {
            str(name): {"compression": "gzip", "compression_opts": 1, "shuffle": True}
            for name, variable in node.dataset.variables.items()
            if variable.size > _LONG and variable.dtype.kind in "fi"
        }
        for node in storable.subtree
    }
    storable.to_netcdf(path, engine="h5netcdf", encoding=encoding)


def _storable(ds: xr.Dataset) -> xr.Dataset:
    """Return the dataset with attributes and coordinates that NetCDF knows."""
    ds = ds.copy()
    ds.attrs = {k: _attribute(v) for k, v in ds.attrs.items()}
    for name, coordinate in list(ds.coords.items()):
        if coordinate.dtype == object:
            ds = ds.assign_coords({name: coordinate.astype(str)})
    for name, variable in ds.data_vars.items():
        if variable.dtype == bool:
            ds[name] = variable.astype("i1").assign_attrs(variable.attrs)
    if ds.sizes:
        ds.attrs.setdefault("Conventions", "CF-1.8")
    return ds


def _attribute(value: Any) -> Any:
    if isinstance(value, Mapping):
        return json.dumps(value)
    if isinstance(value, list | tuple):
        return "\n".join(map(str, value))
    return value
