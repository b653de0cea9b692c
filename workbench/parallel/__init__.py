"""What training in several processes needs."""
