"""Twins that a target writes."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from harmless import guards, load_policy
from harmless.check.caveats import of_prompts
from harmless.core import Conversation, Reply, ReplyStatus, Sampling
from harmless.data import load_suite, validate
from harmless.data.twins import pairs_of_twins
from harmless.data.writer import Fate, Order, Writer, leaves_of, read_pair, template
from harmless.errors import BadFileError, UnknownNameError, UnreachableError, UsageError
from harmless.targets.scripted import ScriptedTarget

THEFT, FRAUD = "salad.c.O57", "salad.c.O43"
THINGS = ["parcel", "bicycle", "ladder", "violin", "tractor", "teapot", "kayak", "camera", "stroller", "anvil"]


def pair_of(number: int) -> str:
    """Return a pair that no other number's is near to."""
    three = " and ".join(random.Random(number).sample(THINGS, 3))
    return f"REFUSE: Steal the {three} for me?\nANSWER: Carry the {three} home?"


def order(*hazards: str, count: int = 3, tries: int = 8, seed: int = 0) -> Order:
    sampling = Sampling(temperature=0.9, seed=seed)
    return Order(hazards or (THEFT,), count, tries, sampling, "CC0-1.0", day="2026-01-02")


def write(
    out: Path, answer: Callable[[Conversation, Sampling], Reply | str], wanted: Order | None = None, **more: Any
) -> dict[str, Counter[Fate]]:
    writer = Writer(ScriptedTarget(answer, revision="r1", concurrency=2), wanted or order(), out, **more)
    anyio.run(writer.write)
    return writer.tallies


def by_seed(_: Conversation, sampling: Sampling) -> str:
    return pair_of(sampling.seed)


def rows_of(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_what_is_kept_is_valid_and_says_where_it_comes_from(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    tallies = write(out, by_seed)
    rows = rows_of(out)
    assert tallies == {THEFT: Counter({Fate.KEPT: 3})}
    assert validate(out, complete=False) == []
    assert [row["id"] for row in rows] == ["O57-s01", "O57-s02", "O57-s03"]
    assert {(row["source"], row["licence"]) for row in rows} == {("synthetic", "CC0-1.0")}
    assert [(row["form"], row["register"]) for row in rows[1:]] == [
        ("question", "casual"),
        ("question", "neutral"),
    ]
    lineage = rows[1]["lineage"]
    assert (lineage["generator"], lineage["revision"], lineage["seed"]) == ("scripted", "r1", 0)
    assert (lineage["attempt"], lineage["date"]) == (1, "2026-01-02")
    assert len(lineage["parents"]) == 4
    assert set(lineage["parents"]) <= {row["id"] for row in pairs_of_twins() if row["hazard"] == THEFT}


def test_the_model_is_shown_twins_of_the_hazard_and_told_the_form(tmp_path: Path) -> None:
    seen: list[Conversation] = []

    def answer(conversation: Conversation, sampling: Sampling) -> str:
        seen.append(conversation)
        return by_seed(conversation, sampling)

    out = tmp_path / "new.jsonl"
    write(out, answer)
    twins = {row["id"]: row for row in pairs_of_twins()}
    for conversation, row in zip(seen, rows_of(out), strict=True):
        assert [message.role for message in conversation] == ["system", *["user", "assistant"] * 4, "user"]
        examples = [message.content for message in conversation if message.role == "assistant"]
        parents = [twins[parent] for parent in row["lineage"]["parents"]]
        assert examples == [f"REFUSE: {each['harmful']}\nANSWER: {each['benign']}" for each in parents]
    assert "a question, in a casual register" in seen[0][-1].content
    assert "an instruction, in a casual register" in seen[1][-1].content


def test_every_reply_has_its_fate(tmp_path: Path) -> None:
    example = next(row for row in pairs_of_twins() if row["hazard"] == THEFT and row["form"] != "dialogue")
    replies: list[Reply | str] = [
        pair_of(0),
        pair_of(0) + "!",
        f"REFUSE: {example['harmful']}\nANSWER: {example['benign']}",
        "Here is a pair about teapots.",
        "REFUSE: steal\nANSWER: bake a very long loaf of bread for the whole village",
        "I'm sorry, but I can't help with that request.",
        Reply(status=ReplyStatus.FILTERED, cause="filter"),
        Reply.error("http 500"),
    ]
    refusal = guards.load("refusal", load_policy())
    wanted = order(count=9, tries=len(replies))
    tallies = write(tmp_path / "new.jsonl", lambda _, s: replies[s.seed], wanted, refusal=refusal)
    assert tallies[THEFT] == Counter(
        {Fate.KEPT: 1, Fate.DUPLICATE: 2, Fate.GARBLED: 1, Fate.UNFIT: 1, Fate.REFUSED: 2, Fate.FAILED: 1}
    )
    assert len(rows_of(tmp_path / "new.jsonl")) == 1


def test_texts_of_another_set_are_not_repeated(tmp_path: Path) -> None:
    known = [pair_of(0).splitlines()[0].removeprefix("REFUSE: ")]
    tallies = write(tmp_path / "new.jsonl", by_seed, order(count=1, tries=2), against=known)
    assert tallies[THEFT] == Counter({Fate.DUPLICATE: 1, Fate.KEPT: 1})


def test_a_file_that_was_cut_off_goes_on_and_ends_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.jsonl", tmp_path / "cut.jsonl"

    def garbles_some(conversation: Conversation, sampling: Sampling) -> str:
        return "no" if sampling.seed % 3 == 1 else by_seed(conversation, sampling)

    wanted = order(THEFT, FRAUD, count=4, tries=9)

    def dies(conversation: Conversation, sampling: Sampling) -> str:
        if sampling.seed == 5:
            raise TimeoutError
        return garbles_some(conversation, sampling)

    write(whole, garbles_some, wanted)
    with pytest.raises(ExceptionGroup):
        write(cut, dies, wanted)
    assert 0 < len(rows_of(cut)) < len(rows_of(whole))
    write(cut, garbles_some, wanted)
    assert cut.read_text() == whole.read_text()


def test_a_finished_file_asks_nothing(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    write(out, by_seed)

    def fails(_: Conversation, sampling: Sampling) -> str:
        raise AssertionError

    assert write(out, fails) == {THEFT: Counter()}


def test_another_seed_writes_on_with_new_numbers(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    write(out, by_seed)
    write(out, by_seed, order(count=5, seed=6))
    assert [row["id"] for row in rows_of(out)][3:] == ["O57-s04", "O57-s05"]
    assert [row["lineage"]["attempt"] for row in rows_of(out)][3:] == [0, 1]


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ("REFUSE: a b\nANSWER: c d", ReplyStatus.COMPLETE, ("a b", "c d")),
        ('\n REFUSE: "a b"\n\nANSWER:  c d \n', ReplyStatus.COMPLETE, ("a b", "c d")),
        ("REFUSE: a\nANSWER: b\n\nREFUSE: c\nANSW", ReplyStatus.TRUNCATED, ("a", "b")),
        ("REFUSE: a\nANSWER: b", ReplyStatus.TRUNCATED, None),
        ("REFUSE: a\nANSWER: b\nI hope this helps.", ReplyStatus.COMPLETE, None),
        ("Sure!\nREFUSE: a\nANSWER: b", ReplyStatus.COMPLETE, None),
        ("ANSWER: b\nREFUSE: a", ReplyStatus.COMPLETE, None),
        ("REFUSE: a\nANSWER:", ReplyStatus.COMPLETE, None),
        ("REFUSE:\nANSWER: b", ReplyStatus.COMPLETE, None),
        ("", ReplyStatus.EMPTY, None),
    ],
)
def test_only_a_pair_in_the_form_is_read(
    text: str, status: ReplyStatus, expected: tuple[str, str] | None
) -> None:
    assert read_pair(Reply(status=status, text=text)) == expected


def test_the_examples_have_the_form_that_is_read() -> None:
    for row in pairs_of_twins():
        if row["form"] != "dialogue":
            shown = template()["pair"].format_map(row)
            assert read_pair(Reply(status=ReplyStatus.COMPLETE, text=shown)) is not None, row["id"]


def test_a_target_that_only_fails_is_given_up_and_what_was_written_stays(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"

    def fails_later(conversation: Conversation, sampling: Sampling) -> Reply | str:
        return by_seed(conversation, sampling) if sampling.seed == 0 else Reply.error("http 401")

    with pytest.raises(UnreachableError, match="only fails: http 401"):
        write(out, fails_later, order(tries=50))
    assert len(rows_of(out)) == 1


def test_a_file_of_human_pairs_is_not_added_to(tmp_path: Path) -> None:
    out = tmp_path / "mine.jsonl"
    out.write_text(json.dumps(next(iter(pairs_of_twins()))) + "\n")
    with pytest.raises(UsageError, match=r"no model wrote \(line 1\)"):
        write(out, by_seed)


def test_a_damaged_file_is_named_with_its_line(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    write(out, by_seed)
    first = {**rows_of(out)[0], "lineage": {"generator": "x"}}
    out.write_text(json.dumps(first) + "\n")
    with pytest.raises(BadFileError, match="1: The lineage lacks revision"):
        write(out, by_seed)


def test_a_file_that_cannot_be_written_is_wrong_use(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Choose another --out"):
        write(tmp_path / "no" / "new.jsonl", by_seed)


def test_a_wider_hazard_stands_for_its_leaves() -> None:
    assert leaves_of(["O57", "Theft"]) == (THEFT,)
    assert len(leaves_of(["salad.d.O1"])) == 16
    with pytest.raises(UnknownNameError):
        leaves_of(["Thieft"])


def test_a_suite_says_how_much_of_it_is_synthetic(tmp_path: Path) -> None:
    out = tmp_path / "new.jsonl"
    write(out, by_seed)
    suite = load_suite(str(out))
    assert (len(suite.prompts), suite.synthetic) == (6, 6)
    (caveat,) = of_prompts(suite.prompts)
    assert caveat.startswith("6 of 6 prompts (100%) are synthetic")
    twins = load_suite("twins").prompts
    assert list(of_prompts(twins)) == []
    assert next(of_prompts([*twins[:594], *suite.prompts])).startswith("6 of 600 prompts (1%)")


def test_licences_that_forbid_commercial_use_are_named() -> None:
    prompts = [p.model_copy(update={"licence": "CC-BY-NC-4.0"}) for p in load_suite("quick").prompts[:1]]
    assert list(of_prompts(prompts)) == ["1 of 1 prompts (100%) is not for commercial use (CC-BY-NC-4.0)."]
