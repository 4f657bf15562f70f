"""What one row of a table is: a configuration, what it is compared with, and the protocol that all rows share."""

from __future__ import annotations

from dataclasses import dataclass

IMAGES = 60_000
"""Generated images that a row is judged by, as in the papers it is compared with."""

METRICS = ("cnn", "logistic_regression", "mlp", "frechet_distance", "precision", "recall", "coverage")


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: names its files: lower case letters, digits, `_`, `-` and `.`.
        title: its first cell.
        config: file in configs/.
        settings: overrides such as "privacy.epsilon=1".
        data: the file or folder below the folder of data sets that is data.root; "" where the source needs none.
        seeds: of the runs that its mean and spread are over.
        published: names of published numbers (`published.PUBLISHED`) that it is compared with.
        aim: the accuracy of the CNN that is aimed at, in words.
        real: whether real training images are judged in place of generated ones; nothing is trained.
        gpu: whether it needs a GPU; other rows run on the CPU even where there is one.
        images: generated images that it is judged by.
        parts: runs with seeds of their own whose generators are fused into one. They charge the same ledgers, so they
            need clients that hold the same records whatever the seed, as one client does, and a
            `privacy.lifetime_epsilon` that all of them fit into.
    """

    name: str
    title: str
    config: str
    settings: tuple[str, ...] = ()
    data: str = ""
    seeds: tuple[int, ...] = (0,)
    published: tuple[str, ...] = ()
    aim: str = ""
    real: bool = False
    gpu: bool = False
    images: int = IMAGES
    parts: int = 1

    def run_seeds(self, seed: int) -> range:
        """Return the seeds of the runs that `seed` of this row stands for: no two seeds share one."""
        return range(seed * self.parts, (seed + 1) * self.parts)

    def overrides(self, seed: int) -> list[str]:
        """Return everything that a run with `seed` changes in the configuration, but for where the data lie."""
        device = "cuda" if self.gpu else "cpu"
        return [*self.settings, f"seed={seed}", f"device={device}", f"evaluation.count={self.images}"]

    def command(self, seed: int) -> str:
        """Return the command, or several, that trains this row, "" where real images are judged."""
        if self.real:
            return ""
        runs = [self._simulate(part) for part in self.run_seeds(seed)]
        if self.parts == 1:
            return runs[0]
        shared = " --set privacy.ledgers=LEDGERS --output RUNS/part-"
        commands = [f"{command}{shared}{index}" for index, command in enumerate(runs)]
        names = " ".join(f"RUNS/part-{index}" for index in range(self.parts))
        return " && ".join([*commands, f"fedgan fuse {names} --output RUNS/fused"])

    def _simulate(self, seed: int) -> str:
        changes = "".join(f" --set {item}" for item in self.overrides(seed))
        root = f" --set data.root=DATA/{self.data}".removesuffix("/") if self.data else ""
        return f"fedgan simulate configs/{self.config}{changes}{root}"


@dataclass(frozen=True)
class Table:
    """A table of docs/results.md, between markers of its name.

    Attributes:
        name: of the markers.
        rows: from top to bottom.
    """

    name: str
    rows: tuple[Row, ...]
