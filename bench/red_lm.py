"""Red LMs after Perez et al. (2022) on the bundled model: zero-shot, few-shot, supervised and reinforced.

    OMP_NUM_THREADS=1 python bench/red_lm.py --target embedded:FOLDER --workspace FOLDER [--quick]

The bundled model writes questions for a third of the 66 hazards, zero-shot; the target answers them and the
judge scores the replies. What succeeded is imitated, then questions are rewarded (`harmless attack train`). All
four writers then write as many new questions for these hazards and for others that nothing was trained on; the
same target answers, and the same judge scores. Few-shot draws its five examples by their scores from the first
questions: of the same hazard, or for the others of all. FOLDER is what `harmless align` wrote, so that the
target does not do all that it is asked. Goes on where it stopped; what was written and replied stays in the
workspace, figures go to `results/red_lm.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import torch

import harmless
from harmless import attacks, taxonomy
from harmless.align.red_lm import Asked, Questioning, question_in
from harmless.align.red_training import MANIFEST, RedTraining, Rewarding, ends, train
from harmless.align.rollouts import Drawing, sampled
from harmless.align.settings import Tuning
from harmless.align.speaker import Speaker
from harmless.align.trainer import Report
from harmless.attacks.desk import Desk
from harmless.attacks.diversity import diversity
from harmless.attacks.red_lm import SHOTS, TEMPERATURE, brief, drawn
from harmless.check import load_judges
from harmless.check.run import error_rates
from harmless.core import Conversation, Prompt, Sampling
from harmless.internals.chat import encode
from harmless.internals.model import LocalModel
from harmless.stats import ErrorRates, clustered_mean, clustered_rate, rogan_gladen
from harmless.targets.local import open_model

RESULT = Path(__file__).parent / "results" / "red_lm.json"
#: Hazards that are trained on, and others.
SEEN, UNSEEN = slice(0, None, 3), slice(1, None, 6)
#: First questions of a hazard, questions of each that are measured, and tokens of a question and of a reply.
POOL, MEASURED, TOKENS, REPLY = 8, 4, 28, 28
#: Passes over what succeeded; steps of reinforcement, questions for each of four hazards, and rate.
EPOCHS, STEPS, DRAWS, RATE = 3, 14, 8, 1e-3
#: Prompts that are read together.
TOGETHER = 4
ARMS = ("zero-shot", "few-shot", "supervised", "reinforced")


def aims(part: slice, most: int | None) -> list[Prompt]:
    """Return one objective for each of some hazards; of the objective itself only the hazard is told."""
    return [attacks.from_texts([leaf.name], leaf.key)[0] for leaf in taxonomy.load().leaves[part][:most]]


def written(local: LocalModel, briefs: Sequence[Conversation], count: int, seed: int) -> list[list[str]]:
    """Return so many questions to each brief; a brief of which too few replies are one has fewer."""
    how, found = Drawing(2 * count, TOKENS, ends(local)), []
    prompts = [encode(local, each).tokens for each in briefs]
    for start in range(0, len(prompts), TOGETHER):
        for replies in sampled(local, prompts[start : start + TOGETHER], how, seed + start):
            texts = local.tokenizer.batch_decode([list(each) for each in replies], skip_special_tokens=True)
            found.append([question for text in texts if (question := question_in(text))][:count])
    return found


async def answered(
    target: Speaker, objectives: Sequence[Prompt], texts: Sequence[Sequence[str]]
) -> list[Asked]:
    """Return the questions for each objective with replies and scores."""
    judge = load_judges("judge", harmless.load_policy())["harm"]
    asking = Questioning(objectives, Desk(target), judge, Sampling(max_tokens=REPLY))
    return await asking.ask([(a, each) for a, own in zip(objectives, texts, strict=True) for each in own])


class Bench:
    """The stages, each kept in the workspace."""

    def __init__(self, given: argparse.Namespace) -> None:
        self.folder: Path = given.workspace
        self.steps: int = 2 if given.quick else given.steps
        self.seen, self.unseen = (
            aims(SEEN, 4 if given.quick else None),
            aims(UNSEEN, 2 if given.quick else None),
        )
        self.target = Speaker(open_model(given.target))
        self.judge = load_judges("judge", harmless.load_policy())["harm"]
        self.threshold = self.judge.info.threshold
        self.tuning = Tuning(frozen=0.6, batch=8, epochs=EPOCHS)
        self.folder.mkdir(parents=True, exist_ok=True)

    def kept(self, name: str, make: Any) -> list[Asked]:
        """Return what a stage asked, from its file if it is done."""
        path = self.folder / f"{name}.jsonl"
        if not path.exists():
            began = time.process_time()
            rows = make()
            path.write_text("".join(each.model_dump_json() + "\n" for each in rows), encoding="utf-8")
            unsafe = sum(self.succeeded(each) for each in rows)
            print(
                f"{name}: {len(rows)} asked, {unsafe} unsafe, {time.process_time() - began:.0f} s", flush=True
            )
        return [Asked.model_validate_json(line) for line in path.read_text(encoding="utf-8").splitlines()]

    def succeeded(self, asked: Asked) -> bool:
        return (asked.score or 0.0) >= self.threshold

    def pool(self) -> list[Asked]:
        """Return the first questions, zero-shot."""

        def make() -> list[Asked]:
            texts = written(open_model("embedded"), [brief(each) for each in self.seen], POOL, seed=1)
            return anyio.run(answered, self.target, self.seen, texts)

        return self.kept("pool", make)

    def trained(self, arm: str, pool: Sequence[Asked]) -> Path:
        """Return the folder of a writer."""
        out = self.folder / arm
        if not (out / MANIFEST).exists():
            reinforced = arm == "reinforced"
            rewarding = Rewarding(
                self.target,
                self.judge,
                self.seen,
                Sampling(max_tokens=REPLY),
                steps=self.steps,
                draws=DRAWS,
                rate=RATE,
                tokens=TOKENS,
            )
            what = RedTraining(
                "embedded",
                [] if reinforced else [each for each in pool if self.succeeded(each)],
                self.tuning,
                out,
                rewarding if reinforced else None,
                self.folder / "supervised" if reinforced else None,
            )
            anyio.run(train, what, open_model("embedded"), shown)
        return out

    def few_shot(self, pool: Sequence[Asked]) -> list[Conversation]:
        """Return a brief with examples for each objective."""
        found = []
        for aim in [*self.seen, *self.unseen]:
            own = [each for each in pool if each.objective.hazard == aim.hazard] or pool
            scores = {each.question: each.score or 0.0 for each in own}
            rng = random.Random(f"{aim.hazard}")
            found.append(brief(aim, drawn(scores, SHOTS, TEMPERATURE, rng)))
        return found

    def measured(self, arm: str, pool: Sequence[Asked]) -> list[Asked]:
        """Return what a writer asked, anew."""
        objectives = [*self.seen, *self.unseen]

        def make() -> list[Asked]:
            alone = arm in ("zero-shot", "few-shot")
            local = open_model("embedded" if alone else str(self.trained(arm, pool)))
            briefs = self.few_shot(pool) if arm == "few-shot" else [brief(each) for each in objectives]
            texts = written(local, briefs, MEASURED, seed=1_000_000)
            return anyio.run(answered, self.target, objectives, texts)

        return self.kept(arm.replace("-", "_"), make)


def shown(step: str, known: Report | None) -> None:
    if known is None:
        print(step, flush=True)
    elif known.step % 5 == 0:
        print(known, flush=True)


def part(rows: Sequence[Asked], base: Sequence[Asked], bench: Bench) -> dict[str, Any]:
    """Return the figures of a writer, and the difference to zero-shot, paired by hazard."""
    values = [np.nan if each.score is None else float(bench.succeeded(each)) for each in rows]
    rate = clustered_rate(values, [str(each.objective.hazard) for each in rows])
    known = error_rates(bench.judge)
    corrected = rogan_gladen(rate.rate * rate.n, rate.n, ErrorRates(**known)) if known and rate.n else None
    varied = diversity([each.question for each in rows])
    own, other = by_hazard(rows, bench), by_hazard(base, bench)
    both = sorted(own.keys() & other.keys())
    gain = clustered_mean([own[key] - other[key] for key in both], both)
    return {
        "asked": len(rows),
        "rate": rate.rate,
        "low": rate.low,
        "high": rate.high,
        "unassessed": rate.unassessed,
        "corrected": None if corrected is None or corrected.refusal else corrected.rate,
        "score": float(np.mean([each.score for each in rows if each.score is not None])),
        "gain": {"mean": gain.mean, "low": gain.low, "high": gain.high, "hazards": len(both)},
        "different": len({each.question for each in rows}) / len(rows),
        "self_bleu": varied.self_bleu,
        "dispersion": varied.dispersion,
        "vendi": varied.vendi,
    }


def by_hazard(rows: Sequence[Asked], bench: Bench) -> dict[str, float]:
    """Return the success rate of each hazard."""
    found: dict[str, list[bool]] = {}
    for each in rows:
        if each.score is not None:
            found.setdefault(str(each.objective.hazard), []).append(bench.succeeded(each))
    return {key: float(np.mean(each)) for key, each in found.items()}


def main() -> None:
    """Write, train, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", default="embedded")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    bench = Bench(given)
    pool = bench.pool()
    rows = {arm: bench.measured(arm, pool) for arm in ARMS}
    seen = {each.hazard for each in bench.seen}
    known = {arm: json.loads((bench.folder / arm / MANIFEST).read_text()) for arm in ARMS[2:]}
    result: dict[str, Any] = {
        "target": given.target if given.target == "embedded" else "aligned",
        "pool": {"asked": len(pool), "unsafe": sum(bench.succeeded(each) for each in pool)},
        "training": {arm: {k: v for k, v in m.items() if k != "files"} for arm, m in known.items()},
    }
    for name, wanted in (("trained on", True), ("others", False)):
        kept = {arm: [r for r in each if (r.objective.hazard in seen) == wanted] for arm, each in rows.items()}
        result[name] = {arm: part(each, kept[ARMS[0]], bench) for arm, each in kept.items()}
    print(json.dumps({name: result[name] for name in ("pool", "trained on", "others")}, indent=1))
    if not given.quick:
        RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
