"""Files of encoders and checkpoints, and ONNX export. Components themselves never touch disk."""
