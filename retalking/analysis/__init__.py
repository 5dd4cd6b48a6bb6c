"""First pass: everything that needs a view of the whole video, reduced to numbers per frame."""
