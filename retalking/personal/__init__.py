"""Learning one person from videos, for the own-pixels mouth."""
