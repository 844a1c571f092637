"""Nothing but installation opens a socket to another machine: proven on the whole loop, `harmless make`.

Two watches, because each is blind somewhere: an audit hook sees what Python does, on every system; strace sees
what native code such as llama.cpp does as well. Where the system lets us, the process also runs in a network
namespace of its own without any interface, so the run shows that no network is needed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from harmless.targets import models

HOOK = """
import os, sys, _socket
log = os.open(os.environ["SOCKET_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
def internet(event, arguments):
    if event == "socket.__new__":
        return arguments[1] in (_socket.AF_INET, _socket.AF_INET6)
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"):
        return isinstance(arguments[1], tuple)
    return event.startswith("socket.get") and event != "socket.gethostname"
def hook(event, arguments):
    if internet(event, arguments):
        os.write(log, f"INET {event} {arguments!r}\\n".encode())
sys.addaudithook(hook)
"""
STRACE = ("strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=%network")
DENIED = ("unshare", "--map-root-user", "--net")
CONTROL = """
import socket
try: socket.create_connection(("192.0.2.1", 9), timeout=0.1)
except OSError: pass
"""


@cache
def works(*command: str) -> bool:
    """Return whether a command can be run here."""
    if not shutil.which(command[0]):
        return False
    return subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0


def watched(command: Sequence[str], folder: Path, watch: str) -> list[str]:
    """Run a command that has to succeed; return its calls that concern the internet protocols."""
    log = folder / "sockets.log"
    environment = os.environ | {"HARMLESS_WORKSPACE": str(folder / "workspace")}
    if watch == "strace":
        if not works(*STRACE):
            pytest.skip("needs strace with --seccomp-bpf and the right to trace")
        command = [*STRACE, "-o", str(log), *command]
    else:
        (folder / "sitecustomize.py").write_text(HOOK)
        environment |= {"PYTHONPATH": str(folder), "SOCKET_LOG": str(log)}
    if works(*DENIED):
        command = [*DENIED, *command]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return [line for line in log.read_text().splitlines() if re.search(r"INET|PACKET", line)]


@pytest.fixture
def script(tmp_path: Path) -> str:
    rules = [{"match": "a", "reply": "Here is how."}, {"reply": "I'm sorry, but I can't help with that."}]
    path = tmp_path / "rules.jsonl"
    path.write_text("".join(json.dumps(rule) + "\n" for rule in rules))
    return f"scripted:{path}"


def loop(target: str) -> list[str]:
    options = ["--limit", "4", "--max-tokens", "8", "--align", "none"]
    return [sys.executable, "-m", "harmless", "make", target, *options]


both = pytest.mark.parametrize("watch", ["audit hook", "strace"])


@both
def test_the_watch_sees_a_connection_that_is_tried(tmp_path: Path, watch: str) -> None:
    assert any("192.0.2.1" in line for line in watched([sys.executable, "-c", CONTROL], tmp_path, watch))


@both
def test_the_loop_over_a_scripted_target_opens_no_internet_socket(
    tmp_path: Path, watch: str, script: str
) -> None:
    assert watched(loop(script), tmp_path, watch) == []
    assert (tmp_path / "harmless-report" / "report.html").stat().st_size > 0


@pytest.mark.model
@both
def test_the_loop_over_the_bundled_model_opens_no_internet_socket(tmp_path: Path, watch: str) -> None:
    if models.find() is None:
        pytest.skip("needs the bundled model: harmless models pull")
    assert watched(loop("embedded"), tmp_path, watch) == []
