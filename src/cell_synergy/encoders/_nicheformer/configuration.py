"""Configuration of Nicheformer for `transformers`, by default that of the published model."""

from typing import no_type_check

from transformers import PreTrainedConfig


@no_type_check  # transformers makes it a dataclass and validates the fields
class NicheformerConfig(PreTrainedConfig):  # type: ignore[no-untyped-call]
    """Sizes of the network.

    Attributes
    ----------
    vocab_size
        Rows of the token embedding.
    prediction_size
        Outputs of the head for masked modelling: in the published model, all tokens but the last 5.
    max_position_embeddings
        Maximum number of tokens of a cell, including the context tokens.
    hidden_size, num_hidden_layers, num_attention_heads, intermediate_size
        Hidden width, number of layers, attention heads, and width of the feed-forward layers.
    layer_norm_eps
        Constant added to the variance in every layer norm.
    initializer_range
        Standard deviation of initial weights.
    pad_token_id
        Padding token.
    """

    model_type = "nicheformer"

    vocab_size: int = 20345
    prediction_size: int = 20340
    max_position_embeddings: int = 1500
    hidden_size: int = 512
    num_hidden_layers: int = 12
    num_attention_heads: int = 16
    intermediate_size: int = 1024
    layer_norm_eps: float = 1e-12
    initializer_range: float = 0.02
    pad_token_id: int | None = 1
    tie_word_embeddings: bool = False
