"""Which frames of the video lend their lips, and when."""
