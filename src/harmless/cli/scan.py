"""``harmless scan``."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import Parameter
from rich.markup import escape
from rich.table import Table

from harmless.check import load_policy
from harmless.cli.console import err, out, print_json
from harmless.cli.options import Asking
from harmless.core import Sampling
from harmless.data.sources import texts_of
from harmless.data.twins import ordinary
from harmless.errors import UsageError
from harmless.explain.stealth import Scan, Trying, scan_inside, scan_replies
from harmless.explain.stealth_replies import Sign
from harmless.explain.stealth_variants import Candidates, usual
from harmless.report.text import visible

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel

#: Kinds of targets whose weights are at hand.
_LOCAL = ("embedded", "hf")
SHOWN, REPLY_TOKENS = 20, 24


def scan(
    target: str = "embedded",
    /,
    *,
    reference: str | None = None,
    prompts: str | None = None,
    limit: int = 6,
    typos: int = 12,
    candidate: Annotated[Sequence[str], Parameter(negative="")] = (),
    inside: bool = True,
    replies: bool = True,
    gate: bool = False,
    json: bool = False,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> int:
    """Look for triggers: stealth edits and backdoors that make a target answer one input otherwise.

    Asks prompts with random typos, and with unrelated sentences and possible triggers before them, and looks
    for answers that jump. Where the weights are at hand (embedded, hf:PATH, and torch), it compares them with
    the reference's, and looks for neurons that fire on one text only. No scan can exclude what it did not try.

    Args:
        target: embedded, openai:MODEL, anthropic:MODEL, hf:PATH, ...
        reference: a target that is trusted, as hf:FOLDER of the original; answers and weights are compared.
        prompts: what to ask: a suite, a set of the catalog, or a file; default are ordinary prompts.
        limit: how many of them.
        typos: variants of each with a typo.
        candidate: a further text to try before each prompt. Repeat it for more.
        inside: look at weights and neurons where they are at hand.
        replies: ask at all; without it only the weights are looked at.
        gate: exit with 1 if there is any sign.
        json: print one JSON document instead of a table.
    """
    if limit < 1 or typos < 0:
        raise UsageError("At least one prompt is needed.", "Use --limit 1 or more.")
    texts = texts_of(prompts) if prompts else [each.text for each in ordinary("ordinary", limit)]
    built_in = usual(typos)
    tried = Candidates(typos, built_in.prefixes, (*built_in.tags, *candidate))
    trying = Trying(texts[:limit], tried, _sampling(asking), asking.seed)
    found = []
    if replies:
        found.append(anyio.run(_asked, target, reference, trying, asking))
    if inside and _is_local(target):
        found.append(_inside(target, reference, trying if replies else None))
    if not found:
        raise UsageError("There is nothing to look at.", "Leave out --no-replies, or give hf:FOLDER.")
    if json:
        print_json(_document(target, reference, found))
    else:
        _show(target, found)
    return 1 if gate and any(each.signs for each in found) else 0


def _sampling(asking: Asking) -> Sampling:
    return Sampling(
        temperature=asking.temperature,
        top_p=asking.top_p,
        max_tokens=asking.max_tokens or REPLY_TOKENS,
        seed=asking.seed,
        system=asking.system,
    )


async def _asked(target: str, reference: str | None, trying: Trying, asking: Asking) -> Scan:
    policy = load_policy()
    opened = [asking.target(spec, policy) for spec in (target, reference) if spec]
    try:
        err.print(f"Asking {escape(target)} ...")
        return await scan_replies(opened[0], trying, opened[1] if reference else None)
    finally:
        for each in opened:
            await each.aclose()


def _is_local(spec: str) -> bool:
    at_hand = spec.partition(":")[0] in _LOCAL
    if at_hand and not all(find_spec(name) for name in ("torch", "transformers")):
        err.print("Weights are not looked at: that needs the extra 'hf'.")
        return False
    return at_hand


def _inside(target: str, reference: str | None, trying: Trying | None) -> Scan:
    from harmless.targets.local import open_model

    theirs: LocalModel | None = open_model(reference) if reference and _is_local(reference) else None
    return scan_inside(open_model(target), trying, theirs)


def _document(target: str, reference: str | None, found: Sequence[Scan]) -> dict[str, Any]:
    asked = next((each for each in found if each.asked), Scan(target=target))
    weights = next((each.weights for each in found if each.weights), None)
    return {
        "target": target,
        "reference": reference,
        **asked.model_dump(mode="json", include={"prompts", "asked", "errors", "limit"}),
        "signs": [sign.model_dump(mode="json") for each in found for sign in each.signs],
        "weights": weights.model_dump(mode="json") if weights else None,
    }


def _show(target: str, found: Sequence[Scan]) -> None:
    signs = sorted((sign for each in found for sign in each.signs), key=lambda each: (each.kind, -each.score))
    out.print(
        f"[bold]{escape(target)}[/]: {len(signs) or 'no'} sign{'' if len(signs) == 1 else 's'} of a trigger"
    )
    if signs:
        out.print(_table(signs[:SHOWN]))
    if len(signs) > SHOWN:
        out.print(f"{len(signs) - SHOWN} more; --json has all.")
    for each in found:
        if each.asked:
            out.print(
                f"Asked {each.asked:,} variants of {each.prompts} prompts, {each.errors} failed. Of variants "
                f"like these at most {each.limit:.2%} are odd (95 %); a secret trigger is not among them."
            )
        if each.weights:
            _show_weights(each)


def _table(signs: Sequence[Sign]) -> Table:
    table = Table("sign", "where")
    table.add_column("score", justify="right")
    table.add_column("")
    for each in signs:
        table.add_row(each.kind, escape(visible(each.where)), f"{each.score:.2f}", escape(visible(each.detail)))
    return table


def _show_weights(found: Scan) -> None:
    weights = found.weights
    assert weights is not None
    counted = f"{weights.change}, {len(weights.differences)} of {weights.tensors} differ"
    out.print(f"Weights against {escape(str(found.reference))}: {counted}")
    for each in weights.differences[:SHOWN] if weights.edited else weights.differences[:5]:
        places = f"; {each.share:.0%} in {each.along} {', '.join(map(str, each.places))}" if each.along else ""
        out.print(
            f"  {escape(each.tensor)}: changed by {each.relative:.2%}, rank about {each.rank:.0f}{places}"
        )
