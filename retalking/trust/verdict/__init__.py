"""What can be told about a file, in words, for programs, and as a page."""
