"""What every stage leaves behind: atomic files, keys, manifests, logs, the lock, the run directory."""
