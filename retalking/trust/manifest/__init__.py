"""Signed manifests: who signs, what is said, what is read."""
