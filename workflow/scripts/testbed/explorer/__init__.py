"""The interactive scatter of effective robustness: its numbers (`data`, `views`), and the page that shows them (`page`)."""
