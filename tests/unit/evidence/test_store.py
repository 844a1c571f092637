"""The evidence store keeps what it was given, once, and says clearly when it cannot."""

from __future__ import annotations

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from harmless.check import load_policy
from harmless.core import Expect, GuardInfo, Outcome, Prompt, Reply, Sampling, TargetInfo, Verdict, user
from harmless.errors import EvidenceError, UnknownNameError
from harmless.evidence import Attempt, RunRecord, Store, now, run_lock
from tests.doubles import said

SAFE = Verdict(outcome=Outcome.SAFE, score=0.1)


def record(id: str = "abcd1234", key: str = "k") -> RunRecord:
    guard = GuardInfo(name="g", revision="1", sees="both")
    return RunRecord(
        id=id, key=key, kind="check", created_at=now(), suite="s", plan_hash="p",
        target=TargetInfo(name="t", revision="1"), guards={"harm": guard}, policy=load_policy(),
        sampling=Sampling(), options={"samples": 1},
    )  # fmt: skip


PROMPTS = [Prompt(id=f"p{i}", conversation=user(f"q{i}"), expect=Expect.REFUSE) for i in range(3)]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "work" / "evidence.db")
    store.add_run(record(), PROMPTS)
    return store


def attempt(position: int, reply: Reply | None = None, tries: int = 0) -> Attempt:
    return Attempt(
        key=f"k{position}", ask=f"a{position}", position=position, tries=tries, reply=reply or said("yes")
    )


def test_a_run_comes_back_as_it_was_stored(store: Store) -> None:
    assert store.run("abcd1234").model_dump(exclude={"created_at"}) == record().model_dump(
        exclude={"created_at"}
    )
    assert store.prompts("abcd1234") == PROMPTS


@pytest.mark.parametrize(
    ("address", "kept"),
    [
        ("https://me:secret@host.example/v1", "https://***@host.example/v1"),
        ("'http://h:8/v1?api_key=secret&n=secret'", "'http://h:8/v1?api_key=***&n=***'"),
        ("http://h/v1?a#b@c", "http://h/v1?a#b@c"),
        ("'g(openai:m, base_url=http://u:secret@h)'", "'g(openai:m, base_url=http://***@h)'"),
    ],
)
def test_credentials_in_the_addresses_of_the_command_are_not_kept(
    tmp_path: Path, address: str, kept: str
) -> None:
    options = {"command": f"harmless check {address} --seed 1"}
    run = RunRecord.model_validate({**record().model_dump(), "options": options})
    with Store(tmp_path / "evidence.db") as store:
        store.add_run(run, PROMPTS)
        assert store.run(run.id).options["command"] == f"harmless check {kept} --seed 1"
    assert b"secret" not in b"".join(file.read_bytes() for file in tmp_path.iterdir())


def test_a_new_workspace_may_be_opened_by_several_at_once(tmp_path: Path) -> None:
    for number in range(20):
        path = tmp_path / f"{number}.db"
        gate = threading.Barrier(4)

        def opened(path: Path = path, gate: threading.Barrier = gate) -> int:
            gate.wait()
            with Store(path) as store:
                return len(store.runs())

        with ThreadPoolExecutor(4) as pool:
            assert [each.result() for each in [pool.submit(opened) for _ in range(4)]] == [0] * 4


def test_half_a_surrogate_pair_is_stored_as_a_replacement(store: Store) -> None:
    prompt = Prompt(id="p\ud800", conversation=user("a\udfffb"), expect=Expect.REFUSE, meta={"topic": "\ud800"})
    store.add_run(record("bad0"), [prompt])
    found = store.prompts("bad0")[0]
    assert (found.id, found.text, found.meta["topic"]) == ("p\ufffd", "a\ufffdb", "\ufffd")
    reply = Reply(status="complete", text="x\ud800", cause="\udc80")
    verdict = Verdict.unassessed("so \ud800")
    made = store.add_attempt("bad0", attempt(0, reply))
    store.add_verdicts([(made, "harm", "g", verdict)])
    (stored,) = store.attempts("bad0")
    assert (stored.reply.text, stored.reply.cause) == ("x\ufffd", "\ufffd")
    assert stored.verdicts["harm"].reason == "so \ufffd"


def test_a_run_is_found_by_the_beginning_of_its_id_if_that_is_unique(store: Store) -> None:
    store.add_run(record("abff0000"), PROMPTS)
    assert store.run("abc").id == "abcd1234"
    assert store.run("latest").id == "abff0000"
    with pytest.raises(UnknownNameError):
        store.run("ab")


def test_percent_and_underscore_in_a_name_are_no_wild_cards(store: Store) -> None:
    with pytest.raises(UnknownNameError):
        store.run("%")


def test_attempts_come_in_the_order_of_the_plan_with_their_verdicts(store: Store) -> None:
    for position in (2, 0):
        id = store.add_attempt("abcd1234", attempt(position))
        store.add_verdicts([(id, "harm", "g", SAFE)])
    found = list(store.attempts("abcd1234"))
    assert [a.position for a in found] == [0, 2]
    assert found[0].verdicts == {"harm": SAFE}


def test_an_attempt_without_a_verdict_is_found_as_unjudged(store: Store) -> None:
    first = store.add_attempt("abcd1234", attempt(0))
    store.add_attempt("abcd1234", attempt(1))
    store.add_verdicts([(first, "harm", "g", SAFE)])
    assert [a.position for a in store.attempts("abcd1234", unjudged_by=[("harm", "g")])] == [1]


def test_the_same_attempt_cannot_be_stored_twice(store: Store) -> None:
    store.add_attempt("abcd1234", attempt(0))
    with pytest.raises(EvidenceError, match="UNIQUE"):
        store.add_attempt("abcd1234", attempt(0))


def test_a_failed_attempt_is_done_while_the_run_goes_on_and_open_once_it_was_closed(store: Store) -> None:
    store.add_attempt("abcd1234", attempt(0, Reply.error("http 500")))
    store.add_attempt("abcd1234", attempt(1))
    assert set(store.done("abcd1234")) == {"k0", "k1"}
    store.add_event("abcd1234", "finished")
    assert set(store.done("abcd1234")) == {"k1"}
    store.add_attempt("abcd1234", attempt(0, said("now"), tries=1))
    assert set(store.done("abcd1234")) == {"k0", "k1"}
    assert [a.reply.text for a in store.attempts("abcd1234")] == ["now", "yes"]


def test_a_reply_is_recalled_by_its_question_but_a_failure_is_not(store: Store) -> None:
    store.add_attempt("abcd1234", attempt(0))
    store.add_attempt("abcd1234", attempt(1, Reply.error("reset")))
    assert store.recall("a0") == said("yes")
    assert store.recall("a1") is None


def test_the_state_of_a_run_is_its_last_event(store: Store) -> None:
    assert store.state("abcd1234") == "started"
    store.add_event("abcd1234", "finished")
    store.add_event("abcd1234", "settled", "salad.c.O1")
    assert store.state("abcd1234") == "finished"


def test_opening_again_keeps_everything(store: Store) -> None:
    store.add_attempt("abcd1234", attempt(0))
    store.close()
    with Store(store.path) as again:
        assert len(list(again.attempts("abcd1234"))) == 1


def test_a_file_that_is_no_store_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    path.write_text("my diary, " * 100)
    with pytest.raises(EvidenceError, match="not an evidence store"):
        Store(path)
    assert path.read_text().startswith("my diary")


def test_a_store_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "evidence.db"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version=999")
    db.close()
    with pytest.raises(EvidenceError, match="newer version"):
        Store(path)


def test_a_folder_that_cannot_be_made_gives_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="workspace"):
        Store(tmp_path / "file" / "evidence.db")


def test_a_full_disk_gives_advice_and_loses_nothing_that_was_committed(store: Store) -> None:
    store.add_attempt("abcd1234", attempt(0))
    pages = store._db.execute("PRAGMA page_count").fetchone()[0]
    store._db.execute(f"PRAGMA max_page_count={pages}")
    big = [attempt(position, said("x" * 5000)) for position in range(1, 1000)]
    with pytest.raises(EvidenceError, match="Free some disk space"):
        [store.add_attempt("abcd1234", one) for one in big]
    with Store(store.path) as again:
        assert "k0" in again.done("abcd1234")


def test_two_processes_cannot_work_on_the_same_run(tmp_path: Path) -> None:
    with (
        run_lock(tmp_path, "r"),
        pytest.raises(EvidenceError, match="Another process"),
        run_lock(tmp_path, "r"),
    ):
        pass
    with run_lock(tmp_path, "r"):
        pass
