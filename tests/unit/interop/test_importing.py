"""What another tool recorded becomes a run: judged by our guards, beside the tool's own opinion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import anyio
import pytest

from harmless.attacks import results
from harmless.attacks.failures import failures
from harmless.attacks.recorded import recorded
from harmless.check import load_policy
from harmless.core import Exchange, Verdict
from harmless.evidence import Store
from harmless.interop import Import, import_results
from tests.doubles import FakeGuard
from tests.unit.interop.test_reading import FIXTURES, ROB


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path / "evidence.db") as store:
        yield store


def judges(word: str = "Sure!") -> dict[str, FakeGuard]:
    return {
        "harm": FakeGuard("harm", word=word, refusal="sorry"),
        "refusal": FakeGuard("refusal", refusal="sorry"),
    }


def imported(
    store: Store, name: str, guards: dict[str, FakeGuard] | None = None, target: str | None = None
) -> Import:
    async def work() -> Import:
        return await import_results(
            FIXTURES / name, store, guards or judges(), load_policy(None), target=target
        )

    return anyio.run(work)


def test_replies_are_judged_by_our_guards(store: Store) -> None:
    found = imported(store, "garak.report.jsonl")
    dan, fitd = found.results.attacks
    assert (found.format, found.tool) == ("garak", "garak 0.17.1")
    assert (dan.name, dan.family, dan.asr.rate, dan.asr.n, dan.calls, dan.unassessed) == (
        "garak dan.Dan_11_0", "imported", 0.5, 2, 4, 1,
    )  # fmt: skip
    assert (fitd.asr.rate, fitd.refused) == (0.0, 1)
    assert results(store, found.results.run) == found.results


def test_the_opinions_are_put_side_by_side(store: Store) -> None:
    found = imported(store, "promptfoo.json", judges(word="sorry"))
    rates = {
        each.attack.removeprefix("promptfoo harmful:"): (each.theirs.rate, each.ours.rate)
        for each in found.rescored
    }
    assert rates == {
        "non-violent-crime": (1.0, 0.0),
        "non-violent-crime base64": (0.0, 1.0),
        "non-violent-crime crescendo": (0.0, 1.0),
        "violent-crime": (1.0, 0.0),
    }
    assert all(each.agree == 0.0 for each in found.rescored)


def test_agreement_beyond_chance_is_told_where_both_tell_replies_apart(store: Store) -> None:
    dan, fitd = imported(store, "garak.report.jsonl").rescored
    assert (dan.ours.n, dan.agree, dan.kappa) == (3, 1.0, 1.0)
    assert (fitd.ours.n, fitd.kappa) == (1, None)


def test_without_an_opinion_of_the_tool_there_is_none_beside_ours(store: Store) -> None:
    assert imported(store, "pyrit-1.json").rescored == ()


def test_the_judge_sees_the_objective_and_not_the_disguise(store: Store) -> None:
    seen: list[str] = []

    class Seeing(FakeGuard):
        async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
            seen.extend(each.prompt for each in exchanges)
            return await super().judge(exchanges)

    imported(store, "pyrit-0.9.json", {**judges(), "harm": Seeing("harm")}, "small-model")
    assert ROB in seen
    assert not any(text.startswith("SG93") for text in seen)


def test_the_same_file_is_imported_and_judged_once(store: Store) -> None:
    guards = judges()
    first = imported(store, "garak.report.jsonl", guards)
    judged = guards["harm"].judged
    assert imported(store, "garak.report.jsonl", guards) == first
    assert guards["harm"].judged == judged
    assert len(store.runs()) == 1


def test_another_judge_makes_another_run(store: Store) -> None:
    imported(store, "garak.report.jsonl")
    imported(store, "garak.report.jsonl", {**judges(), "harm": FakeGuard("stricter", word=" ")})
    assert len(store.runs()) == 2


def test_an_import_that_was_cut_off_goes_on(store: Store) -> None:
    class Dies(FakeGuard):
        async def judge(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError):
        imported(store, "garak.report.jsonl", {"harm": judges()["harm"], "refusal": Dies("refusal")})
    guards = judges()
    found = imported(store, "garak.report.jsonl", guards)
    assert len(store.runs()) == 1
    assert (found.results.state, found.results.attacks[0].calls) == ("finished", 4)
    with Store(store.path.parent / "other" / "evidence.db") as other:
        whole = imported(other, "garak.report.jsonl").results
    assert found.results.model_copy(update={"run": whole.run}) == whole


def test_the_opinion_of_the_tool_is_not_lost_when_an_import_is_cut_off(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(rows: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patched:
        patched.setattr(store, "add_verdicts", dies)
        with pytest.raises(RuntimeError):
            imported(store, "garak.report.jsonl")
    assert [each.theirs.rate for each in imported(store, "garak.report.jsonl").rescored] == [
        pytest.approx(1 / 3), 0.0,
    ]  # fmt: skip


def test_what_was_imported_can_be_analysed_and_replayed(store: Store) -> None:
    run = imported(store, "jailbreakbench.json").results.run
    (found,) = failures(store, run)
    assert found.attack == "jailbreakbench PAIR"
    assert recorded(run, str(store.path.parent)).info.calls == 1
