"""A recipe as a graph of stages: keys, plan, execution, resume."""
