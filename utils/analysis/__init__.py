"""Tools that take networks apart: convolution as a matrix, and what each layer costs."""
