import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torchvision import transforms

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.encoders._vision import transformer
from tests import broken

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
RNG = np.random.default_rng(0)


def _loaded(empty, path):
    network = empty()
    transformer.load(network, path)
    return network


def test_a_network_is_built_without_memory(empty):
    assert all(tensor.is_meta for tensor in empty().parameters())
    assert not empty().training


def test_loaded_weights_give_the_output_of_the_network_that_they_are_of(network, weights, empty):
    x = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(_loaded(empty, weights)(x), network(x), rtol=0, atol=0)


def test_safetensors_are_read_too(network, tmp_path, empty):
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    x = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        output = _loaded(empty, tmp_path / "model.safetensors")(x)
        torch.testing.assert_close(output, network(x), rtol=0, atol=0)


def test_tensors_that_are_missing_unknown_or_of_another_shape_are_named(network, tmp_path, empty):
    state = network.state_dict()
    del state["blocks.1.attn.qkv.bias"], state["norm.weight"]
    state["head.weight"] = torch.zeros(5, 48)
    state["pos_embed"] = torch.zeros(1, 9, 48)
    torch.save(state, tmp_path / "w.bin")
    message = (
        r"w\.bin: not the weights of this network: it lacks blocks\.1\.attn\.qkv\.bias \(of 2\), "
        r"has the unknown head\.weight \(of 1\), has in another shape pos_embed \(1, 9, 48\), not "
        r"\(1, 4, 48\) \(of 1\); take the file of the model that `model` and `arguments` describe"
    )
    with pytest.raises(DataError, match=message):
        _loaded(empty, tmp_path / "w.bin")


@broken.each(broken.COMMON, broken.OTHERS)
@pytest.mark.parametrize("name", ["w.bin", "w.safetensors"])
def test_a_file_that_is_no_state_dict_is_refused(given, said, name, tmp_path, empty):
    (tmp_path / name).write_bytes(given)
    with pytest.raises(DataError, match=rf"{name}: {said}"):
        _loaded(empty, tmp_path / name)


def test_older_files_and_those_of_several_gpus_give_the_same_output(network, tmp_path, empty):
    x = torch.randn(2, 3, 28, 28)
    state = {f"module.{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"model": state}, tmp_path / "w", _use_new_zipfile_serialization=False)
    with torch.inference_mode():
        torch.testing.assert_close(_loaded(empty, tmp_path / "w")(x), network(x), rtol=0, atol=0)


def test_a_pickle_that_would_run_code_is_refused(tmp_path, empty):
    bomb, marker = broken.bomb(tmp_path)
    torch.save({"x": bomb}, tmp_path / "w.bin")
    with pytest.raises(DataError, match="holds more than tensors"):
        _loaded(empty, tmp_path / "w.bin")
    assert not marker.exists()


def test_weights_of_another_kind_of_number_are_refused(network, tmp_path, empty):
    state = {**network.state_dict(), "norm.weight": torch.ones(48, dtype=torch.int8)}
    save_file(state, tmp_path / "w.safetensors")
    with pytest.raises(DataError, match=r"norm\.weight is int8, not floating-point numbers"):
        _loaded(empty, tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    "model", ["hf-hub:lab/net", "hf_hub:lab/net", "local-dir:/models/net", "timm/vit_tiny", ""]
)
def test_a_model_that_timm_would_fetch_itself_is_refused(model):
    with pytest.raises(ConfigError, match=r"fetched or read by timm itself, unchecked; give the"):
        transformer.build(model, {})


@pytest.mark.parametrize(
    ("key", "given"),
    [
        ("checkpoint_path", "w.bin"), ("pretrained", True), ("pretrained_cfg", {"file": "w.bin"}),
        ("pretrained_cfg_overlay", {"url": "https://example.org/w"}), ("cache_dir", "."),
    ],
)  # fmt: skip
def test_arguments_by_which_timm_would_read_weights_are_refused(key, given):
    with pytest.raises(ConfigError, match=rf"arguments\.{key}: timm would fetch or read weights"):
        transformer.build("vit_tiny_patch16_224", {key: given})


@pytest.mark.parametrize(
    ("model", "arguments", "message"),
    [
        ("vit_enormous", {}, "timm cannot build 'vit_enormous' with these arguments"),
        ("vit_tiny_patch16_224", {"reg_token": 4}, "unexpected keyword argument 'reg_token'"),
        ("vit_tiny_patch16_224", {"mlp_layer": "SwigluPakt"}, "no attribute 'SwigluPakt'"),
        ("vit_tiny_patch16_224", {"patch_size": 0}, "timm cannot build 'vit_tiny_patch16_224'"),
        ("vit_tiny_patch16_224", {"num_heads": 5}, "timm cannot build 'vit_tiny_patch16_224'"),
        ("resnet18", {}, "'resnet18' is no vision transformer of timm"),
    ],
)
def test_what_timm_cannot_build_is_refused(model, arguments, message):
    with pytest.raises(ConfigError, match=message):
        transformer.build(model, arguments)


def test_features_are_the_class_token_and_the_mean_of_the_patches(network):
    x = torch.randn(2, 3, 28, 28)
    with torch.inference_mode():
        tokens = network.forward_features(x)
        token = transformer.features(network, x, "token")
        both = transformer.features(network, x, "token+mean")
        torch.testing.assert_close(token, network(x), rtol=0, atol=0)
    assert tokens.shape == (2, 1 + 2 + 4, 48)  # registers are in neither
    torch.testing.assert_close(both[:, :48], token, rtol=0, atol=0)
    torch.testing.assert_close(both[:, 48:], tokens[:, 3:].mean(dim=1))


def test_bfloat16_weights_give_the_output_of_autocast(network):
    x = torch.randn(2, 3, 28, 28)

    def run():
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            return transformer.features(network, x, "token+mean")

    expected = run()
    transformer.to_bfloat16(network)
    torch.testing.assert_close(run(), expected, rtol=0, atol=0)
    kinds = {n: t.dtype for n, t in network.named_parameters()}
    assert kinds["blocks.0.attn.qkv.weight"] == torch.bfloat16
    assert kinds["blocks.0.norm1.weight"] == kinds["pos_embed"] == torch.float32


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [224, 448, 80, 301])
def test_the_transform_is_torchvisions_on_a_pillow_image(mode, side):
    rough = RNG.integers(70, 190, (side // 3, side // 3, 3), dtype=np.uint8)
    patch = Image.fromarray(rough).resize((side, side))
    reference = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode(mode)),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    patches = torch.from_numpy(np.asarray(patch).copy())[None]
    inputs = transformer.inputs(patches, 224, mode, MEAN, STD)[0]
    levels = (inputs - reference(patch)).abs() * torch.tensor(STD)[:, None, None] * 255
    assert levels.max() < (1e-4 if side == 224 else 1.1)  # Pillow rounds to whole colours
    assert levels.mean() < 0.35


def test_patches_are_transformed_in_chunks(monkeypatch):
    patches = torch.from_numpy(RNG.integers(0, 256, (5, 40, 40, 3), dtype=np.uint8))
    whole = transformer.inputs(patches, 28, "bilinear", MEAN, STD)
    monkeypatch.setattr(transformer, "_RESIZE_BYTES", 2 * 40 * 40 * 12)
    chunked = transformer.inputs(patches, 28, "bilinear", MEAN, STD)
    torch.testing.assert_close(chunked, whole, rtol=0, atol=0)
    assert chunked.is_contiguous(memory_format=torch.channels_last)
