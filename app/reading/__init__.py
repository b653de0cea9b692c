"""Runs, evaluations and images as pages want them; no Streamlit."""
