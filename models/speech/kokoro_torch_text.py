"""What Kokoro knows of the text before it has a voice: PL-BERT's view of the phonemes, and their own encoder's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIGNS, PLACES = 178, 512
EMBEDDING, HIDDEN, FEED_FORWARD, HEADS, DEPTH = 128, 768, 2048, 12, 12
CHANNELS = 512
EPSILON = 1e-12  # of BERT's layer norms


class Attention(nn.Module):
    """Self-attention with its residual and norm."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.dense = (nn.Linear(HIDDEN, HIDDEN) for _ in range(4))
        self.LayerNorm = nn.LayerNorm(HIDDEN, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        heads = [part(x).unflatten(2, (HEADS, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
        mixed = F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(2)
        normed: Tensor = self.LayerNorm(x + self.dense(mixed))
        return normed


class AlbertLayer(nn.Module):
    """The one transformer layer that ALBERT (Lan et al., ICLR 2020) applies again and again."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = Attention()
        self.ffn, self.ffn_output = nn.Linear(HIDDEN, FEED_FORWARD), nn.Linear(FEED_FORWARD, HIDDEN)
        self.full_layer_layer_norm = nn.LayerNorm(HIDDEN, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        x = self.attention(x)
        normed: Tensor = self.full_layer_layer_norm(self.ffn_output(F.gelu(self.ffn(x), approximate="tanh")) + x)
        return normed


class Embeddings(nn.Module):
    """Sign, place and segment (always the first)."""

    def __init__(self) -> None:
        super().__init__()
        self.word_embeddings = nn.Embedding(SIGNS, EMBEDDING)
        self.position_embeddings = nn.Embedding(PLACES, EMBEDDING)
        self.token_type_embeddings = nn.Embedding(2, EMBEDDING)
        self.LayerNorm = nn.LayerNorm(EMBEDDING, EPSILON)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        total = self.word_embeddings(tokens) + self.position_embeddings(places) + self.token_type_embeddings.weight[0]
        normed: Tensor = self.LayerNorm(total)
        return normed


class Albert(nn.Module):
    """tokens (batch, n) to (batch, n, 768)."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = Embeddings()
        self.widen = nn.Linear(EMBEDDING, HIDDEN)
        self.layer = AlbertLayer()

    def forward(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.widen(self.embeddings(tokens))
        for _ in range(DEPTH):
            x = self.layer(x)
        return x


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of (batch, channels, frames)."""

    def __init__(self) -> None:
        super().__init__()
        self.gamma, self.beta = nn.Parameter(torch.ones(CHANNELS)), nn.Parameter(torch.zeros(CHANNELS))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.mT, (CHANNELS,), self.gamma, self.beta).mT


class TextEncoder(nn.Module):
    """tokens (batch, n) to (batch, 512, n): what the decoder pronounces."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(SIGNS, CHANNELS)
        stack = [nn.Sequential(nn.Conv1d(CHANNELS, CHANNELS, 5, padding=2), ChannelNorm()) for _ in range(3)]
        self.cnn = nn.ModuleList(stack)
        self.lstm = nn.LSTM(CHANNELS, CHANNELS // 2, batch_first=True, bidirectional=True)

    def forward(self, tokens: Tensor) -> Tensor:
        x: Tensor = self.embedding(tokens).mT
        for layer in self.cnn:
            x = F.leaky_relu(layer(x), 0.2)
        out: Tensor = self.lstm(x.mT)[0]
        return out.mT
