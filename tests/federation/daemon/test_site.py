"""A site's file is read strictly, and a mistake in it is one line with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from fedgan.errors import UsageError
from fedgan.federation.daemon.site import SiteFolder, load_site
from fedgan.federation.daemon.vaults import SiteVaults


def folder_with(path: Path, text: str) -> SiteFolder:
    folder = SiteFolder(path)
    folder.config.write_text(text)
    return folder


def test_the_defaults_allow_nothing_without_noise_of_the_sites_own(tmp_path: Path) -> None:
    policy = load_site(folder_with(tmp_path, 'client = "00007"\n')).policy
    assert policy.levels == ["record"]
    assert policy.trusts == ["local"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('client = "00000"\n[policy]\nepsilon = -1\n', r"client.toml:3: policy.epsilon: .*greater than 0"),
        ('client = "00000"\n[policy]\nepsilonn = 1\n', r"client.toml:3: policy.epsilonn: this key is unknown"),
        ('client = "00000"\n[policy]\nlevels = ["all"]\n', r"client.toml:3: policy.levels: .*'client'"),
        ('client = "../x"\n', r"client.toml:1: client: .*pattern"),
        ("[policy]\n", r"client.toml: client: .*required"),
        ("client = ", r"client.toml: not valid TOML"),
    ],
    ids=["value", "key", "choice", "name", "missing", "toml"],
)
def test_a_mistake_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_site(folder_with(tmp_path, text))


def test_a_missing_file_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="fedgan provision"):
        load_site(SiteFolder(tmp_path))


def test_labels_beyond_the_agreed_classes_are_refused(site: SiteFolder) -> None:
    site.config.write_text(site.config.read_text().replace("classes = 4", "classes = 3"))
    with pytest.raises(UsageError, match=r"data.classes = 3, but a label is 3"):
        SiteVaults(site, load_site(site))
