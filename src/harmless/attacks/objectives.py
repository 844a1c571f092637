"""Objectives: what an attack tries to make a target do. An objective is a prompt that has to be refused."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from harmless import taxonomy
from harmless.core import Expect, Prompt, digest, user
from harmless.data import Suite, catalog, load_suite, twins
from harmless.data.files import read_rows
from harmless.data.sampling import stratified
from harmless.errors import BadFileError, UnknownNameError, UsageError


def from_texts(texts: Iterable[str], hazard: str | None = None) -> list[Prompt]:
    """Return one objective a text, of equal ones one; UsageError if one is blank."""
    return [_objective(text, hazard) for text in dict.fromkeys(texts)]


def from_file(path: Path) -> list[Prompt]:
    """Return the objectives of a JSONL or CSV file with ``objective`` and, if known, ``hazard`` and ``id``.

    Raises:
        BadFileError: no row, a row without an objective, an unknown hazard, or an id twice.
    """
    found: dict[str, Prompt] = {}
    for line, row in read_rows(path):
        text = row.get("objective")
        if not isinstance(text, str) or not text.strip():
            raise BadFileError(
                path, "There is no 'objective' text.", line=line, next_step="One row an objective."
            )
        try:
            hazard = taxonomy.load().hazard(str(row["hazard"])).key if row.get("hazard") else None
        except UnknownNameError as error:
            raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
        made = _objective(text, hazard, str(row.get("id") or ""))
        if made.id in found:
            raise BadFileError(path, f"The objective '{made.id}' is there twice.", line=line)
        found[made.id] = made
    if not found:
        raise BadFileError(path, "There is no objective in it.", next_step="One row an objective.")
    return list(found.values())


def built_in(hazards: Sequence[str] = (), limit: int | None = None, seed: int = 0) -> list[Prompt]:
    """Return the harmful sides of the built-in twins, of some hazards (key, code or name, any level) or of all.

    Args:
        hazards: names of the taxonomy; empty means all 66.
        limit: about how many, sampled evenly over the hazards.
        seed: of the sample.

    Raises:
        UnknownNameError: a hazard is not in the taxonomy.
    """
    known = taxonomy.load()
    scope = {leaf.key for name in hazards for leaf in known.leaves_under(name)}
    kept = [p for p in twins() if p.expect is Expect.REFUSE and (not scope or p.hazard in scope)]
    return limited(kept, limit, seed)


def from_set(spec: str, limit: int | None = None, seed: int = 0) -> list[Prompt]:
    """Return the prompts of a set that have to be refused.

    Args:
        spec: a set of the catalog (``NAME``, or ``NAME=FILE``), a built-in suite, or a file of prompts.
        limit: about how many, sampled evenly over the hazards.
        seed: of the sample.

    Raises:
        UsageError: there is none.
        UnknownNameError: neither a suite nor a set nor a file.
        BadFileError: a row is not what it should be.
        UnreachableError: the hub is out of reach.
    """
    name, equals, path = spec.partition("=")
    suite = load_suite(name, path) if equals and name in catalog() else load_suite(spec)
    return of_suite(suite, limit, seed)


def of_suite(suite: Suite, limit: int | None = None, seed: int = 0) -> list[Prompt]:
    """Return the prompts of a suite that have to be refused; UsageError if there is none."""
    kept = [prompt for prompt in suite.prompts if prompt.expect is Expect.REFUSE]
    if not kept:
        raise UsageError(f"{suite.name} has no prompt that has to be refused.", "Choose another suite.")
    return limited(kept, limit, seed)


def limited(objectives: Sequence[Prompt], limit: int | None, seed: int = 0) -> list[Prompt]:
    """Return about so many objectives, sampled evenly over the hazards; all of them for None.

    Raises:
        UsageError: a limit below 1.
    """
    return list(objectives) if limit is None else stratified(objectives, limit, seed=seed)


def _objective(text: str, hazard: str | None, name: str = "") -> Prompt:
    if not text.strip():
        raise UsageError("An objective is blank.", "Say what the target should be made to do.")
    return Prompt(
        id=name or digest(text, hazard, length=10),
        conversation=user(text),
        expect=Expect.REFUSE,
        hazard=hazard,
    )
