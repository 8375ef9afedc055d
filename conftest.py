"""One kernel for all cells of a lab, when nbval runs it on several workers."""


def pytest_configure(config):
    """Keep the cells of a notebook together, in their order."""
    if config.getoption("nbval", False) or config.getoption("nbval_lax", False):
        config.option.dist = "loadscope"
