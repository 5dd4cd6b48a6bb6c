"""The 3DMM coefficients that D-Net reads."""
