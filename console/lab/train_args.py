"""Which training program a command line means, whatever set-up script it is wrapped in."""

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["fsdp", "titan", "flux", "llama2", "llama3", "deepseek"]

_PROGRAMS: tuple[tuple[str, Kind], ...] = (
    (r"(?:^|[\s/])train_fsdp\.py\b", "fsdp"),
    (r"(?:^|[\s/\"=])run_llama_train\.sh\b", "titan"),
    (r"(?:^|[\s/])train_llama3\.sh\b", "llama3"),
    (r"(?:^|[\s/])train_llama2\.sh\b", "llama2"),
    (r"(?:^|[\s/])train_deepseekv2\.sh\b", "deepseek"),
    (r"(?:^|[\s/])launcher\.py\b", "flux"),
)
_SHELLS = ("bash", "sh", "dash")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_CACHE_FOLDER = re.compile(r"models--([\w.-]+)--([\w.-]+)")
_SAYS = re.compile(r"^(?:.*')?([a-z][a-z -]*set-up: )", re.MULTILINE)


@dataclass(frozen=True)
class Asked:
    """A recognised command line. `words` are the program's own and a wrapper's arguments, `script` a wrapper's text."""

    kind: Kind
    words: tuple[str, ...]
    script: str = ""

    @property
    def text(self) -> str:
        """All words in one line."""
        return " ".join(self.words)

    @property
    def says(self) -> str:
        """How the wrapper begins the line that says why it gives up; empty without such a wrapper."""
        found = _SAYS.search(self.script)
        return found[1] if found else ""

    @property
    def repositories(self) -> tuple[str, ...]:
        """Model repositories among the wrapper's arguments."""
        if not self.script:
            return ()
        named = [word for word in self.words if _REPOSITORY.fullmatch(word) and "." not in word.rpartition("/")[0]]
        named += ["/".join(found.groups()) for word in self.words if (found := _CACHE_FOLDER.fullmatch(word))]
        return tuple(one for one in dict.fromkeys(named) if not one.startswith(("examples/", "configs/", "original/")))

    def option(self, name: str, default: int) -> int:
        """A whole number given as `--x.name 3`, `--name=3` or `name=3`."""
        found = re.search(rf"(?:^|[\s.-]){name}[ =]+(\d+)", self.text)
        return int(found[1]) if found else default


def recognise(argv: tuple[str, ...]) -> Asked | None:
    """The training program of a command line, by the words after a wrapper's text, else by that text; None if none."""
    words, script = argv, ""
    if argv and argv[0].rpartition("/")[2] in _SHELLS and len(argv) > 2 and re.fullmatch(r"-\w*c", argv[1]):
        script, words = argv[2], argv[4:]
    for text in (" ".join(words), script):
        for pattern, kind in _PROGRAMS:
            if re.search(pattern, text):
                return Asked(kind, words, script)
    return None
