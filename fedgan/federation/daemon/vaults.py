"""The site's records, loaded once, and the vault for whatever configuration a request is asked under."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from fedgan.config import Config, config_from_flat
from fedgan.data import ImageDataset, load_data
from fedgan.errors import UsageError, bad_value
from fedgan.federation.components import training_of
from fedgan.federation.daemon.policy import check_config, check_plan, check_size, check_weights
from fedgan.federation.daemon.site import Site, SiteFolder
from fedgan.federation.daemon.wire import Asked
from fedgan.federation.names import check_names
from fedgan.federation.planning import batch_of, draws_from_everybody, plan_of
from fedgan.federation.requests import Description, EmbedRequest, Release, TrainRequest
from fedgan.federation.vault import Vault
from fedgan.privacy.ledger import read_ledger
from fedgan.privacy.ledger_signing import check_signed
from fedgan.privacy.signature import load_private_key, signature_path


class SiteVaults:
    """Answers requests out of one site's records, each by a vault that fits the run's configuration and the policy.

    What a configuration says of data, machine and ledger is not read: the site's own file says it.

    Args:
        folder, site: of this party.
    """

    def __init__(self, folder: SiteFolder, site: Site) -> None:
        self._folder = folder
        self._site = site
        self._records = _load(folder, site)
        self._key = load_private_key(folder.path / site.sign_key, "sign_key") if site.sign_key else None
        self._vault = lru_cache(maxsize=4)(self._new_vault)

    def describe(self) -> Description:
        """Return what is public about this party, its ledger included."""
        records = self._records
        shape, classes = records.image_shape, records.num_classes
        return Description(self._site.client, len(records), shape, classes, self._ledger(), self._signature())

    def embed(self, request: EmbedRequest, asked: Asked) -> Release:
        """Return the warm start's release; raises Refusal, AgainstPolicy or UsageError."""
        return self._with_ledger(self._vault_for(asked, request.everybody).embed(request))

    def train(self, request: TrainRequest, asked: Asked) -> Release:
        """Return a round's release; raises Refusal, AgainstPolicy or UsageError."""
        return self._with_ledger(self._vault_for(asked, request.everybody).train(request))

    def check_size(self, size: int) -> None:
        """Raise AgainstPolicy for a request of `size` bytes that no allowed run would send."""
        check_size(self._site.policy, size)

    def check_ledger(self) -> None:
        """Check the ledger before anything is asked; one torn by a crash is repaired when it is next charged.

        Raises:
            IntegrityError: it is damaged, or its signature does not fit.
            UsageError: it is signed, and not with this site's key.
        """
        ledger = self._folder.ledger
        if ledger.is_file() and ledger.read_bytes().endswith(b"\n"):
            check_signed(ledger, read_ledger(ledger), self._key)

    def _vault_for(self, asked: Asked, everybody: int) -> Vault:
        config = config_from_flat(asked.config)
        machine = self._site.machine
        return self._vault(
            config.model_copy(update={"device": machine.device, "threads": machine.threads}),
            max(everybody, len(self._records)),
        )

    def _new_vault(self, config: Config, everybody: int) -> Vault:
        policy, records = self._site.policy, self._records
        check_config(policy, config)
        check_names(config)
        check_weights(policy, config, image_shape=records.image_shape, num_classes=records.num_classes)
        drawn_from = everybody if draws_from_everybody(config) else len(records)
        if (size := batch_of(config)) > drawn_from:
            raise bad_value("training.batch_size", size, f"at most {drawn_from} records")
        plan = plan_of(config, records=len(records), everybody=everybody)
        check_plan(policy, plan)
        return Vault(
            self._site.client,
            records,
            plan=plan,
            ledger=self._folder.ledger,
            lifetime_epsilon=policy.epsilon,
            training=training_of(config, records.image_shape, records.num_classes),
            seed=config.seed,
            sign_key=self._key,
        )

    def _with_ledger(self, release: Release) -> Release:
        return replace(release, ledger=self._ledger(), signature=self._signature())

    def _ledger(self) -> str:
        """Return the ledger's whole lines; a torn one is nobody's business until it is repaired."""
        if not self._folder.ledger.is_file():
            return ""
        content = self._folder.ledger.read_bytes()
        return content[: content.rfind(b"\n") + 1].decode()

    def _signature(self) -> str:
        """Return what signs the ledger, or ""; after a crash it may be under the line before the last."""
        path = signature_path(self._folder.ledger)
        return path.read_text(encoding="utf-8") if path.is_file() else ""


def _load(folder: SiteFolder, site: Site) -> ImageDataset:
    data = site.data
    root = folder.path / data.root if data.root else None
    train = load_data(data.name, root=root, image_size=data.image_size, channels=data.channels).train
    if data.classes == 0:
        return train
    if train.num_classes > data.classes:
        raise UsageError(f"{folder.config}: data.classes = {data.classes}, but a label is {train.num_classes - 1}")
    return replace(train, num_classes=data.classes)
