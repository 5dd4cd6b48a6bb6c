"""The mark in the sound: its pattern, how it is added, and how it is found."""
