"""Weight files of others: which exist, which are here, and how they are fetched."""
