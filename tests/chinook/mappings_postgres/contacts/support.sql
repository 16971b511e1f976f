-- The colleague who looks after a customer, so that mails can be signed with the right name.
select
    c.customer_id as external_id,
    e.first_name || ' ' || e.last_name as support_rep
from customer c
join employee e on e.employee_id = c.support_rep_id
where {{ only('c.customer_id') }}
