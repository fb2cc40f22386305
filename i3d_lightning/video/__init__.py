"""Files to tensors: decoding, clip sampling, transforms, optical flow."""
