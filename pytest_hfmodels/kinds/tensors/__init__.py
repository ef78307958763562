"""The kind `tensors`: every named output of one forward pass of any model."""
