import pytest
import torch
from safetensors.torch import save_file

from cell_synergy.core.errors import DataError
from cell_synergy.encoders._nicheformer.checkpoint_layouts import load, published_shapes
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from tests import broken

PARAMETERS, TENSORS = 49_302_040, 164  # of the published file
ENCODER_PARAMETERS = 36_418_048


@pytest.fixture
def state(small, reference_network):
    return reference_network(small).state_dict()


def _authors(state, folder, **extra):
    path = folder / "nicheformer.ckpt"
    torch.save({"epoch": 3, "state_dict": state, **extra}, path)
    return path


def _bare(state, folder):
    path = folder / "nicheformer.pt"
    torch.save(state, path)
    return path


def _hubs(state, folder):
    path = folder / "model.safetensors"
    save_file({f"nicheformer.{name}": tensor for name, tensor in state.items()}, path)
    return path


def test_the_published_layout_is_that_of_the_reference(reference_network):
    with torch.device("meta"):
        state = reference_network(NicheformerConfig()).state_dict()
    assert published_shapes(NicheformerConfig()) == {
        name: tuple(t.shape) for name, t in state.items()
    }
    assert len(state) == TENSORS
    assert sum(tensor.numel() for tensor in state.values()) == PARAMETERS


@pytest.mark.parametrize("layout", [_authors, _bare, _hubs])
@torch.no_grad()
def test_every_layout_gives_the_reference_network(
    small, reference_network, state, tmp_path, layout
):
    model = load(layout(state, tmp_path), small)
    assert not model.training
    ids = torch.randint(30, 50, (2, 9))
    expected = reference_network(small)(ids, torch.zeros_like(ids, dtype=torch.bool))
    torch.testing.assert_close(model(ids), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("prefix", ["encoder_layer", "pooler_head", "classifier_head"])
def test_tensors_that_the_encoder_does_not_need_may_be_absent(small, state, tmp_path, prefix):
    fewer = {name: tensor for name, tensor in state.items() if not name.startswith(prefix)}
    assert len(fewer) < len(state)
    load(_hubs(fewer, tmp_path), small)


def test_a_buffer_of_positions_is_ignored(small, state, tmp_path):
    load(_authors({**state, "pos": torch.arange(12)}, tmp_path), small)


def test_half_precision_becomes_single(small, state, tmp_path):
    model = load(_hubs({name: t.half() for name, t in state.items()}, tmp_path), small)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_an_unknown_tensor_is_named(small, state, tmp_path):
    path = _hubs({**state, "niche_head.weight": torch.zeros(2)}, tmp_path)
    with pytest.raises(DataError, match=r"model\.safetensors: 1 tensors .* 'niche_head\.weight'"):
        load(path, small)


def test_a_missing_tensor_is_named(small, state, tmp_path):
    del state["encoder.layers.1.norm2.bias"]
    with pytest.raises(DataError, match=r"1 tensors are missing, first 'encoder.layers.1.norm2"):
        load(_authors(state, tmp_path), small)


def test_another_size_is_named(small, state, tmp_path):
    state["embeddings.weight"] = state["embeddings.weight"][:-5]
    with pytest.raises(DataError, match=r"embeddings.weight has shape \(50, 8\), not \(55, 8\)"):
        load(_authors(state, tmp_path), small)


def test_code_in_a_checkpoint_is_not_run(small, state, tmp_path):
    bomb, marker = broken.bomb(tmp_path)
    path = _authors(state, tmp_path, hyper_parameters=bomb)
    with pytest.raises(DataError, match=r"holds more than tensors .* take its safetensors"):
        load(path, small)
    assert not marker.exists()


@broken.each(broken.COMMON, broken.OTHERS)
@pytest.mark.parametrize("name", ["model.safetensors", "weights.pt"])
def test_a_file_that_is_something_else_is_named(small, tmp_path, given, said, name):
    (path := tmp_path / name).write_bytes(given)
    with pytest.raises(DataError, match=rf"{name}: {said}"):
        load(path, small)


def test_a_list_is_no_checkpoint(small, tmp_path):
    torch.save(["no dictionary"], path := tmp_path / "list.ckpt")
    with pytest.raises(DataError, match="holds a list, not tensors by name"):
        load(path, small)


def test_checkpoints_of_older_pytorch_are_loaded(small, state, tmp_path):
    torch.save({"state_dict": state}, path := tmp_path / "w", _use_new_zipfile_serialization=False)
    loaded = load(path, small).state_dict()["embeddings.weight"]
    assert torch.equal(loaded, state["embeddings.weight"])


def test_quantised_weights_are_refused(small, state, tmp_path):
    state["embeddings.weight"] = state["embeddings.weight"].to(torch.int8)
    with pytest.raises(DataError, match=r"embeddings\.weight is int8, not floating-point"):
        load(_hubs(state, tmp_path), small)


def test_a_missing_file_is_named(small, tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.pt: no such file; check the key `weights`"):
        load(tmp_path / "nowhere.pt", small)


def test_the_published_encoder_is_filled_without_initialisation(reference_network, tmp_path):
    config = NicheformerConfig()
    model = load(_hubs(reference_network(config).state_dict(), tmp_path), config)
    assert sum(parameter.numel() for parameter in model.parameters()) == ENCODER_PARAMETERS
    assert {parameter.device.type for parameter in model.parameters()} == {"cpu"}
