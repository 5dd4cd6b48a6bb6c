"""What makes the new mouth."""
