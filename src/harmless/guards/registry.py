"""Find guards by name: ``registry.yaml`` for ours, the entry-point group ``harmless.guards`` for others'."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module, resources
from importlib.metadata import EntryPoint, entry_points
from operator import attrgetter
from typing import cast

import yaml

from harmless.core.model import Model
from harmless.core.policy import Policy
from harmless.core.protocols import Guard
from harmless.errors import MissingExtraError, UnknownNameError, UsageError

GROUP = "harmless.guards"


class GuardEntry(Model):
    """What is known of a guard before it is imported.

    ``make`` is ``module:function``; ``extra`` names the optional dependencies it needs, None for the core;
    ``origin`` is the distribution that brings it.
    """

    name: str
    make: str
    summary: str = ""
    extra: str | None = None
    origin: str = "harmless"


def names() -> list[str]:
    """Return the names of all guards that :func:`load` knows, sorted."""
    return sorted(_entries())


def describe() -> list[GuardEntry]:
    """Return one entry a guard, sorted by name; nothing of a guard is imported."""
    return [entry for _, entry in sorted(_entries().items())]


def load(spec: str, policy: Policy | None = None) -> Guard:
    """Return the guard that ``spec`` names.

    Args:
        spec: a name, or a name with arguments: ``rules``, ``rules(mine.yaml)``. Commas separate arguments,
            brackets inside an argument are kept, so that a guard may take guards.
        policy: handed to guards that depend on it.

    Raises:
        UnknownNameError: no guard has that name; the message suggests the nearest.
        UsageError: the spec is malformed or the guard does not take these arguments.
        MissingExtraError: the guard needs an optional package that is not installed.
    """
    name, arguments = parse(spec)
    known = _entries()
    if name not in known:
        raise UnknownNameError("guard", name, known)
    entry = known[name]
    make = _import(entry)
    signature = inspect.signature(make)
    options = {"policy": policy} if "policy" in signature.parameters else {}
    try:
        signature.bind(*arguments, **options)
    except TypeError as cause:
        raise UsageError(
            f"Guard '{spec}': {cause}.", f"It is made by {entry.make}{signature}; arguments go in brackets."
        ) from None
    return make(*arguments, **options)


def parse(spec: str) -> tuple[str, tuple[str, ...]]:
    """Split ``name(a, b(c, d))`` into ``("name", ("a", "b(c, d)"))``; UsageError if brackets do not match."""
    name, bracket, rest = spec.strip().partition("(")
    if not bracket:
        return name, ()
    if not rest.endswith(")") or not name:
        raise UsageError(f"Guard '{spec}' is malformed.", "Write a name, or name(argument, ...).")
    arguments, depth = [""], 0
    for character in rest[:-1]:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += character
    if depth:
        raise UsageError(f"Guard '{spec}' has brackets that do not match.", "Write name(argument, ...).")
    return name.strip(), tuple(a.strip() for a in arguments if a.strip())


def _import(entry: GuardEntry) -> Callable[..., Guard]:
    module, _, function = entry.make.partition(":")
    try:
        return cast("Callable[..., Guard]", attrgetter(function)(import_module(module)))
    except (ImportError, AttributeError) as cause:
        if entry.extra:
            raise MissingExtraError(f"Guard '{entry.name}'", entry.extra) from cause
        raise UsageError(
            f"Guard '{entry.name}' of {entry.origin} cannot be imported: {cause}.",
            f"Reinstall or upgrade {entry.origin}.",
        ) from cause


@functools.cache
def _entries() -> dict[str, GuardEntry]:
    # Ours win: a package that is merely installed must not replace a guard that a policy names.
    return {point.name: _third_party(point) for point in entry_points(group=GROUP)} | _built_in()


def _built_in() -> dict[str, GuardEntry]:
    text = resources.files(__package__).joinpath("registry.yaml").read_text(encoding="utf-8")
    return {name: GuardEntry(name=name, **fields) for name, fields in yaml.safe_load(text).items()}


def _third_party(point: EntryPoint) -> GuardEntry:
    origin = point.dist.name if point.dist else "unknown"
    return GuardEntry(
        name=point.name, make=f"{point.module}:{point.attr}", summary=f"from {origin}", origin=origin
    )
