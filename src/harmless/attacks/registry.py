"""Find attacks by spec: ``registry.yaml`` for ours, the entry-point group ``harmless.attacks`` for others'."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from importlib import import_module, resources
from importlib.metadata import entry_points
from operator import attrgetter
from typing import Any, cast

import yaml

from harmless.attacks.contract import Attack
from harmless.core.model import Model
from harmless.errors import MissingExtraError, UnknownNameError, UsageError
from harmless.guards.registry import parse

GROUP = "harmless.attacks"


class AttackEntry(Model):
    """What is known of an attack before it is imported; ``make`` is ``module:function``."""

    name: str
    make: str
    summary: str = ""
    extra: str | None = None


def describe() -> list[AttackEntry]:
    """Return one entry an attack, in the registry's order; nothing of an attack is imported."""
    return list(_entries().values())


def load(spec: str) -> Attack:
    """Return the attack that ``spec`` names: a name, or a name with arguments, as in ``best_of_n(0.4)``.

    Raises:
        UnknownNameError: no attack has that name; the message suggests the nearest.
        UsageError: the spec is malformed or the attack does not take these arguments.
        MissingExtraError: the attack needs an optional package that is not installed.
    """
    try:
        name, arguments = parse(spec)
    except UsageError as error:
        raise UsageError(f"Attack '{spec}' has brackets that do not match.", error.next_step) from None
    known = _entries()
    if name not in known:
        raise UnknownNameError("attack", name, known)
    make = _import(known[name])
    signature = inspect.signature(make)
    try:
        signature.bind(*arguments)
    except TypeError as cause:
        raise UsageError(
            f"Attack '{spec}': {cause}.",
            f"It is made by {known[name].make}{signature}; arguments go in brackets.",
        ) from None
    return make(*arguments)


def _import(entry: AttackEntry) -> Callable[..., Attack]:
    module, _, function = entry.make.partition(":")
    try:
        return cast("Callable[..., Attack]", attrgetter(function)(import_module(module)))
    except (ImportError, AttributeError) as cause:
        if entry.extra:
            raise MissingExtraError(f"Attack '{entry.name}'", entry.extra) from cause
        raise UsageError(
            f"Attack '{entry.name}' cannot be imported: {cause}.", "Reinstall the package that brings it."
        ) from cause


@functools.cache
def _entries() -> dict[str, AttackEntry]:
    text = resources.files(__package__).joinpath("registry.yaml").read_text(encoding="utf-8")
    entries: dict[str, dict[str, Any]] = yaml.safe_load(text)
    ours = {name: AttackEntry(name=name, **fields) for name, fields in entries.items()}
    # Ours win: a package that is merely installed must not replace an attack that a campaign names.
    others = (point for point in entry_points(group=GROUP) if point.name not in ours)
    return ours | {point.name: AttackEntry(name=point.name, make=point.value) for point in others}
