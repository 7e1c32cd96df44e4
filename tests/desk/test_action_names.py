"""Names of the console's actions in the configuration: the same as on the screens, and mistakes are named."""

import importlib
from pathlib import Path

from console.desk import action_names, desk
from console.desk.settings import Options, check, load
from console.tui.app import SCREENS
from console.tui.keys import EVERYWHERE, of_widget
from console.tui.widgets.grid import Grid
from console.tui.widgets.logs import LogView


def test_the_names_are_those_of_the_screens() -> None:
    shown = {key.id for key in (*EVERYWHERE, *of_widget(Grid.BINDINGS), *of_widget(LogView.BINDINGS))}
    for name in SCREENS:
        module = importlib.import_module(f"console.tui.screens.{name}.screen")
        shown |= {key.id for key in getattr(module, f"{name.capitalize()}Screen").KEYS}

    assert shown == action_names.ACTIONS


def test_a_wrong_name_is_told_with_the_nearest_one(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\n"fleet.badfirst" = "f6"\n"app.quit" = "ctrl+x"\n')
    told = f"{file}: keys: no action is called 'fleet.badfirst'; did you mean 'fleet.bad_first'?"

    assert check(file) == (told,)
    assert told in desk.problems(load(Options(config=file, store=tmp_path / "store"), {}))


def test_an_action_without_a_key_is_told(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[keys]\n"app.quit" = ""\n')

    assert check(file) == (f"{file}: keys: 'app.quit' is given no key",)


def test_a_configuration_with_a_wrong_name_can_be_used_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[keys]\n"of.another.release" = "f6"\n')

    assert load(Options(config=tmp_path), {}).keys.value == {"of.another.release": "f6"}
