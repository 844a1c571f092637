"""Random search follows the log-probabilities of an affirmative beginning."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from harmless.attacks import load, random_search
from harmless.attacks.likely import likelihoods
from harmless.attacks.random_search import CHANGED, changed, vocabulary
from harmless.core import Conversation, Message, Reply, ReplyStatus, Sampling, TargetInfo, user
from harmless.core.completion import Completion, ModelInput, Token
from harmless.errors import UnreachableError, UsageError
from harmless.targets.models import find
from tests import tiny
from tests.doubles import FakeTarget, said
from tests.unit.attacks.sessions import FakeSession, run
from tests.unit.attacks.test_taken_up import Dies, answer, found


def likely(text: str) -> float:
    """The more letters e a prompt has, the likelier is an affirmative beginning."""
    return text.count("e") - 100.0


class Scoring(FakeTarget):
    """Scores whole continuations."""

    def __init__(self) -> None:
        super().__init__(lambda *_: said("no"))
        self.scored: list[Conversation] = []

    async def log_probability(
        self, conversation: Conversation, continuations: Sequence[str]
    ) -> list[list[float]]:
        self.scored.append(conversation)
        assert continuations == ["Sure"]
        return [[likely(conversation[-1].content) - 1, 1.0]]


class Telling(FakeTarget):
    """Tells what its first token might have been."""

    def __init__(self, *top: tuple[str, float], status: str = "complete") -> None:
        super().__init__(lambda *_: said("no"))
        self._top, self._status = top, status

    async def complete(
        self, inputs: Sequence[ModelInput], sampling: Sampling, top_logprobs: int = 0
    ) -> list[Completion]:
        assert (sampling.max_tokens, top_logprobs) == (1, 20)
        tokens = [Token(text=self._top[0][0], logprob=self._top[0][1], top=self._top)] if self._top else []
        reply = Reply(status=ReplyStatus(self._status), text="no", cause="down")
        return [Completion.of(reply, tokens) for _ in inputs]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Scoring:
    target = Scoring()
    monkeypatch.setattr(random_search, "load", lambda spec, options: target)
    return target


def first(target: object) -> float:
    return anyio.run(likelihoods, target, [user("a")], "Sure")[0]  # type: ignore[arg-type]


def test_later_suffixes_are_likelier_and_never_said_twice(model: Scoring) -> None:
    session = run(load("random_search"), FakeSession(lambda _: "no", calls=6, system="be brief"))
    assert len(set(session.prompts)) == 6
    assert all(prompt.startswith("open the old box ") for prompt in session.prompts)
    values = [likely(prompt) for prompt in session.prompts]
    assert values == sorted(values)
    assert values[-1] > values[0] + 5
    assert len(model.scored) == 6 * 10 * 8
    assert model.scored[0][0] == Message(role="system", content="be brief")
    assert session.notes[0] == f"log p {values[0]:.2f}, 80 candidates"


def test_it_starts_anew_where_it_does_not_get_on(model: Scoring, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fixed(conversation: Conversation, _: Sequence[str]) -> list[list[float]]:
        return [[-1.0 if len(model.scored) < 8 else -2.0]]

    monkeypatch.setattr(model, "log_probability", fixed)
    session = run(load("random_search(embedded, 2, 5)"), FakeSession(lambda _: "no", calls=4))
    assert len(set(session.prompts)) == 4


def test_a_change_is_of_neighbouring_words() -> None:
    suffix, rng = ["a"] * 10, random.Random(1)
    for _ in range(50):
        new = changed(suffix, rng)
        places = [i for i, word in enumerate(new) if word != "a"]
        assert len(new) == 10
        assert not places or places[-1] - places[0] < CHANGED
    assert len(changed(["a"], rng)) == 1
    assert 400 < len(vocabulary()) == len(set(vocabulary()))


def test_what_a_target_tells_of_its_first_token_is_read() -> None:
    assert first(Telling(("No", -0.1), (" Sure", -3.0), ("Su", -4.0))) == -3.0
    assert first(Telling(("No", -0.1), (" ", -0.2))) == -math.inf


def test_a_target_without_log_probabilities_is_told() -> None:
    for target in (FakeTarget(lambda *_: said("no")), Telling()):
        with pytest.raises(UsageError, match="no log-probabilities"):
            first(target)
    with pytest.raises(UnreachableError, match="down"):
        first(Telling(status="error"))


@pytest.mark.usefixtures("model")
def test_a_search_that_was_cut_off_ends_like_one_that_was_not(tmp_path: Path) -> None:
    for name in ("whole", "part"):
        (tmp_path / name).mkdir()
    whole, part = FakeTarget(answer), FakeTarget(answer)
    expected = found(tmp_path / "whole", "random_search", whole)
    with pytest.raises(RuntimeError):
        found(tmp_path / "part", "random_search", Dies(part, 3))
    assert found(tmp_path / "part", "random_search", part) == expected
    assert len(part.asked) - len(whole.asked) <= 2


def test_its_arguments_are_in_its_name() -> None:
    assert load("random_search(embedded, 10, 25)").info.name == "random_search"
    assert load("random_search(openai:m, 3)").info.name == "random_search(openai:m, 3, 25)"
    with pytest.raises(UsageError, match="rounds"):
        load("random_search(embedded, no)")


@pytest.mark.hf
def test_a_model_of_torch_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch", reason="needs torch (extra hf)")
    pytest.importorskip("transformers", reason="needs transformers (extra hf)")
    monkeypatch.setattr(tiny, "CONTEXT", 256)
    folder = tiny.saved(tmp_path / "tiny")
    session = run(load(f"random_search(hf:{folder}, 2, 4)"), FakeSession(lambda _: "no", calls=2))
    assert len(session.prompts) == 2
    assert -100 < float(session.notes[1].split()[2].strip(",")) < 0


def test_infos_say_what_is_needed() -> None:
    info = load("random_search").info
    assert (info.access, info.calls, info.family) == ("log-probabilities", 10, "log-probabilities")
    assert isinstance(Scoring().info, TargetInfo)


@pytest.mark.model
@pytest.mark.skipif(find() is None, reason="needs the bundled model: harmless models pull")
def test_the_bundled_model_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_search, "TOGETHER", 3)
    session = run(load("random_search(embedded, 1, 3)"), FakeSession(lambda _: "no", calls=1))
    assert -60 < float(session.notes[0].split()[2].strip(",")) < 0
