"""Networks that listen: speech to states, lip shapes, lip opening, voice activity."""
