"""From a configuration and two files to the dubbed video."""
