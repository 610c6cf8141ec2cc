"""What is materialised: assets, checks, jobs, schedules, the sensor. Algorithms live in models and benchmarks."""
