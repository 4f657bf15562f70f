"""`fedgan generate`: samples of a finished run, as a picture, an archive or a folder."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer

from fedgan.cli.console import show
from fedgan.cli.options import LabelsOption, RunArgument, SeedOption, parse_labels
from fedgan.errors import UsageError
from fedgan.files import write_bytes
from fedgan.runs import RunFolder

if TYPE_CHECKING:
    from fedgan.data import ImageDataset


def generate(
    run: RunArgument,
    count: Annotated[int, typer.Option(min=1, help="Images to generate.")],
    output: Annotated[Path, typer.Option(help="FILE.png (a grid), FILE.npz (images, labels) or a folder of PNGs.")],
    labels: LabelsOption = None,
    seed: SeedOption = 0,
) -> None:
    """Generate images; this reads no private record and costs no budget."""
    from fedgan.evaluation import generate_images
    from fedgan.federation.card import load_generator
    from fedgan.report.sample_grid import sample_grid

    if output.suffix not in (".png", ".npz", ""):
        raise UsageError(f"--output {output}: give a name that ends in .png or .npz, or a folder without a suffix")
    if output.suffix == "" and output.is_dir() and any(output.iterdir()):
        raise UsageError(f"--output {output}: the folder is not empty")
    generator, _ = load_generator(RunFolder.open(run))
    classes = int(generator.num_classes)  # type: ignore[arg-type]
    images = generate_images(generator, count, labels=parse_labels(labels, classes), seed=seed)
    try:
        if output.suffix == ".png":
            sample_grid(images.images, images.labels, classes, output)
        elif output.suffix == ".npz":
            _write_npz(images, output)
        else:
            _write_folder(images, output)
    except OSError as error:
        raise UsageError(f"--output {output}: cannot write there: {error.strerror}") from None
    show(f"{count} images: {output}")


def _write_npz(images: ImageDataset, path: Path) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, images=images.images.numpy(), labels=images.labels.numpy())
    write_bytes(path, buffer.getvalue())


def _write_folder(images: ImageDataset, folder: Path) -> None:
    """Write FOLDER/CLASS/NNNNN.png, one file an image."""
    from PIL import Image

    pixels = ((images.images + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy()
    for index, (image, label) in enumerate(zip(pixels, images.labels.tolist(), strict=True)):
        buffer = io.BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(buffer, format="PNG")
        write_bytes(folder / str(label) / f"{index:05d}.png", buffer.getvalue())
