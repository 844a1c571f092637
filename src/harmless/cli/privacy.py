"""``harmless privacy``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import App, Parameter
from rich.markup import escape
from rich.table import Table

from harmless.cli.console import out, print_json
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.attacks.privacy.membership import Membership, Told
    from harmless.attacks.privacy.recall import Share
    from harmless.internals.model import LocalModel

privacy = App(name="privacy", help="What a model remembers of its training data (extra hf).")


@privacy.command
def members(
    target: str, /, *, members: Path, others: Path, reference: str | None = None, json: bool = False
) -> None:
    """Tell passages that a model was trained on from others, by how likely it finds them.

    Draw both at random from the same source: sets that differ by date or topic are told apart by their words
    alone, which the row `blind` shows.

    Args:
        target: embedded, hf:PATH, or a folder of a model or of an adapter.
        members: file of passages that it was trained on: `text`, `prompt` and `reply`, or `messages`.
        others: file of passages of the same kind that it was not trained on.
        reference: a model trained on neither, such as the base model, for one score more.
        json: print one JSON document instead of a table.
    """
    from harmless.attacks.privacy import membership, read_passages

    those, rest = read_passages(members), read_passages(others)
    found = membership(_opened(target), those, rest, _opened(reference) if reference else None)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    _show_members(found)


@privacy.command
def recall(
    target: str,
    /,
    *,
    rows: Path,
    prefix: int = 50,
    length: int = 50,
    reference: str | None = None,
    json: bool = False,
) -> None:
    """Give a model the beginning of passages and see whether it goes on with them word by word.

    Args:
        target: embedded, hf:PATH, or a folder of a model or of an adapter.
        rows: file of passages that it was trained on: `text`, `prompt` and `reply`, or `messages`.
        prefix: tokens of a plain text that it is given; of a reply the prompt is.
        length: tokens that are compared behind it.
        reference: a model that was not trained on them, such as the base model: what it gives back is guessed.
        json: print one JSON document instead of a table.
    """
    from harmless.attacks.privacy import read_passages
    from harmless.attacks.privacy import recall as give_back

    passages = read_passages(rows)
    other = _opened(reference) if reference else None
    found = give_back(_opened(target), passages, prefix=prefix, length=length, reference=other)
    if json:
        print_json(found.model_dump(mode="json"))
        return
    table = Table("", title=f"{escape(found.model)}: {len(found.rows)} passages", title_justify="left")
    table.add_column("given back", justify="right")
    table.add_row("word by word", _share(found.exact))
    table.add_row("nearly (a tenth differs)", _share(found.near))
    if found.by_reference:
        table.add_row("nearly, by the reference", _share(found.by_reference))
    out.print(table)
    if found.p is not None:
        out.print(f"Against the reference, paired: p = {found.p:.2g}")
    if found.too_short:
        out.print(f"{found.too_short} passages are too short and left out.")


@privacy.command
def exposure(target: str, /, *, canaries: Path, seed: int = 0, json: bool = False) -> None:
    """Measure how far a model has learnt the secrets of canaries that were planted in its training data.

    Args:
        target: embedded, hf:PATH, or a folder of a model or of an adapter.
        canaries: JSONL file with `text` (with {secret} in it) and `secret`, as `privacy canaries` writes it.
        seed: of the secrets that each is compared with.
        json: print one JSON document instead of a table.
    """
    from harmless.attacks.privacy import exposures, read_canaries

    planted = read_canaries(canaries)
    found = list(exposures(_opened(target), planted, seed))
    if json:
        print_json({"exposures": [each.model_dump(mode="json") for each in found]})
        return
    table = Table("canary", title=f"{escape(target)}: exposure", title_justify="left")
    for column in ("planted", "bits", "of", "likelier"):
        table.add_column(column, justify="right")
    for each in found:
        row = (each.canary.repeats, f"{each.bits:.1f}", f"{each.most:.1f}", f"{each.better} of {each.compared}")
        table.add_row(escape(each.canary.text), *map(str, row))
    out.print(table)
    out.print(
        "bits: about 1 if a secret was not learnt, all of them if it is the likeliest that there could be."
    )


@privacy.command
def canaries(*, out_: Annotated[Path, Parameter(name="--out")], count: int = 8, seed: int = 0) -> None:
    """Write random canaries to plant in training data, each so often as its `repeats` says.

    Args:
        out_: JSONL file with `text`, `secret` and `repeats`; those with 0 are not to be planted. One that is
            there with other canaries is not replaced: they may be planted already.
        count: how many.
        seed: of the random numbers.
    """
    from harmless.attacks.privacy import planted

    text = "".join(each.model_dump_json() + "\n" for each in planted(count, seed))
    try:
        if out_.exists() and out_.read_bytes() != text.encode():
            raise UsageError(
                f"{out_} is there with other secrets: if they are planted, only this file measures them.",
                "Choose another --out, or remove it.",
            )
        out_.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UsageError(f"{out_} cannot be written: {error.strerror}.", "Choose another --out.") from None
    out.print(f"{count} canaries in {out_}: plant each text, with its secret in place, `repeats` times.")


def _opened(spec: str) -> LocalModel:
    from harmless.targets.local import open_model

    return open_model(spec)


def _show_members(found: Membership) -> None:
    title = f"{escape(found.model)}: {found.members} members, {found.others} others"
    table = Table("score", title=title, title_justify="left")
    for column in ("AUROC", "found at 5 % FPR", "at 1 % FPR"):
        table.add_column(column, justify="right")
    for name, told in (*found.scores.items(), ("blind", found.blind)):
        table.add_row(name, *_told(told))
    out.print(table)
    out.print("AUROC: .5 is chance; blind: by the words of the texts alone, which a score has to beat.")
    if found.left_out:
        out.print(f"{found.left_out} passages are too short and left out.")


def _told(told: Told) -> tuple[str, ...]:
    return (
        f"{told.auroc:.3f}\n[dim]{told.low:.3f}–{told.high:.3f}[/]",
        f"{told.tpr_at_5_fpr:.1%}",
        f"{told.tpr_at_1_fpr:.1%}",
    )


def _share(share: Share) -> str:
    return f"{share.rate:.1%}\n[dim]{share.low:.1%}–{share.high:.1%}[/]"
