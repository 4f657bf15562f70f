"""The source of noise: its distribution, and that nobody can know or repeat it."""

from __future__ import annotations

from simulations.mutants.mutant import Mutant

_NOISE = "fedgan/privacy/noise.py"
_TESTS = "tests/privacy/test_noise.py"

MUTANTS = (
    Mutant(
        name="noise-over-root-two",
        breaks="the noise has the standard deviation that was charged",
        file=_NOISE,
        before="mul_(-2.0 * std**2)",
        after="mul_(-1.0 * std**2)",
        killed_by=(f"{_TESTS}::test_normals_have_the_stated_distribution[secure]",),
    ),
    Mutant(
        name="pairs-of-noise-alike",
        breaks="the noises of two coordinates are independent, so that their difference does not cancel them",
        file=_NOISE,
        before="sine = torch.sin(angles)",
        after="sine = torch.cos(angles)",
        killed_by=(f"{_TESTS}::test_the_two_normals_of_a_pair_are_independent",),
    ),
    Mutant(
        name="fixed-key",
        breaks="nobody can predict the noise: its key comes from the operating system",
        file=_NOISE,
        before="AES(os.urandom(32)), CTR(os.urandom(16))",
        after="AES(bytes(32)), CTR(bytes(16))",
        killed_by=(f"{_TESTS}::test_global_seeds_change_nothing_and_sources_differ",),
    ),
    Mutant(
        name="noise-from-the-global-generator",
        breaks="a seed that a configuration sets does not decide the noise",
        file=_NOISE,
        before="_box_muller(self._open_uniform(pairs), self.uniform(pairs), std)",
        after="_box_muller(*(1 - torch.rand(2, pairs, dtype=torch.float64)).numpy(), std)",
        killed_by=(f"{_TESTS}::test_global_seeds_change_nothing_and_sources_differ",),
    ),
    Mutant(
        name="fork-repeats-the-noise",
        breaks="no two processes draw the same noise, whose difference would be noiseless",
        file=_NOISE,
        before="if os.getpid() != self._owner:",
        after="if self._owner == 0:",
        killed_by=(f"{_TESTS}::test_a_forked_child_draws_other_noise",),
    ),
    Mutant(
        name="keystream-restarts",
        breaks="a source never gives the same noise twice",
        file=_NOISE,
        before="        if os.getpid() != self._owner:\n            self._rekey()\n",
        after='        self._cipher = Cipher(AES(self._owner.to_bytes(32, "big")), CTR(bytes(16))).encryptor()\n',
        killed_by=(f"{_TESTS}::test_a_source_never_repeats_itself",),
    ),
    Mutant(
        name="low-order-bits-released",
        breaks="a released number holds no low-order bit of the exact sum",
        file=_NOISE,
        before="noisy.div_(spacing).round_().mul_(spacing)",
        after="noisy",
        killed_by=(
            f"{_TESTS}::test_noisy_sums_lie_on_a_grid_that_does_not_depend_on_them",
            f"{_TESTS}::test_sums_closer_than_the_grid_cannot_be_told_apart",
        ),
    ),
    Mutant(
        name="short-tails",
        breaks="normals are as fine in the tails as in the middle",
        file=_NOISE,
        before="(low | np.uint64(1)) * 2.0**-128",
        after="2.0**-64",
        killed_by=(
            f"{_TESTS}::test_radii_have_full_precision_far_into_the_tail[smallest uniform]",
            f"{_TESTS}::test_radii_have_full_precision_far_into_the_tail[far tail]",
        ),
    ),
)
