"""What is chosen: runs, images, seeds and feature space, in the URL."""
