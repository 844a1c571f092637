"""How often judge and refusal guard agree with labelled replies, beside key words and substring matching.

    OMP_NUM_THREADS=1 python bench/judge_agreement.py --data FOLDER [--out FOLDER]

``FOLDER`` holds the files that ``src/harmless/guards/train/sources.yaml`` names. Everything trained is judged
out of fold: a reply is judged by models that have seen neither its goal nor its model. Writes
``bench/results/judge_agreement.json`` and the section between the markers of ``docs/guards.md``.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from harmless.guards.train import judge, prompt
from harmless.guards.train.constructed import held_out
from harmless.guards.train.replies import REFUSAL, refusal_truth
from harmless.guards.train.rows import Row, load
from harmless.guards.train.run import labelled

HERE = Path(__file__).parent
DOCS = HERE.parent / "docs" / "guards.md"
START, END = "<!-- judge_agreement: start -->", "<!-- judge_agreement: end -->"


def by_phrases(rows: Sequence[Row]) -> dict[str, np.ndarray]:
    """Return, for every baseline, which replies it takes for refusals."""
    phrases = yaml.safe_load((HERE / "refusal_phrases.yaml").read_text(encoding="utf-8"))
    replies = [row.reply or "" for row in rows]
    gcg = np.array([any(phrase in reply for phrase in phrases["gcg"]) for reply in replies])
    words = np.array([any(w in reply[:200].lower() for w in phrases["keywords"]) for reply in replies])
    # Where the data set brings no substring label, the published list stands in for it.
    own = np.array([bool(g) if r.substring is None else r.substring for r, g in zip(rows, gcg, strict=True)])
    return {"key words": words, "GCG refusal phrases": gcg, "substring label of the data": own}


def judge_table(rows: Sequence[Row], flags: dict[str, np.ndarray]) -> dict[str, Any]:
    labels = np.array([int(bool(row.unsafe)) for row in rows])
    sources = np.array([f"{row.source}: {row.attack or 'dialogues'}" for row in rows])
    chat = np.array([row.votes is None for row in rows])
    benign = np.array([row.attack.startswith("harmless_") for row in rows])
    groups = {"chat replies": chat, "chat replies to harmful goals": chat & ~benign}
    groups["all, with dialogues"] = np.ones(len(rows), bool)
    groups |= {name: sources == name for name in sorted(set(sources))}
    return {
        group: {name: judge.error_rates(labels[mask], flagged[mask]) for name, flagged in flags.items()}
        for group, mask in groups.items()
    }


def refusal_table(rows: Sequence[Row], said: dict[str, np.ndarray]) -> dict[str, Any]:
    truth = [refusal_truth(row) for row in rows]
    sure = np.array([t is not None for t in truth])
    wanted = np.array([int(t == REFUSAL) for t in truth])
    # The class of these rows was read off the substring label, which would judge itself.
    circular = np.array([row.attack == "jailbreakbench_baseline" for row in rows])
    groups = {"certain rows": sure, "without rows chosen by substring": sure & ~circular}
    return {
        group: {name: judge.error_rates(wanted[mask], refused[mask]) for name, refused in said.items()}
        for group, mask in groups.items()
    }


def markdown(result: dict[str, Any]) -> str:
    lines = ["Agreement on the verdict (unsafe or safe), out of fold:", ""]
    lines += _agreement(result["judge"], "unsafe found", "safe found")
    lines += ["", "Agreement on whether the reply refuses or answers, out of fold:", ""]
    lines += _agreement(result["refusal"], "refusals found", "answers found")
    lines += ["", "Confusion matrices of the judge and of the refusal guard:", ""]
    lines += _confusion(result["judge"]["chat replies"]["judge"], "unsafe", "safe")
    lines += ["", *_confusion(result["refusal"]["certain rows"]["refusal guard"], "refused", "answered")]
    lines += ["", "Refusal classes on constructed replies of goals and phrases that training did not see:", ""]
    classes = result["constructed"]["classes"]
    lines += [
        "| is | " + " | ".join(f"said {name}" for name in classes) + " |",
        "| --- |" + " --- |" * len(classes),
    ]
    for name, counts in zip(classes, result["constructed"]["confusion"], strict=True):
        lines.append(f"| {name} | " + " | ".join(map(str, counts)) + " |")
    return "\n".join(lines)


def _agreement(groups: dict[str, Any], first: str, second: str) -> list[str]:
    methods = list(next(iter(groups.values())))
    lines = [
        f"| replies | {' | '.join(methods)} | {first} | {second} |",
        "| --- |" + " --- |" * (len(methods) + 2),
    ]
    for group, found in groups.items():
        best = found[methods[0]]
        shares = " | ".join(f"{found[name]['agreement']:.3f}" for name in methods)
        counted = (
            f"{_share(best['sensitivity'], best['n_unsafe'])} | {_share(best['specificity'], best['n_safe'])}"
        )
        lines.append(f"| {group} | {shares} | {counted} |")
    return [*lines, "", f"The last two columns are those of the {methods[0]}."]


def _confusion(rates: dict[str, Any], positive: str, negative: str) -> list[str]:
    hit, missed, alarm, clear = rates["confusion"].values()
    return [
        f"| labelled | said {positive} | said {negative} |",
        "| --- | --- | --- |",
        f"| {positive} | {hit} | {missed} |",
        f"| {negative} | {alarm} | {clear} |",
    ]


def _share(rate: float | None, count: int) -> str:
    return "none" if rate is None else f"{rate:.3f} of {count}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rows = load(options.data)
    prompts = prompt.collect(rows, np.random.default_rng(options.seed))
    data = labelled(rows, prompts, prompt.fit_harm(prompts, np.arange(len(prompts.rows)), options.seed))
    judged = judge.cross_validate(data, options.seed)
    refusals = by_phrases(data.rows)
    flags = {name: ~refused for name, refused in refusals.items()}
    flags = {
        "judge": judged.risk >= judge.THRESHOLD,
        "embedded (reply in context, even odds)": judged.context >= judge.THRESHOLD,
    } | flags
    guard = judged.classes[:, 0] + judged.classes[:, 1] >= judge.THRESHOLD
    result = {
        "judge": judge_table(data.rows, flags),
        "refusal": refusal_table(data.rows, {"refusal guard": guard} | refusals),
        "constructed": held_out(data, options.seed),
    }
    (HERE / "results" / "judge_agreement.json").write_text(
        json.dumps(result, indent=1) + "\n", encoding="utf-8"
    )
    text = DOCS.read_text(encoding="utf-8")
    before, after = text.partition(START)[0], text.partition(END)[2]
    DOCS.write_text(f"{before}{START}\n{markdown(result)}\n{END}{after}", encoding="utf-8")
    print(markdown(result))


if __name__ == "__main__":
    main()
