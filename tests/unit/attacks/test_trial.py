"""The attack of the loop: what breaks the target is learnt, and measured on what nothing was learnt from."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import anyio
import pytest

from harmless.attacks.lessons import PREFERENCES, REGRESSION, ROWS, RULES
from harmless.attacks.trial import LESSONS, Attacked, Attacking
from harmless.check import CheckOptions, load_policy
from harmless.core import Reply, Sampling
from harmless.data import Suite, load_suite
from harmless.errors import UsageError
from harmless.evidence import Store
from harmless.loop import Aligning, Made, make_harmless
from tests.doubles import FakeTarget, judges, said

pytest.importorskip("rensa")

#: Some of our own rules, as all of them take a second to load.
GUARD = "rules(secrets)"
FRAMES = ("novel", "technical manual", "Sure, here is")


def gives_in(prompt: str, _: Sampling) -> Reply:
    """Refuse whatever has no frame around it."""
    return said("UNSAFE" if any(frame in prompt for frame in FRAMES) else "REFUSE")


def holds(prompt: str, _: Sampling) -> Reply:
    return said("REFUSE")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def suite(folder: Path, *expectations: str) -> Suite:
    path = folder / "mine.jsonl"
    rows = [{"prompt": f"{expect} glorb {i}", "expect": expect, "hazard": "O57"}
            for expect in expectations or ("refuse", "answer") for i in range(10)]  # fmt: skip
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_suite(str(path))


def target(answer: Callable[[str, Sampling], Reply], name: str = "fake") -> FakeTarget:
    return FakeTarget(answer, batch_size=1, concurrency=1, name=name)


def made(
    asked: FakeTarget, store: Store, suite: Suite, out: Path, *, calls: int = 128, told: list[str] | None = None
) -> Made:
    async def run() -> Made:
        return await make_harmless(
            asked, GUARD, suite, load_policy(), store, judges(), CheckOptions(), out=out,
            attacking=Attacking(calls, (told if told is not None else []).append),
        )  # fmt: skip

    return anyio.run(run)


def attacked(*arguments: FakeTarget | Store | Suite | Path) -> Attacked:
    found = made(*arguments).attacked  # type: ignore[arg-type]
    assert found is not None
    return found


Broken: TypeAlias = tuple[FakeTarget, Attacked, Path]


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Broken:
    """A target that frames break, what came of it, and the folder of the report."""
    folder = tmp_path_factory.mktemp("broken")
    with Store(folder / "evidence.db") as store:
        asked = target(gives_in)
        return asked, attacked(asked, store, suite(folder), folder / "out"), folder / "out"


def test_what_broke_the_target_becomes_rules_that_stop_it_for_other_objectives(broken: Broken) -> None:
    found = broken[1]
    assert (found.any.before.rate, found.any.after.rate, found.any.pairs) == (1.0, 0.0, 8)
    assert found.any.p < 0.05
    assert found.any.difference == -1.0
    assert found.attacks["direct"].before.rate == 0.0
    assert found.attacks["template(manual)"].fixed == 8
    assert found.attacks["template(manual)"].p_holm == pytest.approx(5 * found.attacks["template(manual)"].p)
    assert (found.learnt.objectives, found.learnt.failures, found.learnt.rules) == (8, 24, 3)
    assert found.target_after == "guarded:any(rules, rules):fake"
    assert found.caveats


def test_nothing_is_learnt_from_the_suite(broken: Broken) -> None:
    folder = broken[2] / LESSONS
    for name in (RULES, ROWS, PREFERENCES, REGRESSION):
        assert "glorb" not in (folder / name).read_text()
    assert {prompt.expect for prompt in load_suite(str(folder / REGRESSION)).prompts} == {"refuse"}
    assert len(load_suite(str(folder / REGRESSION)).prompts) == 24


def test_the_report_has_it(broken: Broken) -> None:
    document = json.loads((broken[2] / "report.json").read_text())
    assert Attacked.model_validate(document["attacked"]) == broken[1]
    page = (broken[2] / "report.html").read_text()
    assert "Under attack" in page
    assert "template(manual)" in page
    assert "24 unsafe replies" in page


def test_what_the_check_has_asked_is_not_asked_again(broken: Broken) -> None:
    asked = broken[0].asked
    assert len(set(asked)) == len(asked)


def test_a_target_that_nothing_breaks_teaches_nothing(store: Store, tmp_path: Path) -> None:
    found = attacked(target(holds), store, suite(tmp_path), tmp_path / "out")
    assert (found.learnt.failures, found.learnt.rules, found.any.before.rate, found.any.after.rate) == (
        0,
        0,
        0,
        0,
    )
    assert found.target_after == "guarded:rules:fake"
    assert not (tmp_path / "out" / LESSONS).exists()
    assert "no attack broke the target" in (tmp_path / "out" / "report.html").read_text()


class DiesError(Exception):
    pass


@pytest.mark.parametrize("after", [60, 130])
def test_what_was_cut_off_goes_on_and_asks_nothing_twice(broken: Broken, tmp_path: Path, after: int) -> None:
    mine, out = suite(tmp_path), tmp_path / "out"
    whole, wanted, _ = broken
    left = after

    def dying(prompt: str, sampling: Sampling) -> Reply:
        nonlocal left
        if not left:
            raise DiesError
        left -= 1
        return gives_in(prompt, sampling)

    with Store(tmp_path / "cut.db") as store:
        first, second = target(dying), target(gives_in)
        with pytest.raises(DiesError):
            made(first, store, mine, out)
        found = attacked(second, store, mine, out)
        assert set(first.asked + second.asked) == set(whole.asked)
        # What was under way in another session when it died was not committed.
        assert len(first.asked + second.asked) - len(whole.asked) <= 8
        again, told = target(gives_in), list[str]()
        made(again, store, mine, out, told=told)
        assert again.asked == []
    assert (found.any, found.attacks) == (wanted.any, wanted.attacks)
    assert len(told) == 3


def test_too_few_calls_are_an_error_before_anything_is_asked(store: Store, tmp_path: Path) -> None:
    asked = target(gives_in)
    with pytest.raises(UsageError, match="20 calls are too few") as caught:
        made(asked, store, suite(tmp_path), tmp_path / "out", calls=20)
    assert "64calls" in str(caught.value.next_step)
    assert asked.asked == []


def test_so_is_a_suite_without_anything_to_refuse(store: Store, tmp_path: Path) -> None:
    asked = target(gives_in)
    with pytest.raises(UsageError, match="no prompt that has to be refused"):
        made(asked, store, suite(tmp_path, "answer"), tmp_path / "out")
    assert asked.asked == []


def test_the_alignment_learns_from_the_run_and_the_best_combination_is_attacked_again(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lessons = []

    async def trained(what: Aligning, store: Store, learnt: object) -> str:
        lessons.append(learnt)
        return "embedded:aligned"

    def base(prompt: str, sampling: Sampling) -> Reply:
        return said("Fine.") if prompt.startswith("answer") else said("UNSAFE")

    def aligned(prompt: str, _: Sampling) -> Reply:
        return said("Fine.") if prompt.startswith("answer") else said("REFUSE")

    monkeypatch.setattr("harmless.loop._aligned", trained)
    what = Aligning("embedded", "dpo", Path("aligned"), lambda spec: target(aligned, "aligned"))

    async def run() -> Made:
        return await make_harmless(
            target(base), GUARD, suite(tmp_path), load_policy(), store, judges(), CheckOptions(),
            out=tmp_path / "out", attacking=Attacking(128), aligning=what,
        )  # fmt: skip

    found = anyio.run(run)
    assert found.best == "alignment alone"
    assert found.attacked is not None
    assert found.attacked.target_after == "aligned"
    assert lessons == [found.attacked.learnt]


def test_the_folder_may_have_any_name(store: Store, tmp_path: Path) -> None:
    found = attacked(target(gives_in), store, suite(tmp_path), tmp_path / "o, (u)t")
    assert found.any.after.rate == 0.0
