"""Prefill begins the reply; the target goes on from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from harmless.attacks import load, successes
from harmless.attacks.writing import wording
from harmless.core import Conversation, Message, Reply, Sampling, user
from harmless.evidence import Store
from harmless.targets.models import find
from tests.doubles import FakeTarget, said
from tests.tiny import saved
from tests.unit.attacks.test_campaign import campaign

BEGINNINGS = wording("prefill")["beginnings"]


class Continuing(FakeTarget):
    """Goes on after one beginning with what is unsafe; gives the beginning back if it echoes."""

    def __init__(self, *, echoes: bool) -> None:
        super().__init__(lambda *_: said("no"))
        self.echoes, self.conversations = echoes, list[Conversation]()

    async def reply(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        self.conversations += conversations
        begun = [conversation[-1].content if self.echoes else "" for conversation in conversations]
        goes_on = ["UNSAFE" if c[-1].content == BEGINNINGS["json"] else "REFUSE" for c in conversations]
        return [said(a + b) for a, b in zip(begun, goes_on, strict=True)]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


@pytest.mark.parametrize("echoes", [True, False])
def test_each_beginning_is_tried_until_one_is_gone_on_with(store: Store, echoes: bool) -> None:
    target = Continuing(echoes=echoes)
    found = campaign(store, target, specs=("prefill",), objectives=["a b", "c d"])
    assert found.attacks[0].asr.rate == 1.0
    assert found.attacks[0].refused == len(target.conversations) - 2
    assert all([m.role for m in each] == ["user", "assistant"] for each in target.conversations)
    reached = successes(store, found.run, 5)
    assert {each.conversation[-1].content for each in reached} == {BEGINNINGS["json"]}


def test_it_asks_as_often_as_there_are_beginnings(store: Store) -> None:
    target = FakeTarget(lambda *_: said("no"))
    found = campaign(store, target, specs=("prefill",), objectives=["a b"])
    assert found.attacks[0].calls == len(BEGINNINGS) == load("prefill").info.calls
    assert sorted(target.asked) == sorted(BEGINNINGS.values())


@pytest.mark.hf
def test_a_model_of_torch_goes_on_with_a_reply_that_is_begun(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
    pytest.importorskip("transformers", reason="needs transformers (extra hf)")
    from harmless.targets import load as load_target

    target = load_target(f"hf:{saved(tmp_path / 'tiny')}")
    begun = (*user("hi"), Message(role="assistant", content="Sure"))
    reply = anyio.run(target.reply, [begun], Sampling(max_tokens=6))[0]
    ids = torch.tensor(
        [target._tokenizer("<|user|>hi<|end|><|assistant|>Sure", add_special_tokens=False)["input_ids"]]
    )  # type: ignore[attr-defined]
    made = target._model.generate(ids, do_sample=False, max_new_tokens=6)  # type: ignore[attr-defined]
    assert reply.usage.prompt_tokens == ids.shape[1]
    text = target._tokenizer.decode(made[0, ids.shape[1] :], skip_special_tokens=True)  # type: ignore[attr-defined]
    assert text.startswith(reply.text.strip())


@pytest.mark.model
@pytest.mark.skipif(find() is None, reason="needs the bundled model: harmless models pull")
def test_the_bundled_model_goes_on_with_a_reply_that_is_begun() -> None:
    from harmless.attacks.prefill import _own
    from harmless.targets import load as load_target

    target = load_target("embedded")
    begun = (*user("Name a fruit."), Message(role="assistant", content="Sure! A yellow fruit is the ban"))
    reply = anyio.run(target.reply, [begun], Sampling(max_tokens=4))[0]
    anyio.run(target.aclose)
    assert _own(begun[-1].content, reply.text).startswith("ana")
