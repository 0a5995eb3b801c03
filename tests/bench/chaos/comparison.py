"""What was acknowledged, what the ledger says, and what the panes really got: held against each other."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from taco.models import CommandState, Evidence
from taco.wire import Wire
from tests.bench.chaos.arena import NAME, Arena
from tests.bench.chaos.book import Book, Sent

_ID = re.compile(r"s\d+x\d{6}")
_NO_ENTRY = (0, 0)


@dataclass
class Verdict:
    """How it ended; the four sums that must be 0 come with examples."""

    acknowledged: int = 0
    states: Counter[str] = field(default_factory=Counter)
    evidence: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # of what is unconfirmed or dead
    submitted: int = 0
    unconfirmed_arrived: int = 0
    dead_arrived: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    reordered: list[str] = field(default_factory=list)
    garbled: list[str] = field(default_factory=list)

    @property
    def adds_up(self) -> bool:
        """Whether every acknowledged message is in one of the states that there are."""
        return self.acknowledged == sum(self.states.values())

    @property
    def zeros(self) -> dict[str, int]:
        """What must be 0."""
        found = {name: len(getattr(self, name)) for name in ("lost", "doubled", "reordered", "garbled")}
        return found | {"dead but arrived": self.dead_arrived}


def compare(arena: Arena, book: Book) -> Verdict:
    """Hold the panes' logs against the book; nothing may be under way any more."""
    arena.poll()
    submitted = {name: log.submitted for name, log in arena.logs.items()}
    return judge(book.acknowledged, submitted, _ledgers(arena, book.acknowledged))


def judge(
    acknowledged: Mapping[str, Sent],
    submitted: Mapping[str, Sequence[str]],
    ledgers: Mapping[str, Mapping[str, str]],
) -> Verdict:
    """What became of the messages: `submitted` are the texts by agent, in order, `ledgers` what Redis says by id."""
    verdict = Verdict(acknowledged=len(acknowledged))
    arrived = Counter[str]()
    for name, texts in submitted.items():
        verdict.submitted += len(texts)
        exact = [_identified(text, name, acknowledged, arrived, verdict) for text in texts]
        _check_order(name, [sent for sent in exact if sent], ledgers, verdict)
    verdict.doubled += [f"{each} {count} times" for each, count in arrived.items() if count > 1]
    for sent in acknowledged.values():
        _check_state(sent, ledgers[sent.id], arrived[sent.id] > 0, verdict)
    return verdict


def _ledgers(arena: Arena, ids: Iterable[str]) -> dict[str, dict[str, str]]:
    fields = ("state", "evidence", "entry", "reason")
    found = {}
    with Wire(arena.url, NAME) as wire:
        for each in ids:
            values = wire.call("HMGET", wire.keys.command(each), *fields)
            found[each] = {name: value or "" for name, value in zip(fields, values, strict=True)}
    return found


def _identified(
    text: str, agent: str, acknowledged: Mapping[str, Sent], arrived: Counter[str], verdict: Verdict
) -> Sent | None:
    """The one message for this agent that this is, byte for byte; None when it is none, or more than one."""
    ids = _ID.findall(text)
    arrived.update(ids)
    sent = acknowledged.get(ids[0]) if ids else None
    if sent is not None and sent.target == agent and text == sent.text:
        return sent
    verdict.garbled.append(f"{agent}: {text[:300]!r}")
    return None


def _check_order(agent: str, got: Sequence[Sent], ledgers: Mapping[str, Mapping[str, str]], verdict: Verdict) -> None:
    """First in, first out, of each priority: by each sender's own numbers, and by the places in the queue."""
    latest: dict[object, tuple[object, str]] = {}
    for sent in got:
        kind = (sent.priority, sent.when)
        entry = (
            tuple(int(part) for part in ledgers[sent.id]["entry"].split("-"))
            if ledgers[sent.id]["entry"]
            else _NO_ENTRY
        )
        for key, place in (((*kind, sent.sender), (sent.id,)), (kind, entry)):
            before, command_id = latest.get(key, (None, ""))
            if before is not None and place < before and command_id != sent.id:
                verdict.reordered.append(f"{agent}: {sent.id} after {command_id}")
            latest[key] = (place, sent.id)


def _check_state(sent: Sent, ledger: Mapping[str, str], arrived: bool, verdict: Verdict) -> None:
    state = ledger["state"]
    if not state:
        verdict.lost.append(f"{sent.id}: nothing is known of it")
        return
    verdict.states[state] += 1
    if state in (CommandState.UNCONFIRMED, CommandState.DEAD):
        verdict.reasons[f"{state}: {ledger['reason']}"] += 1
    if state == CommandState.DELIVERED:
        verdict.evidence[ledger["evidence"] or str(Evidence.NONE)] += 1
        if not arrived:
            verdict.lost.append(f"{sent.id} to {sent.target}: delivered ({ledger['evidence']}), but never submitted")
    elif state == CommandState.UNCONFIRMED:
        verdict.unconfirmed_arrived += arrived
    elif state == CommandState.DEAD:
        verdict.dead_arrived += arrived
    elif state == CommandState.QUEUED and arrived:
        verdict.doubled.append(f"{sent.id}: submitted, and queued still")
