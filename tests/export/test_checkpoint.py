import collections
import io
import os
import pickle
import warnings
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from export import RRIN, load_checkpoint
from runtime import InputNotFoundError
from runtime.errors import CheckpointError

State = dict[str, torch.Tensor]


@pytest.fixture
def state(small_network: RRIN) -> State:
    return dict(small_network.state_dict())


def saved(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def renamed(state: State, change: Any) -> State:
    return {change(key): tensor for key, tensor in state.items()}


FORMS = {
    "flat": lambda state: state,
    "ordered": collections.OrderedDict,
    "state_dict": lambda state: {"state_dict": state, "epoch": 7},
    "model": lambda state: {"model": state, "epoch": 7, "optimizer": {"lr": 1e-4}},
    "model_state_dict": lambda state: {"model_state_dict": state, "loss": 0.1},
    "module.": lambda state: renamed(state, "module.{}".format),
    "net.": lambda state: renamed(state, "net.{}".format),
    "net.module.": lambda state: renamed(state, "net.module.{}".format),
    "Flow.": lambda state: renamed(state, lambda key: key.replace("Flow_L.", "Flow.")),
    "module.model.": lambda state: renamed(state, "module.model.{}".format),
    "params": lambda state: {"params": state},
    "net": lambda state: {"net": state, "step": 5},
    "params_ema before params": lambda state: {
        "params": {key: tensor + 1 for key, tensor in state.items()},
        "params_ema": state,
    },
    "double": lambda state: {key: tensor.double() for key, tensor in state.items()},
    "parameters": lambda state: {key: torch.nn.Parameter(t) for key, t in state.items()},
    "all at once": lambda state: {
        "state_dict": renamed(state, lambda key: "module." + key.replace("Flow_L.", "Flow."))
    },
    "half": lambda state: {
        key: tensor.bfloat16().float().bfloat16() for key, tensor in state.items()
    },
}


@pytest.mark.parametrize("form", FORMS)
def test_takes_every_form(form: str, state: State, tmp_path: Path) -> None:
    network = load_checkpoint(saved(tmp_path / "pretrained_model.pth.tar", FORMS[form](state)))
    assert network.base_width == 8
    assert not network.training
    tolerance = 0.01 if form == "half" else 0
    for key, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, state[key], rtol=tolerance, atol=0)


def test_takes_the_format_of_old_pytorch(state: State, tmp_path: Path) -> None:
    path = tmp_path / "old.pth.tar"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert load_checkpoint(path).base_width == 8


@pytest.mark.parametrize(
    ("field", "argument", "expected"),
    [
        (None, None, True),
        (None, False, False),
        (True, None, True),
        (False, None, False),
        (False, True, True),
    ],
)
def test_align_corners_argument_then_field_then_the_authors(
    field: bool | None, argument: bool | None, expected: bool, state: State, tmp_path: Path
) -> None:
    content: dict[str, Any] = {"state_dict": state}
    if field is not None:
        content["align_corners"] = field
    path = saved(tmp_path / "c.pth", content)
    assert load_checkpoint(path, align_corners=argument).align_corners is expected


class Payload:
    """Unpickling this would leave a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("zipped", [True, False])
def test_does_not_execute_a_malicious_pickle(zipped: bool, state: State, tmp_path: Path) -> None:
    trace = tmp_path / "executed"
    path = tmp_path / "evil.pth"
    content = {"state_dict": state, "epoch": Payload(trace)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"mkdir.*could run code.*state_dict"):
        load_checkpoint(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Payload(trace)))  # noqa: S301 - the payload is a real one
    assert trace.exists()


def doubling(levels: int) -> Any:
    """A small object whose repr is of 2 ** levels characters."""
    value: Any = ()
    for _ in range(levels):
        value = (value, value)
    return value


def broken(state: State) -> dict[str, tuple[Any, str]]:
    first, last = "Flow_L.down_path.0.block.0.weight", "final.last.bias"
    parts = [torch.zeros(1), torch.zeros(2)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch advises against most of these
        quantized = torch.quantize_per_tensor(torch.zeros(3), 0.1, 0, torch.qint8)
        nested = torch.nested.nested_tensor(parts)
        jagged = torch.nested.nested_tensor(parts, layout=torch.jagged)
    return {
        "a whole module": (RRIN(8), "pickled export.network.RRIN"),
        "another network": (
            {"conv1.weight": torch.zeros(64, 3, 7, 7)},
            f"not an RRIN: {first} is missing; the file holds conv1.weight",
        ),
        "a missing key": ({k: v for k, v in state.items() if k != last}, f"missing {last}"),
        "an extra key": ({**state, "extra.weight": torch.zeros(1)}, "not known extra.weight"),
        "a wrong shape": (
            {**state, last: torch.zeros(4)},
            rf"{last} has shape \[4\]; expected \[3\] at base width 8",
        ),
        "a wrong rank": ({**state, first: torch.zeros(8)}, r"has shape \[8\]"),
        "integers": (
            {**state, last: torch.zeros(3, dtype=torch.int64)},
            f"{last} is torch.int64, .*; expected a float tensor",
        ),
        "no values": ({**state, last: torch.zeros(3, device="meta")}, f"{last} is .* on meta"),
        "sparse": ({**state, last: torch.zeros(3).to_sparse()}, f"{last} is .* torch.sparse_coo"),
        "float8": (
            {**state, last: torch.zeros(3).to(torch.float8_e4m3fn)},
            f"{last} is torch.float8_e4m3fn",
        ),
        "complex": ({**state, last: torch.zeros(3) * 1j}, f"{last} is torch.complex64"),
        "quantized": ({**state, last: quantized}, "a pickled torch._utils._rebuild_qtensor"),
        "nested": ({**state, last: nested}, f"what is no tensor: {last}"),
        "jagged": ({**state, last: jagged}, "a pickled torch._tensor._rebuild_from_type_v2"),
        "an absurd width": ({**state, first: torch.zeros(2**40, 0, 3, 3)}, r"\[1099511627776, 0"),
        "a wide view": (
            {**state, first: torch.zeros(1).expand(2**40, 6, 3, 3)},
            r"\[1099511627776, 6",
        ),
        "beyond float32": (
            {**state, last: torch.full((3,), 1e300, dtype=torch.float64)},
            f"{last} holds values beyond float32",
        ),
        "two names of one tensor": (
            {**state, "Flow.last.bias": torch.zeros(4)},
            r"holds Flow_L\.last\.bias twice, once under its older name",
        ),
        "the same under both names": (
            {**state, "Flow.last.bias": state.get("Flow_L.last.bias", torch.zeros(1))},
            r"holds Flow_L\.last\.bias twice, once under its older name",
        ),
        "numbers for names": (dict(enumerate(state.values())) or {1: 2}, "no tensor: 0, 1, 2 and"),
        "escapes in a name": (
            {"\x1b[2J\u202e": torch.zeros(1)},
            r"the file holds '\\x1b\[2J\\u202e'",
        ),
        "a long name": ({"a" * 10**6: torch.zeros(1)}, r"holds 'aaaa.*\.\.\."),
        "a field that doubles with every level": (
            {"state_dict": state, "align_corners": doubling(100)},
            "larger or more nested than that of any state dict",
        ),
        "NaN": ({**state, last: torch.full((3,), float("nan"))}, f"{last} holds NaN"),
        "a list": ([1, 2], "holds a list; expected a state dict"),
        "no tensors": ({"epoch": 3, "args": {"lr": 1}}, "no state dict of tensors .*epoch, args"),
        "an empty dict": ({}, "no state dict of tensors"),
        "a number among the tensors": (
            {"state_dict": {**state, "steps": 7}},
            "what is no tensor: steps",
        ),
        "a field of no sense": (
            {"state_dict": state, "align_corners": "maybe"},
            "'align_corners' is a str, maybe; expected True or False",
        ),
    }


@pytest.mark.filterwarnings("ignore::UserWarning")  # of PyTorch, on what we feed it here
@pytest.mark.parametrize("case", broken({}))
def test_refuses_and_names_the_cause(case: str, state: State, tmp_path: Path) -> None:
    content, message = broken(state)[case]
    path = saved(tmp_path / "broken.pth", content)
    with pytest.raises(CheckpointError, match=message) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600


def test_refuses_tensors_larger_than_the_file(tmp_path: Path) -> None:
    with torch.device("meta"):
        shapes = {key: tensor.shape for key, tensor in RRIN(4096).state_dict().items()}
    number = torch.zeros(1)
    path = saved(
        tmp_path / "bomb.pth", {key: number.expand(shape) for key, shape in shapes.items()}
    )
    assert path.stat().st_size < 1_000_000
    with pytest.raises(CheckpointError, match="claim more bytes than the file holds"):
        load_checkpoint(path)


@pytest.mark.parametrize("seed", range(40))
def test_no_flipped_bit_changes_weights_in_silence(seed: int, state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "flipped.pth", {"state_dict": state, "align_corners": False})
    content = bytearray(path.read_bytes())
    place = int(torch.randint(len(content), (1,), generator=torch.Generator().manual_seed(seed)))
    content[place] ^= 1 << seed % 8
    path.write_bytes(content)
    try:
        network = load_checkpoint(path)
    except CheckpointError:
        return  # but for padding and dates, every bit counts
    assert network.align_corners is False
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_damaged_weights_are_told_by_their_checksum(state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "flipped.pth", state)
    content = bytearray(path.read_bytes())
    content[content.index(state["final.last.bias"].numpy().tobytes())] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"/data/\d+ does not match its checksum"):
        load_checkpoint(path)


def test_takes_files_without_checksums(state: State, tmp_path: Path) -> None:
    torch.serialization.set_crc32_options(False)
    try:
        path = saved(tmp_path / "unchecked.pth", state)
    finally:
        torch.serialization.set_crc32_options(True)
    assert load_checkpoint(path).base_width == 8


def repacked(source: Path, target: Path, compression: int) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compression) as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
    return target


@pytest.mark.parametrize("compression", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_refuses_a_zip_that_unpacks_to_more(compression: int, tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.pth", {"Flow_L.down_path.0.block.0.weight": torch.zeros(10**6)})
    bomb = repacked(path, tmp_path / "bomb.pth", compression)
    assert bomb.stat().st_size < 100_000
    with pytest.raises(CheckpointError, match="is a compressed zip, which"):
        load_checkpoint(bomb)


def test_refuses_a_zip_whose_entries_overlap(state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "plain.pth", state)
    overlapping = tmp_path / "overlapping.pth"
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(overlapping, "w") as new:
        for entry in old.infolist():
            new.writestr(entry.filename, old.read(entry))
        largest = max(new.infolist(), key=lambda entry: entry.file_size)
        new.filelist.extend([largest] * 100)
    with pytest.raises(CheckpointError, match="its entries claim more bytes than the file holds"):
        load_checkpoint(overlapping)


def doubled(levels: int) -> bytes:
    """A pickle's opcodes that leave a tuple of 2 ** levels tuples on the stack."""
    twice = (b"h" + bytes([level]) for level in range(levels))
    return b")q\x00" + b"".join(
        2 * get + b"\x86q" + bytes([level + 1]) for level, get in enumerate(twice)
    )


LISTS = b"".join(b"]q" + bytes([level]) for level in range(25))
GRAFTS = b"".join(  # from the outermost on, so that each is empty when another takes it
    b"h" + bytes([level]) + b"(" + 2 * (b"h" + bytes([level - 1])) + b"e"
    for level in range(24, 0, -1)
)
ENDLESS = {
    "as a key": doubled(24) + b"}h\x18K\x01s.",
    "as a value": b"}X\x0d\x00\x00\x00align_corners" + doubled(24) + b"s.",
    "many small ones as keys": doubled(12) + b"}" + 2000 * b"h\x0cK\x01s" + b".",
    "as a function": doubled(24) + b")R.",
    "lists filled afterwards, as a function": LISTS + GRAFTS + b"h\x18)R.",
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", ENDLESS)
def test_refuses_tuples_without_end_at_once(kind: str, zipped: bool, tmp_path: Path) -> None:
    path = pickled_as(ENDLESS[kind], tmp_path / "endless.pth", zipped)
    with pytest.raises(CheckpointError, match="larger or more nested than that of any state dict"):
        load_checkpoint(path)


NUMBER = b"\x8a\x05" + (3 * 10**9).to_bytes(5, "little")  # of bytes, or of values in a view
SHORT = b"X%c\x00\x00\x00"
STORAGE = b"(%sstorageC%s0%scpuK\x01tQ".replace(b"C", b"ctorch\nFloatStorage\n") % (
    SHORT % 7,
    SHORT % 1,
    SHORT % 3,
)
VIEW = (
    b"ctorch._utils\n_rebuild_tensor_v2\n(" + STORAGE + b"K\x00" + NUMBER + b"\x85K\x00\x85"
    b"\x89ccollections\nOrderedDict\n)RtR"
)
GROWING = {
    "builtins.bytearray": b"c__builtin__\nbytearray\n" + NUMBER + b"\x85R.",
    "collections.Counter": b"ccollections\nCounter\n" + VIEW + b"\x85R.",
    "builtins.set": b"c__builtin__\nset\n" + VIEW + b"\x85R.",
    "torch._utils._rebuild_device_tensor_from_cpu_tensor": (
        b"ctorch._utils\n_rebuild_device_tensor_from_cpu_tensor\n("
        + VIEW
        + b"ctorch\nfloat64\n"
        + SHORT % 3
        + b"cpu\x89tR."
    ),
    "torch.FloatTensor": b"ctorch\nFloatTensor\n" + NUMBER + b"\x85\x81.",
}


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("called", GROWING)
def test_refuses_a_few_bytes_that_fill_the_memory(
    called: str, zipped: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was loaded"))
    path = pickled_as(GROWING[called], tmp_path / "growing.pth", zipped)
    with pytest.raises(CheckpointError, match=f"holds a pickled {called}, and making that"):
        load_checkpoint(path)


def test_takes_what_trainers_note_beside_the_weights(state: State, tmp_path: Path) -> None:
    notes = {"milestones": collections.Counter([30, 60]), "seen": {1, 2}, "size": torch.Size([3])}
    load_checkpoint(saved(tmp_path / "notes.pth", {"state_dict": state, **notes}))


def test_says_in_its_error_alone_what_is_wrong_with_a_newer_pickle(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    torch.save({"a": {1}}, tmp_path / "new.pth", pickle_protocol=4)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint, or a damaged one"):
        load_checkpoint(tmp_path / "new.pth")
    assert not recwarn.list


def pickled_as(pickled: bytes, path: Path, zipped: bool) -> Path:
    """Write a checkpoint with a pickle of one's own in it."""
    pickled = b"\x80\x02" + pickled
    torch.save({}, path, _use_new_zipfile_serialization=zipped)
    if zipped:
        with zipfile.ZipFile(path) as old:
            entries = {entry.filename: old.read(entry) for entry in old.infolist()}
        with zipfile.ZipFile(path, "w") as new:
            for name, content in entries.items():
                new.writestr(name, pickled if name.endswith("data.pkl") else content)
    else:
        empty = pickle.dumps({}, protocol=2)
        content = path.read_bytes()
        at = content.rindex(empty)
        path.write_bytes(content[:at] + pickled + content[at + len(empty) :])
    return path


def files() -> dict[str, bytes]:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("readme.txt", "no checkpoint")
    return {"nothing": b"", "text": b"hello", "another zip": archive.getvalue()}


@pytest.mark.parametrize("kind", [*files(), "truncated"])
def test_refuses_what_torch_did_not_write(kind: str, state: State, tmp_path: Path) -> None:
    path = saved(tmp_path / "file.pth", state)
    content = path.read_bytes()[:100_000] if kind == "truncated" else files()[kind]
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match="not a PyTorch checkpoint, or a damaged one"):
        load_checkpoint(path)


@pytest.mark.parametrize("path", ["missing.pth", "."])
def test_needs_a_file(path: str) -> None:
    with pytest.raises(InputNotFoundError, match="no such file"):
        load_checkpoint(path)
