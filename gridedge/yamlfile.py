"""YAML as people write it: read with the line of every key, all problems at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from gridedge.errors import InputError, Problem, bad, nearest

Loc = tuple[str | int, ...]


@dataclass
class Document:
    """A YAML file as plain data, with the place each value was written at.

    Parameters
    ----------
    data : dict
        What the file says.
    source : str
        Name of the file, as messages show it.
    lines : dict
        Line, counted from 1, of every path of keys.
    problems : list of Problem
        What the reader itself found wrong (duplicate keys).
    """

    data: dict[str, Any]
    source: str = ""
    lines: dict[Loc, str] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def where(self, loc: Loc) -> str:
        """Return ``file:line`` of a path of keys, or of its nearest parent."""
        for stop in range(len(loc), -1, -1):
            place = self.lines.get(loc[:stop])
            if place is not None:
                return place
        return self.source


def _parser() -> YAML:
    # YAML 1.2: `1e6` is a number, `off` and `12:30:00` are text.
    return YAML(typ="safe", pure=True)


def read(path: str | Path) -> Document:
    """Read a YAML file whose top level is a mapping.

    Raises
    ------
    InputError
        If it cannot be read, is no YAML, or is no mapping.  A duplicate key is not
        raised here but kept in ``problems``, so that it is reported with the rest.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise bad("there is no such file", str(path), "Name a YAML file that exists.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise bad("cannot read the file", str(path), f"Check that it is a text file ({error}).") from error
    return parse(text, source=path.name)


def parse(text: str, source: str = "") -> Document:
    """Read YAML text; see :func:`read`."""
    document = Document({}, source)
    parser = _parser()
    try:
        node = parser.compose(StringIO(text))
        if not isinstance(node, MappingNode):
            raise bad("the file is not a mapping of keys to values", "", "Start with `title: ...`.", source)
        document.data = _build(node, parser, (), document)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{source}:{mark.line + 1}" if mark else source
        raise bad("this is not YAML", str(error.problem), "Check indentation, colons and quotes.", place) from error
    except YAMLError as error:
        raise bad("this is not YAML", str(error), "Check for control characters.", source) from error
    return document


def _build(node: Node, parser: YAML, loc: Loc, document: Document) -> Any:
    document.lines.setdefault(loc, f"{document.source}:{node.start_mark.line + 1}")
    if isinstance(node, MappingNode):
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(_scalar(key_node, parser))
            line = f"{document.source}:{key_node.start_mark.line + 1}"
            if key in result:
                first = document.lines[(*loc, key)]
                document.problems.append(
                    Problem("key written twice", key, f"It stands at {first} already; keep one of the two.", line)
                )
                continue
            document.lines[(*loc, key)] = line
            result[key] = _build(value_node, parser, (*loc, key), document)
        return result
    if isinstance(node, SequenceNode):
        return [_build(child, parser, (*loc, k), document) for k, child in enumerate(node.value)]
    try:
        return _scalar(node, parser)
    except ValueError as error:
        line = f"{document.source}:{node.start_mark.line + 1}"
        raise bad("no date", str(node.value), f"Write one that the calendar has ({error}).", line) from error


def _scalar(node: Node, parser: YAML) -> Any:
    if not isinstance(node, ScalarNode):
        return node.value
    return parser.constructor.construct_object(node)


def override(document: Document, settings: Iterable[str]) -> None:
    """Apply ``KEY.SUBKEY=VALUE`` settings, as ``--set`` gives them, to a document.

    A value is read as YAML, so ``--set site.bus=118`` is an integer and
    ``--set 'site.bus="118"'`` a name.  List items are counted from 0.

    Raises
    ------
    InputError
        If a setting has no ``=``, or steps into something that is no mapping or list.
    """
    problems = []
    for setting in settings:
        key, equals, text = setting.partition("=")
        place = f"--set {setting}"
        if not equals or not key.strip():
            problems.append(Problem("a setting needs KEY=VALUE", setting, "Write --set site.bus=118.", "--set"))
            continue
        try:
            value = _parser().load(text) if text.strip() else None
        except (YAMLError, ValueError):  # a date that no calendar has is a ValueError
            problems.append(Problem("the value of a setting is not YAML", text, "Quote it.", place))
            continue
        problem = _put(document.data, key.strip().split("."), value, place)
        if problem is not None:
            problems.append(problem)
            continue
        loc: Loc = tuple(int(p) if p.isdigit() else p for p in key.strip().split("."))
        document.lines = {k: v for k, v in document.lines.items() if k[: len(loc)] != loc}
        document.lines[loc] = place
        for stop in range(1, len(loc)):  # a parent that the file does not have stands on the command line too
            document.lines.setdefault(loc[:stop], place)
    if problems:
        raise InputError(problems)


def _put(data: Any, keys: list[str], value: Any, place: str) -> Problem | None:
    for depth, key in enumerate(keys):
        last = depth == len(keys) - 1
        path = ".".join(keys[:depth]) or "the study"
        if isinstance(data, list):
            if not key.isdigit() or int(key) >= len(data):
                known = f"0 to {len(data) - 1}" if data else "none, it is empty"
                return Problem(f"{path} is a list and has no item of this number", key, f"Items: {known}.", place)
            if last:
                data[int(key)] = value
            else:
                data = data[int(key)]
        elif isinstance(data, dict):
            if last:
                data[key] = value
            else:
                if data.get(key) is None:
                    data[key] = {}
                data = data[key]
        else:
            return Problem(f"{path} is a single value, it has no keys", key, "Set it as a whole.", place)
    return None


def write(data: Mapping[str, Any]) -> str:
    """Return YAML text of plain data, keys in their order."""
    parser = _parser()
    parser.default_flow_style = False
    parser.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = StringIO()
    parser.dump(dict(data), stream)
    return stream.getvalue()


def unknown_key(key: str, known: Iterable[str], where: str) -> Problem:
    """Return the problem of a key that nobody reads."""
    return Problem("unknown key", key, nearest(key, known), where)
