"""The check of a fused generator's folder: its parts each for itself, and its card against all of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from fedgan.audit.budget import audit_budget
from fedgan.audit.findings import Finding
from fedgan.audit.paths import parts_of
from fedgan.audit.run_files import read_facts, run_faults
from fedgan.audit.summary import LedgerSummary
from fedgan.errors import FedganError

_SAME = 1e-6  # relative, as for a run's own card


def fused_faults(folder: Path, ledgers: Sequence[LedgerSummary] | None) -> Iterator[Finding]:
    """Yield what is wrong with the fused generator in `folder`.

    Args:
        ledgers: all verified ledgers; None where one is damaged, to look at the folder alone.
    """
    parts = parts_of(folder)
    found = False
    for part in parts:
        by_client: dict[str, list[LedgerSummary]] = {}
        for ledger in ledgers or ():
            if part in ledger.path.parents:
                by_client.setdefault(ledger.client, []).append(ledger)
        for wrong in run_faults(part, None if ledgers is None else by_client):
            found = True
            yield wrong
    card, weights = folder / "generator.json", folder / "generator.safetensors"
    facts, faults = read_facts(card, weights, sealed=True)
    yield from faults
    if facts is None or faults or found or ledgers is None:
        return
    if fault := _part_fault(folder, facts, parts) or _claim_fault(folder, facts):
        yield Finding(card, None, fault)
    elif fault := _weights_fault(weights, parts):
        yield Finding(weights, None, fault)


def _part_fault(folder: Path, facts: dict[str, Any], parts: Sequence[Path]) -> str | None:
    """Return where the card's parts are not those of the folder."""
    try:
        named = {str(part["folder"]): part["card"] for part in facts["parts"]}
        there = {str(part.relative_to(folder)): part / "generator.json" for part in parts}
        for name in sorted(named.keys() ^ there.keys()):
            return f"it does not name {name}, which is there" if name in there else f"it names {name}, which is gone"
        for name, file in there.items():
            if json.loads(file.read_text(encoding="utf-8")) != named[name]:
                return f"the card of {name} is not the one that it holds a copy of"
    except (KeyError, TypeError, ValueError, OSError) as error:
        return f"damaged: its parts cannot be read: {error}"
    return None


def _claim_fault(folder: Path, facts: dict[str, Any]) -> str | None:
    """Return where the card claims something else of all parts together than their ledgers say."""
    if any(part["card"].get("level") == "none" for part in facts["parts"]):
        claims = (facts.get("level"), facts.get("epsilon"), facts["ledger_heads"])
        return None if claims == ("none", None, {}) else "it makes a promise, and a part of it makes none"
    try:
        runs = len(facts["parts"]) if facts["overlap"] == "runs" else 1  # deltas of runs add up
        spent = audit_budget([folder], delta=facts["delta"] / runs, accountant=facts["accountant"])
        claimed = math.inf if facts["epsilon"] is None else float(facts["epsilon"])
    except (KeyError, TypeError, ValueError, FedganError) as error:
        return f"its guarantee cannot be recomputed: {error}"
    if not (claimed == spent.epsilon or math.isclose(claimed, spent.epsilon, rel_tol=_SAME)):
        return f"it claims epsilon {claimed:.6g}, the ledgers of its parts say {spent.epsilon:.6g}"
    if facts["overlap"] != spent.overlap:
        return f"it claims overlap {facts['overlap']!r}, the commitments of its parts' ledgers say {spent.overlap!r}"
    if (facts.get("level"), facts.get("trust")) != (spent.level, spent.levels[0].trust):
        return f"it claims level {facts.get('level')!r} and trust {facts.get('trust')!r}, its parts' ledgers do not"
    if facts["ledger_heads"] != {client.client: client.head for client in spent.clients}:
        return "its ledger_heads are not the last lines of its parts' ledgers"
    return None


def _weights_fault(weights: Path, parts: Sequence[Path]) -> str | None:
    """Return where the fused weights are not those of the parts."""
    fused = load_file(weights)
    wanted = {
        f"parts.{index}.{name}": array
        for index, part in enumerate(parts)
        for name, array in load_file(part / "generator.safetensors").items()
    }
    if fused.keys() != wanted.keys():
        return "it does not hold the tensors of its parts"
    for name, array in wanted.items():
        if not np.array_equal(fused[name], array):
            return f"{name} is not the tensor of its part"
    return None
