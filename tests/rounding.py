"""How far rounding may carry a result on another CPU, and no further.

CPUs add in another order, with and without fused multiply-add, and libraries choose kernels by CPU,
number of threads and shape of a batch. A test that such rounding can fail says nothing about the
code. The bounds here leave a factor of about a hundred over what was measured with AVX-512, with
AVX2 and with neither (``.ci/run`` tries one of these), and stay far below what a mistake does: a
frame left out, counted twice or seen by its neighbour moves these results by 1e-2 and more.
"""

DOUBLE = 1e-9
"""Sums and products in float64, relative: 1e-12 at most was seen."""
ROOTS = 1e-6
"""Float64 through roots of nearly singular matrices, which keep half of the digits."""
SINGLE = 1e-5
"""A few operations in float32 on values about one: 1e-7 each."""
NETWORK = 1e-3
"""Outputs of a whole network in float32, relative; and absolute, where they are about one."""
