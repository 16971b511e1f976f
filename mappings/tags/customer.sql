-- Who pays at present. Onboarding for customers starts when the tag comes; it goes when the last
-- subscription ends.
select distinct
    s.user_id as external_id,
    'paying-customer' as tag_name
from subscriptions s
join plans p on p.id = s.plan_id
where s.status in ('active', 'past_due') and p.code <> 'free' and {{ only('s.user_id') }}
