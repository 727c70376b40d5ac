"""Rollouts: the interface of an engine and the local one."""
