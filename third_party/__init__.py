"""Our re-implementations of other authors' networks whose public weights the pipeline loads."""
