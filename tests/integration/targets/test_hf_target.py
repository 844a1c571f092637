"""Models that transformers runs: a tiny one with random weights, made here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import anyio
import pytest

from harmless.core import Conversation, Message, Reply, ReplyStatus, Sampling, user
from harmless.errors import BadFileError, UsageError
from harmless.targets import TargetOptions, load
from harmless.targets.hf import HfTarget
from tests.tiny import CONTEXT, saved

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
transformers = pytest.importorskip("transformers", reason="needs transformers (extra hf)")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def target(folder: Path) -> HfTarget:
    return made(folder)


def made(folder: Path, **options: int) -> HfTarget:
    target = load(f"hf:{folder}", TargetOptions(**options))
    assert isinstance(target, HfTarget)
    return target


def ask(target: HfTarget, texts: Sequence[str], **sampling: object) -> list[Reply]:
    settings = Sampling.model_validate({"max_tokens": 8, **sampling})
    return anyio.run(target.reply, [user(text) for text in texts], settings)


def test_what_it_is(target: HfTarget, folder: Path) -> None:
    info = target.info
    assert info.name == f"hf:{folder.name}"
    assert (info.context_length, info.batch_size, info.white_box) == (CONTEXT, 8, True)


def test_a_batch_gives_the_same_as_one_at_a_time(target: HfTarget) -> None:
    texts = ["hi", "a longer question", "x", "what?", "tell me more", "yes", "no", "why", "how", "so"]
    together = ask(target, texts)
    alone = [ask(target, [text])[0] for text in texts]
    assert [reply.text for reply in together] == [reply.text for reply in alone]
    assert len({reply.text for reply in together}) > 3


def test_greedy_replies_are_those_of_the_model(target: HfTarget, folder: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer("<|user|>hi<|end|><|assistant|>", return_tensors="pt")["input_ids"]
    for _ in range(8):
        best = model(tokens).logits[0, -1].argmax().view(1, 1)
        if best.item() == tokenizer.eos_token_id:
            break
        tokens = torch.cat([tokens, best], dim=1)
    (reply,) = ask(target, ["hi"])
    assert reply.text == tokenizer.decode(tokens[0, 5:], skip_special_tokens=True)
    assert reply.usage.prompt_tokens == 5


def test_the_seed_decides_a_sampled_reply(target: HfTarget) -> None:
    texts = [ask(target, ["hi"], temperature=2.0, seed=seed)[0].text for seed in (1, 1, 2)]
    assert texts[0] == texts[1] != texts[2]


def test_the_system_prompt_and_the_earlier_turns_count(target: HfTarget) -> None:
    plain, told = ask(target, ["hi"])[0], ask(target, ["hi"], system="be brief")[0]
    assert told.usage.prompt_tokens == plain.usage.prompt_tokens + len("be brief") + 2
    turns = [("user", "a"), ("assistant", "b"), ("user", "hi")]
    conversation = tuple(Message(role=role, content=text) for role, text in turns)  # type: ignore[arg-type]
    (reply,) = anyio.run(target.reply, [conversation], Sampling(max_tokens=8))
    assert reply.usage.prompt_tokens == plain.usage.prompt_tokens + 6


def test_a_reply_that_the_limit_cuts_is_truncated(target: HfTarget) -> None:
    replies = ask(target, ["hi", "a longer question", "x", "what?"], max_tokens=1)
    cut = [reply for reply in replies if reply.usage.completion_tokens == 1]
    assert cut
    assert {reply.cause for reply in cut} <= {"limit of 1 tokens", "no text before limit of 1 tokens"}


def test_what_does_not_fit_the_context_is_an_error_and_does_not_spoil_the_others(target: HfTarget) -> None:
    conversations: list[Conversation] = [user("hi"), user("y" * 80), (), user("hi")]
    replies = anyio.run(target.reply, conversations, Sampling(max_tokens=8))
    assert [reply.status is ReplyStatus.ERROR for reply in replies] == [False, True, True, False]
    assert replies[1].cause == f"context overflow: 83 tokens, the context holds {CONTEXT}"
    assert replies[2].cause == "the conversation is empty"
    assert replies[0].text == replies[3].text


def test_a_reply_that_fills_the_context_says_so(target: HfTarget) -> None:
    texts = [letter * 57 for letter in "abcdefgh"]
    replies = ask(target, [*texts, "hi"], max_tokens=30)
    full = [reply for reply in replies[:8] if reply.usage.completion_tokens == CONTEXT - 60]
    assert full
    assert {reply.cause for reply in full} <= {"the context is full", "no text before the context is full"}
    assert replies[8].text == ask(target, ["hi"], max_tokens=30)[0].text


def test_a_stop_string_ends_the_reply(target: HfTarget) -> None:
    (whole,) = ask(target, ["a longer question"])
    assert len(whole.text) > 3
    stop = whole.text[2]
    (reply,) = ask(target, ["a longer question"], stop=[stop])
    assert reply.text == whole.text[: whole.text.index(stop)]
    assert reply.status in (ReplyStatus.COMPLETE, ReplyStatus.EMPTY)


def test_the_revision_follows_the_weights(folder: Path, target: HfTarget, tmp_path: Path) -> None:
    assert made(folder).info.revision == target.info.revision
    assert made(saved(tmp_path / "other", seed=2)).info.revision != target.info.revision


def test_options_decide_batches_and_context(folder: Path) -> None:
    info = made(folder, slots=3, context=32).info
    assert (info.batch_size, info.context_length) == (3, 32)


def test_a_model_without_a_chat_template_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no chat template"):
        made(saved(tmp_path, template=None))


def test_a_template_that_refuses_a_conversation_gives_its_reason(tmp_path: Path) -> None:
    target = made(saved(tmp_path, template="{{ raise_exception('no system prompt here') }}"))
    (reply,) = ask(target, ["hi"])
    assert reply.cause == "the chat template refuses the conversation: no system prompt here"


def test_a_folder_without_a_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="transformers cannot load it"):
        load(f"hf:{tmp_path}")


def test_once_closed_it_says_so(folder: Path) -> None:
    target = made(folder)
    anyio.run(target.aclose)
    assert ask(target, ["hi"])[0].cause == "the target is closed"
