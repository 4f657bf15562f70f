"""How scores are shown: as numbers, as a table, and in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rich.table import Table

from fedgan.cli.console import format_epsilon, new_table

if TYPE_CHECKING:
    from fedgan.evaluation.classes import ClassAnalysis
    from fedgan.evaluation.counts import Reads

_CLIENTS = 20


def format_score(name: str, score: float) -> str:
    """Return the score of metric `name` with as many digits as its scale deserves."""
    from fedgan.evaluation import METRICS, Scale

    return f"{score:.4g}" if METRICS[name].scale is Scale.DISTANCE else f"{score:.4f}"


def score_table(scores: Mapping[str, float]) -> Table:
    """Return a table with a row a metric."""
    from fedgan.evaluation import METRICS

    table = new_table("metric", "score", "scale")
    for name, score in scores.items():
        table.add_row(name, format_score(name, score), METRICS[name].scale.value)
    return table


def legend(scores: Mapping[str, float], *, generated: int, real: str) -> str:
    """Return a line on what was compared, and one for each metric of `scores` on what its number means."""
    from fedgan.evaluation import METRICS

    metrics = {name: METRICS[name] for name in scores}
    lines = [f"  {name}: {metric.meaning} ({metric.scale.value})" for name, metric in metrics.items()]
    return "\n".join([f"{generated} generated images against real ones: {real}", *lines])


def class_table(analysis: ClassAnalysis) -> list[Table | str]:
    """Return a table with a row a class, and what its columns mean."""
    table = new_table("class", "accuracy", "most taken for", "recognised", "entropy")
    columns = zip(analysis.accuracy, analysis.mistaken, analysis.recognised, analysis.entropy, strict=True)
    for label, (accuracy, taken, recognised, entropy) in enumerate(columns):
        others = [count if other != label else -1 for other, count in enumerate(taken)]
        worst = others.index(max(others)) if max(others) > 0 else None
        table.add_row(
            str(label), _share(accuracy), "" if worst is None else f"{worst} ({others[worst]})", _share(recognised),
            "" if entropy is None else f"{entropy:.2f}",
        )  # fmt: skip
    return [
        table,
        "  accuracy: share of the class's real test images that a CNN trained on the generated images gets right\n"
        "  most taken for: the class that it takes most of the others for, and how many\n"
        "  recognised: share of the images generated as this class that a CNN trained on the test set takes for it\n"
        "  entropy: of what that CNN takes them for, in bits (0: always the same class); over all classes "
        f"{analysis.conditional_entropy:.3f}",
    ]


def reads_table(found: Reads) -> list[Table | str]:
    """Return a table with a row a client, and what its columns mean."""
    from fedgan.evaluation.counts import together

    names = (name.replace("_percent", " %").replace("_", " ") for name in found.expected)
    table = new_table("client", "records", "epsilon", "noise", *names)
    table.add_row("test set", str(found.test_records), "", "", *(f"{share:.4f}" for share in found.expected.values()))
    table.add_section()
    shown = found.clients if len(found.clients) <= _CLIENTS else ()
    for one in (*shown, together(found.clients)):
        epsilon = "no privacy" if one.epsilon is None else format_epsilon(one.epsilon)
        shares = (f"{_cut(share):.4f}" for share in one.shares.values())
        table.add_row(one.client, str(one.records), epsilon, f"{one.noise_std / one.records:.4f}", *shares)
    return [
        ("NOT PRIVATE: " if found.epsilon is None else "") + found.statement,
        table,
        "  near: share of records with a generated image as near as the nearest 1 or 5 % of test images have one\n"
        "  logit above median: share of records to which the discriminator gives more than the median of test images\n"
        "  more than the test set has, beyond the noise and chance, is memory of training records\n"
        "  noise: standard deviation of the noise in each share; epsilon: all that the client has spent by now",
    ]


def earlier_lines(earlier: Sequence[Mapping[str, Any]]) -> str:
    """Return what earlier reads of private records have found, a line each, and of which generator."""
    lines = ["earlier private reads, as evaluation.json keeps them (shares of all records, with their noise):"]
    for reads in earlier:
        generator = reads.get("generator", {})
        whose = {
            True: "of this generator",
            False: f"NOT of this generator: of one of {generator.get('rounds')} rounds, sha256 "
            f"{generator.get('sha256', '')[:16]}",
            None: "of a generator that was not noted down, which may be another than this one",
        }[reads["of_this_generator"]]
        shares = reads.get("all", {}).get("shares", {})
        found = ", ".join(f"{name} {_cut(share):.4f}" for name, share in shares.items())
        cut = f", CUT OFF before {', '.join(missing)}" if (missing := reads.get("missing")) else ""
        lines.append(f"  epsilon {reads.get('epsilon')}, {len(reads['clients'])} clients{cut}, {whose}: {found}")
    return "\n".join(lines)


def _cut(share: float) -> float:
    """Return `share`, which its noise may have moved out of [0, 1], within that range."""
    return min(1.0, max(0.0, share))


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"
