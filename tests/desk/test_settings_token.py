"""The token is found where Hugging Face tools put it, and never shown."""

from pathlib import Path

import pytest

from console.desk import settings, token
from console.desk.settings import Options, SettingsError


def load(tmp_path: Path, **env: str) -> settings.Settings:
    return settings.load(Options(config=tmp_path), env)


def test_the_variable_comes_first(tmp_path: Path) -> None:
    env = {"HF_TOKEN": "hf_first", "HF_TOKEN_PATH": "/nowhere"}

    found = token.find(load(tmp_path), env)

    assert found is not None
    assert (found.reveal(), found.origin) == ("hf_first", "HF_TOKEN")


def test_the_configured_file_is_read_and_a_missing_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('token_file = "secret"\n', encoding="utf-8")

    with pytest.raises(SettingsError, match="does not exist"):
        token.find(load(tmp_path), {})
    (tmp_path / "secret").write_text("hf_configured\n", encoding="utf-8")
    found = token.find(load(tmp_path), {})

    assert found is not None
    assert found.reveal() == "hf_configured"


@pytest.mark.parametrize("variable", ["HF_HOME", "XDG_CACHE_HOME", "HOME"])
def test_the_login_file_is_found_as_the_hub_client_finds_it(tmp_path: Path, variable: str) -> None:
    below = {"HF_HOME": ".", "XDG_CACHE_HOME": "huggingface", "HOME": ".cache/huggingface"}[variable]
    folder = tmp_path / below
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "token").write_text("hf_login\n", encoding="utf-8")

    found = token.find(load(tmp_path), {variable: str(tmp_path)})

    assert found is not None
    assert found.reveal() == "hf_login"


def test_no_token_is_no_error(tmp_path: Path) -> None:
    assert token.find(load(tmp_path), {"HF_HOME": str(tmp_path)}) is None


def test_a_token_shows_in_no_representation(tmp_path: Path) -> None:
    found = token.find(load(tmp_path), {"HF_TOKEN": "hf_verysecret"})

    assert "verysecret" not in f"{found!r} {found!s} {[found]}"
