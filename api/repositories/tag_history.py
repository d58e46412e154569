"""The history of a tag."""

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.paging import NumberedQuery, page, page_of, parameters
from api.repositories.serializers import TagMoveSerializer
from api.repositories.tags import parsed_tag
from api.visitor import VisitorView, visitor_of
from distribution.manifests import history
from distribution.models import Repository, Tag
from policies.immutability import Obstacle


class TagHistoryView(VisitorView):
    @extend_schema(
        operation_id="list_tag_history", parameters=[NumberedQuery], responses=page_of(TagMoveSerializer, "TagHistory")
    )
    def get(self, request: Request, name: str, tag: str) -> Response:
        """List the moves of a tag, newest first, also of one that was deleted.

        To roll back, point the tag at the `from` of a move: `PUT …/-/tags/{tag}`.
        """
        query = parameters(NumberedQuery, request)
        visitor = visitor_of(request)
        parsed, repository = visitor.repository_pk(name)
        # An earlier repository of the same name has a history of its own.
        since = Repository.objects.values_list("created_at", flat=True).get(pk=repository)
        wanted = parsed_tag(tag)
        found = history.moves(parsed, wanted, query["limit"], query["after"], since=since)
        obstacle = Obstacle.to_move(parsed, visitor.version, wanted)
        # A deleted tag is restored, whatever is immutable.
        is_set = Tag.objects.filter(repository=repository, name=wanted).exists()
        may_move = obstacle is None or (obstacle.is_overridable and not is_set)
        items = [
            {
                "id": move.pk,
                "from": move.old_digest or None,
                "to": move.new_digest or None,
                # Strangers could guess the passwords of names.
                "account": None if visitor.identity.is_anonymous else move.account,
                "moved_at": move.moved_at,
                "can_roll_back": may_move and move.old_digest in found.present,
            }
            for move in found.rows
        ]
        return page(request, items, after=found.rows[-1].pk if found.has_more else None)
