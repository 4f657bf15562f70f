"""`fedgan evaluate`: what a generator is worth, judged on public images."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from fedgan.cli.console import print_json, show, stdout
from fedgan.cli.options import JsonOption, RunArgument
from fedgan.cli.scores import legend, score_table
from fedgan.runs import RunFolder


def evaluate(
    run: RunArgument,
    metrics: Annotated[str | None, typer.Option(help="Names joined by commas; default: the run's own.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Score a run's generator on the held-out test set; no private record is read."""
    from fedgan.data import load_data
    from fedgan.federation.assessment import assess
    from fedgan.federation.card import load_generator
    from fedgan.federation.sites import use_threads

    folder = RunFolder.open(run)
    _, config = load_generator(folder)
    use_threads(config.threads)
    root = Path(config.data.root).expanduser() if config.data.root else None
    data = load_data(config.data.name, root=root, image_size=config.data.image_size, channels=config.data.channels)
    scores = assess(folder, data.test, metrics or config.evaluation.metrics)
    if as_json:
        count = config.evaluation.count
        print_json({"run": str(run), "generated": count, "test_records": len(data.test), "metrics": scores})
        return
    stdout.print(score_table(scores))
    show(legend(scores, generated=config.evaluation.count, test_records=len(data.test)))
