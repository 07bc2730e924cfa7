"""Nicheformer as a `transformers` model: a post-norm encoder with ReLU and learned positions.

Queries, keys and values have separate linear layers, so that each can have an adapter. The encoder
layer is not PyTorch's, whose fused kernel in evaluation mode would skip adapters.
"""

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.masking_utils import create_bidirectional_mask
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import MaskedLMOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from cell_synergy.core.errors import ConfigError
from cell_synergy.encoders._nicheformer.configuration import NicheformerConfig

Pooling = Literal["masked", "published"]
_N_CONTEXT_TOKENS = 3  # species, assay and modality precede the genes
IGNORE_INDEX = -100  # label of tokens that do not enter the loss, as in `transformers`


class SelfAttention(nn.Module):
    """Multi-head self-attention, computed by the attention backend that the configuration names."""

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__()
        if config.hidden_size % config.num_attention_heads:
            raise ConfigError(
                f"width: {config.hidden_size} is no multiple of heads: {config.num_attention_heads}"
            )
        self.config = config
        self.head_width = config.hidden_size // config.num_attention_heads
        self.is_causal = False
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (
            nn.Linear(config.hidden_size, config.hidden_size) for _ in range(4)
        )

    def forward(
        self, x: Float[Tensor, "cells length d"], mask: Tensor | None
    ) -> Float[Tensor, "cells length d"]:
        """Return the attention-weighted values of each token after the output projection.

        Parameters
        ----------
        x
            Hidden states of the tokens.
        mask
            Attention mask from `create_bidirectional_mask`, in the format of the attention backend,
            or None for attention to all tokens.
        """
        heads = (*x.shape[:2], -1, self.head_width)
        query, key, value = (
            layer(x).view(heads).transpose(1, 2)
            for layer in (self.q_proj, self.k_proj, self.v_proj)
        )
        attend = ALL_ATTENTION_FUNCTIONS.get_interface(self.config._attn_implementation, _eager)  # noqa: SLF001 - transformers' own models read it there
        attended, _ = attend(self, query, key, value, mask, scaling=self.head_width**-0.5)
        output: Tensor = self.out_proj(attended.reshape(x.shape))
        return output


def _eager(
    module: nn.Module,  # noqa: ARG001 - part of the interface
    query: Float[Tensor, "cells heads length width"],
    key: Float[Tensor, "cells heads length width"],
    value: Float[Tensor, "cells heads length width"],
    attention_mask: Float[Tensor, "#cells 1 #length length"] | None,
    scaling: float,
    **_: object,
) -> tuple[Float[Tensor, "cells length heads width"], Float[Tensor, "cells heads length length"]]:
    """Return the output and the weights of scaled dot-product attention."""
    scores = query @ key.transpose(2, 3) * scaling
    if attention_mask is not None:
        scores = scores + attention_mask
    weights = scores.softmax(dim=3)
    return (weights @ value).transpose(1, 2), weights


class EncoderLayer(GradientCheckpointingLayer):  # type: ignore[no-untyped-call]
    """Self-attention and a feed-forward network, each followed by a layer norm."""

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__()
        self.self_attn = SelfAttention(config)
        self.linear1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.linear2 = nn.Linear(config.intermediate_size, config.hidden_size)
        self.norm1, self.norm2 = (
            nn.LayerNorm(config.hidden_size, eps=config.layer_norm_eps) for _ in range(2)
        )

    def forward(
        self, x: Float[Tensor, "cells length d"], mask: Tensor | None
    ) -> Float[Tensor, "cells length d"]:
        """Return the hidden states of each token after this layer.

        Parameters
        ----------
        x
            Hidden states before this layer.
        mask
            Attention mask from `create_bidirectional_mask`, or None for attention to all tokens.
        """
        x = self.norm1(x + self.self_attn(x, mask))
        output: Tensor = self.norm2(x + self.linear2(self.linear1(x).relu()))
        return output


class TransformerEncoder(nn.Module):
    """Stack of encoder layers without a final norm."""

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList([EncoderLayer(config) for _ in range(config.num_hidden_layers)])

    def forward(
        self, x: Float[Tensor, "cells length d"], mask: Tensor | None
    ) -> Float[Tensor, "cells length d"]:
        """Return the hidden states of each token after all layers.

        Parameters
        ----------
        x
            Token embeddings, with the positional embedding added.
        mask
            Attention mask from `create_bidirectional_mask`, or None for attention to all tokens.
        """
        for layer in self.layers:
            x = layer(x, mask)
        return x


class NicheformerPreTrainedModel(PreTrainedModel):  # type: ignore[no-untyped-call]
    """Base class of both models: configuration, initialisation and attention backends."""

    config_class = NicheformerConfig
    base_model_prefix = "nicheformer"
    supports_gradient_checkpointing = True
    _no_split_modules = ["EncoderLayer"]  # noqa: RUF012 - transformers' own type
    _supports_sdpa = True
    _supports_attention_backend = True


class NicheformerModel(NicheformerPreTrainedModel):  # type: ignore[no-untyped-call]
    """Encoder of Nicheformer: from the tokens of cells to hidden states."""

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__(config)
        self.embeddings = nn.Embedding(config.vocab_size, config.hidden_size, config.pad_token_id)
        self.positional_embedding = nn.Embedding(config.max_position_embeddings, config.hidden_size)
        self.encoder = TransformerEncoder(config)
        self.post_init()  # type: ignore[no-untyped-call]

    def get_input_embeddings(self) -> nn.Module:
        """Return the token embedding, for `transformers` and `peft`."""
        return self.embeddings

    def forward(
        self,
        input_ids: Int[Tensor, "cells length"],
        attention_mask: Int[Tensor, "cells length"] | None = None,
    ) -> Float[Tensor, "cells length d"]:
        """Return the hidden states of each token after the last layer.

        Parameters
        ----------
        input_ids
            Tokens of each cell, padded to one length.
        attention_mask
            1 for a token, 0 for padding; None if there is no padding.
        """
        positions = torch.arange(input_ids.shape[1], device=input_ids.device)
        x = self.embeddings(input_ids) + self.positional_embedding(positions)
        mask = create_bidirectional_mask(
            config=self.config, inputs_embeds=x, attention_mask=attention_mask
        )
        hidden: Tensor = self.encoder(x, mask)
        return hidden


class NicheformerForMaskedLM(NicheformerPreTrainedModel):  # type: ignore[no-untyped-call]
    """The encoder with the head for masked gene modelling."""

    def __init__(self, config: NicheformerConfig) -> None:
        super().__init__(config)
        self.nicheformer = NicheformerModel(config)
        self.classifier_head = nn.Linear(config.hidden_size, config.prediction_size)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(
        self,
        input_ids: Int[Tensor, "cells length"],
        attention_mask: Int[Tensor, "cells length"] | None = None,
        labels: Int[Tensor, "cells length"] | None = None,
    ) -> MaskedLMOutput:
        """Return the logits and, given labels, the mean cross entropy of the labelled tokens.

        Parameters
        ----------
        input_ids
            Tokens of each cell, padded to one length.
        attention_mask
            1 for a token, 0 for padding; None if there is no padding.
        labels
            The true token at labelled positions, `IGNORE_INDEX` elsewhere.

        Returns
        -------
        `logits` over the gene and context tokens: cells x length x outputs without labels, labelled
        positions x outputs with labels, since the head dominates the cost of a small network. With
        labels, `loss` is the mean cross entropy over the labelled positions, in nats.
        """
        hidden = self.nicheformer(input_ids, attention_mask)
        if labels is None:
            return MaskedLMOutput(logits=self.classifier_head(hidden))
        is_labelled = labels != IGNORE_INDEX
        logits = self.classifier_head(hidden[is_labelled])
        return MaskedLMOutput(
            loss=nn.functional.cross_entropy(logits, labels[is_labelled]), logits=logits
        )


def pool(
    hidden: Float[Tensor, "cells length d"],
    attention_mask: Int[Tensor, "cells length"],
    pooling: Pooling,
) -> Float[Tensor, "cells d"]:
    """Return the mean of the hidden states of each cell's tokens.

    Parameters
    ----------
    hidden
        Hidden states of the tokens of each cell.
    attention_mask
        1 for a token, 0 for padding.
    pooling
        `masked` averages over all tokens except padding, including the context. `published`
        averages over all positions except the context, including padding, as the authors' code
        does; the result depends on the length to which a batch is padded (1,500 tokens there).
    """
    if pooling == "published":
        return hidden[:, _N_CONTEXT_TOKENS:].mean(dim=1)
    weights = attention_mask[..., None].to(hidden.dtype)
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)
