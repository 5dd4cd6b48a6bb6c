"""The mark in the picture: its pattern, how it is added, and how it is found."""
