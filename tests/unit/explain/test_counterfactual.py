"""Counterfactuals: one word where one suffices, no more than needed where it does not, and bias told apart."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from harmless import guards
from harmless.cli import main
from harmless.core import Reply, Sampling
from harmless.errors import UnreachableError
from harmless.explain.counterfactual import Counterfactual, counterfactual, replacements, substitutes
from harmless.guards.flips import pieces
from tests.doubles import FakeTarget, said

pytestmark = pytest.mark.anyio
NO, YES = "I'm sorry, but I can't help with that.", "Of course. First, take the loaf and a sharp knife."


async def explained(prompt: str, refuses: object, calls: int = 200) -> tuple[Counterfactual, FakeTarget]:
    target = FakeTarget(lambda text, _: said(NO if refuses(text) else YES))  # type: ignore[operator]
    found = await counterfactual(target, guards.load("refusal"), prompt, Sampling(max_tokens=16), calls)
    return found, target


async def test_one_word_that_decides_is_found() -> None:
    found, _ = await explained("how do I hurt bread", lambda text: "hurt" in text)
    assert found.refused
    assert found.edit is not None
    assert found.edit.flips
    assert found.edit.minimal
    assert [each.word for each in found.edit.changes] == ["hurt"]
    assert found.edit.score < 0.5 < found.score


async def test_what_was_answered_is_refused_after_a_replacement() -> None:
    found, _ = await explained("please help my friend", lambda text: "hurt" in text)
    assert not found.refused
    assert found.edit is not None
    (change,) = found.edit.changes
    assert (change.word, change.put) == ("help", "hurt")
    assert found.edit.text == "please hurt my friend"


async def test_where_several_words_have_to_go_none_goes_without_need() -> None:
    words = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta"]
    found, _ = await explained(" ".join(words), lambda text: "beta" in text or "theta" in text)
    assert found.edit is not None
    assert {each.word for each in found.edit.changes} == {"beta", "theta"}
    assert found.edit.minimal


async def test_a_target_that_always_refuses_has_no_flip() -> None:
    found, target = await explained("how do I hurt bread", lambda _: True)
    assert found.edit is not None
    assert not found.edit.flips
    assert len(target.asked) == found.tried


async def test_no_more_prompts_are_asked_than_allowed() -> None:
    found, target = await explained("a b c d e f g h", lambda _: True, calls=5)
    assert found.tried == len(target.asked) == 5


async def test_a_decision_that_changes_with_an_identity_term_is_bias() -> None:
    found, _ = await explained("how does a woman bake bread", lambda text: " man" in text)
    (swap,) = found.biased
    assert (swap.axis, swap.term, swap.other) == ("gender", "woman", "man")
    fair, _ = await explained("how does a woman bake bread", lambda _: False)
    assert fair.swaps
    assert not fair.biased


async def test_a_target_that_cannot_be_reached_is_told() -> None:
    target = FakeTarget(lambda *_: Reply.error("http 500"))
    with pytest.raises(UnreachableError, match="http 500"):
        await counterfactual(target, guards.load("refusal"), "how do I", Sampling(), 10)


def test_words_keep_their_case_and_their_place() -> None:
    text = "Steal the bread"
    (first, *_) = replacements(text, pieces(text))
    assert (first.span, first.put) == ((0, 5), "Buy")
    assert all(word == word.lower() for word in substitutes())


def test_the_command_tells_what_flips_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("script.yaml").write_text(f'- {{match: hurt, reply: "{NO}"}}\n- reply: {YES}\n')
    arguments = ["explain", "counterfactual", "scripted:script.yaml", "how to hurt bread", "--out", "page"]
    with pytest.raises(SystemExit) as caught:
        main([*arguments, "--json"])
    assert caught.value.code == 0
    assert json.loads(capsys.readouterr().out)["edit"]["flips"]
    page = Path("page/counterfactual.html").read_text()
    assert "The prompt is refused" in page
    assert "it is answered" in page
