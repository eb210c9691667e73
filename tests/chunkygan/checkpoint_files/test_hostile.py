"""Hostile and damaged files: nothing in them is ever run, and reading them ends in a clear error.

The canary is Python's own audit hook: it hears of everything that is executed, compiled, imported, opened for writing
or looked up by an unpickler while a file is read, whoever does it.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import random
import struct
import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from chunkygan.checkpoint_files.generator_states import generator_of
from chunkygan.checkpoint_files.recognition import recognised
from chunkygan.errors import WeightsError

EVENTS = (
    "exec",
    "compile",
    "import",
    "os.",
    "subprocess.",
    "socket.",
    "pickle.",
    "ctypes.",
    "shutil.",
    "code.",
    "urllib",
)
HARMLESS = ("os.listdir", "os.scandir", "os.walk", "os.fwalk")

_heard: list[str] | None = None


def _listen(event: str, arguments: tuple[Any, ...]) -> None:
    if _heard is None:
        return
    writes = event == "open" and isinstance(arguments[1], str) and any(c in arguments[1] for c in "wax+")
    if writes or (event.startswith(EVENTS) and event not in HARMLESS):
        _heard.append(f"{event} {arguments!r}"[:200])


sys.addaudithook(_listen)


def read(path: Path) -> None:
    """Reads all that could be read of a file."""
    checkpoint = recognised(path)
    if "generator" in checkpoint.states:
        generator_of(checkpoint)


def outcome(path: Path) -> str:
    """``"refused"`` or ``"read"``; whatever else comes, fails the test, as does any execution."""
    global _heard
    _heard = []
    try:
        read(path)
        return "read"
    except WeightsError as error:
        assert path.name in str(error) and len(str(error)) < 1000
        return "refused"
    finally:
        heard, _heard = _heard, None
        assert not heard, heard


@pytest.fixture(scope="module")
def templates(tmp_path_factory, tests_data, writers) -> dict[str, bytes]:
    """A whole, harmless file of every layout."""
    folder = tmp_path_factory.mktemp("templates")
    numbers = np.load(tests_data / "nv_r32_m2.npz", allow_pickle=False)
    state = {n.removeprefix("param/"): torch.from_numpy(numbers[n]) for n in numbers.files if n.startswith("param/")}
    from safetensors.torch import save_file

    network = writers.nvidia_network(state, clamp=256.0)
    writers.pickled({"G_ema": network, "D": None}, folder / "nvidia.pkl")
    writers.saved(network, folder / "tuned.pt")
    torch.save({"g_ema": state}, folder / "archive.pt")
    torch.save({"g_ema": state}, folder / "old.pt", _use_new_zipfile_serialization=False)
    save_file(state, folder / "state.safetensors")
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
    for name in found:
        read(folder / name)  # also imports all that a reading imports
    return found


# Payloads: a call of a name that a file asks for.

CALLS: list[tuple[str, str, tuple[Any, ...]]] = [
    ("os", "system", ("mkdir ran",)),
    ("posix", "system", ("mkdir ran",)),
    ("nt", "system", ("mkdir ran",)),
    ("builtins", "eval", ("__import__('os').mkdir('ran')",)),
    ("builtins", "exec", ("import os; os.mkdir('ran')",)),
    ("builtins", "compile", ("1", "x", "exec")),
    ("builtins", "__import__", ("antigravity",)),
    ("builtins", "getattr", ("", "join")),
    ("builtins", "open", ("ran", "w")),
    ("builtins", "map", (None, ())),
    ("__builtin__", "eval", ("1",)),
    ("subprocess", "Popen", (["mkdir", "ran"],)),
    ("subprocess", "check_output", (["mkdir", "ran"],)),
    ("importlib", "import_module", ("antigravity",)),
    ("runpy", "run_path", ("x.py",)),
    ("shutil", "rmtree", ("x",)),
    ("os", "mkdir", ("ran",)),
    ("pty", "spawn", ("sh",)),
    ("pickle", "loads", (b"cos\nsystem\n(S'mkdir ran'\ntR.",)),
    ("_pickle", "loads", (b"cos\nsystem\n(S'mkdir ran'\ntR.",)),
    ("torch", "load", ("x.pt",)),
    ("torch.serialization", "load", ("x.pt",)),
    ("torch.hub", "load", ("a", "b")),
    ("torch.jit", "load", ("a",)),
    ("numpy", "load", ("x.npy", None, True)),
    ("numpy.testing._private.utils", "runstring", ("import os; os.mkdir('ran')", {})),
    ("operator", "attrgetter", ("system",)),
    ("functools", "partial", (print,)),
    ("timeit", "timeit", ("1",)),
    ("cProfile", "run", ("1",)),
    ("webbrowser", "open", ("http://localhost",)),
    ("code", "interact", ()),
    ("types", "FunctionType", ()),
    ("marshal", "loads", (b"",)),
    ("ctypes", "CDLL", ("x",)),
    ("chunkygan.cli.main", "main", (["list"],)),
    ("torch_utils.persistence", "import_hacks", ()),
    ("torch._utils", "_rebuild_tensor_v2.__globals__", ()),
    ("collections", "OrderedDict.__init__", ()),
    ("collections", "namedtuple", ("a", "b")),
]


class Call:
    """Pickles as a call of a name, which need not exist here."""

    def __init__(self, module: str, name: str, arguments: tuple[Any, ...]) -> None:
        self.module, self.name, self.arguments = module, name, arguments

    def pickled(self, protocol: int) -> bytes:
        """The operations that make the call, without header and end."""
        arguments = [a for a in self.arguments if not callable(a)]
        packed = pickle.dumps(tuple(arguments), protocol=2)[2:-1]
        if protocol >= 4:
            words = b"".join(b"\x8c" + bytes([len(w)]) + w.encode() for w in (self.module, self.name))
            return words + b"\x93" + packed + b"R"
        return b"c" + f"{self.module}\n{self.name}\n".encode() + packed + b"R"


def header(protocol: int) -> bytes:
    return b"\x80" + bytes([protocol])


def archive(data: bytes, folder: str = "x") -> bytes:
    """A torch archive with this pickle."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(f"{folder}/data.pkl", data)
        file.writestr(f"{folder}/byteorder", "little")
    return buffer.getvalue()


def old_layout(data: bytes) -> bytes:
    """An old torch file with this pickle."""
    parts = [0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True, "type_sizes": {}}]
    return b"".join(pickle.dumps(p, protocol=2) for p in parts) + data + pickle.dumps([], protocol=2)


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value)) + value.encode()


def persistent(state: bytes) -> bytes:
    """Operations for an object of NVIDIA's with this state."""
    items = text("type") + text("class") + text("version") + b"K\x06" + text("class_name") + text("Generator")
    items += text("module_src") + text("import os; os.mkdir('ran')") + text("state") + state
    return b"ctorch_utils.persistence\n_reconstruct_persistent_obj\n(}(" + items + b"utR"


def placements(call: Call) -> Iterator[tuple[str, bytes]]:
    """The call at every place where a reader meets a value."""
    for protocol in (2, 3, 4, 5):
        ops = call.pickled(protocol)
        value = header(protocol) + ops + b"."
        yield f"bare {protocol}", value
        in_dict = header(protocol) + b"}" + text("g_ema") + ops + b"s."
        yield f"in a dict {protocol}", in_dict
        yield f"archive {protocol}", archive(in_dict)
        yield f"old layout {protocol}", old_layout(in_dict)
    ops = call.pickled(3)
    yield "state of G_ema", header(3) + b"}" + text("G_ema") + persistent(ops) + b"s."
    options = b"}" + text("_init_kwargs") + ops + b"s"
    yield "options of G_ema", header(3) + b"}" + text("G_ema") + persistent(options) + b"s."
    yield "state of a namespace", header(2) + b"cargparse\nNamespace\n)\x81" + ops + b"b."
    yield "argument of an allowed call", header(2) + b"ccollections\nOrderedDict\n(" + ops + b"tR."
    yield "state of a network", header(2) + b"cdnnlib.tflib.network\nNetwork\n)\x81" + ops + b"b."
    yield "persistent id", archive(header(2) + ops + b"Q.")
    inner = old_layout(header(2) + ops + b".")
    yield (
        "storage bytes",
        header(3) + b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(inner)) + inner + b"tR.",
    )
    raw = pickle.dumps({"a": 1}, protocol=2)[:-1] + ops + b"."
    yield (
        "storage bytes of a pickle",
        (header(3) + b"ctorch.storage\n_load_from_bytes\n(B" + struct.pack("<I", len(raw)) + raw + b"tR."),
    )
    yield "nested", header(2) + b"(" * 100 + ops + b"t" * 100 + b"."
    yield "kept and recalled", header(2) + ops + b"q\x00h\x00."


@pytest.mark.parametrize("call", CALLS, ids=[f"{module}.{name}" for module, name, _ in CALLS])
def test_no_call_is_ever_made(call, templates, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "evil.pkl"
    for where, content in placements(Call(*call)):
        path.write_bytes(content)
        assert outcome(path) == "refused", where
    assert sorted(os.listdir()) == ["evil.pkl"]


@pytest.mark.parametrize(
    "operations",
    [
        b"(S'mkdir ran'\nios\nsystem\n.",  # INST
        b"(cos\nsystem\nS'mkdir ran'\no.",  # OBJ
        b"\x82\x01.",  # EXT1
        b"\x83\x01\x00.",
        b"\x84\x01\x00\x00\x00.",
        b"P0\n.",  # PERSID
        b"I01\n.",
        b"\x97.",  # NEXT_BUFFER
        b"\x98.",
        b"\xff.",
    ],
)
def test_operations_of_no_use_are_refused(operations, templates, tmp_path) -> None:
    for name, content in (("bare", b"\x80\x02" + operations), ("archive", archive(b"\x80\x02" + operations))):
        (tmp_path / name).write_bytes(content)
        assert outcome(tmp_path / name) == "refused"


def bombs() -> Iterator[tuple[str, bytes]]:
    """Small files that announce, or would make, something huge."""
    huge = struct.pack("<Q", 1 << 62)
    yield "bytes", header(4) + b"\x8e" + huge + b"x."
    yield "text", header(4) + b"\x8d" + huge + b"x."
    yield "bytearray", header(5) + b"\x96" + huge + b"x."
    yield "frame", header(4) + b"\x95" + huge + b"N."
    yield "memo", header(2) + b"Nr\xff\xff\xff\xff."
    yield "long", header(2) + b"\x8b\xff\xff\xff\x7f."
    yield "negative long", header(2) + b"\x8b\xff\xff\xff\xff."
    yield "marks", header(2) + b"(" * 400_000 + b"."
    yield "sets", header(4) + b"\x8f" * 400_000 + b"."
    yield "deep tuples", header(2) + b")" + b"\x85" * 400_000 + b"."
    yield "deep lists", header(2) + b"]" * 200_000 + b"a" * 199_999 + b"."
    laughs = b"".join(b"(" + b"h\x00" * 9 + b"lq\x00" for _ in range(200))
    yield "laughs", header(2) + b"]q\x00" + laughs + b"."
    state = b"}" + text("g_ema") + b"}q\x00" + b"".join(b"}" + text("a") + b"h\x00sq\x00" for _ in range(300)) + b"s."
    yield "nested maps", header(2) + state
    many = b"(" + b"K\x01K\x02\x86" * 100_000 + b"lq\x00"
    yield "large maps again", header(2) + many + b"0" + b"ccollections\nOrderedDict\nh\x00\x85R0" * 50_000 + b"N."
    long_text = b"X" + struct.pack("<I", 3_000_000) + b"a" * 3_000_000 + b"q\x00"
    yield (
        "encoding again",
        header(2) + long_text + b"0" + (b"c_codecs\nencode\nh\x00" + text("latin1") + b"\x86R0") * 20_000 + b"N.",
    )
    for count in (1 << 40, 1 << 62):
        yield f"storage of {count}", archive(tensor(count, (count,)))
        yield f"old storage of {count}", old_layout(tensor(count, (count,)))
        yield f"view of {count}", archive(tensor(1, (count,), (0,)))
        yield f"shape of {count}", archive(tensor(0, (0, count)))
    yield "numpy", numpy_array((1 << 50,)) + b"."
    for bits in (1 << 60, 10**9, 50):
        yield f"safetensors header {bits}", struct.pack("<Q", bits) + b'{"a":{}}'
    sizes = {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    yield "safetensors tensor", safetensors({"a": sizes})
    yield "safetensors overflow", safetensors({"a": {**sizes, "shape": [1 << 32, 1 << 32], "data_offsets": [0, 0]}})
    yield "safetensors negative", safetensors({"a": {**sizes, "shape": [-1], "data_offsets": [8, 4]}})
    yield "safetensors nesting", struct.pack("<Q", 200_000) + b'{"a":' + b"[" * 199_995
    config = {"resolution": 1 << 30, "channels": [512] * 28, "const_size": [4, 4], "z_dim": 512}
    yield "generator", safetensors({}, {"format": "chunkygan.generator", "config": json.dumps(config)})
    yield (
        "npy",
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '<f4', 'fortran_order': False, 'shape': (9999999999999,), }".ljust(118),
    )
    yield (
        "npy objects",
        b"\x93NUMPY\x01\x00v\x00" + b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(118),
    )
    yield "npy code", b"\x93NUMPY\x01\x00v\x00" + b"{'descr': __import__('os').mkdir('ran'), }".ljust(118)
    yield from zip_bombs()


def tensor(count: int, shape: tuple[int, ...], stride: tuple[int, ...] | None = None) -> bytes:
    """The pickle of a state dict with one tensor of a storage that announces `count` numbers."""

    def numbers(values: tuple[int, ...]) -> bytes:
        return pickle.dumps(values, protocol=2)[2:-1]

    stride = stride or (1,) * len(shape)
    key = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"\x8a\x08"
    key += struct.pack("<q", min(count, (1 << 63) - 1)) + b"tQ"
    built = b"ctorch._utils\n_rebuild_tensor_v2\n(" + key + b"K\x00" + numbers(shape) + numbers(stride) + b"\x89}tR"
    return header(2) + b"}" + text("a") + built + b"s."


def numpy_array(shape: tuple[int, ...]) -> bytes:
    """The pickle of an array of one number that announces another shape."""
    whole = pickle.dumps(np.zeros(1, np.float32), protocol=2)[:-1]
    true, announced = b"K\x01K\x01\x85", b"K\x01\x8a\x08" + struct.pack("<q", shape[0]) + b"\x85"
    assert true in whole
    return whole.replace(true, announced)


def safetensors(tensors: dict[str, Any], metadata: dict[str, str] | None = None) -> bytes:
    content = json.dumps({**tensors, **({"__metadata__": metadata} if metadata else {})}).encode()
    return struct.pack("<Q", len(content)) + content


def zip_bombs() -> Iterator[tuple[str, bytes]]:
    for method in (zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", method) as file:
            file.writestr("x/data.pkl", header(2) + b"N" * 3_000_000)
        yield f"compressed {method}", buffer.getvalue()
    whole = archive(tensor(4, (4,)))
    forged = bytearray(whole)
    at = forged.rfind(b"PK\x01\x02")
    forged[at + 20 : at + 28] = b"\xff\xff\xff\x7f" * 2
    yield "forged size", bytes(forged)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for i in range(5_000):
            file.writestr(f"x/{i}", "")
    yield "many entries", buffer.getvalue()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("x/data.pkl", b"\x80\x02N.")
        file.writestr("y/data.pkl", b"\x80\x02N.")
    yield "two pickles", buffer.getvalue()
    offsets = bytearray(whole)
    at = offsets.rfind(b"PK\x01\x02")
    offsets[at + 42 : at + 46] = b"\xf0\xff\xff\x7f"
    yield "offset outside", bytes(offsets)


def test_no_bomb_goes_off(templates, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bomb.pt"
    for name, content in bombs():
        path.write_bytes(content)
        assert outcome(path) == "refused", name
    assert os.listdir() == ["bomb.pt"]


def test_bombs_take_little_memory(templates, tmp_path, run_python) -> None:
    for index, (_, content) in enumerate(bombs()):
        (tmp_path / f"{index:03}.pt").write_bytes(content)
    program = (
        "import resource, pathlib\n"
        "from chunkygan.checkpoint_files.inspected import inspected\n"
        "from chunkygan.errors import WeightsError\n"
        "import torch\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "before = peak()\n"
        "for path in sorted(pathlib.Path('.').glob('*.pt')):\n"
        "    try: inspected(path)\n"
        "    except WeightsError: pass\n"
        "    else: raise SystemExit(f'{path} was read')\n"
        "print((peak() - before) // 1024)\n"
    )
    done = run_python("-c", program, env={"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)})
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(done.stdout) < 400  # MiB


LAYOUTS = ["nvidia.pkl", "tuned.pt", "archive.pt", "old.pt", "state.safetensors"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_file_cut_at_any_kilobyte_is_refused(layout, templates, tmp_path) -> None:
    whole, path = templates[layout], tmp_path / layout
    for length in [*range(1, 200, 7), *range(1024, len(whole), 1024), len(whole) - 1]:
        path.write_bytes(whole[:length])
        assert outcome(path) == "refused", length


@pytest.mark.parametrize("layout", LAYOUTS)
def test_flipped_bits_run_nothing_and_end_well(layout, templates, tmp_path) -> None:
    rng, whole, path = random.Random(0), templates[layout], tmp_path / layout
    found = []
    for round_ in range(200):
        flipped = bytearray(whole)
        last = 4096 if round_ % 2 else len(whole)  # half of them where the structure is
        for _ in range(rng.choice((1, 1, 8))):
            flipped[rng.randrange(last)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        found.append(outcome(path))
    assert found.count("refused") > 20  # a changed number of a tensor shows only where there is a checksum


@pytest.mark.parametrize("layout", ["tuned.pt", "archive.pt"])
def test_an_archive_notices_every_changed_number(layout, templates, tmp_path) -> None:
    rng, whole, path = random.Random(1), templates[layout], tmp_path / layout
    with zipfile.ZipFile(io.BytesIO(whole)) as file:
        entries = [(i.header_offset, i.file_size, i.filename) for i in file.infolist() if "/data/" in i.filename]
    for offset, size, _ in rng.sample(entries, min(40, len(entries))):
        names = sum(struct.unpack("<HH", whole[offset + 26 : offset + 30]))
        flipped = bytearray(whole)
        flipped[offset + 30 + names + rng.randrange(size)] ^= 1 << rng.randrange(8)
        path.write_bytes(flipped)
        assert outcome(path) == "refused"


def test_shuffled_files_end_well(templates, tmp_path) -> None:
    rng, path = random.Random(2), tmp_path / "x.pt"
    parts: list[Callable[[], bytes]] = [
        lambda: rng.randbytes(rng.randrange(300)),
        lambda: b"\x80\x02" + rng.randbytes(200),
    ]
    for _ in range(500):
        path.write_bytes(rng.choice(parts)())
        assert outcome(path) == "refused"


def test_the_canary_sings(tmp_path) -> None:
    """A file that Python's own reader runs is noticed, so that silence means something."""
    global _heard
    _heard = []
    try:
        pickle.loads(
            b"cos\nmkdir\n(X" + struct.pack("<I", len(str(tmp_path / "ran"))) + str(tmp_path / "ran").encode() + b"tR."
        )
    finally:
        heard, _heard = _heard, None
    assert any("os.mkdir" in event for event in heard) and (tmp_path / "ran").exists()
