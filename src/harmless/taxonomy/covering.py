"""Which cells of a taxonomy a set of prompts covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from harmless.core.model import Model
from harmless.taxonomy.codes import taxonomy
from harmless.taxonomy.hazards import SPINE, Level, as_level, load
from harmless.taxonomy.mapping import AROUND, crosswalk


class Cell(Model):
    """One hazard or code.

    ``count`` prompts surely belong to it; ``possible`` more may do, because their leaf only overlaps with the
    code or is wider. ``reachable`` is False where no leaf of the spine leads to the code at all.
    """

    code: str
    name: str
    count: int = 0
    possible: int = 0
    reachable: bool = True


class Coverage(Model):
    """Prompts counted over the cells of one taxonomy.

    ``level`` is the level of the spine, None for other taxonomies. A prompt counts in every cell that it
    belongs to, so counts need not add up to ``prompts``. ``unplaced`` maps hazard keys that lead to no cell to
    their number of prompts; ``unlabelled`` prompts have no hazard.
    """

    taxonomy: str
    level: Level | None
    prompts: int
    unlabelled: int
    unplaced: Mapping[str, int]
    cells: tuple[Cell, ...]

    @property
    def uncovered(self) -> tuple[Cell, ...]:
        """The cells that no prompt belongs to, not even possibly."""
        return tuple(cell for cell in self.cells if not cell.count and not cell.possible)

    @property
    def uncertain(self) -> tuple[Cell, ...]:
        """The cells that prompts may belong to, but none surely."""
        return tuple(cell for cell in self.cells if not cell.count and cell.possible)


def coverage(
    hazards: Iterable[str | None], taxonomy_id: str = SPINE, level: Level | str = Level.CATEGORY
) -> Coverage:
    """Count the hazards of prompts over the cells of a taxonomy.

    Args:
        hazards: one a prompt, in any form that ``Taxonomy.hazard`` accepts, or None.
        taxonomy_id: the taxonomy to count over; other than the spine it needs a crosswalk.
        level: level of the spine to count at; of no meaning to other taxonomies.

    Raises:
        UnknownNameError: an unknown hazard, taxonomy or level.
        UsageError: there is no crosswalk to the taxonomy.
    """
    names = Counter(hazards)
    unlabelled = names.pop(None, 0)
    keys: Counter[str] = Counter()
    for name, number in names.items():
        keys[load().hazard(name or "").key] += number
    spine_level = as_level(level) if taxonomy_id == SPINE else None
    cells, unplaced = _over_spine(keys, spine_level) if spine_level else _over_codes(keys, taxonomy_id)
    return Coverage(
        taxonomy=taxonomy_id,
        level=spine_level,
        prompts=names.total() + unlabelled,
        unlabelled=unlabelled,
        unplaced=unplaced,
        cells=cells,
    )


def _over_spine(keys: Counter[str], level: Level) -> tuple[tuple[Cell, ...], dict[str, int]]:
    spine = load()
    counts: Counter[str] = Counter()
    unplaced = {}
    for key, number in keys.items():
        if spine.hazard(key).level.depth < level.depth:
            unplaced[key] = number
        else:
            counts[spine.rollup(key, level).key] += number
    cells = (Cell(code=each.key, name=each.name, count=counts[each.key]) for each in spine.at(level))
    return tuple(cells), unplaced


def _over_codes(keys: Counter[str], id: str) -> tuple[tuple[Cell, ...], dict[str, int]]:
    walk = crosswalk(id)
    sure: Counter[str] = Counter()
    possible: Counter[str] = Counter()
    unplaced = {}
    for key, number in keys.items():
        links = walk.to(key)
        for link in links:
            (sure if link.relation in AROUND else possible)[link.code] += number
        if not links:
            unplaced[key] = number
    cells = (
        Cell(
            code=each.code,
            name=each.name,
            count=sure[each.code],
            possible=possible[each.code],
            reachable=bool(walk.back(each.code)),
        )
        for each in taxonomy(id).codes
    )
    return tuple(cells), unplaced
