"""Filters of the dashboard."""

from django import template
from django.contrib.humanize.templatetags.humanize import naturaltime

from core.sizes import size_text

register = template.Library()
register.filter("size_text", size_text)
register.filter("naturaltime", naturaltime)
