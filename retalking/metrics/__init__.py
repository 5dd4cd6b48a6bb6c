"""Measures of the paper's tables and of this project; see :mod:`retalking.metrics.metric`."""
