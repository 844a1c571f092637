"""Every snippet of the documentation runs, and the site that is made of it stands alone.

The ``bash``, ``console`` and ``python`` blocks of a document run in order, in a folder of its own, so that one
may use what an earlier one wrote; each is a test. docs/extending.md gets a copy of ``src`` to change. A comment
on the line above the fence says what is special about a block:

    <!-- no-test: REASON -->    it is not run
    <!-- check-output -->       what a console block shows is what is printed; ``...`` stands for anything
    <!-- file: NAME -->         a block of any language: it is the content of this file
    <!-- append: NAME -->       ... the end of this file

In a console block, lines that begin with ``$ `` are run, the others show what is printed (100 columns wide).
What a model replies may differ by processor, so such output is shown and not compared.

The site is built where mkdocs is installed (extra ``docs``: ``make docs``), and skipped elsewhere.
"""

from __future__ import annotations

import doctest
import inspect
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest

import harmless
from harmless.cli import COMMANDS
from tests.conftest import ROOT

DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(
    r"^(?P<mark><!-- (?P<kind>no-test|check-output|file|append)(?:: *(?P<value>.*?))? -->\n)?"
    r"^(?P<fence>```+)(?P<language>\w*)[^\n]*\n(?P<text>.*?)^(?P=fence)$",
    re.M | re.S,
)
LINK = re.compile(r"\[[^\]]*\]\((?!https?:|mailto:|#)([^)#\s]+)")
LOADED = re.compile(
    r"""(?:<(?:script|link|img|iframe|source)\b[^>]*?(?:src|href)="?|url\(["']?)((?:https?:)?//[^"') >]+)"""
)
RUN = ("bash", "console", "python")
TIMEOUT = 600  # seconds a block may take


@dataclass(frozen=True)
class Snippet:
    """A fenced block that does something, and where it stands."""

    document: Path
    line: int
    language: str
    text: str
    kind: str | None
    value: str

    @property
    def name(self) -> str:
        """The test's id."""
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def snippets(document: Path) -> Iterator[Snippet]:
    """Yield the blocks of a document that are run or written."""
    text = document.read_text(encoding="utf-8")
    for found in BLOCK.finditer(text):
        kind, language = found["kind"], found["language"]
        if kind in ("file", "append") or language in RUN:
            line = text.count("\n", 0, found.start("fence")) + 1
            yield Snippet(document, line, language, found["text"], kind, found["value"] or "")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[Path, Path]:
    """Return a folder for each document."""
    folders = {document: tmp_path_factory.mktemp(document.stem.lower()) for document in DOCUMENTS}
    shutil.copytree(ROOT / "src", folders[ROOT / "docs" / "extending.md"] / "src")
    return folders


def run(command: list[str], folder: Path) -> str:
    """Run a command as a reader would, with the tools of this environment; return what it prints."""
    environment = os.environ | {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])),
        "HOME": str(folder),
        "PYTHONPATH": str(folder / "src"),
        "COLUMNS": "100",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, timeout=TIMEOUT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{command[-1]}\n{done.stdout}"
    return done.stdout


def console(text: str) -> Iterator[tuple[str, str]]:
    """Yield (command, what it is shown to print) of a console block; a backslash continues a command."""
    for part in re.split(r"^\$ ", text, flags=re.M)[1:]:
        command = re.match(r"(?:.*\\\n)*.*\n?", part)
        assert command
        yield command[0].strip(), part[command.end() :]


def same(shown: str, printed: str) -> bool:
    """Return whether what is shown is what is printed, line ends and ``...`` apart."""
    shown, printed = (re.sub(r"[ \t]+$", "", text, flags=re.M).strip() for text in (shown, printed))
    return doctest.OutputChecker().check_output(shown, printed, doctest.ELLIPSIS)


@pytest.mark.parametrize("snippet", [s for d in DOCUMENTS for s in snippets(d)], ids=lambda s: s.name)
def test_snippet(snippet: Snippet, folders: dict[Path, Path]) -> None:
    folder = folders[snippet.document]
    if snippet.kind == "no-test":
        assert snippet.value, "say why it is not run"
        pytest.skip(snippet.value)
    if snippet.kind in ("file", "append"):
        path = folder / snippet.value
        assert snippet.kind == "file" or path.exists()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if snippet.kind == "file" else "a", encoding="utf-8") as file:
            file.write(snippet.text)
    elif snippet.language == "console":
        for command, shown in console(snippet.text):
            printed = run(["bash", "-c", command], folder)
            assert snippet.kind != "check-output" or same(shown, printed), printed
    elif snippet.language == "bash":
        run(["bash", "-euo", "pipefail", "-c", snippet.text], folder)
    else:
        run([sys.executable, "-c", snippet.text], folder)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda d: str(d.relative_to(ROOT)))
def test_links_lead_to_files_that_exist(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    assert [link for link in links if not (document.parent / link).exists()] == []


def test_console_blocks_are_split_into_commands_and_what_they_print() -> None:
    block = "$ one \\\n  --more\nfirst\nsecond\n\n$ two\n"
    assert list(console(block)) == [("one \\\n  --more", "first\nsecond\n\n"), ("two", "")]


@pytest.mark.parametrize(
    ("shown", "printed", "expected"),
    [
        ("all 12 done", "all 12 done  \n", True),
        ("all ... done", "all 12 done", True),
        ("first\n...\nlast", "first\nand\nso on\nlast", True),
        ("all 12 done", "all 13 done", False),
        ("first", "first\nsecond", False),
    ],
)
def test_output_is_compared_up_to_line_ends_and_dots(shown: str, printed: str, expected: bool) -> None:
    assert same(shown, printed) is expected


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the built site; a warning of the build is a failure."""
    pytest.importorskip("mkdocs", reason="needs mkdocs: make docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return folder


def test_the_site_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = [*site.rglob("*.html"), *site.rglob("*.css")]
    assert len(pages) > 30
    loaded = {
        (page.name, found) for page in pages for found in LOADED.findall(page.read_text(encoding="utf-8"))
    }
    assert loaded == set()


def test_marks_for_the_tests_are_not_shown_but_names_of_files_are(site: Path) -> None:
    page = (site / "tutorial.html").read_text(encoding="utf-8")
    assert '<span class="filename">mine.jsonl</span>' in page
    assert [kind for kind in ("no-test", "check-output", "file:") if f"<!-- {kind}" in page] == []


def test_the_reference_has_every_command_and_every_public_name(site: Path) -> None:
    commands = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f'id="harmless-{name}"' not in commands] == []
    names = (site / "reference" / "api" / "index.html").read_text(encoding="utf-8")
    assert [name for name in harmless.__all__ if name[0] != "_" and f">{name}</a>" not in names] == []


@pytest.mark.parametrize(
    "layer", sorted(p.stem for p in (ROOT / "docs/reference/api").glob("*.md") if p.stem != "index")
)
def test_the_reference_has_what_a_layer_exports(layer: str, site: Path) -> None:
    module = import_module(f"harmless.{layer}")
    exported = {name: getattr(module, name) for name in getattr(module, "__all__", ())}
    names = [name for name, each in exported.items() if inspect.isclass(each) or inspect.isroutine(each)]
    html = (site / "reference" / "api" / f"{layer}.html").read_text(encoding="utf-8")
    assert [name for name in names if not re.search(rf'id="harmless[\w.]*\.{name}"', html)] == []


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ('<script src="https://cdn.example/x.js">', ["https://cdn.example/x.js"]),
        ('<link rel="stylesheet" href="//fonts.example/css">', ["//fonts.example/css"]),
        ("@font-face { src: url(https://fonts.example/a.woff) }", ["https://fonts.example/a.woff"]),
        ('<a href="https://example.org">elsewhere</a> <script src="../x.js">', []),
    ],
)
def test_what_a_page_loads_is_told_from_what_it_links_to(page: str, found: list[str]) -> None:
    assert LOADED.findall(page) == found
