"""What this machine and this checkout can do, and what is in the way."""
