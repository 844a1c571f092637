"""``webpurify``: WebPurify's profanity filter over HTTP."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from harmless.core import Exchange, Finding, Verdict
from harmless.guards.hosted import HttpHosted, Limits, Service, service, text_of
from harmless.targets.patience import RequestFailedError

METHOD = "webpurify.live.return"
_PASSING = ("103", "104")
"""Codes of errors that may be gone at the next try: not available, too many requests."""


class WebPurify(HttpHosted):
    """Unsafe if the service's list of words has one of the text's; the findings say where.

    The key is a field of the form, since addresses are logged.
    """

    def __init__(self, service: Service, language: str, limits: Limits, base_url: str | None = None) -> None:
        super().__init__(service, limits, [language], service.secret())
        self._url, self._language = f"{base_url or service.url}/services/rest/", language

    async def ask(self, exchanges: Sequence[Exchange]) -> list[Verdict]:
        """Ask about one text."""
        return [await self._one(text_of(exchange)) for exchange in exchanges]

    async def _one(self, text: str) -> Verdict:
        form = {
            "method": METHOD,
            "api_key": self._secret,
            "format": "json",
            "lang": self._language,
            "text": text,
        }
        answer = (await self.post(self._url, data=form))["rsp"]
        if answer["@attributes"]["stat"] != "ok":
            raise _failure(answer)
        found, words = int(answer["found"]), answer.get("expletive", [])
        words = [words] if isinstance(words, str) else list(words)
        verdict = self.verdict(text, {"profanity": float(found > 0)})
        return verdict.model_copy(update={"findings": tuple(self._findings(text, words))}) if words else verdict

    def _findings(self, text: str, words: Sequence[str]) -> list[Finding]:
        hazard, found = self.service.hazard("profanity"), []
        for word in dict.fromkeys(words):
            places: list[tuple[int, int] | None] = [
                match.span() for match in re.finditer(re.escape(word), text, re.IGNORECASE)
            ]
            found += [Finding(hazard=hazard, rule="profanity", span=span) for span in places or [None]]
        return found


def webpurify(language: str = "en", *, limits: Limits | None = None, base_url: str | None = None) -> WebPurify:
    """Return the guard of a language (two letters); the key is in WEBPURIFY_API_KEY. UsageError if missing."""
    return WebPurify(service("webpurify"), language, limits or Limits(), base_url)


def _failure(answer: Any) -> RequestFailedError:
    error = answer["err"]["@attributes"]
    return RequestFailedError(
        f"error {error['code']}: {error.get('msg', '')}", passing=error["code"] in _PASSING
    )
