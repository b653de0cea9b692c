"""From images to batches: data sets, the cache of decoded images, keyed randomness, augmentation and loading."""
