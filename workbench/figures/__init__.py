"""Figures for print, drawn by matplotlib from data; no torch, and no matplotlib before the first one is drawn."""
