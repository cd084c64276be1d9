"""Published ONNX networks as encoders: inputs and outputs of their files, execution, and conversion to files of a bundle."""
