"""Which kind of study a file holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from gridedge import sources, yamlfile
from gridedge.errors import InputError, Problem, nearest
from gridedge.spec import Spec

Kind = Literal["site", "hosting", "fleet"]
KINDS = ("hosting", "fleet")
"""What `study:` may say; a study of one site says nothing."""


def kind_of(study: Any, settings: Iterable[str] = ()) -> Kind:
    """Return what a study, as the verbs take it, is about.

    Raises
    ------
    InputError
        If there is no such study, or it is of an unknown kind.
    """
    if isinstance(study, Spec):
        given = getattr(study, "study", None)
    elif isinstance(study, str | Path | Mapping):
        document, _ = document_of(study, settings)
        given = document.data.get("study")
        if "study" in document.data and given not in KINDS:
            cure = f"{nearest(str(given), KINDS)} Leave `study` out where one site is studied."
            raise InputError(Problem("unknown kind of study", str(given), cure, document.where(("study",))))
    else:
        given = None
    return "hosting" if given == "hosting" else "fleet" if given == "fleet" else "site"


def document_of(study: str | Path | Mapping[str, Any], settings: Iterable[str]) -> tuple[yamlfile.Document, Path]:
    """Return what a study's file says, settings put over it, and the folder that its relative paths start from."""
    if isinstance(study, Mapping):
        document, base = yamlfile.Document({str(k): v for k, v in study.items()}), Path.cwd()
    else:
        path = sources.resolve("studies", study)
        document, base = yamlfile.read(path), path.resolve().parent
    yamlfile.override(document, settings)
    return document, base
