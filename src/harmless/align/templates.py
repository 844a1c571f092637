"""Good refusals from templates written by us: an opening, a reason that fits the hazard, a safe way on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources

import yaml

from harmless import taxonomy
from harmless.core import digest
from harmless.core.model import Model

GENERAL = "general"


class Family(Model):
    """The parts of refusals for some hazards; ``openings`` of its own, or those that all families share."""

    hazards: tuple[str, ...]
    openings: tuple[str, ...] = ()
    reasons: tuple[str, ...]
    ways: tuple[str, ...]

    @property
    def danger(self) -> bool:
        """Whether somebody may be in danger: then it opens with care, and each of its ways names help."""
        return bool(self.openings)


class Templates(Model):
    """Families by name; every refusal of a family is one of its openings, reasons and ways, joined.

    ``everywhere`` is one refusal that fits them all.
    """

    openings: tuple[str, ...]
    everywhere: str
    families: Mapping[str, Family]

    def family(self, hazard: str | None) -> str:
        """Return the name of the family for a hazard: that of its leaf, else of what is above, else general."""
        if hazard:
            hazards = taxonomy.load()
            chain = (hazards.hazard(hazard), *hazards.ancestors(hazard))
            for key in (each.key for each in chain):
                for name, family in self.families.items():
                    if key in family.hazards:
                        return name
        return GENERAL

    def refusal(self, hazard: str | None, prompt: str, seed: int = 0, openings: int | None = None) -> str:
        """Return the refusal of a prompt; the same for the same prompt and seed, whatever else is asked.

        ``openings`` takes only the first so many of the family's openings.
        """
        rng = random.Random(digest(prompt, seed))
        family = self.families[self.family(hazard)]
        opening = rng.choice((family.openings or self.openings)[:openings])
        return _joined(opening, rng.choice(family.reasons), rng.choice(family.ways))

    def refusals(self, name: str) -> Iterator[str]:
        """Yield every refusal of a family."""
        family = self.families[name]
        for opening in family.openings or self.openings:
            for reason in family.reasons:
                for way in family.ways:
                    yield _joined(opening, reason, way)


@cache
def load() -> Templates:
    """Return the templates that are shipped."""
    text = resources.files(__package__).joinpath("templates.yaml").read_text(encoding="utf-8")
    return Templates.model_validate(yaml.safe_load(text))


def _joined(opening: str, reason: str, way: str) -> str:
    return f"{opening.replace('{r}', reason)} {way}"
