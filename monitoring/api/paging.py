"""Pages of lists: ``{count, next, previous, results}`` with at most 200 rows each."""

from rest_framework.pagination import PageNumberPagination

MOST_ROWS = 200


class Pages(PageNumberPagination):
    """``?page=2&page_size=100``."""

    page_size = 50
    page_size_query_param = "page_size"
    max_page_size = MOST_ROWS
