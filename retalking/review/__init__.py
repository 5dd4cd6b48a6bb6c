"""The report after a job: what a person would see in the result, and what helps."""
