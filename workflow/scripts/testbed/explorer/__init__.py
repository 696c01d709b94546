"""The interactive scatter of effective robustness: its numbers (`data`), and the page that shows them (`page`)."""
