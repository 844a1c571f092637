"""Let a guard judge rows, keep each verdict as it comes, and measure what it takes.

A log holds one JSON line a verdict, so a benchmark that is cut off goes on where it stopped: what a guard of
the same revision has judged is not asked again, what it left unassessed is.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from pydantic import ValidationError

from harmless.core import Exchange, Guard, GuardInfo, Outcome, Verdict, digest
from harmless.core.judging import judge_safely
from harmless.errors import UsageError
from harmless.guards.bench.memory import Peak
from harmless.guards.bench.model import Effort, Quantiles

SINGLES = 30
"""Exchanges judged one at a time, for the latency of one; if none can be assessed, no more are asked."""
NOT_ASKED = "not asked: none of the first could be assessed"

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Call:
    """What one call took: ``rows`` exchanges, ``seconds`` of wall time; ``first`` is a process's first one."""

    rows: int
    seconds: float
    first: bool = False


class Log:
    """Verdicts by guard and exchange, in memory and, if there is a ``path``, in a file that only grows."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._known: dict[str, Verdict] = {}
        self._calls: dict[str, list[Call]] = {}
        self._started: set[str] = set()
        if path is not None:
            self._read(path)
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise UsageError(
                    f"{path} cannot be written: {error.strerror or error}.", "Choose another --out."
                ) from None

    def __enter__(self) -> Log:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._path is not None:
            self._file.close()

    def get(self, identity: str, exchange: Exchange) -> Verdict | None:
        """Return what a guard said of an exchange, None if it was not asked or could not judge it."""
        return self._known.get(digest(identity, exchange))

    def calls(self, identity: str) -> Sequence[Call]:
        """Return the calls of a guard, in order."""
        return self._calls.get(identity, [])

    def add(self, info: GuardInfo, exchanges: Sequence[Exchange], said: Sequence[Verdict], s: float) -> None:
        """Keep the verdicts of one call, which took ``s`` seconds."""
        identity = info.identity
        call = Call(len(exchanges), s, identity not in self._started)
        self._started.add(identity)
        self._calls.setdefault(identity, []).append(call)
        keys = [digest(identity, exchange) for exchange in exchanges]
        self._known |= {key: v for key, v in zip(keys, said, strict=True) if not _failed(v)}
        if self._path is None:
            return
        line = {
            "guard": info.name,
            "identity": identity,
            "seconds": call.seconds,
            "first": call.first,
            "keys": keys,
            "verdicts": [verdict.model_dump(mode="json", exclude_defaults=True) for verdict in said],
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()

    def _read(self, path: Path) -> None:
        try:
            lines = path.read_text(encoding="utf-8").split("\n")
        except FileNotFoundError:
            return
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"{path} cannot be read: {error}.", "Choose another --out.") from None
        if lines[-1]:  # cut off in the middle of a line: that call is made again
            path.write_text("".join(line + "\n" for line in lines[:-1]), encoding="utf-8")
        for line in filter(None, lines[:-1]):
            self._take(path, line)

    def _take(self, path: Path, line: str) -> None:
        try:
            row: dict[str, Any] = json.loads(line)
            verdicts = [Verdict.model_validate(each) for each in row["verdicts"]]
            call = Call(len(verdicts), float(row["seconds"]), bool(row["first"]))
            self._known |= {k: v for k, v in zip(row["keys"], verdicts, strict=True) if not _failed(v)}
            self._calls.setdefault(row["identity"], []).append(call)
        except (ValueError, KeyError, TypeError, ValidationError):
            raise UsageError(f"{path} is no log of a guard benchmark.", "Choose another --out.") from None


@dataclass
class Asked:
    """A guard's verdicts on exchanges, in order, and what they took."""

    verdicts: list[Verdict]
    effort: Effort = field(default_factory=Effort)


async def ask(
    guard: Guard, exchanges: Sequence[Exchange], log: Log, progress: Progress = lambda done, of: None
) -> Asked:
    """Return one verdict an exchange; equal exchanges are judged once, those in the log not at all.

    The first exchanges, spread over all, are judged one at a time; the others in batches of the size that
    suits the guard. If none of the first can be assessed, the others are not asked.
    """
    identity = guard.info.identity
    unique = list({digest(each): each for each in exchanges}.values())
    todo = [each for each in unique if log.get(identity, each) is None]
    failed: dict[str, Verdict] = {}
    singly, rest = _spread(todo, SINGLES)
    done = len(unique) - len(todo)
    peak = Peak()
    for batch in [[each] for each in singly] + _batches(rest, guard.info.batch_size):
        if done == len(singly) == len(failed) and len(todo) == len(unique):
            failed |= {digest(each): Verdict.unassessed(NOT_ASKED) for each in rest}
            break
        failed |= await _call(guard, batch, log)
        done += len(batch)
        progress(done, len(unique))
    verdicts = [log.get(identity, each) or failed[digest(each)] for each in exchanges]
    found = effort(log.calls(identity), [log.get(identity, each) for each in unique])
    risen = peak.risen() if todo else None
    return Asked(verdicts, found.model_copy(update={"peak_mb": risen, "memory": peak.how if todo else ""}))


async def _call(guard: Guard, batch: Sequence[Exchange], log: Log) -> Mapping[str, Verdict]:
    """Judge a batch, keep the verdicts, and return those that are no verdicts, by exchange."""
    start = time.perf_counter()
    verdicts = await judge_safely(guard, batch)
    log.add(guard.info, batch, verdicts, time.perf_counter() - start)
    return {digest(each): v for each, v in zip(batch, verdicts, strict=True) if _failed(v)}


def effort(calls: Sequence[Call], verdicts: Iterable[Verdict | None]) -> Effort:
    """Return latencies, throughput and cost of a guard's calls and the verdicts that came of them."""
    timed = [call for call in calls if not call.first]
    single = [call.seconds for call in timed if call.rows == 1]
    many = [call for call in timed if call.rows > 1]
    full = max((call.rows for call in many), default=0)
    batches = many or [call for call in timed if call.rows == 1]
    known = [verdict for verdict in verdicts if verdict is not None]
    costs = [verdict.cost_usd for verdict in known if verdict.cost_usd is not None]
    seconds = sum(call.seconds for call in batches)
    return Effort(
        first_s=next((call.seconds for call in calls if call.first), None),
        single=_quantiles(single, 1),
        batched=_quantiles([call.seconds for call in many if call.rows == full], full),
        rows_per_s=sum(call.rows for call in batches) / seconds if seconds else None,
        cost_usd=math.fsum(costs) if costs else None,
        cost_per_1000=1000 * math.fsum(costs) / len(costs) if costs else None,
    )


def _quantiles(seconds: Sequence[float], rows: int) -> Quantiles | None:
    if not seconds:
        return None
    p50, p95, p99 = (float(each) for each in np.quantile(seconds, [0.5, 0.95, 0.99]))
    mean = float(np.mean(seconds))
    return Quantiles(n=len(seconds), rows=rows, mean=mean, p50=p50, p95=p95, p99=p99)


def _failed(verdict: Verdict) -> bool:
    return verdict.outcome is Outcome.UNASSESSED or verdict.score is None


def _spread(exchanges: list[Exchange], number: int) -> tuple[list[Exchange], list[Exchange]]:
    """Return so many exchanges from the whole length, and the others."""
    step = max(len(exchanges) // number, 1)
    chosen = set(range(0, len(exchanges), step)[:number])
    return [exchanges[i] for i in sorted(chosen)], [e for i, e in enumerate(exchanges) if i not in chosen]


def _batches(exchanges: list[Exchange], size: int) -> list[list[Exchange]]:
    return [exchanges[start : start + size] for start in range(0, len(exchanges), size)]
