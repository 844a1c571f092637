"""A constitution: principles by which replies are criticised, revised and preferred.

Bai et al., "Constitutional AI: Harmlessness from AI Feedback" (2022, arXiv:2212.08073).
"""

from __future__ import annotations

import random
from functools import cached_property
from importlib import resources
from pathlib import Path

import yaml
from pydantic import Field, ValidationError, field_validator

from harmless import taxonomy
from harmless.core import digest
from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError


class Principle(Model):
    """One principle.

    ``text`` completes "the better reply ..."; ``critique`` asks what is wrong with a reply, ``revision`` for a
    better one; ``hazards`` are the taxonomy keys it is for, none for all.
    """

    id: str
    text: str = Field(min_length=1)
    critique: str = Field(min_length=1)
    revision: str = Field(min_length=1)
    hazards: tuple[str, ...] = ()

    @field_validator("hazards")
    @classmethod
    def _are_known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        try:
            return tuple(taxonomy.load().hazard(name).key for name in names)
        except UnknownNameError as error:
            raise ValueError(f"{error}") from None

    def is_for(self, hazard: str | None) -> bool:
        """Return whether it is for prompts of a hazard: for all, or for the hazard or one above it."""
        if not self.hazards:
            return True
        if hazard is None:
            return False
        hazards = taxonomy.load()
        chain = {hazards.hazard(hazard).key, *(each.key for each in hazards.ancestors(hazard))}
        return bool(chain & set(self.hazards))


class Constitution(Model):
    """Named principles."""

    name: str
    principles: tuple[Principle, ...] = Field(min_length=1)

    @field_validator("principles")
    @classmethod
    def _have_ids(cls, principles: tuple[Principle, ...]) -> tuple[Principle, ...]:
        ids = [each.id for each in principles]
        if twice := next((name for name in ids if ids.count(name) > 1), None):
            raise ValueError(f"the id '{twice}' is there twice")
        return principles

    @cached_property
    def revision_hash(self) -> str:
        """Digest of all principles."""
        return digest(self.principles)

    def drawn(self, prompt: str, hazard: str | None, count: int, seed: int = 0) -> list[Principle]:
        """Return ``count`` principles drawn at random from those for a hazard, the same for the same prompt.

        All are different as long as there are enough.

        Raises:
            ValueError: no principle is for this hazard.
        """
        fitting = [each for each in self.principles if each.is_for(hazard)]
        if not fitting:
            raise ValueError(f"no principle is for {hazard or 'a prompt without a hazard'}")
        rng = random.Random(digest(prompt, seed))
        found: list[Principle] = []
        while len(found) < count:
            found += rng.sample(fitting, min(len(fitting), count - len(found)))
        return found


def load_constitution(path: str | Path | None = None) -> Constitution:
    """Return the constitution of a YAML file, or ours.

    Raises:
        BadFileError: the file is missing, not YAML, or no constitution; names what is wrong.
    """
    if path is None:
        text = resources.files(__package__).joinpath("constitution.yaml").read_text(encoding="utf-8")
        return Constitution.model_validate(yaml.safe_load(text))
    path = Path(path)
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
        named = {"name": path.stem, **plain} if isinstance(plain, dict) else plain
        return Constitution.model_validate(named)
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(path, f"It cannot be read: {error}.", next_step="Check the path.") from None
    except yaml.YAMLError as error:
        raise BadFileError(path, f"Not YAML: {error}.", next_step="Mend that line.") from None
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"])) or "constitution"
        raise BadFileError(
            path,
            f"{place}: {first['msg'].removeprefix('Value error, ')}.",
            next_step="Principles have id, text, critique, revision and, unless for all prompts, hazards.",
        ) from None
