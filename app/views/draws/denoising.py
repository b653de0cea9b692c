"""Denoising: images under noise, the network's prediction in four forms, and the noise schedules."""

from app.reading import denoising
from app.widgets import noised_images, page, parametrisations, schedules

TITLE = "Denoising"
QUESTION = "How does noise become an image?"
EVALUATIONS = (denoising.TASK,)
SECTION = "denoising-section"
SECTIONS = {"Images": noised_images, "Four views": parametrisations, "Schedules": schedules}


def render() -> None:
    SECTIONS[page.switch("Section", list(SECTIONS), SECTION, label_visibility="collapsed")].show()
