"""`fedgan audit budget`: from the ledgers alone, without torch, with an exit code for a limit."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fedgan.privacy.events import Gaussian
from fedgan.privacy.ledger import Ledger, read_ledger

pytestmark = pytest.mark.privacy

WITHOUT_TORCH = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "torchvision", "flwr", "opacus"):
            raise ImportError(name)

sys.meta_path.insert(0, Blocked())
from fedgan.cli import main
main()
"""


def test_json_has_the_form_of_the_design(fedgan: Callable, finished: tuple[Path, str]) -> None:
    folder, printed = finished
    result = fedgan("audit", "budget", folder, "--json")
    epsilon = json.loads(printed)["epsilon"]
    assert (result.code, result.err) == (0, "")
    document = json.loads(result.out)
    assert [party["epsilon"] for party in document.pop("adversaries")] == [epsilon] * 3
    assert document == {
        "epsilon": epsilon,
        "delta": 1e-4,
        "level": "record",
        "accountant": "pld",
        "limit": None,
        "within_limit": True,
        "clients": [
            {
                "client": f"{number:05d}",
                "records": 479,
                "epsilon": epsilon,
                "delta": 1e-4,
                "charges": 3,
                "head": read_ledger(folder / "ledgers" / f"client-{number:05d}.jsonl")[-1].hash,
                "level": "record",
                "trust": "local",
            }
            for number in range(3)
        ],
        "levels": [
            {
                "level": "record",
                "trust": "local",
                "epsilon": epsilon,
                "delta": 1e-4,
                "neighbours": "add or remove one record of one client",
                "protected": "every single record of every client",
                "from": "everyone, the server and the other clients included",
            }
        ],
        "overlap": "none",
        "notes": [],
    }


@pytest.mark.parametrize(("limit", "code"), [("9.99", 3), ("0", 3), ("10", 0)])
@pytest.mark.parametrize("as_json", [False, True])
def test_a_limit_decides_the_exit_code(fedgan: Callable, run: Path, limit: str, code: int, as_json: bool) -> None:
    result = fedgan("audit", "budget", run, "--limit", limit, *(["--json"] if as_json else []))
    assert result.code == code
    if as_json:
        document = json.loads(result.out)
        assert (document["limit"], document["within_limit"]) == (float(limit), code == 0)
        assert result.err == ""
    else:
        assert result.err == ("" if code == 0 else f"fedgan: over the limit: epsilon 9.993 > {limit}\n")


def test_the_table_shows_every_client_and_all(fedgan: Callable, run: Path) -> None:
    lines = fedgan("audit", "budget", run).out.splitlines()
    head = read_ledger(run / "ledgers" / "client-00001.jsonl")[-1].hash
    row = next(line for line in lines if "00001" in line)
    for word in ("479", "3", "9.993", "0.0001", head[:12]):
        assert f" {word} " in row
    total = next(line for line in lines if " all " in line)
    for word in ("1437", "9", "9.993"):
        assert f" {word} " in total


def test_the_table_shows_level_and_trust_where_they_differ(fedgan: Callable, tmp_path: Path) -> None:
    charge = {"run": "run", "round": 1, "clip": 1.0, "noise_std": 3.0, "delta": 1e-5}
    for client, kind in (("a", {"level": "client", "trust": "aggregator"}), ("b", {})):
        with Ledger.open(tmp_path / f"{client}.jsonl", client=client, dataset=b"", records=10) as ledger:
            ledger.charge(Gaussian(3.0), **charge, **kind)
    said = fedgan("audit", "budget", tmp_path).out
    assert re.search(r"a .* client . +aggr.*\n.*b .* record . +local ", said)
    record, client = (line for line in said.splitlines() if " level: epsilon " in line)
    assert "hides every single record of every client, from everyone but the server" in record
    assert client.startswith("client level: epsilon infinite hides every client")


def test_all_accountants_and_overlapping_clients_in_one_table(fedgan: Callable, run: Path) -> None:
    said = fedgan("audit", "budget", run, "--accountant", "all", "--overlap", "sum").out
    heading = next(line for line in said.splitlines() if "client" in line)
    assert heading.index(" pld ") < heading.index(" prv ") < heading.index(" rdp ")
    total = next(line for line in said.splitlines() if " all " in line)
    assert " 29.979 " in total
    assert re.search(r" 29\.9\d\d-30\.0\d\d ", total)
    assert "hides every person who has at most one record at each client" in said


def test_another_delta_is_another_epsilon(fedgan: Callable, run: Path) -> None:
    smaller = json.loads(fedgan("audit", "budget", run, "--delta", "1e-6", "--json").out)
    assert smaller["delta"] == 1e-6
    assert 9.993 < smaller["epsilon"] < 30


def test_accountants_agree_within_their_slack(fedgan: Callable, run: Path) -> None:
    found = {
        name: json.loads(fedgan("audit", "budget", run, "--accountant", name, "--json").out)["epsilon"]
        for name in ("pld", "rdp", "prv")
    }
    assert found["prv"] == pytest.approx(found["pld"], rel=0.02)
    assert found["pld"] <= found["rdp"] <= 1.5 * found["pld"]


def test_run_ledger_folder_and_file_are_all_paths(fedgan: Callable, run: Path) -> None:
    heads = []
    for path in (run, run / "ledgers", run / "ledgers" / "client-00000.jsonl"):
        heads.append([row["head"] for row in json.loads(fedgan("audit", "budget", path, "--json").out)["clients"]])
    assert heads[0] == heads[1]
    assert heads[2] == heads[0][:1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--delta", "0"], "delta = 0.0 is not accepted"),
        (["--delta", "1"], "delta = 1.0 is not accepted"),
        (["--delta", "nan"], "delta = nan is not accepted"),
        (["--limit", "-1"], "limit = -1.0 is not accepted"),
        (["--limit", "nan"], "limit = nan is not accepted"),
        (["--accountant", "pdl"], "did you mean 'pld'?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_options_are_one_line(refused: Callable, run: Path, options: list[str], words: str) -> None:
    assert words in refused("audit", "budget", run, *options)


def test_a_path_without_a_ledger_is_refused(refused: Callable, tmp_path: Path) -> None:
    assert refused("audit", "budget", tmp_path / "none").startswith(f"{tmp_path / 'none'} does not exist")
    assert refused("audit", "budget", tmp_path).startswith(f"{tmp_path} holds no ledger")


@pytest.mark.parametrize("command", ["budget", "verify"])
def test_it_needs_neither_torch_nor_the_data(run: Path, tmp_path: Path, command: str) -> None:
    for name in ("ledgers", "checkpoints"):
        shutil.copytree(run / name, tmp_path / name)
    for name in ("config.toml", "generator.json", "generator.safetensors"):
        shutil.copy(run / name, tmp_path / name)
    call = [sys.executable, "-c", WITHOUT_TORCH, "audit", command, str(tmp_path), "--json"]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)["clients" if command == "budget" else "ledgers"]) == 3


LOADED = """
import sys
sys.argv[1:] = ["audit", sys.argv[1], sys.argv[2], "--json"]
from fedgan.cli import main
try:
    main()
finally:
    print(",".join(sys.modules), end="", file=sys.stderr)
"""


@pytest.mark.parametrize("command", ["budget", "verify"])
def test_it_loads_nothing_heavy_and_so_starts_in_a_fraction_of_a_second(run: Path, command: str) -> None:
    call = [sys.executable, "-c", LOADED, command, str(run)]
    done = subprocess.run(call, capture_output=True, text=True, timeout=120, check=True)
    heavy = ("torch", "pydantic", "matplotlib", "dp_accounting", "scipy.stats", "scipy.signal", "scipy.optimize")
    assert {*heavy} & {*done.stderr.split(",")} == set()
    assert "fedgan.audit" in done.stderr.split(",")
