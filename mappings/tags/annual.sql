-- Who is billed by the year. Offers of the annual price leave them out. The tag goes when somebody
-- changes to monthly billing, or cancels.
select distinct
    s.user_id as external_id,
    'annual-billing' as tag_name
from subscriptions s
where s.status in ('active', 'past_due') and s.billing_cycle = 'annual' and {{ only('s.user_id') }}
