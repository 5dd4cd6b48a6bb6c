"""The output file: encoders, containers, what is carried over, writing."""
