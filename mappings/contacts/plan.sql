-- What someone pays for: free, standard, pro, or churned once everything is cancelled. Upgrade,
-- failed-payment and win-back automations start from here, so these changes go out first.
{{ config(priority='urgent', fields={
    'plan': {'missing': 'free'},
    'mrr': {'type': 'number', 'missing': 0},
}) }}
select
    latest.user_id as external_id,
    case when latest.status = 'canceled' then 'churned' else p.code end as plan,
    latest.status as subscription_status,
    latest.billing_cycle,
    case
        when latest.status in ('active', 'past_due') then latest.mrr_cents / 100.0
        else 0
    end as mrr
from (
    select
        s.user_id,
        s.plan_id,
        s.status,
        s.billing_cycle,
        s.mrr_cents,
        -- A running subscription counts before a cancelled one, then the newest.
        row_number() over (
            partition by s.user_id
            order by case when s.status = 'canceled' then 1 else 0 end, s.started_at desc, s.id desc
        ) as place
    from subscriptions s
    where {{ only('s.user_id') }}
) latest
join plans p on p.id = latest.plan_id
where latest.place = 1
