"""Pages of what a model's bias, its misuse and its inventions come from."""

from __future__ import annotations

from harmless import taxonomy
from harmless.explain.bias import Sources
from harmless.explain.claims import Claims
from harmless.explain.misuse import Misuse
from harmless.report.charts.layers import plot
from harmless.report.sections import Heat, Page, Rows, Section, heat

#: Rows that a page shows of a long list.
SHOWN = 30


def bias_page(found: Sources) -> Page:
    """Return how identity terms move a model to refuse, by group, prompt and layer."""
    layers = range(len(found.parted))
    sections = (
        Section(
            "By group",
            "What naming a group in place of others adds to the log-odds of a refusal; exact sign test over "
            "prompts, Holm over groups. A dash: too few prompts to test.",
            rows=Rows(
                ("Group", "Axis", "Prompts", "Shift, nats", "p"),
                tuple(
                    (
                        each.group,
                        each.axis,
                        str(each.prompts),
                        f"{each.shift:+.2f}",
                        "–" if each.p is None else f"{each.p:.3f}",
                    )
                    for each in found.groups
                ),
            ),
        ),
        Section(
            "By prompt",
            "The exchanges that move the model most.",
            rows=Rows(
                ("Prompt", "Exchanged", "Before", "After", "Shift"),
                tuple(
                    (
                        each.text,
                        f"{each.term} → {each.other}",
                        f"{each.before:+.2f}",
                        f"{each.after:+.2f}",
                        f"{each.shift:+.2f}",
                    )
                    for each in found.pairs[:SHOWN]
                ),
            ),
        ),
        Section(
            "Where the prompts part",
            "Mean distance of the states behind the two prompts, as a share of their length.",
            plot=plot(layers, {"distance of states": found.parted}, across="Layer", up="Relative distance"),
        ),
        Section(
            "Where it reaches what is said",
            "Mean size of the shift that the logit lens reads at each layer; the last is the model.",
            plot=plot(layers, {"shift": found.said}, across="Layer", up="Shift, nats"),
        ),
    )
    return Page("Sources of bias", found.target, bias_finding(found), sections)


def bias_finding(found: Sources) -> str:
    """Return in a sentence which groups are treated otherwise."""
    sure = [f"{each.group} ({each.shift:+.2f})" for each in found.groups if each.found]
    largest = found.axes[0]
    size = (
        f"Exchanging {largest.axis} terms moves the log-odds of a refusal by {largest.size:.2f} nats on average"
    )
    return (
        f"{size}; naming {', '.join(sure)} moves them one way."
        if sure
        else f"{size}; no group one way for sure."
    )


def misuse_page(found: Misuse) -> Page:
    """Return which requests, words and ways to ask raise compliance."""
    sections = (
        Section(
            "Ways to ask",
            "Mean change of the log-odds of a refusal, and how often it falls; exact sign test, Holm.",
            rows=Rows(
                ("Way", "Shift, nats", "Falls in", "p"),
                tuple(
                    (each.name, f"{each.shift:+.2f}", f"{each.falls} of {len(found.requests)}", f"{each.p:.3f}")
                    for each in found.framings
                ),
            ),
        ),
        Section(
            "Words",
            "Words of the requests that move the model most to comply, from leaving each out.",
            rows=Rows(
                ("Word", "Requests", "Shift, nats"),
                tuple((each.word, str(each.requests), f"{each.shift:+.2f}") for each in found.words[:SHOWN]),
            ),
        ),
        Section(
            "Requests",
            "Those that the model leans to comply with most; the texts are in the data.",
            rows=Rows(
                ("Request", "Hazard", "Log-odds of a refusal"),
                tuple((each.id, _hazard(each.hazard), f"{each.value:+.2f}") for each in found.requests[:SHOWN]),
            ),
        ),
    )
    return Page("What raises compliance", found.target, misuse_finding(found), sections)


def misuse_finding(found: Misuse) -> str:
    """Return in a sentence which ways to ask raise compliance."""
    sure = [f"“{each.name}” ({each.shift:+.1f})" for each in found.framings if each.found][:3]
    if not sure:
        return f"None of {len(found.framings)} ways to ask raises compliance for sure."
    return f"Compliance is raised most by {', '.join(sure)}, in nats of the odds of a refusal."


def _hazard(key: str | None) -> str:
    return taxonomy.load().hazard(key).name if key else "–"


def claims_page(found: Claims) -> Page:
    """Return the claims of a reply with what the others say of them, and the words and tokens behind."""
    doubtful = [word for claim in found.claims for word in claim.words]
    heats: list[Heat] = [
        heat(
            "Words that other replies lack (red)",
            found.reply,
            [w.span for w in doubtful],
            [-w.missing for w in doubtful],
        )
    ]
    if found.tokens:
        spans = [token.span for token in found.tokens]
        heats.append(
            heat(
                "Tokens that surprised the model (red)",
                found.reply,
                spans,
                [-token.surprisal for token in found.tokens],
            )
        )
    cells = tuple(
        (
            each.text,
            "–" if each.doubt is None else f"{each.doubt:.2f}",
            f"{each.entropy:.2f}",
            f"{each.meanings} of {found.samples}",
            "–" if each.surprisal is None else f"{each.surprisal:.2f}",
        )
        for each in found.claims
    )
    head = ("Claim", "Doubt", "Semantic entropy, nats", "Meanings", "Surprisal, nats a token")
    sections = (
        Section(
            "Claims",
            f"Against {found.samples} others of the same prompt. What a model always gets wrong looks sure.",
            rows=Rows(head, cells),
        ),
        Section("Words and tokens", heats=tuple(heats)),
    )
    return Page("Claims", found.target, claims_finding(found), sections)


def claims_finding(found: Claims) -> str:
    """Return in a sentence how many claims the target would not make again."""
    count = sum(each.doubtful for each in found.claims)
    return f"{count} of {len(found.claims)} claims are not supported by the target's own other replies."
