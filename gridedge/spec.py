"""Specs: frozen models that people write as YAML, and whose hash names the result."""

from __future__ import annotations

import datetime
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gridedge import yamlfile
from gridedge.errors import InputError, Problem, bad, nearest

S = TypeVar("S", bound="Spec")
Mark = Literal["measured", "quoted", "assumed", "chosen"]


def _plain_date(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


DateText = Annotated[str, BeforeValidator(_plain_date)]
"""A date as text, year first; YAML reads some as dates, and a bare year as a number."""


@dataclass(frozen=True)
class Assumption:
    """A number that a result stands on, and how well it is known.

    Parameters
    ----------
    name : str
        Path of the value in the spec, unit in the name.
    value : str
        The value, as text.
    mark : {"measured", "quoted", "assumed", "chosen"}
        Measured, quoted from a source, assumed, or chosen by whoever wrote the study.
    source : str
        Where it comes from.
    """

    name: str
    value: str
    mark: Mark
    source: str

    def to_dict(self) -> dict[str, str]:
        """Return the fields as a plain dict."""
        return asdict(self)


def quantity(
    default: Any = ...,
    *,
    mark: Mark,
    source: str,
    low: float | None = None,
    high: float | None = None,
    **constraints: Any,
) -> Any:
    """Declare a field whose default has an origin; constraints as for pydantic's Field.

    ``low`` to ``high`` is the range in which an assumed value may lie: members of an ensemble draw from it.
    """
    extra: dict[str, Any] = {"mark": mark, "source": source}
    if low is not None and high is not None:
        extra |= {"low": low, "high": high}
    return Field(default, json_schema_extra=extra, validate_default=True, **constraints)


class Spec(BaseModel):
    """Base of every spec: frozen, unknown keys refused, infinities and NaN refused."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, protected_namespaces=()
    )

    @model_validator(mode="before")
    @classmethod
    def _no_switch_for_a_number(cls, data: Any) -> Any:
        """Refuse true and false where a number belongs; pydantic would read them as 1 and 0."""
        if isinstance(data, Mapping):
            for name, value in data.items():
                info = cls.model_fields.get(str(name))
                if isinstance(value, bool) and info is not None and "bool" not in str(info.annotation):
                    raise bad(f"{name} is a switch, not a value", str(value).lower(), "Write a number or a name.")
        return data

    def to_dict(self) -> dict[str, Any]:
        """Return plain data that builds an equal spec again."""
        return self.model_dump(mode="json", exclude_none=True)

    def to_yaml(self) -> str:
        """Return YAML text that builds an equal spec again."""
        return yamlfile.write(self.to_dict())

    def hash(self) -> str:
        """Return the SHA-256 of the spec's values, 64 hex digits.

        Two specs that say the same have the same hash, however they were written.
        """
        text = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def unused(self) -> set[str]:
        """Return the keys that have no effect as the others stand."""
        return set()

    def assumptions(self, path: str = "") -> Iterator[Assumption]:
        """Yield every value of the spec with its origin.

        A default has the origin that its field declares; a value that a preset
        explains under ``origins`` has that one; any other was chosen in the file.
        What has no effect is left out.
        """
        origins = getattr(self, "origins", {})
        mark: Any
        unused = self.unused()
        for name, info in type(self).model_fields.items():
            value = getattr(self, name)
            here = f"{path}.{name}" if path else name
            declared = info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
            if name in {"origins", "title", "question", "source", "licence"} or name in unused or value is None:
                continue
            if isinstance(value, Spec):
                inner = value.assumptions(here)
                if declared and name not in self.model_fields_set:  # a default that is a spec itself
                    mark, source = declared["mark"], str(declared["source"])
                    inner = (replace(a, mark=mark, source=source) if a.mark == "chosen" else a for a in inner)
                yield from inner
            elif isinstance(value, Mapping | list | tuple):
                yield from _inside(value, here)
            elif name in origins:
                yield Assumption(here, str(value), origins[name].mark, origins[name].source)
            elif declared and name not in self.model_fields_set:
                mark = declared["mark"]
                yield Assumption(here, str(value), mark, str(declared["source"]))
            elif isinstance(value, int | float) and not isinstance(value, bool):
                yield Assumption(here, str(value), "chosen", "set in the file")

    @classmethod
    def from_yaml(cls, path: str | Path, settings: Iterable[str] = ()) -> Self:
        """Read a spec from a YAML file, with ``KEY=VALUE`` settings put over it.

        Raises
        ------
        InputError
            With every problem of the file, each with its line.
        """
        document = yamlfile.read(path)
        yamlfile.override(document, settings)
        return build(cls, document)


class Origin(Spec):
    """Where the value of a preset comes from."""

    mark: Mark
    """measured, quoted, assumed or chosen"""
    source: str
    """publication, section or file, with its date"""
    low: float | None = None
    """lower end of the range in which the value may lie; members of an ensemble draw from it"""
    high: float | None = None
    """upper end of the range"""

    @model_validator(mode="after")
    def _ordered(self) -> Origin:
        if (self.low is None) != (self.high is None):
            raise bad("a range has one end only", f"low {self.low}, high {self.high}", "Give low and high, or neither.")
        if self.low is not None and self.high is not None and not self.low <= self.high:
            raise bad("the range is empty", f"{self.low} to {self.high}", "low must not lie above high.")
        return self


def _inside(value: Any, path: str) -> Iterator[Assumption]:
    items = value.items() if isinstance(value, Mapping) else enumerate(value)
    for key, item in items:
        if isinstance(item, Spec):
            yield from item.assumptions(f"{path}.{key}")
        elif isinstance(item, Mapping | list | tuple):
            yield from _inside(item, f"{path}.{key}")


def build(cls: type[S], document: yamlfile.Document | Mapping[str, Any]) -> S:
    """Build a spec from a document or from plain data.

    Raises
    ------
    InputError
        With every problem found; unknown keys come with the nearest known one.
    """
    if not isinstance(document, yamlfile.Document):
        document = yamlfile.Document(dict(document))
    problems = list(document.problems)
    try:
        spec = cls.model_validate(document.data)
    except ValidationError as error:
        items = error.errors(include_url=False)
        problems += [_problem(cls, item, document) for item in items if not _misspelt(cls, item, items)]
    if problems:
        raise InputError(problems)
    return spec


def _misspelt(cls: type[BaseModel], item: Any, items: Iterable[Any]) -> bool:
    """Say whether a missing key stands there under a wrong name, which is reported already."""
    if item["type"] != "missing":
        return False
    parent, key = item["loc"][:-1], str(item["loc"][-1])
    strangers = [str(i["loc"][-1]) for i in items if i["type"] == "extra_forbidden" and i["loc"][:-1] == parent]
    return any(f"{key!r}" in nearest(stranger, _known_keys(cls, parent)) for stranger in strangers)


def _problem(cls: type[BaseModel], item: Any, document: yamlfile.Document) -> Problem:
    # pydantic puts the tag of a chosen variant into the path; the file has no such key.
    loc = _path_in_file(document.data, item["loc"])
    where = document.where(loc)
    dotted = ".".join(str(k) for k in loc) or "the file"
    if item["type"] == "extra_forbidden":
        known = _known_keys(cls, item["loc"][:-1])
        problem = yamlfile.unknown_key(str(loc[-1]), known, where)
        return Problem(
            f"unknown key in {'.'.join(map(str, loc[:-1])) or 'the file'}", problem.value, problem.cure, where
        )
    if item["type"] == "missing":
        return Problem(f"{dotted} is missing", "", "Add it.", where)
    cause = (item.get("ctx") or {}).get("error")
    if isinstance(cause, InputError):
        inner = cause.problems[0] if cause.problems else Problem(str(cause), "", "", "")
        thing = inner.thing if dotted == "the file" else f"{dotted}: {inner.thing}"
        return Problem(thing, inner.value, inner.cure, where)
    message = str(item["msg"]).removeprefix("Value error, ")
    value = item["input"]
    shown = repr(value) if isinstance(value, str | int | float | bool | None) else type(value).__name__
    if item["type"] == "union_tag_invalid":
        tags = [t.strip().strip("'") for t in str(item["ctx"]["expected_tags"]).split(",")]
        tag = str(item["ctx"]["tag"])
        key = str(item["ctx"]["discriminator"]).strip("'")
        problem = yamlfile.unknown_key(tag, tags, where)
        return Problem(f"{dotted}.{key} is unknown", tag, problem.cure, document.where((*loc, key)))
    if item["type"] == "union_tag_not_found":
        key = str(item["ctx"]["discriminator"]).strip("'")
        return Problem(f"{dotted}.{key} is missing", "", f"Say which one: add `{key}:`.", where)
    if item["type"] in {"float_parsing", "int_parsing", "float_type", "int_type"}:
        message = "Write a plain number such as 5 or 0.6; the unit is in the key's name"
    if item["type"] in _PLAIN:
        message = _PLAIN[item["type"]].format(**(item.get("ctx") or {}))
    return Problem(f"{dotted} cannot be used", shown, f"{message}.", where)


_PLAIN = {
    "tuple_type": "Write a list, [first, second]",
    "list_type": "Write a list, [first, second]",
    "dict_type": "Write keys with their values, {{key: value}}",
    "mapping_type": "Write keys with their values, {{key: value}}",
    "model_type": "Write keys with their values, {{key: value}}",
    "model_attributes_type": "Write keys with their values, {{key: value}}",
    "too_short": "It has {actual_length}: give {min_length} at least",
}
"""In the words of a file, where pydantic has those of Python."""


def _path_in_file(data: Any, loc: tuple[str | int, ...]) -> tuple[str | int, ...]:
    path: list[str | int] = []
    for k, key in enumerate(loc):
        inside = (isinstance(data, Mapping) and key in data) or (
            isinstance(data, list) and isinstance(key, int) and key < len(data)
        )
        if inside:
            path.append(key)
            data = data[key]
        elif k == len(loc) - 1:
            path.append(key)
    return tuple(path)


def _known_keys(cls: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """Return the keys of the model at a path, walking through unions and containers."""
    models: list[type[BaseModel]] = [cls]
    for key in loc:
        found: list[type[BaseModel]] = []
        for model in models:
            if isinstance(key, str) and key in model.model_fields:
                found += _models(model.model_fields[key].annotation)
            else:  # a list index, a mapping's key, or the tag of a union
                found.append(model)
        tagged = [m for m in found if _tag(m) == key]
        models = tagged or found
    return [name for model in models for name in (*model.model_fields, *getattr(model, "short_form", ()))]


def _models(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [m for part in get_args(annotation) for m in _models(part)]


def _tag(model: type[BaseModel]) -> str | None:
    for name in ("kind", "step", "rule", "law"):
        info = model.model_fields.get(name)
        if info is not None and get_args(info.annotation):
            return str(get_args(info.annotation)[0])
    return None


def take(cls: type[S], value: str | Path | Mapping[str, Any] | S, *, find: Any = None) -> S:
    """Turn a name, a path, a dict or a spec into a spec.

    Parameters
    ----------
    cls : type
        The spec's class.
    value : str, path, mapping or spec
        What the user gave.
    find : callable, optional
        Turns a name or a path into the path of a file.
    """
    if isinstance(value, cls):
        return value
    if isinstance(value, Mapping):
        return build(cls, value)
    if isinstance(value, str | Path) and find is not None:
        return cls.from_yaml(find(value))
    raise bad(f"cannot make a {cls.__name__} of this", type(value).__name__, "Give a name, a path, a dict or a spec.")
