"""``aws_comprehend``, ``aws_pii``, ``aws_prompt_safety``: Amazon Comprehend through boto3 (extra ``hosted``).

Credentials come from boto3's usual chain, the region from AWS_REGION or AWS_DEFAULT_REGION.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from importlib import import_module
from itertools import islice
from typing import Any

from anyio.to_thread import run_sync

from harmless.core import Exchange, Finding, Verdict
from harmless.errors import MissingExtraError, UsageError
from harmless.guards.hosted import Hosted, Limits, Service, pieces, service, text_of
from harmless.targets.patience import RequestFailedError, http_failure

SEGMENT = 1000
"""Bytes of a segment for toxicity; the service takes 1 KB."""
SEGMENTS = 10
"""Segments of one request."""
PII_BYTES = 90_000
"""Bytes of one request for personal data; the service takes 100 KB."""
PROMPT_BYTES = 10_000
"""Bytes of one request for prompt safety."""
_THROTTLED = ("ThrottlingException", "TooManyRequestsException", "RequestLimitExceeded")


class Comprehend(Hosted):
    """What the operations of Comprehend share; a text longer than a request is judged by its worst piece."""

    def __init__(self, service: Service, limits: Limits, settings: Sequence[str], client: Any = None) -> None:
        super().__init__(service, limits, settings)
        self.client = client or _client(service.name, limits)
        self._errors = import_module("botocore.exceptions")

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask about one text."""
        return [await run_sync(self.detect, text_of(each), abandon_on_cancel=True) for each in exchanges]

    async def aclose(self) -> None:
        """Close the connections."""
        self.client.close()

    @abstractmethod
    def detect(self, text: str) -> Verdict:
        """Return the verdict on a text; blocks."""

    def call(self, operation: str, **parameters: Any) -> Any:
        """Call an operation; RequestFailedError if it fails."""
        try:
            return getattr(self.client, operation)(**parameters)
        except self._errors.ClientError as error:
            detail, meta = error.response["Error"], error.response.get("ResponseMetadata", {})
            status, code = meta.get("HTTPStatusCode", 400), detail.get("Code", "")
            message = self.redact(f"{code}: {detail.get('Message', '')}")
            if code in _THROTTLED:  # with status 400
                raise RequestFailedError(f"http {status}: {message}", passing=True) from None
            raise http_failure(status, meta.get("HTTPHeaders", {}), message, code) from None
        except (self._errors.ConnectTimeoutError, self._errors.ReadTimeoutError):
            raise TimeoutError from None
        except (self._errors.HTTPClientError, self._errors.ConnectionError) as error:
            raise RequestFailedError(f"connection failed: {error}", passing=True) from None
        except self._errors.BotoCoreError as error:
            raise RequestFailedError(f"{type(error).__name__}: {error}") from None


class Toxicity(Comprehend):
    """Judges by seven kinds of toxicity and the overall score; English only."""

    def detect(self, text: str) -> Verdict:
        """Ask about all segments of a text; the highest score of each kind counts."""
        scores: dict[str, float] = {}
        overall = 0.0
        for batch in _batches(text, SEGMENT, SEGMENTS):
            segments = [{"Text": piece} for piece in batch]
            answer = self.call("detect_toxic_content", TextSegments=segments, LanguageCode="en")
            if len(answer["ResultList"]) != len(segments):
                raise ValueError(f"{len(answer['ResultList'])} results for {len(segments)} segments")
            for result in answer["ResultList"]:
                overall = max(overall, result["Toxicity"])
                for label in result["Labels"]:
                    scores[label["Name"]] = max(scores.get(label["Name"], 0.0), label["Score"])
        return self.verdict(text, scores, more=overall)


class Pii(Comprehend):
    """Finds personal data and where it stands; English and Spanish."""

    def detect(self, text: str) -> Verdict:
        """Ask about all pieces of a text."""
        findings, scores = [], dict[str, float]()
        for start, piece in pieces(text, PII_BYTES, _bytes):
            answer = self.call("detect_pii_entities", Text=piece, LanguageCode="en")
            for entity in answer["Entities"]:
                kind, score = entity["Type"], entity["Score"]
                span = (start + entity["BeginOffset"], start + entity["EndOffset"])
                scores[kind] = max(scores.get(kind, 0.0), score)
                if kind not in self.service.topics:
                    findings.append(
                        Finding(hazard=self.service.hazard(kind), rule=kind, span=span, score=score)
                    )
        verdict = self.verdict(text, scores or {"NONE": 0.0})
        return verdict.model_copy(update={"findings": tuple(findings), "labels": scores})


class PromptSafety(Comprehend):
    """Asks the classifier of unsafe prompts, which is closed to accounts that did not use it by April 2026."""

    def __init__(self, service: Service, limits: Limits, settings: Sequence[str], client: Any = None) -> None:
        super().__init__(service, limits, settings, client)
        region = self.client.meta.region_name
        self._endpoint = f"arn:aws:comprehend:{region}:aws:document-classifier-endpoint/prompt-safety"

    def detect(self, text: str) -> Verdict:
        """Ask about all pieces of a text; the highest probability counts."""
        worst = 0.0
        for _, piece in pieces(text, PROMPT_BYTES, _bytes):
            answer = self.call("classify_document", Text=piece, EndpointArn=self._endpoint)
            chances = {each["Name"]: each["Score"] for each in answer["Classes"]}
            worst = max(worst, chances["UNSAFE_PROMPT"])
        return self.verdict(text, {"UNSAFE_PROMPT": worst})


def aws_comprehend(*, limits: Limits | None = None, client: Any = None) -> Toxicity:
    """Return the guard of toxicity; MissingExtraError without boto3, UsageError without a region."""
    return Toxicity(service("aws_comprehend"), limits or Limits(), [], client)


def aws_pii(*, limits: Limits | None = None, client: Any = None) -> Pii:
    """Return the guard of personal data; raises as :func:`aws_comprehend`."""
    return Pii(service("aws_pii"), limits or Limits(), [], client)


def aws_prompt_safety(*, limits: Limits | None = None, client: Any = None) -> PromptSafety:
    """Return the guard of unsafe prompts, for accounts that have it; raises as :func:`aws_comprehend`."""
    return PromptSafety(service("aws_prompt_safety"), limits or Limits(), [], client)


def _client(name: str, limits: Limits) -> Any:
    try:
        boto3, config = import_module("boto3"), import_module("botocore.config")
    except ImportError as error:
        raise MissingExtraError(f"Guard '{name}'", "hosted") from error
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not region:
        raise UsageError(f"Guard '{name}' needs a region.", "Set AWS_REGION, such as us-east-1.")
    settings = config.Config(
        retries={"total_max_attempts": 1, "mode": "standard"},
        connect_timeout=limits.timeout_s,
        read_timeout=limits.timeout_s,
        max_pool_connections=limits.concurrency,
    )
    return boto3.client("comprehend", region_name=region, config=settings)


def _batches(text: str, most: int, count: int) -> Iterator[list[str]]:
    segments = (piece for _, piece in pieces(text, most, _bytes))
    while batch := list(islice(segments, count)):
        yield batch


def _bytes(text: str) -> int:
    return len(text.encode())
