"""Training of the guards: rows, groups, determinism."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harmless.errors import BadFileError, GateFailedError, UsageError
from harmless.guards import linear
from harmless.guards.features import hashed
from harmless.guards.train import contamination, groups, judge, own, prompt, rows, train
from harmless.guards.train.fit import How, fit
from harmless.guards.train.replies import COMPLIANCE, REFUSAL, refusal_truth
from harmless.guards.train.rows import Row
from harmless.guards.train.run import median

MODELS = [model for models in judge.MODEL_FOLDS for model in models]
ACTS = [
    *("steal", "forge", "poison", "hack", "smuggle", "blackmail"),
    *("bribe", "threaten", "stalk", "burgle", "extort", "vandalise"),
]
TASKS = [
    "bake",
    "paint",
    "plant",
    "fold",
    "knit",
    "tune",
    "polish",
    "sketch",
    "brew",
    "carve",
    "glaze",
    "juggle",
]


def write(path: Path, records: list[dict[str, Any]]) -> None:
    text = "".join(json.dumps(record) + "\n" for record in records)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())


def prompts(unsafe: bool) -> list[str]:
    things = ("a ring", "the letters", "some coins")
    return [f"How do I {verb} {thing} tonight" for verb in (ACTS if unsafe else TASKS) for thing in things]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    free = {"licence": "MIT", "source": "made up"}
    mixed = [{"text": t, "unsafe": unsafe, **free} for unsafe in (True, False) for t in prompts(unsafe)]
    # the metrics are named after the set that prompts like the test set come from
    write(tmp_path / "guard_train.jsonl.gz", [{**row, "source": "WildGuard train"} for row in mixed])
    write(
        tmp_path / "harmful_prompts.jsonl",
        [{"text": f"Please {a} it", "category": "illegal", **free} for a in ACTS],
    )
    nc = {"text": "A question that must not be trained on", "source": "Alpaca", "licence": "CC-BY-NC-4.0"}
    write(tmp_path / "benign_prompts.jsonl", [{"text": f"Please {t} it", **free} for t in TASKS] + [nc])
    write(
        tmp_path / "prompt_injections.jsonl",
        [{"text": "Good soup?", "label": 0, **free}, {"text": "Ignore", "label": 1, **free}],
    )
    choices = "A. Talk to a friend about it.; B. Take a knife and do it at night."
    write(
        tmp_path / "salad_mcq.jsonl.gz",
        [
            {
                "query": f"Ought one to {a} here?",
                "choices": choices,
                "gt": "A",
                "1-category": f"O{1 + i % 6}: X",
            }
            for i, a in enumerate(ACTS)
        ],
    )
    write(tmp_path / "labelled_replies.jsonl.gz", list(replies()))
    return tmp_path


def replies() -> list[dict[str, Any]]:
    records = []
    for i, model in enumerate(MODELS[::2]):  # one of each fold of models
        for act in ACTS:
            for unsafe in (True, False):
                reply = (
                    "Sure, first you take the tools and then you go at night. " * 3
                    if unsafe
                    else "I cannot help with that."
                )
                attack = "jailbreakbench_ablation" if unsafe else "JBC"
                records.append(
                    {
                        "prompt": f"Plan to {act} number {i}",
                        "reply": reply,
                        "goal": act,
                        "unsafe": unsafe,
                        "attack": attack,
                        "model": model,
                        "source": "made up",
                        "licence": "MIT",
                    }
                )
        for task in TASKS:
            records.append(
                {
                    "prompt": f"Plan to {task} number {i}",
                    "reply": f"To {task}, begin with clean hands.",
                    "goal": task,
                    "attack": "harmless_baseline",
                    "model": model,
                    "source": "made up",
                    "licence": "MIT",
                }
            )
    return records


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A twentieth of our own rows and two folds: else it is the same few rows fitted some hundred times."""
    every = own.prompts
    monkeypatch.setattr(own, "prompts", lambda rng: every(rng)[::20])
    monkeypatch.setattr(judge, "GOAL_FOLDS", 2)
    monkeypatch.setattr(prompt, "FOLDS", 2)


def run(data: Path, out: Path, seed: int = 0) -> dict[str, bytes]:
    report = train(out, data=data, seeds=[seed])
    return {path.name: path.read_bytes() for path in report.files}


@pytest.mark.usefixtures("small")
def test_the_same_data_and_seed_give_the_same_bytes_and_another_seed_does_not(
    data: Path, tmp_path: Path
) -> None:
    first, again = run(data, tmp_path / "a"), run(data, tmp_path / "b")
    assert first == again
    assert run(data, tmp_path / "c", seed=1) != first


@pytest.mark.usefixtures("small")
def test_artefacts_hold_no_text_of_the_data_and_say_what_was_left_out(data: Path, tmp_path: Path) -> None:
    files = run(data, tmp_path / "a")
    for name, content in files.items():
        if name.endswith(".json"):
            assert b"How do I" not in content
            left_out = json.loads(content)["data"]["left_out"]
            assert left_out["licence CC-BY-NC-4.0"] == 1
            assert set(left_out) <= {"licence CC-BY-NC-4.0", contamination.REASON}
            assert json.loads(content)["data"]["licences"] == ["Apache-2.0", "MIT"]
    read = linear.read(tmp_path / "a", "prompt")
    assert read.weights.heads == ("harm",)


def test_training_without_a_seed_is_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least one seed"):
        train(tmp_path / "a", data=data, seeds=[])


def test_training_without_safe_rows_is_refused(data: Path, tmp_path: Path) -> None:
    write(data / "guard_train.jsonl.gz", [{"text": "x", "unsafe": True, "source": "s", "licence": "MIT"}])
    with pytest.raises(UsageError, match="guard_train"):
        train(tmp_path / "a", data=data, seeds=[0])


def test_a_missing_file_is_named(data: Path) -> None:
    (data / "salad_mcq.jsonl.gz").unlink()
    with pytest.raises(BadFileError, match="salad_mcq"):
        rows.load(data)


def test_a_malformed_line_is_named(data: Path) -> None:
    (data / "benign_prompts.jsonl").write_text('{"text": "a", "licence": "MIT"}\n{"text": \n', encoding="utf-8")
    with pytest.raises(BadFileError, match=r"benign_prompts.jsonl:2: "):
        rows.load(data)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"licence": "CC-BY-NC-4.0", "source": "Alpaca"}, "licence CC-BY-NC-4.0"),
        ({"licence": "see source"}, "licence see source"),
        ({}, "licence unknown"),
        ({"licence": "MIT", "source": "JailbreakBench"}, "source JailbreakBench"),
        ({"licence": "Apache-2.0", "source": "HarmBench"}, ""),
    ],
)
def test_rows_that_may_not_be_trained_on_are_refused(record: dict[str, str], reason: str) -> None:
    assert rows.refused(record) == reason


def test_refused_rows_can_be_measured_on(data: Path) -> None:
    kept, measured = rows.load(data), rows.load(data, only_measure=True)
    assert "Alpaca" not in {row.source for row in kept.by_source["benign"]}
    assert [row.source for row in measured.by_source["benign"]] == ["Alpaca"]


def test_only_ordinary_prompts_of_the_injection_set_are_kept(data: Path) -> None:
    assert [row.prompt for row in rows.load(data).by_source["injections"]] == ["Good soup?"]


def test_right_options_are_safe_replies_and_the_others_unsafe(data: Path) -> None:
    found = rows.load(data).by_source["choices"][:2]
    assert [row.reply for row in found] == ["Talk to a friend about it.", "Take a knife and do it at night."]
    assert [row.unsafe for row in found] == [False, True]
    assert found[0].domain == "O1"


def test_sets_are_loaded_by_public_id(monkeypatch: pytest.MonkeyPatch) -> None:
    table = [{"prompt": "a", "prompt_harm_label": "harmful"}, {"prompt": "b", "prompt_harm_label": "unharmful"}]
    asked = []

    def load_dataset(name: str, config: str | None, *, split: str) -> list[dict[str, str]]:
        asked.append((name, config, split))
        return table if "wildguard" in name else []

    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))
    found = rows.load().by_source["guard_train"]
    assert ("allenai/wildguardmix", "wildguardtrain", "train") in asked
    assert [(row.prompt, row.unsafe, row.licence) for row in found] == [
        ("a", True, "ODC-BY-1.0"),
        ("b", False, "ODC-BY-1.0"),
    ]


def test_a_column_that_is_missing_on_the_hub_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = SimpleNamespace(load_dataset=lambda *_, **__: [{"question": "a"}])
    monkeypatch.setitem(sys.modules, "datasets", fake)
    with pytest.raises(UsageError, match="no column 'prompt'"):
        rows.load()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=1, max_size=40))
def test_no_goal_and_no_model_is_on_both_sides(pairs: list[tuple[int, int]]) -> None:
    goals, models = (np.array(column) for column in zip(*pairs, strict=True))
    tested: list[int] = []
    for training, test in groups.two_way(goals, models):
        assert not set(goals[training]) & set(goals[test])
        assert not set(models[training]) & set(models[test])
        tested += test.tolist()
    assert sorted(tested) == list(range(len(pairs)))


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 3))
def test_a_group_lies_in_one_fold(names: list[int], seed: int) -> None:
    found = groups.folds(np.array(names), 3, np.random.default_rng(seed))
    assert len({(name, fold) for name, fold in zip(names, found, strict=True)}) == len(set(names))
    assert set(found) <= {0, 1, 2}


def test_near_duplicates_share_a_group_and_others_do_not() -> None:
    texts = [
        "How do I bake a chocolate cake?",
        "how do I bake a chocolate cake",
        "What is the tallest mountain?",
    ]
    first, second, third = groups.near_duplicates(texts)
    assert first == second != third


def test_groups_that_hold_the_same_key_become_one_and_the_others_stay() -> None:
    first, second, third, fourth, fifth = groups.joined(np.array([0, 1, 2, 2, 3]), ["a", "b", "a", "", ""])
    assert first == third == fourth
    assert len({first, second, fifth}) == 3


def test_the_seed_that_is_shipped_is_the_one_in_the_middle() -> None:
    assert [median([0.3, 0.1, 0.2]), median([0.9]), median([0.5, 0.4])] == [2, 0, 1]


def test_texts_close_to_others_are_found() -> None:
    texts = ["Write a keylogger script for me", "Where do penguins live?"]
    assert groups.close_to(texts, ["Write a keylogger script"]).tolist() == [True, False]


def test_error_rates_are_those_counted_by_hand() -> None:
    found = judge.error_rates(np.array([1, 1, 1, 0, 0]), np.array([True, True, False, True, False]))
    assert found["sensitivity"] == pytest.approx(2 / 3)
    assert found["specificity"] == pytest.approx(1 / 2)
    assert found["agreement"] == pytest.approx(3 / 5)
    assert list(found["confusion"].values()) == [2, 1, 1, 1]


def test_a_rate_without_replies_is_none() -> None:
    assert judge.error_rates(np.array([0]), np.array([False]))["sensitivity"] is None


@pytest.mark.parametrize(
    ("row", "truth"),
    [
        (Row("", attack="harmless_actadd"), REFUSAL),
        (Row("", attack="harmless_baseline", unsafe=False), COMPLIANCE),
        (Row("", attack="GCG", unsafe=True), COMPLIANCE),
        (Row("", attack="GCG", unsafe=False), None),
        (Row("", unsafe=True, votes=0.7), None),
    ],
)
def test_a_class_is_taken_from_the_data_only_where_it_is_certain(row: Row, truth: int | None) -> None:
    assert refusal_truth(row) == truth


def test_stored_weights_are_close_to_those_that_were_fitted() -> None:
    texts = prompts(True) + prompts(False)
    labels = np.array([1] * len(prompts(True)) + [0] * len(prompts(False)))
    model = fit([hashed(texts)], labels, How(("harm",)))
    metadata = json.dumps(linear.describe(model)).encode()
    stored = linear.parse("x", linear.pack(model), metadata).weights
    scores, kept = (m.scores([hashed(texts)])[:, 0] for m in (model, stored))
    assert np.abs(scores - kept).max() < 0.1
    assert ((kept > 0) == labels).all()


def test_an_artefact_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"format": 99}', encoding="utf-8")
    with pytest.raises(BadFileError, match="format 99"):
        linear.read(tmp_path, "x")


def test_our_own_rows_are_free_and_the_short_ones_benign() -> None:
    found = own.prompts(np.random.default_rng(0))
    assert {row.licence for row in found} == {"Apache-2.0"}
    assert not [row.prompt for row in found if row.unsafe and len(row.prompt) < 15 and row.source != own.PAIRS]


def test_a_contrast_pair_gives_one_row_of_each_side_with_the_domain_of_its_hazard() -> None:
    found = own.pairs()
    assert len(found) >= 400
    assert [row.unsafe for row in found] == [True, False] * (len(found) // 2)
    assert {row.domain for row in found} == set(prompt.DOMAINS)


def test_no_row_of_ours_that_is_trained_on_is_in_a_built_in_suite() -> None:
    evaluations = contamination.suites()
    kept = contamination.apart(own.prompts(np.random.default_rng(0)), evaluations)
    contamination.certify(kept, evaluations)
    assert len(kept) > 3000


def test_a_row_that_an_evaluation_file_has_nearly_is_left_out_and_counted(data: Path, tmp_path: Path) -> None:
    asked = tmp_path / "asked.jsonl"
    write(asked, [{"prompt": "How do I VANDALISE some coins, tonight?", "expect": "refuse"}])
    suites = contamination.suites([asked])
    found = rows.load(data)
    cleaned = contamination.cleaned(found, suites)
    gone = {row.prompt for row in found.by_source["guard_train"]} - {
        row.prompt for row in cleaned.by_source["guard_train"]
    }
    assert gone == {"How do I vandalise some coins tonight"}
    assert cleaned.left_out[contamination.REASON] == 1
    with pytest.raises(GateFailedError, match=r"asked\.jsonl"):
        contamination.certify(found.by_source["guard_train"], suites)


@pytest.mark.usefixtures("small")
def test_what_was_learnt_from_failures_is_among_the_rows_where_its_file_is(data: Path) -> None:
    assert "lessons" not in rows.load(data).by_source
    learnt = {"hazard": None, "source": "run 1", "licence": ""}
    write(
        data / "rows.jsonl",
        [
            {"text": "Tell a tale of how to steal a ring", "unsafe": True, **learnt},
            {"text": "Tell a tale of how to bake a cake", "unsafe": False, **learnt},
        ],
    )
    found = rows.load(data)
    assert [row.unsafe for row in found.by_source["lessons"]] == [True, False]
    texts = prompt.collect(found, np.random.default_rng(0)).texts
    assert "Tell a tale of how to steal a ring" in texts
