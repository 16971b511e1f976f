"""Automations: when this happens to a contact for which that holds, do these things.

`rules` says what one is, `deciding` whether it reacts, `reading` takes them from a file. None of
them changes a contact: what was decided is carried out by `meisa_cdc.sandbox.reactions`.
"""
