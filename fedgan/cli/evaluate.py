"""`fedgan evaluate`: what a generator is worth, judged on images that nothing was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from fedgan.cli.console import print_json, say, show, stdout
from fedgan.cli.options import JsonOption, RunArgument, check_png
from fedgan.cli.scores import class_table, earlier_lines, legend, reads_table, score_table
from fedgan.errors import UsageError
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
        float | None,
        typer.Option(
            metavar="EPSILON",
            help="Count training records that samples and discriminator are near to. It reads private records: noise "
            "hides each, and EPSILON is charged to every client's ledger, within what the run promised.",
        ),
    ] = None,
    sign_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Key that signs the ledgers, if any (with --private-reads).")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run's generator on the held-out test set; no private record is read without --private-reads."""
    if sign_key is not None and private_reads is None:
        raise UsageError("--sign-key: nothing is signed without --private-reads, which charges the ledgers; give both")
    check_png("--plot", plot)
    import torch

    from fedgan.data import load_data
    from fedgan.federation.assessment import assess, assess_classes, judged_images, what_is_read
    from fedgan.federation.card import load_generator
    from fedgan.federation.evaluation_file import earlier_reads
    from fedgan.federation.machine import use_threads
    from fedgan.federation.private_reads import PrivateReads

    folder = RunFolder.open(run) if private_reads is None else RunFolder.of_run(run)
    _, config = load_generator(folder)
    use_threads(config.threads)
    reads = None if private_reads is None else PrivateReads(folder, config, private_reads, sign_key)
    root = Path(config.data.root).expanduser() if config.data.root else None
    data = load_data(config.data.name, root=root, image_size=config.data.image_size, channels=config.data.channels)
    chosen = config.evaluation.metrics if metrics is None else metrics
    scores = assess(folder, data.test, chosen, weights=inception_weights)
    count = config.evaluation.count
    real = what_is_read(config.data.name, len(data.test))
    document: dict[str, Any] = {
        "run": str(run),
        "generated": count,
        "real": real,
        "test_records": len(data.test),
        "metrics": scores,
    }
    texts = [score_table(scores), legend(scores, generated=count, real=real)]
    if classes or plot:
        analysis = assess_classes(folder, data.test)
        document["classes"] = analysis.to_dict()
        texts += class_table(analysis)
        if plot:
            from fedgan.report.confusion_picture import confusion_picture

            confusion_picture(analysis, plot)
    if earlier := earlier_reads(folder, besides=reads.begun if reads else None):
        document["earlier_private_reads"] = earlier
        texts.append(earlier_lines(earlier))
    if reads:
        if reads.begun or earlier:
            say(f"--private-reads {private_reads:g}: {reads.what_is_charged}")
        found = reads.ask(judged_images(folder)[0].to(torch.device("cpu")))
        document["private_reads"] = found.to_dict()
        texts += reads_table(found)
    if as_json:
        print_json(document)
        return
    for text in texts:
        show(text) if isinstance(text, str) else stdout.print(text)
