"""Sound: reading, channels, loudness, spectrograms, silence, and what goes into the output."""
