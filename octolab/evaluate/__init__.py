"""How good is a checkpoint: benchmarks, intervals, pass@k, bits per byte."""
