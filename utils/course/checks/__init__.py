"""Exercise checks: one module per lab, one function per exercise, named as the student's function."""
