"""The pattern language of rules: regular expressions over words, with a bound on the work they may cause.

A pattern is a Python regular expression with three additions:

- ``{name}`` is one of the list ``name``: of words and phrases, in which ``poison*`` takes any ending, or of
  patterns.
- a space is any white space, comma, quote, bracket or dash between two words of a sentence; `` ?`` may be
  nothing.
- `` {gap:4} `` is up to four words of the same sentence.

Patterns match whole words of folded text (:mod:`harmless.guards.normalise`), so they are lower case;
characters that are not ASCII are folded as the text is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from harmless.guards.normalise import plain
from harmless.guards.prefilter import Group, letters, required, weight

MAX_PATHS = 100_000
"""Ways that a pattern may try from one position; more can stall on hostile text."""

UNBOUNDED = 4096
"""Characters that ``*`` and ``+`` count for: the window in which rules search."""

_STAND_IN = 0xE000
"""First of the private characters that stand for the lists a pattern names."""

_GAP = r" \s "
"""What a gap is for the letters: words end before it and begin after it."""

_BREAK = r"[\s,;:'\"()*/_-]"
_WORD = r"[^\s,;:\"()*/_.!?-]++"
_TOKEN = re.compile(
    r" ?\{gap:(?P<gap>\d{1,2})\} ?|\{(?P<name>[a-z][a-z_]*)\}|(?P<space> )(?P<may>\?)?"
    r"|(?P<times>[?*+]|\{\d*,?\d*\})|(?P<open>\((?:\?P?[<=!:>]+)?)|(?P<close>\))|(?P<or>\|)"
    r"|(?P<keep>\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|[.^$])|(?P<other>.)",
    re.DOTALL,
)


class PatternError(ValueError):
    """A pattern that cannot be used, with the reason in words."""


class Vocabulary:
    """What patterns may name: ``sets`` of words and phrases, and ``parts``, which are lists of patterns."""

    def __init__(
        self,
        sets: Mapping[str, Sequence[str]] | None = None,
        parts: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self._sets = {name: [plain(word).text for word in words] for name, words in (sets or {}).items()}
        self._parts = dict(parts or {})
        self._expressions: dict[str, str] = {}
        self._pieces: dict[tuple[str, bool], Group] = {}
        self._compiled: dict[str, re.Pattern[str]] = {}

    def expression(self, name: str, within: tuple[str, ...] = ()) -> str:
        """Return the regular expression for ``{name}``; PatternError if there is none, or it names itself."""
        if name not in self._expressions:
            if name in within:
                raise PatternError(f"names '{name}' within itself")
            if name in self._sets:
                self._expressions[name] = words(self._sets[name])
            elif name in self._parts:
                parts = (expression(part, self, (*within, name)) for part in self._parts[name])
                self._expressions[name] = f"(?:{'|'.join(parts)})"
            else:
                known = ", ".join(sorted([*self._sets, *self._parts])) or "none"
                raise PatternError(f"names the unknown list '{name}'; known: {known}")
        return self._expressions[name]

    def compiled(self, source: str) -> re.Pattern[str]:
        """Return the pattern for whole words of folded text, compiled once; PatternError if it is none."""
        if source not in self._compiled:
            self._compiled[source] = compile_raw(rf"(?<!\w)(?:{expression(source, self)})(?!\w)")
        return self._compiled[source]

    def pieces(self, name: str, *, begins_word: bool) -> Group:
        """Return pieces of which a match of ``{name}`` has one; empty if nothing is certain.

        ``begins_word`` says that what comes before is no letter, which makes short pieces tell more.
        """
        key = (name, begins_word)
        if key not in self._pieces:
            if name in self._sets:
                groups = [frozenset([_longest(word)]) for word in self._sets[name]]
            else:
                found = (needs(part, self, begins_word=begins_word) for part in self._parts[name])
                groups = [max(groups, key=weight, default=frozenset()) for groups in found]
            self._pieces[key] = frozenset().union(*groups) if all(groups) else frozenset()
        return self._pieces[key]


def expression(source: str, vocabulary: Vocabulary, within: tuple[str, ...] = ()) -> str:
    """Return the regular expression that a pattern stands for; PatternError if it names what is not there."""
    parts: list[str] = []
    for token in _TOKEN.finditer(source):
        if token["gap"]:
            parts.append(f"{_BREAK}++(?:{_WORD}{_BREAK}++){{0,{token['gap']}}}?")
        elif token["name"]:
            parts.append(vocabulary.expression(token["name"], within))
        elif token["space"]:
            parts.append(f"{_BREAK}{'*+' if token['may'] else '++'}")
        else:
            parts.append(_folded(token[0], is_literal=token["other"] is not None))
    return "".join(parts)


def needs(source: str, vocabulary: Vocabulary, *, begins_word: bool = True) -> list[Group]:
    """Return groups of pieces: a match has one of each. What is uncertain is left out."""
    stand_ins: dict[str, Group] = {}
    parts = [" " if begins_word else ""]
    for token in _TOKEN.finditer(source):
        if token["name"]:
            parts.append(chr(_STAND_IN + len(stand_ins)))
            stand_ins[parts[-1]] = vocabulary.pieces(token["name"], begins_word=parts[-2:-1] in ([" "], [_GAP]))
        elif token["gap"]:
            parts.append(_GAP)
        elif token["may"]:
            parts.append(r"\s?")
        else:
            parts.append(_folded(token[0], is_literal=token["other"] is not None))
    return required("".join(parts), stand_ins.get)


def compile_raw(source: str) -> re.Pattern[str]:
    """Return the pattern for unfolded text; PatternError if it is none."""
    try:
        return re.compile(source)
    except re.error as error:
        raise PatternError(f"is not a regular expression: {error.msg}") from None


def check_work(source: str) -> None:
    """Refuse an expression that may stall.

    What counts is how many ways the engine may try from one position, at worst: choices multiply in sequence
    and add up in alternatives that can begin alike; what keeps its first match (atomic, possessive) adds none.
    Read from the parse tree of the ``re`` module, which has no public form.

    Raises:
        PatternError: more than ``MAX_PATHS``.
    """
    if (paths := _sequence(import_module("re._parser").parse(source))) > MAX_PATHS:
        raise PatternError(
            f"may try {paths:.0e} ways from one place and stall: give repetitions a bound such as {{1,40}}, "
            "or make them possessive (++)"
        )


def words(members: Sequence[str]) -> str:
    """Return the expression for any of these folded words and phrases, the longest first."""
    ordered = sorted(set(members), key=lambda word: (-len(word), word))
    return rf"(?<!\w)(?>{'|'.join(map(_word, ordered))})(?!\w)"


def _longest(word: str) -> str:
    """Return the longest part of a word or phrase as :func:`harmless.guards.prefilter.letters` has it."""
    return max((letters(f" {part} ".partition("*")[0]) for part in word.split()), key=len)


def _word(word: str) -> str:
    escaped = _BREAK.join(re.escape(part) for part in word.split())
    return escaped.replace(r"\*", r"\w*+").replace(_BREAK, f"{_BREAK}++")


def _folded(token: str, *, is_literal: bool) -> str:
    if re.search(r"(?<!\\)[A-Z]", token.replace("(?P", "(?")):
        raise PatternError(
            f"'{token}' has upper case, and the text it meets is lower case; use view: raw for that"
        )
    if token.startswith("[") and re.search(r"[^\x00-\x7f]-|-[^\x00-\x7f]", token):
        raise PatternError(f"'{token}' has a range outside ASCII, whose ends would be folded; use \\w")
    folded = "".join(c if c.isascii() else plain(c).text for c in token)
    return re.escape(folded) if is_literal and not token.isascii() else folded


def _sequence(items: Any) -> int:
    return math.prod(_node(str(kind), value) for kind, value in items)


def _alternatives(branches: Sequence[Any]) -> int:
    """Return the ways of the branches that can begin with the same character, at worst."""
    ways: dict[str | None, int] = {None: 0}
    for branch in branches:
        for start in _starts(branch) or {None}:
            ways[start] = ways.get(start, 0) + _sequence(branch)
    return ways.pop(None) + max(ways.values(), default=0)


def _starts(items: Any) -> set[str | None]:
    """Return the characters that a match can begin with, empty if they are not known."""
    for kind, value in items:
        match str(kind):
            case "LITERAL":
                return {chr(value)}
            case "AT" | "ASSERT" | "ASSERT_NOT":
                continue
            case "SUBPATTERN" | "ATOMIC_GROUP":
                return _starts(value if str(kind) == "ATOMIC_GROUP" else value[-1])
            case "BRANCH":
                starts = [_starts(branch) for branch in value[1]]
                return set().union(*starts) if all(starts) else set()
            case _:
                return set()
    return set()


def _node(kind: str, value: Any) -> int:
    inner: int
    match kind:
        case "MAX_REPEAT" | "MIN_REPEAT":
            low, high = int(value[0]), min(int(value[1]), UNBOUNDED)
            inner = _sequence(value[2])
            if inner == 1:
                return max(high - low + 1, 1)
            # The sum of inner**k; past the limit the exact number says nothing more.
            ways: int = sum(inner**times for times in range(low, min(high, low + 64) + 1))
            return min(ways, 10**30)
        case "POSSESSIVE_REPEAT" | "ATOMIC_GROUP" | "ASSERT" | "ASSERT_NOT":
            inner = _sequence(value if kind == "ATOMIC_GROUP" else value[-1])
            return inner if inner > MAX_PATHS else 1
        case "SUBPATTERN":
            return _sequence(value[-1])
        case "BRANCH":
            return _alternatives(value[1])
        case "GROUPREF_EXISTS":
            return sum(_sequence(branch) for branch in value[1:] if branch is not None)
    return 1
