"""The inside of mouths that a video never shows."""
