"""Serializers and the codecs, one for each annotation, that they are made of."""
