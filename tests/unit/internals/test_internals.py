"""Tokens, hidden states, directions and probes of a tiny model with random weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harmless.core import Message, user
from harmless.errors import BadFileError, UsageError
from tests.tiny import saved

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("transformers", reason="needs transformers (extra hf)")

from harmless.internals.chat import Encoded, encode  # noqa: E402
from harmless.internals.hidden import states  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402
from harmless.internals.probe import Probe, fit  # noqa: E402
from harmless.internals.steering import ablating, adding, difference_in_means  # noqa: E402

TEXTS = ["hi", "a longer question", "what?", "tell me all"]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    return load(str(saved(tmp_path_factory.mktemp("tiny"))))


def encoded(local: LocalModel) -> list[Encoded]:
    return [encode(local, user(text)) for text in TEXTS]


def test_a_conversation_and_its_reply_as_tokens(local: LocalModel) -> None:
    conversation = (Message(role="system", content="be brief"), *user("say hi"))
    found = encode(local, conversation, "hi!")
    text = local.tokenizer.decode(found.tokens)
    assert text == "<|system|>be brief<|end|><|user|>say hi<|end|><|assistant|>hi!<|end|>"
    assert local.tokenizer.decode(found.tokens[slice(*found.said)]) == "say hi"
    assert local.tokenizer.decode(found.tokens[found.prompt :]) == "hi!<|end|>"


def test_the_user_said_the_last_of_equal_texts(local: LocalModel) -> None:
    turns = (*user("hi"), Message(role="assistant", content="hi"), *user("hi"))
    first, stop = encode(local, turns).said
    assert local.tokenizer.decode(encode(local, turns).tokens[first - 1 : stop]) == "<|user|>hi"
    with pytest.raises(ValueError, match="empty"):
        encode(local, ())


def test_states_are_those_that_transformers_gives(local: LocalModel) -> None:
    found = states(local, encoded(local), [0, 1], pool="both")
    for row, each in zip(found, encoded(local), strict=True):
        ids = torch.tensor([each.tokens])
        hidden = local.model(ids, output_hidden_states=True).hidden_states
        for place, layer in enumerate((0, 1)):
            mean, last = hidden[layer][0].mean(0), hidden[layer][0, -1]
            np.testing.assert_allclose(
                row[place], torch.cat([mean, last]).detach().numpy(), rtol=1e-4, atol=1e-4
            )


def test_all_layers_are_read_by_default_and_nothing_stays_behind(local: LocalModel) -> None:
    hooks = [len(layer._forward_hooks) for layer in local.model.modules()]
    assert states(local, encoded(local)).shape == (4, 3, 32)
    assert states(local, encoded(local)[:1], [1], pool="last").shape == (1, 1, 32)
    assert states(local, []).shape == (0, 3, 0)
    assert [len(layer._forward_hooks) for layer in local.model.modules()] == hooks


def test_the_reply_is_not_read(local: LocalModel) -> None:
    alone = states(local, [encode(local, user("hi"))])
    np.testing.assert_array_equal(alone, states(local, [encode(local, user("hi"), "hello")]))


def test_a_direction_is_added_or_taken_out_while_the_context_lasts(local: LocalModel) -> None:
    before = states(local, encoded(local))
    vector = np.full(32, 0.5, np.float32)
    with adding(local, {1: vector}):
        added = states(local, encoded(local))
    np.testing.assert_allclose(added[:, 1] - before[:, 1], np.tile(vector, (4, 1)), atol=1e-5)
    assert np.abs(added[:, 2] - before[:, 2]).max() > 0.01
    direction = difference_in_means(before[:2, 2], before[2:, 2])
    with ablating(local, direction):
        gone = states(local, encoded(local))[:, 2] @ direction
    np.testing.assert_allclose(gone / np.linalg.norm(direction), 0, atol=1e-3)
    np.testing.assert_array_equal(states(local, encoded(local)), before)
    with pytest.raises(ValueError, match="nowhere"), ablating(local, np.zeros(32, np.float32)):
        pass


def test_taking_a_direction_out_is_writing_nothing_along_it(local: LocalModel, tmp_path: Path) -> None:
    direction = np.random.default_rng(0).normal(size=32).astype(np.float32)
    tokens = torch.tensor([encoded(local)[1].tokens])
    with torch.inference_mode(), ablating(local, direction):
        found = local.model(tokens).logits
    writing = load(str(saved(tmp_path))).model
    unit = torch.tensor(direction / np.linalg.norm(direction))
    with torch.no_grad():
        embedding = writing.get_input_embeddings().weight
        embedding -= (embedding @ unit)[:, None] * unit
        for layer in writing.model.layers:
            for weight in (layer.self_attn.o_proj.weight, layer.mlp.down_proj.weight):
                weight -= unit[:, None] * (unit @ weight)
        torch.testing.assert_close(found, writing(tokens).logits, atol=1e-4, rtol=1e-4)


def test_a_probe_finds_what_is_linear_and_survives_its_file(tmp_path: Path) -> None:
    pytest.importorskip("sklearn", reason="needs scikit-learn (extra train)")
    rng = np.random.default_rng(1)
    seen = rng.normal(size=(200, 6)).astype(np.float32)
    labels = seen[:, 2] > 0.3
    probe = fit(seen, labels, layer=1, pool="mean", model="m")
    assert ((probe.log_odds(seen) > 0) == labels).mean() > 0.9
    probe.save(tmp_path / "a" / "probe.npz")
    again = Probe.load(tmp_path / "a" / "probe.npz")
    np.testing.assert_array_equal(again.log_odds(seen), probe.log_odds(seen))
    assert (again.layer, again.pool, again.model) == (1, "mean", "m")


def test_a_file_that_holds_no_probe(tmp_path: Path) -> None:
    (tmp_path / "probe.npz").write_bytes(b"no")
    with pytest.raises(BadFileError, match="holds no probe"):
        Probe.load(tmp_path / "probe.npz")


def test_a_model_without_layers_is_said_to_be_one(local: LocalModel) -> None:
    from harmless.internals.layers import decoder_layers

    class Flat(torch.nn.Module):  # type: ignore[misc,name-defined]
        config = local.model.config

        def get_decoder(self) -> object:
            return torch.nn.Linear(2, 2)

    with pytest.raises(UsageError, match="no list of 2 decoder layers"):
        decoder_layers(Flat())


def test_an_adapter_is_put_on_its_base(local: LocalModel, tmp_path: Path) -> None:
    peft = pytest.importorskip("peft", reason="needs peft (extra align)")
    base = saved(tmp_path / "base")
    model = peft.get_peft_model(load(str(base)).model, peft.LoraConfig(target_modules=["q_proj"], r=2))
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight)
    model.save_pretrained(tmp_path / "adapter")
    plain, adapted = load(str(base)), load(str(tmp_path / "adapter"))
    assert plain.revision != adapted.revision
    assert np.abs(states(plain, encoded(plain)) - states(adapted, encoded(adapted)))[:, 2].max() > 1e-3
