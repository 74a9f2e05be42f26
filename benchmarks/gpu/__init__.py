"""Benchmarks on CUDA; without a GPU they run on the CPU, at sizes given on the command line."""
