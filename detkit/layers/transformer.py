"""A transformer's encoder and decoder. B images, T tokens, Q queries, D width.

torch's own layers add positions once, before the first layer; detection transformers add them to
the queries and keys of every attention. Norms follow each block, as in the paper of DETR.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, width: int, *, heads: int, dropout: float) -> None:
        """Build the four projections.

        Args:
            width: D, a multiple of `heads`.
            heads: Number of heads.
            dropout: Probability of dropping an attention weight.
        """
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query, self.key, self.value, self.output = (nn.Linear(width, width) for _ in range(4))
        for layer in (self.query, self.key, self.value, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
        """Attend from (B, Q, D) to (B, T, D); `mask` (B, T) is true for tokens that count."""
        query, key, value = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, heads, T, D / h)
            for layer, tokens in ((self.query, query), (self.key, key), (self.value, value))
        )
        mixed = F.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=None if mask is None else mask[:, None, None],
            dropout_p=self.dropout if self.training else 0.0,
        )
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


class FeedForward(nn.Sequential):
    """Two linear layers with a ReLU between them."""

    def __init__(self, width: int, *, hidden: int, dropout: float) -> None:
        """Build the layers: D to `hidden` to D."""
        first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
        for layer in (first, second):
            nn.init.xavier_uniform_(layer.weight)
        super().__init__(first, nn.ReLU(), nn.Dropout(dropout), second)


class EncoderLayer(nn.Module):
    """Self-attention over the cells of an image, then a feed-forward block."""

    def __init__(self, width: int, *, heads: int, hidden: int, dropout: float) -> None:
        """Build the layer; see `Transformer`."""
        super().__init__()
        self.attention = Attention(width, heads=heads, dropout=dropout)
        self.attention_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden=hidden, dropout=dropout)
        self.output_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, tokens: Tensor, positions: Tensor, mask: Tensor | None) -> Tensor:
        """(B, T, D) to the same shape."""
        located = tokens + positions
        mixed = self.attention(located, located, tokens, mask)
        tokens = self.attention_norm(tokens + self.drop(mixed))
        output: Tensor = self.output_norm(tokens + self.drop(self.feed_forward(tokens)))
        return output


class DecoderLayer(nn.Module):
    """Self-attention over the queries, attention to the image, then a feed-forward block."""

    def __init__(self, width: int, *, heads: int, hidden: int, dropout: float) -> None:
        """Build the layer; see `Transformer`."""
        super().__init__()
        self.self_attention = Attention(width, heads=heads, dropout=dropout)
        self.self_norm = nn.LayerNorm(width)
        self.image_attention = Attention(width, heads=heads, dropout=dropout)
        self.image_norm = nn.LayerNorm(width)
        self.feed_forward = FeedForward(width, hidden=hidden, dropout=dropout)
        self.output_norm = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, states: Tensor, queries: Tensor, memory: Tensor, keys: Tensor, mask: Tensor | None
    ) -> Tensor:
        """Update the states of the queries.

        Args:
            states: (B, Q, D).
            queries: (Q, D) learned positions of the queries.
            memory: (B, T, D) the encoded cells.
            keys: (B, T, D) the same plus their positions.
            mask: (B, T) true for cells inside the image.
        """
        located = states + queries
        mixed = self.self_attention(located, located, states, None)
        states = self.self_norm(states + self.drop(mixed))
        mixed = self.image_attention(states + queries, keys, memory, mask)
        states = self.image_norm(states + self.drop(mixed))
        output: Tensor = self.output_norm(states + self.drop(self.feed_forward(states)))
        return output


class Transformer(nn.Module):
    """Encoder over the cells of an image, and decoder that turns queries into objects.

    Paper: End-to-End Object Detection with Transformers (Carion et al., 2020), figure 10,
        https://arxiv.org/abs/2005.12872
    """

    def __init__(
        self, width: int, *, encoders: int, decoders: int, heads: int, hidden: int, dropout: float
    ) -> None:
        """Build the layers.

        Args:
            width: D.
            encoders: Number of encoder layers.
            decoders: Number of decoder layers.
            heads: Attention heads per layer.
            hidden: Hidden units of a feed-forward block.
            dropout: Probability of dropping a value after each block.
        """
        super().__init__()
        sizes = {"heads": heads, "hidden": hidden}
        self.encoder = nn.ModuleList(
            EncoderLayer(width, **sizes, dropout=dropout) for _ in range(encoders)
        )
        self.decoder = nn.ModuleList(
            DecoderLayer(width, **sizes, dropout=dropout) for _ in range(decoders)
        )
        self.decoder_norm = nn.LayerNorm(width)

    def forward(
        self, tokens: Tensor, positions: Tensor, queries: Tensor, mask: Tensor | None
    ) -> Tensor:
        """The states of the queries after each decoder layer, (layers, B, Q, D).

        Args:
            tokens: (B, T, D) the cells.
            positions: (B, T, D).
            queries: (Q, D) learned positions of the queries.
            mask: (B, T) true for cells inside the image.
        """
        for layer in self.encoder:
            tokens = layer(tokens, positions, mask)
        states, after = queries.new_zeros(tokens.shape[0], *queries.shape), []
        for layer in self.decoder:
            states = layer(states, queries, tokens, tokens + positions, mask)
            after.append(self.decoder_norm(states))
        return torch.stack(after)
