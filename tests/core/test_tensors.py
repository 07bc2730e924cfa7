"""Weights made elsewhere: sound files of every format load, no code of any is run."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections import OrderedDict

import pytest
import torch
from safetensors.torch import save_file

from cell_synergy.core import tensors
from cell_synergy.core.errors import DataError
from tests import broken

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.steps": torch.tensor(4)}


def _same(found, expected=STATE):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor)


def _legacy(what, path):
    torch.save(what, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("name", ["w.bin", "w.safetensors", "w.pt", "w", "pytorch_model.bin.gz"])
@pytest.mark.parametrize("save", [torch.save, _legacy, save_file])
def test_the_content_says_the_format_not_the_name(tmp_path, name, save):
    save(STATE, tmp_path / name)
    _same(tensors.read(tmp_path / name))


@pytest.mark.parametrize("save", [torch.save, _legacy])
@pytest.mark.parametrize("key", ["state_dict", "model_state_dict", "model", "module"])
def test_weights_are_taken_out_of_a_checkpoint(tmp_path, save, key):
    save({"epoch": 3, key: OrderedDict(STATE), "optimizer": {"lr": [0.1]}}, tmp_path / "w.ckpt")
    _same(tensors.read(tmp_path / "w.ckpt"))


@pytest.mark.parametrize("before", ["module.", "_orig_mod.", "module._orig_mod."])
def test_prefixes_of_wrapped_training_are_stripped(tmp_path, before):
    torch.save({before + name: tensor for name, tensor in STATE.items()}, tmp_path / "w.pt")
    _same(tensors.read(tmp_path / "w.pt"))


def test_a_prefix_of_some_names_only_stays(tmp_path):
    state = {"module.a": torch.zeros(1), "b": torch.zeros(1)}
    torch.save(state, tmp_path / "w.pt")
    _same(tensors.read(tmp_path / "w.pt"), state)


def test_half_precision_and_bfloat16_keep_their_types(tmp_path):
    state = {"a": torch.ones(2).half(), "b": torch.ones(2).bfloat16()}
    for save in (torch.save, _legacy, save_file):
        save(state, tmp_path / "w")
        _same(tensors.read(tmp_path / "w"), state)


@broken.each(broken.COMMON, broken.OTHERS)
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_a_file_that_is_something_else_is_named(tmp_path, given, said, name):
    (tmp_path / name).write_bytes(given)
    with pytest.raises(DataError, match=rf"{name}: {said}") as raised:
        tensors.read(tmp_path / name)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("save", [torch.save, _legacy, save_file])
@pytest.mark.parametrize("share", [0.2, 0.5, 0.97])
def test_a_file_that_is_cut_short_is_told_to_be(tmp_path, save, share):
    state = {f"layer{i}": torch.randn(40, 40) for i in range(9)}
    save(state, path := tmp_path / "w.bin")
    path.write_bytes((whole := path.read_bytes())[: int(len(whole) * share)])
    with pytest.raises(DataError, match=r"w\.bin: is cut short or damaged \(.+\); get it again$"):
        tensors.read(path)


@pytest.mark.parametrize("save", [torch.save, _legacy])
@pytest.mark.parametrize("wrap", [lambda b: b, lambda b: {"state_dict": STATE, "x": b}])
def test_code_is_never_run(tmp_path, save, wrap):
    bomb, marker = broken.bomb(tmp_path)
    save(wrap(bomb), tmp_path / "w.bin")
    with pytest.raises(DataError, match=r"holds more than tensors \(.*mkdir.*code .* never run"):
        tensors.read(tmp_path / "w.bin")
    assert not marker.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_plain_pickle_is_not_run(tmp_path, protocol):
    bomb, marker = broken.bomb(tmp_path)
    (path := tmp_path / "w.bin").write_bytes(pickle.dumps(bomb, protocol=protocol))
    with pytest.raises(DataError, match=r"w\.bin: (holds more than|is pickled in a way)"):
        tensors.read(path)
    assert not marker.exists()
    path.write_bytes(pickle.dumps({"a": [1.0]}, protocol=protocol))
    with pytest.raises(DataError, match=r"w\.bin: is (a pickle that|pickled in a way)"):
        tensors.read(path)


def test_a_tar_of_the_oldest_format_is_not_run(tmp_path):
    marker = tmp_path / "boom"
    pickled = broken.pickled(tmp_path)
    with tarfile.open(tmp_path / "w.bin", "w") as archive:
        for name in ("sys_info", "pickle", "storages", "tensors"):
            info = tarfile.TarInfo(name)
            info.size = len(pickled)
            archive.addfile(info, io.BytesIO(pickled))
    with pytest.raises(DataError, match=r"is a tar archive, .* without running its code; take its"):
        tensors.read(tmp_path / "w.bin")
    assert not marker.exists()


def test_a_program_is_not_run(tmp_path):
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:
        archive.writestr("w/data.pkl", broken.pickled(tmp_path))
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(DataError, match="is a TorchScript program, which is code"):
        tensors.read(tmp_path / "w.pt")


@pytest.mark.parametrize("save", [torch.save, _legacy])
@pytest.mark.parametrize(
    ("what", "said"),
    [
        ([torch.zeros(1)], "holds a list, not tensors by name"),
        (torch.zeros(3), "holds a Tensor, not tensors by name"),
        ({"epoch": 3, "a": torch.zeros(1)}, "holds 'epoch' of type int among"),
        ({3: torch.zeros(1)}, "holds 3 of type Tensor among"),
        ({"state_dict": {"a": [1.0]}}, "holds 'a' of type list among"),
    ],
)
def test_contents_other_than_named_tensors_are_named(tmp_path, save, what, said):
    save(what, tmp_path / "w.pt")
    with pytest.raises(DataError, match=rf"w\.pt: {said}.*torch\.save\(model\.state_dict"):
        tensors.read(tmp_path / "w.pt")


def test_a_missing_file_has_the_remedy_of_its_loader(tmp_path):
    with pytest.raises(DataError, match=r"w\.pt: no such file; check the key `weights`"):
        tensors.read(tmp_path / "w.pt")
    with pytest.raises(DataError, match=r"is a folder, not a file of weights .*; run it again"):
        tensors.read(tmp_path, "run it again")


@pytest.mark.parametrize(
    ("tensor", "how"),
    [
        (torch.zeros(2, 3, dtype=torch.int8), "int8"),
        (torch.zeros(2, 3, dtype=torch.complex64), "complex64"),
        (torch.zeros(2, 3, dtype=torch.float8_e4m3fn), "float8_e4m3fn"),
        (torch.eye(2, 3).to_sparse(), "sparse_coo"),
    ],
)
def test_numbers_of_another_kind_are_named(tmp_path, tensor, how):
    torch.save({**STATE, "a.weight": tensor}, path := tmp_path / "w.pt")
    found = tensors.read(path)
    with pytest.raises(DataError, match=rf"w\.pt: a\.weight is {how}, not floating-point numbers"):
        tensors.require_match(path, found, STATE, "take another")
    tensors.require_match(path, STATE, STATE, "take another")


def test_packed_weights_are_to_be_unpacked(tmp_path):
    (tmp_path / "w.pt.gz").write_bytes(gzip.compress(b"1"))
    with pytest.raises(
        DataError, match=r"is a gzip file, not a file of weights .*; unpack it firs"
    ):
        tensors.read(tmp_path / "w.pt.gz")


def test_a_checkpoint_that_holds_itself_is_refused(tmp_path):
    endless: dict[str, object] = {}
    endless["model"] = endless
    torch.save(endless, tmp_path / "w.pt")
    with pytest.raises(DataError, match=r"w\.pt: holds 'model' of type dict among what should be"):
        tensors.read(tmp_path / "w.pt")
