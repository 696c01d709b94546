"""Pool cards: what is counted of a pool's captions, images and downloads, and the pages that show it."""
