"""Results as frozen values of numbers and arrays, without tensors."""
