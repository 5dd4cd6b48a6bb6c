"""Loading networks, and running them on the frames of a chunk."""
