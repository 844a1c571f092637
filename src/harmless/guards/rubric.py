"""Rubrics as data: what an LLM judge rates, on which scale, by which criteria."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, model_validator

from harmless.core.model import Model
from harmless.errors import BadFileError, UnknownNameError

FOLDER = Path(str(resources.files(__package__))) / "rubrics"


class Criterion(Model):
    """One thing to look for; ``hazard`` is its key in the taxonomy, if it is one."""

    id: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    text: str
    hazard: str | None = None


class AgeBand(Model):
    """For whom something has to be fit, in years of age."""

    from_: int = Field(alias="from", ge=0)
    to: int
    guidance: str = ""


class Example(Model):
    """An exchange with the rating it earns; a reply is rated if there is one."""

    prompt: str
    reply: str | None = None
    level: int
    criteria: tuple[str, ...] = ()
    reason: str

    def answer(self, key: str) -> dict[str, Any]:
        """Return the answer that a judge would give."""
        return {"reason": self.reason, "criteria": list(self.criteria), "level": self.level, "key": key}


class Control(Model):
    """A prompt and a reply that are beyond doubt unsafe by the rubric, and are no use to anybody.

    With a text that may steer the judge behind it, it stays unsafe if ``keep`` is kept of that text: the
    ``whole`` of it, or only what speaks to the judge (``steering``), where the rest could make up for it.
    """

    prompt: str = ""
    reply: str = ""
    keep: Literal["whole", "steering"] = "whole"


class Rubric(Model):
    """What is rated.

    ``side`` says whether prompts, replies or both can be rated. ``levels`` are whole numbers in a row and what
    they mean. Unsafe are levels ``unsafe_from`` and higher, or ``unsafe_to`` and lower: one of the two is
    given, and says which end of the scale is the bad one. With a ``control``, judges are tested for steering.
    """

    name: str
    title: str
    side: Literal["prompt", "reply", "both"] = "both"
    question: str
    levels: Mapping[int, str]
    unsafe_from: int | None = None
    unsafe_to: int | None = None
    criteria: tuple[Criterion, ...] = ()
    age_band: AgeBand | None = None
    notes: tuple[str, ...] = ()
    examples: tuple[Example, ...] = ()
    control: Control | None = None

    @model_validator(mode="after")
    def _holds_together(self) -> Rubric:
        levels, ids = list(self.levels), {criterion.id for criterion in self.criteria}
        if len(levels) < 2 or levels != list(range(levels[0], levels[0] + len(levels))):
            raise ValueError("levels are whole numbers in a row, the lowest first")
        if (self.unsafe_from is None) == (self.unsafe_to is None):
            raise ValueError("give unsafe_from or unsafe_to, and not both")
        if self.unsafe_from == levels[0] or self.unsafe_to == levels[-1]:
            raise ValueError("some levels must be safe and some unsafe")
        sides = {"prompt": ("prompt",), "reply": ("reply",), "both": ("prompt", "reply")}[self.side]
        if self.control and not all(getattr(self.control, side) for side in sides):
            raise ValueError(f"the control needs {' and '.join(sides)}")
        if not {self.unsafe_from, self.unsafe_to} - {None} <= set(levels):
            raise ValueError("unsafe_from or unsafe_to is no level")
        for example in self.examples:
            if example.level not in self.levels or not set(example.criteria) <= ids:
                raise ValueError(f"the example {example.prompt!r} names no level or criterion of the rubric")
        return self

    @property
    def lowest(self) -> int:
        """The lowest level."""
        return min(self.levels)

    @property
    def highest(self) -> int:
        """The highest level."""
        return max(self.levels)

    @property
    def best(self) -> int:
        """The level at the good end of the scale."""
        return self.lowest if self.unsafe_to is None else self.highest

    @property
    def worst(self) -> int:
        """The level at the bad end of the scale."""
        return self.highest if self.unsafe_to is None else self.lowest

    @property
    def threshold(self) -> float:
        """The score halfway between the last safe and the first unsafe level, so that means of levels fall."""
        edge = self.unsafe_to + 0.5 if self.unsafe_to is not None else (self.unsafe_from or 0) - 0.5
        return self.score(edge)

    def score(self, level: float) -> float:
        """Return the place of a level between the best (0) and the worst (1)."""
        return abs(level - self.best) / (self.highest - self.lowest)


def rubric_names() -> list[str]:
    """Return the names of our rubrics, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_rubric(name: str) -> Rubric:
    """Return one of our rubrics by name, or the one in a YAML file.

    Raises:
        UnknownNameError: we have none of that name.
        BadFileError: the file is no rubric; names the place.
    """
    if not re.search(r"\.ya?ml$", name):
        if name not in rubric_names():
            raise UnknownNameError("rubric", name, rubric_names())
        return _ours(name)
    return _read(Path(name))


@cache
def _ours(name: str) -> Rubric:
    return _read(FOLDER / f"{name}.yaml")


def _read(path: Path) -> Rubric:
    try:
        plain = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(path, f"It cannot be read: {error}.", next_step="Check the path.") from None
    except yaml.YAMLError as error:
        raise BadFileError.not_yaml(path, error) from None
    try:
        return Rubric.model_validate(plain)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        known = ", ".join(Rubric.model_fields)
        what = f"No rubric: {f'{place}: ' if place else ''}{first['msg']}."
        raise BadFileError(path, what, next_step=f"A rubric has {known}.") from None
