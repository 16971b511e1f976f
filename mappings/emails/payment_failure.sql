-- Payments that failed, each told to the customer once. Wording and sender are set up in Meisa, under
-- the name payment failure.
select
    p.id as email_id,
    'payment_failure' as trigger_key,
    u.email as to_email,
    u.first_name as recipient_first_name,
    u.first_name as name,
    p.amount_cents / 100.0 as amount
from payments p
join users u on u.id = p.user_id
where p.status = 'failed' and u.email is not null
