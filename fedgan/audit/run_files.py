"""The check of a run folder's card and checkpoints: against their weights and against the ledgers."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any

from fedgan.audit.findings import Finding
from fedgan.audit.summary import Charge, LedgerSummary, cost, summarise, trust_of
from fedgan.errors import FedganError
from fedgan.privacy.ledger_line import row_hash
from fedgan.privacy.ledger_scan import scan_ledger

Ledgers = Mapping[str, Sequence[LedgerSummary]]

_SAME = 1e-6  # relative; the same events give the same digits, another version of a library may not


def run_faults(run: Path, ledgers: Ledgers | None) -> Iterator[Finding]:
    """Yield what is wrong with the checkpoints and the card of the folder `run`.

    Args:
        run: a run folder.
        ledgers: the verified ledgers by client; None to look at the folder alone.
    """
    order = _Order(ledgers)
    for card in sorted((run / "checkpoints").glob("*.json")):
        facts, faults = read_facts(card, card.with_suffix(".safetensors"), sealed=True)
        yield from faults
        if facts is not None:
            yield from order.faults(card, facts["ledger_heads"])
    card, weights = run / "generator.json", run / "generator.safetensors"
    if not card.exists() and not weights.exists():
        return  # not finished
    facts, faults = read_facts(card, weights, sealed=False)
    yield from faults
    if facts is not None:
        yield from order.faults(card, facts["ledger_heads"])
        if ledgers is not None and not order.lost:
            yield from _card_faults(card, facts, ledgers)


class _Order:
    """Checks heads against the ledgers, and that no file names an older line than the one before it.

    Attributes:
        lost: the clients of whose lines one that was named is not there.
    """

    def __init__(self, ledgers: Ledgers | None) -> None:
        self._ledgers = ledgers
        self._reached: dict[str, int] = {}
        self.lost: set[str] = set()

    def faults(self, card: Path, heads: Mapping[str, str]) -> Iterator[Finding]:
        """Yield what is wrong with the `heads` that `card` names, once for each client."""
        if self._ledgers is None:
            return
        for client, head in heads.items():
            reached = self._reached.get(client, 0)
            if client in self.lost:
                continue
            if not (found := self._ledgers.get(client)):
                self.lost.add(client)
                yield Finding(
                    card, None, f"it names a ledger of client {client!r}, and there is none among those given"
                )
            elif not (position := _furthest(found, head)):
                self.lost.add(client)
                what = f"this line or a later one was changed or cut: the {head[:12]}... that {card.name} names is gone"
                yield Finding(found[0].path, reached + 1, what)
            elif position < reached:
                what = f"it names line {position} of client {client!r}, where an earlier file names line {reached}"
                yield Finding(card, None, what)
            else:
                self._reached[client] = position


def _furthest(ledgers: Sequence[LedgerSummary], heads: str) -> int:
    """Return the number of the last line, from 1, that `heads`, joined by "+", names in `ledgers`; 0 for none."""
    return max((ledger.position(head) or 0 for ledger in ledgers for head in heads.split("+")), default=0)


def read_facts(card: Path, weights: Path, *, sealed: bool) -> tuple[dict[str, Any] | None, list[Finding]]:
    """Return the JSON object in `card`, if it can be used, and what is wrong with it or with `weights`."""
    try:
        facts = json.loads(card.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or not isinstance(facts.get("sha256"), str):
            raise ValueError("it is not the JSON object that describes weights")
        heads = facts.get("ledger_heads")
        if not isinstance(heads, dict) or not all(isinstance(head, str) for head in heads.values()):
            raise ValueError("its ledger_heads do not name a hash for each client")
        if sealed and facts.get("hash") != row_hash(facts):
            raise ValueError("its hash does not match its content")
    except (OSError, ValueError, RecursionError) as error:
        return None, [Finding(card, None, f"damaged: {error}")]
    try:
        with weights.open("rb") as file:
            digest = _digest(file)
    except OSError as error:
        return facts, [Finding(weights, None, f"it cannot be read: {error.strerror}")]
    if digest != facts["sha256"]:
        return facts, [
            Finding(weights, None, f"its SHA-256 is not the {facts['sha256'][:12]}... that {card.name} names")
        ]
    return facts, []


def _digest(file: Any) -> str:
    digest = sha256()
    while block := file.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


def _card_faults(card: Path, facts: dict[str, Any], ledgers: Ledgers) -> Iterator[Finding]:
    """Yield what the card claims of the ledgers that they do not say."""
    heads, level = facts["ledger_heads"], facts.get("level")
    beside = card.parent / "ledgers"
    for client, found in ledgers.items():
        if client not in heads and found[0].path.parent == beside:
            yield Finding(card, None, f"it does not name client {client!r}, whose ledger lies in {beside.name}/")
    if level == "none" and not heads:
        return
    try:
        charges = [_until(ledgers[client], head) for client, head in heads.items()]
        spent = max(cost(part, str(level), facts["delta"], facts["accountant"]) for part in charges)
        claimed = math.inf if facts["epsilon"] is None else float(facts["epsilon"])
        kinds = {charge for part in charges for charge in part}
    except (KeyError, TypeError, ValueError, FedganError) as error:
        yield Finding(card, None, f"its guarantee cannot be recomputed: {error}")
        return
    if not (claimed == spent or math.isclose(claimed, spent, rel_tol=_SAME)):
        yield Finding(card, None, f"it claims epsilon {claimed:.6g}, its ledgers say {spent:.6g}")
    hidden = facts.get("trust") == "local" and trust_of(kinds) != "local"
    if hidden and "aggregator" in _trusts(facts.get("run"), [*heads], ledgers):
        yield Finding(card, None, "it claims local trust, its ledgers hold charges that trust the server")


def _trusts(run: object, clients: Sequence[str], ledgers: Ledgers) -> set[str]:
    """Return the trusts of what `run` charged to `clients`, or of all charges where none is that run's.

    Other runs on the same ledgers may have trusted the server.
    """
    lines = [
        line
        for client in clients
        for ledger in ledgers[client]
        for line in scan_ledger(ledger.path)
        if line.event is not None
    ]
    own = {line.trust for line in lines if line.row["run"] == run}
    return own or {line.trust for line in lines}


def _until(found: Sequence[LedgerSummary], heads: str) -> Counter[Charge]:
    """Return the charges of one client up to the lines that the card names."""
    total: Counter[Charge] = Counter()
    for ledger in found:
        last = _furthest([ledger], heads)
        if last == ledger.lines:
            total += ledger.charges
        elif last:
            total += summarise(ledger.path, islice(scan_ledger(ledger.path), last)).charges
    return total
