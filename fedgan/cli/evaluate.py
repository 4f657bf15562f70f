"""`fedgan evaluate`: what a generator is worth, judged on public images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedgan.cli.console import print_json, show, stdout
from fedgan.cli.options import JsonOption, RunArgument
from fedgan.cli.scores import class_table, legend, memorisation_text, score_table
from fedgan.runs import RunFolder


def evaluate(
    run: RunArgument,
    metrics: Annotated[str | None, typer.Option(help="Names joined by commas; default: the run's own.")] = None,
    inception_weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Inception's weights, for fid; default: downloaded once.")
    ] = None,
    classes: Annotated[
        bool, typer.Option("--classes", help="Which classes fail, and what they are taken for.")
    ] = False,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.png", help="Draw the confusion of classes (with --classes).")
    ] = None,
    private_reads: Annotated[
        bool,
        typer.Option(
            "--private-reads",
            help="Look for training records among the samples. READS PRIVATE RECORDS: not to be published.",
        ),
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Score a run's generator on the held-out test set; no private record is read without --private-reads."""
    import torch

    from fedgan.data import load_data
    from fedgan.federation.assessment import assess, assess_classes, judged_images
    from fedgan.federation.card import load_generator
    from fedgan.federation.machine import use_threads
    from fedgan.federation.private_reads import STATEMENT, memorised

    folder = RunFolder.of_run(run) if private_reads else RunFolder.open(run)
    _, config = load_generator(folder)
    use_threads(config.threads)
    root = Path(config.data.root).expanduser() if config.data.root else None
    data = load_data(config.data.name, root=root, image_size=config.data.image_size, channels=config.data.channels)
    scores = assess(folder, data.test, metrics or config.evaluation.metrics, weights=inception_weights)
    count = config.evaluation.count
    document: dict[str, Any] = {"run": str(run), "generated": count, "test_records": len(data.test), "metrics": scores}
    texts = [score_table(scores), legend(scores, generated=count, test_records=len(data.test))]
    if classes or plot:
        analysis = assess_classes(folder, data.test)
        document["classes"] = analysis.to_dict()
        texts += class_table(analysis)
        if plot:
            from fedgan.report.confusion_picture import confusion_picture

            confusion_picture(analysis, plot)
    if private_reads:
        found = memorised(folder, config, judged_images(folder)[0].to(torch.device("cpu")))
        document["private_reads"] = {"statement": STATEMENT, **found.to_dict()}
        texts.append(memorisation_text(found, STATEMENT))
    if as_json:
        print_json(document)
        return
    for text in texts:
        show(text) if isinstance(text, str) else stdout.print(text)
