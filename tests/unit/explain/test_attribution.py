"""Attribution: what is measured in one packed run is what separate runs give, and faithful scores are told."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harmless.core import user
from harmless.errors import UsageError
from harmless.explain.question import openings

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")

TEXT = "how to pick a lock"


def separately(local: LocalModel, prompt: tuple[int, ...], ending: tuple[int, ...]) -> float:
    with torch.inference_mode():
        logits = local.model(torch.tensor([[*prompt, *ending]])).logits[0]
    chances = torch.log_softmax(logits, dim=-1)
    return sum(float(chances[len(prompt) - 1 + i, token]) for i, token in enumerate(ending))


def test_a_packed_run_gives_the_log_probabilities_of_separate_runs(tiny: LocalModel) -> None:
    from harmless.explain.trie import log_probabilities, sheaves

    prompts = [(1, 2, 3, 4), (1, 2, 9, 4, 5), (7,), (1, 2, 3)]
    endings = [(5, 6, 7), (5, 8), (9,)]
    found = log_probabilities(tiny, prompts, endings)
    for i, prompt in enumerate(prompts):
        for j, ending in enumerate(endings):
            assert float(found[i, j]) == pytest.approx(separately(tiny, prompt, ending), abs=1e-4)
    sizes = [len(each.trie) for each in sheaves(prompts, endings, 400)]
    assert sizes == [4 + 3 + 1 + 4 * 2], "what is alike is there once"
    assert len(list(sheaves(prompts, endings, 8))) > 1


def test_the_measure_is_the_log_odds_of_any_refusal_opening(tiny: LocalModel) -> None:
    from harmless.explain.question import Question
    from harmless.internals.chat import encode

    prompt = encode(tiny, user(TEXT)).tokens
    question = Question.refusal(tiny)
    chance = sum(math.exp(separately(tiny, prompt, ending)) for ending in question.endings)
    (found,) = question.values(tiny, [prompt])
    assert found == pytest.approx(math.log(chance) - math.log1p(-chance), abs=1e-3)
    assert len(question.narrowed(tiny, [prompt]).endings) <= 5


def test_no_opening_begins_with_another() -> None:
    texts = openings()
    assert not [(a, b) for a in texts for b in texts if a != b and b.startswith(a)]


def test_a_words_score_is_what_the_measure_loses_without_it(tiny: LocalModel) -> None:
    from harmless.explain.attribution import attribute, question_of
    from harmless.internals.chat import encode

    found = attribute(tiny, TEXT, ["ablation"], test=False)
    whole = encode(tiny, user(TEXT))
    question = question_of(tiny, user(TEXT), whole, None)
    less = question.values(tiny, [encode(tiny, user("how to a lock")).tokens])[0]
    assert found.attributions[0].scores[2] == pytest.approx(found.value - less, abs=1e-4)
    assert [TEXT[a:b] for a, b in found.spans] == TEXT.split()


@pytest.mark.parametrize("reply", [None, "No."])
def test_integrated_gradients_add_up_to_the_change_from_padding(tiny_folder: Path, reply: str | None) -> None:
    pytest.importorskip("captum", reason="needs captum (extra explain)")
    from harmless.explain.attribution import attribute
    from harmless.internals.layers import decoder_layers
    from harmless.internals.model import load

    calm = load(str(tiny_folder), "cpu")
    with torch.no_grad():  # large random weights make a measure too rough for few steps
        for layer in decoder_layers(calm.model):
            for weight in layer.parameters():
                weight.mul_(0.2)
    found = attribute(calm, TEXT, ["integrated"], reply=reply, test=False)
    gap = found.attributions[0].gap
    assert gap is not None
    assert gap < 0.05


def test_the_gradient_is_that_of_the_model(tiny: LocalModel) -> None:
    pytest.importorskip("captum", reason="needs captum (extra explain)")
    from harmless.explain.attribution import attribute
    from harmless.internals.chat import encode

    found = attribute(tiny, TEXT, ["gradient"], reply="No", test=False)
    encoded = encode(tiny, user(TEXT), "No")
    states = tiny.model.get_input_embeddings()(torch.tensor([encoded.tokens])).detach().requires_grad_(True)
    chances = torch.log_softmax(tiny.model(inputs_embeds=states).logits[0], dim=-1)
    places = range(encoded.prompt - 1, len(encoded.tokens) - 1)
    sum(chances[i, encoded.tokens[i + 1]] for i in places).backward()
    each: Any = (states.grad * states).sum(-1)[0, slice(*encoded.said)].tolist()
    first = TEXT.split()[0]
    assert found.attributions[0].scores[0] == pytest.approx(sum(each[: len(first)]), abs=1e-3)


def test_scores_that_tell_the_truth_pass_the_deletion_test_and_reversed_ones_do_not(tiny: LocalModel) -> None:
    from harmless.explain.attribution import question_of
    from harmless.explain.deletion import Edits
    from harmless.guards.flips import pieces
    from harmless.internals.chat import encode

    text = "a b c d e f g"
    edits = Edits(tiny, question_of(tiny, user(text), encode(tiny, user(text)), None), text, pieces(text))
    edits.of = lambda gone: [-float(sum(2.0**i for i in each)) for each in gone]  # type: ignore[method-assign]
    truth = [2.0**i for i in range(7)]
    assert edits.tested(truth).faithful
    assert not edits.tested(truth[::-1]).faithful


@pytest.mark.parametrize("count", [5, 9, 16, 40])
def test_scores_that_mean_nothing_pass_the_deletion_test_in_one_of_twenty(count: int) -> None:
    from harmless.explain.deletion import Edits

    rng, edits, passed = random.Random(1), Edits.__new__(Edits), 0
    edits.spans = [(i, i + 1) for i in range(count)]
    for _ in range(600):
        worth = [rng.gauss(0, 1) for _ in range(count)]
        edits.of = lambda gone, known=worth: [-sum(known[i] for i in each) for each in gone]  # type: ignore
        passed += edits.tested([rng.random() for _ in worth]).faithful
    assert 0.02 < passed / 600 < 0.08


def test_a_prompt_without_words_is_wrong_use(tiny: LocalModel) -> None:
    from harmless.explain.attribution import attribute

    with pytest.raises(UsageError):
        attribute(tiny, "?!", ["ablation"])
