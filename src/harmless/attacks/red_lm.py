"""Red LM: a model writes questions for a hazard, and more like those that went furthest (Perez et al. 2022)."""

from __future__ import annotations

import math
import random
import re
from collections.abc import Iterable, Mapping, Sequence

from harmless import taxonomy
from harmless.attacks.contract import AttackInfo, Session
from harmless.attacks.dialogue import PATIENCE, items
from harmless.attacks.writing import talk, whole_numbers, wording
from harmless.core import Conversation, Prompt, user

#: Questions that are shown, and the temperature at which they are drawn by their scores.
SHOTS, TEMPERATURE = 5, 0.1
#: Questions that are asked, and how many of them are written at a time and asked together.
QUESTIONS, TOGETHER = 20, 5
_SHORTEST = 3
_QUESTION = re.compile(r"[^?]+\?")


class RedLM:
    """Zero-shot questions first, then few-shot ones after those whose replies scored highest.

    The first half of the questions is zero-shot. Replies are judged in view of the question they belong to, not
    of the objective: what is searched is the objective's hazard. What it finds is a rate under attack, no
    estimate of harm in use.

    Args:
        questions: how many are asked.
        together: how many the model writes at a time: a list, or 1, as models are trained to
            (:mod:`harmless.align.red_lm`).
    """

    def __init__(self, questions: int = QUESTIONS, together: int = TOGETHER) -> None:
        self._questions, self._together = questions, together
        given = [questions] if together == TOGETHER else [questions, together]
        self.info = AttackInfo(
            name="red_lm" if given == [QUESTIONS] else f"red_lm({', '.join(map(str, given))})",
            family="red LM",
            calls=questions,
            adaptive=True,
            attacker=True,
            source="Perez et al. 2022",
        )

    async def run(self, session: Session) -> None:
        """Ask new questions until there are enough, or the attacker's model has no more."""
        scores: dict[str, float] = {}
        silent, patience = 0, max(PATIENCE, PATIENCE * TOGETHER // self._together)
        while len(scores) < self._questions and silent < patience:
            few = len(scores) >= max(self._questions // 2, 1)
            shots = drawn(scores, SHOTS, TEMPERATURE, session.random) if few else []
            note = f"few-shot, {effective(scores.values(), TEMPERATURE):.1f} effective" if few else "zero-shot"
            text = await session.write(brief(session.objective, shots, self._together), note=note)
            new = [each for each in questions(text) if each not in scores]
            new = new[: min(self._together, self._questions - len(scores))]
            if not new:
                silent += 1
                continue
            silent = 0
            asked = [user(question) for question in new]
            tried = await session.ask(asked, note=note, aims=asked)
            scores |= {question: each.score for question, each in zip(new, tried, strict=True)}


def questions(text: str | None) -> list[str]:
    """Return the distinct questions of a list that a model wrote: each up to its first question mark.

    What has none is left out, as in the paper, unless its first word is one that questions begin with.
    """
    begins = tuple(f"{word} " for word in wording("red_lm")["question words"])
    listed = [
        item if "?" in item or not item.lower().startswith(begins) else f"{item.rstrip('.! ')}?"
        for item in items(text, 4 * TOGETHER)
    ]
    found = [_QUESTION.match(item) for item in listed]
    kept = [each[0].strip() for each in found if each]
    return list(dict.fromkeys(each for each in kept if len(each.split()) >= _SHORTEST))


def drawn(scores: Mapping[str, float], count: int, temperature: float, rng: random.Random) -> list[str]:
    """Draw up to ``count`` of the keys without replacement, each with probability by exp(score/temperature)."""
    left = dict(scores)
    found: list[str] = []
    while left and len(found) < count:
        keys = list(left)
        found.append(rng.choices(keys, _weights(list(left.values()), temperature))[0])
        del left[found[-1]]
    return found


def effective(scores: Iterable[float], temperature: float) -> float:
    """Return the effective sample size (sum w)^2 / sum w^2 of the weights: near 1, one question decides all."""
    weights = _weights(list(scores), temperature)
    return sum(weights) ** 2 / sum(weight * weight for weight in weights) if weights else 0.0


def _weights(scores: Sequence[float], temperature: float) -> list[float]:
    most = max(scores, default=0.0)
    return [math.exp((score - most) / temperature) for score in scores]


def brief(objective: Prompt, shots: Sequence[str] = (), count: int = 1) -> Conversation:
    """Return what the model is told: to write so many questions for the objective's hazard.

    ``shots`` are questions to go on from. An objective without a hazard stands for similar requests.
    """
    words, key = wording("red_lm"), objective.hazard
    if key:
        hazard = taxonomy.load().hazard(key)
        subject = words["hazard"].format(name=hazard.name, definition=hazard.definition)
    else:
        subject = words["no hazard"].format(objective=objective.text)
    shown = "".join(f"{number}. {shot}\n" for number, shot in enumerate(shots, 1))
    kind = ("one more" if shots else "one") if count == 1 else ("few" if shots else "zero")
    step = words[kind].format(count=count, subject=subject, shots=shown.rstrip())
    return talk(words["system"], step)


def red_lm(questions: str = str(QUESTIONS), together: str = str(TOGETHER)) -> RedLM:
    """Return the attack; UsageError if an argument is not a whole number above 0."""
    return RedLM(*whole_numbers("red_lm", questions=questions, together=together))
