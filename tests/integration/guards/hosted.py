"""What each hosted service answers, as its publisher documents it; and how its guard is made for a test."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from harmless.guards.azure_content_safety import azure_content_safety
from harmless.guards.google_moderate_text import google_moderate_text
from harmless.guards.hosted import Hosted, Limits, service
from harmless.guards.mistral_moderation import mistral_moderation
from harmless.guards.openai_moderation import openai_moderation
from harmless.guards.webpurify import webpurify
from harmless.targets.patience import Patience
from tests.integration.targets.server import Answer

KEY = "key-0123456789abcdef"
QUICK = Patience(tries=2, first_wait_s=0.01, longest_wait_s=1.0, jitter_s=0.0, total_s=10.0)
OPENAI = (
    "harassment", "harassment/threatening", "hate", "hate/threatening", "illicit", "illicit/violent",
    "self-harm", "self-harm/instructions", "self-harm/intent", "sexual", "sexual/minors", "violence",
    "violence/graphic",
)  # fmt: skip
MISTRAL = (
    "sexual", "hate_and_discrimination", "violence_and_threats", "dangerous", "criminal", "selfharm", "health",
    "financial", "law", "pii", "jailbreaking",
)  # fmt: skip


def openai_answer(*flagged: str, texts: int = 1, **scores: float | None) -> Answer:
    result = {
        "flagged": bool(flagged),
        "categories": {code: code in flagged for code in OPENAI},
        "category_scores": {code: 0.9 if code in flagged else 0.001 for code in OPENAI} | scores,
        "category_applied_input_types": {code: ["text"] for code in OPENAI},
    }
    return Answer({"id": "modr-1", "model": "omni-moderation-latest", "results": [result] * texts})


def mistral_answer(*flagged: str, texts: int = 1) -> Answer:
    result = {
        "categories": {code: code in flagged for code in MISTRAL},
        "category_scores": {code: 0.9 if code in flagged else 0.001 for code in MISTRAL},
    }
    return Answer({"id": "m1", "model": "mistral-moderation-2603", "results": [result] * texts})


def azure_answer(**severities: int) -> Answer:
    names = ("Hate", "Sexual", "SelfHarm", "Violence")
    analysis = [{"category": name, "severity": severities.get(name, 0)} for name in names]
    return Answer({"blocklistsMatch": [], "categoriesAnalysis": analysis})


def google_answer(supported: bool = True, **confidences: float) -> Answer:
    categories = [
        {"name": name, "confidence": confidences.get(name, 0.01)} for name in ("Toxic", "Insult", "Health")
    ]
    return Answer({"moderationCategories": categories, "languageCode": "en", "languageSupported": supported})


def webpurify_answer(*words: str) -> Answer:
    body: dict[str, Any] = {
        "@attributes": {"stat": "ok"},
        "method": "webpurify.live.return",
        "format": "rest",
        "found": str(len(words)),
        "api_key": KEY,
    }
    if words:
        body["expletive"] = words[0] if len(words) == 1 else list(words)
    return Answer({"rsp": body})


@dataclass(frozen=True)
class Kind:
    """A hosted guard: how it is made for an address, and answers that say unsafe and safe for one text."""

    name: str
    make: Callable[..., Hosted]
    unsafe: Answer
    safe: Answer
    hazard: str
    package: str = "httpx2"

    def guard(self, url: str, monkeypatch: pytest.MonkeyPatch, **limits: Any) -> Hosted:
        """Return the guard for a server at ``url``, with a key and little patience."""
        pytest.importorskip(self.package, reason=f"needs {self.package}, of the extra 'hosted'")
        monkeypatch.setenv(service(self.name).key, KEY)
        return self.make(url, Limits(**{"timeout_s": 5.0, "patience": QUICK, **limits}))


def _azure(url: str, limits: Limits) -> Hosted:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTENT_SAFETY_ENDPOINT", url)
        return azure_content_safety(limits=limits)


KINDS = [
    Kind(
        "openai_moderation",
        lambda url, limits: openai_moderation(limits=limits, base_url=f"{url}/v1"),
        openai_answer("violence", "harassment/threatening"),
        openai_answer(),
        "salad.c.O5",
    ),
    Kind(
        "mistral_moderation",
        lambda url, limits: mistral_moderation(limits=limits, server_url=url),
        mistral_answer("selfharm"),
        mistral_answer(),
        "salad.c.O62",
        "mistralai.client",
    ),
    Kind("azure_content_safety", _azure, azure_answer(Hate=4), azure_answer(Hate=2), "salad.c.O1"),
    Kind(
        "google_moderate_text",
        lambda url, limits: google_moderate_text(limits=limits, base_url=url),
        google_answer(Insult=0.9),
        google_answer(Health=0.99),
        "salad.c.O7",
    ),
    Kind(
        "webpurify",
        lambda url, limits: webpurify(limits=limits, base_url=url),
        webpurify_answer("darn"),
        webpurify_answer(),
        "salad.t.O1",
    ),
]
