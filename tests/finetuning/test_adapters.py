"""Trainable parameters of an expert: named tensors alone; the frozen expert keeps its bytes."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from peft import PeftModel
from safetensors.torch import save_file

from cell_synergy.core.errors import ConfigError, DataError
from cell_synergy.finetuning import adapters
from cell_synergy.finetuning.adapters import AdaptedExpert, load
from tests import broken
from tests.finetuning import small

ROWS = np.arange(12)


@pytest.fixture
def expert():
    return small.nicheformer(np.random.default_rng(0).poisson(3.0, (12, 10)))


def state(network):
    return {name: array.numpy().tobytes() for name, array in network.state_dict().items()}


def trained(adapted, steps=3):
    """Return trainable parameters after a few steps towards an arbitrary target."""
    params = adapted.start(0)
    target = torch.from_numpy(np.random.default_rng(1).standard_normal((12, 16))).float()
    optimiser = torch.optim.SGD(params.values(), lr=0.5)
    for _ in range(steps):
        optimiser.zero_grad()
        loss = ((adapted.features(params, ROWS, np.random.default_rng(2)) - target) ** 2).mean()
        loss.backward()
        optimiser.step()
    return params


def test_lora_starts_as_the_expert_and_then_changes_its_embedding(expert):
    frozen = AdaptedExpert(expert, small.settings(how="linear"))
    adapted = AdaptedExpert(expert, small.settings(how="lora"))
    before = frozen.embed({}, ROWS)
    torch.testing.assert_close(adapted.embed(adapted.start(0), ROWS), before)
    after = adapted.embed(trained(adapted), ROWS)
    assert (after - before).abs().max() > 0.01
    assert torch.equal(after, adapted.embed(trained(adapted), ROWS))


@pytest.mark.parametrize("how", ["lora", "last"])
def test_the_base_keeps_its_bytes_and_no_gradients(how, expert):
    before = state(expert.network)
    adapted = AdaptedExpert(expert, small.settings(how=how))
    params = trained(adapted)
    assert state(expert.network) == before
    assert all(p.grad is None and not p.requires_grad for p in adapted.network.parameters())
    assert set(params) == set(adapted.names)
    assert all(tensor.grad is not None for tensor in params.values())


def test_lora_adapts_every_linear_layer_and_nothing_else_is_trained(expert):
    names = AdaptedExpert(expert, small.settings(how="lora")).names
    linears = [n for n, m in expert.network.named_modules() if isinstance(m, torch.nn.Linear)]
    assert len(linears) == 12
    expected = {
        f"base_model.model.{n}.lora_{part}.default.weight" for n in linears for part in "AB"
    }
    assert set(names) == expected


def test_the_last_layers_are_those_named_and_what_follows(expert):
    names = AdaptedExpert(expert, small.settings(how="last")).names
    last = {part for part in expert.layers[-1] for name in names if name.startswith(f"{part}.")}
    assert last == set(expert.layers[-1])
    assert not [name for name in names if name.startswith(expert.layers[0])]
    both = AdaptedExpert(expert, small.settings(how="last", last={"layers": 2})).names
    assert set(names) < set(both)


def test_more_layers_than_there_are_is_a_mistake(expert):
    with pytest.raises(ConfigError, match=r"finetune\.last\.layers: 3 is more than the 2 of tiny"):
        AdaptedExpert(expert, small.settings(how="last", last={"layers": 3}))


def test_embedding_merges_the_adapters_into_the_weights(expert):
    adapted = AdaptedExpert(expert, small.settings(lora={"dropout": 0.5}))
    params = trained(adapted)
    unmerged = adapted.features(params, ROWS)
    torch.testing.assert_close(adapted.embed(params, ROWS), unmerged, rtol=0, atol=1e-6)
    torch.testing.assert_close(adapted.embed({}, ROWS), adapted.features(adapted.start(0), ROWS))
    assert (unmerged - adapted.embed({}, ROWS)).abs().max() > 0.01


def test_dropout_is_for_training_only(expert):
    adapted = AdaptedExpert(expert, small.settings(lora={"dropout": 0.5}))
    params = trained(adapted)
    torch.manual_seed(0)
    features = [adapted.features(params, ROWS, np.random.default_rng(0)) for _ in range(2)]
    assert not torch.equal(*features)
    assert torch.equal(adapted.features(params, ROWS), adapted.features(params, ROWS))


def test_adapters_start_with_their_seed(expert):
    adapted = AdaptedExpert(expert, small.settings())
    first, again, other = (adapted.start(seed) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any((first[name] != other[name]).any() for name in first)


@pytest.mark.parametrize("how", ["linear", "lora", "last"])
def test_saved_adapters_give_the_same_features(how, expert, tmp_path):
    adapted = AdaptedExpert(expert, small.settings(how=how))
    params = trained(adapted) if adapted.names else {}
    adapted.save(tmp_path, params)
    files = {
        "linear": {"base.json"},
        "lora": {"base.json", "adapter_config.json", "adapter_model.safetensors"},
        "last": {"base.json", "last.safetensors"},
    }
    assert {path.name for path in tmp_path.iterdir()} == files[how]
    network = load(tmp_path, expert)
    with torch.no_grad():
        again = expert.features(network, expert.batch(ROWS, None))
    torch.testing.assert_close(again, adapted.embed(params, ROWS), rtol=0, atol=1e-6)


def test_merged_adapters_give_the_same_features(expert, tmp_path):
    adapted = AdaptedExpert(expert, small.settings())
    params = trained(adapted)
    adapted.save(tmp_path, params)
    network = load(tmp_path, expert)
    assert isinstance(network, PeftModel)
    merged = network.merge_and_unload()
    assert not [name for name in merged.state_dict() if "lora" in name]
    with torch.no_grad():
        features = expert.features(merged, expert.batch(ROWS, None))
    torch.testing.assert_close(features, adapted.embed(params, ROWS), rtol=0, atol=1e-6)


def test_another_expert_is_refused(expert, tmp_path):
    adapted = AdaptedExpert(expert, small.settings())
    adapted.save(tmp_path, adapted.start(0))
    with pytest.raises(DataError, match=rf"tuned on {expert.name} .* which is not other"):
        load(tmp_path, replace(expert, name="other", sha256="c" * 64))
    base = json.loads((tmp_path / "base.json").read_text())
    file = "adapter_model.safetensors"
    assert base == {"expert": expert.name, "sha256": expert.sha256, "parameters": file}
    config = json.loads((tmp_path / "adapter_config.json").read_text())
    assert expert.sha256 in config["base_model_name_or_path"]


def test_saving_twice_writes_the_same_bytes(expert, tmp_path):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        adapted = AdaptedExpert(expert, small.settings())
        adapted.save(tmp_path / name, trained(adapted))
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_observations_are_embedded_in_batches_of_limited_size(expert, monkeypatch):
    sizes = []

    def batch(rows, rng):
        sizes.append(len(rows))
        return expert.batch(rows, rng)

    whole = AdaptedExpert(expert, small.settings()).embed({}, ROWS)
    monkeypatch.setattr(adapters, "_EMBED_BATCH_SIZE", 16)
    many = replace(expert, items=np.full(12, 7), batch=batch)
    torch.testing.assert_close(AdaptedExpert(many, small.settings()).embed({}, ROWS), whole)
    assert max(sizes) <= 3


@pytest.mark.parametrize("how", ["lora", "last"])
@broken.each(broken.COMMON, broken.OTHERS)
def test_weights_that_are_something_else_are_named(how, expert, tmp_path, given, said):
    adapted = AdaptedExpert(expert, small.settings(how=how))
    adapted.save(tmp_path, adapted.start(0))
    (path,) = tmp_path.glob("*.safetensors")
    path.write_bytes(given)
    with pytest.raises(DataError, match=rf"{path.name}: {said}"):
        load(tmp_path, expert)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("base.json", "<html></html>", r"base\.json: is a web page"),
        ("base.json", "[]", r"base\.json: holds no JSON object"),
        ("base.json", "{}", "was tuned on None .*give that expert, or tune again"),
        ("base.json", None, r"base\.json: no such file; give the folder that fine-tuning wrote"),
        ("adapter_config.json", "", r"adapter_config\.json: is empty"),
        ("adapter_config.json", '{"peft_type": "IA3"}', "holds no rank, alpha and dropout of LoRA"),
        (
            "adapter_config.json",
            '{"peft_type": "LORA", "r": -1, "lora_alpha": 1, "lora_dropout": 0}',
            r"adapter_config\.json: Input should be greater than 0; give",
        ),
        (
            "adapter_config.json",
            '{"peft_type": "LORA", "r": 3, "lora_alpha": 1, "lora_dropout": 0}',
            r"adapter_model\.safetensors: not the weights of this network: it has in another shape",
        ),
        ("adapter_model.safetensors", None, r"adapter_model\.safetensors: no such file; give the"),
    ],
)
def test_a_damaged_folder_of_adapters_is_named(expert, tmp_path, file, content, message):
    adapted = AdaptedExpert(expert, small.settings())
    adapted.save(tmp_path, adapted.start(0))
    (tmp_path / file).unlink()
    if content is not None:
        (tmp_path / file).write_text(content)
    with pytest.raises(DataError, match=message):
        load(tmp_path, expert)


def test_settings_of_adapters_lead_to_no_other_file(expert, tmp_path, monkeypatch):
    adapted = AdaptedExpert(expert, small.settings())
    params = trained(adapted)
    adapted.save(tmp_path, params)
    path = tmp_path / "adapter_config.json"
    config = json.loads(path.read_text())
    extra = {"corda_config": {"covariance_file": "x.pt"}, "init_lora_weights": "corda",
             "base_model_name_or_path": "lab/net"}  # fmt: skip
    path.write_text(json.dumps(config | extra))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", None)
    with torch.no_grad():
        again = expert.features(load(tmp_path, expert), expert.batch(ROWS, None))
    torch.testing.assert_close(again, adapted.embed(params, ROWS), rtol=0, atol=1e-6)


def test_lost_last_layers_are_named_and_not_taken_for_the_frozen_expert(expert, tmp_path):
    adapted = AdaptedExpert(expert, small.settings(how="last"))
    adapted.save(tmp_path, adapted.start(0))
    (tmp_path / "last.safetensors").unlink()
    with pytest.raises(DataError, match=r"last\.safetensors: no such file; give the folder"):
        load(tmp_path, expert)


def test_a_folder_that_does_not_say_what_was_trained_is_refused(expert, tmp_path):
    base = {"expert": expert.name, "sha256": expert.sha256}
    (tmp_path / "base.json").write_text(json.dumps(base))
    with pytest.raises(DataError, match=r"base\.json: `parameters` does not name the file"):
        load(tmp_path, expert)


def test_last_layers_of_another_network_are_refused(expert, tmp_path):
    adapted = AdaptedExpert(expert, small.settings(how="last"))
    adapted.save(tmp_path, adapted.start(0))
    save_file({"encoder.layers.7.norm1.weight": torch.zeros(3)}, tmp_path / "last.safetensors")
    with pytest.raises(
        DataError, match=r"last\.safetensors: .*has the unknown encoder\.layers\.7\.norm1"
    ):
        load(tmp_path, expert)
