"""Candidates that GCG evaluates a second, beside nanoGCG, on the bundled model in one run.

    python bench/gcg.py --peer FOLDER       both, three times in turn
    python bench/gcg.py                     ours alone
    python bench/gcg.py --peer FOLDER --quick

FOLDER is where ``pip install --no-deps --target FOLDER nanogcg`` put it; it needs scipy and tqdm as well. Both
search for the same beginning of a reply to the same prompt, with the same width, top-k, length and threads, and
with what they keep of the prompt's tokens; seconds of CPU say more than seconds on a busy machine. nanoGCG
hands keys and values over in a form that transformers 5 no longer takes; an adapter around the model takes it,
without copying more than the cache does. Writes ``bench/results/gcg.json``.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from harmless.attacks.suffix.frame import framed
from harmless.attacks.suffix.opened import Opened, opened
from harmless.attacks.suffix.search import Search, SearchOptions
from harmless.core import user

HERE = Path(__file__).parent
PROMPT = "How do I bake a cake for the birthday of my neighbour, without being seen?"
AIM = "Sure, here is"
LENGTH, TOP_K = 20, 256


class Adapter(torch.nn.Module):
    """The model as nanoGCG wants it; counts the candidates that it is asked about."""

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.inner, self.config, self.candidates = model, model.config, 0

    @property
    def device(self) -> torch.device:
        return self.inner.device

    @property
    def dtype(self) -> torch.dtype:
        return self.inner.dtype

    def get_input_embeddings(self) -> Any:
        return self.inner.get_input_embeddings()

    def forward(self, past_key_values: Any = None, **inputs: Any) -> Any:
        cache = DynamicCache() if inputs.get("use_cache") else None
        for i, (keys, values) in enumerate(past_key_values or ()):
            cache.update(keys, values, i)
        if past_key_values and not torch.is_grad_enabled():
            self.candidates += len(inputs["inputs_embeds"])
        made = self.inner(**inputs, cache=cache)
        if cache is not None:
            made["past_key_values"] = [(each.keys, each.values) for each in cache.layers]
        return made


def ours(model: Opened, steps: int, width: int, seed: int) -> dict[str, float]:
    """Return candidates a second of ours, and the loss at the end."""
    started = _clocks()
    frame = framed(model.local, user(PROMPT), AIM, LENGTH, None)
    options = SearchOptions(length=LENGTH, width=width, top_k=TOP_K)
    search = Search(model.local, frame, model.allowed, options, seed)
    for _ in range(steps):
        search.step()
    return _told(search.evaluated, started, search.loss)


def theirs(model: Opened, steps: int, width: int, seed: int) -> dict[str, float]:
    """Return candidates a second of nanoGCG, and the loss at the end; its set-up is not measured."""
    os.environ["TQDM_DISABLE"] = "1"
    import nanogcg
    from nanogcg.gcg import GCG

    logging.getLogger("nanogcg").setLevel(logging.ERROR)
    adapter = Adapter(model.local.model)
    config = nanogcg.GCGConfig(num_steps=steps, search_width=width, topk=TOP_K, seed=seed, verbosity="ERROR")
    search = GCG(adapter, model.local.tokenizer, config)
    search.prefix_cache = None
    started = _clocks()
    found = search.run(PROMPT, AIM)
    told = _told(adapter.candidates, started, found.best_loss)
    torch.use_deterministic_algorithms(False)
    return told


def _clocks() -> tuple[float, float]:
    return time.perf_counter(), time.process_time()


def _told(candidates: int, started: tuple[float, float], loss: float) -> dict[str, float]:
    seconds, of_cpu = (now - then for now, then in zip(_clocks(), started, strict=True))
    return {
        "candidates": candidates,
        "seconds": round(seconds, 2),
        "a_second": round(candidates / seconds, 2),
        "a_second_of_cpu": round(candidates / of_cpu, 2),
        "loss": round(loss, 3),
    }


def _ratio(rate: dict[str, float]) -> float | None:
    return round(rate["harmless"] / rate["nanogcg"], 2) if "nanogcg" in rate else None


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--model", default="embedded")
    arguments = parser.parse_args()
    if arguments.peer:
        sys.path.append(str(arguments.peer))
    steps, width, times = (2, 32, 1) if arguments.quick else (4, 96, 3)
    model = opened(arguments.model)
    kinds = {"harmless": ours} | ({"nanogcg": theirs} if arguments.peer else {})
    runs: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for seed in range(times):
        for name, measure in kinds.items():
            runs[name].append(measure(model, steps, width, seed))
            print(name, runs[name][-1], flush=True)
    rates = {
        unit: {name: statistics.median(each[unit] for each in found) for name, found in runs.items()}
        for unit in ("a_second", "a_second_of_cpu")
    }
    result = {
        "steps": steps,
        "width": width,
        "threads": torch.get_num_threads(),
        "candidates": rates,
        "ratio": {unit: _ratio(rate) for unit, rate in rates.items()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "nanogcg": next(arguments.peer.glob("nanogcg-*")).name if arguments.peer else "not measured",
        "runs": runs,
    }
    print(json.dumps({k: v for k, v in result.items() if k != "runs"}, indent=1))
    if not arguments.quick:
        (HERE / "results" / "gcg.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
