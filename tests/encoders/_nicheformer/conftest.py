import pytest
import torch
from torch import nn

from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig


class ReferenceNicheformer(nn.Module):
    """Nicheformer as described in the paper, built from modules of PyTorch."""

    def __init__(self, config):
        super().__init__()
        d = config.hidden_size
        self.encoder_layer = nn.TransformerEncoderLayer(
            d,
            config.num_attention_heads,
            config.intermediate_size,
            dropout=0.0,
            activation="relu",
            layer_norm_eps=1e-12,
            batch_first=True,
            norm_first=False,
        )
        self.encoder = nn.TransformerEncoder(
            self.encoder_layer, config.num_hidden_layers, enable_nested_tensor=False
        )
        self.embeddings = nn.Embedding(config.prediction_size + 5, d, padding_idx=1)
        self.positional_embedding = nn.Embedding(config.max_position_embeddings, d)
        self.classifier_head = nn.Linear(d, config.prediction_size)
        self.pooler_head = nn.Linear(d, d)
        self.cls_head = nn.Linear(d, 164)

    def forward(self, ids, padding):
        x = self.embeddings(ids) + self.positional_embedding.weight[: ids.shape[1]]
        return self.encoder(x, src_key_padding_mask=padding)


@pytest.fixture
def small():
    """A configuration of a few thousand parameters, 20 genes."""
    return NicheformerConfig(
        vocab_size=55,
        prediction_size=50,
        max_position_embeddings=12,
        hidden_size=8,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
    )


@pytest.fixture
def reference_network():
    """Return a function that builds the reference network with random weights."""

    def make(config):
        torch.manual_seed(0)
        network = ReferenceNicheformer(config)
        for parameter in network.parameters():
            nn.init.normal_(parameter, std=0.3 if parameter.dim() > 1 else 0.5)
        return network.train(mode=False)

    return make
