"""A share of a list, for work that several processes or machines divide among themselves."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from retalking.errors import ConfigError

Item = TypeVar("Item")


@dataclass(frozen=True)
class Shard:
    """The items whose position leaves ``index - 1`` when divided by ``count``."""

    index: int = 1
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Read ``2/8``.

        Raises:
            ConfigError: not two whole numbers of which the first is from 1 to the second.
        """
        found = re.fullmatch(r"(\d{1,9})/(\d{1,9})", text)
        if found is None or not 1 <= int(found[1]) <= int(found[2]):
            raise ConfigError(f"--shard: got {text!r}, expected INDEX/COUNT such as 2/8, from 1/8")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return the share."""
        return items[self.index - 1 :: self.count]
