"""A configuration is read as it was written, and every mistake in it is named with its place."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from fedgan.config import Config, config_from_flat, flatten, load_config
from fedgan.errors import UsageError

FILE = """# how to run it
seed = 3

[privacy]
# budget
epsilon = 2
delta = 1e-4

[training]
discriminator_steps = "adaptive"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(FILE)
    return path


def refusal(path: Path | None, *overrides: str) -> str:
    with pytest.raises(UsageError) as caught:
        load_config(path, overrides)
    return str(caught.value)


def test_without_anything_it_is_the_defaults() -> None:
    assert load_config() == Config()


def test_a_file_sets_what_it_names_and_nothing_else(file: Path) -> None:
    changed = {"seed": 3, "privacy.epsilon": 2.0, "privacy.delta": 1e-4, "training.discriminator_steps": "adaptive"}
    assert flatten(load_config(file).model_dump()) == {**flatten(Config().model_dump()), **changed}


def test_a_whole_number_is_a_number(file: Path) -> None:
    assert type(load_config(file).privacy.epsilon) is float


def test_overrides_win_over_the_file_and_the_last_over_the_first(file: Path) -> None:
    config = load_config(file, ["privacy.epsilon=7", "seed=4", "seed=5"])
    assert (config.privacy.epsilon, config.seed, config.privacy.delta) == (7.0, 5, 1e-4)


@pytest.mark.parametrize("item", ["privacy.level=none", 'privacy.level="none"', " privacy.level = 'none' "])
def test_an_override_needs_no_quotes(item: str) -> None:
    assert load_config(None, [item]).privacy.level == "none"


def test_a_configuration_is_frozen() -> None:
    with pytest.raises(ValidationError):
        load_config().privacy.epsilon = 100.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("\n[privacy]\n\nepsilon = 0\n", 4, "privacy.epsilon = 0 is not accepted: give a finite number greater than 0"),
        ("[privacy]\nclip = 1\n[privcy]\nepsilon = 1\n", 4, "unknown key: did you mean 'privacy.epsilon'?"),
        ("# x\nsed = 1\n", 2, "sed is an unknown key: did you mean 'seed'?"),
        ("seed = 1\n\n[privcy]\n", 3, "privcy is an unknown table: did you mean 'privacy'?"),
        ("seed = 1\nprivacy.delta = 1\n", 2, "privacy.delta = 1 is not accepted"),
        ("seed = 1\nprivacy = {clip = 1, delta = 1}\n", 2, "privacy.delta = 1 is not accepted"),
        ("\n[ privacy ]\n'delta' = 1\n", 3, "privacy.delta = 1 is not accepted"),
        ("seed = 1\n[privacy]\nepsilon = [\n1,\n]\n", 5, "privacy.epsilon = [1] is not accepted: give a number"),
        ("seed = 1\n[data]\nroot = 2020-01-01\n", 3, "data.root = datetime.date(2020, 1, 1) is not accepted"),
        ("seed = 1\nprivacy = 5\n", 2, "privacy is a table, not a value"),
        ("[model]\nname = 'x'\n[loss]\nname = 3\n", 4, "loss.name = 3 is not accepted: give a string"),
        (
            "[privacy]\ntrust = 'server'\n",
            2,
            "privacy.trust = 'server' is not accepted: give one of 'local', 'aggregator'",
        ),
    ],
)
def test_a_mistake_in_a_file_is_named_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    message = refusal(path)
    assert message.startswith(f"{path}:{line}: ")
    assert words in message
    assert "\n" not in message


def test_broken_toml_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_text("seed = 1\n[privacy\n")
    assert refusal(path).startswith(f"{path}: not valid TOML: ")
    assert "line 2" in refusal(path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    assert refusal(missing) == f"{missing}: cannot read the configuration: No such file or directory"
    assert refusal(tmp_path) == f"{tmp_path}: cannot read the configuration: Is a directory"
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    assert refusal(tmp_path / "binary.toml").endswith("cannot read the configuration: not UTF-8 text")


def test_a_mistake_in_an_override_is_not_blamed_on_the_file(file: Path) -> None:
    assert refusal(file, "privacy.epsilon=-1").startswith("--set: privacy.epsilon = -1 is not accepted")
    assert refusal(file, "privacy.foo=1").startswith("--set: privacy.foo is an unknown key")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("privacy.epsilonn", "privacy.epsilon"),
        ("privcy.epsilon", "privacy.epsilon"),
        ("privcy.epsilonn", "privacy.epsilon"),
        ("epsilon", "privacy.epsilon"),
        ("batch_size", "training.batch_size"),
        ("training.batchsize", "training.batch_size"),
        ("training.rounds", "federation.rounds"),
        ("models.name", "model.name"),
        ("loss.nme", "loss.name"),
        ("thread", "threads"),
    ],
)
def test_the_nearest_key_is_offered(given: str, meant: str) -> None:
    assert refusal(None, f"{given}=1") == f"--set: {given} is an unknown key: did you mean {meant!r}?"


def test_without_a_near_key_the_choice_is_shown() -> None:
    assert refusal(None, "data.qqq=1") == "--set: data.qqq is an unknown key: data has name, root, image_size, channels"
    tables = "data, evaluation, federation, loss, model, partition, privacy, training"
    assert refusal(None, "qqq=1") == f"--set: qqq is an unknown key: the tables are {tables}"


@pytest.mark.parametrize(
    ("item", "meant"), [("device=gpu", "cpu"), ("privacy.level=records", "record"), ("privacy.accountant=pdl", "pld")]
)
def test_the_nearest_word_is_offered(item: str, meant: str) -> None:
    assert f"is not accepted: did you mean {meant!r}? give one of " in refusal(None, item)


@pytest.mark.parametrize("item", ["novalue", "=3", " =3", ""])
def test_an_override_is_key_and_value(item: str) -> None:
    assert refusal(None, item) == f"--set {item}: give KEY=VALUE, for example privacy.epsilon=1"


@pytest.mark.parametrize("value", ["{a=1}", "{}", "[1]", "2020-01-01", "true", '"1"', "1\n[privacy]\nepsilon=2"])
def test_an_override_is_one_scalar_of_the_right_kind(value: str) -> None:
    message = refusal(None, f"seed={value}")
    assert message.startswith("--set: seed = ")
    assert message.endswith("give a whole number at least 0 and less than 2147483648")


def test_flowers_flat_configuration_is_the_same_configuration(file: Path) -> None:
    config = load_config(file)
    assert config_from_flat(flatten(config.model_dump())) == config


def test_a_mistake_in_flowers_configuration_is_named() -> None:
    with pytest.raises(UsageError, match=r"^run config: privacy\.epsilon = 0 is not accepted"):
        config_from_flat({"privacy.epsilon": 0})
    with pytest.raises(UsageError, match=r"^run config: privacy\.epsilo is an unknown key: did you mean"):
        config_from_flat({"privacy.epsilo": 1})
