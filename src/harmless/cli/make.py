"""``harmless make``."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
from rich.markup import escape

from harmless.align.methods import method as known
from harmless.attacks.trial import LESSONS, Attacking
from harmless.check import Budget
from harmless.cli.align_compare import show_proof
from harmless.cli.attack_tables import show_attacked
from harmless.cli.checking import Checking
from harmless.cli.console import err, live, print_json, show_comparison, show_plan
from harmless.cli.console import out as console
from harmless.cli.options import Asking, Workspace, open_store
from harmless.core import Target
from harmless.errors import UsageError
from harmless.loop import Aligning, Made, make_harmless

#: The kind of target that is trained unless the user says otherwise: a small model on this machine.
TRAINABLE = "embedded"
METHOD = "gate"


def make(
    target: str = "embedded",
    /,
    *,
    guard: str | None = None,
    checking: Checking = Checking(),  # noqa: B008 - frozen
    attack: str = "none",
    align: str | None = None,
    out: Path = Path("harmless-report"),
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Make a target harmless and prove it: check, guard, align, check again on the same prompts, report.

    The same command goes on where it was cut off. With --attack, what breaks the target becomes guard rules,
    examples of the alignment and a regression suite, and the same attacks are tried again at the end. Where
    torch is installed, the embedded model is also aligned, which takes some minutes, and the report is of the
    best combination of guard and alignment.

    Args:
        target: embedded, embedded:FILE.gguf, openai:MODEL, anthropic:MODEL, hf:PATH, scripted:FILE.
        guard: the guard to put in front, see `harmless guard list`; default encoder where the extra encoder is
            installed, else embedded.
        attack: also attack with so many calls of the target, e.g. 200calls, half of which are made again at the
            end; default none. Needs the extra data.
        align: method to train the target by, see `harmless align`, or none; default gate for embedded where
            torch is installed, else none.
        out: folder for report.html and report.json.
        json: print one JSON document instead of tables.
    """
    what = checking.prepared(target, asking)
    calls = _calls(attack)
    front = guard or _guard(quiet=json)
    aligning = _aligning(target, align, out, lambda spec: asking.target(spec, what.policy), quiet=json)

    async def run() -> Made:
        try:
            with live("asking", quiet=json) as observe:
                attacking = Attacking(calls, _telling("attacking", quiet=json), observe) if calls else None
                return await make_harmless(
                    what.target, front, what.suite, what.policy, store, what.judges, what.options,
                    out=out, attacking=attacking, aligning=aligning, started=show_plan, observe=observe,
                )  # fmt: skip
        finally:
            await what.target.aclose()

    with open_store(workspace) as store:
        made = anyio.run(run)
    if json:
        _print(made)
        return
    if made.proof:
        show_proof(made.proof)
        console.print(f"Best on these prompts, and compared here: {escape(made.best)}.")
    show_comparison(made.comparison)
    if made.attacked:
        show_attacked(made.attacked, out / LESSONS)
    console.print(f"Report: {made.report}")


def _guard(*, quiet: bool) -> str:
    """Return `encoder` where it can run, else `embedded`, and say what is missing."""
    from harmless.guards import bert

    if bert.installed():
        return "encoder"
    if not quiet:
        err.print(
            "Guarded by 'embedded', which knows words: with the extra 'encoder' the default is that guard,"
            " which reads sentences; see docs/guards.md."
        )
    return "embedded"


def _calls(budget: str) -> int:
    """Return with how many calls the target is attacked; UsageError if that is not what the budget says."""
    found = Budget() if budget == "none" else Budget.parse(budget)
    if found.seconds or found.usd or (found.calls is None and budget != "none"):
        # Time or money would end the attack at another place after than before.
        raise UsageError(f"--attack takes a number of calls, not '{budget}'.", "Write e.g. 200calls, or none.")
    return found.calls or 0


def _telling(what: str, *, quiet: bool) -> Callable[[str], None]:
    def tell(step: str) -> None:
        if not quiet:
            err.print(f"{what}: {escape(step)}")

    return tell


def _aligning(
    target: str, method: str | None, out: Path, load: Callable[[str], Target], *, quiet: bool
) -> Aligning | None:
    """Return how the target is trained, None if it is not; says so where it could be."""
    if method == "none" or (method is None and target.partition(":")[0] != TRAINABLE):
        return None
    if method is None and any(find_spec(name) is None for name in ("torch", "transformers", "peft")):
        err.print(
            "Not aligned: with the extra 'align' the model would also be changed, in some minutes, to refuse by"
            " itself what the guard has to catch; see harmless align."
        )
        return None

    name = method or METHOD
    if name != METHOD:
        known(name)  # before anything is asked
    return Aligning(target, name, out / f"aligned-{name}", load, _telling("aligning", quiet=quiet))


def _print(made: Made) -> None:
    from harmless.report import comparison_document, proof_document

    document = comparison_document(made.comparison)
    further: dict[str, Any] = {}
    if made.proof:
        further = {"best": made.best, "proof": proof_document(made.proof)}
    if made.attacked:
        further["attacked"] = made.attacked.model_dump(mode="json")
    print_json({"comparison": document, **further} if further else document)
