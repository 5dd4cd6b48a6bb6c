"""Running networks in other programs than PyTorch: ONNX Runtime, OpenVINO, TensorRT."""
