"""Speech that fits a face: words of anyone that sound as far open as the lips are.

With little data a network that is taught by true pairs alone learns the average mouth, since what
it hears tells the opening only roughly. Here a regressor orders all speech by how open it sounds,
and a face gets speech of its own rank. What is heard then says surely how far the lips are open,
and the pictures are true ones. Not in the paper; used by the lite recipe.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from datasets.speech import relative_opening
from datasets.store.format import TRACKS
from datasets.store.reader import ClipFilter, Store
from models.speech.audio_opening import AudioOpening
from retalking.types import FloatArray, IntArray

_NEIGHBOURS = 0.01  # share of all speech that counts as of the same rank
_LONGEST_READ = 512  # mel windows listened to at once


class MatchedSpeech:
    """All speech of some splits in the order of how open it sounds.

    Attributes:
        rows: int64 ``[N]``, clips in the index of the store.
        frames: int64 ``[N]``.
        openings: float32 ``[N]``, relative openings of all these frames, ascending by themselves.
    """

    def __init__(self, store: Store, splits: Mapping[str, float], listener: AudioOpening) -> None:
        """Listen to everything once.

        Args:
            store: prepared clips.
            splits: those with a share above 0 are listened to.
            listener: of ``train_audio.py``.

        Raises:
            ConfigError: no clip of these splits has speech.
        """
        self._store = store
        rows, frames, heard, seen = [], [], [], []
        named = tuple(split for split, share in splits.items() if share > 0)
        for row in store.select(ClipFilter(named, speech=True)):
            clip = store.clip(int(row))
            openings = clip.array(TRACKS, "opening")
            rows.append(np.full(len(openings), row, np.int64))
            frames.append(np.arange(len(openings)))
            heard.append(_listen(listener, torch.from_numpy(clip.mel_windows(0, len(openings)))))
            seen.append(relative_opening(openings, store.index[row]))
        order = np.argsort(np.concatenate(heard), kind="stable")
        self.rows: IntArray = np.concatenate(rows)[order]
        self.frames: IntArray = np.concatenate(frames)[order]
        self.openings: FloatArray = np.sort(np.concatenate(seen))

    def draw(self, opening: float, rng: np.random.Generator) -> FloatArray:
        """Return a mel window ``[1, 80, 16]`` for lips of a relative opening."""
        rank = np.searchsorted(self.openings, opening)
        reach = max(int(_NEIGHBOURS * len(self.rows) / 2), 1)
        place = int(np.clip(rank + rng.integers(-reach, reach + 1), 0, len(self.rows) - 1))
        frame = int(self.frames[place])
        window: FloatArray = self._store.clip(int(self.rows[place])).mel_windows(frame, frame + 1)
        return window[0]


@torch.no_grad()
def _listen(listener: AudioOpening, mels: Tensor) -> FloatArray:
    listener.eval()
    device = next(listener.parameters()).device
    parts = [listener(part.to(device)).float().cpu() for part in mels.split(_LONGEST_READ)]
    return torch.cat(parts).numpy()
