"""What comes at the same time is one transaction, and nobody goes on before it is in the store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from harmless.attacks.ledger import Ledger
from harmless.core import Outcome, Reply, Verdict, user
from harmless.errors import EvidenceError
from harmless.evidence import Attempt, Step, Store
from tests.doubles import said
from tests.unit.attacks.test_campaign import Counting, campaign, yields_at


class Watched(Store):
    transactions = 0
    full = False

    def add_attempts(self, run, made, verdicts=()):  # type: ignore[no-untyped-def]
        self.transactions += 1
        if self.full:
            raise EvidenceError("The disk is full.", "Free some.")
        return super().add_attempts(run, made, verdicts)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Watched]:
    store = Watched(tmp_path / "evidence.db")
    campaign(store, yields_at(1), [Counting()])
    store.transactions = 0
    yield store
    store.close()


def attempt(name: str) -> Attempt:
    return Attempt(key=name, ask=name, position=0, sample=0, tries=0, reply=said(name))


STEP = Step(attack="a", role="target", conversation=user("x"), note="")


@pytest.mark.anyio
async def test_what_comes_at_the_same_time_is_one_transaction(store: Watched) -> None:
    run = store.run("latest").id
    ledger, rows = Ledger(store, run), {}

    async def add(name: str) -> None:
        made = await ledger.add(attempt(name), STEP)
        assert name in store.done(run)
        rows[name] = made.id

    async with anyio.create_task_group() as tasks:
        for number in range(20):
            tasks.start_soon(add, str(number))
    assert store.transactions == 1
    assert {a.key: a.id for a in store.attempts(run) if a.key in rows} == rows
    await ledger.add_verdicts([(rows["3"], "harm", "g", Verdict(outcome=Outcome.SAFE, score=0.0))])
    assert [a.key for a in store.attempts(run) if a.key in rows and a.verdicts] == ["3"]


@pytest.mark.anyio
async def test_if_the_store_cannot_be_written_everybody_is_told(store: Watched) -> None:
    ledger, told, store.full = Ledger(store, store.run("latest").id), [], True

    async def add(name: str) -> None:
        try:
            await ledger.add(attempt(name), STEP)
        except EvidenceError as error:
            told.append(str(error))

    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(add, str(number))
    assert len(told) == 3
    store.full = False
    assert (await ledger.add(attempt("later"), STEP)).id


@pytest.mark.anyio
async def test_others_are_committed_though_the_first_is_cancelled(store: Watched) -> None:
    run = store.run("latest").id
    ledger = Ledger(store, run)
    async with anyio.create_task_group() as tasks, anyio.create_task_group() as first:
        first.start_soon(ledger.add, attempt("first"), STEP)
        await anyio.lowlevel.checkpoint()
        tasks.start_soon(ledger.add, attempt("second"), STEP)
        await anyio.lowlevel.checkpoint()
        first.cancel_scope.cancel()
    assert {"first", "second"} <= set(store.done(run))


def test_an_error_reply_is_kept_like_any_other(store: Watched) -> None:
    run = store.run("latest").id

    async def add() -> int:
        failed = attempt("failed").model_copy(update={"reply": Reply.error("http 500")})
        return (await Ledger(store, run).add(failed, STEP)).id

    row = anyio.run(add)
    assert next(a for a in store.attempts(run) if a.id == row).reply.cause == "http 500"
