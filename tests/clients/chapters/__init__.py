"""The story, in reading order."""

from chapters import grants, decisions, conditions, people, repeats, reading, transport  # noqa: F401  each adds its chapters
