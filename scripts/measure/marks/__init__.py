"""What happens to files on their way, and how the marks bear it: for ``robustness.py``."""
