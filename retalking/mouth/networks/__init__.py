"""The new mouth as the paper makes it: references for L-Net and E-Net."""
