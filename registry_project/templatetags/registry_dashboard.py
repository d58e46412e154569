"""Filters of the dashboard."""

from django import template

from core.sizes import size_text

register = template.Library()
register.filter("size_text", size_text)
