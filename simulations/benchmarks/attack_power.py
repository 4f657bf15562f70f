"""What `fedgan audit attack` proves: lower bounds of gradient canaries beside what is claimed.

    python -m simulations.benchmarks.attack_power [--epsilons 1 5 10] [--canaries 1000] [--seeds 3]

Five clients train on digits for 100 discriminator steps at delta 1e-5 without a warm start; the smallest (125 records,
half of them in each batch) has the canaries. "off" is level none held against a claim of 1. Each row is the mean over
seeds; the last column counts seeds with a bound above the claim, which a sound build has at most one in 20 of where
there is noise, and always without. Prints a line of JSON at the end.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory
from time import monotonic
from typing import Any

from fedgan.audit.attack.findings import Finding, judge_all
from fedgan.config import load_config
from fedgan.federation.attack.run import run_with_canaries, watched_sites
from fedgan.federation.attack.sites import Canaries

CONFIG = Path(__file__).parents[2] / "configs" / "digits.toml"
SETTINGS = ["training.warm_start=none", "model.width=32", "privacy.delta=1e-5", "threads=1"]


def audit(epsilon: float | None, canaries: int, seed: int) -> Finding:
    """Return what gradient canaries prove at a claimed `epsilon`, or with the noise off against a claim of 1."""
    privacy = ["privacy.level=none"] if epsilon is None else [f"privacy.epsilon={epsilon}"]
    config = load_config(CONFIG, [*SETTINGS, *privacy])
    with TemporaryDirectory() as folder:
        sites = watched_sites(config, Path(folder), Canaries((), canaries, 0, 0, seed))
        claim = 1.0 if epsilon is None else None
        evidence = run_with_canaries(config, Path(folder), sites, lambda done: None, claim=claim)
    return judge_all(evidence, confidence=0.95)[0]


def row(epsilon: float | None, canaries: int, seeds: int) -> dict[str, Any]:
    """Return one row of the table."""
    begun = monotonic()
    findings = [audit(epsilon, canaries, seed) for seed in range(seeds)]
    bounds = {
        method: round(mean(finding.bounds[index].epsilon for finding in findings), 2)
        for index, method in enumerate(bound.method for bound in findings[0].bounds)
    }
    return {
        "noise": "off" if epsilon is None else "on",
        "claimed": 1.0 if epsilon is None else epsilon,
        "canaries": canaries,
        "seeds": seeds,
        **bounds,
        "auc": round(mean(finding.auc for finding in findings), 3),
        "above_claim": sum(finding.exceeded for finding in findings),
        "seconds": round((monotonic() - begun) / seeds, 1),
    }


def main() -> None:
    """Run every setting and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epsilons", type=float, nargs="+", default=[1.0, 5.0, 10.0])
    parser.add_argument("--canaries", type=int, nargs="+", default=[1000])
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print("noise claimed canaries  one-run   f-DP    C-P    AUC  above the claim  seconds a run")
    rows = []
    for epsilon in [None, *arguments.epsilons]:
        for canaries in arguments.canaries:
            one = row(epsilon, canaries, arguments.seeds)
            rows.append(one)
            print(
                f"{one['noise']:>5} {one['claimed']:7.1f} {canaries:8d} "
                f"{one['one_run']:8.2f} {one['one_run_f_dp']:6.2f} {one['clopper_pearson']:6.2f} {one['auc']:6.3f} "
                f"{one['above_claim']:7d} of {one['seeds']:<4d}{one['seconds']:12.1f}",
                flush=True,
            )
    print(json.dumps({"benchmark": "attack_power", "delta": 1e-5, "confidence": 0.95, "rows": rows}))


if __name__ == "__main__":
    main()
