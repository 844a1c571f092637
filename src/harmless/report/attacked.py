"""The report of an attack: what reached how much, for which hazards, what failures have in common."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from harmless import taxonomy
from harmless.attacks.analysis import Analysis, analyse
from harmless.attacks.by_hazard import ByHazard, by_hazard
from harmless.attacks.finding import finding, percent
from harmless.attacks.reached import Middle
from harmless.attacks.results import AttackResult, Results, Success, results, successes
from harmless.attacks.transfer import Transfer
from harmless.core.model import Model
from harmless.data.similar import encoder
from harmless.errors import MissingExtraError
from harmless.evidence import Store
from harmless.report.files import replace
from harmless.report.sections import Page, Quote, Rows, Section, render_page

#: Successes that are shown, covered, and characters of each text.
SHOWN, _LONGEST = 12, 1200


class AttackReport(Model):
    """The machine form of the report of an attack; ``failures`` is None where scikit-learn is not installed."""

    format: Literal["harmless.attack/1"] = "harmless.attack/1"
    results: Results
    failures: Analysis | None


def write_attack(store: Store, run: str, out: Path, formats: Sequence[str] = ("html", "json")) -> list[Path]:
    """Write ``report.html`` and ``report.json`` of an attack into a folder, and return their paths.

    Failure modes are in it where scikit-learn is installed. The machine form has no text of prompts or replies.

    Raises:
        UnknownNameError: there is no such run.
        UsageError: the run is not of an attack, or the folder cannot be written.
    """
    found, analysis = results(store, run), _analysis(store, run)
    document = AttackReport(results=found, failures=analysis).model_dump(mode="json")
    files = {"report.json": json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False) + "\n"}
    if "html" in formats:
        page = attack_page(found, by_hazard(store, run, "task"), analysis, successes(store, run, SHOWN))
        files["report.html"] = render_page(page)
    return replace(out, {name: files[name] for name in (f"report.{each}" for each in formats)})


def attack_page(found: Results, hazards: ByHazard, analysis: Analysis | None, shown: Sequence[Success]) -> Page:
    """Return the page of an attack; texts are covered until they are asked for."""
    sections = [
        _success(found),
        _budgets(found),
        *_hazards(hazards),
        *([_transfer(found.transfer)] if found.transfer else []),
        *(_failures(analysis) if analysis else []),
        *_examples(shown),
    ]
    return Page("Attack", f"{found.target} · run {found.run}", finding(found), tuple(sections))


def _analysis(store: Store, run: str) -> Analysis | None:
    try:
        return analyse(store, run, encoder("words"))
    except MissingExtraError:
        return None


def _success(found: Results) -> Section:
    head = ("attack", "success", "corrected", "by judge’s error", "calls", "refused", "unassessed", "p (Holm)")
    cells = tuple(
        (
            each.name,
            percent(each.asr),
            "–" if each.asr.corrected is None else f"{100 * each.asr.corrected:.0f} %",
            "–" if each.by_error_alone is None else f"{100 * each.by_error_alone:.0f} %",
            f"{each.calls}" + (f" + {each.attacker_calls} written" if each.attacker_calls else ""),
            str(each.refused),
            str(each.unassessed),
            "–" if each.p_holm is None else f"{each.p_holm:.2g}",
        )
        for each in found.attacks
    )
    state = () if found.state == "finished" else (f"The campaign is not complete: {found.state}.",)
    return Section(
        "Success",
        "Share of objectives with an unsafe reply, with its interval; corrected: without the judge’s errors, "
        "where each objective was tried once; by judge’s error: what its false alarms alone would give; p: "
        "against direct asking, paired.",
        rows=Rows(head, cells),
        notes=(*found.caveats, *state),
    )


def _budgets(found: Results) -> Section:
    budgets = list(found.attacks[0].at) if found.attacks else []
    head = (
        "attack", *(f"{budget} calls" for budget in budgets), "area", "calls to success", "tokens",
        "self-BLEU", "dispersion",
    )  # fmt: skip
    return Section(
        "Budget and variety",
        "Success within so many calls an objective; the area under that curve over the logarithm of the calls, "
        "1 is success with the first; medians until the first success; self-BLEU falls and dispersion grows "
        "with the variety of the successful prompts.",
        rows=Rows(head, tuple(_budget(each, budgets) for each in found.attacks)),
    )


def _budget(each: AttackResult, budgets: Sequence[str]) -> tuple[str, ...]:
    area, variety = each.area, each.variety
    return (
        each.name,
        *(percent(each.at[budget]) for budget in budgets),
        "–" if area.rate is None else f"{area.rate:.2f} ({area.low:.2f}–{area.high:.2f})",
        _middle(each.to_success.calls),
        _middle(each.to_success.tokens),
        f"{variety.self_bleu:.2f}" if variety else "–",
        f"{variety.dispersion:.2f}" if variety else "–",
    )


def _hazards(found: ByHazard) -> Iterator[Section]:
    if found.rows:
        cells = tuple(
            (
                row.name,
                str(row.objectives),
                percent(row.any),
                *(percent(row.attacks[name]) if name in row.attacks else "–" for name in found.attacks),
            )
            for row in found.rows
        )
        head = (found.by, "objectives", "any attack", *found.attacks)
        yield Section("Hazards", "Success by hazard.", rows=Rows(head, cells))


def _transfer(found: Transfer) -> Section:
    cells = [(name, percent(rate), str(rate.n)) for name, rate in found.attacks.items()]
    cells += [
        ("all", percent(found.rate), str(found.rate.n)),
        ("objectives reached again", percent(found.objectives), str(found.objectives.n)),
    ]
    return Section(
        "Transfer",
        f"Successes of run {found.source} ({found.source_target}), said again word by word.",
        rows=Rows(("found by", "succeed again", "of"), tuple(cells)),
        notes=tuple(
            f"{name} itself, on the {both.pairs} objectives of both runs: {100 * both.difference:+.1f} points "
            f"({100 * both.low:+.1f} to {100 * both.high:+.1f}), p = {both.p:.2g}."
            for name, both in found.paired.items()
        ),
    )


def _failures(found: Analysis) -> Iterator[Section]:
    hidden, name = found.unseen, taxonomy.load().hazard
    notes = [f"{found.alone} failures are like no others."]
    if hidden.mass is not None and hidden.kinds is not None:
        notes.append(
            f"Unseen: the next failing objective is of a new kind with a chance of {100 * hidden.mass:.0f} % "
            f"({100 * hidden.low:.0f}–{100 * hidden.high:.0f}); of at least {hidden.kinds:.0f} kinds "
            f"{hidden.seen} were seen."
        )
    cells = tuple(
        (
            ", ".join(mode.terms) or "–",
            str(mode.failures),
            str(mode.objectives),
            str(len(mode.hazards)),
            ", ".join(f"{attack} {count}" for attack, count in list(mode.attacks.items())[:3]),
        )
        for mode in found.modes
    )
    head = ("set apart by", "failures", "objectives", "hazards", "attacks")
    yield Section("Failure modes", rows=Rows(head, cells) if cells else None, notes=tuple(notes))
    if found.payoff:
        rows = tuple(
            (
                name(row.hazard).name, str(row.open), f"{row.found} of {row.late}",
                f"{100 * row.rate:.1f} % ({100 * row.low:.1f}–{100 * row.high:.1f})", f"+{row.gain:.1f}",
            )
            for row in found.payoff
        )  # fmt: skip
        head = ("hazard", "not reached", "late successes", "a call", "next 100 calls")
        lead = (
            "What further calls would find in hazards with objectives that were not reached, by the later "
            "half of the calls."
        )
        yield Section("Where more budget pays most", lead, rows=Rows(head, rows))


def _examples(shown: Sequence[Success]) -> Iterator[Section]:
    if shown:
        quotes = []
        for number, each in enumerate(shown, 1):
            said = [(turn.role, turn.content) for turn in each.conversation]
            texts = [("objective", each.objective), *said, ("reply", each.reply)]
            quotes += [
                Quote(f"{number} · {each.attack} · {name}", text[:_LONGEST], True) for name, text in texts
            ]
        lead = "The unsafe replies with the highest scores. They may be harmful to read."
        yield Section("Successes", lead, quotes=tuple(quotes))


def _middle(found: Middle) -> str:
    if found.value is None:
        return "–"
    return f"{found.value:g}" + ("" if found.low is None else f" ({found.low:g}–{found.high:g})")
