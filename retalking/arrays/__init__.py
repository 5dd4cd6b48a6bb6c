"""Arrays in files: those that last, and those for which memory has better use."""
