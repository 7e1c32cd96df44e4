"""The configuration: every value with where it came from. An option wins over the environment, that over the file."""

import difflib
import getpass
import os
import socket
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Generic, Literal, TypeVar

import msgspec
from platformdirs import user_config_path, user_state_path

from console.desk import action_names

T = TypeVar("T")

Origin = Literal["option", "environment", "file", "default"]

APP = "instinct"
DEFAULT_THEME = "instinct-dark"


class SettingsError(Exception):
    """The configuration cannot be used: which file, which key, and what to do."""


class Value(msgspec.Struct, Generic[T], frozen=True):
    """A setting and its origin; `where` names the option, the variable or the file."""

    value: T
    origin: Origin
    where: str = ""


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `config.toml` may say. Relative paths are relative to the folder of the file."""

    fleet: str | None = None
    """Path of the fleet file."""
    store: str | None = None
    """Folder of the journal, logs and result files."""
    profiles: tuple[str, ...] | None = None
    """Folders of own matrices, servers, models, images and references, beside the shipped ones."""
    operator: str | None = None
    """Your name in claims on shared hosts."""
    token_file: str | None = None
    """File with a Hugging Face token; read only when a model has to be fetched or is gated."""
    theme: str | None = None
    """Theme of the console, such as instinct-light or ansi-dark."""
    keys: dict[str, str] | None = None
    """Other keys for the console's actions, by the name its help shows: `"app.quit" = "ctrl+x"`."""
    read_only: bool | None = None
    """The console starts, stops and removes nothing."""
    ascii: bool | None = None
    """The console draws with ASCII characters alone."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What was said on the command line; None where nothing was."""

    config: Path | None = None
    fleet: Path | None = None
    store: Path | None = None
    profiles: tuple[Path, ...] = ()
    theme: str | None = None
    read_only: bool = False
    ascii: bool = False


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force."""

    config: Value[Path]
    fleet: Value[Path]
    store: Value[Path]
    profiles: Value[tuple[Path, ...]]
    operator: Value[str]
    token_file: Value[Path | None]
    theme: Value[str]
    keys: Value[Mapping[str, str]]
    read_only: Value[bool]
    ascii: Value[bool]

    def items(self) -> tuple[tuple[str, Value[object]], ...]:
        """Name and value of every setting, in the order of the file."""
        return tuple((name, getattr(self, name)) for name in self.__struct_fields__)


def load(options: Options | None = None, env: Mapping[str, str] | None = None) -> Settings:
    """Settle every value. Raises SettingsError on a file that is absent though named, broken, or has unknown keys."""
    options = options or Options()
    env = os.environ if env is None else env
    config, must_exist = _config_path(options, env)
    said = _read(config.value, must_exist=must_exist)
    folder = config.value.parent
    chooser = _Chooser(env, config.value)
    return Settings(
        config=config,
        fleet=chooser.path("fleet", options.fleet, said.fleet, folder / "fleet.toml"),
        store=chooser.path("store", options.store, said.store, user_state_path(APP)),
        profiles=_profiles(options, env, said, config.value),
        operator=chooser.text("operator", said.operator, f"{_user()}@{socket.gethostname()}"),
        token_file=chooser.optional_path("token_file", said.token_file),
        theme=chooser.text("theme", said.theme, DEFAULT_THEME, options.theme),
        keys=Value(said.keys, "file", str(config.value)) if said.keys else Value({}, "default"),
        read_only=chooser.flag("read_only", said.read_only, given=options.read_only),
        ascii=chooser.flag("ascii", said.ascii, given=options.ascii),
    )


def check(path: Path) -> tuple[str, ...]:
    """What is wrong with a configuration file, one line each; empty when nothing is."""
    try:
        said = _read(path, must_exist=True)
    except SettingsError as error:
        return tuple(str(error).splitlines())
    return action_names.problems(said.keys or {}, str(path))


def key_problems(settings: Settings) -> tuple[str, ...]:
    """What is wrong with the keys of the configuration in force, one line each. A wrong name is no error: it may be
    of another release, and commands without screens have no use for it."""
    return action_names.problems(settings.keys.value, settings.keys.where)


def schema() -> dict[str, object]:
    """JSON Schema of `config.toml`."""
    return msgspec.json.schema(ConfigFile)


class _Chooser:
    """Option, then environment, then file, then default."""

    def __init__(self, env: Mapping[str, str], file: Path) -> None:
        self._env = env
        self._file = file

    def flag(self, name: str, said: bool | None, *, given: bool) -> Value[bool]:
        variable = _variable(name)
        if given:
            return Value(True, "option", f"--{name.replace('_', '-')}")
        if self._env.get(variable):
            return Value(self._env[variable].lower() not in ("0", "no", "false"), "environment", variable)
        if said is not None:
            return Value(said, "file", str(self._file))
        return Value(False, "default")

    def text(self, name: str, said: str | None, default: str, option: str | None = None) -> Value[str]:
        variable = _variable(name)
        if option is not None:
            return Value(option, "option", f"--{name}")
        if self._env.get(variable):
            return Value(self._env[variable], "environment", variable)
        if said:
            return Value(said, "file", str(self._file))
        return Value(default, "default")

    def path(self, name: str, option: Path | None, said: str | None, default: Path) -> Value[Path]:
        if option is not None:
            return Value(option.expanduser().absolute(), "option", f"--{name}")
        chosen = self.optional_path(name, said)
        if chosen.value is None:
            return Value(default, "default")
        return Value(chosen.value, chosen.origin, chosen.where)

    def optional_path(self, name: str, said: str | None) -> Value[Path | None]:
        variable = _variable(name)
        if self._env.get(variable):
            return Value(Path(self._env[variable]).expanduser().absolute(), "environment", variable)
        if said:
            return Value(self._file.parent / Path(said).expanduser(), "file", str(self._file))
        return Value(None, "default")


def _variable(name: str) -> str:
    return f"INSTINCT_{name.upper()}"


def _config_path(options: Options, env: Mapping[str, str]) -> tuple[Value[Path], bool]:
    """The configuration file, and whether it must be there: a file that was named must, one in a named folder may."""
    variable = _variable("config")
    origin: Origin
    if options.config is not None:
        path, origin, where = options.config, "option", "--config"
    elif env.get(variable):
        path, origin, where = Path(env[variable]), "environment", variable
    else:
        return Value(user_config_path(APP) / "config.toml", "default"), False
    path = path.expanduser().absolute()
    folder = path.is_dir()
    return Value(path / "config.toml" if folder else path, origin, where), not folder


def _profiles(options: Options, env: Mapping[str, str], said: ConfigFile, file: Path) -> Value[tuple[Path, ...]]:
    if options.profiles:
        return Value(tuple(path.expanduser().absolute() for path in options.profiles), "option", "--profiles")
    variable = _variable("profiles")
    if env.get(variable):
        folders = (Path(part).expanduser().absolute() for part in env[variable].split(os.pathsep) if part)
        return Value(tuple(folders), "environment", variable)
    if said.profiles is not None:
        return Value(tuple(file.parent / Path(part).expanduser() for part in said.profiles), "file", str(file))
    own = file.parent / "profiles"
    return Value((own,) if own.is_dir() else (), "default")


def _read(path: Path, *, must_exist: bool) -> ConfigFile:
    try:
        raw = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if must_exist:
            raise SettingsError(f"{path}: no such configuration file") from None
        return ConfigFile()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from None
    try:
        plain = tomllib.loads(raw)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: not TOML: {error}") from None
    known = ConfigFile.__struct_fields__
    wrong = [f"{path}: unknown key {key!r}{_nearest(key, known)}" for key in plain if key not in known]
    for key in known:
        if key in plain:
            try:
                msgspec.convert({key: plain[key]}, ConfigFile)
            except msgspec.ValidationError as error:
                wrong.append(f"{path}: {key}: {str(error).split(' - at ')[0].lower()}")
    if wrong:
        raise SettingsError("\n".join(wrong))
    return msgspec.convert(plain, ConfigFile)


def _nearest(key: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known keys: {', '.join(known)}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no passwd entry, as in a container with a free user id
        return str(os.getuid())
