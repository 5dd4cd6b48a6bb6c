"""Many dubs: a list of jobs, workers that hold networks, engines that run workers."""
