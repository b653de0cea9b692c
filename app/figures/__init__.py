"""Data to plotly figures and images; no Streamlit."""
