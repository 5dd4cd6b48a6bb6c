"""Hostile input and untimely ends: what fuzz.py and kills.py share and run."""
