"""Inside: what is planted in states is read off, what is not is not; the lens is the model's own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from harmless.core import Expect, Prompt, user
from harmless.errors import UsageError

if TYPE_CHECKING:
    from harmless.internals.model import LocalModel

pytest.importorskip("sklearn", reason="needs scikit-learn (extra train)")


def test_what_is_planted_in_one_layer_is_read_off_there_and_not_elsewhere() -> None:
    from harmless.explain.probes import probe_layers

    rng = np.random.default_rng(0)
    labels = np.arange(120) % 2 == 0
    states = rng.normal(size=(120, 3, 8)).astype(np.float32)
    states[:, 1, 0] += 4 * labels
    found = probe_layers("planted", states, labels.tolist(), [str(i // 2) for i in range(120)])
    assert found.best == 1
    assert found.auroc[1] > 0.95
    assert found.low is not None
    assert found.low <= found.auroc[1]
    assert max(found.auroc[0], found.auroc[2], found.shuffled or 0) < 0.75


def test_a_property_that_only_names_the_cluster_is_not_read_off() -> None:
    from harmless.explain.probes import probe_layers

    clusters = [i // 10 for i in range(100)]
    states = np.eye(10, dtype=np.float32)[clusters][:, None]
    labels = [cluster % 2 == 0 for cluster in clusters]
    assert probe_layers("cluster", states, labels, [str(i) for i in clusters]).auroc[0] <= 0.5


def test_too_few_rows_are_said_and_not_fitted() -> None:
    from harmless.explain.probes import probe_layers

    found = probe_layers("rare", np.zeros((40, 2, 4), np.float32), [True] * 3 + [False] * 37, ["x"] * 40)
    assert (found.auroc, found.best, found.positive) == ((), None, 3)


def test_each_statement_is_there_once_true_and_once_false() -> None:
    from harmless.explain.probes import statements

    texts = [text for text, _, _ in statements()]
    assert len(set(texts)) == len(texts)
    assert sum(true for _, true, _ in statements()) * 2 == len(texts)


@pytest.mark.hf
def test_states_and_lens_are_those_of_a_run_of_its_own(tiny: LocalModel) -> None:
    torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
    from harmless.explain.question import Question
    from harmless.explain.survey import survey
    from harmless.internals.chat import encode
    from harmless.internals.hidden import states

    talks = [user(text) for text in ("how are you", "how is it", "no")]
    question = Question.refusal(tiny)
    found = survey(tiny, talks, question, lens=True)
    alone = states(tiny, [encode(tiny, each) for each in talks], pool="last")
    np.testing.assert_allclose(found.states, alone, rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(
        found.values, question.values(tiny, [encode(tiny, each).tokens for each in talks]), atol=1e-4
    )
    assert found.lens is not None
    with torch.inference_mode():
        said = int(tiny.model(torch.tensor([encode(tiny, talks[0]).tokens])).logits[0, -1].argmax())
    assert found.lens[1][0, -1] == said, "the last layer's lens is the model"


def prompts() -> list[Prompt]:
    texts = [("steal", Expect.REFUSE), ("read", Expect.ANSWER)]
    return [
        Prompt(id=f"{word}{i}", conversation=user(f"{word} {i}"), expect=expect, cluster=str(i))
        for i in range(20)
        for word, expect in texts
    ]


@pytest.mark.hf
def test_inside_shows_probes_direction_lens_and_what_changed(tiny: LocalModel, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="needs torch (extra hf)")
    from harmless.explain.inside import look_inside
    from harmless.internals.model import load
    from harmless.report.inside import inside_page
    from harmless.report.sections import render_page
    from tests.tiny import saved

    other = load(str(saved(tmp_path / "other")), "cpu")
    with torch.no_grad():
        other.model.model.layers[1].mlp.down_proj.weight.mul_(2)
    found = look_inside(tiny, prompts(), "words", steered=4, against=lambda: other)
    harm = found.probes[0]
    assert harm.best is not None
    assert harm.auroc[harm.best] > 0.9, "the two words are told apart"
    assert found.direction is not None
    effects = {each.what: each for each in found.direction.effects}
    assert effects["ablated"] != effects["nothing"]
    assert effects["added"].harmful != effects["random added"].harmful
    assert found.lens is not None
    assert len(found.lens.tokens) == 3
    assert found.changed is not None
    assert found.changed.weights[0] == 0 < found.changed.weights[1]
    assert found.changed.states[0] < 1e-6 < found.changed.states[1]
    assert "What can be read off" in render_page(inside_page(found))


@pytest.mark.hf
def test_prompts_of_one_kind_are_wrong_use(tiny: LocalModel) -> None:
    from harmless.explain.inside import look_inside

    with pytest.raises(UsageError):
        look_inside(tiny, prompts()[::2], "words")
