"""Rules as data: the schema of a rule file, and reading one with errors that name line and column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal, TypeAlias

import yaml
from pydantic import Field, ValidationError, model_validator

from harmless import taxonomy
from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError

Place: TypeAlias = tuple[str | int, ...]
"""The keys and positions that lead to a value in a document."""

_Loader: type[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
RULEBOOK = resources.files(__package__) / "rulebook"


class Examples(Model):
    """Texts that a rule must match and must not; the tests hold every rule to its own."""

    match: tuple[str, ...] = ()
    miss: tuple[str, ...] = ()


class Rule(Model):
    """One thing to look for.

    ``hazard`` is a taxonomy key or None. What is looked for is one of ``pattern`` (the language of
    :mod:`harmless.guards.patterns`), ``words`` (words and phrases) and ``hashed`` (words as the first 16 hex
    digits of the SHA-256 of their folded form, for words that a file should not spell out). Where one of the
    patterns in ``unless`` matches anywhere in the text, the rule does not apply. ``score`` is the risk, 0 to 1.
    ``view`` is ``raw`` (the text as written, for keys and numbers), ``plain`` (folded) or ``loose`` (folded,
    and with disguises undone). ``applies`` says whether prompts, replies or both are searched. ``check``
    names an arithmetic that a raw match must pass.
    """

    id: str = Field(pattern=r"^[a-z0-9]+([._-][a-z0-9]+)*$")
    hazard: str | None = None
    pattern: str | None = None
    words: tuple[str, ...] = ()
    hashed: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    score: float = Field(0.9, gt=0, le=1)
    view: Literal["raw", "plain", "loose"] = "loose"
    applies: Literal["prompt", "reply", "both"] = "prompt"
    check: Literal["luhn", "iban"] | None = None
    examples: Examples = Examples()

    @model_validator(mode="after")
    def _looks_for_one_thing(self) -> Rule:
        if sum(bool(kind) for kind in (self.pattern, self.words, self.hashed)) != 1:
            raise ValueError("give exactly one of pattern, words and hashed")
        if any(len(digest) != 16 or set(digest) - set("0123456789abcdef") for digest in self.hashed):
            raise ValueError("hashed takes the first 16 hex digits of a SHA-256")
        if self.view == "raw" and (self.words or self.hashed):
            raise ValueError("words are searched in folded text; use view: plain or loose")
        return self


class RuleFile(Model):
    """A file of rules, with what their patterns name: lists of words (``sets``) and of patterns (``parts``)."""

    description: str = ""
    sets: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = Field(default_factory=dict)
    rules: tuple[Rule, ...] = ()


def read(path: str | Path) -> RuleFile:
    """Return the rules of a YAML file; its patterns may name our word lists too, and may replace them.

    Raises:
        BadFileError: unreadable, not YAML, not rules, an unknown hazard or an id used twice; with line and
            column. Patterns are compiled, and blamed with :func:`blame`, by the guard.
    """
    path = Path(path)
    text = _text(path)
    plain = _parsed(path, text)
    try:
        file = RuleFile.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise blame(path, first["loc"], f"{where}: {first['msg']}." if where else f"{first['msg']}.") from None
    seen: set[str] = set()
    for number, rule in enumerate(file.rules):
        if rule.id in seen:
            raise blame(path, ("rules", number, "id"), f"the id '{rule.id}' is used twice.")
        seen.add(rule.id)
        _check_hazard(path, number, rule)
    return file.model_copy(update={"sets": {**shared_sets(), **file.sets}})


@cache
def shared_sets() -> Mapping[str, tuple[str, ...]]:
    """Return the word lists that every rule file may name."""
    return RuleFile.model_validate(yaml.load((RULEBOOK / "sets.yaml").read_bytes(), Loader=_Loader)).sets


def default_files() -> list[Path]:
    """Return the paths of our own rule files, in order of their names."""
    return sorted(path for path in Path(str(RULEBOOK)).glob("*.yaml") if path.name != "sets.yaml")


def blame(path: Path, place: Place, message: str, next_step: str = "") -> BadFileError:
    """Return the error about the value at ``place`` of a YAML file, with its line and column."""
    line, column = _position(yaml.compose(_text(path), Loader=_Loader), place)
    return BadFileError(
        path, message, line=line, column=column, next_step=next_step or "See `harmless guard list`."
    )


def _position(node: Any, place: Iterable[str | int]) -> tuple[int, int]:
    """Return the line and column (from 1) of the deepest value on the way to ``place`` that exists."""
    if node is None:
        return 1, 1
    mark = node.start_mark
    for step in place:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == str(step)]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = [(node.value[step], node.value[step])]
        else:
            found = []
        if not found:
            break
        mark, node = found[0][0].start_mark, found[0][1]
    return mark.line + 1, mark.column + 1


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise BadFileError(path, f"It is not UTF-8: {error.reason}.", next_step="Save it as UTF-8.") from None
    except OSError as error:
        raise BadFileError(path, f"It cannot be read: {error.strerror}.", next_step="Check the path.") from None


def _parsed(path: Path, text: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (None, None)
        raise BadFileError(
            path, f"Not YAML: {error.problem}.", line=line, column=column, next_step="Mend that line."
        ) from None
    except yaml.YAMLError as error:
        raise BadFileError(path, f"Not YAML: {error}.", next_step="Mend it.") from None


def _check_hazard(path: Path, number: int, rule: Rule) -> None:
    if rule.hazard is None:
        return
    try:
        key = taxonomy.load().hazard(rule.hazard).key
    except UnknownNameError as error:
        raise blame(path, ("rules", number, "hazard"), error.message, error.next_step) from None
    if key != rule.hazard:
        raise blame(path, ("rules", number, "hazard"), f"'{rule.hazard}' is not a key; write {key}.")
