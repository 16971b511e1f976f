-- How often and when someone was last here, for re-engagement mails. Both change with every sign-in,
-- and a change that is sent costs a request. So the time rides along with what is sent anyway, once
-- a week at the latest, and the count is sent when it reaches a figure that says something.
{{ config(every='1d', priority='background', fields={
    'signin_count': {'type': 'integer', 'missing': 0, 'thresholds': [1, 10, 100]},
    'last_active': {'type': 'datetime', 'send': 'with_others', 'at_least_every': '7d'},
}) }}
select
    l.user_id as external_id,
    count(*) as signin_count,
    max(l.at) as last_active
from logins l
where {{ only('l.user_id') }}
group by l.user_id
