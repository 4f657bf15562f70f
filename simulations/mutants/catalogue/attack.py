"""Audits by canaries: their rows are in the audit's own run, at the clients chosen, and nowhere else."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_VAULT_TESTS = "tests/federation/attack/test_vault.py"

MUTANTS = (
    Mutant(
        name="canaries-in-an-ordinary-run",
        breaks="an ordinary run trains on its clients' own records alone",
        file="fedgan/federation/sites.py",
        before="    return Sites(config, ledgers, sign_key)\n",
        after="    from fedgan.federation.attack.sites import Canaries, WatchedSites\n\n"
        "    return WatchedSites(config, ledgers, Canaries((), directions=0, images=8, members=0, seed=0))\n",
        killed_by=("tests/federation/test_simulation.py::test_a_run_spends_what_was_planned",),
    ),
    Mutant(
        name="audits-loaded-by-an-ordinary-run",
        breaks="no module of an ordinary run knows of canaries",
        file="fedgan/federation/simulation.py",
        before="from fedgan.federation.sites import ",
        after="import fedgan.federation.attack.vault\nfrom fedgan.federation.sites import ",
        killed_by=(f"{_VAULT_TESTS}::test_no_module_of_an_ordinary_run_imports_canaries",),
    ),
    Mutant(
        name="canaries-at-every-client",
        breaks="canaries are at the clients chosen and nowhere else",
        file="fedgan/federation/attack/sites.py",
        before="        chosen = self.canaries.clients or (client_name(self.smallest),)\n",
        after="        chosen = [client_name(index) for index in range(len(self))]\n",
        killed_by=("tests/federation/attack/test_run.py::test_canaries_are_at_the_clients_chosen_and_nowhere_else",),
    ),
    Mutant(
        name="canaries-in-the-warm-start",
        breaks="rows that stand for a direction are in no embedding, as the claim about them takes for granted",
        file="fedgan/federation/attack/records.py",
        before="replace(self, included=self.included & (self.directions == 0))",
        after="replace(self, directions=torch.zeros_like(self.directions))",
        killed_by=(
            f"{_VAULT_TESTS}::test_the_warm_start_sums_the_rows_that_are_there_and_have_an_image",
            "tests/federation/attack/test_records.py::test_the_view_without_directions_is_the_same_data_set_with_fewer_rows",
        ),
    ),
)
