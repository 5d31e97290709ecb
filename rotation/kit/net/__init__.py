"""The one HTTP stack: where a request goes, and one bounded exchange."""
