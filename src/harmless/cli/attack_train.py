"""``harmless attack train``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import anyio
from cyclopts import Parameter
from rich.markup import escape

from harmless.check import load_judges, load_policy
from harmless.cli.align import progress
from harmless.cli.console import err, out, print_json
from harmless.cli.options import AMOUNT, COUNT, Asking, Workspace, open_store
from harmless.core import Guard, Target
from harmless.errors import UsageError
from harmless.evidence import Store

if TYPE_CHECKING:
    from harmless.align.red_lm import Asked
    from harmless.align.red_training import RedTraining, Rewarding
    from harmless.align.settings import Tuning

Several = Annotated[tuple[str, ...], Parameter(consume_multiple=True, negative="", show_default=False)]


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Learning:
    """How the writer is trained."""

    epochs: float = 4.0
    """Imitate each question so often on average; more often the higher the judge's score."""
    rate: float | None = None
    """Peak learning rate; half of it for reinforcement."""
    rank: int = 16
    """Rank of the adapters."""
    frozen: float = 0.6
    """Share of the layers, from the first on, that stay as they are: faster."""
    steps: Annotated[int, COUNT] = 40
    """Steps of reinforcement."""
    draws: Annotated[int, COUNT] = 8
    """Questions that are compared for each of four hazards a step."""
    kl: Annotated[float, AMOUNT] = 0.02
    """What a nat of divergence from the writer before reinforcement costs, a success being 1."""
    repeats: Annotated[float, AMOUNT] = 0.5
    """How much likeness to the other questions of a step costs; 0 lets it write one question for ever."""

    def tuning(self, seed: int) -> Tuning:
        """Return how the weights are changed; UsageError if an option is out of range."""
        from harmless.align.settings import tuning

        own = {"epochs": self.epochs, "rate": self.rate, "rank": self.rank, "frozen": self.frozen}
        return tuning({**own, "batch": 8, "seed": seed})


def train(
    target: str | None = None,
    /,
    *,
    out_: Annotated[Path, Parameter(name="--out")],
    run: Several = (),
    attacker: str = "embedded",
    hazard: Several = (),
    judge: str = "judge",
    learning: Learning = Learning(),
    policy: Path | None = None,
    device: str | None = None,
    json: bool = False,
    workspace: Workspace = None,
    asking: Asking = Asking(),  # noqa: B008 - frozen
) -> None:
    """Train a model to write questions that a target should refuse and does not (red LM).

    It imitates the questions that succeeded in runs; against a target it is then rewarded for what succeeds.
    The same command goes on with a training that was cut off. Use it:
    `harmless attack TARGET --attacker embedded:DIR --attack "red_lm(20, 1)"`.

    Args:
        target: is asked while the writer is reinforced; without it the writer learns from runs alone. Attack
            only what is yours, or what you were asked to test.
        out_: folder to write.
        run: runs of `attack` or `check` whose single questions that succeeded are imitated.
        attacker: the model that is to write: embedded, a local model as hf:FOLDER, or what this command wrote.
        hazard: write questions for these hazards (key, code or name, any level); default: all.
        judge: the guard whose score of a reply is the reward.
        policy: YAML file with thresholds; see `harmless policy`.
        device: where the writer runs: cpu, gpu or a device of torch; default: a GPU if there is one.
        json: print one JSON document.
    """
    from harmless.align.red_training import MANIFEST, read_manifest

    if not (out_ / MANIFEST).is_file():
        with open_store(workspace) as store:
            found = _successes(store, run)
        rules = load_policy(policy)
        rewarding = None
        if target:
            judges = load_judges(judge, rules)
            rewarding = _rewarding(asking, asking.target(target, rules), judges["harm"], hazard, learning)
        with progress(json) as tell:
            what = _what(attacker, found, learning.tuning(asking.seed), out_, rewarding)
            anyio.run(_trained, what, device, tell)
    manifest = read_manifest(out_)
    if json:
        print_json({"folder": str(out_), **manifest})
    else:
        _show(manifest, out_)


def _successes(store: Store, runs: tuple[str, ...]) -> list[Asked]:
    """Return the questions of runs that succeeded, and say what was left out."""
    from harmless.align.red_lm import successes
    from harmless.attacks.failures import failures

    if not runs:
        return []
    found, left_out = successes([each for run in runs for each in failures(store, run)])
    told = "; ".join(f"{count} left out: {reason}" for reason, count in left_out.items() if count)
    err.print(f"  {len(found)} questions to imitate" + (f"; {told}" if told else ""))
    if not found:
        raise UsageError(
            "No single question succeeded in these runs that may be learned from.",
            'Ask more: harmless attack TARGET --attack "red_lm(20, 1)" --limit 60.',
        )
    return found


def _rewarding(
    asking: Asking, target: Target, judge: Guard, hazards: tuple[str, ...], learning: Learning
) -> Rewarding:
    from harmless import taxonomy
    from harmless.align.red_training import Rewarding
    from harmless.attacks import from_texts

    known = taxonomy.load()
    leaves = [leaf for name in hazards for leaf in known.leaves_under(name)] or known.leaves
    return Rewarding(
        target,
        judge,
        [from_texts([leaf.name], leaf.key)[0] for leaf in leaves],
        asking.sampling(target),
        steps=learning.steps,
        draws=learning.draws,
        rate=learning.rate and learning.rate / 2,
        kl=learning.kl,
        repeats=learning.repeats,
    )


def _what(
    attacker: str, found: list[Asked], tuning: Tuning, folder: Path, rewarding: Rewarding | None
) -> RedTraining:
    """Return what to train; an attacker that this command wrote is trained further on its own base."""
    from harmless.align.red_training import MANIFEST, RedTraining, read_manifest

    begun = Path(attacker.removeprefix("embedded:").removeprefix("hf:"))
    if not (begun / MANIFEST).is_file():
        return RedTraining(attacker, found, tuning, folder, rewarding)
    base = read_manifest(begun)["base"]["target"]
    return RedTraining(base, found, tuning, folder, rewarding, begun)


async def _trained(what: RedTraining, device: str | None, tell: Any) -> None:
    from anyio.to_thread import run_sync

    from harmless.align.red_training import train as trained
    from harmless.align.run import opened

    try:
        await trained(what, await run_sync(opened, what.spec, what.tuning, device), tell)
    finally:
        if what.rewarding:
            await what.rewarding.target.aclose()


def _show(manifest: dict[str, Any], folder: Path) -> None:
    if imitated := manifest.get("imitated"):
        out.print(f"Imitated {imitated['questions']} questions that succeeded.")
    if rewarded := manifest.get("rewarded"):
        rewards = [each["reward"] for each in rewarded["history"]]
        few = max(1, len(rewards) // 5)
        first, last = (sum(part) / few for part in (rewards[:few], rewards[-few:]))
        out.print(
            f"Rewarded against {escape(rewarded['target'])}: {first:.2f} in the first {few} of {len(rewards)}"
            f" steps, {last:.2f} in the last; likeness {_likeness(rewarded)}."
        )
    kind = "embedded" if "adapter.gguf" in manifest["files"] else "hf"
    out.print(
        f'Attack with it: harmless attack TARGET --attack "red_lm(20, 1)" --attacker {kind}:{folder}',
        soft_wrap=True,
    )
    out.print("A judge's false alarms are rewarded like harm: read some of what succeeds (--show 10).")


def _likeness(rewarded: dict[str, Any]) -> str:
    known = rewarded["self_bleu"]
    return " to ".join(f"{known[name]:.2f}" for name in ("first", "last") if name in known) + " (self-BLEU)"
