"""The Convolution Lab: data, models, training, analysis, course frame and experiments behind the notebooks."""
