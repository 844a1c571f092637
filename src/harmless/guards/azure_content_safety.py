"""``azure_content_safety``: Azure AI Content Safety over HTTP."""

from __future__ import annotations

from collections.abc import Sequence

from harmless.core import Exchange, Verdict
from harmless.guards.hosted import HttpHosted, Limits, Service, from_environment, pieces, service, text_of
from harmless.targets.endpoint import check_url

LONGEST = 10_000
"""Unicode code points of one request."""


class AzureContentSafety(HttpHosted):
    """Judges by the severity of hate, sexual content, self-harm and violence; 4 of 6 and higher is unsafe.

    A text longer than a request is judged by its worst piece. Scores are severities divided by 6.
    """

    def __init__(self, service: Service, endpoint: str, limits: Limits) -> None:
        super().__init__(service, limits, [], service.secret())
        self._url = f"{endpoint.rstrip('/')}/contentsafety/text:analyze?api-version={service.version}"

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask about one text."""
        return [await self._one(text_of(exchange)) for exchange in exchanges]

    async def _one(self, text: str) -> Verdict:
        scores: dict[str, float] = {}
        for _, piece in pieces(text, LONGEST):
            body = {
                "text": piece,
                "categories": list(self.service.hazards),
                "outputType": "FourSeverityLevels",
            }
            answer = await self.post(self._url, {"Ocp-Apim-Subscription-Key": self._secret}, json=body)
            for each in answer["categoriesAnalysis"]:
                score = each["severity"] / self.service.severest
                scores[each["category"]] = max(scores.get(each["category"], 0.0), score)
        return self.verdict(text, scores)


def azure_content_safety(*, limits: Limits | None = None) -> AzureContentSafety:
    """Return the guard; the key is in CONTENT_SAFETY_KEY, the address in CONTENT_SAFETY_ENDPOINT.

    Raises:
        UsageError: one of the two is missing, or the address is none.
    """
    known = service("azure_content_safety")
    endpoint = check_url(from_environment(known.endpoint, known.name)) or ""
    return AzureContentSafety(known, endpoint, limits or Limits())
