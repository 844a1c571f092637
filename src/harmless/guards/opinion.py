"""What a judge answers: the last JSON object of its reply, strictly, or no opinion at all."""

from __future__ import annotations

import json
import statistics
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from harmless.core import Finding, Outcome, Reply, ReplyStatus, Verdict
from harmless.guards.rubric import Rubric

LONGEST = 20_000
"""Characters at the end of a reply that are searched for the answer."""


class _Answer(BaseModel):
    # Unknown fields are let pass: small models add some, and they change nothing.
    model_config = ConfigDict(strict=True, frozen=True)
    key: str
    reason: str = ""


class Rating(_Answer):
    """The answer to "which level?"."""

    level: int
    criteria: list[str] = []


class Preference(_Answer):
    """The answer to "which is better?"."""

    better: Literal["first", "second", "tie"]


@dataclass(frozen=True)
class Opinion:
    """One judge's rating of one exchange, or the cause why there is none; latency in s, cost in US dollars."""

    rating: Rating | None
    cause: str = ""
    latency_s: float = 0.0
    cost_usd: float | None = None


def opinion(reply: Reply, key: str, rubric: Rubric) -> Opinion:
    """Return what a reply to a request with ``key`` says by a rubric."""
    try:
        rating: Rating | None = read_answer(reply, key, Rating)
        cause = ""
        if rating and rating.level not in rubric.levels:
            raise ValueError(f"level {rating.level} is none of the rubric")
        if rating and not set(rating.criteria) <= {criterion.id for criterion in rubric.criteria}:
            raise ValueError("it names criteria that the rubric lacks")
    except ValueError as error:
        rating, cause = None, str(error)
    return Opinion(rating, cause, reply.latency_s, reply.cost_usd)


def read_answer(reply: Reply, key: str, kind: type[Any]) -> Any:
    """Return the answer in a reply; ValueError with the cause if there is none, or none with the right key."""
    if reply.status is not ReplyStatus.COMPLETE:
        raise ValueError(
            f"the judge's reply is {reply.status.value}{': ' + reply.cause if reply.cause else ''}"
        )
    plain = last_object(reply.text)
    if plain is None:
        raise ValueError("the judge's reply holds no JSON object")
    try:
        answer = kind.model_validate(plain)
    except ValidationError as error:
        place = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise ValueError(f"the judge's answer: {place}: {error.errors()[0]['msg']}") from None
    if answer.key != key:
        raise ValueError("the judge's answer lacks the key: it may be the judged text's own")
    return answer


def last_object(text: str) -> dict[str, Any] | None:
    """Return the last JSON object of a text that is not inside another, None if there is none.

    What stands around it, such as code fences, does not matter. An object with a name twice is not well-formed.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_without_doubles)
    text, found, place = text[-LONGEST:], None, 0
    while (place := text.find("{", place)) >= 0:
        try:
            found, place = decoder.raw_decode(text, place)
        except (ValueError, RecursionError):
            place += 1
    return found


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    plain = dict(pairs)
    if len(plain) != len(pairs):
        raise ValueError("a name twice")
    return plain


def joined(opinions: Sequence[Opinion], rubric: Rubric) -> Verdict:
    """Return the verdict of several opinions on one exchange.

    The score is the mean of their places on the scale. At least half of them have to be readable, otherwise the
    exchange is unassessed with the first cause. Labels: ``level`` is the mean level, ``spread`` the standard
    deviation of the scores, ``disagreement`` the share that is on the other side than most, ``unreadable`` the
    share without an answer.
    """
    ratings = [each.rating for each in opinions if each.rating]
    costs = [each.cost_usd for each in opinions if each.cost_usd is not None]
    spent = {
        "latency_s": sum(each.latency_s for each in opinions),
        "cost_usd": sum(costs) if costs else None,
    }
    if 2 * len(ratings) < len(opinions) or not ratings:
        cause = next((each.cause for each in opinions if each.cause), "no judge was asked")
        return Verdict.unassessed(cause).model_copy(update=spent)
    scores = [rubric.score(rating.level) for rating in ratings]
    score = statistics.fmean(scores)
    over = sum(each >= rubric.threshold for each in scores) / len(scores)
    unsafe = score >= rubric.threshold
    nearest = min(ratings, key=lambda rating: abs(rubric.score(rating.level) - score))
    level = statistics.fmean(rating.level for rating in ratings)
    return Verdict(
        outcome=Outcome.UNSAFE if unsafe else Outcome.SAFE,
        score=score,
        findings=_findings(ratings, rubric, score) if unsafe else (),
        labels={
            "level": level,
            "spread": statistics.pstdev(scores),
            "disagreement": min(over, 1 - over),
            "unreadable": 1 - len(ratings) / len(opinions),
        },
        reason=f"level {level:.3g} of {rubric.highest}: {' '.join(nearest.reason.split())[:300]}",
    ).model_copy(update=spent)


def _findings(ratings: Sequence[Rating], rubric: Rubric, score: float) -> tuple[Finding, ...]:
    """Return the criteria that at least half of the ratings name."""
    named = Counter(name for rating in ratings for name in set(rating.criteria))
    return tuple(
        Finding(hazard=criterion.hazard, rule=f"{rubric.name}:{criterion.id}", score=score)
        for criterion in rubric.criteria
        if 2 * named[criterion.id] >= len(ratings)
    )
