"""Pictures and sound: reading, writing, and what networks hear of them."""
