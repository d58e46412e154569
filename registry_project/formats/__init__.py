"""How pages write dates and times; Django looks them up by language."""
