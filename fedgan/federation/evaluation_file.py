"""A run's evaluation.json: scores of its generator, and the noisy counts of private records that were paid for."""

from __future__ import annotations

import json
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


def earlier_reads(folder: RunFolder) -> list[dict[str, Any]]:
    """Return `paid_reads`, each with `of_this_generator`: None for a read that does not name its generator."""
    here = which_generator(folder)["sha256"]
    return [
        {**reads, "of_this_generator": reads["generator"]["sha256"] == here if "generator" in reads else None}
        for reads in paid_reads(folder)
    ]


def write_scores(folder: RunFolder, scores: dict[str, Any]) -> None:
    """Write `scores` of the generator that is there now; what was paid for stays, and says of which one it is."""
    document = {"generator": which_generator(folder), **scores}
    if reads := paid_reads(folder):
        document[PAID] = reads
    _write(folder, document)


def keep_reads(folder: RunFolder, reads: list[dict[str, Any]]) -> None:
    """Write `reads`, which are all that was paid for, beside the scores that `write_scores` wrote."""
    _write(folder, {"metrics": {}, **_document(folder), PAID: reads})


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
            if "generator" in reads:
                _require(reads["generator"]["sha256"], str)
    except (ValueError, KeyError, TypeError) as error:
        raise IntegrityError(f"{folder.evaluation}: damaged: {error}; delete it to evaluate afresh") from None
    return dict(document)


def _require(part: object, kind: type) -> None:
    if not isinstance(part, kind):
        raise TypeError(f"{part!r:.40} where there should be a {kind.__name__}")
