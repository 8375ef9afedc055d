"""The package behind the labs: data, models, training, analysis, experiments, course and publishing."""
