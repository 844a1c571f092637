"""Text classifiers of transformers as guards."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import pytest

from harmless import taxonomy
from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import BadFileError, MissingExtraError, UnknownNameError, UsageError
from harmless.guards import load
from harmless.guards import transformers_classifier as module
from harmless.guards.transformers_classifier import Classifier, classifier, labels_of

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "good", "bad", "fine", "word"]


def config(*labels: str, **more: Any) -> Any:
    return SimpleNamespace(id2label=dict(enumerate(labels)), num_labels=len(labels), **more)


# Labels, which need no model


IDENTITIES = (
    "male", "female", "homosexual_gay_or_lesbian", "christian", "jewish", "muslim", "black", "white",
    "psychiatric_or_mental_illness",
)  # fmt: skip
DETOXIFY = {
    "unitary/toxic-bert": ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate"),
    "unitary/unbiased-toxic-roberta": (
        "toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit",
    ),
    "unitary/multilingual-toxic-xlm-roberta": (
        "toxicity", "severe_toxicity", "obscene", "identity_attack", "insult", "threat", "sexual_explicit",
    ),
}  # fmt: skip
HAZARDS = {
    "toxic": "salad.t.O1", "toxicity": "salad.t.O1", "severe_toxic": "salad.t.O1",
    "severe_toxicity": "salad.t.O1", "obscene": "salad.t.O3", "sexual_explicit": "salad.t.O3",
    "threat": "salad.c.O2", "insult": "salad.c.O7", "identity_hate": "salad.c.O1",
    "identity_attack": "salad.c.O1",
}  # fmt: skip


@pytest.mark.parametrize("model", DETOXIFY)
def test_labels_of_detoxify_are_hazards_and_whom_a_text_speaks_of_is_none(model: str) -> None:
    names = DETOXIFY[model]
    own = names if model == "unitary/toxic-bert" else names + IDENTITIES
    labels = labels_of(model, config(*own), {})
    assert labels.labels == tuple((name, HAZARDS.get(name)) for name in own)
    assert (set(labels.unsafe), labels.scores, labels.sees) == (set(names), "sigmoid", "both")


def test_a_model_of_detoxify_with_one_output_is_read_by_its_name() -> None:
    labels = labels_of("unitary/multilingual-toxic-xlm-roberta", config("toxic"), {})
    assert (labels.labels, labels.unsafe) == ((("toxic", "salad.t.O1"),), ("toxic",))


def test_a_model_of_detoxify_whose_outputs_have_no_names_has_to_be_told() -> None:
    with pytest.raises(UsageError, match="it has LABEL_0, LABEL_1"):
        labels_of("unitary/unbiased-toxic-roberta", config("LABEL_0", "LABEL_1"), {})


PROMPT_GUARDS = {
    "meta-llama/Llama-Prompt-Guard-2-86M": ("benign", "malicious"),
    "meta-llama/Llama-Prompt-Guard-2-22M": ("benign", "malicious"),
    "meta-llama/Prompt-Guard-86M": ("benign", "injection", "jailbreak"),
}


@pytest.mark.parametrize("model", PROMPT_GUARDS)
def test_labels_of_prompt_guards_are_of_no_hazard(model: str) -> None:
    names = PROMPT_GUARDS[model]
    labels = labels_of(model, config(*(f"LABEL_{i}" for i in range(len(names)))), {})
    assert labels.labels == tuple((name, None) for name in names)
    assert (labels.unsafe, labels.scores, labels.sees) == (names[1:], "softmax", "prompt")


@pytest.mark.parametrize("model", sorted(module._known()))
def test_known_models_have_known_hazards(model: str) -> None:
    known = module._known()[model]["labels"]
    names = [each if isinstance(each, str) else each[0] for each in known]
    own = names if isinstance(known, dict) else [f"LABEL_{i}" for i in range(len(names))]
    labels = labels_of(model, config(*own), {})
    assert set(labels.unsafe) <= set(names)
    assert labels.licence
    spine = taxonomy.load()
    assert all(spine.hazard(hazard).key == hazard for _, hazard in labels.labels if hazard)


def test_prompt_guard_is_read_by_position_whatever_its_outputs_are_called() -> None:
    for names in (("LABEL_0", "LABEL_1"), ("BENIGN", "MALICIOUS")):
        labels = labels_of("meta-llama/Llama-Prompt-Guard-2-86M", config(*names), {})
        assert [name for name, _ in labels.labels] == ["benign", "malicious"]
        assert (labels.unsafe, labels.sees) == (("malicious",), "prompt")


def test_an_unknown_model_needs_to_be_told_what_is_unsafe() -> None:
    with pytest.raises(UsageError, match="it has ham, spam"):
        labels_of("some/model", config("ham", "spam"), {})
    labels = labels_of("some/model", config("ham", "spam", "scam"), {"unsafe": "spam|scam", "threshold": "0.7"})
    assert (labels.unsafe, labels.scores, labels.threshold) == (("spam", "scam"), "softmax", 0.7)


def test_several_labels_at_once_are_read_from_the_models_configuration() -> None:
    several = config("a", "b", problem_type="multi_label_classification")
    assert labels_of("some/model", several, {"unsafe": "a"}).scores == "sigmoid"


@pytest.mark.parametrize(
    "given", [{"unsafe": "x"}, {"unsafe": "a", "scores": "x"}, {"unsafe": "a", "threshold": "x"}]
)
def test_options_that_mean_nothing_are_a_usage_error(given: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        labels_of("some/model", config("a", "b"), given)


def test_an_unknown_option_is_named() -> None:
    with pytest.raises(UsageError, match="no option 'colour'"):
        classifier("some/model", "colour=red")


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[hf\]"):
        load("classifier(some/model)")


# With a tiny model whose only feature is whether "bad" is in the window


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch = pytest.importorskip("torch", reason="needs torch, see make test-hf")
    transformers = pytest.importorskip("transformers", reason="needs transformers, see make test-hf")
    path = tmp_path_factory.mktemp("tiny")
    (path / "vocab.txt").write_text("\n".join(WORDS) + "\n")
    transformers.BertTokenizerFast(
        vocab={w: i for i, w in enumerate(WORDS)}, model_max_length=16
    ).save_pretrained(path)
    torch.manual_seed(0)
    shape = transformers.BertConfig(
        vocab_size=len(WORDS),
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=1,
        intermediate_size=8,
        max_position_embeddings=16,
        id2label={0: "ok", 1: "nasty"},
        label2id={"ok": 0, "nasty": 1},
    )
    transformers.BertForSequenceClassification(shape).save_pretrained(path)
    return path


class Spy:
    """A model that scores a window by how many of its words are bad, and keeps what it was given."""

    def __init__(self, model: Any) -> None:
        self.config, self.device, self.shapes = model.config, model.device, list[tuple[int, int]]()

    def __call__(self, input_ids: Any, attention_mask: Any, **rest: Any) -> Any:
        import torch

        self.shapes.append(tuple(input_ids.shape))
        if (input_ids == WORDS.index("[UNK]")).any():
            raise RuntimeError("poisoned")
        bad = (input_ids == WORDS.index("bad")).sum(dim=1).float()
        return SimpleNamespace(logits=torch.stack([torch.zeros_like(bad), 4 * bad - 2], dim=1))


@pytest.fixture
def guard(folder: Path) -> Classifier:
    made = classifier(str(folder), "unsafe=nasty")
    made._model = Spy(made._model)
    return made


def judge(guard: Classifier, *exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(guard.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


@pytest.mark.hf
def test_the_probability_of_the_unsafe_label_is_the_score(guard: Classifier) -> None:
    safe, unsafe = judge(guard, "good word", "bad word")
    assert (safe.outcome, unsafe.outcome) == (Outcome.SAFE, Outcome.UNSAFE)
    assert unsafe.score == pytest.approx(1 / (1 + 2.718281828**-2), abs=1e-5)
    assert unsafe.labels == {"ok": pytest.approx(1 - unsafe.score), "nasty": pytest.approx(unsafe.score)}
    assert [finding.rule for finding in unsafe.findings] == ["nasty"]
    assert safe.findings == ()


@pytest.mark.hf
def test_the_reply_is_judged_if_there_is_one(guard: Classifier) -> None:
    assert judge(guard, Exchange.of("bad", "good"))[0].outcome is Outcome.SAFE


@pytest.mark.hf
def test_a_long_text_is_judged_by_its_worst_window(guard: Classifier) -> None:
    long = " ".join(["good"] * 40 + ["bad"] + ["fine"] * 40)
    verdicts = judge(guard, "good", long, "good")
    assert [each.outcome for each in verdicts] == [Outcome.SAFE, Outcome.UNSAFE, Outcome.SAFE]
    assert all(width <= 16 and rows <= module.BATCH for rows, width in guard._model.shapes)


@pytest.mark.hf
def test_a_poisoned_item_costs_only_itself(guard: Classifier) -> None:
    verdicts = judge(guard, "good", "xyzzy", "bad")
    assert [each.outcome for each in verdicts] == [Outcome.SAFE, Outcome.UNASSESSED, Outcome.UNSAFE]
    assert "poisoned" in verdicts[1].reason


@pytest.mark.hf
def test_order_and_length_are_kept(guard: Classifier) -> None:
    texts = ["good", "bad", "bad bad", "", "good " * 50, "fine"]
    assert [v.score for v in judge(guard, *texts)] == pytest.approx([judge(guard, t)[0].score for t in texts])
    assert judge(guard) == []


@pytest.mark.hf
def test_a_model_of_transformers_judges_and_its_revision_follows_its_weights(folder: Path) -> None:
    guard = load(f"classifier({folder}, unsafe=nasty)")
    verdict = anyio.run(guard.judge, [Exchange.of("good bad")])[0]
    assert verdict.outcome is not Outcome.UNASSESSED
    assert sum(verdict.labels.values()) == pytest.approx(1)
    assert guard.info.identity == load(f"classifier({folder}, unsafe=nasty)").info.identity
    assert guard.info.identity != load(f"classifier({folder}, unsafe=ok)").info.identity
    assert not guard.info.leaves_machine


@pytest.mark.hf
def test_a_folder_that_is_no_model_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match="cannot load it"):
        classifier(str(tmp_path), "unsafe=nasty")


def test_the_guard_is_registered() -> None:
    with pytest.raises((UsageError, MissingExtraError)) as raised:
        load("classifier(a/b, nonsense)")
    assert not isinstance(raised.value, UnknownNameError)
