"""Every configuration key with its type, range and default: frozen, so a run cannot change what it was given.

Leaves are scalars, because the same file drives `flwr run --run-config`, which knows nothing else.
An empty string or 0 stands for "not set" where a key says so.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
PositiveCount = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Fraction = Annotated[float, Field(gt=0, le=1)]
ProperFraction = Annotated[float, Field(gt=0, lt=1)]
Decay = Annotated[float, Field(ge=0, lt=1)]
Text = Annotated[str, Field(pattern=r"^\P{Cc}*$")]
"""Without control characters, which TOML cannot hold as they are."""


class Table(BaseModel):
    """A table of the configuration: unknown keys are refused and nothing is coerced silently."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, use_attribute_docstrings=True)


class Data(Table):
    """Which images are trained on."""

    name: Text = "digits"
    """A name in the registry of data sources."""
    root: Text = ""
    """Folder (or .npz file) that holds the data; empty for sources that ship with a package."""
    image_size: Count = 0
    """Side in pixels after resizing, 8 to 64; 0 keeps the source's own size."""
    channels: Literal[0, 1, 3] = 0
    """1 for grey, 3 for colour, 0 for the source's own."""


class Partition(Table):
    """How the training records are spread over clients in a simulation."""

    clients: PositiveCount = 5
    scheme: Text = "dirichlet"
    alpha: Positive = 0.5
    """Concentration of the Dirichlet scheme: small values give each client few classes."""
    shards_per_client: PositiveCount = 2
    skew: Text = "noise"
    """Of the scheme "feature_skew": in what the clients' images differ, a name in the registry of skews."""
    skew_strength: Fraction = 0.5
    """How far apart the ends of the skew are; what 1 means is the skew's own."""


class Model(Table):
    """The generator and the discriminator."""

    name: Text = "mlp"
    latent_dim: PositiveCount = 64
    width: Count = 0
    """Units or channels of the widest layer; 0 takes the family's default."""


class Loss(Table):
    """The adversarial loss, and what keeps the discriminator from growing steep."""

    name: Text = "non_saturating"
    penalty: Text = "none"
    """A name in the registry of penalties, which are added to the discriminator's loss on real records."""
    penalty_weight: NotNegative = 10.0
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """The part to which the discriminator takes real images for generated ones."""
    auxiliary_weight: NotNegative = 0.0
    """Weight of a second task of both networks (AC-GAN, Odena et al. 2017): the cross-entropy of each image's class, by
    a second head of the discriminator, added to every loss. It takes its part of the clip. 0 for no such head."""


class Training(Table):
    """Local and server-side optimisation."""

    batch_size: PositiveCount = 64
    """Expected real records in a discriminator step; every step adds as many generated ones."""
    discriminator_steps: PositiveCount | Literal["adaptive"] = 1
    """Discriminator steps for each generator step; "adaptive" climbs a ladder (Bie et al. 2023)."""
    microbatch: Count = 0
    """Rows of a discriminator step to work on at a time, so that memory does not grow with the batch; 0 for all."""
    augmentation: Text = ""
    """Names in the registry of augmentations, joined by commas: what the discriminator sees instead of images."""
    augmentation_chance: Annotated[float, Field(ge=0, le=1)] | Literal["adaptive"] = 1.0
    """With which each of them is applied to each image; "adaptive" follows the discriminator's accuracy on generated
    images (after Karras et al. 2020), which costs nothing."""
    augmentation_copies: PositiveCount = 1
    """Times that it sees each image, each time augmented anew; a record is clipped once, over all its copies."""
    instance_noise: NotNegative = 0.0
    """Standard deviation of noise on the images that it sees; it falls to nothing over the rounds."""
    dropout: Decay = 0.0
    """Chance with which training steps drop a unit of the discriminator."""
    spectral_bound: NotNegative = 0.0
    """Largest spectral norm of each of the discriminator's weights, kept after each step; 0 for none."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Of forward passes in discriminator and generator steps; weights, norms and sums stay float32."""
    generator_batch_size: PositiveCount = 128
    discriminator_learning_rate: Positive = 2e-4
    generator_learning_rate: Positive = 2e-4
    beta1: Decay = 0.5
    beta2: Decay = 0.999
    ema_decay: Decay = 0.99
    """Decay of the generator's moving average, per generator step."""
    warm_start: Literal["none", "mean_embedding", "mixture"] = "mean_embedding"
    """"mean_embedding" fits any generator to sums of features; "mixture" estimates the generator of model "mixture"."""
    warm_start_stages: Annotated[int, Field(ge=0, le=100)] = 0
    """Releases of the warm start, which share its budget; 0 for 1 of "mean_embedding" and 5 of "mixture". All but the
    first of "mean_embedding", at most 10, are of features that the server learns on images of the generator fitted so
    far; all but 3 of "mixture", at least 3, move the cells' centres."""
    warm_start_refinement: bool = False
    """Whether one more release of "mixture" teaches its generator edges and textures, in `warm_start_steps` steps."""
    warm_start_refinement_family: Text = "convolutions"
    """Features of that release, names as in `warm_start_family`: "convolutions" teach convolutions laid over the
    mixture; others, with 0.55 of the precision, teach its means and factors too (for small budgets)."""
    warm_start_shading: NotNegative = 0.25
    """Of "mixture": size of the random smooth shading over its images, the deviation of brightness's logarithm: more of
    it makes up for a spread that noise hides (small budgets), and moves the images away from real ones."""
    warm_start_family: Text = "windows"
    """Features of the mean embedding: names in the registry of feature families, joined by commas; several share each
    record's row equally, in one release."""
    warm_start_features: PositiveCount = 2100
    """Dimension of the features, where the family has maps of several."""
    warm_start_steps: PositiveCount = 1500
    """Steps of the fit; with "mean_embedding" after each release."""
    warm_start_batch_size: PositiveCount = 500
    warm_start_learning_rate: Positive = 2e-3
    public_data: str = ""
    """Source of images (a name as in `data.name`) that are public: the generator is fitted to them first, free of
    charge and whatever their labels say. The card names them. "" for none."""
    public_root: str = ""
    """Where they lie; "" for `data.root`."""
    public_steps: PositiveCount = 1500
    """Steps of that fit."""
    class_counts: Literal["released", "uniform"] = "released"
    """"uniform" declares publicly that classes are balanced; "released" estimates them from the noisy embedding."""
    anchor_weight: NotNegative = 0.0
    """Weight of the embedding's distance in later generator steps (post-processing of the warm start)."""
    early_stopping_rounds: Count = 0
    """Rounds without a better generator after which training ends; 0 for never. The best one is kept, by the distance
    to a tenth of the warm start's release that nothing is fitted to: charged with the release, so looking is free.
    Unless privacy.level is "none" all rounds are run and charged: a private run's end may not depend on its data."""


class Federation(Table):
    """Who trains what, and for how long."""

    algorithm: Text = "fedgan"
    rounds: Count = 0
    """Adversarial rounds after the warm start; none by default: they have not been shown to help at equal epsilon."""
    local_steps: PositiveCount = 20
    """Discriminator steps a client takes in a round; 1 with "fedsgd"."""
    fraction: Fraction = 1.0
    """Part of the clients asked in a round; at level "client" the chance with which each client takes part in one."""
    absence: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Chance with which a client of a simulation's round does not answer: seeded and public, an experiment's design."""
    aggregation: Text = "mean"
    """How the clients' releases become one: a name in the registry of rules."""
    trimmed_part: Annotated[float, Field(gt=0, lt=0.5)] = 0.2
    """Of "trimmed_mean": the part of the values of a coordinate that is left out at each end."""
    faulty_clients: Count = 1
    """Of "krum": the number f of a round's clients that it withstands, of more than 2 f + 2."""
    krum_kept: PositiveCount = 1
    """Of "krum": how many clients it keeps and averages; more than 1 is Multi-Krum."""
    server_optimizer: Text = "none"
    """What the server makes of the clients' aggregated change (not with "fedsgd", where it runs Adam in any case)."""
    server_learning_rate: Positive = 0.01
    server_beta1: Decay = 0.9
    server_beta2: Decay = 0.99
    server_tau: Positive = 1e-3
    """Of adaptive server optimisers: what is added to the root of the second moment, which begins at its square."""
    proximal: NotNegative = 0.0
    """FedProx: mu of mu/2 ||w - w_t||^2, which ties a client's networks to those it was sent; 0 for none."""
    minimum_clients: PositiveCount = 1
    """A round with fewer good replies than this changes nothing, and is asked for again."""
    attempts: PositiveCount = 3
    """How often a round is asked for, if fewer clients answer, before the run stops; --resume asks again."""
    round_timeout: NotNegative = 3600.0
    """Seconds after which a round goes on without clients that have not answered; 0 waits for ever."""
    largest_weight: Annotated[float, Field(ge=1)] = 10.0
    """In sums over records a client counts with at most this many times the records of the median client."""
    generated_images: Count = 0
    """Generated images that go to each client in a round with "dp_fedavg_gan", in place of the generator; 0 for four
    times training.batch_size."""
    compression: Literal["none", "float16", "int8"] = "none"
    """Of arrays on their way, in both directions. What clients send is rounded after their noise is in it; networks
    come back as updates of what went out."""
    time_limit: NotNegative = 0.0
    """Seconds after which no further round starts; 0 for no limit."""


class Privacy(Table):
    """What is promised, to whom, and how it is accounted."""

    level: Literal["record", "client", "none"] = "record"
    """Whose presence is hidden: one record's, or that of one client with everything it holds."""
    trust: Literal["local", "aggregator"] = "local"
    """From whom: with "local" from everybody, as each client adds all the noise itself; with "aggregator" from all but
    the server, which adds it (federation.algorithm "fedsgd", or privacy.level "client")."""
    epsilon: Positive = 10.0
    """The most that this run may spend at `delta`, warm start and all rounds together."""
    delta: ProperFraction = 1e-5
    clip: Positive = 1.0
    """Largest L2 norm of one record's gradient; at level "client" of one client's update."""
    clip_quantile: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """At level "client" the part of updates that the clip, which then adapts, should leave whole; 0 keeps it fixed."""
    warm_start_share: ProperFraction = 0.8
    """The part of epsilon that the warm start alone may spend when rounds follow it."""
    evaluation_epsilon: NotNegative = 0.0
    """What training leaves room for within `epsilon`: that much `fedgan evaluate --private-reads` may spend, once;
    in simulations, since records at sites of a deployment answer no such reads."""
    accountant: Literal["pld", "rdp", "prv"] = "pld"
    clipping_engine: Text = "book_keeping"
    lifetime_epsilon: NotNegative = 0.0
    """The most that a ledger may hold over all runs; 0 means privacy.epsilon."""
    ledgers: Text = ""
    """Folder of ledgers that go on over several runs; empty keeps a run's ledgers in its own folder."""


class Evaluation(Table):
    """How samples are judged, on the held-out test set."""

    metrics: Text = "logistic_regression"
    """Names in the registry of metrics, joined by commas."""
    count: PositiveCount = 5000
    """Generated images that a metric takes."""
    inception_weights: Text = ""
    """File of Inception's weights, for the metric "fid"; empty for torch's cache, filled by a download."""


class Config(Table):
    """One run."""

    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: Annotated[int, Field(ge=0, le=4096)] = 0
    """Threads of torch in each process; 0 takes one a core. Another number of threads may round differently."""
    data: Data = Data()
    partition: Partition = Partition()
    model: Model = Model()
    loss: Loss = Loss()
    training: Training = Training()
    federation: Federation = Federation()
    privacy: Privacy = Privacy()
    evaluation: Evaluation = Evaluation()
