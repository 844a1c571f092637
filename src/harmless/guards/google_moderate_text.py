"""``google_moderate_text``: text moderation of the Google Cloud Natural Language API over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, Verdict
from harmless.guards.hosted import HttpHosted, Limits, Service, service, text_of


class GoogleModerateText(HttpHosted):
    """Judges by the confidence in categories of harm; those that only name a subject are labels.

    The key goes into a header, since addresses are logged.
    """

    def __init__(self, service: Service, limits: Limits, base_url: str | None = None) -> None:
        super().__init__(service, limits, [], service.secret())
        self._url = f"{base_url or service.url}/v2/documents:moderateText"

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask about one text."""
        return [await self._one(text_of(exchange)) for exchange in exchanges]

    async def _one(self, text: str) -> Verdict:
        body = {"document": {"type": "PLAIN_TEXT", "content": text}, "modelVersion": "MODEL_VERSION_2"}
        answer = await self.post(self._url, {"X-Goog-Api-Key": self._secret}, json=body)
        if answer.get("languageSupported") is False:
            return Verdict.unassessed(f"{self.service.name}: it does not know the language of the text")
        return self.verdict(text, {each["name"]: each["confidence"] for each in answer["moderationCategories"]})


def google_moderate_text(*, limits: Limits | None = None, base_url: str | None = None) -> GoogleModerateText:
    """Return the guard; the key is in GOOGLE_API_KEY. UsageError if it is missing."""
    return GoogleModerateText(service("google_moderate_text"), limits or Limits(), base_url)
