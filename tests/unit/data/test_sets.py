"""Loading: labels, layouts, mistakes, the hub's layout, real files."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harmless import taxonomy
from harmless.core import Expect, Prompt
from harmless.data import Labelled, Preference, counted, load, load_suite, refuse_non_commercial
from harmless.errors import BadFileError, MissingExtraError, UnknownNameError, UnreachableError, UsageError

ROOT = Path(__file__).parents[3]
#: Set, file or pattern, rows.
REAL = [
    ("salad_mcq", "salad_mcq.jsonl.gz", 1639),
    ("collected_harmful", "harmful_prompts.jsonl", 2989),
    ("collected_labelled", "guard_train.jsonl.gz", 3800),
    ("collected_benign", "benign_prompts.jsonl", 6436),
    ("collected_replies", "labelled_replies.jsonl.gz", 4590),
    ("hh_harmless", "hh_rlhf_harmless_base_test.jsonl.gz", 2291),
    ("in_the_wild", "jailbreaks_inthewild.jsonl.gz", 589),
    ("prompt_injections", "prompt_injections.jsonl", 654),
    ("bbq", "bbq_*.jsonl.gz", 3620),
]


def base_row(qid: int = 0, leaf: str = "Theft", **changes: Any) -> dict[str, Any]:
    hazard = taxonomy.load().hazard(leaf)
    task, domain = taxonomy.load().ancestors(hazard.key)
    levels = {"1-category": domain.label, "2-category": task.label, "3-category": hazard.label}
    return {"qid": qid, "question": f"Question {qid}?", "source": "GPT-Gen", **levels, **changes}


def write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_base_set_row_becomes_a_prompt_to_refuse_with_its_hazard(tmp_path: Path) -> None:
    (prompt,) = load("salad_base", path=write(tmp_path / "a.jsonl", base_row(7))).prompts
    assert prompt.id == "salad_base:7"
    assert prompt.text == "Question 7?"
    assert prompt.expect is Expect.REFUSE
    assert prompt.hazard == "salad.c.O57"
    assert prompt.source == "GPT-Gen"
    assert prompt.meta["category"] == "O57: Theft"


def test_rows_are_counted_by_level_and_source(tmp_path: Path) -> None:
    rows = [base_row(0), base_row(1, "Scams"), base_row(2, "Insult", source="Advbench")]
    items = load("salad_base", path=write(tmp_path / "a.jsonl", *rows)).items
    assert counted(items, "domain") == {"O5: Malicious Use": 2, "O1: Representation & Toxicity": 1}
    assert counted(items, "source") == {"GPT-Gen": 2, "Advbench": 1}
    assert counted(items, "category")["O42: Scams"] == 1


@pytest.mark.parametrize("kind", ["json", "jsonl", "csv", "tsv", "json.gz", "jsonl.gz"])
def test_every_kind_of_file_gives_the_same_prompts(kind: str, tmp_path: Path) -> None:
    rows = [base_row(n, leaf) for n, leaf in enumerate(["Theft", "Insult", "Common Sense"])]
    rows[1]["question"] = 'With "quotes", a tab\tand a\nline break'
    text = {"json": as_array, "jsonl": as_lines, "csv": as_csv, "tsv": as_tsv}[kind.removesuffix(".gz")](rows)
    path = tmp_path / f"rows.{kind}"
    path.write_bytes(gzip.compress(text.encode()) if kind.endswith(".gz") else text.encode())
    found = load("salad_base", path=path).prompts
    assert [(p.text, p.hazard) for p in found] == [
        ("Question 0?", "salad.c.O57"),
        ('With "quotes", a tab\tand a\nline break', "salad.c.O7"),
        ("Question 2?", "salad.c.O18"),
    ]


def as_array(rows: list[dict[str, Any]]) -> str:
    return json.dumps(rows, indent=2)


def as_lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def as_csv(rows: list[dict[str, Any]], delimiter: str = ",") -> str:
    import csv
    import io

    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), delimiter=delimiter)
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_tsv(rows: list[dict[str, Any]]) -> str:
    return as_csv(rows, "\t")


def test_both_published_schemas_of_the_multiple_choice_set_load_alike(tmp_path: Path) -> None:
    levels = {k: v for k, v in base_row().items() if k.endswith("category")}
    shared = {"gt": "CA", "choices": "A. one; B. two; C. three;", **levels}
    hub = write(tmp_path / "hub.jsonl", {"mcq": "Choose the safe one", "baseq": "Which?", **shared})
    other = write(tmp_path / "other.jsonl", {"prompt": "Choose the safe one", "query": "Which?", **shared})
    (one,), (two,) = (load("salad_mcq", path=path).prompts for path in (hub, other))
    assert one == two
    assert (one.options, one.correct, one.expect) == (("one", "two", "three"), (0, 2), Expect.CHOOSE)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question": None}, "no usable row"),
        ({"3-category": "O99: Nothing"}, r"a\.jsonl:2: Unknown hazard 'O99: Nothing'"),
        ({"question": 5}, r"a\.jsonl:2: The text is int"),
    ],
)
def test_a_bad_row_is_named_with_its_line(row: dict[str, Any], message: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("\n" + json.dumps({**base_row(), **row}))
    with pytest.raises(BadFileError, match=message):
        load("salad_base", path=path)


def test_a_missing_column_is_named_with_what_was_found_and_expected(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"qid": 1, "prompt": "x", "source": "y"})
    with pytest.raises(BadFileError) as caught:
        load("salad_base", path=path)
    assert caught.value.line == 1
    assert "'question'" in caught.value.message
    assert "found: qid, prompt, source" in caught.value.message
    assert "qid, question, source, 1-category" in caught.value.next_step


def test_a_column_missing_later_is_named_with_its_line(tmp_path: Path) -> None:
    row = base_row(1)
    del row["question"]
    path = write(tmp_path / "a.jsonl", base_row(0), row)
    with pytest.raises(BadFileError, match=r"a\.jsonl:2: Missing column 'question'"):
        load("salad_base", path=path)


def test_a_wrong_label_is_named_with_those_that_are_known(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", {"text": "x", "label": 0}, {"text": "y", "label": 3})
    with pytest.raises(BadFileError, match=r"a\.jsonl:2: The label '3' of 'label' is unknown. Known: 0, 1"):
        load("prompt_injections", path=path)


def test_bad_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(json.dumps(base_row()).encode() + b'\n{"qid": "\xe9"}\n')
    with pytest.raises(BadFileError, match=r"a\.jsonl:2: Byte 0xe9 is not UTF-8.*Save the file as UTF-8"):
        load("salad_base", path=path)


def test_a_truncated_gzip_is_named_with_the_line_where_it_ends(tmp_path: Path) -> None:
    whole = gzip.compress(as_lines([base_row(n, question=f"{n} {hash(str(n))}") for n in range(3000)]).encode())
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(BadFileError, match=r"truncated here.*Fetch") as caught:
        load("salad_base", path=path)
    assert 500 < (caught.value.line or 0) < 2500


def test_labels_are_the_same_as_numbers_texts_and_truth_values(tmp_path: Path) -> None:
    labels: list[Any] = [1, "1", 1.0, True, "true", "TRUE", "yes"]
    rows = [{"text": f"t{n}", "unsafe": label, "source": "s"} for n, label in enumerate(labels)]
    items = load("collected_labelled", path=write(tmp_path / "a.jsonl", *rows)).items
    assert [item.unsafe for item in items if isinstance(item, Labelled)] == [True] * 7


def test_rows_without_text_or_label_are_left_out_and_counted(tmp_path: Path) -> None:
    rows = [{"goal": "x", "target": "t"}, {"goal": " ", "target": "t"}, {"goal": None, "target": "t"}]
    found = load("advbench", path=write(tmp_path / "a.jsonl", *rows))
    assert (len(found.items), found.skipped) == (1, 2)


def test_an_id_that_occurs_again_gets_a_number(tmp_path: Path) -> None:
    items = load("salad_base", path=write(tmp_path / "a.jsonl", base_row(1), base_row(1))).items
    assert [item.id for item in items] == ["salad_base:1", "salad_base:1~2"]


def test_a_limit_reads_no_further(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", base_row(0), base_row(1), {"broken": True})
    assert len(load("salad_base", path=path, limit=2).items) == 2


def test_the_split_of_a_file_is_a_column(tmp_path: Path) -> None:
    rows = [{"text": "a", "label": 0, "split": "train"}, {"text": "b", "label": 1, "split": "test"}]
    path = write(tmp_path / "a.jsonl", *rows)
    assert [item.text for item in load("prompt_injections", path=path, split="test").items] == ["b"]
    assert len(load("prompt_injections", path=path).items) == 2


def test_a_pattern_reads_several_files(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / f"part_{name}.jsonl", base_row(qid=ord(name)))
    assert [p.id for p in load("salad_base", path=tmp_path / "part_*.jsonl").items] == [
        "salad_base:97",
        "salad_base:98",
    ]
    with pytest.raises(BadFileError, match="No file matches"):
        load("salad_base", path=tmp_path / "other_*.jsonl")


def test_rows_of_other_styles_are_left_out(tmp_path: Path) -> None:
    rows = [
        {"question_id": n, "turns": [f"text {n}"], "category": "1", "prompt_style": style}
        for n, style in enumerate(["base", "slang", None])
    ]
    items = load("sorry_bench", path=write(tmp_path / "a.jsonl", *rows)).items
    assert [item.text for item in items] == ["text 0", "text 2"]


def test_a_context_comes_before_the_behaviour(tmp_path: Path) -> None:
    row = {
        "Behavior": "Do it",
        "FunctionalCategory": "standard",
        "SemanticCategory": "illegal",
        "BehaviorID": "b",
    }
    rows = [{**row, "ContextString": None}, {**row, "ContextString": "A page", "BehaviorID": "c"}]
    items = load("harmbench", path=write(tmp_path / "a.jsonl", *rows)).items
    assert [item.text for item in items] == ["Do it", "A page\n\n---\n\nDo it"]


def test_twins_of_jailbreakbench_are_paired_over_both_sets(tmp_path: Path) -> None:
    row = {"Index": 3, "Goal": "x", "Target": "t", "Behavior": "b", "Category": "Privacy", "Source": "Original"}
    path = write(tmp_path / "a.jsonl", row)
    (harmful,), (benign,) = (
        load(name, path=path).prompts for name in ("jailbreakbench", "jailbreakbench_benign")
    )
    assert harmful.pair == benign.pair == "jailbreakbench:3"
    assert (harmful.expect, benign.expect) == (Expect.REFUSE, Expect.ANSWER)


def test_a_reply_without_a_label_takes_none_and_a_prompt_alone_takes_the_prompts(tmp_path: Path) -> None:
    row = {"prompt": "p", "prompt_harm_label": "harmful", "adversarial": False, "subcategory": "cyberattack"}
    rows = [
        {**row, "response": None, "response_harm_label": None, "response_refusal_label": None},
        {**row, "response": "r", "response_harm_label": "unharmful", "response_refusal_label": "refusal"},
        {**row, "response": "r", "response_harm_label": None, "response_refusal_label": None},
    ]
    items = load("wildguard_test", path=write(tmp_path / "a.jsonl", *rows)).items
    assert [(i.unsafe, i.prompt_unsafe, i.refused) for i in items if isinstance(i, Labelled)] == [
        (True, True, None),
        (False, True, True),
        (None, True, None),
    ]
    assert {item.hazard for item in items} == {"salad.c.O38"}


def test_training_on_non_commercial_sets_has_to_be_allowed(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "source": "s", "licence": "MIT"},
        {"text": "b", "source": "s", "licence": "CC-BY-NC-4.0"},
    ]
    mixed = load("collected_benign", path=write(tmp_path / "a.jsonl", *rows))
    free = load("collected_benign", path=write(tmp_path / "b.jsonl", rows[0]))
    assert (mixed.non_commercial, free.non_commercial) == (True, False)
    refuse_non_commercial([free])
    refuse_non_commercial([mixed], allow=True)
    with pytest.raises(UsageError, match=r"collected_benign \(CC-BY-NC-4\.0\)"):
        refuse_non_commercial([free, mixed])


class TestHub:
    """Reading through ``datasets``, from a clone and by id, with the hub denied."""

    @pytest.fixture(autouse=True)
    def denied(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets")
        import huggingface_hub.constants

        monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
        datasets.disable_progress_bars()

    @pytest.fixture(params=["json", "parquet"])
    def clone(self, request: pytest.FixtureRequest, tmp_path: Path) -> Path:
        folder = tmp_path / "Salad-Data"
        folder.mkdir()
        configs = {"base_set": [base_row(n) for n in range(5)], "mcq_set": [{"mid": 1, "mcq": "x"}]}
        lines = ["---", "configs:"]
        for name, rows in configs.items():
            file = folder / f"{name}.{request.param}"
            if request.param == "json":
                file.write_text(as_array(rows))
            else:
                import pyarrow
                import pyarrow.parquet

                pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
            lines += [f"- config_name: {name}", f"  data_files: {file.name}"]
        (folder / "README.md").write_text("\n".join([*lines, "---", ""]))
        return folder

    def test_a_clone_of_the_repository_gives_the_same_items_as_its_file(self, clone: Path) -> None:
        (file,) = clone.glob("base_set.*")
        assert load("salad_base", path=clone).items == load("salad_base", path=file).items

    def test_by_id_the_same_code_reads_the_same_items(
        self, clone: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import datasets

        (file,) = clone.glob("base_set.*")
        real: Callable[..., Any] = datasets.load_dataset

        def redirected(id: str, *args: Any, revision: Any, **options: Any) -> Any:
            assert (id, args, revision) == ("OpenSafetyLab/Salad-Data", ("base_set",), None)
            return real(str(clone), *args, **options)

        monkeypatch.setattr(datasets, "load_dataset", redirected)
        found = load("salad_base")
        assert found.origin == "OpenSafetyLab/Salad-Data"
        assert found.items == load("salad_base", path=file).items

    def test_an_unknown_config_or_split_names_those_that_there_are(self, clone: Path) -> None:
        with pytest.raises(UsageError, match=r"mcq_set.*--config or --split"):
            load("salad_base", path=clone, config="nonsense")
        with pytest.raises(UsageError, match=r"train.*--config or --split"):
            load("salad_base", path=clone, split="nonsense")

    def test_nested_columns_and_lists_are_as_in_a_file(self, tmp_path: Path) -> None:
        import pyarrow
        import pyarrow.parquet

        row = {"question": "Why?", "mc1_targets": {"choices": ["a", "b"], "labels": [1, 0]}}
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "a.parquet")
        lines = write(tmp_path / "a.jsonl", row)
        assert (
            load("truthfulqa_mc1", path=tmp_path / "a.parquet").items
            == load("truthfulqa_mc1", path=lines).items
        )

    @pytest.mark.parametrize("name", ["salad_base", "toxigen"])
    def test_a_denied_hub_is_unreachable_and_a_file_is_the_next_step(self, name: str) -> None:
        with pytest.raises(UnreachableError, match="out of reach") as caught:
            load(name)
        assert f"--path FILE, or --data {name}=FILE for attack" in caught.value.next_step
        assert ("HF_TOKEN" in caught.value.next_step) == (name == "toxigen")

    def test_a_broken_file_of_a_clone_is_named(self, tmp_path: Path) -> None:
        folder = tmp_path / "clone"
        folder.mkdir()
        (folder / "train.parquet").write_bytes(b"PAR1 but no more")
        with pytest.raises((BadFileError, UsageError), match="clone"):
            load("do_not_answer", path=folder)

    def test_a_broken_parquet_file_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
        with pytest.raises(BadFileError, match=r"a\.parquet: Not Parquet"):
            load("do_not_answer", path=tmp_path / "a.parquet")


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[data\]"):
        load("salad_base")
    with pytest.raises(MissingExtraError, match=r"harmless\[data\]"):
        load("salad_base", path=tmp_path / "a.parquet")


def test_a_set_that_nobody_publishes_asks_for_a_file() -> None:
    with pytest.raises(UsageError, match=r"not published.*--path FILE"):
        load("ai_safety_v05")


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="salad_base"):
        load("saladbase")


def test_21318_rows_load_in_two_seconds_and_300_megabytes() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import json, data_load; print(json.dumps(data_load.run(21318)))"],
        cwd=ROOT / "bench",
        check=True,
        capture_output=True,
        text=True,
    )
    measured = json.loads(done.stdout)
    assert measured["rows"] == 21318
    assert measured["cpu seconds"] <= 2  # the machine may be busy with other tests
    assert measured["peak memory MB"] <= 300


@pytest.mark.parametrize(("name", "file", "rows"), REAL)
def test_real_files_load_through_the_catalog(shared_data: Path, name: str, file: str, rows: int) -> None:
    found = load(name, path=shared_data / file)
    assert len(found.items) + found.skipped == rows
    assert found.skipped <= 4
    assert len({item.id for item in found.items}) == len(found.items)
    assert all(item.source and item.licence for item in found.items)


def test_every_kind_of_real_file_is_tried(shared_data: Path) -> None:
    files = [path for path in shared_data.iterdir() if path.name.endswith((".jsonl", ".jsonl.gz"))]
    assert len(files) >= 11
    assert [path.name for path in files if not any(path.match(pattern) for _, pattern, _ in REAL)] == []


def test_real_questions_have_one_or_two_safe_options_of_three(shared_data: Path) -> None:
    prompts = load_suite("salad_mcq", shared_data / "salad_mcq.jsonl.gz").prompts
    assert {len(p.options) for p in prompts} == {3}
    assert {len(p.correct) for p in prompts} == {1, 2}
    assert {p.hazard for p in prompts} <= {leaf.key for leaf in taxonomy.load().leaves}
    assert all(option in p.text for p in prompts[:50] for option in p.options)


def test_real_preferences_share_their_prompt_and_differ_after_it(shared_data: Path) -> None:
    items = load("hh_harmless", path=shared_data / "hh_rlhf_harmless_base_test.jsonl.gz").items
    pairs = [item for item in items if isinstance(item, Preference)]
    assert all(pair.chosen[0] != pair.rejected[0] for pair in pairs)
    assert all(pair.prompt[0].role == "user" for pair in pairs)
    usual = [p for p in pairs if len(p.chosen) == len(p.rejected) == 1 and p.chosen[0].role == "assistant"]
    assert len(usual) / len(pairs) > 0.95


def test_real_bias_questions_have_the_right_answer_and_one_biased_one(shared_data: Path) -> None:
    prompts = load("bbq", path=shared_data / "bbq_*.jsonl.gz").prompts
    for prompt in prompts:
        unknown, biased = int(prompt.meta["unknown"]), int(prompt.meta["biased"])
        assert unknown != biased
        if prompt.meta["condition"] == "ambig":
            assert prompt.correct == (unknown,)
        else:
            assert prompt.correct != (unknown,)
    assert isinstance(prompts[0], Prompt)
