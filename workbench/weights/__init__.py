"""Import published checkpoints as runs, and export runs to formats of other libraries."""
