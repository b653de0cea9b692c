"""Images on their way to a model: data sets, the decoded cache, keyed randomness, augmentation and batches."""
