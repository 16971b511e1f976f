"""The rules that data is safe by, each with a way to break it and the tests that have to notice."""

from tests.mutations.derivation import DERIVATION
from tests.mutations.log import LOG_RULES
from tests.mutations.rule import Rule
from tests.mutations.trigger_log import TRIGGER_LOG
from tests.mutations.trigger_log_mariadb import TRIGGER_LOG_MARIADB
from tests.mutations.trigger_log_sqlite import TRIGGER_LOG_SQLITE

CORE, SYNC, STATE = "meisa_cdc/core/", "meisa_cdc/sync/", "meisa_cdc/state/"
T_CORE, T_SYNC = "tests/unit/core/test_", "tests/unit/sync/test_"
T_BUDGET = "tests/contract/state/test_state_budget.py::"
T_STATE = "tests/contract/state/test_state_occurrences.py::"
T_RECORDS = "tests/contract/state/test_state_records.py::"


RULES = (
    *DERIVATION,
    *LOG_RULES,
    *TRIGGER_LOG,
    *TRIGGER_LOG_SQLITE,
    *TRIGGER_LOG_MARIADB,
    # ---- capture
    Rule(
        name="capture: what was read before a mapping failed does not count",
        file=f"{SYNC}reading.py",
        old="            self.spool.drop(name)\n",
        new="            pass\n",
        tests=(f"{T_SYNC}rows.py", f"{T_SYNC}capture.py"),
    ),
    Rule(
        name="capture: a read of some contacts says nothing of the others",
        file=f"{SYNC}reading.py",
        old="self.read_keys(self.stream(mapping, placed=placed, disturbs=disturbs), keys)",
        new="self.read_all(self.stream(mapping), self.snapshot.read(mapping, keys=keys))",
        tests=(f"{T_SYNC}rows.py", f"{T_SYNC}capture.py"),
    ),
    Rule(
        name="capture: an edited file has all its rows looked at",
        file=f"{SYNC}observing.py",
        old='return f"{EDITION} {mapping.digest} {zone}"',
        new='return f"{EDITION} {zone}"',
        tests=(f"{T_SYNC}rows.py", f"{T_SYNC}capture.py", f"{T_SYNC}holds.py"),
    ),
    Rule(
        name="capture: what may have been committed late is looked at again",
        file=f"{SYNC}dated.py",
        old="before.at - OVERLAP",
        new="before.at",
        tests=(f"{T_SYNC}watermarks.py",),
    ),
    Rule(
        name="capture: what was seen and not stored is looked at again",
        file=f"{SYNC}dated.py",
        old="keys = dict.fromkeys(before.again)",
        new="keys: dict[str, None] = {}",
        tests=(f"{T_SYNC}watermarks.py",),
    ),
    Rule(
        name="capture: a watermark moves once all is stored",
        file=f"{SYNC}passes.py",
        old="        yield\n        for name, taken",
        new="        watermarks.store(self.state, captured)\n        yield\n"
        "        for name, taken",
        tests=(f"{T_SYNC}watermarks.py",),
    ),
    Rule(
        name="capture: buckets are looked at again until their rows are settled",
        file=f"{SYNC}passes.py",
        old="                self.state.unsettle(name, places)\n",
        new="                pass\n",
        tests=("tests/crash/test_checksum_kills.py",),
    ),
    Rule(
        name="capture: rows are read by key only where that finds all of them",
        file=f"{SYNC}summed.py",
        old="    return found if all(read[bucket] == count for bucket, count in there.items()) "
        "else None\n",
        new="    return found\n",
        tests=(f"{T_SYNC}checksums.py",),
    ),
    # ---- diff
    Rule(
        name="diff: a field in doubt differs, whatever was observed",
        file=f"{CORE}fields.py",
        old="    if name in contact.in_doubt:\n        return True\n",
        new="",
        tests=(f"{T_CORE}diff.py", f"{T_SYNC}push.py"),
    ),
    Rule(
        name="diff: who is gone is not sent",
        file=f"{CORE}diff.py",
        old='replace(contact, present=False, invalid="", rank=None)',
        new='replace(contact, present=False, invalid="")',
        tests=(f"{T_CORE}diff.py",),
    ),
    Rule(
        name="diff: an unusable value leaves the field alone",
        file=f"{CORE}fields.py",
        old="seen.duplicate or column in seen.errors",
        new="seen.duplicate",
        tests=(f"{T_CORE}diff.py",),
    ),
    Rule(
        name="diff: a rejected payload is not tried again",
        file=f"{CORE}diff.py",
        old="after.quarantine.payload == request_for(after).fingerprint",
        new="after.quarantine.payload is None",
        tests=(f"{T_CORE}diff.py",),
    ),
    Rule(
        name="diff: two contacts do not share an address",
        file=f"{CORE}addresses.py",
        old="    if not wanting:\n",
        new="    if wanting:\n",
        tests=(f"{T_CORE}diff.py",),
    ),
    Rule(
        name="diff: a new field goes out in the background",
        file=f"{CORE}diff.py",
        old="Priority.BACKGROUND if c.novel or (",
        new="Priority.BACKGROUND if (",
        tests=(f"{T_SYNC}turns.py",),
    ),
    # ---- guard
    Rule(
        name="guard: a mapping that lost its rows is held",
        file=f"{CORE}guard.py",
        old="    if tally.covered and not tally.rows:\n",
        new="    if False:\n",
        tests=(f"{T_CORE}guard.py",),
    ),
    Rule(
        name="guard: too many changes are held",
        file=f"{CORE}guard.py",
        old="if _exceeds(tally.changed, settings.max_change, tally.covered):",
        new="if False:",
        tests=(f"{T_CORE}guard.py",),
    ),
    Rule(
        name="guard: an approval is for what was shown",
        file=f"{SYNC}passes.py",
        old="approve != look.plan.digest:",
        new="not approve:",
        tests=(f"{T_SYNC}holds.py",),
    ),
    Rule(
        name="guard: a hold lets only recorded changes through once it is approved",
        file=f"{SYNC}judging.py",
        old="                        held |= each.scope\n",
        new="",
        tests=(f"{T_SYNC}holds.py",),
    ),
    # ---- budget
    Rule(
        name="budget: a window is never exceeded",
        file=f"{CORE}budget.py",
        old="    if len(done) < window.count:\n        return now\n",
        new="    if len(done) <= window.count:\n        return now\n",
        tests=(f"{T_CORE}budget.py",),
    ),
    Rule(
        name="budget: requests are spread evenly",
        file=f"{CORE}budget.py",
        old="        start = max(start, _pace(usage, place) - window.tolerance)\n",
        new="",
        tests=(f"{T_CORE}budget.py",),
    ),
    Rule(
        name="budget: a pause that the server asked for is kept",
        file=f"{CORE}traffic.py",
        old="        usage = budget.paused(usage, now + outcome.pause)\n",
        new="        pass\n",
        tests=(f"{T_CORE}traffic.py",),
    ),
    Rule(
        name="budget: an answer 429 leaves more to others",
        file=f"{CORE}traffic.py",
        old="        return budget.contested(windows, usage, started=started, now=now)\n",
        new="        return usage\n",
        tests=(f"{T_CORE}traffic.py", f"{T_SYNC}halts.py"),
    ),
    # ---- delivery
    Rule(
        name="delivery: what is sent is in doubt from then on",
        file=f"{CORE}delivery.py",
        old="in_doubt=contact.in_doubt | frozenset(request.fields)",
        new="in_doubt=contact.in_doubt",
        tests=(f"{T_CORE}delivery.py", f"{T_SYNC}push.py"),
    ),
    Rule(
        name="delivery: what was observed since the request is kept",
        file=f"{CORE}delivery.py",
        old="pending = {**lost, **_left(after, contact.pending)}",
        new="pending = {**lost}",
        tests=(f"{T_CORE}delivery.py", f"{T_SYNC}push.py"),
    ),
    Rule(
        name="delivery: only one request of a contact is under way",
        file=f"{SYNC}push.py",
        old="return [*self.deliveries.flights, *self.once.busy]",
        new="return []",
        tests=(f"{T_SYNC}push.py",),
    ),
    Rule(
        name="delivery: what waits for a lane is taken back in trouble",
        file=f"{SYNC}deliveries.py",
        old="            self.withhold()\n            self.store()\n",
        new="            self.store()\n",
        tests=(f"{T_SYNC}push.py",),
    ),
    Rule(
        name="delivery: what may have been overwritten late is confirmed",
        file=f"{CORE}delivery.py",
        old="replace(late, confirm_at=now + SETTLES)",
        new="None",
        tests=(f"{T_SYNC}late.py",),
    ),
    Rule(
        name="delivery: many rejections halt it",
        file=f"{CORE}breaker.py",
        old="if count < MOST_REJECTED or",
        new="if count >= 0 or",
        tests=(f"{T_CORE}breaker.py", f"{T_SYNC}halts.py"),
    ),
    Rule(
        name="delivery: a halt leaves room for probes alone",
        file=f"{CORE}breaker.py",
        old="    return 0.0 if left > longest else max(0.0, left)\n",
        new="    return 0.0\n",
        tests=(f"{T_CORE}breaker.py", f"{T_SYNC}halts.py"),
    ),
    Rule(
        name="delivery: no class starves",
        file=f"{CORE}backlog.py",
        old="    priority = _TURNS.get(turn % ROUND)\n",
        new="    priority = None if turn >= 0 else _TURNS[turn]\n",
        tests=(f"{T_SYNC}turns.py",),
    ),
    # ---- hand-overs
    Rule(
        name="hand-overs: the leaver is accepted before the taker is sent",
        file=f"{CORE}addresses.py",
        old="        if claim.holds and claim.leaves is None:\n",
        new="        if claim.circular:\n",
        tests=(f"{T_SYNC}addresses.py", f"{T_SYNC}handovers.py"),
    ),
    Rule(
        name="hand-overs: an heir empties what the one who is gone left",
        file=f"{CORE}addresses.py",
        old="    if not inherits:\n        return contact\n",
        new="    if inherits is not None:\n        return contact\n",
        tests=(f"{T_SYNC}handovers.py",),
    ),
    Rule(
        name="hand-overs: who is gone is in doubt once somebody takes its address",
        file=f"{SYNC}judging.py",
        old="        return replace(settled, contact=self._mark(after))",
        new="        return settled",
        tests=(f"{T_SYNC}handovers.py",),
    ),
    Rule(
        name="hand-overs: an accepted heir has the address",
        file=f"{SYNC}deliveries.py",
        old="            self._take_over(request)\n",
        new="            pass\n",
        tests=(f"{T_SYNC}handovers.py",),
    ),
    Rule(
        name="hand-overs: a held newcomer takes nothing",
        file=f"{SYNC}judging.py",
        old="    if heir is None or not heir.present or heir.invalid:\n        return set()\n"
        "    address = email_key(heir.email)\n    return {claim.external_id for claim in left"
        " if claim.email_key == address}",
        new="    return {claim.external_id for claim in left}",
        tests=(f"{T_SYNC}handovers.py",),
    ),
    # ---- state intents
    Rule(
        name="state: the intent is stored with the grant",
        file=f"{STATE}budget.py",
        old="                changed[key] = row_of(intended[0], row.id, row)\n",
        new="",
        tests=(f"{T_BUDGET}test_the_intent_is_stored_with_the_grant[sqlite]",),
    ),
    Rule(
        name="state: what came of requests is stored with the next intents",
        file=f"{STATE}budget.py",
        old="            changed = _settled(rows, concluded)\n",
        new="            changed: dict[str, ContactRow] = {}\n",
        tests=(f"{T_BUDGET}test_answers_are_stored_with_the_next_intents[sqlite]",),
    ),
    Rule(
        name="delivery: an answer after failures counts before the next request starts",
        file=f"{SYNC}push.py",
        old="if self.deliveries.answered and (stands.halted or stands.failures):",
        new="if self.deliveries.answered and stands.since < 0:",
        tests=(f"{T_SYNC}halts.py",),
    ),
    Rule(
        name="state: a request counts until its deadline",
        file=f"{STATE}budget.py",
        old='        "done_at": deadline,\n',
        new='        "done_at": now,\n',
        tests=(f"{T_BUDGET}test_a_request_counts_until_its_deadline[sqlite]",),
    ),
    Rule(
        name="state: another process may have taken the room",
        file=f"{STATE}budget.py",
        old="                paces = admit(usage)\n",
        new="                paces = admit(usage) or ()\n",
        tests=(f"{T_BUDGET}test_another_process_may_take_the_place_in_between[sqlite]",),
    ),
    Rule(
        name="state: a halt outlives the process",
        file=f"{STATE}budget.py",
        old='        "new_breaker": dumps(asdict(after.breaker)),\n',
        new='        "new_breaker": dumps(asdict(before.breaker)),\n',
        tests=(f"{T_BUDGET}test_what_was_learnt_is_stored_whole[sqlite]",),
    ),
    Rule(
        name="state: what is forgiven is not counted",
        file=f"{STATE}budget.py",
        old='grants.c.id > bindparam("forgiven")',
        new='grants.c.id > -bindparam("forgiven")',
        tests=(f"{T_BUDGET}test_f63_what_is_forgiven_is_not_counted[sqlite]",),
    ),
    Rule(
        name="state: the number of a request is never given again",
        file=f"{STATE}records.py",
        old="grants.c.done_at < before, grants.c.id < newest",
        new="grants.c.done_at < before, grants.c.id <= newest",
        tests=(f"{T_RECORDS}test_the_number_of_a_request_is_never_given_again[sqlite]",),
    ),
    # ---- suppressions
    Rule(
        name="suppressions: a list cut short releases nobody",
        file=f"{CORE}suppression.py",
        old="    released = [] if held else gone\n",
        new="    released = gone\n",
        tests=(f"{T_CORE}suppression.py",),
    ),
    Rule(
        name="suppressions: a list is as long as it says",
        file=f"{CORE}suppression.py",
        old="type(count) is not int or count != len(entries)",
        new="type(count) is not int",
        tests=(f"{T_CORE}suppression.py",),
    ),
    Rule(
        name="suppressions: an approval is for these releases",
        file=f"{CORE}suppression.py",
        old="    held = suspicious and approve != digest\n",
        new="    held = suspicious and not approve\n",
        tests=(f"{T_CORE}suppression.py",),
    ),
    Rule(
        name="suppressions: addresses are compared in lower case",
        file=f"{CORE}suppression.py",
        old="address = canonical_email(entry).lower()",
        new="address = canonical_email(entry)",
        tests=(f"{T_CORE}suppression.py",),
    ),
    # ---- what is done once
    Rule(
        name="once: an id that is on record is passed over",
        file=f"{STATE}occurrences.py",
        old='        return set(self._database.column(query, {"keys": self._bound(keys)}))\n',
        new="        return set() if query is not None else set()\n",
        tests=(f"{T_STATE}test_what_is_on_record_is_known_for_ever[sqlite]",),
    ),
    Rule(
        name="once: what may have happened is parked",
        file=f"{CORE}attempt.py",
        old="return told if may_repeat(told, now) else replace(told, status=Status.PARKED",
        new="return told if told else replace(told, status=Status.PARKED",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: an e-mail is tried again only while Meisa recognises it",
        file=f"{CORE}attempt.py",
        old="0 <= now - occurrence.tried_at < REMEMBERED - MARGIN",
        new="0 <= now - occurrence.tried_at",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: a clock that was set back proves nothing",
        file=f"{CORE}attempt.py",
        old="0 <= now - occurrence.tried_at < REMEMBERED - MARGIN",
        new="now - occurrence.tried_at < REMEMBERED - MARGIN",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: the hour begins with the first try",
        file=f"{CORE}attempt.py",
        old="return started if occurrence.tried_at is None else occurrence.tried_at",
        new="return started",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: nobody is mailed who is suppressed",
        file=f"{CORE}attempt.py",
        old="if email_key(occurrence.email) in standing.suppressed:",
        new="if occurrence.email in standing.suppressed:",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: a mail waits for a list of today",
        file=f"{CORE}attempt.py",
        old="-MARGIN <= now - standing.as_of <= LIST_LASTS",
        new="-MARGIN <= now - standing.as_of",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: an event waits for its contact",
        file=f"{CORE}attempt.py",
        old="if occurrence.kind == EVENTS and (contact is None or not contact.ledger):",
        new="if occurrence.kind == EVENTS and False:",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: the first run is the baseline",
        file=f"{CORE}arrivals.py",
        old="return self.since is None and not self.mapping.backfill",
        new="return False",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: new rows of an edited file wait for a person",
        file=f"{CORE}guard.py",
        old="    if arrivals.edited:\n",
        new="    if arrivals.edited and not arrivals.new:\n",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
    Rule(
        name="once: what a dead process was about to send may have been sent",
        file=f"{SYNC}occurrences.py",
        old="settled = [unanswered(each, now) for each in lost if each.ref not in ours]",
        new="settled = [replace(e, status=Status.WAITING) for e in lost if e.ref not in ours]",
        tests=(f"{T_SYNC}occurrences.py",),
    ),
)
