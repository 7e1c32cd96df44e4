"""Settings say where they came from, and bad ones are refused with the key and the nearest known one."""

import os
from pathlib import Path

import pytest

from console.desk import settings
from console.desk.settings import Options, SettingsError


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_an_option_wins_over_the_environment_and_that_over_the_file(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", 'fleet = "a.toml"\nstore = "state"\noperator = "file"\n')
    env = {"INSTINCT_FLEET": "/env/fleet.toml", "INSTINCT_OPERATOR": "env"}
    options = Options(config=file, fleet=Path("/option/fleet.toml"))

    got = settings.load(options, env)

    assert (got.fleet.value, got.fleet.origin, got.fleet.where) == (Path("/option/fleet.toml"), "option", "--fleet")
    assert (got.operator.value, got.operator.origin, got.operator.where) == ("env", "environment", "INSTINCT_OPERATOR")
    assert (got.store.value, got.store.origin, got.store.where) == (tmp_path / "state", "file", str(file))
    assert settings.load(Options(config=file), {}).fleet.value == tmp_path / "a.toml"


def test_without_anything_said_every_value_is_a_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))

    got = settings.load(env={})

    assert {value.origin for _, value in got.items()} == {"default"}
    assert got.fleet.value == tmp_path / "config" / "instinct" / "fleet.toml"
    assert got.store.value == tmp_path / "state" / "instinct"
    assert "@" in got.operator.value


def test_a_folder_named_as_configuration_brings_its_fleet_file_and_its_profiles(tmp_path: Path) -> None:
    (tmp_path / "profiles").mkdir()

    got = settings.load(Options(config=tmp_path), {})

    assert got.config.value == tmp_path / "config.toml"
    assert got.fleet.value == tmp_path / "fleet.toml"
    assert got.profiles.value == (tmp_path / "profiles",)


def test_several_profile_folders_may_come_from_the_environment(tmp_path: Path) -> None:
    env = {"INSTINCT_PROFILES": os.pathsep.join(["/a", "/b"])}

    assert settings.load(Options(config=tmp_path), env).profiles.value == (Path("/a"), Path("/b"))


def test_a_named_file_that_is_absent_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.toml: no such configuration file"):
        settings.load(Options(config=tmp_path / "nowhere.toml"), {})


def test_all_problems_of_a_file_are_told_at_once_with_the_nearest_key(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", 'flet = "x"\nstore = 3\n')

    assert settings.check(file) == (
        f"{file}: unknown key 'flet'; did you mean 'fleet'?",
        f"{file}: store: expected `str | null`, got `int`",
    )


def test_broken_toml_names_its_line(tmp_path: Path) -> None:
    file = write(tmp_path / "config.toml", 'fleet = "x"\nstore = \n')

    with pytest.raises(SettingsError, match=r"not TOML: .*line 2"):
        settings.load(Options(config=file), {})


def test_the_schema_knows_every_key_and_allows_no_other() -> None:
    definition = settings.schema()["$defs"]["ConfigFile"]  # type: ignore[index]  # JSON Schema is plain data

    assert set(definition["properties"]) == {
        "fleet",
        "store",
        "profiles",
        "operator",
        "token_file",
        "theme",
        "keys",
        "read_only",
        "ascii",
    }
    assert definition["additionalProperties"] is False
