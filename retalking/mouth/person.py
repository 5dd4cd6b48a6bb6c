"""One person, learnt from videos by ``scripts/personalise.py``: a folder that ``--speaker`` names.

It holds ``person.arrays`` (how the face moves, and mouths to lend) and, where that was better than
the common one, ``lips.safetensors`` (the network that tells this person's lips from speech).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from retalking.errors import ConfigError
from retalking.mouth.warp.face_model import FacePrior
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lip_range import LipRange
from retalking.mouth.warp.speaker import KnownSpeaker
from retalking.networks.options import PERSON_FILE
from retalking.sealed_arrays import read_arrays, write_arrays

_FACE, _RANGE, _BANK = "face.", "range.", "bank."
_FACE_ARRAYS = ("modes", "turns", "mean_angles", "deviations")
_RANGE_ARRAYS = ("mean", "deviation", "low", "high")


@dataclass(frozen=True)
class Person:
    """What is known of a person.

    Attributes:
        speaker: how face and lips move.
        bank: mouths to lend.
    """

    speaker: KnownSpeaker
    bank: MouthBank

    def save(self, folder: Path) -> None:
        """Write ``person.arrays`` into a folder. Atomic.

        Raises:
            MediaError: it cannot be written.
        """
        face, lips = self.speaker.face, self.speaker.range
        arrays = {f"{_FACE}{name}": getattr(face, name) for name in _FACE_ARRAYS}
        arrays[f"{_FACE}frames"] = np.array(face.frames)
        arrays |= {f"{_RANGE}{name}": getattr(lips, name) for name in _RANGE_ARRAYS}
        arrays |= {f"{_BANK}{name}": array for name, array in self.bank.to_arrays().items()}
        write_arrays(folder / PERSON_FILE, arrays)

    @classmethod
    def read(cls, folder: Path) -> Person:
        """Undo ``save``.

        Raises:
            ConfigError: the folder holds no person, or a damaged one.
        """
        path = folder / PERSON_FILE
        try:
            arrays = read_arrays(path)
            face = {name: arrays[f"{_FACE}{name}"] for name in _FACE_ARRAYS}
            lips = {name: arrays[f"{_RANGE}{name}"] for name in _RANGE_ARRAYS}
            bank = {
                name.removeprefix(_BANK): array
                for name, array in arrays.items()
                if name.startswith(_BANK)
            }
            known = KnownSpeaker(
                FacePrior(**face, frames=float(arrays[f"{_FACE}frames"])), LipRange(**lips)
            )
            return cls(known, MouthBank.from_arrays(bank))
        except FileNotFoundError:
            raise ConfigError(
                f"--speaker {folder}: holds no {PERSON_FILE}; make it with scripts/personalise.py"
            ) from None
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"--speaker {folder}: {PERSON_FILE} cannot be read ({error}); run "
                "scripts/personalise.py again"
            ) from None
