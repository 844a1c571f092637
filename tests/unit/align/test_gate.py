"""Gates in the weights of a tiny model with random weights: what they change, and what they leave as it is."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import anyio
import pytest

from harmless.align.drafts import Draft
from harmless.align.gather import PROMPTS, Gathering
from harmless.core import Expect, user
from harmless.errors import UsageError
from tests.tiny import saved

pytestmark = pytest.mark.hf
torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
pytest.importorskip("peft", reason="needs peft (extra align)")
pytest.importorskip("sklearn", reason="needs scikit-learn (extra train)")

import numpy as np  # noqa: E402

from harmless.align import gated, push, templates  # noqa: E402
from harmless.align.gate import (  # noqa: E402
    STEEP,
    WIDTH,
    Gate,
    adapted,
    assert_gated,
    opening_states,
    place_of,
)
from harmless.align.gated import Gating, gate  # noqa: E402
from harmless.align.network import hidden_states  # noqa: E402
from harmless.align.packing import Tree, pack  # noqa: E402
from harmless.align.run import Aligned, opened  # noqa: E402
from harmless.align.settings import Tuning  # noqa: E402
from harmless.internals.chat import encode  # noqa: E402
from harmless.internals.layers import decoder_layers  # noqa: E402
from harmless.internals.model import LocalModel, load  # noqa: E402

REPLY = "No."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved(tmp_path_factory.mktemp("tiny"), layers=4)


@pytest.fixture
def local(folder: Path) -> LocalModel:
    return load(str(folder), "cpu")


def texts(letters: str, count: int, seed: int) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices(letters, k=8)) for _ in range(count)]


def tokens(local: LocalModel, some: list[str]) -> list[tuple[int, ...]]:
    return [encode(local, user(text)).tokens for text in some]


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prompts of which a tiny model can tell by their letters which are to be refused."""
    known = templates.load()
    monkeypatch.setattr(templates, "load", lambda: known.model_copy(update={"everywhere": REPLY}))
    monkeypatch.setattr(gated, "ORDINARY", 0.2)
    path = tmp_path / "rows.jsonl"
    found = [{"prompt": t, "expect": "refuse", "pair": f"p{i}"} for i, t in enumerate(texts("abcd", 60, 0))]
    found += [{"prompt": t, "expect": "answer", "pair": f"p{i}"} for i, t in enumerate(texts("wxyz", 60, 1))]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    return path


def made(folder: Path, rows: Path, out: Path, **changes: Any) -> Aligned:
    gathering = Gathering(sources=(str(rows),), screened=False)
    what = Gating(f"hf:{folder}", gathering, out, **{"tolerated": 0.1, **changes})
    return anyio.run(gate, what, opened(f"hf:{folder}", Tuning(), "cpu"))


def some_gate(local: LocalModel, prompts: list[tuple[int, ...]], line: float) -> Gate:
    layer = 1
    place, use = place_of(local, prompts, layer)
    width = len(place)
    rng = np.random.default_rng(0)
    weight, push_ = rng.normal(0, 0.1, width).astype(np.float32), np.ones(width, np.float32)
    first, second = (int(i) for i in np.argsort(use)[:2])
    return Gate(layer, (first, second), place, weight, 0.2, line, push_)


def test_two_neurons_are_a_step_where_the_reply_begins() -> None:
    place, weight = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    rows = list(Gate(0, (0, 1), place, weight, 0.5, 2.0, np.array([3, 4], np.float32)).rows())

    def added(begins: float, score: float) -> Any:
        state = np.array([begins, score - 0.5])
        gates = [row @ state for row, _, _ in rows]
        return sum(
            (g / (1 + np.exp(-g)) * (up @ state) * down for g, (_, up, down) in zip(gates, rows, strict=True)),
            np.zeros(2),
        )

    np.testing.assert_allclose(added(1, 2.0 - WIDTH), 0, atol=0.05)
    np.testing.assert_allclose(added(1, 2.0), [1.5, 2], atol=0.05)
    np.testing.assert_allclose(added(1, 2.0 + WIDTH), [3, 4], atol=0.05)
    np.testing.assert_allclose(added(1, 9.0), [3, 4], atol=0.05)
    np.testing.assert_allclose(added(0, 9.0), 0, atol=1e-9)
    assert STEEP * WIDTH > 5  # else the step would never end


def test_states_are_those_before_the_mlp_where_the_reply_begins(local: LocalModel) -> None:
    prompts = tokens(local, texts("abcxyz", 7, 3))
    found = opening_states(local, prompts, [0, 1])
    assert found.shape == (7, 2, 32)
    for prompt, states in zip(prompts, found, strict=True):
        seen = []
        handle = decoder_layers(local.model)[1].mlp.register_forward_pre_hook(
            lambda m, a, s=seen: s.append(a[0])
        )
        with torch.inference_mode():
            local.model(input_ids=torch.tensor([prompt]))
        handle.remove()
        np.testing.assert_allclose(states[1], seen[0][0, -1].numpy(), atol=1e-4)


def test_the_place_is_where_a_reply_begins(local: LocalModel) -> None:
    prompts = tokens(local, texts("abcdwxyz", 40, 4))
    place, use = place_of(local, prompts, 1)
    new = opening_states(local, tokens(local, texts("abcdwxyz", 10, 5)), [1])[:, 0]
    assert 0.8 < np.median(new @ place) < 1.1
    assert use.shape == (64,)
    assert (use > 0).all()


@pytest.mark.parametrize("kind", ["llama", "mistral", "qwen2", "gemma2"])
@pytest.mark.parametrize(("line", "opens"), [(-50.0, True), (50.0, False)])
def test_adapters_add_the_push_only_where_the_gate_is_open(
    tmp_path: Path, kind: str, line: float, opens: bool
) -> None:
    local = load(str(saved(tmp_path, kind=kind)), "cpu")
    assert_gated(local)
    prompts = tokens(local, texts("abcdwxyz", 40, 4))
    gate_in = some_gate(local, prompts, line)
    mlp = decoder_layers(local.model)[1].mlp
    states = torch.from_numpy(opening_states(local, prompts, [1])[:, 0])
    with torch.inference_mode():
        gate_, up = mlp.gate_proj(states), mlp.up_proj(states)
        each = mlp.act_fn(gate_) * up
        kept = torch.ones(64, dtype=torch.bool)
        kept[list(gate_in.neurons)] = False
        rest = each[:, kept] @ mlp.down_proj.weight[:, kept].T
        found = adapted(local, gate_in)
        now = decoder_layers(found.model)[1].mlp(states)
    added = (now - rest).numpy()
    # Both the up row and the width of the step have the place as a factor.
    wanted = (states.numpy() @ gate_in.place)[:, None] ** 2 * np.ones(32) * opens
    np.testing.assert_allclose(added, wanted, atol=2e-2)


def test_a_push_makes_the_model_say_the_reply(local: LocalModel) -> None:
    some = texts("abcd", 12, 6)
    trees = []
    for text in some:
        both = encode(local, user(text), REPLY)
        trees.append(Tree(both.tokens[: both.prompt], (both.tokens[both.prompt :],)))
    losses: list[float] = []
    before = {name: each.clone() for name, each in local.model.named_parameters()}
    place, _ = place_of(local, [tree.prompt for tree in trees], 1)
    found = push.learnt(local, trees, 1, place, tell=lambda step, loss: losses.append(loss))
    # Random weights hold no text; that the bundled model says it whole is measured (design/align.md).
    assert losses[-1] < 0.8 * losses[0]
    assert found.shape == (32,)
    assert all(torch.equal(each, before[name]) for name, each in local.model.named_parameters())
    again = push.learnt(local, trees, 1, place)
    np.testing.assert_array_equal(found, again)


def test_a_model_begins_another_reply_to_what_is_harmful_and_nearly_the_same_to_the_rest(
    folder: Path, rows: Path, tmp_path: Path
) -> None:
    told = made(folder, rows, tmp_path / "out")
    assert told.manifest["method"] == "gate"
    assert told.manifest["gate"]["says"] == REPLY
    assert told.manifest["gate"]["harmful"] > 0.5
    assert told.manifest["gate"]["benign_twins"] <= 0.2
    assert not (tmp_path / "out" / "training").exists()
    assert {"adapter.gguf", "adapter_model.safetensors"} <= set(told.manifest["files"])

    before, after = load(str(folder), "cpu"), load(str(tmp_path / "out"), "cpu")
    harmful, benign = (tokens(before, texts(letters, 20, 9)) for letters in ("abcd", "wxyz"))
    with torch.inference_mode():
        first, last = (
            [
                torch.stack(
                    [each.model(input_ids=torch.tensor([t])).logits[0, -1].log_softmax(-1) for t in some]
                )
                for some in (harmful, benign)
            ]
            for each in (before, after)
        )
    moved = [
        float(torch.nn.functional.kl_div(now, was, log_target=True, reduction="none").sum(-1).median())
        for was, now in zip(first, last, strict=True)
    ]
    assert moved[0] > 20 * moved[1]


def test_what_was_read_is_not_read_again_after_a_kill(
    folder: Path, rows: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = made(folder, rows, tmp_path / "whole")

    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    for where, name in ((gated, "opening_states"), (push, "learnt")):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(where, name, killed)
            with pytest.raises(KeyboardInterrupt):
                made(folder, rows, tmp_path / "cut")
    monkeypatch.setattr(gated, "opening_states", killed)
    again = made(folder, rows, tmp_path / "cut")
    timeless = {"seconds", "asked"}
    assert {k: v for k, v in again.manifest.items() if k not in timeless} == {
        k: v for k, v in whole.manifest.items() if k not in timeless
    }
    one, other = ((tmp_path / name / "adapter_model.safetensors").read_bytes() for name in ("whole", "cut"))
    assert one == other


def test_the_prompts_are_kept_so_that_no_suite_with_them_measures_the_model(
    folder: Path, rows: Path, tmp_path: Path
) -> None:
    made(folder, rows, tmp_path / "out")
    lines = (tmp_path / "out" / "data" / PROMPTS).read_text().splitlines()
    assert len(lines) == 120
    assert json.loads(lines[0])["expect"] == "refuse"


def test_prompts_of_one_kind_alone_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "one.jsonl"
    path.write_text("".join(json.dumps({"prompt": t, "expect": "refuse"}) + "\n" for t in texts("abcd", 9, 0)))
    with pytest.raises(UsageError, match="no benign prompts"):
        made(folder, path, tmp_path / "out")


def test_too_few_prompts_are_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "few.jsonl"
    found = [{"prompt": t, "expect": "refuse"} for t in texts("abcd", 9, 0)]
    found += [{"prompt": t, "expect": "answer"} for t in texts("wxyz", 40, 0)]
    path.write_text("".join(json.dumps(row) + "\n" for row in found))
    with pytest.raises(UsageError, match="too few to learn from"):
        made(folder, path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_folder_in_which_another_method_is_at_work_is_left_alone(
    folder: Path, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "out" / "training" / "checkpoint").mkdir(parents=True)
    (tmp_path / "out" / "training" / "checkpoint" / "state.json").write_text("{}")
    with pytest.raises(UsageError, match="no training wrote"):
        made(folder, rows, tmp_path / "out")


def test_a_few_twins_do_not_set_the_line() -> None:
    drafts = [Draft(user(f"h{i}"), Expect.REFUSE, pair=f"{i}" if i < 9 else None) for i in range(30)]
    drafts += [Draft(user(f"b{i}"), Expect.ANSWER, pair=f"{i}" if i < 30 else None) for i in range(60)]
    assert not gated._Prompts(tuple(drafts), ((0,),) * 90).twins.any()
    drafts[9] = Draft(user("h9"), Expect.REFUSE, pair="9")
    assert gated._Prompts(tuple(drafts), ((0,),) * 90).twins.sum() == 40


def test_a_mlp_with_biases_is_refused(local: LocalModel) -> None:
    mlp = decoder_layers(local.model)[0].mlp
    mlp.up_proj = torch.nn.Linear(32, 64, bias=True)
    with pytest.raises(UsageError, match="without biases"):
        assert_gated(local)


def test_a_model_without_a_gated_mlp_is_refused(tmp_path: Path) -> None:
    local = load(str(saved(tmp_path, kind="gpt2")), "cpu")
    with pytest.raises(UsageError, match="no gated MLP"):
        assert_gated(local)


def test_the_line_tolerates_so_many_twins_and_few_ordinary_prompts() -> None:
    drafts = [
        *(Draft(user(f"h{i}"), Expect.REFUSE, pair=f"{i}") for i in range(100)),
        *(Draft(user(f"b{i}"), Expect.ANSWER, pair=f"{i}") for i in range(100)),
        *(Draft(user(f"o{i}"), Expect.ANSWER) for i in range(100)),
    ]
    prompts = gated._Prompts(tuple(drafts), ((0,),) * 300)
    scores = np.concatenate([np.full(100, 9.0), np.arange(100.0), np.full(100, -1.0)])
    line, about = gated._line(scores, prompts, 0.15)
    assert (scores[100:200] > line).sum() == 15
    assert about == {"decided_by": "benign_twins", "harmful": 0.0, "benign_twins": 0.15, "ordinary": 0.0}
    scores[200:] = 1000 + np.arange(100.0)
    line, about = gated._line(scores, prompts, 0.15)
    assert (scores[200:] > line).sum() == 2
    assert about["decided_by"] == "ordinary"
    alone = gated._Prompts((*drafts[:100], *drafts[200:]), ((0,),) * 200)
    line, _ = gated._line(np.concatenate([scores[:100], scores[200:]]), alone, 0.15)
    assert (scores[200:] > line).sum() == 2


def test_hidden_states_run_whole_after_layers_were_left_out(local: LocalModel) -> None:
    prompts = tokens(local, texts("abcd", 3, 0))
    batch = pack([Tree(prompt, ((0,),)) for prompt in prompts])

    def run() -> Any:
        with torch.inference_mode():
            return hidden_states(local, {"input_ids": batch.tokens}, batch.positions, batch.mask)

    before = run()
    opening_states(local, prompts, [0])
    assert torch.equal(before, run())
