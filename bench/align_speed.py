"""Steps of `harmless align` beside TRL's on the bundled model: seconds an example, same examples and adapter.

    OMP_NUM_THREADS=1 python bench/align_speed.py            about 10 minutes of one core
    OMP_NUM_THREADS=1 python bench/align_speed.py --quick    two steps of each, about 2 minutes

TRL has its best settings for a CPU: no gradient checkpointing, loss on replies only, reference values computed
before. Writes ``bench/results/align_speed.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import anyio

from harmless.align import templates
from harmless.align.encoding import encoded
from harmless.align.examples import Example
from harmless.align.lora import trainable
from harmless.align.settings import Tuning
from harmless.align.trainer import Report, Training
from harmless.core import Expect, user
from harmless.guards.train import own
from harmless.targets.local import open_model

HERE = Path(__file__).parent
BATCH = 16
ANSWER = (
    "Here is what you can do about that, step by step: first look at what you have, then write down a plan."
)


def examples(count: int) -> list[Example]:
    """Return both sides of own pairs; replies are of the usual length, their content is of no matter here."""
    found = []
    for row in own.pairs()[:count]:
        refusal = templates.load().refusal(None, row.prompt)
        good, bad = (refusal, ANSWER) if row.unsafe else (ANSWER, refusal)
        expect = Expect.REFUSE if row.unsafe else Expect.ANSWER
        found.append(Example(conversation=user(row.prompt), good=good, bad=bad, expect=expect))
    return found


def ours(data: list[Example], steps: int, **settings: Any) -> float:
    """Return the seconds an example of a step, the one-off pass over reference and lower layers left out."""
    tuning = Tuning(batch=BATCH, epochs=steps * BATCH / len(data), **settings)
    local = open_model("embedded", "cpu")
    trees = encoded(local, data, tuning)
    reports: list[Report] = []
    with tempfile.TemporaryDirectory() as folder:
        training = Training(trainable(local, tuning), trees, (), tuning, Path(folder), "bench")
        progress = anyio.run(training.run, reports.append)
    return progress.seconds / (len(reports) * BATCH)


def trl(data: list[Example], steps: int, method: str) -> float:
    """Return the same by TRL."""
    import datasets
    import peft
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

    local = open_model("embedded", "cpu")
    said = [
        {"prompt": [{"role": "user", "content": e.text}], "chosen": e.good, "rejected": e.bad} for e in data
    ]
    common: dict[str, Any] = {
        "per_device_train_batch_size": BATCH,
        "max_steps": steps,
        "gradient_checkpointing": False,
        "use_cpu": True,
        "report_to": [],
        "bf16": False,
        "save_strategy": "no",
        "disable_tqdm": True,
    }
    lora = peft.LoraConfig(r=16, lora_alpha=32, target_modules="all-linear", task_type="CAUSAL_LM")
    with tempfile.TemporaryDirectory() as folder:
        if method == "sft":
            rows = [{"prompt": r["prompt"], "completion": _turn(r["chosen"])} for r in said]
            config = SFTConfig(folder, completion_only_loss=True, **common)
            trainer: Any = SFTTrainer(
                local.model,
                config,
                train_dataset=datasets.Dataset.from_list(rows),
                peft_config=lora,
                processing_class=local.tokenizer,
            )
        else:
            rows = [{**r, "chosen": _turn(r["chosen"]), "rejected": _turn(r["rejected"])} for r in said]
            dpo = DPOConfig(folder, precompute_ref_log_probs=True, **common)
            trainer = DPOTrainer(
                local.model,
                args=dpo,
                train_dataset=datasets.Dataset.from_list(rows),
                peft_config=lora,
                processing_class=local.tokenizer,
            )
            trainer.get_train_dataloader()  # computes the reference
        began = time.perf_counter()
        trainer.train()
        return (time.perf_counter() - began) / (steps * BATCH)


def _turn(text: str) -> list[dict[str, str]]:
    return [{"role": "assistant", "content": text}]


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    steps = 2 if parser.parse_args().quick else 8
    data = examples(steps * BATCH)
    results = {
        "sft": ours(data, steps, loss="sft"),
        "sft, upper 40 % of the layers": ours(data, steps, loss="sft", frozen=0.6),
        "sft, TRL": trl(data, steps, "sft"),
        "dpo": ours(data, steps, loss="dpo"),
        "dpo, decision and opening": ours(data, steps, loss="dpo", decision=8, opening=12),
        "dpo, TRL": trl(data, steps, "dpo"),
    }
    for name, seconds in results.items():
        print(f"{name:32} {seconds:6.3f} s an example")
    document = {
        "steps": steps,
        "batch": BATCH,
        "threads": os.environ.get("OMP_NUM_THREADS"),
        "trl": version("trl"),
        "seconds_an_example": results,
    }
    (HERE / "results" / "align_speed.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
