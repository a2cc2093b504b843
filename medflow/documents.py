"""YAML files that people write: checked against a JSON Schema, and every mistake named with its line."""

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from medflow.errors import ConfigurationError

Keys = tuple[str | int, ...]
"""Keys and list places that lead to a value."""
NEAR = 0.6
"""How alike (0 to 1) a misspelt word must be to the one that is meant."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something wrong in a file, and where."""

    path: Keys
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of file that people write."""

    name: str
    """How messages call it: "task file"."""
    schema: str
    """Its JSON Schema, a file in `schemas/`."""
    examples: str
    """Where examples of it lie."""
    contradictions: Callable[[dict[str, Any]], Iterable[Mistake]]
    """Names what the schema cannot see, in a document that passed it."""


def read_text(path: Path, kind: Kind) -> str:
    """Read the text of a file.

    Raises:
        ConfigurationError: it is absent or no text.
    """
    try:
        return path.read_text("utf-8")
    except OSError:
        raise ConfigurationError(f"the {kind.name} {path.name} cannot be read") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"the {kind.name} {path.name} is not UTF-8 text") from None


def parse(text: str, name: str, kind: Kind) -> dict[str, Any]:
    """Turn the text of a file into plain values; `name` is how messages call this one.

    Raises:
        ConfigurationError: it is no YAML, or wrong; the message lists every mistake by its line.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as fault:
        mark = getattr(fault, "problem_mark", None)
        where = "" if mark is None else f"line {mark.line + 1}: "
        problem = getattr(fault, "problem", None) or "it breaks off"
        raise ConfigurationError(f"{name} is no YAML: {where}{problem}") from None
    if node is None:
        raise ConfigurationError(f"{name} is empty; {kind.examples} holds examples")
    written = _Written.of(node)
    mistakes = [*written.mistakes, *_against_schema(written, kind.schema)] or list(kind.contradictions(written.value))
    if mistakes:
        raise ConfigurationError(_listed(name, written, mistakes))
    value: dict[str, Any] = written.value
    return value


def packaged_schema(name: str) -> dict[str, Any]:
    """Load a JSON Schema: from the installed package, or from the checkout that this file lies in."""
    try:
        text = resources.files("medflow_schemas").joinpath(name).read_text("utf-8")
    except (ModuleNotFoundError, FileNotFoundError):
        text = (Path(__file__).parents[1] / "schemas" / name).read_text("utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its traps: 1e-3 is a number here, and only true and false are truth values."""


_Loader.yaml_implicit_resolvers = {
    first: [rule for rule in rules if rule[0] not in {"tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"}]
    for first, rules in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|false|False)$"), list("tTfF"))
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(?:\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


@dataclass(slots=True)
class _Written:
    """A YAML document as plain values, and the line on which each of them stands."""

    value: Any = None
    lines: dict[Keys, int] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)

    @classmethod
    def of(cls, node: yaml.Node) -> "_Written":
        written = cls()
        written.value = written._read(node, (), _Loader(""))
        return written

    def line(self, path: Keys) -> int:
        """Find the line of what `path` leads to, or of what would hold it."""
        while path not in self.lines:
            path = path[:-1]
        return self.lines[path]

    def _read(self, node: yaml.Node, path: Keys, loader: yaml.SafeLoader) -> Any:  # noqa: ANN401  (any YAML value)
        self.lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.SequenceNode):
            return [self._read(item, (*path, place), loader) for place, item in enumerate(node.value)]
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, loader)
        try:
            return loader.construct_object(node)
        except (yaml.YAMLError, ValueError):
            self.mistakes.append(Mistake(path=path, text="this value cannot be read"))
            return None

    def _mapping(self, node: yaml.MappingNode, path: Keys, loader: yaml.SafeLoader) -> dict[str, Any]:
        read: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
            if key in read:
                text = f"{key} stands here twice; first on line {self.lines[*path, key]}"
                self.lines[*path, key, "again"] = key_node.start_mark.line + 1
                self.mistakes.append(Mistake(path=(*path, key, "again"), text=text))
                continue
            self.lines[*path, key] = key_node.start_mark.line + 1
            read[key] = self._read(value_node, (*path, key), loader)
        return read


def _against_schema(written: _Written, schema: str) -> Iterator[Mistake]:
    for error in Draft202012Validator(packaged_schema(schema)).iter_errors(written.value):
        yield from _mistakes(error)


def _mistakes(error: ValidationError) -> Iterator[Mistake]:
    """Say in a reader's words what the schema found; `validator` is the JSON Schema keyword that failed."""
    path: Keys = tuple(error.absolute_path)
    rule: Any = error.validator_value
    if error.validator == "additionalProperties":
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, Mapping) else []
        found: Any = error.instance
        for key in sorted(set(found) - set(known)):
            near = difflib.get_close_matches(key, known, n=1, cutoff=NEAR)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
            yield Mistake(path=(*path, key), text=f"nobody knows the key {key}; {hint}")
    elif error.validator == "required":
        found = error.instance
        known = list(error.schema.get("properties", {})) if isinstance(error.schema, Mapping) else []
        strange = sorted(set(found) - set(known))
        # the library reports one error for each missing key, and names the key in its message only
        for key in sorted(key for key in rule if key not in found and error.message.startswith(repr(key))):
            if not difflib.get_close_matches(
                key, strange, n=1, cutoff=NEAR
            ):  # then it is misspelt, which is said already
                yield Mistake(path=path, text=f"{key} is missing")
    elif error.validator == "enum":
        near = difflib.get_close_matches(str(error.instance), [str(one) for one in rule], n=1, cutoff=NEAR)
        hint = f"; did you mean {near[0]}?" if near else ""
        yield Mistake(path=path, text=f"must be one of {', '.join(map(str, rule))}{hint}")
    elif error.validator == "type":
        kinds = " or ".join(KINDS.get(kind, kind) for kind in ([rule] if isinstance(rule, str) else rule))
        yield Mistake(path=path, text=f"must be {kinds}, not {_shown(error.instance)}")
    else:
        described = error.schema.get("description") if isinstance(error.schema, Mapping) else None
        yield Mistake(path=path, text=f"{_shown(error.instance)} will not do: {described or error.message}")


KINDS = {
    "string": "text",
    "number": "a number",
    "integer": "a whole number",
    "boolean": "true or false",
    "array": "a list",
    "object": "a set of keys",
    "null": "null",
}


def _shown(value: Any) -> str:  # noqa: ANN401  (any YAML value)
    text = json.dumps(value, default=str)
    return text if len(text) <= 40 else f"{text[:37]}..."  # noqa: PLR2004  (what fits a line)


def _listed(name: str, written: _Written, mistakes: list[Mistake]) -> str:
    lines = sorted({(written.line(mistake.path), _said(mistake)) for mistake in mistakes})
    return "\n".join(
        [f"{name} has {len(lines)} mistake{'s' * (len(lines) > 1)}:", *(f"  line {n}: {t}" for n, t in lines)]
    )


def _said(mistake: Mistake) -> str:
    named = ".".join(str(part) for part in mistake.path if part != "again")
    return f"{named}: {mistake.text}" if named else mistake.text
