"""Delete a tag, a manifest or a repository, after a page that says what will happen and what it frees."""

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.urls import reverse
from django.views.decorators.http import require_http_methods

from acl.actions import DELETE
from acl.names import RepositoryName
from audit.kinds import Kind
from core.api.errors import RegistryError
from core.sizes import counted
from distribution import deletion, tags
from distribution.manifests import freed, store
from distribution.manifests.freed import Policy
from distribution.models import Manifest, Repository, Tag
from distribution.protocol.digest import Digest
from distribution.protocol.references import Tag as TagName
from distribution.protocol.references import parse_reference
from policies.immutability import Obstacle
from web import contents
from web.freed import sentences, sentences_of_repository
from web.overriding import may_override, note_of
from web.views.page import page
from web.views.rights import denials_recorded, log_change, permitted, refused, repository_of, told
from web.visitor import Visitor
from webhooks.origin import Origin

TAGS_NAMED = 20


@require_http_methods(["GET", "HEAD", "POST"])
def delete_reference(request: HttpRequest, name: str, reference: str) -> HttpResponse:
    """Ask, then delete a tag, or a manifest with its tags."""
    visitor, parsed = permitted(request, name, DELETE)
    try:
        wanted = parse_reference(reference)
    except RegistryError as error:
        raise Http404 from error
    repository = repository_of(parsed)
    obstacle = _obstacle(visitor, repository, wanted)
    if request.method != "POST":
        is_digest = isinstance(wanted, Digest)
        sees_others = _sees_others(request, visitor)
        lines = (
            _of_manifest(repository, wanted, sees_others=sees_others)
            if isinstance(wanted, Digest)
            else _of_tag(repository, wanted, sees_others=sees_others)
        )
        what = {"what": f"manifest {wanted}" if is_digest else f"tag {wanted}", "lines": lines}
        back = reverse("web:image", args=[parsed, wanted])
        what |= _override(request, obstacle)
        return page(request, "delete.html", f"Delete {wanted}", visitor, name=parsed, back=back, **what)
    return _delete(request, visitor, parsed, wanted, note_of(request, obstacle))


def _obstacle(visitor: Visitor, repository: Repository, wanted: Digest | TagName | None) -> Obstacle | None:
    """Return what keeps a tag, a manifest, or with None the repository from deletion."""
    tags = Tag.objects.filter(repository=repository)
    if wanted is not None:
        tags = tags.filter(manifest__digest=str(wanted)) if isinstance(wanted, Digest) else tags.filter(name=wanted)
    # Read only where a policy is about tags.
    names = tags.values_list("name", flat=True).iterator()
    return Obstacle.to_deletion(repository.name, visitor.version, names)


def _override(request: HttpRequest, obstacle: Obstacle | None) -> dict[str, Any]:
    is_overridable = obstacle is not None and obstacle.is_overridable
    return {"obstacle": obstacle, "overrides": is_overridable and may_override(request)}


def _sees_others(request: HttpRequest, visitor: Visitor) -> bool:
    """Return whether the visitor may view all repositories in the admin."""
    return not visitor.identity.is_anonymous and request.user.has_perm("distribution.view_repository")


def _of_tag(repository: Repository, tag: TagName, *, sees_others: bool) -> list[str]:
    if not Tag.objects.filter(repository=repository, name=tag).exists():
        raise Http404
    policy = Policy.configured()
    first = "Clients can't pull the tag any more. Its history stays, and it can be restored while the image is there."
    return [first, *sentences(freed.by_tag(repository.pk, tag, policy, sees_others=sees_others), policy)]


def _of_manifest(repository: Repository, digest: Digest, *, sees_others: bool) -> list[str]:
    pk = Manifest.objects.filter(repository=repository, digest=str(digest)).values_list("pk", flat=True).first()
    if pk is None:
        raise Http404
    names = list(Tag.objects.filter(manifest=pk).order_by("name").values_list("name", flat=True)[: TAGS_NAMED + 1])
    named = ", ".join(names[:TAGS_NAMED]) + (", …" if len(names) > TAGS_NAMED else "")
    first = "Clients can't pull it any more, not even by its digest, and no tag can be rolled back to it."
    with_tags = [f"Its tags are deleted with it: {named}."] if names else []
    policy = Policy.configured()
    found = freed.by_manifest(repository.pk, pk, policy, sees_others=sees_others)
    return [first, *with_tags, *sentences(found, policy)]


def _delete(
    request: HttpRequest, visitor: Visitor, name: RepositoryName, wanted: Digest | TagName, note: str
) -> HttpResponse:
    by: Any = {"account": visitor.identity.name, "rules": visitor.rules, "origin": Origin(request)}
    by["is_overridden"] = bool(note)
    try:
        if isinstance(wanted, Digest):
            with denials_recorded(request, visitor, name):
                store.delete(name, wanted, **by)
            log_change(request, visitor, Kind.MANIFEST_DELETED, name, digest=str(wanted), detail=note)
        else:
            with denials_recorded(request, visitor, name):
                tags.delete(name, wanted, **by)
            log_change(request, visitor, Kind.TAG_DELETED, name, tag=wanted, detail=note)
    except RegistryError as error:
        return refused(request, error, "repository", name)
    return told(request, f"{wanted} was deleted.", "repository", name)


@require_http_methods(["GET", "HEAD", "POST"])
def delete_repository(request: HttpRequest, name: str) -> HttpResponse:
    """Ask for the name once more, then delete the repository."""
    visitor, parsed = permitted(request, name, DELETE, is_whole=True)
    repository = repository_of(parsed)
    obstacle = _obstacle(visitor, repository, None)
    is_wrong = request.method == "POST" and request.POST.get("name") != parsed
    if request.method != "POST" or is_wrong:
        number = contents.tag_counts([repository.pk]).get(repository.pk, 0)
        many = "more than " if number > contents.MOST_COUNTED else ""
        first = f"It disappears at once, with {many}{counted(min(number, contents.MOST_COUNTED), 'tag')}."
        found = freed.by_repository(repository.pk, sees_others=_sees_others(request, visitor))
        lines = [first, *sentences_of_repository(found)]
        back = reverse("web:repository", args=[parsed])
        shown = {"what": f"repository {parsed}", "lines": lines, "back": back, "is_wrong": is_wrong, "typed": True}
        shown |= _override(request, obstacle)
        return page(request, "delete.html", f"Delete {parsed}", visitor, name=parsed, **shown)
    note = note_of(request, obstacle)
    try:
        by: Any = {"account": visitor.identity.name, "origin": Origin(request)}
        deletion.begin(parsed, is_overridden=bool(note), **by)
    except RegistryError as error:
        return refused(request, error, "repository", parsed)
    log_change(request, visitor, Kind.REPOSITORY_DELETED, parsed, detail=note)
    return told(request, f"{parsed} was deleted.", "repositories")
