import numpy as np
import pytest
import torch

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer.checkpoint_layouts import convert_state
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig
from cell_synergy.encoders._nicheformer.modeling import (
    NicheformerForMaskedLM,
    NicheformerModel,
    pool,
)

LENGTHS = (12, 7, 3)


def _cells(config):
    torch.manual_seed(1)
    ids = torch.randint(30, config.prediction_size, (len(LENGTHS), 12))
    mask = (torch.arange(12) < torch.tensor(LENGTHS)[:, None]).long()
    return torch.where(mask == 1, ids, 1), mask


def _with_weights_of(config, network, **settings):
    model = NicheformerModel._from_config(config, **settings).eval()
    model.load_state_dict(convert_state(network.state_dict(), config, "here"))
    return model


@pytest.mark.parametrize("backend", ["eager", "sdpa"])
@pytest.mark.parametrize("padded", [False, True])
@torch.no_grad()
def test_outputs_equal_the_reference_network(small, reference_network, backend, padded):
    network = reference_network(small)
    ids, mask = _cells(small)
    mask = mask if padded else torch.ones_like(mask)
    expected = network(ids, mask == 0)
    hidden = _with_weights_of(small, network, attn_implementation=backend)(
        ids, mask if padded else None
    )
    is_token = mask == 1
    assert expected[is_token].std() > 0.3
    torch.testing.assert_close(hidden[is_token], expected[is_token], atol=1e-5, rtol=0)


@torch.no_grad()
def test_outputs_equal_the_reference_network_at_the_published_width(reference_network):
    config = NicheformerConfig(num_hidden_layers=1)
    network = reference_network(config)
    ids, mask = _cells(config)
    expected, is_token = network(ids, mask == 0), mask == 1
    hidden = _with_weights_of(config, network)(ids, mask)
    torch.testing.assert_close(hidden[is_token], expected[is_token], atol=1e-5, rtol=0)


@torch.no_grad()
def test_padding_changes_nothing(small, reference_network):
    model = _with_weights_of(small, reference_network(small))
    ids, mask = _cells(small)
    together = model(ids, mask)
    for row, length in enumerate(LENGTHS):
        alone = model(ids[row : row + 1, :length])
        torch.testing.assert_close(together[row : row + 1, :length], alone, atol=1e-5, rtol=0)


@torch.no_grad()
def test_a_saved_network_gives_the_same_output(small, tmp_path):
    model = NicheformerModel(small).eval()
    model.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    again = NicheformerModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert again.config._attn_implementation == "eager"
    assert again.config.hidden_size == small.hidden_size
    ids, mask = _cells(small)
    torch.testing.assert_close(again(ids, mask), model(ids, mask), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_encoder_is_loaded_from_a_pretrained_model(small, tmp_path):
    whole = NicheformerForMaskedLM(small).eval()
    whole.save_pretrained(tmp_path)
    encoder = NicheformerModel.from_pretrained(tmp_path).eval()
    ids, mask = _cells(small)
    torch.testing.assert_close(encoder(ids, mask), whole.nicheformer(ids, mask))


def test_only_labelled_tokens_enter_the_loss(small):
    model = NicheformerForMaskedLM(small).eval()
    ids, mask = _cells(small)
    labels = torch.full_like(ids, -100)
    labels[0, 4], labels[1, 5] = 33, 41
    output = model(ids, mask, labels)
    logits = model(ids, mask).logits[[0, 1], [4, 5]]
    torch.testing.assert_close(output.logits, logits)
    expected = -logits.log_softmax(dim=1)[[0, 1], [33, 41]].mean()
    torch.testing.assert_close(output.loss, expected)


def test_checkpointed_gradients_are_the_with_weights_of(small):
    ids, mask = _cells(small)
    gradients = []
    for saving in (False, True):
        torch.manual_seed(0)
        model = NicheformerModel(small).train()
        if saving:
            model.activation_checkpointing_enable()
        model(ids, mask).square().mean().backward()
        gradients.append(model.encoder.layers[0].linear1.weight.grad)
    assert gradients[0].abs().max() > 0
    torch.testing.assert_close(*gradients)


def test_pooling_averages_what_it_says():
    hidden = torch.arange(2 * 5 * 2, dtype=torch.float32).view(2, 5, 2)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])
    masked = np.stack([hidden[0].numpy().mean(axis=0), hidden[1, :4].numpy().mean(axis=0)])
    np.testing.assert_allclose(pool(hidden, mask, "masked"), masked)
    published = hidden[:, 3:].numpy().mean(axis=1)
    np.testing.assert_allclose(pool(hidden, mask, "published"), published)


def test_heads_must_divide_the_width():
    with pytest.raises(ConfigError, match="width: 10 is no multiple of heads: 4"):
        NicheformerModel(NicheformerConfig(hidden_size=10, num_attention_heads=4))
