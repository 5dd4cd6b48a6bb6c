"""One person, learnt from videos by ``scripts/personalise.py``: a folder that ``--speaker`` names.

It holds ``person.arrays`` (how far the lips move, and mouths to lend), ``sounds.arrays`` (where the
sounds lie that these were said with) and, where it was better than the common one,
``lips.safetensors`` (the network that tells this person's lips from speech).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from retalking.arrays.sealed import read_arrays, write_arrays
from retalking.errors import ConfigError
from retalking.mouth.warp.lending.bank import MouthBank
from retalking.mouth.warp.lip_range import LipRange
from retalking.networks.options import PERSON_FILE
from retalking.types import FloatArray

_RANGE, _BANK = "lips.", "bank."  # "range." where the fifth lip measure was a guessed depth
_RANGE_ARRAYS = ("mean", "deviation", "low", "high")


@dataclass(frozen=True)
class Person:
    """What is known of a person.

    Attributes:
        lips: how far they move in speech.
        bank: mouths to lend.
    """

    lips: LipRange
    bank: MouthBank

    def knows(self, sounds: FloatArray | None) -> bool:
        """Whether the sounds ``[N, K]`` that are said can be looked up among those of the bank."""
        width = self.bank.sounds.shape[1]
        return sounds is not None and width > 0 and sounds.shape[1] == width

    def save(self, folder: Path) -> None:
        """Write ``person.arrays`` into a folder. Atomic.

        Raises:
            MediaError: it cannot be written.
        """
        arrays = {f"{_RANGE}{name}": getattr(self.lips, name) for name in _RANGE_ARRAYS}
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
            lips = {name: arrays[f"{_RANGE}{name}"] for name in _RANGE_ARRAYS}
            bank = {
                name.removeprefix(_BANK): array
                for name, array in arrays.items()
                if name.startswith(_BANK)
            }
            return cls(LipRange(**lips), MouthBank.from_arrays(bank))
        except FileNotFoundError:
            raise ConfigError(
                f"--speaker {folder}: holds no {PERSON_FILE}; make it with scripts/personalise.py"
            ) from None
        except (OSError, ValueError, KeyError) as error:
            raise ConfigError(
                f"--speaker {folder}: {PERSON_FILE} cannot be read ({error}); run "
                "scripts/personalise.py again"
            ) from None
