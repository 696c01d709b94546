"""Downloads from web servers that may be slow, broken or hostile.

``addresses``    looks up host names once, and refuses private addresses
``rate_limit``   limits the requests per second to each host
``connections``  urllib3 connections with checked addresses and deadlines
``fetch``        fetches the image of one URL, or gives the one cause of its failure
``chunks``       img2dataset's downloader and resizer with these requests
``outcomes``     the table with the outcome of each URL
``single_files`` fetches single files with known URLs: test sets, tables
"""
