"""Runs, evaluations and images read from files and checked; no Streamlit."""
