"""A task, its cohort and its network: trained by a plain loop, measured with intervals, bundled, and scored."""
