"""Crops, masks and blending as operations on batches of tensors, equal to OpenCV's on the CPU."""
