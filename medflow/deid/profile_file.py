"""Profile files: YAML in, a Profile out; what a privacy officer would refuse is refused, with its line."""

from pathlib import Path
from typing import Any

from medflow.deid.profile import (
    Choices,
    Keep,
    Profile,
    SafePrivate,
    Stricter,
    TextPolicy,
    profile_of,
)
from medflow.deid.profile_checks import contradictions, tag_of
from medflow.deid.treatments import Action, Option
from medflow.documents import Kind, parse, read_text

PROFILE_FILE = Kind(
    name="profile file",
    schema="profile.schema.json",
    examples="medflow/deid/tables/default.yaml",
    contradictions=contradictions,
)
STRICTER = {"remove": Action.REMOVE_EMPTY_OR_DUMMY, "empty": Action.EMPTY_OR_DUMMY}


def read_profile(path: Path) -> Profile:
    """Read a profile file.

    Raises:
        ConfigurationError: the file is absent, no YAML, or wrong; the message lists every mistake by its line.
    """
    return parse_profile(read_text(path, PROFILE_FILE), path.name)


def parse_profile(text: str, name: str) -> Profile:
    """Read the text of a profile file; `name` is how messages call it."""
    return profile_of(_choices(parse(text, name, PROFILE_FILE)))


def _choices(value: dict[str, Any]) -> Choices:
    """Make the choices of values that passed every check."""
    return Choices(
        name=value["name"],
        options=frozenset(map(Option, value["options"])),
        text=TextPolicy(value.get("text", TextPolicy.WITHHOLD)),
        stricter=tuple(
            Stricter(tag=tag_of(attribute), action=STRICTER[rule["action"]], reason=rule["reason"])
            for rule in value.get("stricter", [])
            for attribute in rule["attributes"]
        ),
        keep=tuple(
            Keep(tag=tag_of(attribute), rule=rule["rule"], reason=rule["reason"])
            for rule in value.get("keep", [])
            for attribute in rule["attributes"]
        ),
        words=frozenset(word.upper() for entry in value.get("words", []) for word in entry["words"]),
        safe_private=tuple(
            SafePrivate(
                creator=entry["creator"],
                group=int(entry["group"], 16),
                element=int(entry["element"], 16),
                vr=entry["vr"],
                reason=entry["reason"],
            )
            for entry in value.get("safe_private", [])
        ),
    )
