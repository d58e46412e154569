"""The parameters of a query as RFC 3986 reads them: a `+` is a plus."""

from django.http import HttpRequest, QueryDict


def parameters(request: HttpRequest) -> QueryDict:
    """Return the parameters with every `+` as it was written, which a form would read as a space."""
    # WSGI hands bytes over as Latin-1.
    return QueryDict(request.META.get("QUERY_STRING", "").encode("latin-1").replace(b"+", b"%2B"))


def media_type_of(query: QueryDict, name: str) -> str | None:
    """Return a media type, None when there is none.

    A space is legal in it only before a parameter, and there a `+` is one: Go's `url.Values` writes it so.
    """
    text = query.get(name)
    return text.replace(";+", "; ") if text else None
