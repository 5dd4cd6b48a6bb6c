"""Cross-attention between the masked face and the reference (paper 3.2 and C.2.1).

Pre-norm transformer layers over the pixels of a feature map. Queries and keys come from the
masked face, values from the reference. Parameter names are those of the official checkpoint.

Legend: ``B`` batch, ``N`` tokens (pixels), ``C`` channels.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class CrossAttention(nn.Module):
    """Multi-head attention whose score compares the queries' source with itself."""

    def __init__(self, channels: int, num_heads: int, head_channels: int) -> None:
        super().__init__()
        inner = num_heads * head_channels
        self.num_heads = num_heads
        self.to_q = nn.Linear(channels, inner, bias=False)
        self.to_k = nn.Linear(channels, inner, bias=False)
        self.to_v = nn.Linear(channels, inner, bias=False)
        self.to_out = nn.Sequential(nn.Linear(inner, channels))

    def _split(self, tokens: Tensor) -> Tensor:
        return tokens.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, values: Tensor) -> Tensor:
        """Mix ``values`` ``[B, N, C]`` by the self-similarity of ``x`` ``[B, N, C]``."""
        query, key, value = self.to_q(x), self.to_k(x), self.to_v(values)
        mixed = F.scaled_dot_product_attention(
            self._split(query), self._split(key), self._split(value)
        )
        return self.to_out(mixed.transpose(1, 2).flatten(2))


class NormedCrossAttention(nn.Module):
    """Layer norm of both inputs before the attention."""

    def __init__(self, channels: int, num_heads: int, head_channels: int) -> None:
        super().__init__()
        self.normx = nn.LayerNorm(channels)
        self.normy = nn.LayerNorm(channels)
        self.fn = CrossAttention(channels, num_heads, head_channels)

    def forward(self, x: Tensor, values: Tensor) -> Tensor:
        """See ``CrossAttention``."""
        return self.fn(self.normx(x), self.normy(values))


class FeedForward(nn.Module):
    """Two linear layers with a tanh-approximated GELU; the erf form differs by 1.5 % of a sd."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.GELU(approximate="tanh"),
            nn.Dropout(dropout),
            nn.Linear(hidden, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, N, C]`` to the same shape."""
        return self.net(x)


class NormedFeedForward(nn.Module):
    """Layer norm before the feed-forward network."""

    def __init__(self, channels: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)
        self.fn = FeedForward(channels, hidden, dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[B, N, C]`` to the same shape."""
        return self.fn(self.norm(x))


class CrossTransformer(nn.Module):
    """Layers of cross-attention and feed-forward network, with residuals on the first input.

    Args:
        channels: ``C``.
        num_layers: "cross-attention blocks" of the paper.
        num_heads, head_channels: attention heads and their width.
        hidden: width inside the feed-forward network.
        dropout: inside the feed-forward network, training only.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_layers: int,
        num_heads: int,
        head_channels: int,
        hidden: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.ModuleList(
                [
                    NormedCrossAttention(channels, num_heads, head_channels),
                    NormedFeedForward(channels, hidden, dropout),
                ]
            )
            for _ in range(num_layers)
        )

    def forward(self, x: Tensor, reference: Tensor) -> Tensor:
        """Fuse two feature maps ``[B, C, H, W]``; the result has the same shape."""
        size = x.shape[-2:]
        tokens, values = x.flatten(2).transpose(1, 2), reference.flatten(2).transpose(1, 2)
        for layer in self.layers:
            attend, feed_forward = layer.children()
            tokens = tokens + attend(tokens, values)
            tokens = tokens + feed_forward(tokens)
        return tokens.transpose(1, 2).unflatten(2, size)
