"""Where faces are: detection, landmarks, tracks, crops."""
