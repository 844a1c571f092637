"""Training rows written by us: benign prompts, contrast pairs, and replies of all four classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import Any, TypeAlias

import numpy as np
import yaml

from harmless import taxonomy
from harmless.guards.train.rows import Row

LICENCE = "Apache-2.0"
ORDINARY, FRAMES, PAIRS = "own", "own frames", "own pairs"
"""Sources: ordinary prompts; acts in a frame that decides whether they are harmful; contrast pairs."""

Phrases: TypeAlias = Mapping[str, Sequence[str]]
"""The lists of ``own/replies.yaml`` that constructed replies are made of."""


@cache
def texts(name: str) -> dict[str, Any]:
    """Return the lists in ``own/NAME.yaml``."""
    path = resources.files(__package__) / "own" / f"{name}.yaml"
    return dict(yaml.safe_load(path.read_text(encoding="utf-8")))


def prompts(rng: np.random.Generator) -> list[Row]:
    """Return benign prompts, short and long, and contrast pairs whose frame decides."""
    ordinary, contrast = texts("ordinary"), texts("contrast")
    topics, acts = ordinary["topics"], contrast["acts"]
    benign = everyday()
    for pattern in ordinary["patterns"]:
        for topic in _some(topics, 20, rng):
            benign.append(_capital(pattern.format(t=topic, u=_some(topics, 1, rng)[0])))
    frames = [frame.format(a=act) for act in acts for frame in _some(contrast["benign_frames"], 8, rng)]
    harmful = [frame.format(a=act) for act in acts for frame in _some(contrast["harmful_frames"], 6, rng)]
    made = [(text, False, ORDINARY) for text in benign] + [(text, False, FRAMES) for text in frames]
    made += [(text, True, FRAMES) for text in harmful]
    return [Row(text, unsafe=unsafe, source=source, licence=LICENCE) for text, unsafe, source in made] + pairs()


def everyday() -> list[str]:
    """Return the benign prompts that were written one by one: words, questions, instructions."""
    folder = resources.files(__package__) / "own"
    written = (folder / "instructions.txt").read_text(encoding="utf-8").splitlines()
    rows = (folder / "everyday.jsonl").read_text(encoding="utf-8").splitlines()
    return [
        *texts("ordinary")["short"],
        *texts("contrast")["harmless_senses"],
        *written,
        *(json.loads(line)["prompt"] for line in rows),
    ]


def pairs() -> list[Row]:
    """Return both sides of the contrast pairs, harmful before benign; they share the pair's id as ``goal``."""
    found = []
    for pair in contrast_pairs():
        domain = taxonomy.load().rollup(pair["hazard"], "domain").key.rpartition(".")[2]
        for side, unsafe in (("harmful", True), ("benign", False)):
            row = Row(pair[side], unsafe=unsafe, source=PAIRS, licence=LICENCE, domain=domain)
            found.append(replace(row, goal=pair["id"]))
    return found


def contrast_pairs() -> Iterator[dict[str, str]]:
    """Yield the pairs in ``own/pairs-*.jsonl`` with ``id``, ``hazard``, ``harmful`` and ``benign``."""
    for path in sorted((resources.files(__package__) / "own").iterdir(), key=lambda each: each.name):
        if path.name.startswith("pairs-"):
            name = path.name.removesuffix(".jsonl")
            for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
                yield {"id": f"{name}:{number}", **json.loads(line)}


def refusals(prompts: Sequence[str], rng: np.random.Generator, own: Phrases) -> list[str]:
    """Return one reply that refuses each prompt, in many styles."""
    return [_refusal(own, prompt, rng) for prompt in prompts]


def compliances(prompts: Sequence[str], rng: np.random.Generator, own: Phrases) -> list[str]:
    """Return one ordinary reply to each prompt; some open with an apology or hold words of refusals."""
    replies = []
    for prompt in prompts:
        parts = [_pick(own["compliance_openings"], prompt, rng), f"{prompt.rstrip('?.!')}:"]
        parts += [_pick(own["compliant_sentences"], prompt, rng) for _ in range(2)]
        replies.append(" ".join(parts).strip())
    return replies


def partials(
    prompts: Sequence[str], answers: Sequence[str], rng: np.random.Generator, own: Phrases
) -> list[str]:
    """Return partial refusals: an answer that a refusal opens, or that hedges frame."""
    replies = []
    for prompt, answer in zip(prompts, answers, strict=True):
        opening = own["hedges"] if rng.random() < 0.7 else own["refusals"]
        link = (
            "" if opening is own["hedges"] else rng.choice(["However, ", "That said, ", "But here it is: ", ""])
        )
        closing = _pick(own["disclaimers"], prompt, rng) if rng.random() < 0.5 else ""
        replies.append(f"{_pick(opening, prompt, rng)} {link}{_body(answer, rng)} {closing}".strip())
    return replies


def off_topic(
    prompts: Sequence[str], answers: Sequence[str], rng: np.random.Generator, own: Phrases
) -> list[str]:
    """Return replies that are beside the prompt: another prompt's answer, an echo, gibberish, nothing said."""
    shifted = np.roll(np.arange(len(answers)), 1 + int(rng.integers(max(len(answers) - 1, 1))))
    replies = []
    for index, prompt in enumerate(prompts):
        draw = rng.random()
        other = _body(answers[shifted[index]], rng)
        if draw < 0.4:
            replies.append(other)
        elif draw < 0.45:
            replies.append(prompt)
        elif draw < 0.5:
            replies.append(_gibberish(rng))
        elif draw < 0.6:
            replies.append(_pick(own["off_topic"], prompt, rng))
        else:
            replies.append(_nothing(prompt, other, rng, own))
    return replies


def _nothing(prompt: str, other: str, rng: np.random.Generator, own: Phrases) -> str:
    """Return a reply that takes up the prompt's words and says nothing, as small models do.

    It names the task, goes round in circles, or lists steps that would fit any task.
    """
    named = rng.choice(own["named"]).replace("{p}", prompt.rstrip("?.!"))
    hollow = [_pick(own["hollow"], prompt, rng) for _ in range(int(rng.integers(1, 5)))]
    draw = rng.random()
    if draw < 0.3:
        sentences = [named, *hollow] if rng.random() < 0.7 else hollow
    elif draw < 0.5:
        sentences = [*hollow[:1], other] if rng.random() < 0.5 else [named, other]
    elif draw < 0.75:
        sentences = [named if rng.random() < 0.5 else hollow[0]] * int(rng.integers(2, 16))
    else:
        steps = [f"Step {i}: {step}" for i, step in enumerate(_some(own["any_steps"], 5, rng), 1)]
        sentences = [*hollow[:1], *steps[: int(rng.integers(2, 6))]]
    return str(rng.choice([" ", "\n\n"])).join(sentences)


def _refusal(own: Phrases, prompt: str, rng: np.random.Generator) -> str:
    draw = rng.random()
    made = [_pick(own[f"refusal_{part}"], prompt, rng) for part in ("leads", "verbs", "objects", "reasons")]
    claim = _capital(_pick(own["refusal_claims"], prompt, rng))
    if draw < 0.4:
        head = _pick(own["refusals"], prompt, rng)
    elif draw < 0.75:
        head = " ".join(made).strip() + "."
    elif draw < 0.9:
        head = f"{claim}, {rng.choice(['so', 'and'])} {' '.join(made[:3])}."
    else:
        head = f"{claim}, {_pick(own['refusal_closings'], prompt, rng)}."
    tails = own["steers"] if rng.random() < 0.3 else own["refusal_tails"]
    return f"{head} {_pick(tails, prompt, rng)}".strip()


def _body(answer: str, rng: np.random.Generator) -> str:
    return answer[: int(rng.integers(120, 900))]


def _gibberish(rng: np.random.Generator) -> str:
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz    .,}{<>/0123456789"))
    if rng.random() < 0.5:
        return "".join(rng.choice(letters, int(rng.integers(8, 120))))
    return " ".join(["".join(rng.choice(letters[:26], 4))] * int(rng.integers(5, 40)))


def _pick(options: Sequence[str], prompt: str, rng: np.random.Generator) -> str:
    words = prompt.rstrip("?.!").split()[-6:]
    return options[int(rng.integers(len(options)))].replace("{x}", " ".join(words).lower() or "this")


def _some(options: Sequence[str], count: int, rng: np.random.Generator) -> list[str]:
    return [options[i] for i in rng.permutation(len(options))[:count]]


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
