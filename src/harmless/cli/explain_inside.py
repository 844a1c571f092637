"""``harmless explain inside``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.cli.console import err, out, print_json
from harmless.cli.options import AMOUNT, COUNT
from harmless.data.suites import load_suite
from harmless.explain.inside import Inside, look_inside
from harmless.report.inside import inside_finding, inside_page
from harmless.report.sections import write_page

#: Layers that the table has at most; the page has all.
SHOWN = 12


def inside(
    target: str,
    /,
    *,
    data: str = "standard",
    limit: Annotated[int | None, COUNT] = None,
    against: str | None = None,
    steer: Annotated[int, AMOUNT] = 16,
    out_: Annotated[Path | None, Parameter(name="--out")] = None,
    json: bool = False,
) -> None:
    """Look into the layers of a model: what they hold of harm, refusal and truth, and what steers refusal.

    Fits a linear probe at every layer, tries the refusal direction, and reads the logit lens. Nothing that is
    fitted is kept. Needs the extras hf and train.

    Args:
        target: embedded, hf:FOLDER, or a folder of a model or adapter.
        data: harmful and benign prompts: a suite, a set of the catalog, or a file with a column expect.
        limit: so many of them at most; pairs stay together.
        against: the model that this one was made of; shows which layers the training changed.
        steer: harmful and benign prompts on which the direction is tried; 0 leaves it and the lens out.
        out_: write inside.html into this folder.
        json: print one JSON document instead of tables.
    """
    from harmless.targets.local import open_model

    suite = load_suite(data)
    suite = suite if limit is None else suite.limited(limit)
    local = open_model(target)
    total = len(suite.prompts)
    with err.status("Reading states ...") as status:
        found = look_inside(
            local,
            suite.prompts,
            suite.name,
            steered=steer,
            against=(lambda: open_model(against)) if against else None,
            observe=lambda count: status.update(f"Reading states: {count} of {total} prompts"),
        )
    if out_:
        err.print(f"Wrote {write_page(inside_page(found), out_, 'inside')}")
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _show(found)


def _show(found: Inside) -> None:
    out.print(f"[bold]{escape(found.target)}[/] on {escape(found.data)}")
    out.print(inside_finding(found))
    layers = sorted({round(i * found.layers / (SHOWN - 1)) for i in range(SHOWN)})
    table = Table("AUROC at layer", *map(str, layers))
    for each in found.probes:
        cells = [f"{each.auroc[i]:.2f}" for i in layers] if each.auroc else ["-"] * len(layers)
        table.add_row(each.property, *cells)
    out.print(table)
    if found.direction:
        table = Table(title=f"Direction of layer {found.direction.layer}", title_justify="left")
        table.add_column("what is done")
        for column in ("log-odds harmful", "benign", "refused harmful", "benign"):
            table.add_column(column, justify="right")
        for effect in found.direction.effects:
            table.add_row(
                effect.what,
                f"{effect.harmful:+.2f}",
                f"{effect.benign:+.2f}",
                f"{effect.harmful_refused:.0%}",
                f"{effect.benign_refused:.0%}",
            )
        out.print(table)
    if found.lens:
        difference = [a - b for a, b in zip(found.lens.harmful, found.lens.benign, strict=True)]
        table = Table("logit lens at layer", *map(str, layers))
        table.add_row("harmful less benign", *(f"{difference[i]:+.1f}" for i in layers))
        table.add_row("likeliest token", *(escape(repr(found.lens.tokens[i])) for i in layers))
        out.print(table)
    if found.changed:
        table = Table(f"changed from {escape(found.changed.against)} at layer", *map(str, layers[1:]))
        table.add_row("weights", *(f"{found.changed.weights[i - 1]:.1%}" for i in layers[1:]))
        table.add_row("states", *(f"{found.changed.states[i - 1]:.1%}" for i in layers[1:]))
        out.print(table)
