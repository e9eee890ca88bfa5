"""The YAML text of a catalog, as plain data that remembers its lines.

YAML 1.2's scalars only: `on` and `no` are words, 010 is ten, a number with a point is an exact decimal.
Optional field types (`string?`, `[string]?`) need no quotes, which the 1.1 scanner below us would ask for.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, ClassVar

import yaml

from schemas.catalog.findings import Path, RefusedCatalog, Report

TEXT_BYTES_MAX = 2 * 1024 * 1024
DEPTH_MAX = 32
VALUES_MAX = 200_000  # a few lines of aliases can stand for billions
OPTIONAL_TYPE = re.compile(
    r"(?:string|integer|boolean|decimal\(\d{1,2}\)|\[string\])\?(?=[ \t]*[,}\]\0\r\n]|[ \t]+#)"
)
LOOKAHEAD = 64  # characters: such a type, and the blanks between it and what ends it

INTEGER = re.compile(r"[-+]?[0-9]{1,30}")
NUMBER = re.compile(r"[-+]?(\.[0-9]{1,30}|[0-9]{1,30}(\.[0-9]{0,30})?)")
WORDS = {"true": True, "false": False, "null": None, "~": None, "": None}


class CatalogLoader(yaml.SafeLoader):
    """PyYAML's reader, less YAML 1.1's scalars."""

    yaml_implicit_resolvers: ClassVar[dict[Any, Any]] = {}  # type: ignore[misc]

    def fetch_flow_sequence_start(self) -> None:
        if OPTIONAL_TYPE.match(self.prefix(LOOKAHEAD)):
            return self.fetch_plain()
        return super().fetch_flow_sequence_start()

    def scan_plain(self) -> yaml.ScalarToken:
        found = OPTIONAL_TYPE.match(self.prefix(LOOKAHEAD))
        if found is None:
            return super().scan_plain()
        start = self.get_mark()
        self.forward(found.end())
        return yaml.ScalarToken(found.group(), True, start, self.get_mark())


class Source:
    """What a file says: `data` of dict, list, str, int, Decimal, bool and None; `lines` by path."""

    def __init__(self, text: str, file: str) -> None:
        self.lines: dict[Path, int] = {}
        self.report = Report(file, self.lines)
        self._values = 0
        self.data = self._read(self._compose(text), ())

    def _compose(self, text: str) -> yaml.Node | None:
        if len(text) > TEXT_BYTES_MAX:
            self._refuse((), f"the file has {len(text)} characters", f"keep it under {TEXT_BYTES_MAX}")
        try:
            node: yaml.Node | None = yaml.compose(text, CatalogLoader)
        except yaml.YAMLError as error:
            self._refuse_yaml(error)
        except RecursionError:
            self._refuse((), "it is nested too deeply", f"keep it under {DEPTH_MAX} levels")
        return node

    def _refuse_yaml(self, error: yaml.YAMLError) -> None:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        self.lines[()] = mark.line + 1 if mark else 1
        column = f" at column {mark.column + 1}" if mark else ""
        self._refuse((), f"this is not YAML: {problem}{column}", "check indentation, quotes and brackets here")

    def _refuse(self, path: Path, what: str, remedy: str) -> None:
        self.report.add(path, what, remedy)
        raise RefusedCatalog(self.report.findings)

    def _read(self, node: yaml.Node | None, path: Path) -> Any:
        if node is None:
            return None
        self.lines.setdefault(path, node.start_mark.line + 1)
        self._check_size(path)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, place)) for place, item in enumerate(node.value)]
        return scalar(node)

    def _check_size(self, path: Path) -> None:
        self._values += 1
        if len(path) > DEPTH_MAX:
            self._refuse(path, "it is nested too deeply", f"keep it under {DEPTH_MAX} levels")
        if self._values > VALUES_MAX:
            self._refuse(path, f"the file comes to more than {VALUES_MAX} values", "write fewer, or fewer aliases")

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        said: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            name = str(key.value) if isinstance(key, yaml.ScalarNode) else ""
            place = (*path, name)
            if not name:
                self.report.add(place, "a key is no plain word", "write `name: value`", line=line)
            elif name in said:
                what = f"`{name}` stands here twice, first in line {self.lines[place]}"
                self.report.add(place, what, "keep one, rename or remove the other", line=line)
            else:
                self.lines[place] = line
                said[name] = self._read(value, place)
        return said


def scalar(node: Any) -> object:
    """A YAML 1.2 scalar; whatever is quoted is text."""
    text = str(node.value)
    if node.style is not None:
        return text
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    if INTEGER.fullmatch(text):
        return int(text)
    return Decimal(text) if NUMBER.fullmatch(text) else text
