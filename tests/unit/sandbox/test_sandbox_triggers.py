"""Which triggers an upsert fires."""

ANNA = {"email": "anna@example.com", "external_id": "7"}


def _changes(desk):
    return dict(desk.account.triggers()[-1].changes)


def test_the_first_upsert_fires_contact_created(desk):
    """Once, without contact_updated, and each tag it brings fires too."""
    desk.upsert(**ANNA, custom_fields={"plan": "free"}, tag_names=["a", "b"])
    assert desk.fired() == ["contact_created", "tag_added", "tag_added"]
    assert [trigger.tag for trigger in desk.account.triggers()] == [None, "a", "b"]


def test_a_changed_field_fires_contact_updated_with_old_and_new(desk):
    """Only the paths that differ are told."""
    desk.upsert(**ANNA, first_name="Anna", custom_fields={"plan": "free", "mrr": 0})
    desk.upsert(**ANNA, first_name="Anne", custom_fields={"plan": "pro", "mrr": 0, "seats": 2})
    assert desk.fired() == ["contact_created", "contact_updated"]
    assert _changes(desk) == {
        "first_name": ("Anna", "Anne"),
        "custom_fields.plan": ("free", "pro"),
        "custom_fields.seats": (None, 2),
    }


def test_an_upsert_that_changes_nothing_fires_nothing(desk):
    """Same values, a tag it has already, another source: all of that is no change."""
    body = {**ANNA, "custom_fields": {"n": 1, "o": {"a": [1]}}, "tag_names": ["a"]}
    desk.upsert(**body)
    fired = desk.fired()
    desk.upsert(**body)
    desk.upsert(**ANNA, source="import", custom_fields={"n": 1.0, "new": None})
    assert desk.fired() == fired


def test_true_after_one_is_a_change(desk):
    """A type that changes is a change of the field."""
    desk.upsert(**ANNA, custom_fields={"onboarded": 1})
    desk.upsert(**ANNA, custom_fields={"onboarded": True})
    assert _changes(desk) == {"custom_fields.onboarded": (1, True)}


def test_a_new_key_is_a_change_of_that_key(desk):
    """An e-mail found by external_id and an external_id found by e-mail are told as changes."""
    desk.upsert(**ANNA)
    desk.upsert(email="anna@new.example", external_id="7")
    assert _changes(desk) == {"email": ("anna@example.com", "anna@new.example")}
    desk.upsert(email="anna@new.example", external_id="8")
    assert _changes(desk) == {"external_id": ("7", "8")}


def test_a_new_tag_alone_is_no_update(desk):
    """It fires tag_added and nothing else."""
    desk.upsert(**ANNA)
    desk.upsert(**ANNA, tag_names=["pro"])
    assert desk.fired() == ["contact_created", "tag_added"]


def test_a_refused_request_fires_nothing(desk):
    """Errors in the body have no effect on automations."""
    desk.upsert(**ANNA, status="active")
    assert desk.fired() == []


def test_the_log_forgets_and_the_counters_do_not(desk_with):
    """Beyond its size only the latest triggers are there, numbered as they came."""
    desk = desk_with(log_size=2)
    for number in range(4):
        desk.upsert(email=f"{number}@example.com", external_id=str(number))
    assert [(t.number, t.external_id) for t in desk.account.triggers()] == [(3, "2"), (4, "3")]
    assert [trigger.number for trigger in desk.account.triggers(since=3)] == [4]
    assert desk.account.triggers(since=4) == []
    assert desk.account.trigger_counts() == {"contact_created": 4}


def test_a_trigger_reads_as_json(desk):
    """Old and new are named, as the admin path shows them."""
    desk.upsert(**ANNA)
    desk.upsert(**ANNA, custom_fields={"plan": "pro"})
    document = desk.account.triggers()[-1].document()
    assert document["changes"] == {"custom_fields.plan": {"from": None, "to": "pro"}}
    assert document["email"] == "anna@example.com"
