"""Network factories under the names of ``shared/parity/check.py``.

A factory takes the object that ``torch.load`` returns for the official file (for ``ENet`` a dict of
two) and returns a function from named inputs to named outputs.
"""

from __future__ import annotations
