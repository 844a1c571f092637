"""``harmless hazards``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.table import Table
from rich.tree import Tree

from harmless import taxonomy
from harmless.cli.console import out, print_json
from harmless.errors import BadFileError, UnknownNameError, UsageError
from harmless.taxonomy import Cell, Code, CodeList, Coverage, Crosswalk, Hazard, Link, Taxonomy


def hazards(
    *,
    tree: bool = False,
    map: str | None = None,
    coverage: str | None = None,
    taxonomies: bool = False,
    json: bool = False,
) -> None:
    """Show the 66 hazards, how they map to another taxonomy, and what a set of prompts covers.

    Args:
        tree: show domains, tasks and hazards as a tree.
        map: show the codes of this taxonomy for each hazard, such as `llama_guard_3`.
        coverage: count the prompts of a JSONL or CSV file with a column `hazard`, or of a built-in suite, over
            the hazards, or over the taxonomy of `--map`; what is not covered is named.
        taxonomies: list the taxonomies and their number of codes.
        json: print one JSON document instead of a table.
    """
    if tree + taxonomies + bool(map or coverage) > 1:
        raise UsageError(
            "--tree and --taxonomies stand alone.", "Use one of --tree, --taxonomies, --map with --coverage."
        )
    if taxonomies:
        _taxonomies(json)
    elif coverage:
        _coverage(taxonomy.coverage(_labels(coverage), map or taxonomy.SPINE), json)
    elif map:
        _mapping(taxonomy.crosswalk(map), json)
    else:
        _hazards(tree, json)


def _hazards(tree: bool, json: bool) -> None:
    spine = taxonomy.load()
    if json:
        rows = [
            {"id": each.key, "level": each.level.value, **each.model_dump(exclude={"key"})}
            for each in spine.hazards
        ]
        print_json({"taxonomy": spine.id, "version": spine.version, "source": spine.source, "hazards": rows})
    else:
        out.print(_tree(spine) if tree else _table(spine))


def _table(spine: Taxonomy) -> Table:
    counts = f"{len(spine.leaves)} hazards in {len(spine.tasks)} tasks and {len(spine.domains)} domains"
    title = f"{counts} ({spine.name})"
    table = Table("hazard", "name", "task", title=title, title_justify="left")
    for domain in spine.domains:
        table.add_section()
        table.add_row(f"[bold]{domain.key}", f"[bold]{domain.name}", "")
        for task in spine.children(domain.key):
            for leaf in spine.children(task.key):
                table.add_row(leaf.key, leaf.name, task.name)
    return table


def _tree(spine: Taxonomy) -> Tree:
    root = Tree(f"[bold]{spine.name}[/]: {len(spine.leaves)} hazards")
    for domain in spine.domains:
        branch = root.add(f"[bold]{domain.name}[/] [dim]{domain.key}, {domain.category_count}")
        for task in spine.children(domain.key):
            twig = branch.add(f"{task.name} [dim]{task.key}, {task.category_count}")
            for leaf in spine.children(task.key):
                twig.add(f"{leaf.name} [dim]{leaf.key}: {leaf.definition}")
    return root


def _taxonomies(json: bool) -> None:
    mapped = taxonomy.crosswalks()
    every = [taxonomy.taxonomy(id) for id in taxonomy.taxonomies()]
    if json:
        rows = [
            {
                **each.model_dump(include={"id", "name", "version", "source"}),
                "codes": len(each.codes),
                "mapped": each.id in mapped,
            }
            for each in every
        ]
        print_json({"taxonomies": rows})
        return
    table = Table("id", "name")
    table.add_column("codes", justify="right")
    table.add_column("--map")
    for each in every:
        table.add_row(each.id, each.name, str(len(each.codes)), "yes" if each.id in mapped else "")
    out.print(table)


def _mapping(walk: Crosswalk, json: bool) -> None:
    target = taxonomy.taxonomy(walk.taxonomy)
    rows = [(leaf, walk.to(leaf.key)) for leaf in taxonomy.load().leaves]
    unreached = [each for each in target.codes if not walk.back(each.code)]
    if json:
        print_json(_mapping_document(walk, target, rows, unreached))
        return
    table = Table("hazard", "name", "code", "", "relation", title=target.name, title_justify="left")
    for leaf, links in rows:
        codes = [(link.code, target.code(link.code).name, link.relation.value) for link in links]
        first, *rest = codes or [("-", "", "none")]
        table.add_row(leaf.key, leaf.name, *first)
        for code in rest:
            table.add_row("", "", *code)
    out.print(table)
    out.print(f"The relation says how the code stands to the hazard. Basis: {escape(walk.basis)}.")
    _name("Hazards it does not cover", (leaf.label for leaf, links in rows if not links))
    _name("Codes no hazard leads to", (f"{each.code} {each.name}" for each in unreached))


def _mapping_document(
    walk: Crosswalk, target: CodeList, rows: list[tuple[Hazard, tuple[Link, ...]]], unreached: list[Code]
) -> dict[str, Any]:
    return {
        "taxonomy": target.id,
        "name": target.name,
        "version": target.version,
        "basis": walk.basis,
        "hazards": [
            {
                "id": leaf.key,
                "name": leaf.name,
                "codes": [
                    {"code": link.code, "name": target.code(link.code).name, "relation": link.relation.value}
                    for link in links
                ],
                "note": walk.notes.get(leaf.key),
            }
            for leaf, links in rows
        ],
        "uncovered": list(walk.uncovered),
        "unreached": [each.code for each in unreached],
    }


def _labels(suite: str) -> Iterator[str | None]:
    """Yield the hazard of each prompt of a built-in suite or a file."""
    from harmless.data.files import read_rows
    from harmless.data.suites import BUILTIN, load_suite

    if suite in BUILTIN:
        yield from (prompt.hazard for prompt in load_suite(suite).prompts)
        return
    path, labelled = Path(suite), False
    for line, row in read_rows(path):
        given = row.get("hazard")
        labelled |= bool(given)
        try:
            yield taxonomy.load().hazard(str(given)).key if given else None
        except UnknownNameError as error:
            raise BadFileError(path, error.message, line=line, next_step=error.next_step) from None
    if not labelled:
        raise BadFileError(path, "No row has a hazard.", next_step="Name the column with the key 'hazard'.")


def _coverage(found: Coverage, json: bool) -> None:
    if json:
        document = found.model_dump(mode="json")
        named = {"uncovered": found.uncovered, "uncertain": found.uncertain}
        print_json(document | {name: [cell.code for cell in cells] for name, cells in named.items()})
        return
    covered = sum(1 for cell in found.cells if cell.count)
    title = f"{found.prompts} prompts over {found.taxonomy}: {covered} of {len(found.cells)} covered"
    table = Table("", "name", title=title, title_justify="left")
    table.add_column("prompts", justify="right")
    if found.level is None:
        table.add_column("and perhaps", justify="right")
    for cell in found.cells:
        counts = [cell.count] if found.level else [cell.count, cell.possible]
        table.add_row(cell.code, cell.name, *(str(count) if count else "-" for count in counts))
    out.print(table)
    _name("Not covered", _titles(cell for cell in found.uncovered if cell.reachable))
    _name("Not covered, and no hazard leads there", _titles(c for c in found.uncovered if not c.reachable))
    _name("Covered in part at best", _titles(found.uncertain))
    if found.unplaced:
        prompts, hazards = sum(found.unplaced.values()), len(found.unplaced)
        out.print(f"{prompts} prompts of {hazards} hazards fall in no cell (named by --json).")
    if found.unlabelled:
        out.print(f"{found.unlabelled} prompts have no hazard.")


def _titles(cells: Iterable[Cell]) -> Iterator[str]:
    return (f"{cell.code} {cell.name}" if cell.code != cell.name else cell.code for cell in cells)


def _name(what: str, names: Iterable[str]) -> None:
    """Print what there is under a heading, and nothing if there is nothing."""
    listed = list(names)
    if listed:
        out.print(f"[bold]{what} ({len(listed)}):[/] " + escape("; ".join(listed)))
