"""How commands end: a run with its result tables and files, a check with its problems; and the exit code of either."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from console.cli import printing
from console.cli.exits import Exit

if TYPE_CHECKING:
    from console.desk.settings import Settings


def report(settings: "Settings", run: str, outputs: Sequence[Path] = (), *, as_json: bool = False) -> Exit:
    """Print the results, write the files, and say with which code to leave.

    A file that cannot be written any more costs neither the others nor what is printed.
    """
    from console.cli.result_text import print_pages
    from console.desk import history, tables
    from console.results.errors import ResultsError

    table = tables.results(settings, (run,))
    unwritten = False
    for output in outputs:
        try:
            tables.save(settings, table, output)
            printing.note(f"{output}: {table.height} rows")
        except ResultsError as error:
            unwritten = True
            printing.error(f"{error}; `instinct export {run} -o FILE` writes it again")
    if as_json:
        printing.data(tables.rendered(settings, table, ".json").decode().rstrip("\n"))
    else:
        print_pages(tables.pages(settings, table))
    ending = history.ending(settings, run)
    printing.note(f"{run}: {ending.ok} ok, {ending.failed} failed, {ending.not_run} not run or stopped")
    if ending.ok == ending.total and ending.total:
        return Exit.CELL if unwritten else Exit.DONE
    return Exit.CONNECT if ending.total and ending.unreachable == ending.total else Exit.CELL


def print_problems(problems: Sequence[str], *, as_json: bool = False) -> Exit:
    """What a check of files found, one line each, and the code to leave with."""
    if as_json:
        printing.json_rows("problems", problems)
    for problem in () if as_json else problems:
        printing.data(problem)
    if not problems:
        printing.note("no problems found")
    return Exit.USAGE if problems else Exit.DONE
