"""Where a Hugging Face token may come from. It is read only when needed, and never printed."""

import os
from collections.abc import Mapping
from pathlib import Path

from console.desk.settings import Settings, SettingsError


class Token:
    """A secret and its origin. Only `reveal` gives the value; it shows in no repr, log or traceback."""

    __slots__ = ("_value", "origin")

    def __init__(self, value: str, origin: str) -> None:
        self._value = value
        self.origin = origin

    def reveal(self) -> str:
        """The secret itself, for a container's stdin."""
        return self._value

    def __repr__(self) -> str:
        return f"Token(from {self.origin})"


def find(settings: Settings, env: Mapping[str, str] | None = None) -> Token | None:
    """The token in force, or None: `HF_TOKEN`, the configured file, `HF_TOKEN_PATH`, then the file of `hf auth login`.

    Raises SettingsError when a file that was named cannot be read.
    """
    env = os.environ if env is None else env
    for variable in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if value := env.get(variable, "").strip():
            return Token(value, variable)
    if (configured := settings.token_file.value) is not None:
        return _from_file(configured, settings.token_file.where, named=True)
    if named := env.get("HF_TOKEN_PATH"):
        return _from_file(Path(named).expanduser(), "HF_TOKEN_PATH", named=True)
    return _from_file(login_file(env), "hf auth login", named=False)


def login_file(env: Mapping[str, str]) -> Path:
    """The file `hf auth login` writes, as huggingface_hub finds it."""
    if home := env.get("HF_HOME"):
        return Path(home).expanduser() / "token"
    cache = env.get("XDG_CACHE_HOME") or str(Path(env.get("HOME") or Path.home()) / ".cache")
    return Path(cache).expanduser() / "huggingface" / "token"


def _from_file(path: Path, where: str, *, named: bool) -> Token | None:
    try:
        value = path.read_text(encoding="utf-8").strip()
    except (FileNotFoundError, NotADirectoryError):
        if named:
            raise SettingsError(f"{path}: the token file named by {where} does not exist") from None
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the token file cannot be read: {type(error).__name__}") from None
    return Token(value, f"{where} ({path})") if value else None
