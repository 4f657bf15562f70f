"""`fedgan explain`: which pixels make a run's private discriminator take images for real or for generated."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from fedgan.cli.console import new_table, print_json, show, stdout
from fedgan.cli.options import JsonOption, LabelsOption, RunArgument, SeedOption, check_png, parse_labels
from fedgan.errors import UsageError, bad_value
from fedgan.extras import require_extra
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from fedgan.explain import Explanation

_ROWS = 40
"""Classes that one picture has room for."""


def explain(
    run: RunArgument,
    output: Annotated[Path, typer.Option(help="FILE.png: each image beside what speaks for and against it.")],
    labels: LabelsOption = None,
    count: Annotated[int, typer.Option(min=1, max=8, help="Images of each class.")] = 4,
    seed: SeedOption = 0,
    as_json: JsonOption = False,
) -> None:
    """Show which pixels make the private discriminator take generated images for real; no private record is read."""
    require_extra("explanation", package="captum", wanted_by="fedgan explain")
    from fedgan.explain import explain_classes
    from fedgan.federation.card import load_generator, read_card
    from fedgan.federation.discriminator import load_discriminator
    from fedgan.federation.machine import use_threads
    from fedgan.report.attribution_picture import attribution_picture

    check_png("--output", output)
    folder = RunFolder.open(run)
    generator, config = load_generator(folder)
    use_threads(config.threads)
    classes = int(generator.num_classes)  # type: ignore[arg-type]
    discriminator, rounds = load_discriminator(
        folder,
        config,
        num_classes=classes,
        image_shape=generator.image_shape,  # type: ignore[arg-type]
    )
    kept = read_card(folder).get("kept_round")  # None of a fused generator, and of runs before there was a choice
    chosen = _rows(labels, classes)
    found = explain_classes(generator, discriminator, labels=chosen, count=count, seed=seed)
    try:
        attribution_picture(
            found.images, found.attribution.pixels, labels=found.labels, scores=found.attribution.scores, path=output
        )
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write there: {error.strerror}") from None
    if as_json:
        print_json(
            {
                "run": str(run),
                "round": rounds,
                "generator_round": kept,
                "output": str(output),
                "classes": [asdict(row) for row in found.summaries()],
            }
        )
    else:
        whose = f"the discriminator after round {rounds}"
        if kept is not None and kept != rounds:
            whose += f", on images of the generator of round {kept}, which was kept"
        if folder.is_fused:
            whose = f"the parts' discriminators (weighted mean), each after round {rounds} or later"
        _print(found, whose, output)


def _rows(labels: str | None, classes: int) -> list[int]:
    """Return the classes to explain, each once."""
    chosen = list(dict.fromkeys(parse_labels(labels, classes) or range(classes)))
    if len(chosen) > _ROWS:
        raise bad_value("--labels", labels or "all", f"at most {_ROWS} of the {classes} classes, joined by commas")
    return chosen


def _print(found: Explanation, whose: str, output: Path) -> None:
    table = new_table("class", "images", "mean score", "average image's score", "completeness error")
    for row in found.summaries():
        numbers = (row.mean_score, row.baseline_score, row.completeness_error)
        table.add_row(str(row.label), str(row.images), *(f"{number:.4f}" for number in numbers))
    stdout.print(table)
    show(
        f"scores are logits of {whose}: the higher, the more an image passes for real. "
        "An image's pixels add up to the difference from the average generated image's score, but for the error shown."
    )
    show(f"blue pixels speak for real, red ones for generated: {output}")
