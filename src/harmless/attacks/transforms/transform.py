"""Transforms: ways to write a text that may hide what it asks for, with their inverses, and chains of them.

``registry.yaml`` describes them: a function of this package, a table of characters (``tables.yaml``) or a frame
that the text is set in. What PyRIT calls converters and garak buffs.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Sequence
from importlib import import_module, resources
from random import Random
from typing import Any, Literal, TypeAlias

import yaml

from harmless.attacks.transforms import quoting, tables
from harmless.core.model import Model
from harmless.errors import UnknownNameError, UsageError
from harmless.guards.registry import parse

#: Texts that an inverse gives back exactly: any, printable ASCII, ``[a-z0-9 ]``, ``[a-z ]``.
Domain: TypeAlias = Literal["text", "ascii", "plain", "letters"]


class Transform(Model):
    """One way to write a text; exactly one of ``function``, ``table`` and ``frame`` says how.

    ``function`` and ``inverse`` are ``module.function`` of this package; they are given the text, random
    numbers if ``random``, and ``arguments``. ``frame`` holds ``{text}``, written as ``quote`` does.
    ``exact_on`` is where the inverse gives the text back, None where there is no inverse. ``told`` names the
    code for the reader who has to decode it, with its usual argument in brackets; it is empty where the text is
    read as it stands. ``decodes_reply``: a reply can be in the code, too.
    """

    name: str
    family: str
    function: str | None = None
    inverse: str | None = None
    table: str | None = None
    frame: str | None = None
    quote: Literal["none", "json", "xml", "csv", "comment"] = "none"
    random: bool = False
    exact_on: Domain | None = None
    told: str = ""
    decodes_reply: bool = False
    arguments: tuple[str, ...] = ()

    @property
    def spec(self) -> str:
        """The name with its arguments."""
        return f"{self.name}({', '.join(self.arguments)})" if self.arguments else self.name

    @property
    def code(self) -> str:
        """What the reader is told of the code, with the arguments."""
        return f"{self.told.partition(' (')[0]} ({', '.join(self.arguments)})" if self.arguments else self.told

    def apply(self, text: str, rng: Random) -> str:
        """Return the text in its new form; never empty unless the text is blank."""
        if self.table:
            return tables.written(self.table, text)
        if self.frame:
            return self.frame.replace("{text}", quoting.QUOTES[self.quote][0](text))
        extra = (rng,) if self.random else ()
        return str(_function(self.function or "")(text, *extra, *self.arguments))

    def undo(self, text: str) -> str:
        """Return what :meth:`apply` was given; ValueError if that cannot be known from ``text``."""
        if self.exact_on is None:
            raise ValueError(f"{self.name} has no inverse")
        if self.table:
            return tables.read(self.table, text)
        if self.frame:
            before, after = self.frame.split("{text}")
            if not (text.startswith(before) and text.endswith(after)):
                raise ValueError(f"not in the frame {self.name}")
            return quoting.QUOTES[self.quote][1](text[len(before) : len(text) - len(after)])
        return str(_function(self.inverse or "")(text, *self.arguments))


class Chain(Model):
    """Transforms one after the other, the first one first."""

    steps: tuple[Transform, ...]

    @property
    def spec(self) -> str:
        """The transforms, separated by commas."""
        return ", ".join(step.spec for step in self.steps)

    @property
    def random(self) -> bool:
        """Whether applying it again gives another text."""
        return any(step.random for step in self.steps)

    @property
    def codes(self) -> tuple[Transform, ...]:
        """The steps that a reader has to decode."""
        return tuple(step for step in self.steps if step.told)

    @property
    def decodes_reply(self) -> bool:
        """Whether a reply in the same codes can be read."""
        return bool(self.codes) and all(step.decodes_reply for step in self.codes)

    def apply(self, text: str, rng: Random) -> str:
        """Return the text after all steps."""
        return functools.reduce(lambda done, step: step.apply(done, rng), self.steps, text)

    def undo(self, text: str) -> str:
        """Return the text before all steps; ValueError if that cannot be known from ``text``."""
        return functools.reduce(lambda done, step: step.undo(done), reversed(self.steps), text)

    def instructed(self, text: str, rng: Random, *, reply: bool = False) -> str:
        """Return the text after all steps and, where there is a code, what the reader has to do with it.

        Args:
            text: what is asked for.
            rng: for steps that need random numbers.
            reply: ask for a reply in the same code.
        """
        done = self.apply(text, rng)
        if not self.codes:
            return done
        words = _words()["reply" if reply else "instruction"]
        codes = _words()["then"].join(step.code for step in self.codes)
        return str(words).replace("{codes}", codes).replace("{text}", done)

    def decoded(self, reply: str, *, asked: bool = False) -> str:
        """Return the reply in plain text: as it stands or decoded, whichever has more common words in it.

        What cannot be decoded as a whole is tried line by line, since models write around their codes.

        Args:
            reply: what the target replied.
            asked: the reply was asked for in the code, which decides where neither reads better.
        """
        codes = Chain(steps=self.codes)
        try:
            found = codes.undo(reply.strip())
        except ValueError:
            found = "\n".join(codes._line(line) for line in reply.split("\n"))
        better = _legible(found) - _legible(reply)
        return found if better > 0 or (asked and better == 0) else reply

    def _line(self, line: str) -> str:
        try:
            return self.undo(line.strip()) if line.strip() else line
        except ValueError:
            return line


def names() -> list[str]:
    """Return the names of all transforms, in the registry's order."""
    return list(_registry())


def transform(spec: str) -> Transform:
    """Return the transform that ``spec`` names: a name, or a name with arguments as in ``caesar(5)``.

    Raises:
        UnknownNameError: no transform has that name.
        UsageError: it does not take these arguments.
    """
    name, arguments = parse(spec)
    known = _registry()
    if name not in known:
        raise UnknownNameError("transform", name, known)
    found = known[name].model_copy(update={"arguments": arguments})
    _check(found)
    return found


def chain(specs: Sequence[str]) -> Chain:
    """Return the chain of these transforms; raises as :func:`transform` does, UsageError if there is none."""
    if not specs:
        raise UsageError("Which transform?", f"Name at least one of: {', '.join(names())}.")
    return Chain(steps=tuple(map(transform, specs)))


def _check(found: Transform) -> None:
    """Let wrong arguments show before a run starts."""
    if not found.arguments:
        return
    if found.function is None:
        raise UsageError(f"The transform '{found.name}' takes no arguments.", f"Write '{found.name}'.")
    signature = inspect.signature(_function(found.function))
    try:
        signature.bind("", *((None,) if found.random else ()), *found.arguments)
        found.apply("Abc", Random(0))
    except (TypeError, ValueError) as error:
        raise UsageError(f"The transform '{found.spec}': {error}.", f"It is {found.name}{signature}.") from None


def _legible(text: str) -> float:
    """Return the share of a text's words that are common ones."""
    found = re.findall(r"[a-z]+", text.lower())
    return sum(word in _common() for word in found) / max(len(found), 1)


@functools.cache
def _common() -> frozenset[str]:
    return frozenset(_words()["common"].split())


@functools.cache
def _function(name: str) -> Callable[..., str]:
    module, _, function = name.partition(".")
    found: Callable[..., str] = getattr(import_module(f"{__package__}.{module}"), function)
    return found


@functools.cache
def _words() -> dict[str, Any]:
    return _loaded("words.yaml")


@functools.cache
def _registry() -> dict[str, Transform]:
    return {name: Transform(name=name, **fields) for name, fields in _loaded("registry.yaml").items()}


def _loaded(name: str) -> dict[str, Any]:
    text = resources.files(__package__).joinpath(name).read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
