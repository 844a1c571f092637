"""``pii(ENTITY, ..., spacy=MODEL)``: personal data through Microsoft's Presidio (extra ``pii``).

``rules(pii)`` needs nothing and knows five kinds by pattern and checksum. Presidio knows about a hundred kinds
of many countries, and with a model of spaCy names of people and places too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import import_module, resources
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from harmless.core import Exchange, Finding, GuardInfo, Verdict, digest
from harmless.core.model import Model
from harmless.errors import MissingExtraError, UsageError
from harmless.guards.filters import Filter, arguments, number, text_of

SHOWN = 0.4
"""Highest score of an entity that is only shown."""
EXTRA = "pii"


class Entities(Model):
    """What is known of Presidio's entities; ``presidio.yaml`` explains the fields."""

    hazard: str
    least: float
    shown: tuple[str, ...]


class Pii(Filter):
    """Finds personal data with their places; the score is Presidio's confidence in the surest that counts.

    Args:
        analyzer: Presidio's, or anything with its ``analyze(text, language, entities, score_threshold)``.
        entities: the kinds that are looked for and count; without any, all are looked for, and those count that
            ``presidio.yaml`` does not merely show.
        language: two letters, for Presidio's recognisers.
        least: confidence below which guesses are left out.
        model: name and version of what stands behind the analyzer; part of the revision.
    """

    def __init__(
        self,
        analyzer: Any,
        entities: Sequence[str] = (),
        *,
        language: str = "en",
        least: float | None = None,
        model: str = "",
    ) -> None:
        self._analyzer, self._entities, self._language = analyzer, tuple(entities), language
        self._known = known()
        self._least = self._known.least if least is None else least
        super().__init__(
            GuardInfo(
                name=f"pii({', '.join(entities)})" if entities else "pii",
                revision=digest(model, self._known, self._entities, language, self._least),
                sees="both",
                hazards=(self._known.hazard,),
                licence="MIT",
                needs=(EXTRA,),
            )
        )

    def verdict(self, exchange: Exchange) -> Verdict:
        """Return what Presidio finds in the text."""
        found = self._analyzer.analyze(
            text=text_of(exchange),
            language=self._language,
            entities=list(self._entities) or None,
            score_threshold=self._least,
        )
        return self.found(map(self._finding, found), "no personal data found")

    def _finding(self, result: Any) -> Finding:
        counts = result.entity_type in self._entities or result.entity_type not in self._known.shown
        score = float(result.score) if counts else min(float(result.score), SHOWN)
        span = (int(result.start), int(result.end))
        return Finding(hazard=self._known.hazard, rule=result.entity_type, span=span, score=score)


def pii(*given: str) -> Pii:
    """Return the guard.

    Args:
        *given: entities such as ``CREDIT_CARD``; ``spacy=`` the name or folder of an installed model of spaCy,
            without which only patterns are used; ``language=`` two letters; ``least=`` the lowest confidence.

    Raises:
        MissingExtraError: Presidio is not installed.
        UsageError: an entity or option is unknown, or the model is not installed. Nothing is downloaded.
    """
    entities, options = arguments("pii", given, ("spacy", "language", "least"))
    language = options.get("language", "en")
    analyzer, model = _analyzer(options.get("spacy"), language)
    supported = sorted(analyzer.get_supported_entities(language))
    if unknown := [each for each in entities if each not in supported]:
        raise UsageError(f"Presidio knows no entity '{unknown[0]}' here.", f"It knows {', '.join(supported)}.")
    least = number("pii", "least", options["least"]) if "least" in options else None
    return Pii(analyzer, entities, language=language, least=least, model=model)


def anonymised(text: str, verdict: Verdict, operators: Mapping[str, Mapping[str, Any]] | None = None) -> str:
    """Return the text with what the verdict found replaced by Presidio's anonymizer.

    Args:
        text: what was judged.
        verdict: of this or any other guard whose findings have spans.
        operators: type and parameters by entity, such as ``{"DEFAULT": {"type": "hash"}}`` or
            ``{"CREDIT_CARD": {"type": "replace", "new_value": "x"}}``; without one ``<ENTITY>`` stands there.

    Raises:
        MissingExtraError: the anonymizer is not installed.
    """
    try:
        anonymizer = import_module("presidio_anonymizer")
    except ImportError as error:
        raise MissingExtraError("Presidio's anonymizer", EXTRA) from error
    entities = import_module("presidio_anonymizer.entities")
    found = [
        entities.RecognizerResult(each.rule, *each.span, each.score) for each in verdict.findings if each.span
    ]
    chosen = {
        name: entities.OperatorConfig(given["type"], {k: v for k, v in given.items() if k != "type"})
        for name, given in (operators or {}).items()
    }
    done = anonymizer.AnonymizerEngine().anonymize(text=text, analyzer_results=found, operators=chosen)
    return str(done.text)


@cache
def known() -> Entities:
    """Return what ``presidio.yaml`` says."""
    text = resources.files(__package__).joinpath("presidio.yaml").read_text(encoding="utf-8")
    return Entities.model_validate(yaml.safe_load(text))


def _analyzer(spacy: str | None, language: str) -> tuple[Any, str]:
    """Return Presidio's analyzer, and what stands behind it in words."""
    try:
        presidio, engines = import_module("presidio_analyzer"), import_module("presidio_analyzer.nlp_engine")
        import_module("presidio_analyzer.nlp_engine.no_op_nlp_engine")  # older versions lack it
    except ImportError as error:
        raise MissingExtraError("Guard 'pii'", EXTRA) from error
    _keep_offline()
    if spacy:
        engine = _spacy(engines, spacy, language)
    else:
        engine = engines.NoOpNlpEngine(models=[{"lang_code": language, "model_name": "none"}])
        engine.load()
    registry = presidio.RecognizerRegistry(supported_languages=[language])
    registry.load_predefined_recognizers(languages=[language], nlp_engine=engine)
    analyzer = presidio.AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=[language])
    return analyzer, f"{version('presidio-analyzer')} {spacy or 'patterns'}"


def _spacy(engines: Any, model: str, language: str) -> Any:
    # Presidio would download a model that is missing.
    if not Path(model).is_dir() and not import_module("spacy").util.is_package(model):
        raise UsageError(f"The model '{model}' of spaCy is not installed.", "Install it, or leave spacy= out.")
    models = [{"lang_code": language, "model_name": model}]
    provider = engines.NlpEngineProvider(nlp_configuration={"nlp_engine_name": "spacy", "models": models})
    return provider.create_engine()


def _keep_offline() -> None:
    """Let the recogniser of e-mail addresses use the list of suffixes that its package brings.

    It would fetch a newer one from the net at the first address it sees.
    """
    suffixes: Any = import_module("tldextract.tldextract")
    suffixes.TLD_EXTRACTOR = suffixes.TLDExtract(suffix_list_urls=(), cache_dir=None)
