"""Documents become shards and shards become batches: tokenizer, packing, shard files, mixture order."""
