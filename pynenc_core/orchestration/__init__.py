"""The rules: how a call is routed, claimed, executed, waited for and recovered. Written once, for every store and runner."""
