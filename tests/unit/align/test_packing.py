"""Packed batches of a tiny model with random weights give what separate sequences give."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from harmless.align.packing import Tree, bins, shared

pytestmark = pytest.mark.hf


def test_what_all_prompts_begin_with_leaves_a_token_of_each() -> None:
    assert shared([(1, 2, 3), (1, 2, 4, 5)]) == 2
    assert shared([(1, 2), (1, 2, 3)]) == 1
    assert shared([(7,), (7, 8)]) == 0
    assert shared([(1, 2, 3)]) == 2


def test_bins_keep_the_order_and_their_room() -> None:
    assert bins([3, 3, 3, 9, 1], 6) == [[0, 1], [2], [3], [4]]
    assert bins([], 6) == []


torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.align.network import assert_packs, greedy, log_probabilities, summed  # noqa: E402
from harmless.align.packing import pack  # noqa: E402
from harmless.align.upper import Upper, reference  # noqa: E402
from harmless.errors import UsageError  # noqa: E402
from harmless.explain import trie  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from tests.tiny import saved  # noqa: E402

TREES = [
    Tree((1, 2, 3, 4), ((5, 6), (7, 8, 9))),
    Tree((1, 2, 9), ((4,), (2, 2))),
    Tree((1, 2, 9, 9, 9, 3), ((8, 8, 8, 8), (1,))),
]


FAMILIES = {
    "llama": {},
    "mistral": {},
    "gemma2": {},
    "granite": {"logits_scaling": 8.0},
    "cohere": {},
}
"""With a cap on logits and eager attention; with logits divided; with logits multiplied."""


def tiny(folder: Path, kind: str, **settings: object) -> LocalModel:
    """Return a tiny model of a family with settings of its own."""
    path = saved(folder, kind=kind) / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | settings))
    return load(str(folder), "cpu")


@pytest.fixture(scope="module", params=FAMILIES)
def local(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return tiny(tmp_path_factory.mktemp("tiny"), request.param, **FAMILIES[request.param])


def alone(local: LocalModel, prompt: tuple[int, ...], reply: tuple[int, ...]) -> list[float]:
    tokens = torch.tensor([prompt + reply])
    with torch.inference_mode():
        logits = local.model(tokens).logits[0, len(prompt) - 1 : -1].log_softmax(-1)
    return logits.gather(1, torch.tensor(reply)[:, None])[:, 0].tolist()


def test_a_pack_gives_each_reply_what_it_gets_alone(local: LocalModel) -> None:
    batch = pack(TREES)
    with torch.inference_mode():
        found = log_probabilities(local, batch).tolist()
    expected = [value for tree in TREES for reply in tree.replies for value in alone(local, tree.prompt, reply)]
    assert found == pytest.approx(expected, abs=1e-4)
    assert batch.tokens.shape[1] < sum(tree.size for tree in TREES)


def test_explanations_get_them_too(local: LocalModel) -> None:
    replies = ((5, 6), (7, 8, 9))
    found = trie.log_probabilities(local, [tree.prompt for tree in TREES], replies)
    for tree, row in zip(TREES, found, strict=True):
        expected = [sum(alone(local, tree.prompt, reply)) for reply in replies]
        assert row.tolist() == pytest.approx(expected, abs=1e-4)


def test_a_model_that_packs_is_let_pass(local: LocalModel) -> None:
    assert_packs(local, 512)


@pytest.mark.parametrize(("kind", "settings"), [("mpt", {}), ("bloom", {}), ("gpt_oss", {"sliding_window": 8})])
def test_a_model_that_a_pack_changes_is_not_trained(
    kind: str, settings: dict[str, object], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=f"A {kind} model cannot be trained"):
        assert_packs(tiny(tmp_path, kind, **settings), 60)


def test_the_reference_sums_over_a_reply_or_over_the_tokens_that_decide(local: LocalModel) -> None:
    whole = reference(local, TREES)
    first = reference(local, [replace(tree, decided=1) for tree in TREES])
    for tree, sums, firsts in zip(TREES, whole, first, strict=True):
        for reply, total, begin in zip(tree.replies, sums, firsts, strict=True):
            values = alone(local, tree.prompt, reply)
            assert total == pytest.approx(sum(values), abs=1e-4)
            assert begin == pytest.approx(values[0], abs=1e-4)


def test_upper_layers_alone_give_what_the_whole_model_gives(local: LocalModel) -> None:
    upper = Upper(local, TREES, 1)
    assert reference(local, TREES, upper=upper) == [
        pytest.approx(sums, abs=1e-4) for sums in reference(local, TREES)
    ]


def test_gradients_of_a_pack_are_those_of_separate_sequences(local: LocalModel) -> None:
    model = local.model.requires_grad_(True)
    weight = model.get_input_embeddings().weight
    batch = pack(TREES)
    summed(log_probabilities(local, batch), batch).sum().backward()
    packed, weight.grad = weight.grad.clone(), None
    for tree in TREES:
        single = pack([tree])
        summed(log_probabilities(local, single), single).sum().backward()
    assert torch.allclose(packed, weight.grad, atol=1e-3)
    model.zero_grad()
    model.requires_grad_(False)


def test_greedy_replies_are_those_of_generate(local: LocalModel) -> None:
    prompts = [tree.prompt for tree in TREES]
    ends = local.tokenizer.eos_token_id
    for prompt, reply in zip(prompts, greedy(local, prompts, 6), strict=True):
        made = local.model.generate(
            torch.tensor([prompt]), max_new_tokens=6, do_sample=False, pad_token_id=ends
        )[0, len(prompt) :].tolist()
        assert list(reply) == (made[: made.index(ends)] if ends in made else made)
