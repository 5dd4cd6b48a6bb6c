"""What a run leaves behind besides checkpoints: log, metrics, curves, pictures, films."""
