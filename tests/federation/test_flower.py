"""The same run on Flower's own engines: Ray workers, and a SuperLink of its own started by `flwr run`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic, sleep

import pytest
from flwr.cli.build import build_fab_from_disk
from safetensors.torch import load_file

from fedgan.config import Config, config_from_flat, flatten, to_toml
from fedgan.federation.simulation import Outcome

ROOT = Path(__file__).parents[2]
MakeConfig = Callable[..., Config]


def app_table() -> dict[str, object]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["flwr"]["app"]


def test_flowers_configuration_is_ours() -> None:
    found = flatten(app_table()["config"])  # type: ignore[arg-type]
    assert found.pop("output") == ""
    wanted = flatten(Config().model_dump())
    assert found == wanted
    assert [type(value) for value in found.values()] == [type(wanted[key]) for key in found]
    assert config_from_flat(found) == Config()


def test_the_apps_are_where_flower_looks() -> None:
    assert app_table()["components"] == {"serverapp": "server.app:app", "clientapp": "client.app:app"}


@pytest.fixture
def flower_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give Flower a home of its own, and end every process that still has it when the test is over."""
    home = tmp_path / "flower"
    settings = {
        "FLWR_HOME": str(home),
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    monkeypatch.delenv("FLWR_HOME", raising=False)
    with monkeypatch.context() as patch:
        for name, value in settings.items():
            patch.setenv(name, value)
        yield home
    for process in processes_of(home):
        os.kill(process, signal.SIGKILL)


def processes_of(home: Path) -> list[int]:
    """Return the processes, other than this one, whose environment names `home`."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            named = f"FLWR_HOME={home}".encode() in environment.read_bytes().split(b"\0")
        except OSError:  # it ended, or is somebody else's
            continue
        if named and int(environment.parent.name) != os.getpid():
            found.append(int(environment.parent.name))
    return found


def assert_same_weights(found: Path, wanted: Path) -> None:
    left, right = load_file(found), load_file(wanted)
    assert left.keys() == right.keys()
    assert max(float((left[name] - right[name]).abs().max()) for name in left) <= 1e-5


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_rays_workers_give_the_same_generator(
    tiny_config: MakeConfig, run: Callable[..., Outcome], tmp_path: Path, flower_home: Path
) -> None:
    config = tiny_config("privacy.level='none'", "evaluation.count=200")
    (tmp_path / "run.toml").write_text(to_toml(config))
    program = "from fedgan.cli import main; main()"
    arguments = ["simulate", "run.toml", "--engine", "flower", "--output", "ray", "--quiet"]
    subprocess.run([sys.executable, "-c", program, *arguments], cwd=tmp_path, check=True, timeout=300)
    run(config, tmp_path / "local")
    assert_same_weights(tmp_path / "ray" / "generator.safetensors", tmp_path / "local" / "generator.safetensors")
    deadline = monotonic() + 30
    while processes_of(flower_home) and monotonic() < deadline:
        sleep(0.5)
    assert processes_of(flower_home) == []


@pytest.mark.slow
@pytest.mark.timeout(500)
def test_flwr_run_gives_the_same_generator(
    tiny_config: MakeConfig, run: Callable[..., Outcome], tmp_path: Path, flower_home: Path
) -> None:
    config = tiny_config("privacy.level='none'", "partition.clients=2", "training.discriminator_steps='adaptive'")
    (tmp_path / "run.toml").write_text(f'output = "{tmp_path / "flwr"}"\n{to_toml(config)}')
    arguments = ["run", str(ROOT), "local", "--stream", "--federation-config", "num-supernodes=2"]
    subprocess.run(
        ["flwr", *arguments, "--run-config", str(tmp_path / "run.toml")], cwd=tmp_path, check=True, timeout=400
    )
    run(config, tmp_path / "local")
    assert_same_weights(tmp_path / "flwr" / "generator.safetensors", tmp_path / "local" / "generator.safetensors")


@pytest.mark.slow
def test_a_bundle_holds_the_library_and_the_apps_alone() -> None:
    from io import BytesIO
    from zipfile import ZipFile

    names = ZipFile(BytesIO(build_fab_from_disk(ROOT))).namelist()
    assert {name.partition("/")[0] for name in names} == {
        ".info",
        "LICENSE",
        "README.md",
        "client",
        "fedgan",
        "pyproject.toml",
        "server",
    }
    assert {"server/app.py", "client/app.py", "fedgan/federation/vault.py"} <= set(names)
