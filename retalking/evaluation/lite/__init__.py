"""What the embedded weights do, measured on clips with their own speech."""
