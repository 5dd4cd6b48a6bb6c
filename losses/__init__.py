"""Training criteria: tensors in, a scalar out. Pictures are RGB ``[B, 3, H, W]`` in [0, 1]."""
