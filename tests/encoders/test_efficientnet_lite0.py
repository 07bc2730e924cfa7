import json
from pathlib import Path

import imagecodecs
import numpy as np
import pandas as pd
import pytest
import torch

from cell_synergy import encoders
from cell_synergy.core.errors import DataError
from cell_synergy.encoders import efficientnet_lite0
from cell_synergy.encoders._vision import features, image_expert
from tests import broken

GOLDEN = Path(__file__).parents[1] / "golden" / "efficientnet_lite0.npz"
SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
SETTINGS = {"field_um": 48.0, "context_um": 96.0, "input_px": 64, "batch_size": 4}


@pytest.fixture(autouse=True)
def _cpu(monkeypatch, tmp_path):
    monkeypatch.setenv("CELL_SYNERGY_SCRATCH", str(tmp_path / "scratch"))
    for module in (efficientnet_lite0, features, image_expert):
        monkeypatch.setattr(module, "device", lambda: torch.device("cpu"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _expert(**changes):
    return encoders.load("efficientnet_lite0", {**SETTINGS, **changes})


def _weights():
    return _expert().weights_file({})


def _blobs(side):
    """Return smooth coloured texture of 192 um as an image of `side` pixels."""
    y, x = np.mgrid[:side, :side] * (192 / side) + 96 / side
    waves = [np.sin(x / 9 + y / 31) + np.cos(y / 7), np.cos(x / 23) * np.sin(y / 11), np.sin(x / 5)]
    return np.clip(160 + 40 * np.stack(waves, axis=2), 0, 255).round().astype(np.uint8)


@pytest.fixture
def tissue(units, tmp_path):
    """Return pairs of two interleaved sections of the same tissue: at 0.5 and at 1 um per pixel."""
    folder = tmp_path / "expert"
    folder.mkdir()
    (folder / encoders.CARD).write_text(json.dumps(_expert().freeze(units(2, 2), folder)))
    pairs = units(10, 2)
    pairs.obs["section"] = pd.Categorical(["fine", "coarse"] * 5)
    coords = [(96.0, 96.0), (60.0, 110.0), (130.0, 70.0), (50.0, 50.0), (2.0, 190.0)]
    pairs.obsm["spatial"] = np.repeat(coords, 2, axis=0)
    pairs.uns["mpp"] = {"fine": 0.5, "coarse": 1.0}
    pairs.uns["images"] = {"fine": "fine.png", "coarse": "coarse.png"}
    for name, side in (("fine", 384), ("coarse", 192)):
        (tmp_path / f"{name}.png").write_bytes(imagecodecs.png_encode(_blobs(side)))
    return pairs, tmp_path, folder


def test_the_weights_have_the_recorded_hash(units, tmp_path):
    card = _expert().freeze(units(2, 2), tmp_path)
    assert card["sha256"] == SHA256
    assert card["state"] == "pretrained"
    assert card["dimension"] == 944


def test_each_tensor_of_the_wheel_is_loaded_into_its_layer():
    network = efficientnet_lite0.build(_weights())
    state = torch.load(_weights(), weights_only=True)
    renamed = efficientnet_lite0._rename_tensors(state, network)
    assert len(renamed) == len(state)
    assert renamed.keys() == network.state_dict().keys()
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(tensor, renamed[name], rtol=0, atol=0)
    assert not network.training


def test_folding_leaves_no_batch_norm_and_the_same_output():
    network, x = efficientnet_lite0.build(_weights()), torch.randn(2, 3, 64, 64)
    with torch.inference_mode():
        expected = network(x)
        actual = efficientnet_lite0.fold_batch_norm(network)(x)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-4)
    assert not [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]


def test_features_are_finite_and_deterministic(tissue):
    first, second = (_expert().embed(*tissue) for _ in range(2))
    assert first.shape == (10, 944)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    np.testing.assert_array_equal(first, second)


def test_features_do_not_depend_on_the_batch_or_on_other_observations(tissue):
    pairs, raw, folder = tissue
    whole = _expert(batch_size=32).embed(*tissue)
    for size in (1, 2):
        embedding = _expert(batch_size=size).embed(*tissue)
        np.testing.assert_allclose(embedding, whole, atol=1e-4)
    subset = [7, 2, 4]
    embedding = _expert().embed(pairs[subset].copy(), raw, folder)
    np.testing.assert_allclose(embedding, whole[subset], atol=1e-4)


def test_the_field_of_view_is_in_micrometres_whatever_the_resolution(tissue):
    embedding = _expert().embed(*tissue)[:8]  # the last two are mostly padding
    fine, coarse = embedding[::2], embedding[1::2]
    same = np.linalg.norm(fine - coarse, axis=1)
    other = np.linalg.norm(fine - np.roll(fine, 1, axis=0), axis=1)
    assert (same < 0.25 * other).all()


def test_a_wrong_scale_changes_the_features(tissue):
    pairs, raw, folder = tissue
    right = _expert().embed(pairs, raw, folder)
    pairs.obsm["spatial"][1::2] /= 2
    pairs.uns["mpp"]["coarse"] = 0.5
    wrong = _expert().embed(pairs, raw, folder)
    np.testing.assert_allclose(right[::2], wrong[::2], atol=1e-5)
    distance = np.linalg.norm(right[1] - wrong[1])
    assert distance > 4 * np.linalg.norm(right[0] - right[1])


def test_each_field_of_view_has_half_of_the_features(tissue):
    both = _expert().embed(*tissue)
    narrow = _expert(context_um=SETTINGS["field_um"]).embed(*tissue)
    np.testing.assert_allclose(narrow[:, :472], both[:, :472], atol=1e-5)
    np.testing.assert_allclose(narrow[:, 472:], narrow[:, :472], atol=1e-5)
    assert np.abs(both[:, 472:] - both[:, :472]).max() > 0.1


@pytest.mark.parametrize("side", [64, 49])  # even sides are padded unevenly where they are halved
def test_features_are_timms_spatial_means_of_stages_2_4_and_6(tissue, side):
    pairs, raw, folder = tissue
    golden = np.load(GOLDEN)
    one = pairs[1:2].copy()
    one.obsm["spatial"] = np.full((1, 2), side / 2)
    (raw / "coarse.png").write_bytes(imagecodecs.png_encode(golden[f"patch_{side}"]))
    embedding = _expert(field_um=float(side), input_px=side).embed(one, raw, folder)
    np.testing.assert_allclose(embedding[0, :472], golden[f"features_{side}"], atol=1e-4)


def test_downsampling_is_antialiased():
    board = np.indices((192, 192)).sum(axis=0) % 2 * 255
    patches = torch.from_numpy(np.repeat(board[None, :, :, None], 3, axis=3).astype(np.uint8))
    inputs = efficientnet_lite0._inputs(patches, 64)
    assert inputs[:, :, 1:-1, 1:-1].abs().max() < 0.05


def test_upsampling_interpolates_between_pixel_centres():
    ramp = np.broadcast_to(np.arange(32)[:, None] * 8, (1, 32, 32, 3)).astype(np.uint8)
    inputs = efficientnet_lite0._inputs(torch.from_numpy(ramp), 64)
    expected = ((np.arange(64) + 0.5) / 2 - 0.5).clip(0, 31) * 8 / 127.5 - 1
    np.testing.assert_allclose(inputs[0, 1, 20], expected, atol=1e-6)


def test_other_weights_than_the_recorded_ones_are_refused(tissue):
    pairs, raw, folder = tissue
    (folder / encoders.CARD).write_text(json.dumps({"sha256": "0" * 64, "dimension": 3}))
    message = (
        r"sha256 579344248a93\.\.\.\) is not the file .*\(000000000000\.\.\.\); run `dvc repro"
    )
    with pytest.raises(DataError, match=message):
        _expert().embed(pairs, raw, folder)


def test_a_missing_image_is_named(tissue):
    pairs, raw, folder = tissue
    (raw / "coarse.png").unlink()
    with pytest.raises(DataError, match=r"coarse\.png: no such image"):
        _expert().embed(pairs, raw, folder)


@broken.each(broken.COMMON, broken.OTHERS)
def test_broken_weights_are_named(tmp_path, given, said):
    (path := tmp_path / "w.pth").write_bytes(given)
    with pytest.raises(DataError, match=rf"w\.pth: {said}"):
        efficientnet_lite0.build(path)


def test_weights_of_another_network_are_named(tmp_path):
    torch.save({"_blocks.99._bn0.weight": torch.zeros(1), "x.y": torch.zeros(1)}, tmp_path / "w")
    with pytest.raises(DataError, match=r"not the weights of this network: it lacks .* \(of \d+\)"):
        efficientnet_lite0.build(tmp_path / "w")
