"""`instinct` and `python -m console`. The version is answered before anything else is imported."""

import sys


def main() -> None:
    """Run the command line and leave with its exit code."""
    if sys.argv[1:] in (["--version"], ["-V"]):
        from console import __version__

        print(f"instinct {__version__}")
        return
    from console.cli.main import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
