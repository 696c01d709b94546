"""Fetching from a web that is slow, broken, hostile, and owned by others.

``addresses``    which hosts may be asked: names looked up once, private addresses refused
``rate_limit``   how many requests per second a host gets
``connections``  urllib3's connections, to checked addresses alone, and cut off at a deadline
``fetch``        one URL to the bytes of its image, or to the one cause of its failure
``chunks``       img2dataset's downloader and resizer with these requests
``outcomes``     the table of what became of each URL
``single_files`` files of known addresses: test sets, tables
"""
