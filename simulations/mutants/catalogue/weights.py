"""How much a client counts: alike where whole clients are hidden, and never more than its records elsewhere."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_INSPECTION = "fedgan/federation/inspection.py"
_TESTS = "tests/federation/test_weights.py"

MUTANTS = (
    Mutant(
        name="whole-clients-weighed-by-their-claims",
        breaks="the presence of one client changes nothing of what others add to the warm start's sum",
        file=_INSPECTION,
        before="(good if whole_clients else [self.weights.apply(release) for release in good])",
        after="[self.weights.apply(release) for release in good]",
        killed_by=(f"{_TESTS}::test_the_embeddings_of_whole_clients_weigh_alike_whatever_they_claim",),
    ),
    Mutant(
        name="networks-weighed-by-claims",
        breaks="updates of clients have one weight, whatever the clients claim to hold",
        file=_INSPECTION,
        before="([self.weights.apply(release) for release in good] if summed else good)",
        after="[self.weights.apply(release) for release in good]",
        killed_by=(f"{_TESTS}::test_the_networks_of_clients_weigh_alike_whatever_they_claim",),
    ),
    Mutant(
        name="sums-scaled-up",
        breaks="no weight makes a record add more to a sum than its clip, which the server's noise is for",
        file="fedgan/federation/weights.py",
        before="return [min(number, int(most)) for",
        after="return [int(most) for",
        killed_by=(f"{_TESTS}::test_a_sum_is_scaled_to_the_records_its_client_counts_with",),
    ),
)
