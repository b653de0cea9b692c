"""What features know: probes, fine-tuning and transfer."""
