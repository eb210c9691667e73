"""The command as a whole: dispatch, exit codes, start-up."""

from __future__ import annotations

import argparse
import errno
import importlib
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chunkygan import __version__
from chunkygan.cli import main as cli
from chunkygan.errors import ImageError, RecipeError

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], Any]], None]:
    """Makes ``chunkygan probe`` do something."""

    def install(action: Callable[[], Any]) -> None:
        module = types.ModuleType("probe")
        module.configure = lambda parser: None  # type: ignore[attr-defined]
        module.run = lambda args: action()  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "probe", module)
        monkeypatch.setitem(cli.COMMANDS, "probe", ("probe", "a command for tests"))

    return install


def raising(error: BaseException) -> Callable[[], None]:
    def action() -> None:
        raise error

    return action


def test_help_lists_every_command(capsys: Capture) -> None:
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in cli.COMMANDS)


def test_no_command_helps(capsys: Capture) -> None:
    assert cli.main([]) == 0
    assert "commands:" in capsys.readouterr().out


def test_version(capsys: Capture) -> None:
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"chunkygan {__version__}\n"


def test_unknown_command_names_a_near_one(capsys: Capture) -> None:
    assert cli.main(["invret"]) == 2
    assert "did you mean 'invert'" in capsys.readouterr().err


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help_and_a_module(name: str, capsys: Capture) -> None:
    assert importlib.import_module(cli.COMMANDS[name][0]).__doc__
    assert cli.main([name, "--help"]) == 0
    assert f"usage: chunkygan {name}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments", [["--help"], ["list"], ["list", "weights"], *([name, "--help"] for name in cli.COMMANDS)]
)
def test_start_up_imports_no_torch(arguments: list[str], run_python: Callable[..., Any]) -> None:
    code = f"import sys; from chunkygan.cli.main import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    assert run_python("-c", code).returncode == 0


def test_misuse_ends_with_2(capsys: Capture) -> None:
    assert cli.main(["show"]) == 2
    assert "usage: chunkygan show" in capsys.readouterr().err


def test_one_message_has_the_program_before_it(command: Any, capsys: Capture) -> None:
    command(raising(ImageError("photo.png is no picture")))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "chunkygan: photo.png is no picture\n"


def test_several_problems_stand_for_themselves(command: Any, capsys: Capture) -> None:
    command(raising(RecipeError(["a: bad", "b: bad"], "x.yaml")))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err == "x.yaml: a: bad\nx.yaml: b: bad\n"


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EACCES, errno.EROFS, errno.ENOENT])
def test_what_the_system_refuses_is_the_users_to_mend(code: int, command: Any, capsys: Capture) -> None:
    command(raising(OSError(code, "reason", "some/file")))
    assert cli.main(["probe"]) == 2
    assert capsys.readouterr().err.startswith("chunkygan: some/file: reason; check")


@pytest.mark.parametrize("error", [ValueError("oh"), OSError(errno.EIO, "oh"), OSError("oh")])
def test_a_fault_of_ours_shows_where(error: Exception, command: Any, capsys: Capture) -> None:
    command(raising(error))
    assert cli.main(["probe"]) == 1
    err = capsys.readouterr().err
    assert "Traceback" in err and "please report it" in err


def test_interruption_ends_with_130(command: Any, capsys: Capture) -> None:
    command(raising(KeyboardInterrupt()))
    assert cli.main(["probe"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_a_command_may_say_its_exit_code(command: Any) -> None:
    command(lambda: 3)
    assert cli.main(["probe"]) == 3


def test_a_reader_that_leaves_is_no_error() -> None:
    code = "import sys; from chunkygan.cli.main import main; sys.exit(main(['list']))"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0


def test_the_console_script_is_the_same(root: Path) -> None:
    script = Path(sys.executable).with_name("chunkygan")
    if not script.exists():
        pytest.skip("chunkygan is not installed beside this Python")
    done = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == f"chunkygan {__version__}"


def test_options_may_stand_between_overrides() -> None:
    from chunkygan.cli.arguments import add_run_arguments, split_words

    parser = argparse.ArgumentParser()
    parser.add_argument("words", nargs="*")
    add_run_arguments(parser, recipe="invert")
    args = parser.parse_intermixed_args(["a.png", "--out", "d", "inverter.steps=3", "--seed", "4", "b.png"])
    assert split_words(args.words) == (["a.png", "b.png"], ["inverter.steps=3"])
    assert (args.recipe, args.out, args.seed) == ("invert", "d", 4)


def test_a_file_with_an_equals_sign_in_its_name_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from chunkygan.cli.arguments import split_words

    monkeypatch.chdir(tmp_path)
    Path("a=b.png").touch()
    assert split_words(["a=b.png", "c=d"]) == (["a=b.png"], ["c=d"])


def test_the_allocator_is_set_in_a_process_of_its_own_only(monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr("chunkygan.cli.main.keep_freed_memory", lambda: called.append(True))
    assert cli.main(["--version"]) == 0 and not called
    monkeypatch.setattr("sys.argv", ["chunkygan", "--version"])
    assert cli.main() == 0 and called
