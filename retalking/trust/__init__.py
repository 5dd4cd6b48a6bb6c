"""Marks in picture and sound, provenance, and what tells of them."""
