"""How well lips and speech agree: LSE-D, LSE-C and the offset, by two judges."""
