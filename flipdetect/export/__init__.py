"""A trained model as an ONNX file: in float32, with float16 weights, or in 8-bit integers."""
