"""A run's evaluation.json: scores of its generator, and the noisy counts of private records that were paid for."""

from __future__ import annotations

import json
from types import UnionType
from typing import Any

from fedgan.errors import IntegrityError
from fedgan.federation.card import read_card
from fedgan.files import write_text
from fedgan.runs import RunFolder

PAID = "private_reads"


def which_generator(folder: RunFolder) -> dict[str, Any]:
    """Return what tells the generator in `folder` from another: `sha256` of its weights, and its `rounds`, if any."""
    card = read_card(folder)
    return {"sha256": card["sha256"], "rounds": card.get("rounds")}


def earlier_scores(folder: RunFolder, key: str) -> dict[str, Any]:
    """Return what an earlier evaluation has written under `key` of the generator that is there now.

    Raises:
        IntegrityError: the file is damaged.
    """
    document = _document(folder)
    if document.get("generator", which_generator(folder)) != which_generator(folder):
        return {}  # of another one: they are computed again for nothing
    return dict(document.get(key, {}))


def paid_reads(folder: RunFolder) -> list[dict[str, Any]]:
    """Return all that was paid for, the oldest first, of whichever generator; raises IntegrityError as above."""
    return list(_document(folder).get(PAID, []))


def earlier_reads(folder: RunFolder, *, besides: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Return `paid_reads` but `besides`, each with `of_this_generator`: None for one that does not name its own."""
    here = which_generator(folder)["sha256"]
    return [
        {**reads, "of_this_generator": reads["generator"]["sha256"] == here if "generator" in reads else None}
        for reads in paid_reads(folder)
        if reads != besides
    ]


def write_scores(folder: RunFolder, scores: dict[str, Any]) -> None:
    """Write `scores` of the generator that is there now; what was paid for stays, and says of which one it is."""
    document = {"generator": which_generator(folder), **scores}
    if reads := paid_reads(folder):
        document[PAID] = reads
    _write(folder, document)


def keep_reads(folder: RunFolder, reads: dict[str, Any], *, instead_of: dict[str, Any] | None) -> None:
    """Write `reads`, in the place of what was kept of them before, beside all else that is there."""
    others = [other for other in paid_reads(folder) if other != instead_of]
    _write(folder, {"metrics": {}, **_document(folder), PAID: [*others, reads]})


def _write(folder: RunFolder, document: dict[str, Any]) -> None:
    write_text(folder.evaluation, json.dumps(document, indent=2) + "\n")


def _document(folder: RunFolder) -> dict[str, Any]:
    if not folder.evaluation.exists():
        return {}
    try:
        document = json.loads(folder.evaluation.read_text(encoding="utf-8"))
        for part in (document, document["metrics"], document.get("classes", {}), document.get("generator", {})):
            _require(part, dict)
        _require(document.get(PAID, []), list)
        for reads in document.get(PAID, []):
            _require(reads, dict)
            _require(reads["clients"], list)
            _require(reads.get("missing", []), list)
            for share in reads.get("all", {"shares": {}})["shares"].values():
                _require(share, int | float)
            if "generator" in reads:
                _require(reads["generator"]["sha256"], str)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"{folder.evaluation}: damaged: {error}; delete it to evaluate afresh") from None
    return dict(document)


def _require(part: object, kind: type | UnionType) -> None:
    if not isinstance(part, kind):
        raise TypeError(f"{part!r:.40} where there should be {getattr(kind, '__name__', kind)}")
