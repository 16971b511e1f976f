-- What they pay for.
select s.user_id as external_id, p.name as plan, s.billing_cycle, s.mrr
from subscriptions s join plans p on p.id = s.plan_id
where {{ only('s.user_id') }}
