"""Prepared clips on disk: format, index and reader."""
