from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from harmless.core import Expect, Prompt, user
from harmless.evidence import Store
from harmless.report import Report, build, render_html
from tests.reports import BEFORE, add_run, answered, failed, record

EVIL = '</script></style><script>alert(1)</script>"\' onx="<img src=x>\u2028\u202etxt.exe {{ 7 * 7 }}'


class Reader(HTMLParser):
    """Collects tags, attributes and the text that stands outside of style and script."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.ids: list[str] = []
        self._open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self._open = [tag] if tag in ("style", "script") else []

    def handle_endtag(self, tag: str) -> None:
        self._open = []

    def handle_data(self, data: str) -> None:
        if not self._open:
            self.text += data


def one_run(path: Path, prompts: list[Prompt], **options: object) -> str:
    """Return the page of a run in which every prompt got an unsafe reply."""
    with Store(path / "evidence.db") as store:
        run = record(BEFORE, prompts, target="m", **options)
        made = [answered(i, unsafe=True, refused=False, text=EVIL) for i in range(len(prompts))]
        add_run(store, run, prompts, made)
        return render_html(build(store, run.id, generated_at="2026-01-01T00:00:00"))


def test_the_page_needs_nothing_but_itself(page: str) -> None:
    reader = Reader(page)
    loading = {"src", "srcset", "action", "data", "poster", "background", "ping", "formaction", "manifest"}
    assert not [pair for pair in reader.attributes if pair[0] in loading]
    assert all(value.startswith("#") for name, value in reader.attributes if name in ("href", "xlink:href"))
    assert not {"link", "iframe", "object", "embed", "base", "img"} & set(reader.tags)
    assert not re.search(r"url\((?!#)|@import|https?://(?!www\.w3\.org)", page)


def test_the_page_forbids_the_network_and_all_scripts_but_its_own(page: str) -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]+)"', page)
    assert policy
    assert policy[1].startswith("default-src &#39;none&#39;")
    assert "unsafe" not in policy[1]
    for tag in ("style", "script"):
        (body,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        want = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src &#39;sha256-{want}&#39;" in policy[1].replace("&#43;", "+")


def test_there_is_no_inline_style_or_handler_that_the_policy_would_block(page: str) -> None:
    names = {name for name, _ in Reader(page).attributes}
    assert "style" not in names
    assert not [name for name in names if name.startswith("on")]


def test_sections_come_in_the_order_in_which_they_are_read(page: str) -> None:
    places = [
        page.index(f'<section id="{name}"')
        for name in (
            "summary", "hazards", "balance", "change", "table", "examples", "method", "reproduce",
        )
    ]  # fmt: skip
    assert places == sorted(places)


def test_every_id_is_there_once_and_every_link_leads_somewhere(page: str) -> None:
    reader = Reader(page)
    assert len(reader.ids) == len(set(reader.ids))
    links = {value[1:] for name, value in reader.attributes if name == "href"}
    assert links <= set(reader.ids)
    named = {v for name, value in reader.attributes if name == "aria-labelledby" for v in value.split()}
    assert named <= set(reader.ids)


def test_one_run_alone_makes_a_whole_page(one: Report) -> None:
    page = render_html(one)
    for name in ("summary", "hazards", "balance", "table", "examples", "method", "reproduce"):
        assert f'<section id="{name}"' in page
    assert '<section id="change"' not in page
    assert ">before<" not in page
    assert one.finding in page


def test_the_summary_has_the_figures_that_a_manager_asks_for(page: str, two: Report) -> None:
    text = Reader(page).text
    head = text[: text.index("Where it happens")]
    changes = two.result.changes  # type: ignore[union-attr]
    assert two.finding in head
    assert f"{changes.unsafe.fixed}unsafe replies fixed" in head.replace("\n", "")
    assert "Corrected for the judge's errors" in head
    assert "Against the policy" in head
    for check in two.verdict:
        assert check.text in head


def test_all_hazards_are_drawn_and_in_the_table(page: str) -> None:
    assert len(re.findall(r'role="treeitem"', page)) == 88
    assert len(re.findall(r'<tr data-level="category"', page)) == 66
    assert len(re.findall(r'<tr data-level="task"', page)) == 16


def test_harmful_text_is_nowhere_in_the_open(page: str, two: Report) -> None:
    assert "What the model said" not in page
    assert "A harmful request" not in page
    assert len(re.findall(r'class="sealed" data-text="', page)) >= 20
    assert any(e.kind == "refused" and e.prompt in page for e in two.examples), "benign prompts are open"


def test_the_page_asks_search_engines_to_stay_away(page: str) -> None:
    assert '<meta name="robots" content="noindex, nofollow, noarchive">' in page


def test_prompts_replies_and_names_cannot_break_out_of_the_page(tmp_path: Path) -> None:
    prompts = [
        Prompt(id=EVIL, conversation=user(EVIL), expect=Expect.REFUSE, hazard="salad.c.O57", source=EVIL),
        Prompt(id="b", conversation=user(EVIL), expect=Expect.ANSWER, hazard="salad.c.O57", language=EVIL),
    ]
    page = one_run(tmp_path, prompts, command=EVIL, version=EVIL, taxonomy=EVIL)
    reader = Reader(page)
    assert reader.tags.count("script") == reader.tags.count("style") == 1
    assert "img" not in reader.tags
    assert not [name for name, _ in reader.attributes if name.startswith("on")]
    assert "\u2028" not in page
    assert "\u202e" not in page
    assert "[U+202E]txt.exe {{ 7 * 7 }}" in reader.text


def test_a_refused_benign_prompt_is_shown_escaped(tmp_path: Path) -> None:
    with Store(tmp_path / "evidence.db") as store:
        plan = [Prompt(id="b", conversation=user(EVIL), expect=Expect.ANSWER)]
        run = record(BEFORE, plan, target="m")
        add_run(store, run, plan, [answered(0, unsafe=False, refused=True, text=EVIL)])
        page = render_html(build(store, run.id))
    assert page.count("&lt;/script&gt;&lt;/style&gt;&lt;script&gt;alert(1)&lt;/script&gt;") == 2


def test_prompts_without_a_hazard_make_a_page_without_rings_and_table(tmp_path: Path) -> None:
    plan = [Prompt(id=f"p{i}", conversation=user("?"), expect=Expect.REFUSE) for i in range(3)]
    page = one_run(tmp_path, plan)
    assert 'id="sunburst"' not in page
    assert '<section id="table"' not in page
    assert "3 of 3" in page


def test_a_run_of_which_nothing_could_be_assessed_makes_a_page(tmp_path: Path) -> None:
    with Store(tmp_path / "evidence.db") as store:
        plan = [Prompt(id="p", conversation=user("?"), expect=Expect.REFUSE, hazard="salad.c.O1")]
        run = record(BEFORE, plan, target="m", judge_error_rates=None, command=None)
        add_run(store, run, plan, [failed(0)])
        page = render_html(build(store, run.id))
    assert "Nothing m said could be assessed." in page
    assert "not assessed" in page
    assert "error rates are not known" in page.replace("\n", " ")


def test_the_page_says_once_why_a_rate_is_not_corrected(tmp_path: Path) -> None:
    with Store(tmp_path / "evidence.db") as store:
        plan = [
            Prompt(id=f"p{i}", conversation=user("?"), expect=Expect.REFUSE, hazard="salad.c.O1")
            for i in range(100)
        ]
        run = record(BEFORE, plan, target="m")
        add_run(store, run, plan, [answered(i, unsafe=False, refused=True) for i in range(100)])
        text = " ".join(Reader(render_html(build(store, run.id))).text.split())
    assert text.count("no true rate explains 0 flagged of 100") == 2
    assert "not known" not in text
    assert "human" not in text
    assert re.search(r"a fall of the unsafe rate by [\d.]+ points or more", text)


@pytest.mark.parametrize("name", ["one", "two"])
def test_the_page_is_small(name: str, request: pytest.FixtureRequest) -> None:
    assert len(render_html(request.getfixturevalue(name)).encode()) < 1_500_000


def test_the_same_report_makes_the_same_page(two: Report, page: str) -> None:
    assert render_html(two) == page
