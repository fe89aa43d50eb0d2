"""Files that appear whole or not at all."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridedge.errors import bad


@contextmanager
def together(named: Path, *companions: Path) -> Iterator[tuple[Path, ...]]:
    """Give places to write files to, which become the wanted files only when all were written.

    The named file is replaced where it exists, and so are its companions.  A companion that is there while the named
    file is not belongs to somebody else, and is left alone.

    Parameters
    ----------
    named : Path
        The file that the user named.
    *companions : Path
        Files beside it that belong to it; all in the same folder.

    Yields
    ------
    tuple of Path
        Where to write each, in the same order.

    Raises
    ------
    InputError
        If the folder does not exist or cannot be written to, or a companion is somebody else's.
    """
    wanted = tuple(Path(path).absolute() for path in (named, *companions))
    folder = wanted[0].parent
    for path in wanted:
        if path.is_dir():
            raise bad("the file to write is a folder", str(path), "Name a file.")
    foreign = [path.name for path in wanted[1:] if path.exists()] if not wanted[0].exists() else []
    if foreign:
        cure = f"It would be replaced by a companion of {wanted[0].name}; move it, or choose another name."
        raise bad("a file of somebody else is in the way", ", ".join(foreign), cure)
    if not folder.is_dir():
        raise bad("there is no such folder", str(folder), "Make it first, or name another file.")
    try:
        beside = Path(tempfile.mkdtemp(prefix=f".{wanted[0].name}.part-", dir=folder))
    except OSError as error:
        raise bad("cannot write there", f"{folder} ({error.strerror})", "Name a folder you may write to.") from error
    try:
        new = tuple(beside / path.name for path in wanted)
        yield new
        _swap(new, wanted, beside)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _swap(new: tuple[Path, ...], wanted: tuple[Path, ...], beside: Path) -> None:
    """Move the new files to their places, the named one last; where one fails, put the old ones back."""
    old = {path: beside / f"old-{path.name}" for path in wanted if path.exists()}
    moved: list[Path] = []
    try:
        for source, path in reversed(list(zip(new, wanted, strict=True))):
            if path in old:
                os.replace(path, old[path])
            moved.append(path)
            os.replace(source, path)
    except BaseException as error:
        for path in moved:
            path.unlink(missing_ok=True)
            if path in old and old[path].exists():
                os.replace(old[path], path)
        if isinstance(error, OSError):
            cure = "Close it where it is open; the old files are as they were."
            raise bad(
                "cannot replace a file", f"{moved[-1] if moved else wanted[0]} ({error.strerror})", cure
            ) from error
        raise
