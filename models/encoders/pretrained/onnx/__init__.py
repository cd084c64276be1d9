"""Published ONNX networks as encoders: what their files take and give, how they run, and how they become files of a bundle."""
