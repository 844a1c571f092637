"""Amazon Comprehend, with requests and answers checked by botocore's own model of the service."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from harmless.core import Exchange, Outcome, Verdict
from harmless.errors import MissingExtraError, UsageError
from harmless.guards import load
from harmless.guards.aws_comprehend import SEGMENT, Comprehend, aws_comprehend, aws_pii, aws_prompt_safety
from harmless.guards.hosted import Limits, pieces
from harmless.targets.patience import Patience

SAFE, UNSAFE, UNASSESSED = Outcome.SAFE, Outcome.UNSAFE, Outcome.UNASSESSED
QUICK = Limits(patience=Patience(tries=2, first_wait_s=0.01, jitter_s=0.0), concurrency=1)
SECRET = "wJalrXUtnFEMI-secret-of-a-test"
NAMES = ("GRAPHIC", "HARASSMENT_OR_ABUSE", "HATE_SPEECH", "INSULT", "PROFANITY", "SEXUAL", "VIOLENCE_OR_THREAT")


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A client whose answers are written before, and which checks what is sent."""
    boto3 = pytest.importorskip("boto3", reason="needs boto3, of the extra 'hosted'")
    stubs = pytest.importorskip("botocore.stub", reason="needs botocore, of the extra 'hosted'")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    client = boto3.client("comprehend", region_name="eu-west-1")
    with stubs.Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


def judge(guard: Comprehend, *exchanges: Exchange | str) -> list[Verdict]:
    return anyio.run(guard.judge, [Exchange.of(e) if isinstance(e, str) else e for e in exchanges])


def toxic(*results: dict[str, float], overall: float = 0.1) -> dict[str, Any]:
    return {
        "ResultList": [
            {"Labels": [{"Name": n, "Score": scores.get(n, 0.01)} for n in NAMES], "Toxicity": overall}
            for scores in results
        ]
    }


def expect_toxicity(stub: Any, answer: dict[str, Any], *texts: str) -> None:
    sent = {"TextSegments": [{"Text": text} for text in texts], "LanguageCode": "en"}
    stub.add_response("detect_toxic_content", answer, sent)


def test_toxicity_asks_for_the_reply_and_reads_labels(stub: Any) -> None:
    expect_toxicity(stub, toxic({"INSULT": 0.8, "PROFANITY": 0.6}, overall=0.7), "Darn you.")
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), Exchange.of("Hi.", "Darn you."))
    assert (found.outcome, found.score) == (UNSAFE, 0.8)
    assert [(f.rule, f.hazard) for f in found.findings] == [
        ("INSULT", "salad.c.O7"),
        ("PROFANITY", "salad.t.O1"),
    ]
    assert set(found.labels) == set(NAMES)
    assert found.cost_usd == pytest.approx(0.0003)


def test_the_overall_score_counts_too(stub: Any) -> None:
    expect_toxicity(stub, toxic({}, overall=0.9), "x")
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), "x")
    assert (found.outcome, found.score, found.findings) == (UNSAFE, 0.9, ())


def test_a_safe_text_is_safe(stub: Any) -> None:
    expect_toxicity(stub, toxic({}), "x")
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), "x")
    assert (found.outcome, found.score) == (SAFE, 0.1)


def test_a_long_text_goes_in_segments_of_bytes_ten_at_a_time(stub: Any) -> None:
    text = "Ein Satz mit Umlauten: äöü. " * 500
    cut = [piece for _, piece in pieces(text, SEGMENT, lambda piece: len(piece.encode()))]
    assert len(cut) > 10
    assert max(len(piece.encode()) for piece in cut) <= 1024
    batches = [cut[i : i + 10] for i in range(0, len(cut), 10)]
    for i, batch in enumerate(batches):
        worst: list[dict[str, float]] = [{}] * (len(batch) - 1) + [{"SEXUAL": 0.3 + 0.3 * i}]
        expect_toxicity(stub, toxic(*worst), *batch)
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), text)
    assert found.labels["SEXUAL"] == pytest.approx(0.3 * len(batches))


def entities(*found: tuple[str, int, int, float]) -> dict[str, Any]:
    return {"Entities": [{"Type": t, "BeginOffset": a, "EndOffset": b, "Score": s} for t, a, b, s in found]}


def test_personal_data_is_found_with_its_place(stub: Any) -> None:
    text = "Write to ann@example.org on Monday."
    answer = entities(("EMAIL", 9, 24, 0.99), ("DATE_TIME", 28, 34, 0.9))
    stub.add_response("detect_pii_entities", answer, {"Text": text, "LanguageCode": "en"})
    (found,) = judge(aws_pii(client=stub.client, limits=QUICK), text)
    assert (found.outcome, found.score) == (UNSAFE, 0.99)
    assert [(text[slice(*f.span)], f.rule, f.hazard) for f in found.findings if f.span] == [
        ("ann@example.org", "EMAIL", "salad.c.O34")
    ]
    assert found.labels == {"EMAIL": 0.99, "DATE_TIME": 0.9}


@pytest.mark.parametrize("answer", [entities(), entities(("DATE_TIME", 0, 1, 0.9))])
def test_a_text_without_personal_data_is_safe(stub: Any, answer: dict[str, Any]) -> None:
    stub.add_response("detect_pii_entities", answer, {"Text": "x", "LanguageCode": "en"})
    (found,) = judge(aws_pii(client=stub.client, limits=QUICK), "x")
    assert (found.outcome, found.score, found.findings) == (SAFE, 0.0, ())


@pytest.mark.parametrize(("chance", "outcome"), [(0.9, UNSAFE), (0.1, SAFE)])
def test_prompt_safety_asks_the_classifier_of_the_region(stub: Any, chance: float, outcome: Outcome) -> None:
    classes = [{"Name": "SAFE_PROMPT", "Score": 1 - chance}, {"Name": "UNSAFE_PROMPT", "Score": chance}]
    arn = "arn:aws:comprehend:eu-west-1:aws:document-classifier-endpoint/prompt-safety"
    stub.add_response("classify_document", {"Classes": classes}, {"Text": "x", "EndpointArn": arn})
    (found,) = judge(aws_prompt_safety(client=stub.client, limits=QUICK), "x")
    assert (found.outcome, found.score) == (outcome, pytest.approx(chance))


@pytest.mark.parametrize(
    ("code", "status", "tries"),
    [
        ("UnrecognizedClientException", 401, 1),
        ("AccessDeniedException", 403, 1),
        ("ThrottlingException", 400, 2),
        ("TooManyRequestsException", 429, 2),
        ("InternalServerException", 500, 2),
        ("TextSizeLimitExceededException", 400, 1),
    ],
)
def test_an_error_leaves_it_unassessed_with_its_code(
    stub: Any, code: str, status: int, tries: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for _ in range(tries):
        stub.add_client_error("detect_toxic_content", code, "no", http_status_code=status)
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), "x")
    assert found.outcome is UNASSESSED
    assert f"http {status}: {code}" in found.reason
    assert SECRET not in caplog.text + found.reason


def test_a_fault_that_passes_is_got_over(stub: Any) -> None:
    stub.add_client_error("detect_toxic_content", "ThrottlingException", "slow down", http_status_code=400)
    expect_toxicity(stub, toxic({}), "x")
    assert judge(aws_comprehend(client=stub.client, limits=QUICK), "x")[0].outcome is SAFE


def test_a_text_that_is_refused_costs_only_itself(stub: Any) -> None:
    expect_toxicity(stub, toxic({}), "a")
    stub.add_client_error("detect_toxic_content", "InvalidRequestException", "no", http_status_code=400)
    expect_toxicity(stub, toxic({"SEXUAL": 0.9}), "c")
    found = judge(aws_comprehend(client=stub.client, limits=QUICK), "a", "b", "c")
    assert [each.outcome for each in found] == [SAFE, UNASSESSED, UNSAFE]


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"ResultList": []},
        {"ResultList": [{}]},
        {"ResultList": [{"Labels": [], "Toxicity": 0.1}]},
        {"ResultList": [{"Labels": [{"Name": "INSULT"}], "Toxicity": 0.1}]},
        {"ResultList": [{"Labels": [{"Name": "INSULT", "Score": 7.0}], "Toxicity": 0.1}]},
    ],
)
def test_an_answer_without_scores_is_unassessed(stub: Any, answer: dict[str, Any]) -> None:
    stub.add_response("detect_toxic_content", answer)
    (found,) = judge(aws_comprehend(client=stub.client, limits=QUICK), "x")
    assert found.outcome is UNASSESSED
    assert "holds no verdict" in found.reason


class Broken:
    """A client that fails below HTTP."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def detect_toxic_content(self, **parameters: Any) -> Any:
        raise self._error


def test_what_fails_below_http_is_unassessed_too() -> None:
    errors = pytest.importorskip("botocore.exceptions", reason="needs botocore, of the extra 'hosted'")
    faults = {
        "timeout": errors.ReadTimeoutError(endpoint_url="https://x"),
        "connection failed": errors.EndpointConnectionError(endpoint_url="https://x"),
        "NoCredentialsError": errors.NoCredentialsError(),
    }
    for cause, fault in faults.items():
        (found,) = judge(aws_comprehend(client=Broken(fault), limits=QUICK), "x")
        assert found.outcome is UNASSESSED
        assert cause in found.reason


def test_without_a_region_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("boto3", reason="needs boto3, of the extra 'hosted'")
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match="Set AWS_REGION"):
        load("aws_comprehend")


@pytest.mark.parametrize("name", ["aws_comprehend", "aws_pii", "aws_prompt_safety"])
def test_without_boto3_the_extra_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingExtraError, match=r"harmless\[hosted\]"):
        load(name)
