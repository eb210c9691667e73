"""The command `chunkygan`: finds the sub-command, runs it, and turns every error into one message and an exit code.

0 done; 1 a fault of ours; 2 the user's mistake, one message and no traceback; 130 interrupted.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Sequence

from chunkygan import __version__
from chunkygan.allocator import keep_freed_memory
from chunkygan.errors import ChunkyGANError
from chunkygan.wording import did_you_mean

COMMANDS: dict[str, tuple[str, str]] = {
    "invert": ("chunkygan.cli.invert", "fit pictures chunk by chunk"),
    "edit": ("chunkygan.cli.edit", "move fitted pictures along directions, all of them or single chunks"),
    "train": ("chunkygan.cli.train", "train what a recipe names"),
    "evaluate": ("chunkygan.cli.evaluate", "measure over a set of pictures"),
    "align": ("chunkygan.cli.align", "cut faces out of photos as generators of faces want them"),
    "sample": ("chunkygan.cli.sample", "draw pictures from a generator or a data set"),
    "bench": ("chunkygan.cli.bench", "measure speed and memory as ratios to a plain fit"),
    "fetch": ("chunkygan.cli.fetch", "download public weights; nothing else uses the network"),
    "list": ("chunkygan.cli.list", "what there is: components, recipes, domains, weights"),
    "show": ("chunkygan.cli.show", "one component and its arguments, or what is in a weight file"),
    "convert": ("chunkygan.cli.convert", "turn a weight file of any origin into this project's safetensors"),
    "check": ("chunkygan.cli.check", "say everything that is wrong with a recipe"),
    "copy": ("chunkygan.cli.copy", "copy a recipe that ships, to change it"),
}
"""Command -> its module and one line of help. A module has `configure(parser)` and `run(args) -> int | None`; only the
module of the command that was asked for is imported, and it imports heavy things in `run`."""

_MENDABLE = {
    errno.EACCES,
    errno.EDQUOT,
    errno.EEXIST,
    errno.EFBIG,
    errno.EISDIR,
    errno.ENAMETOOLONG,
    errno.ENOENT,
    errno.ENOSPC,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""System errors that the user can do something about: full disks, read-only folders, wrong names."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code.

    Args:
        argv: the words after ``chunkygan``; None: those of this process, which is then ours to set up.
    """
    try:
        if argv is None:
            keep_freed_memory()
        code = _dispatch(list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()
        return code
    except SystemExit as stop:  # argparse: --help and misuse
        return stop.code if isinstance(stop.code, int) else 2
    except ChunkyGANError as error:
        return _fail(str(error), 2)
    except KeyboardInterrupt:
        return _fail("interrupted; what was finished is kept", 130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 0
    except OSError as error:
        if error.errno in _MENDABLE:
            return _fail(_described(error), 2)
        return _fault()
    except Exception:
        return _fault()


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"chunkygan {__version__}")
        return 0
    name, rest = argv[0], argv[1:]
    if name not in COMMANDS:
        return _fail(f"no command '{name}'; there are {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}", 2)
    module_name, summary = COMMANDS[name]
    module = importlib.import_module(module_name)
    parser = argparse.ArgumentParser(
        prog=f"chunkygan {name}",
        description=module.__doc__ or summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.configure(parser)
    # Intermixed, so that key=value may stand anywhere.
    return module.run(parser.parse_intermixed_args(rest)) or 0


def _help() -> str:
    rows = "\n".join(f"  {name:<10} {summary}" for name, (_, summary) in COMMANDS.items())
    return (
        "usage: chunkygan COMMAND ...\n\n"
        "Invert and edit real pictures with a StyleGAN2 generator, chunk by chunk.\n\n"
        f"commands:\n{rows}\n\n"
        "chunkygan COMMAND --help tells more; chunkygan --version tells the version."
    )


def _described(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{error.strerror}; check the name, the space on the disk and the rights of the folder"


def _fail(message: str, code: int) -> int:
    """One message on stderr; several lines, such as a recipe's problems, stand for themselves."""
    print(message if "\n" in message else f"chunkygan: {message}", file=sys.stderr)
    return code


def _fault() -> int:
    traceback.print_exc()
    return _fail("this is a fault of the program, not yours; please report it together with the lines above", 1)


if __name__ == "__main__":
    sys.exit(main())
