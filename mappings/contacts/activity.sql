-- How often and when someone was last here, for re-engagement mails. It changes with every sign-in,
-- and each change costs a request: read once a day, and sent only when nothing else is waiting.
{{ config(every='1d', priority='background', fields={
    'signin_count': {'type': 'integer', 'missing': 0},
    'last_active': {'type': 'datetime'},
}) }}
select
    l.user_id as external_id,
    count(*) as signin_count,
    max(l.at) as last_active
from logins l
where {{ only('l.user_id') }}
group by l.user_id
